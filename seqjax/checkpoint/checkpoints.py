"""Checkpoints of a training run: complete or not there, checked when read, the newest kept.

A folder of checkpoints holds one folder a step:

    step-20/
      checkpoint.json     format, step, cell, in_features, meta, kinds of assets, name, dtype and shape of leaves
      assets/*.json       vocabularies, scalers and the like, a file each
      arrays/             the arrays, written by Orbax
      manifest.txt        sha256, size and name of each of these files, and of the lines above

It is written under a hidden name, brought to the disk, and moved; so a process killed at any moment, the machine too,
leaves every step whose `save` has returned, and no other that looks like one. No pickle is written or read.
"""

import logging
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from seqjax._internal.types import PyTree
from seqjax._internal.validation import whole_number
from seqjax.checkpoint import _folders as folders
from seqjax.checkpoint._arrays import read_arrays, write_arrays
from seqjax.checkpoint._assets import check_same_assets, encode_assets, list_kinds, read_texts, write_assets
from seqjax.checkpoint._cell import check_same_cell, check_text
from seqjax.checkpoint._json import encode
from seqjax.checkpoint._leaves import Leaf, compare, describe
from seqjax.checkpoint._lock import Lock
from seqjax.checkpoint._lookup import (
    FORMAT,
    Entry,
    find_newest,
    is_checkpoint,
    list_entries,
    read_header,
    readable_checkpoints,
)
from seqjax.checkpoint._parameters import locate_parameters, make_shapes, make_structure
from seqjax.checkpoint._processes import broadcast_from_first, run_on_all, run_on_first
from seqjax.core.cell import Cell
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError, SeqjaxError

