"""Signatures with shapes hold: a part of the library runs with every annotation checked by beartype, in its own process."""

import os
import subprocess
import sys

from tests.test_style import ROOT

PROGRAM = """
from jaxtyping import install_import_hook

with install_import_hook("seqjax", "beartype.beartype"):
    import tempfile, jax, jax.numpy as jnp, numpy as np
    import seqjax as sj
    from seqjax import batching, checkpoint, diagnostics, losses, tasks, train

xs = jax.random.normal(jax.random.key(0), (4, 6, 3))
for cell in (sj.RNN(5), sj.LSTM(5), sj.GRU(5), sj.bidirectional(sj.LSTM(5)), sj.stack(sj.Norm(), sj.GRU(5), sj.Dense(2))):
    params = cell.init(jax.random.key(1), 3)
    loss = lambda params: sj.scan(cell, params, xs, lengths=np.array([6, 0, 3, 1]))[1].sum()
    jax.grad(loss)(params)
    sj.scan(cell, params, xs, mask=np.ones((4, 6), bool), resets=np.zeros((4, 6), bool), checkpoint=2)
    sj.trace(cell, params, xs)
    diagnostics.gradient_flow(cell, params, xs, loss=lambda y: y.sum((1, 2)), outputs="all")
task = tasks.parity
batch = task.sample(jax.random.key(2), 4, 7)
model = sj.stack(sj.Embed(task.vocabulary, 4), sj.GRU(4), sj.Dense(task.out_features))
params = model.init(jax.random.key(3), 0)
task.loss(sj.scan(model, params, batch.inputs, lengths=batch.lengths)[1], batch)
losses.cross_entropy(np.zeros((2, 3), np.float32), np.array([0, 2]))
with tempfile.TemporaryDirectory() as folder:
    scaler = batching.Scaler.fit(np.arange(6.0).reshape(3, 2))
    checkpoint.save_model(folder, model, params, assets={"scaler": scaler, "labels": ["a"]}, meta={"loss": 0.5})
    assert checkpoint.load(folder).assets["scaler"] == scaler
    checkpoint.Checkpoints(folder, cell=model).restore({"params": jax.eval_shape(lambda: params)}, step=0)

try:
    losses.accuracy(np.zeros((2, 3), np.float32), "no array")
except Exception as error:
    assert "beartype" in type(error).__module__ or "jaxtyping" in type(error).__module__, error
    print("checked")
"""


def test_annotations_hold():
    environment = {**os.environ, "SEQJAX_CHECK_TYPES": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.stdout.strip() == "checked", done.stderr[-4000:]
