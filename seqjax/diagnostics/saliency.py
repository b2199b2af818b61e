"""Which input steps a prediction rests on: gradient times input, integrated gradients, occlusion."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.trees import is_inexact, split_inexact
from seqjax._internal.types import Array, Bool, Float, Inexact, Params, PyTree, Shaped
from seqjax._internal.validation import whole_number
from seqjax.combinators import Stack
from seqjax.core import driver
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.core.trace import trace
from seqjax.core.wrapper import Wrapper
from seqjax.diagnostics.seeds import Loss, Mask, check_outputs, loss_of, prepare, real_steps
from seqjax.errors import ArgumentError, closest

METHODS = ("gradient_input", "integrated", "occlusion", "masking")
Scores = Float[jax.Array, "B T"]


def saliency(
    cell: Cell,
    params: Params,
    xs: PyTree,
    loss: Loss,
    method: str = "gradient_input",
    *,
    mask: Mask | None = None,
    outputs: str = "last",
    at: str | None = None,
    baseline: Shaped[Array, "..."] | float | None = None,
    points: int = 16,
) -> Scores:
    """How much each input step adds to a loss, or to any number of the outputs, as a score.

    With v_t the input of step t, or its embedding, and b what stands for nothing:

        gradient_input  (v_t - b) . dL/dv_t: what step t adds where L is linear (Simonyan et al. 2014; Shrikumar et al.
                        2017). One run back. Where gates are saturated it is small for a step that matters.
        integrated      (v_t - b) . the mean of dL/dv_t on the way from b to v (Sundararajan et al. 2017), so that the
                        scores add up to L(v) - L(b). As many runs back as `points`.
        occlusion       L(v) - L(v with b in step t) (Zeiler and Fergus 2014). T runs forwards.
        masking         L(v) - L(without step t): the state passes it by. T runs forwards, ids or not.

    Positive: the step raises L; for the logit of a class it speaks for the class. Memory is that of one run.

    Args:
        cell, params, xs, mask: as in `gradient_flow`.
        loss, outputs: as in `gradient_flow`. For a prediction give its logit, not its negative log-likelihood.
        method: one of those above.
        at: the path of a value as `seqjax.trace` has it, `[B, T, F]`, which is then v. For token ids it is the output
            of the first layer of a stack where nothing is said.
        baseline: b, a number or an array that broadcasts to v; 0 where nothing is said. For the occlusion of token ids
            it may be an id, as that of `<unk>`.
        points: of the integral (Gauss-Legendre: with n points exact for L of degree 2 n along the way). Sums that are
            off L(v) - L(b) ask for more; so do layer norms on the way from 0, where another baseline is better.

    Returns:
        `[B, T]`, NaN in unreal steps.

    Raises:
        ArgumentError, ArgumentTypeError: another method, a path that no value has, a baseline of another shape, token
        ids without an embedding; as `gradient_flow`.

    A sum of inputs is made of them:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.diagnostics import saliency
        >>> from seqjax.initializers import identity
        >>> cell = sj.RNN(1, activation="identity", recurrent_init=identity(), kernel_init=identity())
        >>> params = cell.init(jax.random.key(0), 1)
        >>> xs = jnp.array([3.0, -1.0, 5.0])[None, :, None]
        >>> for method in ("gradient_input", "integrated", "occlusion"):
        ...     print(saliency(cell, params, xs, lambda y: y[:, 0], method).round(4))
        [[ 3. -1.  5.]]
        [[ 3. -1.  5.]]
        [[ 3. -1.  5.]]
    """
    if method not in METHODS:
        raise ArgumentError(f"saliency: no method {method!r}.{closest(method, METHODS)}")
    check_outputs("saliency", outputs)
    call = prepare("saliency", cell, params, xs, None, mask)
    model = _Model(call, loss, outputs, "")
    whole_number("points", points, 1)
    if method == "masking":
        scores = _mask_each(model)
    elif method == "occlusion" and at is None and baseline is not None and _is_ids(call.xs):
        scores = _replace_each(model, baseline)
    else:
        model = model._replace(at=_path_of_value(call, at))
        value = model.value()
        nothing = _broadcast(baseline, value)
        along = partial(_integrate, points if method == "integrated" else 0)
        scores = (_occlude_each if method == "occlusion" else along)(model, value, nothing)
    return jnp.where(real_steps(call).T, scores, jnp.nan)


class _Model(NamedTuple):
    """The loss as a function of what is added to a value; at: its path, "" for the inputs."""

    call: Call
    loss: Loss
    outputs: str
    at: str

    def value(self) -> Inexact[jax.Array, "B T F"]:
        """The value, zero in unreal steps."""
        if not self.at:
            return jnp.where(real_steps(self.call).T[..., None], jnp.asarray(self.call.xs), 0)
        seen = trace(self.call.cell, self.call.params, self.call.xs, mask=self.call.mask)[2]
        return jnp.asarray(seen[self.at])

    def losses(self, change: jax.Array | None = None) -> Float[jax.Array, " B"]:
        return self._read(_apply("run", self.at, self.call, change))

    def gradient(self, change: jax.Array) -> jax.Array:
        """dL/dv for each row."""
        ys, join = split_inexact(_apply("run", self.at, self.call, change))
        losses, pull = jax.vjp(lambda ys: self._read(join(ys)), ys)
        return _apply("pull", self.at, self.call, change, pull(jnp.ones_like(losses))[0])

    def _read(self, ys: PyTree) -> Float[jax.Array, " B"]:
        return loss_of("saliency", self.loss, self.outputs, real_steps(self.call), ys)


def _run(at: str, call: Call, change: jax.Array | None) -> PyTree:
    """ys, time first, with the change."""
    if change is not None and not at:
        call = replace(call, xs=call.xs + change)
    if change is None or not at:
        return call.layout.time_first(driver.run(call)[1])
    return call.layout.time_first(trace(call.cell, call.params, call.xs, add={at: change}, mask=call.mask)[1])


def _pull(at: str, call: Call, change: jax.Array, cotangent: list[jax.Array]) -> jax.Array:
    return jax.vjp(lambda change: split_inexact(_run(at, call, change))[0], change)[1](cotangent)[0]


_PROGRAMS: dict[str, Callable[..., PyTree]] = {"run": _run, "pull": _pull}
_COMPILED = {name: jax.jit(program, static_argnums=0) for name, program in _PROGRAMS.items()}


def _apply(name: str, at: str, call: Call, *arrays: PyTree) -> PyTree:
    return (_PROGRAMS if call.is_inline() else _COMPILED)[name](at, call, *arrays)


def _integrate(points: int, model: _Model, value: jax.Array, nothing: jax.Array) -> Scores:
    """The sum over points of the way; with 0 points the gradient at its end alone."""
    nodes, weights = np.polynomial.legendre.leggauss(points) if points else (np.ones(1), np.full(1, 2.0))
    nodes, weights = (1 + nodes) / 2, weights / 2  # of 0 ... 1
    way = value - nothing
    total = jnp.zeros_like(value)
    for node, weight in zip(nodes.tolist(), weights.tolist()):
        total = total + weight * model.gradient((node - 1) * way)
    return jnp.sum((way * total).reshape(*way.shape[:2], -1), axis=-1)


def _occlude_each(model: _Model, value: jax.Array, nothing: jax.Array) -> Scores:
    change = nothing - value
    return _each(model, lambda now: model.losses(jnp.where(now.reshape(1, -1, *(1,) * (value.ndim - 2)), change, 0)))


def _replace_each(model: _Model, token: Shaped[Array, ""] | float) -> Scores:
    xs = jnp.asarray(model.call.xs)
    driver.prepare(replace(model.call, xs=jnp.full_like(xs, token)))  # an id that the layer has

    def losses(now: Bool[jax.Array, " T"]) -> jax.Array:
        changed = jnp.where(now[None], jnp.asarray(token, xs.dtype), xs)
        return model._replace(call=replace(model.call, xs=changed)).losses()

    return _each(model, losses)


def _mask_each(model: _Model) -> Scores:
    real = real_steps(model.call).T
    return _each(model, lambda now: model._replace(call=replace(model.call, mask=real & ~now[None])).losses())


def _each(model: _Model, losses: Callable[[Bool[jax.Array, " T"]], jax.Array]) -> Scores:
    """L less what it is with each step changed in turn."""
    steps = jnp.arange(model.call.layout.length)
    changed = [losses(steps == t) for t in range(len(steps))]
    return model.losses()[:, None] - jnp.stack(changed, axis=1)


def _is_ids(xs: PyTree) -> bool:
    return not any(map(is_inexact, jax.tree.leaves(xs)))


def _path_of_value(call: Call, at: str | None) -> str:
    if at is not None:
        seen = jax.eval_shape(lambda: trace(call.cell, call.params, call.xs, mask=call.mask)[2])
        if at not in seen:
            raise ArgumentError(f"saliency: {call.cell!r} has no value {at!r} to be seen.{closest(at, seen)}")
        return at
    if not _is_ids(call.xs):
        if len(jax.tree.leaves(call.xs)) > 1:
            raise ArgumentError("saliency: xs is a tree of arrays; say with at= which value of the cell scores are for")
        return ""
    cell = call.cell
    while isinstance(cell, Wrapper):
        cell = cell.cell
    if not isinstance(cell, Stack):
        raise ArgumentError(
            f"saliency: token ids have no gradient, and {cell!r} is no stack that begins with their embedding. Say "
            'with at= where that comes out, as at="0/y", or take method="masking"'
        )
    return f"{next(iter(cell.parts))}/y"


def _broadcast(baseline: Shaped[Array, "..."] | float | None, value: jax.Array) -> jax.Array:
    nothing = jnp.asarray(0 if baseline is None else baseline, value.dtype)
    try:
        return jnp.broadcast_to(nothing, value.shape)
    except ValueError as error:
        raise ArgumentError(f"saliency: baseline has shape {nothing.shape}, expected one for {value.shape}") from error
