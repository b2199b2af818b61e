"""What a training asks of the objects that are given to it; any that have these methods will do."""

from typing import Any, Protocol, runtime_checkable

from seqjax._internal.types import PyTree


@runtime_checkable
class Store(Protocol):
    """Where checkpoints are kept, as `seqjax.train.Checkpoints`."""

    def save(self, step: int, tree: PyTree, meta: dict[str, Any] | None = None) -> None:
        """Keep a tree and a dict of JSON values."""

    def latest(self) -> int | None:
        """The newest step that was kept."""

    def restore(self, template: PyTree) -> tuple[int, PyTree, dict[str, Any]]:
        """Step, tree and dict of the newest; an `ArgumentError` where the template has other leaves."""
