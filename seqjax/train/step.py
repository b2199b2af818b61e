"""One training step as a pure function."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from seqjax._internal.types import Array, Bool, Key, PyTree
from seqjax._internal.validation import real_number, whole_number
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train._clipping import clip_by_norm, finite_leaves
from seqjax.train._init import check_state, new_state
from seqjax.train._loss import Restart, check_precision, gradient_of
from seqjax.train._skips import Finite, count_skip, stays_finite
from seqjax.train.mean import Mean
from seqjax.train.state import State, carry_key


@dataclass(frozen=True, eq=False)
class TrainStep:
    """A training step as a value, made by `make_train_step`: pure, for `jit`, `vmap` and `shard_map`.

    `state, metrics = step(state, batch)`, where metrics are a dict of `Mean`: "loss"; "norm", that of the gradient
    before clipping; "skipped", 1 in a skipped step; and those of the loss. A step with a carry takes a third argument,
    True where the batch begins a new sequence. The options are those of `make_train_step`.

    Examples:
        >>> import jax, numpy as np, optax
        >>> from seqjax import train
        >>> step = train.make_train_step(lambda params, batch, key: (params["w"] - batch[0]) ** 2, optax.sgd(0.25))
        >>> state = step.init({"w": np.zeros(())}, jax.random.key(0))
        >>> state, metrics = step(state, np.array([4.0]))
        >>> float(metrics["loss"].value()), float(state.params["w"])
        (16.0, 2.0)
        >>> state, metrics = step(state, np.array([np.nan]))  # skipped
        >>> float(metrics["skipped"].value()), float(state.params["w"])
        (1.0, 2.0)
    """

    loss: Callable[..., PyTree]
    optimizer: optax.GradientTransformation
    clip: float | None
    accumulate: int
    ema: float | None
    precision: str | None
    carry: Callable[[PyTree, Key[Array, ""]], PyTree] | None
    max_skips: int

    def init(self, params: PyTree, key: Key[Array, ""]) -> State:
        """The state before the first step. It shares no memory with `params`, so it can be donated.

        Args:
            params: a pytree of floating point arrays.
            key: from `jax.random.key`; it may be the one that made the parameters.

        Raises:
            ArgumentError, ArgumentTypeError: parameters that are no floating point arrays, or no key.
        """
        return new_state(params, self.optimizer, key, self.carry, self.ema is not None)

    def __call__(
        self, state: State, batch: PyTree, starts: Bool[Array, ""] | bool = False
    ) -> tuple[State, dict[str, Mean]]:
        """The state after one more batch, and the metrics of it.

        Raises:
            ArgumentError, ArgumentTypeError: a state of another step, or what the loss returned.
        """
        check_state(state, self.optimizer, self.ema, self.carry)
        anew = None if self.carry is None else Restart(jnp.asarray(starts, bool), carry_key(state.key, state.step))
        gradient = gradient_of(self.loss, self.accumulate, self.precision, self.carry)
        found = gradient(state.params, batch, jax.random.fold_in(state.key, state.step), state.carry, anew)
        grads, norm, fine = clip_by_norm(found.grads, self.clip)
        value = found.loss.total / found.loss.count
        updates, opt_state = _update(self.optimizer, grads, state, value)
        params = optax.apply_updates(state.params, updates)
        average = None if self.ema is None else _average(self.ema, state.ema, params)
        finite = Finite(fine & finite_leaves(params), stays_finite(opt_state, state.opt_state), jnp.isfinite(value))
        ok = finite.all()
        new = (params, opt_state, average, found.carry)
        old = (state.params, state.opt_state, state.ema, state.carry)
        params, opt_state, average, after = jax.tree.map(lambda a, b: jnp.where(ok, a, b), new, old)
        metrics = {"loss": found.loss, "norm": Mean(norm, _one())} | found.metrics | _rate(opt_state)
        metrics = jax.tree.map(lambda leaf: jnp.where(ok, leaf, jnp.zeros_like(leaf)), metrics)
        metrics["skipped"] = Mean(jnp.where(ok, 0.0, 1.0).astype(norm.dtype), _one())
        skipped = count_skip(state.skipped, finite, state.step)
        return State(params, opt_state, state.step + 1, state.key, after, average, skipped), metrics


def make_train_step(
    loss: Callable[..., PyTree],
    optimizer: optax.GradientTransformation,
    *,
    clip: float | None = None,
    accumulate: int = 1,
    ema: float | None = None,
    precision: str | None = None,
    carry: Callable[[PyTree, Key[Array, ""]], PyTree] | None = None,
    max_skips: int = 10,
) -> TrainStep:
    """A training step; `fit` runs it, or a loop of your own.

    A step in which the loss, its gradient, a new parameter or the optimiser's new state is not finite is skipped:
    parameters, optimiser, average and carry stay as they were, `state.skipped` counts it and says what was wrong, and
    its metrics are means of nothing.

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
        max_skips: so many skipped steps in a row are an error in `fit`, noticed at its next report.

    Raises:
        ArgumentError, ArgumentTypeError: an option that cannot be right.

    Examples:
        >>> import jax, numpy as np, optax
        >>> from seqjax import train
        >>> def loss(params, batch, key):
        ...     xs, ys = batch
        ...     return train.Mean.of((params["w"] * xs - ys) ** 2)
        >>> step = train.make_train_step(loss, optax.sgd(0.1), clip=1.0)
        >>> state = step.init({"w": np.zeros(())}, jax.random.key(0))
        >>> program = jax.jit(step, donate_argnums=0)
        >>> for _ in range(3):
        ...     state, metrics = program(state, (np.array([1.0, 2.0]), np.array([3.0, 6.0])))
        ...     print(f"loss {metrics['loss'].value():.2f}, gradient {metrics['norm'].value():.2f}")
        loss 22.50, gradient 15.00
        loss 21.03, gradient 14.50
        loss 19.60, gradient 14.00
        >>> print(f"{state.params['w']:.1f}")  # three clipped steps of 0.1
        0.3
    """
    _check(loss, accumulate, carry)
    _check_optimizer(optimizer)
    check_precision(precision)
    clip, ema = _norm(clip), _decay(ema)
    return TrainStep(loss, optimizer, clip, accumulate, ema, precision, carry, whole_number("max_skips", max_skips, 1))


def _update(
    optimizer: optax.GradientTransformation, grads: PyTree, state: State, value: jax.Array
) -> tuple[PyTree, PyTree]:
    """Updates and new state of the optimiser.

    Raises:
        ArgumentTypeError: it needs what a step does not have, as a line search does.
    """
    try:
        update = optax.with_extra_args_support(optimizer).update
        return update(grads, state.opt_state, state.params, value=value)
    except TypeError as error:
        if "required keyword-only argument" not in str(error):
            raise
        raise ArgumentTypeError(
            f"optimizer must need no more than the gradient and the value of the loss, but {error}. A line search, as "
            "in optax.lbfgs, evaluates the loss by itself; take optax.adam(1e-3)"
        ) from error


def _average(decay: float, average: PyTree, params: PyTree) -> PyTree:
    return jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)


def _one() -> jax.Array:
    return jnp.ones((), jnp.int32)


def _rate(opt_state: PyTree) -> dict[str, Mean]:
    """The learning rate of this step, where the optimiser's state holds a single one."""
    found = [value for _, value in optax.tree.get_all_with_path(opt_state, "learning_rate") if jnp.isscalar(value)]
    return {"learning_rate": Mean(jnp.asarray(found[0], jnp.float32), _one())} if len(found) == 1 else {}


