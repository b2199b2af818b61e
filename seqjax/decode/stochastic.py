"""Stochastic beam search: texts drawn without replacement."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Float
from seqjax.decode import beams
from seqjax.decode.beam import check_width
from seqjax.decode.beams import Beams
from seqjax.decode.candidates import add, one_live
from seqjax.decode.generation import Generation
from seqjax.decode.scoring import LengthPenalty, Rules
from seqjax.decode.strategy import Choice, Sizes, Strategy, View, Written


class Perturbed(NamedTuple):
    """A search whose totals are perturbed log-probabilities; `sums` are the log-probabilities of what goes on."""

    beams: Beams
    sums: Float[jax.Array, "B K"]


class Stochastic(Strategy):
    """Beam search on perturbed log-probabilities; made by `stochastic`."""

    width: int
    draws = True

    def __post_init__(self) -> None:
        check_width("stochastic", self.width, None)

    @property
    def beams(self) -> int:
        """K, the width."""
        return self.width

    def init(self, sizes: Sizes) -> Perturbed:
        """One empty hypothesis, of the perturbed log-probability 0."""
        start = beams.begin(sizes, self.width, self.width)
        return Perturbed(start, one_live((sizes.batch,), self.width, sizes.dtype))

    def select(self, search: Perturbed, view: View) -> tuple[Perturbed, Choice]:
        """The continuations of the highest perturbed log-probabilities."""
        sums = add(search.sums, jax.nn.log_softmax(view.process(view.logits)))
        noise = jax.vmap(lambda key: jax.random.gumbel(key, sums.shape[1:], sums.dtype))(view.keys)
        totals = perturb(search.beams.live, sums + noise)
        rules = Rules(LengthPenalty(0.0), "never")
        after, kept = beams.take_best(search.beams, view, rules, totals, totals)
        rows = jnp.arange(len(sums))[:, None]
        sums = jnp.where(kept.totals > -jnp.inf, sums[rows, kept.parents, kept.tokens], -jnp.inf)
        return Perturbed(after, sums), beams.make_choice(kept, after)

    def done(self, search: Perturbed) -> Bool[jax.Array, " B"]:
        """Where all texts are drawn."""
        return search.beams.closed

    def finish(self, search: Perturbed, written: Written) -> Generation:
        """The texts, in the order in which they were drawn."""
        return beams.results(search.beams, written.fill, self.width)


def perturb(parents: Float[Array, "B K"], children: Float[Array, "B K V"]) -> Float[jax.Array, "B K V"]:
    """Gumbel variables of children as they are when the largest is known to be that of the parent.

    G~ = -log(exp(-G) - exp(-Z) + exp(-g)), g of a child, Z the largest of these, G of the parent; in a form that does
    not cancel (Kool et al. 2019, appendix B.3).
    """
    largest = jnp.max(children, axis=-1, keepdims=True)
    there = (parents > -jnp.inf)[..., None] & (children > -jnp.inf)
    below = jnp.where(there, children - largest, -1.0)
    parent = jnp.where(there, parents[..., None], 0.0)
    v = parent - jnp.where(there, children, 0.0) + jnp.log1p(-jnp.exp(below))
    shifted = parent - jnp.maximum(v, 0.0) - jnp.log1p(jnp.exp(-jnp.abs(v)))
    return jnp.where(there | jnp.isnan(children), shifted, -jnp.inf)


def stochastic(width: int) -> Stochastic:
    """Stochastic beam search (Kool, van Hoof & Welling 2019): `width` different texts, drawn from the model.

    The texts are a sample without replacement: the first has the probability p(y) of the model, the second
    p(y) / (1 - p(first)) among the others, and so on. For that beam search ranks texts by G = log p(y) + Gumbel noise,
    drawn from the top down: the largest G of all continuations of a text is its own. Scores are these G, given that the
    largest is 0; log p(y) is the sum of `log_probs`. Processors see logits, and what they leave is what is drawn from.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.decode import generate, stochastic
        >>> model = sj.stack(sj.Embed(10, 8), sj.LSTM(16), sj.Dense(10))
        >>> params = model.init(jax.random.key(0), 0)
        >>> result = generate(model, params, jnp.array([1]), steps=6, strategy=stochastic(20), key=jax.random.key(1))
        >>> len(set(map(tuple, result.tokens[0].tolist())))
        20

    Raises:
        ArgumentError, ArgumentTypeError: no whole number above 0.
    """
    return Stochastic(width)
