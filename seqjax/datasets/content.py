"""What a data set holds: splits of inputs and targets, and names for the numbers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqjax._internal.validation import whole_number
from seqjax.batching.order import permutation
from seqjax.batching.ragged import Ragged
from seqjax.errors import ArgumentError, ArgumentTypeError

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Examples side by side.

    inputs: `[n, T, ...]` where all have one length, else `Ragged`; texts are `Ragged` of UTF-8 bytes.
    targets: one for each example `[n]`, or `Ragged` (tags, translations, names); None where the sequence
        itself is what is predicted.
    groups: int32 `[n]`, where each example comes from (a speaker, a fold, a genre); None where nothing is known.

    >>> split = Split(Ragged.of(["to be", "or", "not"]), np.array([1, 0, 0]))
    >>> split
    <Split: 3 examples; inputs: <Ragged: 3 sequences, 10 steps, uint8[T]>; targets: int64[3]; groups: None>
    >>> split[1:].inputs.texts()
    ['or', 'not']
    """

    inputs: Any
    targets: Any = None
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("targets", "groups"):
            part = getattr(self, name)
            if part is not None and len(part) != len(self.inputs):
                raise ArgumentError(f"{name} has {len(part)} examples, expected {len(self.inputs)} as in inputs")

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: slice | np.ndarray) -> "Split":
        """The examples of a slice or an array of numbers, as in `train[:-5000]`."""
        if isinstance(index, (int, np.integer)):
            raise ArgumentError(f"a split is cut by a slice or an array: split[{index}:{index + 1}]")
        parts = [None if part is None else part[index] for part in (self.inputs, self.targets, self.groups)]
        return Split(*parts)

    def hold_out(self, count: int, seed: int = 0) -> tuple["Split", "Split"]:
        """The split without `count` examples, and these; chosen at random, as many files are sorted by class.

        >>> split = Split(np.zeros((100, 8, 3)), np.arange(100))
        >>> train, valid = split.hold_out(10)
        >>> len(train), len(valid)
        (90, 10)

        The same seed chooses the same ones: the first `count` of `batching.permutation(seed, 0, n)`.

        Raises:
            ArgumentError, ArgumentTypeError: no more than `count` examples, or count or seed is no whole number.
        """
        if isinstance(count, (float, np.floating)) and 0 < count < 1:
            number = max(1, round(count * len(self)))
            raise ArgumentTypeError(f"count must be a whole number, found {count}. A share? Write hold_out({number})")
        count = whole_number("count", count)
        if not 0 < count < len(self):
            raise ArgumentError(f"count must be in [1, {len(self) - 1}], found {count} of {len(self)} examples")
        order = permutation(seed, 0, len(self))
        return self[np.sort(order[count:])], self[np.sort(order[:count])]

    @property
    def steps(self) -> int:
        """Steps of all inputs together."""
        if isinstance(self.inputs, Ragged):
            return len(self.inputs.values)
        return len(self.inputs) * (self.inputs.shape[1] if self.inputs.ndim > 1 else 1)

    def __repr__(self) -> str:
        parts = [f"{name}: {_describe(getattr(self, name))}" for name in ("inputs", "targets", "groups")]
        return f"<Split: {len(self)} examples; {'; '.join(parts)}>"


def _describe(part: Ragged | np.ndarray | None) -> str:
    if part is None or isinstance(part, Ragged):
        return repr(part)
    return f"{part.dtype}[{', '.join(map(str, part.shape))}]"


@dataclass(frozen=True, eq=False)
class Content:
    """The splits by name, and names by number: of input tokens or columns, of classes or tags, of groups.

    >>> content = Content({"train": Split(np.zeros((5, 3))), "test": Split(np.zeros((2, 3)))})
    >>> content.counts(), content.overlap()
    ({'train': (5, 15), 'test': (2, 6)}, {'test': 2})
    """

    splits: Mapping[str, Split]
    input_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()

    def counts(self) -> dict[str, tuple[int, int]]:
        """(examples, steps) of each split."""
        return {name: (len(split), split.steps) for name, split in self.splits.items()}

    def overlap(self) -> dict[str, int]:
        """How many examples of each other split have inputs that stand in train too, to the last bit."""
        train = {np.ascontiguousarray(example).tobytes() for example in self.splits["train"].inputs}
        return {
            name: sum(np.ascontiguousarray(example).tobytes() in train for example in split.inputs)
            for name, split in self.splits.items()
            if name != "train"
        }


NAMES = ("input_names", "target_names", "group_names")


def pack(content: Content) -> dict[str, np.ndarray]:
    """A content as flat arrays, for `store.write_arrays`."""
    arrays: dict[str, np.ndarray] = {}
    for name, split in content.splits.items():
        for part in ("inputs", "targets", "groups"):
            value = getattr(split, part)
            if isinstance(value, Ragged):
                arrays[f"{name}.{part}.values"], arrays[f"{name}.{part}.offsets"] = value.values, value.offsets
            elif value is not None:
                arrays[f"{name}.{part}"] = value
    for names in NAMES:
        if value := getattr(content, names):
            arrays[names] = np.frombuffer(json.dumps(value).encode(), np.uint8)
    return arrays


def unpack(arrays: Mapping[str, np.ndarray]) -> Content:
    """The content that `pack` made these arrays of."""

    def part(key: str) -> Any:
        if f"{key}.values" in arrays:
            return Ragged(arrays[f"{key}.values"], arrays[f"{key}.offsets"])
        return arrays.get(key)

    found = {key.split(".")[0] for key in arrays if ".inputs" in key}
    splits = {
        name: Split(*(part(f"{name}.{p}") for p in ("inputs", "targets", "groups"))) for name in SPLITS if name in found
    }
    names = {name: tuple(json.loads(arrays[name].tobytes())) for name in NAMES if name in arrays}
    return Content(splits, **names)
