"""One training step as a pure function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from seqjax._internal.validation import whole_number
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train._clipping import clipped, finite
from seqjax.train._loss import check_precision, gradient_of, starting
from seqjax.train.mean import Mean
from seqjax.train.state import Skipped, State

Step = Callable[..., tuple[State, dict[str, Mean]]]


def make_train_step(
    loss: Callable[..., Any],
    optimizer: Any,
    *,
    clip: float | None = None,
    accumulate: int = 1,
    ema: float | None = None,
    precision: str | None = None,
    carry: Callable[[Any, Any], Any] | None = None,
) -> Step:
    """A training step, `state, metrics = step(state, batch)`: pure, for `jit`, `vmap` and `shard_map`.

        step = jax.jit(make_train_step(loss, optimizer), donate_argnums=0)
        state = init_state(params, optimizer, key)

    A step whose gradient, loss or new parameters hold a NaN or inf is skipped: parameters, optimiser and average stay
    as they were, the step is counted in `state.skipped`, and its metrics are means of nothing.

    Args:
        loss: a function of (params, batch, key). It returns a scalar; or a `Mean`, whose value is then minimised; or
            either with further metrics, `(loss, {"accuracy": Mean.of(accuracy(logits, targets), weights)})`.
        optimizer: an optax `GradientTransformation`. The learning rate of `optax.inject_hyperparams` becomes a metric.
        clip: the norm to which longer gradients are shortened, g min(1, clip / |g|).
        accumulate: micro-batches that a batch is divided into, to save memory. With a `Mean` as loss the gradient is
            that of the whole batch, whatever the weights; scalars are averaged.
        ema: decay d of the average of the parameters, ema = d ema + (1 - d) params, from the first parameters on.
        precision: "bfloat16" computes loss and gradient on a copy of the parameters, and of the floating inputs of a
            `Batch`, in bfloat16. Parameters, optimiser and gradients keep their own dtype, carries and losses of this
            package are at least float32.
        carry: truncated backpropagation through time (Williams and Peng 1990): the carry to begin with, as a function
            of (params, key), such as `lambda params, key: model.initial_carry(params, (32,))`. The loss is then a
            function of (params, batch, key, carry) and returns (loss, carry) or (loss, carry, metrics), and the step
            takes a third argument, True where the batch begins a new sequence. Gradients end where the batch begins,
            or, in a batch that begins one, in what the function makes of the parameters.

    Returns:
        A function of (state, batch) or (state, batch, starts), whose metrics are a dict of `Mean`: "loss"; "norm",
        that of the gradient before clipping; "skipped", 1 in a skipped step; and those of the loss.

    Raises:
        ArgumentError, ArgumentTypeError: an option that cannot be right; in the step, what the loss returned.
    """
    _check(loss, clip, accumulate, ema, carry)
    check_precision(precision)
    optimizer = optax.with_extra_args_support(optimizer)
    gradient = gradient_of(loss, accumulate, precision, carry)

    def step(state: State, batch: Any, starts: Any = False) -> tuple[State, dict[str, Mean]]:
        _check_state(state, ema, carry)
        begin = None if carry is None else starting(state.key, state.step, starts)
        key = jax.random.fold_in(state.key, state.step)
        found = gradient(state.params, batch, key, state.carry, begin)
        grads, norm, fine = clipped(found.grads, clip)
        value = found.loss.total / found.loss.count
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params, value=value)
        params = optax.apply_updates(state.params, updates)
        fine = fine & finite(params)
        ok = jnp.all(fine) & jnp.isfinite(value)
        average = None if ema is None else jax.tree.map(lambda a, p: ema * a + (1 - ema) * p, state.ema, params)
        new = (params, opt_state, average, found.carry)
        old = (state.params, state.opt_state, state.ema, state.carry)
        params, opt_state, average, after = jax.tree.map(lambda a, b: jnp.where(ok, a, b), new, old)
        metrics = {"loss": found.loss, "norm": Mean(norm, _one())} | found.metrics | _rate(opt_state)
        metrics = jax.tree.map(lambda leaf: jnp.where(ok, leaf, jnp.zeros_like(leaf)), metrics)
        metrics["skipped"] = Mean(jnp.where(ok, 0.0, 1.0).astype(norm.dtype), _one())
        skipped = _skips(state.skipped, ok, fine, state.step)
        return State(params, opt_state, state.step + 1, state.key, after, average, skipped), metrics

    return step


def _one() -> jax.Array:
    return jnp.ones((), jnp.int32)


def _skips(before: Skipped, ok: Any, fine: Any, step: Any) -> Skipped:
    in_a_row = jnp.where(ok, 0, before.in_a_row + 1)
    return Skipped(
        in_a_row,
        jnp.maximum(before.longest, in_a_row),
        before.in_all + jnp.where(ok, 0, 1),
        jnp.where(ok, before.step, step),
        jnp.where(ok, before.leaves, ~fine),
    )


def _rate(opt_state: Any) -> dict[str, Mean]:
    """The learning rate of this step, where the optimiser's state holds a single one."""
    found = [value for _, value in optax.tree.get_all_with_path(opt_state, "learning_rate") if jnp.isscalar(value)]
    return {"learning_rate": Mean(jnp.asarray(found[0], jnp.float32), _one())} if len(found) == 1 else {}


def _check(loss: Any, clip: Any, accumulate: Any, ema: Any, carry: Any) -> None:
    for name, value in (("loss", loss), ("carry", carry)):
        if not callable(value) and not (name == "carry" and value is None):
            raise ArgumentTypeError(f"{name} must be a function, found {type(value).__name__}")
    if clip is not None and not (_number("clip", clip) > 0 and clip != float("inf")):
        raise ArgumentError(f"clip must be a norm above 0, or None for no clipping, found {clip}")
    if ema is not None and not 0 <= _number("ema", ema) < 1:
        raise ArgumentError(f"ema must be a decay in [0, 1), such as 0.999, found {ema}")
    if whole_number("accumulate", accumulate, 1) > 1 and carry is not None:
        raise ArgumentError("accumulate and carry were both given; to save memory with a carry, take shorter batches")


def _number(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(f"{name} must be a number, found {value!r}")
    return value


def _check_state(state: Any, ema: Any, carry: Any) -> None:
    if not isinstance(state, State):
        raise ArgumentTypeError(f"state must be a State from init_state, found {type(state).__name__}")
    if (ema is None) != (state.ema is None):
        raise ArgumentError(
            "state and step must agree on ema: init_state(..., ema=True) with make_train_step(..., ema=0.999)"
        )
    if (carry is None) != (state.carry is None):
        raise ArgumentError("state and step must agree on carry: pass one function to init_state and make_train_step")
