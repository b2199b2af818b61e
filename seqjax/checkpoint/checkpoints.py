"""Checkpoints of a training run: whole or not there, checked when read, the newest and the best kept.

A folder of checkpoints holds one folder a step:

    step-20/
      checkpoint.json     format, step, cell, the name, dtype and shape of every leaf, meta
      arrays/             the arrays, written by Orbax
      manifest.txt        sha256, size and name of each of these files

It is written under a hidden name, brought to the disk, and moved; so a process killed at any moment, the machine too,
leaves every step whose `save` has returned, and no other that looks like one. No pickle is written or read.
"""

import logging
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqjax.checkpoint import _files as files
from seqjax.checkpoint import _tree as trees
from seqjax.checkpoint._cell import same_cell, text_of
from seqjax.checkpoint._find import FORMAT, best_of, find, one_checkpoint, whole
from seqjax.checkpoint._json import encode
from seqjax.checkpoint._together import from_first, together
from seqjax.core.cell import Cell
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError, SeqjaxError

logger = logging.getLogger("seqjax")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints in a folder: `Checkpoints("runs/a/checkpoints", keep=3, best=("lower", "loss"))`.

    Args:
        folder: made by the first `save`. With several processes, one that all of them see.
        keep: how many of the newest steps are kept, 1 or more.
        best: None, or ("lower" | "higher", name): the step whose meta[name] is the lowest or highest is kept too.
        cell: kept as text beside the arrays, so that `load(folder)` gives cell and parameters back without code. A
            checkpoint of another cell is not restored.

    Raises:
        ArgumentError, ArgumentTypeError: an option that cannot be right.
    """

    folder: Path | str
    keep: int = 3
    best: tuple[str, str] | None = None
    cell: Cell | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.folder, (str, Path)) or not str(self.folder):
            raise ArgumentTypeError(f"folder must be a path, found {self.folder!r}")
        object.__setattr__(self, "folder", Path(self.folder).expanduser().absolute())
        if type(self.keep) is not int or self.keep < 1:
            raise ArgumentError(f"keep must be a whole number above 0, found {self.keep!r}")
        if self.best is not None and not _is_best(self.best):
            raise ArgumentError(f'best must be None, ("lower", name) or ("higher", name), found {self.best!r}')
        if self.cell is not None:
            text_of("cell", self.cell)

    @property
    def path(self) -> Path:
        """The folder, absolute."""
        return Path(self.folder)

    def save(self, step: int, tree: Any, meta: dict[str, Any] | None = None) -> None:
        """Keep a tree under a step: on the disk when this returns, and the steps beyond `keep` and `best` gone.

        tree: any nesting of arrays (JAX's and NumPy's, of any number dtype), keys, int, float, bool, str and None.
            With several processes every one of them calls; arrays that are not global are those of the first.
        meta: a dict of JSON values, nan and infinity included. Not changed in any way: a tuple is refused.

        A step saved again takes the place of the former one, which stays until the new one is whole.

        Raises:
            ArgumentError, ArgumentTypeError: a leaf or meta that cannot come back as it was, a folder that holds a
                later step, or into which another process is saving.
            DataError: the folder cannot be written or the disk is full. What was saved before is untouched.
        """
        _check_step(step)
        leaves = trees.describe("tree", tree)
        header = self._header(step, leaves, {} if meta is None else meta)
        token = f"{from_first([secrets.randbits(31)])[0]:08x}"
        part = self.path / f".step-{step}.{token}.part"
        locks: list[files.Lock] = []
        try:
            together(lambda: locks.append(self._begin(step, part)), first=True)
            together(lambda: trees.write(_visible(part) / "arrays", tree, leaves))
            together(lambda: self._finish(step, part, header), first=True)
            together(lambda: self._retire(step, token), first=True)
        except SeqjaxError:
            raise
        except Exception as error:  # Orbax raises ValueError for a full disk
            reason = getattr(error, "strerror", None) or str(error)
            raise DataError(
                f"{self.path} cannot be written: {reason}. Is there room, and may it be written?"
            ) from error
        finally:
            for lock in locks:
                shutil.rmtree(part, ignore_errors=True)
                lock.free()

    def steps(self) -> list[int]:
        """The steps that are there and whole, by the name and size of every file, in order.

        Arrays are not read for it: a changed bit in one is found by `restore` alone.
        """
        return sorted({entry.step for entry in whole(self.path)})

    def latest(self) -> int | None:
        """The last of `steps`; None where no checkpoint was ever saved.

        Raises:
            DataError: there are checkpoints, but none that can be read: to begin anew would be to lose them.
        """
        steps = self.steps()
        if not steps and files.entries(self.path):
            find(self.path)
        return max(steps, default=None)

    def best_step(self) -> int | None:
        """The step of the best meta[name] so far; None before the first, or where `best` is None."""
        return None if self.best is None else best_of(self.best, whole(self.path))

    def restore(self, template: Any, step: int | None = None) -> tuple[int, Any, dict[str, Any]]:
        """Step, tree and meta of a checkpoint; the newest that can be read where `step` is None.

        The tree has the structure of `template`, and each leaf its type, dtype, shape and place (sharding), which
        need not be the place it was saved from. The values of the template do not matter: `jax.ShapeDtypeStruct`
        will do for arrays. A newer checkpoint that is damaged is skipped, and logged as a warning of "seqjax".

        Raises:
            ArgumentError, ArgumentTypeError: the cell is another, or the template differs in a leaf, a shape or a
                dtype, which is named.
            DataError: there is nothing that can be read; with all that was found, and why not.
        """
        if step is not None:
            _check_step(step)
        wanted = trees.describe("template", template, template=True)
        path, header = find(self.path, step)
        if self.cell is not None:
            same_cell(path, header["cell"], self.cell)
        kept = [trees.Leaf(*row) for row in header["leaves"]]
        trees.compare(path, kept, wanted)
        place = {leaf.path: (i, leaf) for i, leaf in enumerate(kept)}
        tree = trees.read(path / "arrays", template, [place[leaf.path] for leaf in wanted])
        return header["step"], tree, header["meta"]

    def _header(self, step: int, leaves: list[trees.Leaf], meta: dict[str, Any]) -> bytes:
        if not isinstance(meta, dict):
            raise ArgumentTypeError(f"meta must be a dict, found {type(meta).__name__} {meta!r}")
        if self.best is not None and type(meta.get(self.best[1], "")) not in (int, float, type(None)):
            raise ArgumentError(
                f"best={self.best!r}: meta must have {self.best[1]!r}, a number (None where it was not measured), "
                f"found {meta!r}"
            )
        encode("meta", meta)  # so that a message names the place in meta
        cell = None if self.cell is None else repr(self.cell)
        rows = [list(leaf) for leaf in leaves]
        header = {"format": FORMAT, "step": step, "cell": cell, "leaves": rows, "meta": meta}
        return encode("checkpoint", header).encode()

    def _begin(self, step: int, part: Path) -> files.Lock:
        if one_checkpoint(self.path):
            raise ArgumentError(f"{self.path} is one checkpoint; name the folder that holds it, {self.path.parent}")
        files.make(self.path)
        lock = files.Lock(self.path)
        try:
            files.sweep(self.path)
            later = [e for e in files.entries(self.path) if e.step > step and files.flaw(e.path) is None]
            if later:
                raise ArgumentError(
                    f"step {step} comes before step {later[0].step} in {self.path}. Going on from an older step, or "
                    "another run? Save into another folder, or delete the later steps"
                )
            part.mkdir()
        except BaseException:
            lock.free()
            raise
        return lock

    def _finish(self, step: int, part: Path, header: bytes) -> None:
        (part / files.HEADER).write_bytes(header)
        files.seal(part)
        again = [entry.again for entry in files.entries(self.path) if entry.step == step]
        part.rename(files.Entry.of(self.path, step, max(again) + 1 if again else 0).path)
        files.sync(self.path)

    def _retire(self, step: int, token: str) -> None:
        """Remove what is older than the newest `keep`, but for the best; what cannot be removed is logged.

        What is damaged goes too when the run has come by; what was never a checkpoint of ours stays.
        """
        good = [entry for entry in whole(self.path) if entry.step <= step]
        kept: set[int | None] = set(sorted({entry.step for entry in good}, reverse=True)[: self.keep])
        if self.best is not None:
            kept |= {best_of(self.best, good)}
        newest = {entry.step: entry for entry in reversed(good) if entry.step in kept}
        for entry in files.entries(self.path):
            if entry.step <= step and newest.get(entry.step) != entry and one_checkpoint(entry.path):
                try:
                    files.remove(entry.path, token)
                except OSError as error:
                    logger.warning("%s is no longer needed, but cannot be removed: %s", entry.path, error)


def _visible(part: Path) -> Path:
    if not part.is_dir():
        raise DataError(f"{part.parent} is not the folder that the first process writes. Name one that all can see")
    return part


def _is_best(best: Any) -> bool:
    return isinstance(best, tuple) and len(best) == 2 and best[0] in ("lower", "higher") and isinstance(best[1], str)


def _check_step(step: Any) -> None:
    if type(step) is not int:
        raise ArgumentTypeError(f"step must be an int, found {type(step).__name__} {step!r}. Write int(step)")
    if not 0 <= step < 2**31:
        raise ArgumentError(f"step must be in [0, 2**31), found {step}")
