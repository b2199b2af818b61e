"""Cells are spelled as the calls that make them: in print, on the command line and in stored configurations."""

import ast
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, dataclass_transform

import numpy as np

from seqjax.errors import ArgumentError, closest


@dataclass_transform(frozen_default=True)
class Spelled:
    """A frozen dataclass that prints as the call that makes it, options at their default left out."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, repr=False, eq=False)(cls)
        original_init = cls.__init__

        # Around the constructor, as what a subclass checks in `__post_init__` is to see Python's values already.
        @functools.wraps(original_init)
        def __init__(self: Any, *args: object, **options: object) -> None:
            values = {name: _from_numpy(value) for name, value in options.items()}
            original_init(self, *map(_from_numpy, args), **values)

        cls.__init__ = __init__  # type: ignore[method-assign]

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._options() == other._options()

    def __hash__(self) -> int:
        return hash((type(self), self._options()))

    def _options(self) -> tuple[object, ...]:
        """The options with their types: 1, 1.0 and True are three, and so are 0.0 and -0.0 two, as a step may tell."""
        return tuple(_with_type(getattr(self, field.name)) for field in dataclasses.fields(self))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        words = []
        for field in sorted(dataclasses.fields(self), key=lambda f: bool(f.kw_only)):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            required = field.default is dataclasses.MISSING
            if not required and _with_type(value) == _with_type(field.default):  # 1 where 1.0 is the default is said
                continue
            positional = required and not field.kw_only
            words.append(repr(value) if positional else f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(words)})"


def _from_numpy(value: object) -> object:
    """Python's number for a scalar of NumPy, also in tuples: LSTM(np.int64(64)) is LSTM(64), in print and compared."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        items = [_from_numpy(item) for item in value]
        return value._make(items) if hasattr(value, "_make") else tuple(items)
    return value


def _with_type(value: object) -> object:
    if isinstance(value, tuple):
        return (type(value), *map(_with_type, value))
    return (float, value.hex()) if type(value) is float else (type(value), value)


def map_options(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """A copy of a spelled value in which those of its options that are of `kind`, alone or in tuples, are changed."""

    def one(option: Any) -> Any:
        if isinstance(option, kind):
            return change(option)
        if isinstance(option, tuple):
            changed = map(one, option)
            return type(option)(*changed) if hasattr(option, "_fields") else tuple(changed)
        return option

    options = {f.name: one(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    return dataclasses.replace(value, **options)


def parse(
    text: str, names: Mapping[str, Callable[..., object]], constants: Mapping[str, object] | None = None
) -> object:
    """The value that `text` spells, `"stack(LSTM(64), GRU(32))"`, calling nothing but `names`.

    Literals, calls of the given names, `constants` without a call and keyword arguments are understood; nothing else
    is evaluated.

    Raises:
        ArgumentError: not such a call, an unknown name or option, or the callee refused its arguments.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ArgumentError(f"{text!r} cannot be read: {error.msg}. Write LSTM(64)") from None
    return _evaluate(tree.body, text, names, constants or {})


def _evaluate(
    node: ast.AST, text: str, names: Mapping[str, Callable[..., object]], constants: Mapping[str, object]
) -> object:
    """The value of a part of `text`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id
        if name not in names:
            raise ArgumentError(f"{text!r}: {name!r} is not known.{closest(name, names)}")
        args = [_evaluate(arg, text, names, constants) for arg in node.args]
        options = {k.arg: _evaluate(k.value, text, names, constants) for k in node.keywords if k.arg is not None}
        try:
            return names[name](*args, **options)
        except TypeError as error:
            raise ArgumentError(f"{text!r}: {name} refused its arguments: {error}") from error
    if isinstance(node, (ast.Name, ast.Attribute)) and (name := ast.unparse(node)) in constants:
        return constants[name]
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ArgumentError(
            f"{text!r}: {ast.unparse(node)!r} is neither a literal nor a call such as LSTM(64)"
        ) from None
