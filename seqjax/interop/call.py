"""The call that makes a module, as a value: its parts, how they are written, and what they may be."""

import dataclasses
import enum
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jax import lax

from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.interop.choice import is_module


class _Standin(enum.Enum):
    """What stands for a number that is not known yet."""

    IN_FEATURES = enum.auto()

    def __repr__(self) -> str:
        return self.name


_WIDTHS = {"float": (16, 32, 64), "int": (8, 16, 32, 64), "uint": (8, 16, 32, 64), "complex": (64, 128)}
_DTYPES = ("bfloat16", *(f"{kind}{width}" for kind, widths in _WIDTHS.items() for width in widths))
_FUNCTIONS = ("abs", "arctan", "cos", "exp", "log1p", "sin", "square", "tanh")
_ATTENTION = ("dot_product_attention",)
"""Dtypes and functions of one array, of `jnp` and `np`; functions of Flax's modules."""

IN_FEATURES = _Standin.IN_FEATURES
"""In the arguments of `as_cell`: the number of features that come in, `as_cell(nnx.Linear, IN_FEATURES, 4)`."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A call whose module is put into the mode of evaluation, in which dropout does nothing.

    make: what makes the module.

    It is what `as_cell(...).evaluation()` is made of, with the same parameters:

        >>> import seqjax as sj
        >>> from flax import nnx
        >>> sj.interop.as_cell(nnx.Dropout, 0.5).evaluation()
        as_cell(Evaluation(nnx.Dropout), 0.5)
    """

    make: Callable[..., Any]

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The module.

        Raises:
            ArgumentError: a module of Linen that has no field `deterministic`.
        """
        module = self.make(*args, **options)
        if hasattr(module, "eval"):
            module.eval()
            return module
        if not hasattr(module, "deterministic"):
            raise ArgumentError(
                f"{spell(self.make)}: a module of Linen has a mode of evaluation only where it has a field "
                "`deterministic`"
            )
        return module.clone(deterministic=True)

    def __repr__(self) -> str:
        return f"Evaluation({spell(self.make)})"


def spell(value: object) -> str:
    """A value as it is written in the call: classes and functions by their names, `jnp.bfloat16`, `jax.nn.relu`."""
    known = _names().get(id(value))
    if known is not None:
        return known
    if isinstance(value, np.dtype):
        return f"dtype({value.name!r})"
    name = getattr(value, "__qualname__", None)
    if name is None or not callable(value):
        return repr(value)
    room = getattr(value, "__module__", "") or ""
    return next((f"{short}.{name}" for short in ("nnx", "linen") if room.startswith(f"flax.{short}")), name)


def known_values() -> dict[str, Any]:
    """Dtypes and functions that may be among the arguments, by the names that `spell` gives them: "jax.nn.relu".

    >>> import seqjax as sj
    >>> sj.interop.known_values()["jax.nn.relu"].__name__
    'relu'
    """
    ours = {"jnp": (jnp, _DTYPES + _FUNCTIONS), "np": (np, _DTYPES + _FUNCTIONS)}
    theirs = {"jax.nn": jax.nn, "jax.nn.initializers": jax.nn.initializers}  # in which nothing acts on the machine
    rooms = ours | {short: (room, tuple(vars(room))) for short, room in theirs.items()}
    rooms |= {"nnx": (nnx, _ATTENTION), "linen": (linen, _ATTENTION)}
    found: dict[str, Any] = {f"lax.Precision.{name}": value for name, value in lax.Precision.__members__.items()}
    for short, (room, names) in rooms.items():
        values = {f"{short}.{name}": getattr(room, name, None) for name in names if not name.startswith("_")}
        found |= {name: value for name, value in values.items() if callable(value)}
    return found


@functools.cache
def _names() -> dict[int, str]:
    """The first name of each known value."""
    return {id(value): name for name, value in reversed(known_values().items())}


def flax_modules() -> dict[str, type]:
    """The classes of modules of Flax, by the names that `spell` gives them: "nnx.Linear".

    >>> import seqjax as sj
    >>> sj.interop.flax_modules()["linen.Dense"].__name__
    'Dense'
    """
    rooms = {"nnx": (nnx, nnx.Module), "linen": (linen, linen.Module)}
    return {
        f"{short}.{name}": value
        for short, (room, base) in rooms.items()
        for name, value in vars(room).items()
        if isinstance(value, type) and issubclass(value, base)
    }


def check_make(make: object) -> None:
    """Refuse what does not make a module.

    Raises:
        ArgumentTypeError: so it is.
    """
    if is_module(make):
        raise ArgumentTypeError(
            f"as_cell: expected the call that makes a module, as in as_cell({type(make).__name__}, 64, 4), found "
            "a module. A module is no value: it neither compares nor hashes"
        )
    if not isinstance(make, Evaluation) and not (callable(make) and hasattr(make, "__qualname__")):
        raise ArgumentTypeError(
            f"as_cell: expected a class of modules or a function that makes one, found {make!r}. The arguments of the "
            "call go to as_cell itself"
        )


def check_value(value: object) -> None:
    """Refuse an argument that is no value.

    Raises:
        ArgumentTypeError: so it is.
    """
    if is_module(value):
        raise ArgumentTypeError(
            f"as_cell: {type(value).__name__}(...) is among the arguments, and a module is no value. Make both modules "
            "in a function, and give that to as_cell"
        )
    try:
        hash(value)
    except TypeError:
        raise ArgumentTypeError(
            f"as_cell: arguments must be values that hash, found {value!r}. A tuple in place of a list?"
        ) from None
