"""Drawing the next token, from all of the distribution or from its head."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Array, Float, Int
from seqjax._internal.validation import real_number, whole_number
from seqjax.decode.strategy import Single, View
from seqjax.errors import ArgumentError

_FEW = 128


class Sample(Single):
    """A token drawn from the distribution, or from its head; made by `sample`."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    draws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        temperature = real_number("sample: temperature", self.temperature)
        if not 0 < temperature < math.inf:
            slip = ". For the most likely token, use greedy()" if temperature == 0 else ""
            raise ArgumentError(f"sample: temperature must be above 0 and finite, found {temperature}{slip}")
        if self.top_k is not None:
            whole_number("sample: top_k", self.top_k, least=1)
        for name in ("top_p", "min_p"):
            value = getattr(self, name)
            if value is not None and not 0 < real_number(f"sample: {name}", value) <= 1:
                raise ArgumentError(f"sample: {name} is a probability in (0, 1], found {value}. None switches it off")

    def choose(self, logits: Float[Array, "B V"], view: View) -> Int[jax.Array, " B"]:
        """A draw from what `head` leaves, with the key of each row."""
        logits, ids = self.head(logits)
        drawn = jax.vmap(jax.random.categorical)(view.keys, logits)
        return drawn if ids is None else jnp.take_along_axis(ids, drawn[:, None], axis=-1)[:, 0]

    def head(self, logits: Float[Array, "*B V"]) -> tuple[Float[jax.Array, "*B C"], Int[jax.Array, "*B C"] | None]:
        """The logits of the C candidates, -inf where one is left out, and their ids; None: they are 0 ... V - 1.

        >>> import jax.numpy as jnp
        >>> from seqjax import decode
        >>> decode.sample(top_k=2).head(jnp.array([1.0, 3.0, 2.0]))[1].tolist()
        [1, 2]
        """
        logits = jnp.asarray(logits) / self.temperature
        ids = None
        if self.top_k is not None:
            logits, ids = lax.top_k(logits, min(self.top_k, logits.shape[-1]))
        if self.top_p is not None and self.top_p < 1:
            logits = jnp.where(logits >= least_of_mass(logits, self.top_p)[..., None], logits, -jnp.inf)
        if self.min_p is not None:
            least = jnp.max(logits, axis=-1, keepdims=True) + math.log(self.min_p)
            logits = jnp.where(logits >= least, logits, -jnp.inf)
        return logits, ids


def least_of_mass(logits: Float[Array, "*B V"], p: float) -> Float[jax.Array, "*B"]:
    """The smallest logit among the fewest largest whose softmax has the mass p together.

    Nearly always these are few, and the `_FEW` largest show it; only where some row needs more is the limit found by
    bisection, which takes 32 looks at all logits (a tenth of a sort on CPUs). A row's answer does not depend on others.
    """
    logits = jnp.asarray(logits)
    peak = jnp.max(logits, axis=-1, keepdims=True)
    total = jnp.sum(jnp.exp(logits - peak), axis=-1, keepdims=True)

    largest = lax.top_k(logits, min(_FEW, logits.shape[-1]))[0]
    mass = jnp.exp(largest - peak) / total
    before = jnp.cumsum(mass, axis=-1) - mass  # of those that are larger
    few = jnp.min(jnp.where(before < p, largest, jnp.inf), axis=-1)
    if logits.shape[-1] <= _FEW:
        return few
    enough = before[..., -1] + mass[..., -1] >= p
    bisect = lambda: jnp.where(enough, few, _bisect(logits, jnp.exp(logits - peak) / total, p))
    return lax.cond(jnp.all(enough), lambda: few, bisect)


def _bisect(logits: Float[jax.Array, "*B V"], mass: Float[jax.Array, "*B V"], p: float) -> Float[jax.Array, "*B"]:
    """The smallest number above which there is less mass than p, by the order that floats have as whole numbers."""
    bits = jnp.finfo(logits.dtype).bits
    whole = jnp.dtype(f"int{bits}")
    order = lambda a: jnp.where(a < 0, a ^ jnp.iinfo(whole).max, a)  # its own inverse

    def halve(_: object, limits: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = limits
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        above = logits > lax.bitcast_convert_type(order(middle), logits.dtype)[..., None]
        less = jnp.sum(jnp.where(above, mass, 0), axis=-1) < p
        return jnp.where(less, low, middle), jnp.where(less, middle, high)

    ends = (jnp.min(logits, axis=-1, where=logits > -jnp.inf, initial=jnp.inf), jnp.max(logits, axis=-1))
    low, high = (order(lax.bitcast_convert_type(end, whole)) for end in ends)
    low, high = lax.fori_loop(0, bits, halve, (low - 1, high))
    return lax.bitcast_convert_type(order(high), logits.dtype)


def sample(
    temperature: float = 1.0, *, top_k: int | None = None, top_p: float | None = None, min_p: float | None = None
) -> Sample:
    """Draw each token from softmax(logits / temperature), or from its head; `generate` then needs a key.

    Args:
        temperature: above 0; below 1 the likely tokens become likelier still, and towards 0 it is `greedy`.
        top_k: only from the k most likely (Fan et al. 2018); of equal ones, those with the lowest ids.
        top_p: only from the fewest most likely tokens that have the probability p together (Holtzman et al. 2020), and
            those that are as likely as the last of them.
        min_p: only from those with at least min_p times the probability of the most likely (Nguyen et al. 2024).

    They are applied in this order, each to what the one before has left, as Hugging Face does. Rows draw with keys of
    their own, so that what one draws does not depend on the others.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax import decode
        >>> decode.sample(0.7, top_k=2)
        sample(temperature=0.7, top_k=2)
        >>> model = sj.stack(sj.Embed(10, 8), sj.LSTM(16), sj.Dense(10))
        >>> params = model.init(jax.random.key(0), 0)
        >>> options = {"steps": 5, "strategy": decode.sample(0.7, top_p=0.9), "key": jax.random.key(1)}
        >>> decode.generate(model, params, jnp.array([1, 1]), **options).tokens.shape
        (2, 5)

    Raises:
        ArgumentError, ArgumentTypeError: a temperature that is not above 0, probabilities outside (0, 1], a top_k that
            is no whole number above 0.
    """
    return Sample(temperature, top_k, top_p, min_p)
