"""The torch program of `experiments.benchmarks.attention`, free of JAX.

python -m experiments.benchmarks.attention_torch FILE TURNS     # FILE: q, k, v, cotangent; milliseconds as JSON
"""

import json
import sys
import time

import numpy as np


def main(path: str, turns: int) -> dict[str, list[float]]:
    """Wall and CPU times of scaled dot-product attention and its gradient; the gradient of q goes back to the file."""
    import torch

    data = np.load(path)
    q, k, v = (torch.from_numpy(data[name].swapaxes(1, 2).copy()).requires_grad_() for name in "qkv")
    cotangent = torch.from_numpy(data["cotangent"].swapaxes(1, 2).copy())
    wall, cpu = [], []
    for _ in range(turns + 1):
        for leaf in (q, k, v):
            leaf.grad = None
        start, cpu_start = time.perf_counter(), time.process_time()
        outputs = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=bool(data["causal"]))
        outputs.backward(cotangent)
        wall.append(1e3 * (time.perf_counter() - start))
        cpu.append(1e3 * (time.process_time() - cpu_start))
    gradient = q.grad
    assert gradient is not None
    np.save(path + ".gradient.npy", gradient.numpy().swapaxes(1, 2))
    return {"wall": wall[1:], "cpu": cpu[1:]}  # the first turn warms up


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
