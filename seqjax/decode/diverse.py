"""Diverse beam search."""

import dataclasses

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Int
from seqjax._internal.validation import real_number, whole_number
from seqjax.decode import beams
from seqjax.decode.beam import check_early_stop, check_width
from seqjax.decode.beams import Beams
from seqjax.decode.candidates import Candidates, take
from seqjax.decode.generation import Generation
from seqjax.decode.scoring import LengthPenalty, Rules, as_penalty
from seqjax.decode.strategy import Choice, Sizes, Strategy, View, Written
from seqjax.errors import ArgumentError


class Diverse(Strategy):
    """Beam search in groups that avoid each other's tokens; made by `diverse`."""

    width: int
    groups: int
    strength: float = 0.5
    _: dataclasses.KW_ONLY
    length_penalty: float | LengthPenalty = 1.0
    early_stop: bool | str = False
    n_best: int | None = None

    def __post_init__(self) -> None:
        check_width("diverse", self.width, self.n_best)
        if self.width % whole_number("diverse: groups", self.groups, 1):
            raise ArgumentError(f"diverse: a width of {self.width} cannot be split into {self.groups} equal groups")
        if not 0 <= real_number("diverse: strength", self.strength) < float("inf"):
            raise ArgumentError(f"diverse: strength must be a finite number of at least 0, found {self.strength!r}")
        as_penalty(self.length_penalty)
        check_early_stop("diverse", self.early_stop)

    @property
    def beams(self) -> int:
        """K, of all groups together."""
        return self.width

    @property
    def size(self) -> int:
        """The width of one group."""
        return self.width // self.groups

    def init(self, sizes: Sizes) -> tuple[Beams, ...]:
        """A search for each group."""
        return tuple(beams.begin(sizes, self.size, self.size) for _ in range(self.groups))

    def select(self, search: tuple[Beams, ...], view: View) -> tuple[tuple[Beams, ...], Choice]:
        """Group after group, each with a penalty on the tokens with which those before it go on."""
        rules, processed = Rules(as_penalty(self.length_penalty), self.early_stop), view.process(view.log_probs)
        counts = jnp.zeros_like(processed[:, 0])
        after, chosen = [], []
        for group, part in enumerate(search):
            here = slice(group * self.size, (group + 1) * self.size)
            own = view._replace(log_probs=view.log_probs[:, here], process=lambda _: processed[:, here])
            totals = beams.totals_of(part.live, own)
            part, kept = beams.take_best(part, own, rules, totals, totals - self.strength * counts[:, None])
            counts += count_tokens(kept, counts.shape[-1]).astype(counts.dtype)
            after.append(part)
            chosen.append(kept._replace(parents=kept.parents + here.start))
        joined = Candidates(*(jnp.concatenate(parts, axis=-1) for parts in zip(*chosen)))
        return tuple(after), beams.make_choice(joined, *after)

    def done(self, search: tuple[Beams, ...]) -> Bool[jax.Array, " B"]:
        """Where all groups are."""
        return jnp.all(jnp.stack([part.closed for part in search]), axis=0)

    def finish(self, search: tuple[Beams, ...], written: Written) -> Generation:
        """The hypotheses of all groups, best first."""
        found = [beams.results(part, written.fill, self.size) for part in search]
        joined = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *found)
        order = jax.lax.top_k(joined.scores, self.n_best or self.width)[1]
        return Generation(*(take(part, order) for part in joined))


def count_tokens(kept: Candidates, vocabulary: int) -> Int[Array, "B V"]:
    """How often each token is the last of one that goes on."""
    hit = kept.tokens[..., None] == jnp.arange(vocabulary)[None, None]
    return jnp.sum(hit & (kept.totals > -jnp.inf)[..., None], axis=1)


def diverse(
    width: int,
    groups: int,
    strength: float = 0.5,
    *,
    length_penalty: float | LengthPenalty = 1.0,
    early_stop: bool | str = False,
    n_best: int | None = None,
) -> Diverse:
    """Diverse beam search (Vijayakumar et al. 2018): `groups` searches of `width // groups` beams, one after another.

    In each step a group ranks its continuations by

        log p(y) - strength * (how many hypotheses of earlier groups go on with the same token in this step)

    (Hamming diversity). Only the choice sees the penalty: totals and scores are the model's own, with the length
    penalty as in `beam`. The first group is thus `beam(width // groups)`, and with a strength of 0 all groups are.
    Results of all groups come together, best first; the same text can come from several.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.decode import diverse, generate
        >>> model = sj.stack(sj.Embed(10, 8), sj.LSTM(16), sj.Dense(10))
        >>> params = model.init(jax.random.key(0), 0)
        >>> result = generate(model, params, jnp.array([1, 2]), steps=6, strategy=diverse(4, 4, 100.0))
        >>> [len(set(row)) for row in result.tokens[:, :, 0].tolist()]
        [4, 4]

    Raises:
        ArgumentError, ArgumentTypeError: an option that cannot be, such as a width that is no multiple of the groups.
    """
    return Diverse(width, groups, strength, length_penalty=length_penalty, early_stop=early_stop, n_best=n_best)
