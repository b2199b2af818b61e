"""Chaotic series to be predicted: Mackey-Glass and Lorenz."""

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax._internal.types import Array, Float, Int, Key
from seqjax._internal.validation import check_counts
from seqjax.tasks.base import Example
from seqjax.tasks.scoring import Regression

Slope = Callable[[jax.Array], jax.Array]


class Series(Regression):
    """A series to be predicted: the target at step t is the input at step t + ahead, and every step counts.

    Each variable is brought to mean 0 and variance 1 by the stated constants of the invariant measure, so that the
    score is the normalised mean squared error. Every sequence has an initial state of its own, is run until it has
    reached the attractor, and begins at a uniformly drawn step after that, so that the phases differ. As chaos enlarges
    what rounding leaves, the same key gives the same batch only from the same compiled program.

    Baseline: the best constant is the mean, whose error is the variance: 1 for any length.
    """

    burn_in: ClassVar[int]
    """Steps left out before any sequence begins."""

    start_range: ClassVar[int]
    """A sequence begins at a uniform one of so many steps after that."""

    mean: ClassVar[tuple[float, ...]]
    """Of each variable over the attractor."""

    deviation: ClassVar[tuple[float, ...]]
    """Standard deviation of each variable over the attractor."""

    ahead: int = 1

    def __post_init__(self) -> None:
        check_counts(self, ahead=1)

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        begin, shift = jax.random.split(key)
        series = self.series(begin, self.burn_in + self.start_range + length + self.ahead)
        mean, deviation = np.array(self.mean, np.float32), np.array(self.deviation, np.float32)
        series = (series - jnp.broadcast_to(mean, series.shape)) / jnp.broadcast_to(deviation, series.shape)
        start = self.burn_in + jax.random.randint(shift, (), 0, self.start_range, jnp.int32)
        inputs = lax.dynamic_slice_in_dim(series, start, length)
        targets = lax.dynamic_slice_in_dim(series, start + self.ahead, length)
        return inputs, targets, jnp.ones(length, bool)

    def series(self, key: Key[Array, ""], steps: int) -> Float[Array, "T F"]:
        """The raw series from a random initial state: float32 `[steps, F]`."""
        raise TypeError(f"{type(self).__name__} must define series(key, steps)")

    def baseline_for(self, n: int) -> float:
        return 1.0


class MackeyGlass(Series):
    """The Mackey-Glass equation (1977):  x' = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x,  one value each unit of time.

    Integrated by Runge-Kutta of order 4 with steps of 0.1; the delayed value in the middle of a step is the mean of
    its two ends. x is constant before t = 0, uniform in [0.5, 1.5). 300 units are left out, and a sequence begins in
    the 100 after them (two of the main periods).

    Mean 0.93021 and standard deviation 0.22610 from 1000 runs of 4000 units after 300, in float64 with NumPy's
    generator of seed 1: standard errors 1.6e-5 of the mean and 5.5e-6 of the variance 0.05112. Saying the current value
    again has a score of 0.0213 one unit ahead.

    Example: each target is the next input.

    >>> from seqjax import tasks
    >>> print(tasks.mackey_glass.as_text(6))
    input   0.84 0.86 0.87 0.88  0.9 0.93
    target  0.86 0.87 0.88  0.9 0.93    1

    Args:
        ahead: units of time between input and target.
    """

    name = "mackey_glass"
    in_features = 1
    out_features = 1
    burn_in = 300
    start_range = 100
    mean = (0.930211,)
    deviation = (0.226099,)

    def series(self, key: Key[Array, ""], steps: int) -> Float[Array, "T F"]:
        """The equation from a constant past."""
        x = jax.random.uniform(key, (), jnp.float32, 0.5, 1.5)
        past = jnp.full(171, x)  # x at t - 17, t - 16.9, ... t

        def small(past: Float[jax.Array, "171"], _: None) -> tuple[Float[jax.Array, "171"], None]:
            return jnp.append(past[1:], _mackey_glass_step(past[0], past[1], past[-1])), None

        def unit(past: Float[jax.Array, "171"], _: None) -> tuple[Float[jax.Array, "171"], Float[Array, "1"]]:
            return lax.scan(small, past, None, length=10)[0], past[-1:]

        return lax.scan(unit, past, None, length=steps)[1]


