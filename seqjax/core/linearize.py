"""The tangents of all steps of a sequence at once, as linear maps with a time axis."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend.core import jaxpr_as_fun


class Linearized(NamedTuple):
    """Linear maps of all steps, `apply(those of stacked at one step, *tangents)`."""

    stacked: list[jax.Array]  # [T, ...]
    apply: Callable[..., Any]


def for_all_steps(linearize: Callable[[Any, Any], Any], fixed: Any, steps: Any) -> Linearized:
    """`linearize(fixed, one step)` for all steps, the leaves of `steps` being `[T, ...]`.

    linearize: gives a linear function as `jax.linearize` does, whose arrays are its leaves. Those that are the same
    at every step, such as a weight, get no time axis; this is why a plain `vmap` is not enough.
    """
    one = jax.tree.map(lambda a: lax.index_in_dim(a, 0, keepdims=False), steps)
    closed, function = jax.make_jaxpr(linearize, return_shape=True)(fixed, one)
    leaves = jax.tree.leaves(steps)
    still = len(jax.tree.leaves(fixed))
    varies = results_that_read(closed.jaxpr, closed.jaxpr.invars[still:])
    in_axes, out_axes = [None] * still + [0] * len(leaves), [0 if v else None for v in varies]
    run = jax.vmap(jaxpr_as_fun(closed), in_axes, out_axes, axis_size=leaves[0].shape[0])
    arrays = run(*jax.tree.leaves((fixed, steps)))

    def apply(stacked: list[jax.Array], *tangents: Any) -> Any:
        moving = iter(stacked)
        mine = [next(moving) if v else a for a, v in zip(arrays, varies)]
        return jax.tree.unflatten(jax.tree.structure(function), mine)(*tangents)

    return Linearized([a for a, v in zip(arrays, varies) if v], apply)


def results_that_read(jaxpr: Any, sources: Any) -> list[bool]:
    """Which results of a jaxpr depend on one of `sources`."""
    seen = {id(v) for v in sources}
    for equation in jaxpr.eqns:
        if any(id(v) in seen for v in equation.invars):
            seen |= {id(v) for v in equation.outvars}
    return [id(v) in seen for v in jaxpr.outvars]
