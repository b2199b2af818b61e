"""Losses and scores over arrays, one number for each element, so that they compose with any weights.

Axes: `...` any leading ones (batch, time), `V` classes, `F` features. float16 and bfloat16 are computed in float32.

    loss = weighted_mean(cross_entropy(logits, targets), weights)

Padding law: NaN and inf in elements whose weight is 0 change neither the mean nor any gradient. As 0 * NaN is
NaN, the gradient of each loss is defined as 0 wherever the loss itself is not finite because of its input; there the
loss is inf or NaN, so that it is seen.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax._internal.types import Array, Bool, Float, Int, Num
from seqjax._internal.validation import known, real_number
from seqjax.errors import ArgumentError, ArgumentTypeError

__all__ = [
    "accuracy", "cross_entropy", "last", "sigmoid_binary_cross_entropy", "squared_error", "weighted_mean",
    "weighted_sum",
]  # fmt: skip

Weights = Bool[Array, "*B"] | Float[Array, "*B"]


def cross_entropy(logits: Float[Array, "*B V"], targets: Int[Array, "*B"], smoothing: float = 0.0) -> jax.Array:
    """-log softmax(logits)[target], in nats.  logits `[..., V]`, targets whole numbers `[...]`: `[...]`.

    With smoothing e in [0, 1] (Szegedy et al. 2016) the label is spread over all V classes, those of -inf left out:

        (1 - e) (-log p[target]) + e / V sum_v (-log p[v])

    In `make_loss`, write `functools.partial(cross_entropy, smoothing=0.1)`.

    A logit may be -inf, as where a grammar forbids a class: that class has probability 0, and loss and gradient are
    those of the others. If the target itself is such a class the loss is inf, which no step along a gradient makes
    smaller, so the gradient is 0. A target out of range gives NaN where its value is not known.

        >>> import jax, jax.numpy as jnp
        >>> from seqjax.losses import cross_entropy
        >>> probabilities = jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
        >>> print(cross_entropy(jnp.log(probabilities), jnp.array([0, 2])).round(3))
        [0.693 0.223]
        >>> logits = jnp.array([2.0, 1.0, -jnp.inf])  # the third class is forbidden
        >>> [round(slope, 3) for slope in jax.grad(cross_entropy)(logits, jnp.array(0)).tolist()]
        [-0.269, 0.269, 0.0]

    Raises:
        ArgumentError, ArgumentTypeError: shape, dtype, a known target that is no class, or smoothing outside [0, 1].
    """
    share = real_number("cross_entropy: smoothing", smoothing)
    if not 0 <= share <= 1:
        raise ArgumentError(f"cross_entropy: smoothing must be in [0, 1], found {smoothing}")
    logits, targets = _logits_and_classes("cross_entropy", logits, targets)
    # Negative indices would count from the end.
    index = jnp.where(targets >= 0, targets, logits.shape[-1])
    proper = jnp.isfinite(jnp.max(logits, axis=-1))
    of_target = _at(lax.stop_gradient(logits), index)
    usable = proper & jnp.isfinite(of_target)
    clean = jnp.where(usable[..., None], logits, 0)
    otherwise = jnp.where(proper & (of_target == -jnp.inf), jnp.inf, jnp.nan)
    likely = _at(clean, index)
    if share:
        likely = (1 - share) * likely + share * _mean_logit(clean)
    return jnp.where(usable, jax.nn.logsumexp(clean, axis=-1) - likely, otherwise)


def _mean_logit(logits: Float[jax.Array, "*B V"]) -> Float[jax.Array, "*B"]:
    """Over the classes that can be; divided before it is summed, so that large logits do not overflow."""
    can_be = logits > -jnp.inf
    return jnp.sum(jnp.where(can_be, logits, 0) / jnp.sum(can_be, axis=-1, keepdims=True), axis=-1)


def sigmoid_binary_cross_entropy(
    logits: Float[Array, "*B F"], targets: Num[Array, "*B F"] | Bool[Array, "*B F"]
) -> Float[jax.Array, "*B"]:
    """-sum_F (t log p + (1 - t) log(1 - p)),  p = sigmoid(logit), in nats.  Both `[..., F]`: `[...]`.

    Targets t, of any real dtype, are 0, 1 or a probability between. Others give NaN where their values are not known.

        >>> import jax, jax.numpy as jnp
        >>> from seqjax.losses import sigmoid_binary_cross_entropy
        >>> logits = jnp.array([[0.0, 0.0], [8.0, -8.0]])  # two notes, at two steps
        >>> print(sigmoid_binary_cross_entropy(logits, jnp.array([[1, 0], [1, 0]])).round(2))
        [1.39 0.  ]

    Raises:
        ArgumentError, ArgumentTypeError: shape, dtype, or a known target out of [0, 1].
    """
    where = "sigmoid_binary_cross_entropy"
    logits, targets = _as_float(where, "logits", logits), _check_array(where, "targets", targets)
    _check_same_shape(where, "logits", logits, "targets", targets)
    _check_probabilities(where, targets)
    targets = jnp.asarray(targets).astype(logits.dtype)
    # Of the two terms the larger weight's is softplus; 0 and 1, whose other weight is 0, lose no digit.
    likely = targets > 0.5
    against, rest = jnp.where(likely, -logits, logits), jnp.where(likely, 1 - targets, targets)
    usable = jnp.isfinite(against) & (rest >= 0)
    clean = jnp.where(usable, against, 0)
    edge = lax.stop_gradient(jnp.where(rest == 0, jax.nn.softplus(against), jnp.abs(against)))
    nats = jnp.where(usable, jax.nn.softplus(clean) - rest * clean, jnp.where(rest >= 0, edge, jnp.nan))
    return jnp.sum(nats, axis=-1)


def squared_error(outputs: Float[Array, "*B F"], targets: Float[Array, "*B F"]) -> Float[jax.Array, "*B"]:
    """mean_F (output - target)^2.  Both `[..., F]`: `[...]`.

        >>> import jax.numpy as jnp
        >>> from seqjax.losses import squared_error
        >>> print(squared_error(jnp.array([[1.0, 2.0], [3.0, 3.0]]), jnp.array([[1.0, 4.0], [3.0, 3.0]])))
        [2. 0.]

    Raises:
        ArgumentError, ArgumentTypeError: shape or dtype.
    """
    outputs, targets = _as_float("squared_error", "outputs", outputs), _as_float("squared_error", "targets", targets)
    _check_same_shape("squared_error", "outputs", outputs, "targets", targets)
    error = outputs - targets
    square = jnp.square(error)
    usable = jnp.isfinite(square)
    square = jnp.where(usable, jnp.square(jnp.where(usable, error, 0)), lax.stop_gradient(square))
    return jnp.mean(square, axis=-1)


def accuracy(logits: Float[Array, "*B V"], targets: Int[Array, "*B"]) -> Float[jax.Array, "*B"]:
    """1.0 where the largest logit is the target's, else 0.0 (also where a logit is NaN).  As `cross_entropy`.

    Among equal logits the first counts as the largest.

        >>> import jax.numpy as jnp
        >>> from seqjax.losses import accuracy
        >>> print(accuracy(jnp.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]), jnp.array([1, 1, 0])))
        [1. 0. 1.]
    """
    logits, targets = _logits_and_classes("accuracy", logits, targets)
    right = jnp.argmax(logits, axis=-1) == targets
    return (right & ~jnp.any(jnp.isnan(logits), axis=-1)).astype(logits.dtype)


def weighted_mean(values: Float[Array, "*B"], weights: Weights) -> Float[jax.Array, ""]:
    """sum(weights * values) / sum(weights), a scalar.  values and weights of one shape `[...]`.

    Weights are bool, True where a value counts, or numbers of at least 0, which inside `jit` is not checked. What
    stands where a weight is 0, NaN too, changes neither the mean nor any gradient of it. Weights that are all 0 have
    no mean: an error where they are known, NaN inside `jit`.

        >>> import jax.numpy as jnp
        >>> from seqjax.losses import weighted_mean
        >>> print(weighted_mean(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([True, True, False])))
        2.0
        >>> print(weighted_mean(jnp.array([1.0, 3.0]), jnp.array([3.0, 1.0])))
        1.5

    Raises:
        ArgumentError, ArgumentTypeError: shape, dtype, or known weights that are all 0, negative or not finite.
    """
    total, count = weighted_sum("weighted_mean", values, weights)
    if known(count) and not float(count):
        raise ArgumentError(f"weighted_mean: weights {jnp.shape(weights)} are all 0, so there is nothing to average")
    return total / count.astype(total.dtype)


def weighted_sum(
    where: str, values: Float[Array, "*B"], weights: Weights
) -> tuple[Float[jax.Array, ""], Num[jax.Array, ""]]:
    """sum(weights * values) and sum(weights), the latter int32 for bool weights.

        >>> import jax.numpy as jnp
        >>> from seqjax.losses import weighted_sum
        >>> total, count = weighted_sum("here", jnp.array([1.0, 3.0, jnp.nan]), jnp.array([True, True, False]))
        >>> float(total), int(count)
        (4.0, 2)

    Raises:
        ArgumentError, ArgumentTypeError: shape, dtype, or known weights that are negative or not finite.
    """
    values, weights = _as_float(where, "values", values), _check_array(where, "weights", weights)
    if weights.dtype != bool and not jnp.issubdtype(weights.dtype, jnp.floating):
        raise ArgumentTypeError(
            f"{where}: weights must be bool or floating point, found {weights.dtype}. Convert them, as in weights != 0"
        )
    _check_same_shape(where, "values", values, "weights", weights)
    _check_weights(where, weights)
    weights = jnp.asarray(weights)
    if weights.dtype == bool:
        return jnp.sum(jnp.where(weights, values, 0)), jnp.sum(weights, dtype=jnp.int32)
    weights = weights.astype(values.dtype)
    return jnp.sum(jnp.where(weights == 0, 0, values) * weights), jnp.sum(weights)


def last(outputs: Float[Array, "B T F"], lengths: Int[Array, " B"]) -> Float[jax.Array, "B F"]:
    """The output at the last real step.  outputs `[B, T, F]`, lengths whole numbers `[B]` in 1 ... T: `[B, F]`.

    A length out of range is an error where its value is known and gives NaN inside `jit`.

        >>> import jax.numpy as jnp
        >>> from seqjax.losses import last
        >>> outputs = jnp.arange(6.0).reshape(2, 3, 1)
        >>> print(last(outputs, jnp.array([1, 3])))
        [[0.]
         [5.]]

    Raises:
        ArgumentError, ArgumentTypeError: shape, dtype, or a known length that no step has.
    """
    outputs, lengths = _as_float("last", "outputs", outputs), _check_array("last", "lengths", lengths)
    if outputs.ndim != 3:
        raise ArgumentError(f"last: outputs must be [B, T, F] (batch, time, features), found shape {outputs.shape}")
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ArgumentTypeError(f"last: lengths must be whole numbers of steps, found {lengths.dtype}")
    if lengths.shape != outputs.shape[:1]:
        raise ArgumentError(
            f"last: lengths has shape {lengths.shape}, expected one for each sequence, {outputs.shape[:1]}"
        )
    _check_range("last", "lengths", lengths, 1, outputs.shape[1], "A sequence of no steps has no last one")
    lengths = _to_int32(lengths)
    index = jnp.where(lengths >= 1, lengths - 1, outputs.shape[1])[:, None, None]
    return jnp.take_along_axis(outputs, index, axis=1, mode="fill", fill_value=jnp.nan)[:, 0]


def _logits_and_classes(where: str, logits: Array, targets: Array) -> tuple[jax.Array, jax.Array]:
    logits, targets = _as_float(where, "logits", logits), _check_array(where, "targets", targets)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise ArgumentTypeError(
            f"{where}: targets must be classes of an integer dtype, found {targets.dtype}. One-hot?"
        )
    if logits.ndim == 0 or logits.shape[-1] == 0 or logits.shape[:-1] != targets.shape:
        raise ArgumentError(
            f"{where}: logits has shape {logits.shape} and targets {targets.shape}; expected [..., V] and [...] "
            "with the same leading axes"
        )
    slip = "Labels to be ignored? Set them to 0 and give them the weight 0"
    _check_range(where, "targets", targets, 0, logits.shape[-1] - 1, slip)
    return logits, _to_int32(targets)


def _check_range(where: str, name: str, array: Array, low: int, high: int, slip: str) -> None:
    if not known(array) or not array.size:
        return
    values = np.asarray(array)
    if values.min() < low or values.max() > high:
        wrong = int(values.min() if values.min() < low else values.max())
        raise ArgumentError(f"{where}: {name} must be in {low} ... {high}, found {wrong}. {slip}")


def _at(logits: Float[jax.Array, "*B V"], index: Int[jax.Array, "*B"]) -> Float[jax.Array, "*B"]:
    """The logit of each index, NaN where there is none."""
    return jnp.take_along_axis(logits, index[..., None], axis=-1, mode="fill", fill_value=jnp.nan)[..., 0]


def _to_int32(numbers: Int[Array, "*B"]) -> Int[jax.Array, "*B"]:
    """Whole numbers as int32, -1 for those of 64 bits that do not fit, which would wrap around."""
    numbers = jnp.asarray(numbers)
    if numbers.dtype.itemsize == 8:
        numbers = jnp.where((numbers >= 0) & (numbers < 2**31), numbers, -1)
    return numbers.astype(jnp.int32)


def _check_probabilities(where: str, targets: Array) -> None:
    real = targets.dtype == bool or any(jnp.issubdtype(targets.dtype, kind) for kind in (jnp.integer, jnp.floating))
    if not real:
        raise ArgumentTypeError(f"{where}: targets must be 0, 1 or probabilities, found {targets.dtype}")
    values = np.asarray(targets) if known(targets) else np.zeros(0)
    wrong = values[~((values >= 0) & (values <= 1))]
    if wrong.size:
        raise ArgumentError(
            f"{where}: targets must be 0, 1 or probabilities between, found {wrong[0]}. Classes? Use cross_entropy"
        )


def _check_weights(where: str, weights: Array) -> None:
    if weights.dtype == bool or not known(weights):
        return
    values = np.asarray(weights).astype(np.float64)  # bfloat16 warns where it compares NaN
    wrong = values[~((values >= 0) & (values < np.inf))]
    if wrong.size:
        raise ArgumentError(f"{where}: weights must be finite numbers of at least 0, found {wrong[0]}")


def _check_same_shape(where: str, first: str, a: Array, second: str, b: Array) -> None:
    if a.shape != b.shape:
        raise ArgumentError(f"{where}: {first} has shape {a.shape} and {second} {b.shape}, expected the same")


def _check_array(where: str, name: str, value: Array) -> Array:
    if not isinstance(value, (jax.Array, np.ndarray, np.generic)):
        raise ArgumentTypeError(f"{where}: {name} must be an array, found {type(value).__name__}")
    return value


def _as_float(where: str, name: str, value: Array) -> Float[jax.Array, "..."]:
    """At least float32."""
    if not jnp.issubdtype(_check_array(where, name, value).dtype, jnp.floating):
        raise ArgumentTypeError(f"{where}: {name} must be floating point, found {value.dtype}")
    array = jnp.asarray(value)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))
