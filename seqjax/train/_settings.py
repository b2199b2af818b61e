"""What a training was made with: kept in its checkpoints, so that one that goes on says what has changed."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from seqjax._internal.types import PyTree
from seqjax.batching.source import Batches
from seqjax.train.evaluation import Evaluation
from seqjax.train.state import State
from seqjax.train.step import TrainStep

OPTIONS = ("clip", "accumulate", "ema", "precision")
COUNTS = (0, 100, 10_000)  # steps at which the optimiser is probed, so that another schedule is seen
Probe = list[list[float]]


def settings_of(step: TrainStep, state: State, source: Batches, evaluation: Evaluation | None) -> dict[str, Any]:
    """A description in JSON values."""
    found: dict[str, Any] = {name: getattr(step, name) for name in OPTIONS}
    found["optimizer"] = _probe_optimizer(step.optimizer, state.params)
    found["key"] = jax.device_get(jax.random.key_data(state.key)).tolist()
    found["source"] = type(source).__name__
    found["first batch"] = _summarise(source.batch(0))
    if evaluation is not None:
        found["metric"] = f"{evaluation.metric}, {'higher' if evaluation.higher_is_better else 'lower'} is better"
    return json.loads(json.dumps(found))


def changes(before: dict[str, Any], now: dict[str, Any], opt_state: PyTree) -> list[str]:
    """What differs, in words; what is in one of the descriptions alone is not compared, but for the evaluation."""
    words = []
    if before and "metric" in now and "metric" not in before:
        words.append("evaluation (none before, so the best begins here)")
    elif "metric" in before and "metric" not in now:
        words.append("evaluation (none now, so the best parameters up to here are not kept in later checkpoints)")
    for name in [name for name in now if name in before and not _near(before[name], now[name])]:
        if name == "optimizer":
            words.append(_optimizer_words(before[name], now[name], opt_state))
        elif name == "first batch":
            words.append("source (its first batch is another)")
        elif name == "key":
            words.append("key (seed); that of the checkpoint stays. A new run? Give it a folder of its own")
        elif name == "metric":
            words.append(f"metric ({before[name]} before, {now[name]} now); the best evaluation is sought anew")
        else:
            words.append(f"{name} ({before[name]} before, {now[name]} now)")
    return words


def _probe_optimizer(optimizer: optax.GradientTransformation, params: PyTree) -> Probe | None:
    """Its updates for gradients of 1 and then -2, on parameters of 1 with one element each.

    An optimiser is a pair of closures, so there is nothing else to compare: this sees rates, momenta, decays and
    clipping, and by setting its counts the schedules too. One row for each count: the mean update, then sums in which
    each leaf has a weight of its own, as leaves may be treated differently. None where it takes no such parameters.
    """
    ones = jax.tree.map(lambda leaf: jnp.ones((1,) * leaf.ndim, leaf.dtype), params)
    update = jax.jit(optax.with_extra_args_support(optimizer).update)
    rows = []
    try:
        for count in COUNTS:
            state = jax.tree.map(lambda leaf: _set_count(leaf, count), optimizer.init(ones))
            first, state = update(ones, state, ones, value=jnp.float32(1))
            second, _ = update(jax.tree.map(lambda leaf: -2 * leaf, ones), state, ones, value=jnp.float32(1))
            rows.append([_weigh(first, 0), _weigh(first, 1), _weigh(second, 1)])
    except Exception:  # whatever an optimiser makes of such parameters: it is then not compared
        return None
    return rows if np.isfinite(rows).all() else None


def _set_count(leaf: jax.Array, count: int) -> jax.Array:
    is_count = jnp.ndim(leaf) == 0 and jnp.issubdtype(jnp.result_type(leaf), jnp.integer)
    return jnp.asarray(count, leaf.dtype) if is_count else leaf


def _weigh(tree: PyTree, growth: int) -> float:
    """The mean over leaves of one element, leaf i having the weight 1 + i * growth."""
    leaves = [float(leaf.reshape(())) for leaf in jax.device_get(jax.tree.leaves(tree))]
    return float(np.mean([value * (1 + i * growth) for i, value in enumerate(leaves)]))


def _summarise(batch: PyTree) -> list[Any]:
    """Shape, dtype and a mean of each array in which every place has a weight of its own."""
    found: list[Any] = []
    for leaf in jax.tree.leaves(batch):
        row: list[Any] = [list(jnp.shape(leaf)), str(jnp.result_type(leaf))]
        if jnp.issubdtype(row[1], jnp.number) or row[1] == "bool":
            values = np.asarray(jax.device_get(leaf), np.float64).ravel()
            mean = np.mean(np.nan_to_num(values) * np.linspace(0.5, 1.5, values.size)) if values.size else 0.0
            row.append(float(mean))
        found.append(row)
    return found


def _near(a: object, b: object) -> bool:
    """Equal, numbers up to the rounding of another device."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_near(x, y) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, rtol=1e-4, atol=1e-12))
    return bool(a == b)


def _optimizer_words(before: Probe | None, now: Probe | None, opt_state: PyTree) -> str:
    if before is None or now is None:
        return "optimizer"
    first, other = before[0][0], now[0][0]
    words = f"optimizer (its first update of a gradient of ones was {first:.3g}, now {other:.3g}"
    if _near(first, other):
        words = "optimizer (its first update is the same, later ones are not"
    if optax.tree.get_all_with_path(opt_state, "hyperparams"):
        words += "; values of inject_hyperparams stay those of the checkpoint"
    return words + ")"
