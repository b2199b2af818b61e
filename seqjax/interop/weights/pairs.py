"""Names, layouts and shapes: which parameter of a module is which tensor of another library.

A `Pair` says it for one parameter, both ways. A list of pairs is all that differs between the families; checks and
copies are the same for all, and nothing is computed, so that there and back gives the same bits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from seqjax.errors import ArgumentError, closest

LAYER = "{}"  # in the name of a tensor: the number of the layer; the parameter has all layers on its first axis


@dataclass(frozen=True)
class Pair:
    """A parameter of a module and the tensor that holds it, or one of equal `parts` of it along its output axis.

    The first `inputs` axes of the parameter are the rows of a matrix [in, out], the others its columns; `transposed`
    says that the tensor is [out, in]. A parameter with no input axis is a vector; None says that both have one shape.
    """

    ours: str
    theirs: str
    inputs: int | None = None
    transposed: bool = False
    part: int = 0
    parts: int = 1

    def shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of their tensor, given that of the parameter (of one layer)."""
        if self.inputs is None:
            return tuple(shape)
        columns = prod(shape[self.inputs :]) * self.parts
        matrix = (prod(shape[: self.inputs]), columns) if self.inputs else (columns,)
        return matrix[::-1] if self.transposed else matrix

    def to_ours(self, tensor: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """The parameter of one layer, from their tensor."""
        if self.inputs is None:
            return tensor
        matrix = tensor.T if self.transposed else tensor
        return np.split(matrix, self.parts, axis=-1)[self.part].reshape(shape)

    def to_theirs(self, array: np.ndarray) -> np.ndarray:
        """Their tensor, or the part of it that this parameter is: [in, out / parts], not yet transposed."""
        if self.inputs is None:
            return array
        return array.reshape((prod(array.shape[: self.inputs]), -1) if self.inputs else (-1,))


def packed(ours: Iterable[str], theirs: str, inputs: int = 0, transposed: bool = False) -> list[Pair]:
    """The pairs of parameters that lie beside each other in one tensor: queries, keys and values."""
    names = list(ours)
    return [Pair(name, theirs, inputs, transposed, part, len(names)) for part, name in enumerate(names)]


def linear(ours: str, theirs: str, *, bias: bool = True, inputs: int = 1) -> list[Pair]:
    """The pairs of torch's `Linear`, whose weight is [out, in]."""
    kernel = Pair(f"{ours}/kernel", f"{theirs}.weight", inputs, transposed=True)
    return [kernel, Pair(f"{ours}/bias", f"{theirs}.bias", 0)] if bias else [kernel]


def norm(ours: str, theirs: str, *, bias: bool = True) -> list[Pair]:
    """The pairs of a norm: scale and bias."""
    return [Pair(f"{ours}/scale", f"{theirs}.weight"), *([Pair(f"{ours}/bias", f"{theirs}.bias")] if bias else [])]


def parameters(module: nnx.Module) -> dict[str, Any]:
    """The arrays of a module by path: `blocks/attention/query/kernel`."""
    flat: Any = nnx.to_flat_state(nnx.state(module, nnx.Param))
    return {"/".join(map(str, path)): value.get_value() for path, value in flat}


def shapes_of(module: nnx.Module) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters of a module, which may be one of `nnx.eval_shape`."""
    return {name: tuple(value.shape) for name, value in parameters(module).items()}


def with_parameters(module: nnx.Module, arrays: Mapping[str, np.ndarray]) -> Any:
    """A module like this, which may be one of `nnx.eval_shape`, with copies of these arrays for its parameters."""
    graph, state, *others = nnx.split(module, nnx.Param, ...)
    flat: Any = nnx.to_flat_state(state)
    filled = {path: value.replace(jnp.array(arrays["/".join(map(str, path))])) for path, value in flat}
    return nnx.merge(graph, nnx.from_flat_state(filled), *others)


def read(
    source: str, pairs: Sequence[Pair], shapes: Mapping[str, Sequence[int]], tensors: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The parameters of these shapes, from tensors; `source` is where they come from, for messages.

    Raises:
        ArgumentError: tensors are missing, unexpected, of another shape, or no floats that JAX holds now.
    """
    layers = {pair.ours: shapes[pair.ours][0] if LAYER in pair.theirs else None for pair in pairs}
    if (most := max(filter(None, layers.values()), default=0)) > len(tensors):  # before all their names are made
        raise ArgumentError(
            f"{source} lacks most tensors: found {len(tensors)}, fewer than the {most} layers of the model"
        )
    wanted = _wanted(pairs, shapes, layers)
    _check_names(source, wanted, tensors)
    for name, shape in wanted.items():
        _check_tensor(source, name, shape, tensors[name])
    arrays = {}
    for pair in pairs:
        count, shape = layers[pair.ours], tuple(shapes[pair.ours])
        if count is None:
            arrays[pair.ours] = pair.to_ours(np.asarray(tensors[pair.theirs]), shape)
        else:
            each = [pair.to_ours(np.asarray(tensors[pair.theirs.format(i)]), shape[1:]) for i in range(count)]
            arrays[pair.ours] = np.stack(each)
    return arrays


def write(pairs: Sequence[Pair], arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Their tensors by name, from the parameters: what `read` reads."""
    parts: dict[str, list[np.ndarray]] = {}
    transposed = set()
    for pair in pairs:
        array = np.asarray(arrays[pair.ours])
        for i, each in enumerate(array if LAYER in pair.theirs else array[None]):
            parts.setdefault(pair.theirs.format(i), []).append(pair.to_theirs(each))
            transposed |= {pair.theirs.format(i)} if pair.transposed else set()
    whole = {name: np.concatenate(each, axis=-1) for name, each in parts.items()}
    return {name: np.ascontiguousarray(array.T if name in transposed else array) for name, array in whole.items()}


def _wanted(
    pairs: Sequence[Pair], shapes: Mapping[str, Sequence[int]], layers: Mapping[str, int | None]
) -> dict[str, tuple[int, ...]]:
    """The shapes of their tensors by name."""
    if forgotten := shapes.keys() ^ {pair.ours for pair in pairs}:
        raise ArgumentError(f"the module and the names known for it differ in the parameters {sorted(forgotten)}")
    wanted = {}
    for pair in pairs:
        count, shape = layers[pair.ours], tuple(shapes[pair.ours])
        for i in range(1 if count is None else count):
            wanted[pair.theirs.format(i)] = pair.shape(shape if count is None else shape[1:])
    return wanted


def _check_names(source: str, wanted: Mapping[str, object], tensors: Mapping[str, object]) -> None:
    if missing := sorted(wanted.keys() - tensors.keys()):
        others = sorted(tensors.keys() - wanted.keys())
        hint = closest(missing[0], others[:200]) if others else ""
        raise ArgumentError(f"{source} lacks {len(missing)} tensors: {few(missing)}.{hint if len(others) < 20 else ''}")
    if unexpected := sorted(tensors.keys() - wanted.keys()):
        raise ArgumentError(
            f"{source} holds {len(unexpected)} tensors that the model has no place for: {few(unexpected)}. "
            "Is it another architecture, or has it more layers than its configuration says?"
        )


def _check_tensor(source: str, name: str, shape: tuple[int, ...], tensor: Any) -> None:
    if tuple(tensor.shape) != shape:
        raise ArgumentError(f"{source}: {name} must have the shape {shape}, found {tuple(tensor.shape)}")
    dtype = np.dtype(tensor.dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ArgumentError(f"{source}: {name} must hold floats, found {dtype}. Quantised weights cannot be read")
    if dtype.itemsize > 4 and not jax.config.read("jax_enable_x64"):
        raise ArgumentError(
            f"{source}: {name} is {dtype}, which JAX would narrow to float32 now. "
            "Call jax.config.update('jax_enable_x64', True) first, or pass float32"
        )


def few(names: Sequence[str]) -> str:
    """Names for a message, at most five."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
