"""The values of a `config.json`: read with their defaults, and refused where the modules here have no such option."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqjax.errors import ArgumentError, closest

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
"""Their names of activations, and ours; of two with one meaning the first is written."""


@dataclass(frozen=True)
class Config:
    """A configuration as it was read, with its file for messages."""

    values: Mapping[str, Any]
    source: str

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number above 0; without it or with null the default.

        Raises:
            ArgumentError: it is missing and has no default, or is something else.
        """
        value = self.values.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(f"{self.source}: {name} must be a whole number above 0, found {value!r}")
        return value

    def number(self, name: str, default: float) -> float:
        """A number above 0.

        Raises:
            ArgumentError: it is something else.
        """
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise ArgumentError(f"{self.source}: {name} must be a number above 0, found {value!r}")
        return float(value)

    def choice(self, name: str, default: str, known: Mapping[str, str]) -> str:
        """What a name of theirs is called here.

        Raises:
            ArgumentError: a name that nothing here stands for.
        """
        value = self.values.get(name, default)
        if not isinstance(value, str) or value not in known:
            raise ArgumentError(f"{self.source}: {name} {value!r} is not supported.{closest(str(value), known)}")
        return known[value]

    def flag(self, name: str, default: bool) -> bool:
        """True or False.

        Raises:
            ArgumentError: it is neither.
        """
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise ArgumentError(f"{self.source}: {name} must be true or false, found {value!r}")
        return value

    def refuse_unless(self, **only: object) -> None:
        """Refuse options that would change the results and that the modules here do not have.

        Raises:
            ArgumentError: one has another value than the one that is supported.
        """
        for name, value in {**only, **NEVER}.items():
            found = self.values.get(name, value)
            if found not in (value, None) and not (found in ({}, []) and value is None):
                raise ArgumentError(f"{self.source}: {name} {found!r} is not supported, expected {value!r}")


def unless(value: int, usual: int) -> int | None:
    """None for the usual width, as a style has it by default."""
    return None if value == usual else value


NEVER = {"quantization_config": None, "pruned_heads": None, "is_decoder": False, "add_cross_attention": False}


def theirs(activation: str) -> str:
    """The name that transformers has for an activation.

    Raises:
        ArgumentError: it has none.
    """
    name = next((name for name, ours in ACTIVATIONS.items() if ours == activation), None)
    if name is None:
        raise ArgumentError(
            f"transformers has no activation {activation!r} for this model.{closest(activation, ACTIVATIONS.values())}"
        )
    return name