logger = logging.getLogger("seqjax")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints in a folder, for `train.fit(..., checkpoints=...)` or a loop of one's own.

    Args:
        folder: made by the first `save`. With several processes, one that all of them see.
        every: steps from one checkpoint of `fit` to the next; from evaluation to evaluation where None.
        keep: how many of the newest steps are kept, 1 or more.
        cell: saved as text beside the arrays, so that `load(folder)` gives cell and parameters back without code. A
            checkpoint of another cell is not restored.
        in_features: number of features of one input of the cell, 0 for tokens; as it was given to `cell.init`.
        assets: what the model needs beside its parameters, by name: `Vocabulary`, `Tokenizer`, `Scaler`, JSON values.
            A checkpoint with others is not restored. Where None, those of the folder's newest checkpoint are kept.

    Raises:
        ArgumentError, ArgumentTypeError: an option that cannot be right.

    Examples:
        >>> import jax.numpy as jnp
        >>> from seqjax.checkpoint import Checkpoints
        >>> checkpoints = Checkpoints("run", keep=2)
        >>> for step in range(1, 4):
        ...     checkpoints.save(step, {"x": jnp.full(2, step), "n": step}, {"loss": 1 / step})
        >>> checkpoints.steps(), checkpoints.latest()
        ([2, 3], 3)
        >>> step, tree, meta = checkpoints.restore({"x": jnp.zeros(2, int), "n": 0}, step=2)
        >>> tree["x"].tolist(), tree["n"], meta
        ([2, 2], 2, {'loss': 0.5})
    """

    folder: Path | str
    _: KW_ONLY
    every: int | None = None
    keep: int = 3
    cell: Cell | None = None
    in_features: int = 0
    assets: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.folder, (str, Path)) or not str(self.folder):
            raise ArgumentTypeError(f"folder must be a path, found {self.folder!r}")
        # Absolute, so that a later change of the working directory does not move it.
        object.__setattr__(self, "folder", Path(self.folder).expanduser().absolute())
        for name, least in (("every", 1), ("keep", 1), ("in_features", 0)):
            if (value := getattr(self, name)) is not None or name != "every":
                object.__setattr__(self, name, whole_number(name, value, least))
        encode_assets(self.assets or {})
        if self.cell is not None:
            check_text("cell", self.cell)
            make_shapes(self.cell, self.in_features)  # now, not when the first checkpoint is due

    @property
    def path(self) -> Path:
        """The folder, absolute."""
        return Path(self.folder)

    def save(self, step: int, tree: PyTree, meta: dict[str, Any] | None = None) -> None:
        """Save a tree under a step: on the disk when this returns, and the steps beyond `keep` gone.

        tree: any nesting of arrays (JAX's and NumPy's, of any number dtype), keys, int, float, bool, str and None.
            With several processes every one of them calls; arrays that are not global are those of the first. With a
            cell, its parameters are at "params", or at "params" in "state", as `fit` saves them.
        meta: a dict of JSON values, nan and infinity included. Not changed in any way: a tuple is refused.

        A step saved again takes the place of the former one, which stays until the new one is complete.

        Raises:
            ArgumentError, ArgumentTypeError: a leaf or meta that cannot come back as it was, parameters of another
                cell, a folder that holds a later step, or into which another process is saving.
            DataError: the folder cannot be written or the disk is full. What was saved before is untouched.
        """
        _check_step(step)
        leaves = describe("tree", tree)
        header, assets = self._header(step, leaves, {} if meta is None else meta), encode_assets(self.assets or {})
        token = f"{broadcast_from_first([secrets.randbits(31)])[0]:08x}"  # so that all processes fill one folder
        part = self.path / f".step-{step}.{token}.part"
        locks: list[Lock] = []
        try:
            run_on_first(lambda: locks.append(self._begin(step, part)))
            run_on_all(lambda: write_arrays(_check_visible(part) / "arrays", tree, leaves))
            run_on_first(lambda: self._finish(step, part, header, assets))
            run_on_first(lambda: self._remove_old(step, token))
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
        """The steps that are there and complete, by the name and size of every file, in order.

        Arrays are not read for it: a changed bit in one is found by `restore` alone.
        """
        return sorted({entry.step for entry in readable_checkpoints(self.path)})

    def latest(self) -> int | None:
        """The last of `steps`; None where no checkpoint was ever saved.

        Raises:
            DataError: there are checkpoints, but none that can be read: to begin anew would be to lose them.
        """
        steps = self.steps()
        if not steps and list_entries(self.path):
            find_newest(self.path)
        return max(steps, default=None)

    def restore(self, template: PyTree, step: int | None = None) -> tuple[int, PyTree, dict[str, Any]]:
        """Step, tree and meta of a checkpoint; the newest that can be read where `step` is None.

        The tree has the structure of `template`, and each leaf its type, dtype, shape and place (sharding), which
        need not be the place it was saved from. The values of the template do not matter: `jax.ShapeDtypeStruct`
        will do for arrays. A newer checkpoint that is damaged is skipped, and logged as a warning of "seqjax".

        Raises:
            ArgumentError, ArgumentTypeError: the cell or an asset is another, or the template differs in a leaf, a
                shape or a dtype, which is named.
            DataError: there is nothing that can be read; with all that was found, and why not.
        """
        if step is not None:
            _check_step(step)
        wanted = describe("template", template, template=True)
        path, header = find_newest(self.path, step)
        if self.cell is not None:
            check_same_cell(path, header["cell"], self.cell)
        if self.assets is not None:
            check_same_assets(path, header["assets"], self.assets)
        saved = [Leaf(*row) for row in header["leaves"]]
        compare(path, saved, wanted)
        place = {leaf.path: (i, leaf) for i, leaf in enumerate(saved)}
        tree = read_arrays(path / "arrays", template, [place[leaf.path] for leaf in wanted])
        return header["step"], tree, header["meta"]

    def _header(self, step: int, leaves: list[Leaf], meta: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(meta, dict):
            raise ArgumentTypeError(f"meta must be a dict, found {type(meta).__name__} {meta!r}")
        encode("meta", meta)  # so that a message names the place in meta
        if self.cell is not None:
            self._check_parameters(self.cell, leaves, meta)
        return {
            "format": FORMAT,
            "step": step,
            "cell": None if self.cell is None else repr(self.cell),
            "in_features": self.in_features,
            "assets": list_kinds(self.assets or {}),
            "leaves": [list(leaf) for leaf in leaves],
            "meta": meta,
        }

    def _check_parameters(self, cell: Cell, leaves: list[Leaf], meta: dict[str, Any]) -> None:
        for name, numbered in locate_parameters(leaves, meta).items():
            make_structure(cell, self.in_features, {p: x for p, (_, x) in numbered.items()}, f"the {name} params")

    def _begin(self, step: int, part: Path) -> Lock:
        if is_checkpoint(self.path):
            raise ArgumentError(f"{self.path} is one checkpoint; name the folder that holds it, {self.path.parent}")
        folders.make_folder(self.path)
        lock = Lock(self.path)  # before anything is looked at, so that nobody changes it meanwhile
        try:
            folders.remove_leftovers(self.path)
            later = [e for e in list_entries(self.path) if e.step > step and folders.find_damage(e.path) is None]
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

    def _finish(self, step: int, part: Path, header: dict[str, Any], assets: dict[str, str]) -> None:
        before = readable_checkpoints(self.path) if self.assets is None else []
        if before:  # so that a model keeps its vocabulary when a training is gone on with by code that has none
            kinds = read_header(before[0].path)["assets"]
            header, assets = header | {"assets": kinds}, read_texts(before[0].path, kinds)
        (part / folders.HEADER).write_bytes(encode("checkpoint", header).encode())
        write_assets(part, assets)
        folders.write_manifest(part)
        versions = [entry.version for entry in list_entries(self.path) if entry.step == step]
        folders.publish(part, Entry.of(self.path, step, max(versions) + 1 if versions else 0).path)

    def _remove_old(self, step: int, token: str) -> None:
        """Remove what is older than the newest `keep`; what cannot be removed is logged.

        What is damaged goes too when the run has come by; what was never a checkpoint of ours stays.
        """
        good = [entry for entry in readable_checkpoints(self.path) if entry.step <= step]
        kept = sorted({entry.step for entry in good}, reverse=True)[: self.keep]
        newest = {entry.step: entry for entry in reversed(good) if entry.step in kept}
        for entry in list_entries(self.path):
            if entry.step <= step and newest.get(entry.step) != entry and is_checkpoint(entry.path):
                try:
                    folders.remove(entry.path, token)
                except OSError as error:
                    logger.warning("%s is no longer needed, but cannot be removed: %s", entry.path, error)


def _check_visible(part: Path) -> Path:
    if not part.is_dir():
        raise DataError(f"{part.parent} is not the folder that the first process writes. Name one that all can see")
    return part


def _check_step(step: object) -> None:
    if type(step) is not int:
        raise ArgumentTypeError(f"step must be an int, found {type(step).__name__} {step!r}. Write int(step)")
    if not 0 <= step < 2**31:
        raise ArgumentError(f"step must be in [0, 2**31), found {step}")
