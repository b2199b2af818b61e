"""Beam search."""

import dataclasses

import jax

from seqjax._internal.types import Bool
from seqjax._internal.validation import real_number, whole_number
from seqjax.decode import beams
from seqjax.decode.beams import Beams
from seqjax.decode.coverage import cover, uncovered
from seqjax.decode.generation import Generation
from seqjax.decode.scoring import LengthPenalty, Rules, as_penalty
from seqjax.decode.strategy import Choice, Sizes, Strategy, View, Written
from seqjax.errors import ArgumentError, ArgumentTypeError


def check_width(name: str, width: object, n_best: object) -> None:
    """Refuse what is no number of beams, or no number of results of so many."""
    width = whole_number(f"{name}: width", width, 1)
    if n_best is not None and whole_number(f"{name}: n_best", n_best, 1) > width:
        raise ArgumentError(f"{name}: n_best is {n_best}, but there are {width} beams; give a larger width")


def check_early_stop(name: str, value: object) -> None:
    """Refuse what is neither True nor False nor "never"."""
    if not isinstance(value, bool) and not (isinstance(value, str) and value == "never"):
        raise ArgumentError(f'{name}: early_stop must be True, False or "never", found {value!r}')


class Beam(Strategy):
    """Beam search; made by `beam`."""

    width: int
    _: dataclasses.KW_ONLY
    length_penalty: float | LengthPenalty = 1.0
    coverage: float = 0.0
    weights: str = "weights"
    early_stop: bool | str = False
    n_best: int | None = None

    def __post_init__(self) -> None:
        check_width("beam", self.width, self.n_best)
        as_penalty(self.length_penalty)
        if not 0 <= real_number("beam: coverage", self.coverage) < float("inf"):
            raise ArgumentError(f"beam: coverage must be a finite number of at least 0, found {self.coverage!r}")
        if not isinstance(self.weights, str):
            raise ArgumentTypeError(f"beam: weights must be the name of a tap, found {self.weights!r}")
        check_early_stop("beam", self.early_stop)

    @property
    def beams(self) -> int:
        """K, the width."""
        return self.width

    @property
    def watch(self) -> tuple[str, ...]:  # type: ignore[override]
        """The taps of attention weights, where there is a coverage penalty."""
        return (self.weights,) if self.coverage else ()

    @property
    def rules(self) -> Rules:
        """How hypotheses are compared."""
        return Rules(as_penalty(self.length_penalty), self.early_stop, self.coverage)

    def init(self, sizes: Sizes) -> Beams:
        """One empty hypothesis."""
        covered = uncovered(sizes, self.weights) if self.coverage else None
        return beams.begin(sizes, self.width, self.width, covered)

    def select(self, search: Beams, view: View) -> tuple[Beams, Choice]:
        """The best continuations: those that end are ranked, the others go on."""
        if search.covered is not None:
            search = search._replace(covered=cover(search.covered, view.seen, self.weights))
        totals = beams.totals_of(search.live, view)
        search, kept = beams.take_best(search, view, self.rules, totals, totals)
        return search, beams.make_choice(kept, search)

    def done(self, search: Beams) -> Bool[jax.Array, " B"]:
        """Where no better hypothesis is looked for."""
        return search.closed

    def finish(self, search: Beams, written: Written) -> Generation:
        """The hypotheses that have ended, best first."""
        return beams.results(search, written.fill, self.n_best or self.width)


def beam(
    width: int,
    *,
    length_penalty: float | LengthPenalty = 1.0,
    coverage: float = 0.0,
    weights: str = "weights",
    early_stop: bool | str = False,
    n_best: int | None = None,
) -> Beam:
    """Beam search: of all continuations of `width` hypotheses the `width` best go on, and those that end are ranked.

    With log p(y) = sum_t log p(y_t | y_<t), n tokens (the stop token included), and attention weights w_ts of step t
    on slot s of the source, hypotheses that have ended are ranked by

        score(y) = log p(y) / n ** length_penalty + coverage * sum_s log(min(sum_t w_ts, 1))

    as in Hugging Face's `generate` (the second term: Wu et al. 2016, equation 14), and the results come best first.
    Of 2 `width` candidates in a step, a token that stops ends one of the first `width`; in the last step all of these
    end. `early_stop` says when a row is closed, once `width` hypotheses have ended:

        True     at once
        False    when the best that goes on, at its present length, has no higher score than the worst that has ended
        "never"  the same at whatever length up to `steps` suits it best

    With `early_stop=True`, or `length_penalty=0`, a width of 1 is greedy decoding. A width of V ** steps is exhaustive
    search.

    Args:
        width: K, hypotheses for each row.
        length_penalty: a number alpha, for n ** alpha; 0 compares sums, more favours long texts; or `gnmt(alpha)`.
        coverage: factor of the coverage penalty, which favours texts that attend to all of the source.
        weights: the tap of the attention weights `[*B, S]` or `[*B, ..., S]` (the mean counts), by the end of its path.
        early_stop: True, False or "never".
        n_best: how many results, `width` at most and by default.

    `generate` gives tokens `[B, n_best, L]`. Where fewer have ended, lengths are 0 and scores -inf.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.decode import beam, generate, gnmt
        >>> model = sj.stack(sj.Embed(10, 8), sj.LSTM(16), sj.Dense(10))
        >>> params = model.init(jax.random.key(0), 0)
        >>> result = generate(model, params, jnp.array([1, 2]), steps=6, strategy=beam(4, n_best=2), stop=0)
        >>> result.tokens.shape, bool(jnp.all(result.scores[:, 0] >= result.scores[:, 1]))
        ((2, 2, 6), True)
        >>> beam(4, length_penalty=gnmt(0.6))
        beam(4, length_penalty=gnmt(0.6))

    Raises:
        ArgumentError, ArgumentTypeError: an option that cannot be; with coverage, no tap of that name, or several.
    """
    return Beam(
        width, length_penalty=length_penalty, coverage=coverage, weights=weights, early_stop=early_stop, n_best=n_best
    )
