"""Initialisers, as values: they compare, hash and print, so that a cell can hold them as options.

A cell with gates draws each gate's block apart, so fans and orthogonality are those of the gate. Draws are
made in float32 (float64 for float64) and then cast, so that bfloat16 parameters work everywhere.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.spelling import Spelled
from seqjax._internal.types import DTypeLike, Float, Key, Shape
from seqjax.errors import ArgumentError, ArgumentTypeError, closest

__all__ = [
    "Bias", "Initializer", "check_initializer", "chrono", "forget_bias", "glorot", "identity", "normal", "orthogonal",
    "zeros",
]  # fmt: skip


class Initializer(Spelled):
    """Draws one matrix: `init(key, (rows, columns), dtype)`.

    >>> import jax, jax.numpy as jnp
    >>> from seqjax import LSTM
    >>> from seqjax.initializers import Initializer
    >>> class uniform(Initializer):
    ...     width: float = 0.1
    ...     def draw(self, key, shape, dtype):
    ...         return jax.random.uniform(key, shape, dtype, -self.width, self.width)
    >>> cell = LSTM(4, kernel_init=uniform(0.5))
    >>> cell
    LSTM(4, kernel_init=uniform(width=0.5))
    >>> kernel = cell.init(jax.random.key(0), 3)["project"]["kernel"]
    >>> kernel.shape, bool(jnp.all(jnp.abs(kernel) < 0.5))
    ((3, 16), True)
    """

    def __call__(
        self, key: Key[jax.Array, ""], shape: Shape, dtype: DTypeLike = jnp.float32
    ) -> Float[jax.Array, "..."]:
        """Draw in float32 or wider, then cast."""
        wide = jnp.promote_types(dtype, jnp.float32)
        return self.draw(key, shape, wide).astype(dtype)

    def draw(self, key: Key[jax.Array, ""], shape: Shape, dtype: DTypeLike) -> Float[jax.Array, "..."]:
        """The values, in float32 or float64."""
        raise TypeError(f"{type(self).__name__} must define draw(key, shape, dtype)")


class orthogonal(Initializer):
    """`scale` times a matrix with orthonormal rows or columns, uniform over them (Saxe et al. 2014).

    >>> import jax, jax.numpy as jnp
    >>> from seqjax.initializers import orthogonal
    >>> q = orthogonal(2.0)(jax.random.key(0), (3, 3))
    >>> bool(jnp.allclose(q @ q.T, 4 * jnp.eye(3), atol=1e-5))
        True
    """

    scale: float = 1.0

    def draw(self, key: Key[jax.Array, ""], shape: Shape, dtype: DTypeLike) -> Float[jax.Array, "..."]:
        return jax.nn.initializers.orthogonal(self.scale)(key, shape, dtype)


class identity(Initializer):
    """`scale` times the identity: the IRNN of Le, Jaitly and Hinton 2015 (with relu).

    >>> import jax, jax.numpy as jnp
    >>> from seqjax.initializers import identity
    >>> print(identity(0.5)(jax.random.key(0), (2, 3)))
    [[0.5 0.  0. ]
     [0.  0.5 0. ]]
    """

    scale: float = 1.0

    def draw(self, key: Key[jax.Array, ""], shape: Shape, dtype: DTypeLike) -> Float[jax.Array, "..."]:
        return self.scale * jnp.eye(shape[0], shape[1], dtype=dtype)


class glorot(Initializer):
    """Uniform within sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010).

    >>> import jax, jax.numpy as jnp
    >>> from seqjax.initializers import glorot
    >>> kernel = glorot()(jax.random.key(0), (30, 20))
    >>> bool(jnp.abs(kernel).max() < (6 / 50) ** 0.5)
    True
    """

    def draw(self, key: Key[jax.Array, ""], shape: Shape, dtype: DTypeLike) -> Float[jax.Array, "..."]:
        bound = math.sqrt(6.0 / max(1, sum(shape)))
        return jax.random.uniform(key, shape, dtype, -bound, bound)


class normal(Initializer):
    """Gaussian of standard deviation `std`, or 1 / sqrt(rows) where none is given.

    >>> import jax, jax.numpy as jnp
    >>> from seqjax.initializers import normal
    >>> kernel = normal()(jax.random.key(0), (100, 100))
    >>> round(float(jnp.std(kernel)), 2)
    0.1
    >>> normal(0.02)
    normal(std=0.02)
    """

    std: float | None = None

    def draw(self, key: Key[jax.Array, ""], shape: Shape, dtype: DTypeLike) -> Float[jax.Array, "..."]:
        std = 1.0 / math.sqrt(max(1, shape[0])) if self.std is None else self.std
        return std * jax.random.normal(key, shape, dtype)


class Bias(Spelled):
    """Draws the biases of all gates of a cell: `init(key, cell, dtype)` -> `[G F]`.

    >>> import jax, jax.numpy as jnp
    >>> from seqjax import LSTM
    >>> from seqjax.initializers import Bias
    >>> class closed_output(Bias):
    ...     def draw(self, key, cell):
    ...         return {"o": jnp.full(cell.features, -1.0)}
    >>> cell = LSTM(1, bias_init=closed_output())
    >>> dict(zip(cell.gates, cell.init(jax.random.key(0), 1)["project"]["bias"].tolist()))
    {'i': 0.0, 'f': 0.0, 'g': 0.0, 'o': -1.0}
    """

    def __call__(self, key: Key[jax.Array, ""], cell: Any, dtype: DTypeLike = jnp.float32) -> Float[jax.Array, " GF"]:
        """The biases of all gates in the cell's order, zero where `draw` names none."""
        values = {gate: jnp.zeros(cell.features) for gate in cell.gates}
        values.update(self.draw(key, cell))
        return jnp.concatenate([values[gate].astype(dtype) for gate in cell.gates])

    def draw(self, key: Key[jax.Array, ""], cell: Any) -> dict[str, Float[jax.Array, " F"]]:
        """The biases of the gates that are not zero, by name."""
        return {}


