"""Signatures with shapes hold: the library runs with every annotation checked by beartype, in a process of its own.

What runs is traced and not computed (`jax.eval_shape`), which is enough to check shapes, dtypes and types.
"""

import os
import subprocess
import sys

import pytest

from tests.test_style import ROOT

PROGRAM = """
import warnings

from jaxtyping import install_import_hook

with install_import_hook("seqjax", "beartype.beartype"):
    import jax, jax.numpy as jnp, numpy as np
    import seqjax as sj
    from flax import nnx
    from seqjax import decode, diagnostics, losses, nn, tasks, testing, train

from tests.decode.models import prompts, start
from tests.table import TABLE

B, T = 3, 4
LENGTHS, FLAGS = [4, 0, 2], np.arange(B * T).reshape(B, T) % 3 > 0


def row_sums(ys):
    return sum(jnp.sum(jnp.abs(y), tuple(range(1, y.ndim))) for y in jax.tree.leaves(ys))


def run(row, case):
    cell, xs, carry = row.cell, case.xs(B, T), case.fresh(B)
    loss = lambda params: jnp.sum(row_sums(sj.scan(cell, params, xs, carry, lengths=LENGTHS, resets=FLAGS)[1]))
    jax.grad(loss, allow_int=True)(case.params)
    sj.trace(cell, case.params, xs, carry, mask=FLAGS, checkpoint=2, reverse=True)
    if row.make_carry is None:
        diagnostics.gradient_flow(cell, case.params, xs, row_sums, carry, mask=FLAGS, outputs="all")


with jax.enable_x64(True):
    for row in (row for row in TABLE if not row.covered):
        case = testing.Case(row.cell, row.features, row.make_xs or testing.vectors(row.features), 0, row.make_carry)
        jax.eval_shape(lambda: run(row, case))
task = tasks.parity
batch = task.sample(jax.random.key(2), 4, 7)
model = sj.stack(sj.Embed(task.vocabulary, 4), sj.GRU(4), sj.Dense(task.out_features))
params = model.init(jax.random.key(3), 0)
task.loss(sj.scan(model, params, batch.inputs, lengths=batch.lengths)[1], batch)
losses.cross_entropy(np.zeros((2, 3), np.float32), np.array([0, 2]))


def run_modules(key, positions, style):
    options = {"positions": positions, "style": style, "dropout": 0.1, "rngs": nnx.Rngs(key)}
    ids, mask = np.zeros((B, T), int), FLAGS.astype(bool)
    decoder, both = nn.TransformerDecoder(5, 8, 2, 2, **options), nn.EncoderDecoder(5, 8, 2, 2, **options)
    decoder(ids, mask=mask, resets=mask, key=key)
    carry, _ = decoder.extend(decoder.initial_carry((B,)), ids, fresh=True, key=key)
    decoder.extend(carry, ids[:, :1], mask=mask[:, :1], key=key)
    both(ids, ids, source_mask=mask, key=key)
    both.extend(both.initial_carry((B,), memory=both.encode(ids, mask, key=key)), ids, key=key)
    nn.TransformerEncoder(5, 8, 2, 2, **options)(ids, mask=mask, key=key)


for positions, style in (("learned", nn.GPT2), ("rotary", nn.LLAMA), ("relative", nn.T5), ("alibi", nn.BERT)):
    jax.eval_shape(lambda key: run_modules(key, positions, style), jax.random.key(0))


def look(params):
    weights = diagnostics.attention_weights(block, params, jnp.ones((B, T, 4)), lengths=np.array(LENGTHS))
    for value in weights.values():
        diagnostics.attention_entropy(value)
        diagnostics.attention_distance(value, (np.arange(T), np.ones((B, T), int)))
    diagnostics.attention_rollout(weights)


block = sj.cell_from_text("repeat(as_cell(TransformerBlock, 4, 2, capacity=8), 2)")
jax.eval_shape(look, jax.eval_shape(lambda: block.init(jax.random.key(0), 4)))


def write(key):
    cell, params, carry = start("attending", B)
    words = (decode.repetition(1.5), decode.no_repeat(2), decode.allowed(np.arange(6)), decode.min_length(3, 2))
    options = {"steps": 2, "stop": (2, 3), "carry": carry, "processors": (*words, decode.prefix([1, 2]))}
    for strategy in (decode.sample(0.7, top_p=0.9, min_p=0.1), decode.beam(2)):
        found = decode.generate(cell, params, prompts(B, 3), strategy=strategy, lengths=[2, 3, 1], key=key, **options)
        decode.alignments(cell, params, prompts(B, 3), found, lengths=np.array([2, 3, 1]), carry=carry)


jax.eval_shape(write, jax.random.key(0))
print("ran")

for wrong in (
    lambda: losses.accuracy(np.zeros((2, 3), np.float32), "no array"),
    lambda: losses.squared_error(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)),
    lambda: sj.linear({"kernel": jnp.ones((2, 3))}, "no array"),
):
    try:
        wrong()
    except Exception as error:
        assert type(error).__module__.startswith(("beartype", "jaxtyping")), error
        print("refused")
"""


@pytest.mark.slow  # half a minute; mypy checks all but shapes in `make lint`
def test_annotations_hold():
    environment = {**os.environ, "SEQJAX_CHECK_TYPES": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.stdout.split() == ["ran", "refused", "refused", "refused"], done.stderr[-4000:]
