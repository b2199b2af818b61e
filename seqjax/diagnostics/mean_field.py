"""How many steps a typical gradient lasts: the mean squared singular value of one step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Array, Bool, Carry, Float, Params, PyTree
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.diagnostics.states import prepare, run


class DepthScale(NamedTuple):
    """Of each row; see `depth_scale`.

    chi: `[B]`, the mean squared singular value of a step. depth: `[B]`, steps in which the squared norm of a typical
    gradient falls to 1/e; inf at chi = 1, negative above it, where it grows.
    """

    chi: Float[jax.Array, " B"]
    depth: Float[jax.Array, " B"]


def depth_scale(
    cell: Cell, params: Params, xs: PyTree, carry: Carry = None, *, mask: Bool[Array, " B T"] | None = None
) -> DepthScale:
    """chi = mean of |J_t|_F^2 / n over steps, and xi = -1 / ln chi (Schoenholz et al. 2017; Chen, Pennington,
    Schoenholz 2018).

    A gradient in a random direction is multiplied by sqrt(chi) in a step, so that its square decays as e^(-k / xi).
    Networks learn over some multiples of xi steps; chi = 1 is the critical line between order and chaos. In the limit
    of wide random networks this is exact; in a trained one directions are not random, and `lyapunov_exponents` and
    `gradient_flow` say what the real ones do. Where single numbers are large or small, chi follows the largest.

    Cost: one run forwards and n products of J_t and a vector in each step.

    Args:
        cell, params, xs, carry, mask: as in `jacobian_spectrum`.

    Raises:
        ArgumentError, ArgumentTypeError, NotCausalError: as `jacobian_spectrum`.

    Of a linear cell h' = h / 2 + x the squared gradient falls to a quarter in each step:

        >>> import jax, jax.numpy as jnp
        >>> from seqjax import RNN
        >>> from seqjax.diagnostics import depth_scale
        >>> from seqjax.initializers import identity
        >>> cell = RNN(3, activation="identity", recurrent_init=identity(0.5))
        >>> found = depth_scale(cell, cell.init(jax.random.key(0), 1), jnp.ones((1, 9, 1)))
        >>> found.chi.round(4).tolist(), (found.depth * jnp.log(4)).round(4).tolist()
        ([0.25], [1.0])
    """
    call = prepare("depth_scale", cell, params, xs, carry, mask)
    return (_depth_scale if call.is_inline() else _compiled)(call)


def _depth_scale(call: Call) -> DepthScale:
    steps = run(call)

    def step(total: jax.Array, inputs: PyTree) -> tuple[jax.Array, None]:
        (before, x), real = inputs
        squares = jnp.sum(steps.jacobian(before, x) ** 2, axis=(1, 2))
        return total + jnp.where(real, squares, 0), None

    start = jnp.zeros(call.layout.batch, steps.dtype)
    total = lax.scan(step, start, ((steps.befores, steps.xs), steps.real))[0]
    chi = total / (steps.width * jnp.sum(steps.real, axis=0))
    return DepthScale(chi, -1 / jnp.log(chi))


_compiled = jax.jit(_depth_scale)
