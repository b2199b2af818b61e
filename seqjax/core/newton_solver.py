"""A recurrence solved for all its steps at once, by Newton's method; `seqjax.core.newton` is its public face.

Axes: `T` time, `B` batch (any number of axes, also none), `n` all numbers of a row's moving carry in one vector
(a complex one counts twice). Everything here is time-major, `[T, B, ...]`.

The states h_1 ... h_T solve h_t = f_t(h_(t-1)), f_t being step t with its input and marks: the identity where the step
is unreal, a constant where it begins anew. From a guess, Newton's method (DEER: Lim et al. 2024) takes

    e_t = f_t(h_(t-1)) - h_t,     J_t = df_t/dh (h_(t-1)),     d_t = J_t d_(t-1) + e_t,     h_t <- h_t + d_t

where the recurrence of d is linear, hence associative: (A, b) after (A', b') is (A A', A b' + b). Quasi-DEER
(Gonzalez et al. 2024) keeps the diagonal of J alone. After k iterations the first k states are right either way, so T
are always enough; states that overflow on the way are set back to the guess, which leaves this true.

Derivatives are those of the solution, by the implicit function theorem, whatever the iterations were:

    dh_t = J_t dh_(t-1) + (df_t along parameters and x_t)

with the full J: a `custom_jvp` whose tangent is a linear solve in parallel, which has a transpose (the same from the
end of time) and all orders. With a diagonal Jacobian it is the loop over time, so that memory stays O(T n).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import is_inexact, out_dtype, split_inexact
from seqjax._internal.types import Bool, Carry, Float, Int, Pair, Params, PyTree
from seqjax.core.loop import count_steps
from seqjax.core.newton_linear import Equations, Operands, shift, solve_linear


def find_tolerance(params: Params, xs: PyTree, carry: Carry) -> float:
    """The residual, relative to states above 1, at which a row counts as solved.

    It is 64 times the precision of the narrowest dtype of outputs and carry, 8e-6 in float32 and 1e-14 in float64,
    and 4 times that of a dtype below float32, 0.03 in bfloat16.
    """
    dtypes = [out_dtype(params, xs), *(leaf.dtype for leaf in jax.tree.leaves(carry))]
    epsilon = max(float(jnp.finfo(dtype).eps) for dtype in dtypes)
    return epsilon * (64 if epsilon < 1e-6 else 4)


class _Guess(NamedTuple):
    """The states so far."""

    states: Float[jax.Array, " T *B n"]
    error: Float[jax.Array, " T *B n"]
    residual: Float[jax.Array, " T *B"]
    active: Bool[jax.Array, "*B"]  # rows to go on with
    iterations: Int[jax.Array, ""]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def solve(equations: Equations, of: Operands) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The states `[T, B, n]`, NaN in rows that are not solved, residuals `[T, B]`, and iterations, as floats.

    Iterations are as many floats as residuals: in `shard_map` a `custom_jvp` takes no tangents of integers.
    """
    settings = equations.settings
    dense = settings.jacobian == "dense"
    first = jnp.broadcast_to(of.start, (count_steps(of.inputs), *of.start.shape))

    def measure(states: jax.Array, iterations: jax.Array) -> _Guess:
        after = equations.after(of, shift(of.start, states))
        error = after - states
        # Not by the maximum alone: that of XLA on CPU (jax 0.10.2) passes over NaN in arrays of some sizes.
        finite = jnp.all(jnp.isfinite(error), axis=-1)
        residual = jnp.where(finite, _largest(error) / jnp.maximum(_largest(after), 1), jnp.inf)
        unsettled = ~(residual <= equations.tolerance)
        # All before the first unsettled step is right: if that step gives no finite number, the loop gives none.
        hopeless = jnp.any(~jnp.isfinite(residual) & (jnp.cumsum(unsettled, axis=0) == 1), axis=0)
        return _Guess(states, error, residual, jnp.any(unsettled, axis=0) & ~hopeless, iterations)

    def improve(guess: _Guess) -> _Guess:
        befores = shift(of.start, guess.states)
        better = guess.states + solve_linear(equations, of, befores, guess.error, dense=dense)
        better = jnp.where(jnp.all(jnp.isfinite(better), axis=-1, keepdims=True), better, first)
        return measure(jnp.where(guess.active[..., None], better, guess.states), guess.iterations + 1)

    go_on = lambda guess: jnp.any(guess.active) & (guess.iterations < settings.iterations)
    guess = lax.while_loop(go_on, improve, measure(first, jnp.int32(0)))
    solved = jnp.all(guess.residual <= equations.tolerance, axis=0)
    states = jnp.where(solved[..., None], guess.states, _otherwise(equations, of, guess.states, solved))
    return states, guess.residual, jnp.zeros_like(guess.residual) + guess.iterations.astype(guess.residual.dtype)


