"""Batches on their way to the devices, and where the state lies on them."""

import functools
from typing import Any

import jax
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.tree_util import KeyPath

from seqjax._internal.types import PyTree
from seqjax.batching import prefetch, to_devices
from seqjax.batching.prefetching import Prefetcher
from seqjax.batching.source import Batches
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train.state import State

AHEAD = 16  # steps that the host may be ahead of the device, so that batches do not pile up


def feed(source: Batches, start: int, stop: int, mesh: Mesh | None) -> Prefetcher:
    """The batches of the steps from `start` to `stop`, made ahead; on the mesh, if there is one, from all processes.

    Without a mesh they stay as the source makes them: a compiled step takes NumPy arrays in 20 us, where `device_put`
    of the four of a `Batch` takes 400 (2 CPU cores, busy, jax 0.10.2, 2026-11-22).
    """
    if jax.process_count() > 1 and callable(getattr(source, "batch", None)):
        source = _Share(source)
    return prefetch(source, start, stop, transfer=lambda batch: batch if mesh is None else to_devices(batch, mesh))


class _Share:
    """The rows of this process."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def batch(self, step: int) -> PyTree:
        return self._source.batch(step, jax.process_index(), jax.process_count())


def check_mesh(mesh: object) -> None:
    """A mesh or None; several processes need one.

    Raises:
        ArgumentError, ArgumentTypeError: otherwise.
    """
    if mesh is not None and not isinstance(mesh, Mesh):
        raise ArgumentTypeError(f"mesh must be a jax.sharding.Mesh or None, found {type(mesh).__name__}")
    if mesh is None and jax.process_count() > 1:
        raise ArgumentError(
            f"mesh must be given where {jax.process_count()} processes train together, "
            'as jax.make_mesh((jax.device_count(),), ("data",))'
        )


def place(tree: PyTree, shardings: PyTree) -> PyTree:
    """The arrays where they belong; where several processes run, each gives the same."""
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)
    return jax.jit(lambda tree: tree, out_shardings=shardings)(tree)  # device_put does not take keys that far


def shardings_of(state: State, optimizer: optax.GradientTransformation, mesh: Mesh) -> State:
    """A sharding for each leaf of the state.

    Parameters that are divided over the mesh stay so, and what the optimiser and the average keep for them is divided
    alike. A carry is divided as batches are, along the first axis of the mesh; all else is everywhere.

    Raises:
        ArgumentError: parameters that are divided over another mesh.
    """
    everywhere = NamedSharding(mesh, PartitionSpec())
    rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
    params = jax.tree_util.tree_map_with_path(functools.partial(_sharding_of, mesh, everywhere), state.params)
    opt_state = optax.tree_map_params(
        optimizer,
        lambda leaf, param, sharding: sharding if leaf.shape == param.shape else everywhere,
        state.opt_state,
        state.params,
        params,
        transform_non_params=lambda leaf: everywhere,
    )
    rest = jax.tree.map(lambda leaf: everywhere, state)
    carry = jax.tree.map(lambda leaf: rows if leaf.ndim else everywhere, state.carry)
    ema = None if state.ema is None else params
    return rest._replace(params=params, opt_state=opt_state, carry=carry, ema=ema)


def _sharding_of(mesh: Mesh, everywhere: NamedSharding, path: KeyPath, leaf: jax.Array) -> NamedSharding:
    sharding = getattr(leaf, "sharding", None)
    if not isinstance(sharding, NamedSharding) or sharding.is_fully_replicated:
        return everywhere
    if sharding.mesh != mesh:
        raise ArgumentError(
            f"state: params{jax.tree_util.keystr(path)} is divided over {sharding.mesh}, but mesh is {mesh}. "
            "Divide the parameters over the mesh that is given to fit"
        )
    return sharding