def _check(loss: object, accumulate: object, carry: object) -> None:
    if not callable(loss):
        raise ArgumentTypeError(f"loss must be a function, found {type(loss).__name__}")
    if carry is not None and not callable(carry):
        raise ArgumentTypeError(f"carry must be a function of (params, key), found {type(carry).__name__}")
    if whole_number("accumulate", accumulate, 1) > 1 and carry is not None:
        raise ArgumentError("accumulate and carry were both given; to save memory with a carry, take shorter batches")


def _norm(clip: object) -> float | None:
    if clip is None:
        return None
    norm = real_number("clip", clip)
    if not 0 < norm < float("inf"):
        raise ArgumentError(f"clip must be a norm above 0, or None for no clipping, found {clip}")
    return norm


def _decay(ema: object) -> float | None:
    if ema is None:
        return None
    decay = real_number("ema", ema)
    if not 0 <= decay < 1:
        raise ArgumentError(f"ema must be a decay in [0, 1), such as 0.999, found {ema}")
    return decay


def _is_number(value: object) -> bool:
    try:
        return real_number("optimizer", value) is not None
    except ArgumentTypeError:
        return False


def _check_optimizer(optimizer: object) -> None:
    if callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None)):
        return
    slip = ""
    if _is_number(optimizer):
        slip = f" A learning rate? Write optax.adam({float(optimizer):g})"  # type: ignore[arg-type]
    elif callable(optimizer):
        name = getattr(optimizer, "__name__", "adam")
        slip = f" Call it: optax.{name}(1e-3)"
    raise ArgumentTypeError(f"optimizer must be one of optax, as optax.adam(1e-3), found {optimizer!r}.{slip}")
