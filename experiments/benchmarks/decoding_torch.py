"""The loop of transformers in `experiments.benchmarks.decoding`, free of JAX.

python -m experiments.benchmarks.decoding_torch FOLDER BATCH STEPS BEAMS TURNS     # milliseconds and ids as JSON
"""

import json
import sys
import time
from typing import Any


def main(folder: str, batch: int, steps: int, beams: int, turns: int) -> dict[str, Any]:
    """Wall and CPU times of `generate` from the first tokens 1 ... batch, and what it wrote."""
    import torch
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    prompt = torch.arange(1, batch + 1)[:, None]
    options = {"max_new_tokens": steps, "num_beams": beams, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    wall, cpu = [], []
    for _ in range(turns + 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        ids = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)
        wall.append(1e3 * (time.perf_counter() - start))
        cpu.append(1e3 * (time.process_time() - cpu_start))
    return {"wall": wall[1:], "cpu": cpu[1:], "ids": ids[:, 1:].tolist()}  # the first turn warms up


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:]))))
