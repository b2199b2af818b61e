"""A cell made of several parts, each with parameters and a carry of its own under its name."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Carry, DTypeLike, Key, Params, PyTree, Shape
from seqjax._internal.validation import check_given, check_key
from seqjax.core.cell import Cell, Limit
from seqjax.core.start import init_params, start_carry


class Composite(Cell):
    """What a stack and the two directions have in common; a subclass says what its parts are and runs them."""

    @property
    def parts(self) -> dict[str, Cell]:
        """The cells by name, in order."""
        raise TypeError(f"{type(self).__name__} must define parts")

    def part_inputs(self, in_features: int | None) -> dict[str, int | None]:
        """The features that each part gets."""
        raise TypeError(f"{type(self).__name__} must define part_inputs(in_features)")

    def split_carry(self, carry: Carry) -> dict[str, Carry]:
        """The carry of each part."""
        raise TypeError(f"{type(self).__name__} must define split_carry(carry)")

    def join_carries(self, carries: dict[str, Carry]) -> Carry:
        """One carry of those of all parts."""
        raise TypeError(f"{type(self).__name__} must define join_carries(carries)")

    @property
    def feature_axes(self) -> Any:
        return self._first.feature_axes

    @property
    def asks(self) -> frozenset[str]:
        return frozenset().union(*(part.asks for part in self.parts.values()))

    @property
    def uniform(self) -> bool:
        return all(part.uniform for part in self.parts.values())

    @property
    def narrow(self) -> bool:
        return any(part.narrow for part in self.parts.values())

    @property
    def _first(self) -> Cell:
        return next(iter(self.parts.values()))

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """A dict with the parameters of each part, under its name."""
        keys, inputs = self._split_key(key), self.part_inputs(in_features)
        return {name: init_params(part, keys[name], inputs[name], dtype) for name, part in self.parts.items()}

    def initial_carry(self, params: Params, batch_shape: Shape = (), **given: PyTree) -> Carry:
        """The carry of each part; a key is split, and `in_features` are those of each part's own input."""
        check_given(self, given)
        key, inputs = given.get("key"), self.part_inputs(given.get("in_features"))
        keys = dict.fromkeys(self.parts) if key is None else self._split_key(key)
        carries = {}
        for name, part in self.parts.items():
            own = given | {"key": keys[name], "in_features": inputs[name]}
            carries[name] = start_carry(part, params[name], batch_shape, **own)
        return self.join_carries(carries)

    def _split_key(self, key: Key[jax.Array, ""]) -> dict[str, Key[jax.Array, ""]]:
        check_key(self, key)
        return dict(zip(self.parts, jax.random.split(key, len(self.parts))))

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        """Each part's own."""
        carries = self.split_carry(carry)
        return self.join_carries(
            {name: part.restart(params[name], carries[name], batch_shape) for name, part in self.parts.items()}
        )

    def check_input(self, xs: PyTree, mask: Bool[Array, "..."] | None, values: bool) -> None:
        self._first.check_input(xs, mask, values)

    def limits(self, carry: Carry | None) -> Iterator[Limit]:
        carries = dict.fromkeys(self.parts) if carry is None else self.split_carry(carry)
        for name, part in self.parts.items():
            yield from part.limits(carries[name])
