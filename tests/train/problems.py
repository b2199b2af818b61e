"""Small problems for the tests of training, and a training of them in one call."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax.batching import Shuffled
from seqjax.errors import ArgumentError
from seqjax.train import Mean, evaluate, fit, make_train_step

KEY, ADAM, SGD = jax.random.key(3), optax.adam(0.1), optax.sgd(0.1)

# A line through points of three features, for the step alone.

LINE = {"b": np.zeros((), np.float32), "w": np.array([0.5, -1.0, 2.0], np.float32)}


def data(n=8, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, (x.sum(1) + 1).astype(np.float32)


def errors(params, batch):
    x, y = batch[:2]
    return jnp.square(x @ params["w"] + params["b"] - y)


def mean_error(params, batch, key):
    return jnp.mean(errors(params, batch))


def masked_error(params, batch, key):
    return Mean.of(errors(params, batch), batch[2])


def run(step, state, batches):
    """The last state, and the metrics of every step."""
    step, told = jax.jit(step, donate_argnums=0), []
    for batch in batches:
        state, metrics = step(state, batch)
        told.append(jax.device_get(metrics))
    return state, told


def drawn(model, features):
    """Parameters of the shapes that the model wants; nothing is compiled."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), features))
    return jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), shapes)


def state_of(params, optimizer, key, *, carry=None, ema=False):
    """The state for a step with these options."""
    return make_train_step(mean_error, optimizer, carry=carry, ema=0.5 if ema else None).init(params, key)


# The next value of a series, for trainings.

ROWS = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
PARAMS = {"w": np.array([0.5, -1.0], np.float32)}


def source(batch_size=4, **options):
    """10 sequences of 3 steps: batches with a padded row or two."""
    return Shuffled(ROWS[:, :, None], None, batch_size, seed=1, **options)


def loss(params, batch, key):
    """Predicts the next value as w0 x + w1; the noise makes a wrong key seen."""
    guess = params["w"][0] * batch.inputs + params["w"][1] + 0.01 * jax.random.normal(key)
    return Mean.of(jnp.square(guess - batch.targets)[..., 0], batch.weights)


def score(params, batch, key):
    return loss(params, batch, jax.random.key(0))


def checked(params):
    return evaluate(score, params, source())


STEP_OPTIONS = ("clip", "accumulate", "ema", "precision", "carry", "max_skips")


def train(loss, params, optimizer, source, key=KEY, progress=False, **options):
    """A training from the beginning, without a bar."""
    step = make_train_step(loss, optimizer, **{name: options.pop(name) for name in STEP_OPTIONS if name in options})
    return fit(step, step.init(params, key), source, progress=progress, **options)


class Memory:
    """Checkpoints in memory, through bytes, so that nothing is shared with the training."""

    def __init__(self, every=None):
        self.saved, self.every = {}, every

    def save(self, step, tree, meta=None):
        leaves = [jax.random.key_data(a) if is_key(a) else a for a in jax.tree.leaves(tree)]
        self.saved[step] = [np.array(a) for a in leaves], jax.tree.structure(tree), json.dumps(meta, allow_nan=False)

    def latest(self):
        return max(self.saved, default=None)

    def restore(self, template):
        leaves, saved, meta = self.saved[self.latest()]
        wanted, structure = jax.tree.flatten(template)
        if saved != structure:
            raise ArgumentError(f"template does not fit: it has the structure {structure}, the checkpoint {saved}")
        leaves = [jax.random.wrap_key_data(a) if is_key(b) else jnp.array(a) for a, b in zip(leaves, wanted)]
        return self.latest(), jax.tree.unflatten(structure, leaves), json.loads(meta)


def is_key(leaf):
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def timeless(rows):
    return [{name: value for name, value in row.items() if name != "time"} for row in rows]


def compiled_programs(caplog, work):
    """Names of the functions compiled meanwhile."""
    with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):
        caplog.clear()
        work()
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling ")]
    return [line.split()[1].removeprefix("jit(").removesuffix(")") for line in lines]