class zeros(Bias):
    """All biases zero.

    >>> import jax, jax.numpy as jnp
    >>> from seqjax.initializers import zeros
    >>> from seqjax import LSTM
    >>> zeros()(jax.random.key(0), LSTM(1)).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """


class forget_bias(Bias):
    """`value` for the gate that keeps the state (f of an LSTM, u of a GRU), else zero (Gers et al. 2000).

    With bias b the gate starts near sigmoid(b) and the state's time constant is -1 / ln sigmoid(b) steps:
    1.4 for 0, 3.2 for 1, 149 for 5.

        >>> import jax
        >>> from seqjax import GRU, LSTM
        >>> from seqjax.initializers import forget_bias
        >>> for cell in (LSTM(1), GRU(1)):
        ...     print(dict(zip(cell.gates, forget_bias(5.0)(jax.random.key(0), cell).tolist())))
        {'i': 0.0, 'f': 5.0, 'g': 0.0, 'o': 0.0}
        {'r': 0.0, 'u': 5.0, 'n': 0.0}
    """

    value: float = 1.0

    def draw(self, key: Key[jax.Array, ""], cell: Any) -> dict[str, Float[jax.Array, " F"]]:
        return {_keep_gate(self, cell): jnp.full(cell.features, self.value)}


class chrono(Bias):
    """Time constants spread up to `max_length` steps (Tallec and Ollivier 2018).

    b_keep = ln U(1, max_length - 1), and b_write = -b_keep where the cell has a write gate of its own.

        >>> import jax, jax.numpy as jnp
        >>> from seqjax import LSTM
        >>> from seqjax.initializers import chrono
        >>> i, f, g, o = jnp.split(chrono(1000)(jax.random.key(0), LSTM(100)), 4)
        >>> steps = 1 + jnp.exp(f)  # of units whose forget gate is sigmoid(b): 1 / (1 - sigmoid(b))
        >>> bool(jnp.all((steps > 2) & (steps < 1000))), bool(jnp.all(i == -f))
        (True, True)
    """

    max_length: int

    def draw(self, key: Key[jax.Array, ""], cell: Any) -> dict[str, Float[jax.Array, " F"]]:
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


def check_initializer(name: str, value: object) -> None:
    """Refuse what is no initialiser for the option `name`: "kernel_init", "recurrent_init" or "bias_init".

        >>> from seqjax.initializers import check_initializer
        >>> check_initializer("kernel_init", "orthogonal")
        Traceback (most recent call last):
        seqjax.errors.ArgumentTypeError: kernel_init must be an initialiser such as orthogonal(), found 'orthogonal'.
        Write orthogonal(), not 'orthogonal'

    Raises:
        ArgumentTypeError: it draws no biases (for "bias_init") or no matrices (for the others), or draws nothing.
    """
    kind, example = (Bias, "forget_bias()") if name == "bias_init" else (Initializer, "orthogonal()")
    if not isinstance(value, kind):
        raise ArgumentTypeError(
            f"{name} must be an initialiser such as {example}, found {value!r}.{_slip(kind, value)}"
        )


def _slip(kind: type[Spelled], value: object) -> str:
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
