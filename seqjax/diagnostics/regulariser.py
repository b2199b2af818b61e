"""The regulariser that asks a recurrence to keep the norm of a gradient from step to step."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import is_inexact, select, split_inexact
from seqjax._internal.types import Array, Bool, Carry, Float, Params, PyTree
from seqjax._internal.validation import real_number
from seqjax.core.cell import Cell
from seqjax.core.recurrent import Recurrent
from seqjax.diagnostics.scaled import Scaled, log_norm, normalize
from seqjax.diagnostics.states import Steps, join, prepare, run
from seqjax.errors import ArgumentError


def norm_change(
    cell: Cell,
    params: Params,
    xs: PyTree,
    last: Carry,
    carry: Carry = None,
    *,
    mask: Bool[Array, " B T"] | None = None,
    least: float = 1e-10,
) -> Float[jax.Array, ""]:
    """Omega of Pascanu, Mikolov, Bengio 2013 (equations 9 and 10), to be added to a loss: mean of Omega_t, with

        Omega_t = (|J_t^T g_t|^2 / |g_t|^2 - 1)^2,    g_(t-1) = J_t^T g_t.

    0 where every step keeps the norm of the gradient g that comes from the end; 1 where it vanishes at once. It is
    differentiated through the recurrent map (params["mix"]) of J_t alone, with states and g as constants; for cells
    that are not `Recurrent` through all that params are to J_t. In the paper it is a sum over steps; as in its authors'
    code it is a mean over steps and examples whose |g_t| is at least `least`.

    Cost: a run forwards and one backwards, and twice that with its gradient; memory for the carry of each step.

    Args:
        cell, params, xs, carry, mask: as in `jacobian_spectrum`.
        last: dL / d carry_T, a tree like the carry, of each row; its scale does not matter but for `least`.
        least: norms below it are left out.

    Raises:
        ArgumentError, ArgumentTypeError, NotCausalError: as `jacobian_spectrum`; last is no tree like the carry.

    A scalar linear cell with weight w has (w^2 - 1)^2, with the derivative 4 w (w^2 - 1):

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.diagnostics import norm_change
        >>> cell = sj.RNN(1, activation="identity", recurrent_init=sj.initializers.identity(0.5))
        >>> params, xs = cell.init(jax.random.key(0), 1), jnp.ones((2, 9, 1))
        >>> value, grads = jax.value_and_grad(lambda p: norm_change(cell, p, xs, jnp.ones((2, 1))))(params)
        >>> round(float(value), 4), round(float(grads["mix"]["kernel"][0, 0]), 4)
        (0.5625, -1.5)
    """
    least = math.log(max(real_number("least", least), 1e-300))
    call = prepare("norm_change", cell, params, xs, carry, mask)
    steps = run(lax.stop_gradient(call))
    states = split_inexact(jax.tree.map(lambda leaf: leaf[0], steps.befores))[0]
    shapes = [leaf.shape for leaf in states]
    given = [jnp.asarray(leaf) for leaf in jax.tree.leaves(last) if hasattr(leaf, "dtype") and is_inexact(leaf)]
    if [leaf.shape for leaf in given] != shapes:
        found = [leaf.shape for leaf in given]
        raise ArgumentError(f"norm_change: last must be dL / d carry, arrays {shapes}, found {found}")

    def back(ct: Scaled, inputs: PyTree) -> tuple[Scaled, tuple[jax.Array, jax.Array]]:
        (before, x), real = inputs
        counts = real & (log_norm(*ct) >= least)
        pulled = _pull(params, steps, before, x, ct.tree)
        square = jnp.where(counts, jnp.sum(ct.tree**2, axis=-1), 1)
        term = jnp.where(counts, (jnp.sum(pulled**2, axis=-1) / square - 1) ** 2, 0)
        return select(real, normalize(lax.stop_gradient(pulled), ct.exponent), ct), (term, counts)

    start = normalize(lax.stop_gradient(join(given)), jnp.zeros(call.layout.batch, jnp.int32))
    inputs = (steps.befores, steps.xs), steps.real
    terms, counts = lax.scan(back, start, inputs, reverse=True)[1]
    return jnp.sum(terms) / jnp.maximum(jnp.sum(counts), 1)


def _pull(
    params: Params, steps: Steps, before: Carry, x: PyTree, ct: Float[jax.Array, "B n"]
) -> Float[jax.Array, "B n"]:
    """J^T ct, in which only the recurrent map is of `params`, and all else of those of the steps."""
    cell = steps.cell
    if not (isinstance(cell, Recurrent) and cell.separable):
        return steps._replace(params=params).pull(before, x, ct)
    states, rebuild = split_inexact(before)
    z, m = (
        f(steps.params.get(name, {}), a) for f, name, a in ((cell.project, "project", x), (cell.mix, "mix", before))
    )

    def update(states: list[jax.Array], m: PyTree) -> jax.Array:
        return join(split_inexact(cell.update(steps.params.get("update", {}), rebuild(states), z, m)[0])[0])

    mix = lambda states: cell.mix(params.get("mix", {}), rebuild(states))
    direct, through = jax.vjp(update, states, m)[1](ct)
    mixed = jax.vjp(mix, states)[1](through)[0]
    return join(direct) + join(mixed)
