"""What a decoder reads while it is trained or tried, as a value."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Float
from seqjax._internal.validation import known
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.seq2seq.feedback import check_sample

Chance = float | Float[Array, "..."]


@dataclass(frozen=True)
class Feed:
    """What is fed next; made by `teacher`, `free`, `scheduled` and `two_pass`, read by `unroll`.

    A tree whose one array is `p`, so that under `jit` another chance is no other program.

    p: the chance that a token is the model's own.
    how: "teacher", "free", "scheduled" or "two_pass".
    sample: how own tokens are chosen, "argmax" or "sample".

    >>> from seqjax import seq2seq
    >>> feed = seq2seq.scheduled(0.25, sample="sample")
    >>> feed, feed.draws
    (scheduled(0.25, sample='sample'), True)
    """

    p: Chance
    how: str
    sample: str

    @property
    def draws(self) -> bool:
        """Whether it needs a key."""
        return self.how in ("scheduled", "two_pass") or self.sample == "sample"

    def __repr__(self) -> str:
        words = [] if self.how in ("teacher", "free") else [repr(self.p)]
        words += [] if self.sample == "argmax" else [f"sample={self.sample!r}"]
        return f"{self.how}({', '.join(words)})"


jax.tree_util.register_dataclass(Feed, data_fields=["p"], meta_fields=["how", "sample"])


def teacher() -> Feed:
    """Every token is the given one: teacher forcing (Williams and Zipser 1989).

    >>> import jax, jax.numpy as jnp
    >>> import seqjax as sj
    >>> from seqjax import seq2seq
    >>> model = sj.stack(sj.Embed(5, 3), sj.GRU(4), sj.Dense(5))
    >>> params, ids = model.init(jax.random.key(0), 0), jnp.array([[0, 3, 1]])
    >>> carry, logits = seq2seq.unroll(model, params, ids, seq2seq.teacher())
    >>> bool(jnp.all(logits == sj.scan(model, params, ids)[1]))
    True
    """
    return Feed(0.0, "teacher", "argmax")


def free(sample: str = "argmax") -> Feed:
    """Every token but the first is the model's own: free running.

    sample: "argmax", or "sample", which needs a key. Of the inputs the first real step alone is read.

    >>> from seqjax import seq2seq
    >>> seq2seq.free(), seq2seq.free("sample").draws
    (free(), True)

    Raises:
        ArgumentError: another word.
    """
    check_sample(sample)
    return Feed(1.0, "free", sample)


def scheduled(p: Chance, sample: str = "argmax") -> Feed:
    """Each token is the model's own with chance p, by a coin of its own: scheduled sampling (Bengio et al. 2015).

    token_t = y_{t-1} with chance p, x_t with chance 1 - p;    y_{t-1} = argmax logits_{t-1}, or drawn from them

    The paper's epsilon is 1 - p. At p = 0 it is `teacher()` bit for bit, at p = 1 `free()`. It runs the model twice:
    step by step to choose the tokens, without a gradient, and then over all of them as teacher forcing does.

    Args:
        p: a number in [0, 1], or an array that broadcasts to the inputs `[B, T]`: one for each step `[T]`, or for each
            example `[B, 1]`. It may be traced, and changes no program.
        sample: "argmax" or "sample".

    >>> from seqjax import seq2seq
    >>> seq2seq.scheduled(0.25)
    scheduled(0.25)

    Raises:
        ArgumentError, ArgumentTypeError: no chance, or another word.
    """
    check_sample(sample)
    return Feed(_chance("scheduled", p), "scheduled", sample)


def two_pass(p: Chance, sample: str = "argmax") -> Feed:
    """Scheduled sampling for decoders that run all steps at once (Mihaylova and Martins 2019).

    The model reads the given tokens, each of which is then replaced with chance p by what it has said before it;
    the second pass reads these. Two passes, no loop: what a token replaces was said after the given tokens, not
    after other own ones, and that is where it differs from `scheduled`.

    Args:
        p, sample: as in `scheduled`.

    >>> from seqjax import seq2seq
    >>> seq2seq.two_pass(0.5, sample="sample")
    two_pass(0.5, sample='sample')

    Raises:
        ArgumentError, ArgumentTypeError: as `scheduled`.
    """
    check_sample(sample)
    return Feed(_chance("two_pass", p), "two_pass", sample)


def _chance(name: str, p: Chance) -> Chance:
    if callable(p):
        raise ArgumentTypeError(f"{name}: p must be a number in [0, 1], found {p!r}. A schedule? Call it with the step")
    array = p if hasattr(p, "dtype") else np.asarray(p)
    real = jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)
    if not real:
        raise ArgumentTypeError(f"{name}: p must be a number in [0, 1] or an array of them, found {p!r}")
    if known(array):
        wrong = [value for value in np.ravel(np.asarray(array)) if not 0 <= value <= 1]
        if wrong:
            slip = " A percentage? Divide it by 100" if 1 < wrong[0] <= 100 else ""
            raise ArgumentError(f"{name}: p must be in [0, 1], found {wrong[0]}.{slip}")
    return p


def check_feed(feed: object) -> None:
    """Refuse what is no feed."""
    if isinstance(feed, Feed):
        return
    slip = f" Call it: {feed.__name__}(...)" if callable(feed) and hasattr(feed, "__name__") else ""
    raise ArgumentTypeError(f"feed must be teacher(), free(), scheduled(p) or two_pass(p), found {feed!r}.{slip}")
