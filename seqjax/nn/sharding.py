"""Where the arrays of modules lie on a mesh of devices.

Each parameter names its axes (metadata `out_sharding`, which `nnx.get_partition_spec` reads too): "features", "heads",
"kv_heads", "head", "hidden", "vocabulary", "layers", ... `RULES` says on which axis of a mesh each lies.
"""

from typing import Any

import jax
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from seqjax._internal.types import PyTree
from seqjax.errors import ArgumentError, ArgumentTypeError

RULES = (("heads", "model"), ("kv_heads", "model"), ("hidden", "model"), ("vocabulary", "model"))
"""Names of axes and the axis of the mesh that they lie on (Shoeybi et al. 2019); all others are on every device."""


def shardings(tree: PyTree, mesh: Mesh, rules: tuple[tuple[str, str], ...] = RULES) -> PyTree:
    """A `NamedSharding` for each array of a module, of its `nnx.state`, of its gradients, or of an optimiser's state.

    Heads, hidden units and the vocabulary lie along the axis "model" of the mesh, so that each device has a part of
    each layer (tensor parallel); batches are put along "data" by `batch_sharding`. An axis that the number of devices
    does not divide, or for which the mesh has none, is left whole. Arrays without names are on every device.

    Args:
        tree: any tree with `nnx.Param` in it.
        mesh: such as `jax.make_mesh((2, 4), ("data", "model"))`. The shardings are of its axes as Auto ones, for which
            the compiler places what is between.
        rules: pairs of a name and an axis of the mesh, for others than `RULES`.

    Returns:
        The same tree with shardings for arrays: for `jax.device_put`, and `in_shardings` of `jax.jit`.

        >>> import jax
        >>> from flax import nnx
        >>> from seqjax.nn import FeedForward, shardings
        >>> mesh = jax.make_mesh((1, 1), ("data", "model"))
        >>> module = FeedForward(4, rngs=nnx.Rngs(0))
        >>> tuple(shardings(module, mesh).up.kernel.get_value().spec)
        (None, 'model')
        >>> module = jax.device_put(module, shardings(module, mesh))

    Raises:
        ArgumentTypeError: no mesh.
    """
    if not isinstance(mesh, Mesh):
        raise ArgumentTypeError(f"shardings: mesh must be a mesh of devices, as of jax.make_mesh, found {mesh!r}")
    axes, mesh = dict(rules), auto_mesh(mesh)

    def place(node: Any) -> Any:
        if not isinstance(node, nnx.Variable):
            return NamedSharding(mesh, PartitionSpec())
        names = node.get_metadata("out_sharding", None) or ()
        return jax.tree.map(lambda a: NamedSharding(mesh, spec_of(names, a.shape, axes, mesh)), node)

    return jax.tree.map(place, tree, is_leaf=lambda node: isinstance(node, nnx.Variable))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding of a batch `[B, ...]` over the axis "data" of a mesh.

        >>> import jax
        >>> from seqjax.nn import batch_sharding
        >>> tuple(batch_sharding(jax.make_mesh((1, 1), ("data", "model"))).spec)
        ('data',)

    Raises:
        ArgumentError: the mesh has no axis "data".
    """
    if "data" not in mesh.axis_names:
        raise ArgumentError(f"batch_sharding: the mesh has no axis 'data', but {mesh.axis_names}")
    return NamedSharding(auto_mesh(mesh), PartitionSpec("data"))


def auto_mesh(mesh: Mesh) -> Mesh:
    """The mesh with axes of the type Auto, whatever it was made with."""
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def spec_of(names: tuple[str | None, ...], shape: tuple[int, ...], axes: dict[str, str], mesh: Mesh) -> PartitionSpec:
    """The part of the mesh for each axis; each axis of the mesh is used once."""
    parts: list[str | None] = []
    for name, size in zip(names, shape):
        axis = axes.get(name or "")
        fits = axis in mesh.axis_names and size % mesh.shape[axis] == 0 and axis not in parts
        parts.append(axis if fits else None)
    return PartitionSpec(*parts)
