"""Initialisers, as values: they compare, hash and print, so that a cell can hold them as options.

A cell with gates draws each gate's block apart, so fans and orthogonality are those of the gate. Draws are
made in float32 (float64 for float64) and then cast, so that bfloat16 parameters work everywhere.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.spelling import Spelled
from seqjax.errors import ArgumentError, ArgumentTypeError, closest


class Initializer(Spelled):
    """Draws one matrix: `init(key, (rows, columns), dtype)`."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Draw in float32 or wider, then cast."""
        wide = jnp.promote_types(dtype, jnp.float32)
        return self.draw(key, shape, wide).astype(dtype)

    def draw(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """The values, in float32 or float64."""
        raise TypeError(f"{type(self).__name__} must define draw(key, shape, dtype)")


class orthogonal(Initializer):
    """`scale` times a matrix with orthonormal rows or columns, uniform over them (Saxe et al. 2014)."""

    scale: float = 1.0

    def draw(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Q of a Gaussian matrix, signs made unique."""
        return jax.nn.initializers.orthogonal(self.scale)(key, shape, dtype)


class identity(Initializer):
    """`scale` times the identity: the IRNN of Le, Jaitly and Hinton 2015 (with relu)."""

    scale: float = 1.0

    def draw(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Ones on the diagonal, also of a matrix that is not square."""
        return self.scale * jnp.eye(shape[0], shape[1], dtype=dtype)


class glorot(Initializer):
    """Uniform within sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010)."""

    def draw(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Fans are the two sides of the matrix."""
        bound = math.sqrt(6.0 / max(1, sum(shape)))
        return jax.random.uniform(key, shape, dtype, -bound, bound)


class normal(Initializer):
    """Gaussian of standard deviation `std`, or 1 / sqrt(rows) where none is given."""

    std: float | None = None

    def draw(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Independent draws."""
        std = 1.0 / math.sqrt(max(1, shape[0])) if self.std is None else self.std
        return std * jax.random.normal(key, shape, dtype)


class Bias(Spelled):
    """Draws the biases of all gates of a cell: `init(key, cell, dtype)` -> `[G F]`."""

    def __call__(self, key: jax.Array, cell: Any, dtype: Any) -> jax.Array:
        """The biases of all gates in the cell's order, zero where `draw` names none."""
        values = {gate: jnp.zeros(cell.features) for gate in cell.gates}
        values.update(self.draw(key, cell))
        return jnp.concatenate([values[gate].astype(dtype) for gate in cell.gates])

    def draw(self, key: jax.Array, cell: Any) -> dict[str, jax.Array]:
        """The biases of the gates that are not zero, by name."""
        return {}


class zeros(Bias):
    """All biases zero."""


class forget_bias(Bias):
    """`value` for the gate that keeps the state (f of an LSTM, u of a GRU), else zero (Gers et al. 2000).

    With bias b the gate starts near sigmoid(b) and the state's time constant is -1 / ln sigmoid(b) steps:
    1.4 for 0, 3.2 for 1, 149 for 5.
    """

    value: float = 1.0

    def draw(self, key: jax.Array, cell: Any) -> dict[str, jax.Array]:
        """The constant for the keep gate."""
        return {_keep_gate(self, cell): jnp.full(cell.features, self.value)}


class chrono(Bias):
    """Time constants spread up to `max_length` steps (Tallec and Ollivier 2018).

    b_keep = ln U(1, max_length - 1), and b_write = -b_keep where the cell has a write gate of its own.
    """

    max_length: int

    def draw(self, key: jax.Array, cell: Any) -> dict[str, jax.Array]:
        """One draw a unit."""
        if not isinstance(self.max_length, int) or self.max_length < 3:
            raise ArgumentError(f"chrono: max_length must be above 2, found {self.max_length!r}")
        bias = jnp.log(jax.random.uniform(key, (cell.features,), minval=1.0, maxval=self.max_length - 1.0))
        drawn = {_keep_gate(self, cell): bias}
        if cell.write_gate is not None:
            drawn[cell.write_gate] = -bias
        return drawn


def _keep_gate(bias: Bias, cell: Any) -> str:
    if cell.keep_gate is None:
        raise ArgumentError(f"bias_init={bias!r}: {type(cell).__name__} has no gate that keeps the state")
    return str(cell.keep_gate)


def check_initializer(name: str, value: Any) -> None:
    """Refuse what is no initialiser for the option `name`: "kernel_init", "recurrent_init" or "bias_init".

    Raises:
        ArgumentTypeError: it draws no biases (for "bias_init") or no matrices (for the others), or draws nothing.
    """
    kind, example = (Bias, "forget_bias()") if name == "bias_init" else (Initializer, "orthogonal()")
    if not isinstance(value, kind):
        raise ArgumentTypeError(
            f"{name} must be an initialiser such as {example}, found {value!r}.{_slip(kind, value)}"
        )


def _slip(kind: type[Spelled], value: Any) -> str:
    if isinstance(value, str):
        name = value.partition("(")[0].strip()
        known = [each.__name__ for each in kind.__subclasses__()]
        return f" Write {name}(), not {value!r}" if name in known else closest(name, known)
    if isinstance(value, type) and issubclass(value, kind):
        return f" Write {value.__name__}(), not the class"
    if isinstance(value, Bias) or (isinstance(value, type) and issubclass(value, Bias)):
        return " It draws biases: pass it as bias_init"
    if isinstance(value, Initializer) or (isinstance(value, type) and issubclass(value, Initializer)):
        return " It draws matrices: pass it as kernel_init or recurrent_init"
    if isinstance(value, (int, float)):
        return " A constant? forget_bias(1.0) is one" if kind is Bias else f" A size? Write normal({value!r})"
    if callable(value):
        return f" A function neither compares nor prints: write a subclass of {kind.__name__} with a method draw"
    return ""
