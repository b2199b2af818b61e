"""Attention with masks, biases, grouped heads and dropout: forward and gradient beside jax.nn and Flax, in one run.

One row, 4 heads of 64, causal, float32, as `experiments.benchmarks.attention` without variants, whose timing is used.
jax.nn gets the same numbers as arrays, as it has no other way: a mask or bias of T x S. It has no dropout, so that
Flax stands there, which draws other numbers: gradients of all variants but that one are compared first.

    python -m experiments.benchmarks.attention_variants [RUNS]
"""

import sys
from collections.abc import Callable
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.benchmarks.attention import HEADS, WIDTH, Program, compare
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows
from seqjax import attention

Attend = Callable[..., jax.Array]
LENGTHS, WINDOW, RATE = (1024, 4096), 256, 0.1


def variants(length: int) -> dict[str, tuple[Attend, Attend, bool]]:
    """Name -> ours, theirs, and whether they give the same numbers."""
    at = np.arange(length)
    seen = at[:, None] >= at
    real = at < length - length // 8
    causal, key = attention.causal(), jax.random.key(0)
    near = jnp.asarray((seen & (at[:, None] - at < WINDOW))[None, None])
    apart = jnp.abs(at[:, None] - at) * -attention.alibi_slopes(HEADS)[:, None, None]
    added = jnp.asarray(apart[None], jnp.float32)
    given = jax.random.normal(jax.random.key(1), (1, HEADS, length, length))

    def ours(mask: attention.Mask = causal, **options: Any) -> Attend:
        return lambda q, k, v: jnp.asarray(attention.dot_product(q, k, v, mask, backend="chunked", **options))

    def theirs(**options: Any) -> Attend:
        return lambda q, k, v: jax.nn.dot_product_attention(q, k, v, **options)

    def grouped(attend: Attend) -> Attend:
        return lambda q, k, v: attend(q, k[:, :, :1], v[:, :, :1])

    def dropped(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        options: dict[str, Any] = {
            "dropout_rng": key,
            "dropout_rate": RATE,
            "deterministic": False,
            "broadcast_dropout": False,
        }
        return nnx.dot_product_attention(q, k, v, mask=jnp.asarray(seen)[None, None], **options)

    padded = jnp.asarray(real)[None]
    flags = jnp.asarray((seen & real)[None, None])
    return {
        "padding": (ours(causal & attention.padding(padded)), theirs(mask=flags), True),
        f"window({WINDOW})": (ours(causal & attention.window(WINDOW)), theirs(mask=near), True),
        "alibi": (ours(bias=attention.alibi(HEADS)), theirs(bias=added, is_causal=True), True),
        "bias array": (ours(bias=given), theirs(bias=given, is_causal=True), True),
        "one key head": (grouped(ours()), grouped(theirs(is_causal=True)), True),
        f"dropout({RATE})": (ours(dropout=(RATE, key)), dropped, False),
    }


def measure(length: int, runs: int) -> list[dict[str, Any]]:
    """The rows of one length."""
    data = list(jax.random.normal(jax.random.key(length), (4, 1, length, HEADS, WIDTH)))
    rows = []
    for name, (ours, theirs, same) in variants(length).items():
        pair = {"chunked": Program(ours, data), "jax.nn" if same else "flax": Program(theirs, data)}
        own, base = pair.values()
        if same:
            compare(own.gradient, base.gradient)
        for _ in range(runs):
            own.run()
            base.run()
        row: dict[str, Any] = {"length": length, "variant": name, "beside": [*pair][1]}
        for kind in ("cpu", "wall"):
            low, other = min(own.times[kind]), min(base.times[kind])
            row |= {f"{kind}_ratio": low / other, f"{kind}_min_ms": low, f"beside_{kind}_min_ms": other}
        rows.append(row | {"temporary_mib": own.temp, "beside_temporary_mib": base.temp, "runs": runs})
    return rows


def main(runs: int = 5) -> list[dict[str, Any]]:
    """Time everything, print ratios, and store the rows."""
    rows = [row for length in LENGTHS for row in measure(length, runs if length < 4096 else min(runs, 3))]
    print(table(text_rows(rows)))
    write("benchmark_attention_variants", [row | where() | {"flax": flax.__version__} for row in rows])
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