def _mackey_glass_step(before: jax.Array, after: jax.Array, x: jax.Array) -> jax.Array:
    """x a step later; `before` and `after` are the delayed values at the two ends of the step."""

    def slope(delayed: jax.Array) -> Slope:
        return lambda x: 0.2 * delayed / (1 + delayed**10) - 0.1 * x

    middle = slope((before + after) / 2)
    return _runge_kutta(slope(before), middle, middle, slope(after), x, 0.1)


class Lorenz(Series):
    """The Lorenz system (1963):  x' = 10 (y - x),  y' = x (28 - z) - y,  z' = x y - 8/3 z,  one state each 0.02.

    Integrated by Runge-Kutta of order 4 with steps of 0.02. It begins at (0, 0, 25) with Gaussian noise of standard
    deviation 5 on each variable; 500 steps are left out, and a sequence begins in the 250 after them (5 units of time).

    Means 0, 0 (by symmetry), 23.555 and standard deviations 7.926, 9.011, 8.619 from 2000 runs of 5000 steps after
    1000, in float64 with NumPy's generator of seed 1: standard errors 0.002 of the last mean and 0.006, 0.011, 0.062 of
    the variances 62.82, 81.19, 74.28. Saying the current state again has a score of 0.0221 one step ahead.

    Example: each target is the next input. (Chaos makes other numbers of another machine's rounding.)

    >>> import jax
    >>> from seqjax import tasks
    >>> print(tasks.lorenz.as_text(4))  # doctest: +SKIP
    input 1   1.28 1.34  1.4 1.43
    input 2   1.43 1.44 1.42 1.37
    input 3   0.24 0.39 0.54 0.69
    target 1  1.34  1.4 1.43 1.45
    target 2  1.44 1.42 1.37 1.29
    target 3  0.39 0.54 0.69 0.83

    >>> batch = tasks.lorenz.sample(jax.random.key(0), 2, 4)
    >>> bool((batch.targets[:, :-1] == batch.inputs[:, 1:]).all())
    True

    Args:
        ahead: steps of 0.02 between input and target.
    """

    name = "lorenz"
    in_features = 3
    out_features = 3
    burn_in = 500
    start_range = 250
    mean = (0.0, 0.0, 23.5547)
    deviation = (7.92584, 9.01065, 8.61851)

    def series(self, key: Key[Array, ""], steps: int) -> Float[Array, "T F"]:
        """The equations from a random state."""
        state = jnp.array([0, 0, 25], jnp.float32) + 5 * jax.random.normal(key, (3,), jnp.float32)

        def step(state: Float[jax.Array, "3"], _: None) -> tuple[Float[jax.Array, "3"], Float[Array, "3"]]:
            return _runge_kutta(_lorenz, _lorenz, _lorenz, _lorenz, state, 0.02), state

        return lax.scan(step, state, None, length=steps)[1]


def _lorenz(state: Float[jax.Array, "3"]) -> Float[jax.Array, "3"]:
    x, y, z = state
    return jnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def _runge_kutta(
    f1: Slope, f2: Slope, f3: Slope, f4: Slope, x: Float[jax.Array, "*F"], h: float
) -> Float[jax.Array, "*F"]:
    """One step of the classical method of order 4; f1 ... f4 are the slope at its beginning, middle (twice) and end."""
    k1 = f1(x)
    k2 = f2(x + h / 2 * k1)
    k3 = f3(x + h / 2 * k2)
    k4 = f4(x + h * k3)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
