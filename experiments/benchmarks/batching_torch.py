"""The examples of `experiments.benchmarks.batching`, and torch's DataLoader over them; free of JAX.

python -m experiments.benchmarks.batching_torch TURNS     # microseconds of a batch by turn, as JSON
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np

BATCH, LENGTH, BATCHES = 32, 64, 250


def examples() -> list[np.ndarray]:
    """20,000 sequences of 6 to 65 tokens, int32."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 64, n).astype(np.int32) for n in rng.integers(6, LENGTH + 2, 20_000)]


def turn(program: Callable[[int], Any], first: int = 0, count: int = BATCHES) -> float:
    """Microseconds of one call, the mean over `count` of them."""
    start = time.perf_counter()
    for i in range(first, first + count):
        program(i)
    return 1e6 * (time.perf_counter() - start) / count


def main(turns: int) -> dict[str, list[float]]:
    """Times of batches padded by `pad_sequence`, read in this process and by two workers; the first turn warms up."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from torch.utils.data import DataLoader

    data = [torch.from_numpy(x) for x in examples()]

    def collate(rows: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        lengths = torch.tensor([len(row) - 1 for row in rows], dtype=torch.int32)
        inputs = pad_sequence([row[:-1] for row in rows], batch_first=True)
        targets = pad_sequence([row[1:] for row in rows], batch_first=True)
        return inputs, targets, torch.arange(inputs.shape[1]) < lengths[:, None], lengths

    torch.set_num_threads(1)
    found: dict[str, list[float]] = {}
    for workers in (0, 2):
        loader: Any = DataLoader(cast(Any, data), BATCH, shuffle=True, collate_fn=collate, num_workers=workers)
        batches = (batch for _ in range(10**6) for batch in loader)
        found[f"torch DataLoader, {workers} workers"] = [turn(lambda i: next(batches)) for _ in range(turns + 1)][1:]
        batches.close()
    return found


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
