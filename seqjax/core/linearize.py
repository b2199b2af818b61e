"""The tangents of all steps of a sequence at once, as linear maps with a time axis."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend.core import Jaxpr, Var, jaxpr_as_fun

from seqjax._internal.types import PyTree


class Linearized(NamedTuple):
    """Linear maps of all steps, `apply(those of stacked at one step, *tangents)`."""

    stacked: list[jax.Array]  # [T, ...]
    apply: Callable[..., PyTree]


def linearize_steps(linearize: Callable[[PyTree, Any], Any], fixed: PyTree, steps: PyTree) -> Linearized:
    """`linearize(fixed, one step)` for all steps, the leaves of `steps` being `[T, ...]`.

    linearize: gives a linear function as `jax.linearize` does, whose arrays are its leaves. Those that are the same
    at every step, such as a weight, get no time axis; this is why a plain `vmap` is not enough.
    """
    # A linear function of `jax.linearize` is a tree whose leaves are arrays. So the tracing of `linearize` at one step
    # gives a program from (fixed, step) to these leaves, whose equations tell which of them depend on the step.
    one = jax.tree.map(lambda a: lax.index_in_dim(a, 0, keepdims=False), steps)
    closed, function_of_leaves = jax.make_jaxpr(linearize, return_shape=True)(fixed, one)
    leaves = jax.tree.leaves(steps)
    fixed_count = len(jax.tree.leaves(fixed))
    varies = find_readers(closed.jaxpr, closed.jaxpr.invars[fixed_count:])
    in_axes, out_axes = [None] * fixed_count + [0] * len(leaves), [0 if v else None for v in varies]
    run = jax.vmap(jaxpr_as_fun(closed), in_axes, out_axes, axis_size=leaves[0].shape[0])
    arrays = run(*jax.tree.leaves((fixed, steps)))

    def apply(stacked: list[jax.Array], *tangents: PyTree) -> PyTree:
        of_step = iter(stacked)
        leaves = [next(of_step) if v else a for a, v in zip(arrays, varies)]
        return jax.tree.unflatten(jax.tree.structure(function_of_leaves), leaves)(*tangents)

    return Linearized([a for a, v in zip(arrays, varies) if v], apply)


def find_readers(jaxpr: Jaxpr, sources: list[Var]) -> list[bool]:
    """Which results of a jaxpr depend on one of `sources`, which are among its inputs."""
    seen = {id(v) for v in sources}
    for equation in jaxpr.eqns:
        if any(id(v) in seen for v in equation.invars):
            seen |= {id(v) for v in equation.outvars}
    return [id(v) in seen for v in jaxpr.outvars]
