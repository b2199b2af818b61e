"""Where to cut a sequence so that its backward pass fits into so many bytes."""

import math
import re
from collections.abc import Sequence

import jax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from seqjax._internal.types import Carry, PyTree
from seqjax.core.chunks import LONGEST_CHUNK, Run, near_divisor
from seqjax.core.explanation import collect_lines
from seqjax.errors import ArgumentError

UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_BUDGET = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(UNITS)})")
DEEPEST = 8  # levels of cuts, each of which takes one more run forwards


def parse_bytes(text: object) -> float | None:
    """Bytes of "512MB" or "1.5 GiB"; None where it says no such thing."""
    found = _BUDGET.fullmatch(text) if isinstance(text, str) else None
    return float(found[1]) * UNITS[found[2]] if found else None


def fit_segments(budget: float, run: Run, carry: Carry, inputs: PyTree) -> list[int]:
    """Steps of a segment, of a segment of such a segment and so on, with as few levels as the budget allows.

    With c bytes of a carry, s bytes that a step leaves for the backward pass, and w for the work on one chunk and the
    gradients of parameters, n levels of r carries each, and segments of K steps at last, take

        w + n c r + K s = w + (n + 1) (T c^n s)^(1 / (n + 1))     for     r = (T s / c)^(1 / (n + 1)),   K = T / r^n

    beside inputs, their copy with time first, and outputs; n = 0 takes w + T s. Each level runs forwards once more
    (Griewank 1992). Where the budget allows, K is a divisor of T nearby, so that the inputs are not copied again.

    Raises:
        ArgumentError: the budget is below what any number of levels takes.
    """
    length = jax.tree.leaves(inputs)[0].shape[0]
    kept, (work, left) = _bytes(carry), count_bytes(run, carry, inputs)
    least = math.inf
    for levels in range(DEEPEST + 1):
        ratio = max((length * left / max(kept, 1)) ** (1 / (levels + 1)), 1.0)
        exact = [max(1, round(length / ratio**level)) for level in range(1, levels + 1)]
        for sizes in (_near_divisors(length, exact), exact):
            takes = work + _memory_of(length, sizes, kept, left)
            if takes <= budget:
                return sizes
            least = min(least, takes)
    raise ArgumentError(
        f"checkpoint: {budget:,.0f} bytes were given, but {length:,} steps that leave {left:,.0f} bytes each for the "
        f"backward pass, with carries of {kept:,} bytes and {work:,.0f} to work with, take at least {least:,.0f}"
    )


def _near_divisors(length: int, sizes: Sequence[int]) -> list[int]:
    """Lengths of segments near those, each of which divides the one before where there is such a one."""
    found = []
    for size in sizes:
        length = near_divisor(length, size)
        found.append(length)
    return found


def _memory_of(length: int, sizes: Sequence[int], kept: float, left: float) -> float:
    """Bytes of the carries at all levels and of the last segment."""
    total = 0.0
    for size in sizes:
        total += kept * math.ceil(length / size)
        length = size
    return total + left * length


def count_bytes(run: Run, carry: Carry, inputs: PyTree) -> tuple[float, float]:
    """What the backward pass of `run` takes to work on a chunk, and what a step leaves for it; nothing is computed."""
    first, short, long = (_residual_bytes(run, carry, inputs, chunks * LONGEST_CHUNK) for chunks in (1, 4, 8))
    return first, max((long - short) / (4 * LONGEST_CHUNK), 1.0)


def _residual_bytes(run: Run, carry: Carry, inputs: PyTree, length: int) -> int:
    steps = jax.tree.map(lambda a: jax.ShapeDtypeStruct((length, *a.shape[1:]), a.dtype), inputs)
    with collect_lines():  # what `explain` is told of this trace is not what happens
        closed = jax.make_jaxpr(run)(carry, steps)
    # Parameters are constants of `run`, and their gradients leave something for the backward pass too.
    jaxpr = closed.jaxpr.replace(constvars=[], invars=[*closed.jaxpr.constvars, *closed.jaxpr.invars])
    function = jaxpr_as_fun(ClosedJaxpr(jaxpr, []))
    given = [*closed.consts, *jax.tree.leaves((carry, steps))]
    left = jax.eval_shape(lambda *leaves: jax.vjp(function, *leaves)[1], *given)
    return _bytes(left) + _bytes(closed.consts)


def _bytes(tree: PyTree) -> int:
    return sum(math.prod(a.shape) * jax.dtypes.canonicalize_dtype(a.dtype).itemsize for a in jax.tree.leaves(tree))
