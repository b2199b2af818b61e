"""Batches on their way to the devices, and where the state lies on them."""

from typing import Any

import jax
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from seqjax.batching import prefetch, to_devices
from seqjax.batching.prefetching import Ahead
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train.state import State

AHEAD = 16  # steps that the host may be ahead of the device, so that batches do not pile up


def feed(source: Any, start: int, stop: int, mesh: Mesh | None) -> Ahead:
    """The batches of the steps from `start` to `stop`, made ahead; on the mesh, if there is one, from all processes.

    Without a mesh they stay as the source makes them: a compiled step takes NumPy arrays in 20 us, where `device_put`
    of the four of a `Batch` takes 400 (2 CPU cores, busy, jax 0.10.2, 2026-11-22).
    """
    if jax.process_count() > 1 and callable(getattr(source, "batch", None)):
        source = _Mine(source)
    return prefetch(source, start, stop, transfer=lambda batch: batch if mesh is None else to_devices(batch, mesh))


class _Mine:
    """The rows of this process."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def batch(self, step: int) -> Any:
        return self._source.batch(step, jax.process_index(), jax.process_count())


def check_mesh(mesh: Any, specs: Any) -> None:
    """A mesh or None; specs need a mesh, several processes too.

    Raises:
        ArgumentError, ArgumentTypeError: otherwise.
    """
    if mesh is not None and not isinstance(mesh, Mesh):
        raise ArgumentTypeError(f"mesh must be a jax.sharding.Mesh or None, found {type(mesh).__name__}")
    if mesh is None and specs is not None:
        raise ArgumentError("specs say how parameters are divided over a mesh; pass mesh= too")
    if mesh is None and jax.process_count() > 1:
        raise ArgumentError(
            f"mesh must be given where {jax.process_count()} processes train together, "
            'as jax.make_mesh((jax.device_count(),), ("data",))'
        )


def placed(tree: Any, shardings: Any) -> Any:
    """The arrays where they belong; where several processes run, each gives the same."""
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)
    return jax.jit(lambda tree: tree, out_shardings=shardings)(tree)  # device_put does not take keys that far


def shardings_of(state: State, optimizer: Any, mesh: Mesh, specs: Any) -> State:
    """A sharding for each leaf of the state: parameters, and what the optimiser keeps for them, as `specs` say.

    A carry is divided as batches are, along the first axis of the mesh; all else is everywhere.

    Raises:
        ArgumentError: specs that do not fit the parameters.
    """
    everywhere = NamedSharding(mesh, PartitionSpec())
    rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
    wanted = PartitionSpec() if specs is None else specs
    try:
        spread = jax.tree.broadcast(wanted, state.params, is_leaf=lambda leaf: isinstance(leaf, PartitionSpec))
        params = jax.tree.map(lambda leaf, spec: NamedSharding(mesh, spec), state.params, spread)
        jax.tree.map(lambda leaf, sharding: sharding.shard_shape(leaf.shape), state.params, params)
    except Exception as error:  # jax raises several kinds of its own
        raise ArgumentError(
            f"specs must be a PartitionSpec, or a tree of them like the parameters, that {mesh} can follow: {error}"
        ) from error
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
