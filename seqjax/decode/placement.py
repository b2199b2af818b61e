"""On which devices the arrays of a request lie, where their types say so: on a mesh of explicit axes."""

from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from seqjax.decode.request import Request


def find_explicit(request: Request) -> tuple[AbstractMesh, tuple[str, ...], PartitionSpec] | None:
    """The mesh, its explicit axes, and how rows are spread over them; None where no array lies on such a mesh.

    A prompt may be an array of NumPy, which lies nowhere, beside a memory that is sharded by rows.
    """
    by_rows = _shardings((request.prompt, request.lengths, request.carry))
    for sharding in (*by_rows, *_shardings((request.params, request.key))):
        mesh = sharding.mesh
        axes = tuple(name for name, kind in zip(mesh.axis_names, mesh.axis_types) if kind is AxisType.Explicit)
        if axes:
            rows = (sharding.spec[0] for sharding in by_rows if len(sharding.spec) and sharding.spec[0] is not None)
            return mesh, axes, PartitionSpec(next(rows, None))
    return None


def _shardings(tree: Any) -> list[Any]:
    return [jax.typeof(leaf).sharding for leaf in jax.tree.leaves(tree)]