def _otherwise(
    equations: Equations, of: Operands, states: Float[jax.Array, " T *B n"], solved: Bool[jax.Array, "*B"]
) -> jax.Array:
    """In place of states that do not solve the equations: NaN, or those of a loop over time."""
    if not equations.settings.fallback:
        return jnp.full_like(states, jnp.nan)

    def step(before: jax.Array, inputs: PyTree) -> Pair:
        after = equations.after(of._replace(inputs=_widen(inputs)), before[None])[0]
        return after, after

    return lax.cond(jnp.all(solved), lambda: states, lambda: lax.scan(step, of.start, of.inputs)[1])


@solve.defjvp
def _solve_jvp(equations: Equations, primals: tuple[Operands], tangents: tuple[Operands]) -> Any:
    (of,), (dof,) = primals, tangents
    states, *report = solve(equations, of)
    moving, rebuild = split_inexact(of)
    dmoving = [d for a, d in zip(jax.tree.leaves(of), jax.tree.leaves(dof), strict=True) if is_inexact(a)]

    def after(moving: list[jax.Array]) -> jax.Array:
        of = rebuild(moving)
        return equations.after(of, shift(of.start, states))

    _, driven = jax.jvp(after, (moving,), (dmoving,))
    tangent = _dense_tangent if equations.settings.jacobian == "dense" else _loop_tangent
    return (states, *report), (tangent(equations, of, states, driven), *map(jnp.zeros_like, report))


def _dense_tangent(
    equations: Equations, of: Operands, states: Float[jax.Array, " T *B n"], driven: Float[jax.Array, " T *B n"]
) -> jax.Array:
    """d of d_t - J_t d_(t-1) = driven_t, all at once."""
    befores = shift(of.start, states)

    def residual(d: jax.Array) -> jax.Array:
        along = shift(jnp.zeros_like(d[0]), d)
        return d - jax.jvp(lambda befores: equations.after(of, befores), (befores,), (along,))[1]

    def transposed(_: Any, g: jax.Array) -> jax.Array:
        messages = solve_linear(equations, of, befores, g, transpose=True)
        return g + jnp.concatenate([messages[1:], jnp.zeros_like(messages[:1])])

    return lax.custom_linear_solve(residual, driven, lambda _, b: solve_linear(equations, of, befores, b), transposed)


def _loop_tangent(
    equations: Equations, of: Operands, states: Float[jax.Array, " T *B n"], driven: Float[jax.Array, " T *B n"]
) -> jax.Array:
    """The same as a loop over time, which holds no Jacobian."""

    def step(d: jax.Array, given: PyTree) -> Pair:
        before, inputs, driven = given
        now = of._replace(inputs=_widen(inputs))
        _, along = jax.jvp(lambda before: equations.after(now, before[None])[0], (before,), (d,))
        return (along + driven,) * 2

    return lax.scan(step, jnp.zeros_like(of.start), (shift(of.start, states), of.inputs, driven))[1]


def _largest(a: Float[jax.Array, "*B n"]) -> jax.Array:
    return jnp.max(jnp.abs(a), axis=-1, initial=0)


def _widen(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: a[None], tree)
