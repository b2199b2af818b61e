"""What can be done about exploding gradients: two ways to clip, and two ways to keep them from exploding.

A method is one of these parts, or several joined by "+", as "omega+norm"; "plain" is SGD alone. Flossing is done before
the training; all others in each update.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import seqjax as sj
from seqjax import losses, train
from seqjax._internal.types import Array, Float, Int, Key, Params, PyTree
from seqjax.combinators import Stack
from seqjax.diagnostics import lyapunov_exponents, norm_change

Rate = float | Float[Array, ""]
PARTS = ("norm", "value", "omega", "flossing")
METHODS = ("plain", "norm", "value", "omega", "omega+norm", "flossing", "flossing+norm")


class Settings(NamedTuple):
    """How strong each part is.

    clip: the norm to which longer gradients are shortened. value: the size to which each element of a gradient is cut.
    omega: weight of the regulariser `norm_change`.
    """

    clip: float
    value: float
    omega: float


class Flossing(NamedTuple):
    """How a network is flossed: the largest exponents over `length` steps of `rows` sequences, by Adam."""

    exponents: int = 4
    length: int = 100
    rows: int = 8
    warm_up: int = 10
    steps: int = 200
    learning_rate: float = 2e-3


FLOSSING = Flossing()


def parts_of(method: str) -> frozenset[str]:
    """The parts that a method is made of.

    Raises:
        ArgumentError: one that there is not.
    """
    parts = frozenset(method.split("+")) - {"plain"}
    if unknown := parts - set(PARTS):
        raise sj.ArgumentError(
            f"methods must be plain, or of {', '.join(PARTS)}, joined by +, found {min(unknown)!r} in {method!r}"
        )
    return parts


def make_step(model: Stack, method: str, settings: Settings, steps: int, rate: Rate) -> train.TrainStep:
    """SGD with a learning rate, and the parts of a method. Updates that are not finite are left out, not an error."""
    parts = parts_of(method)
    cut = (optax.clip(settings.value),) if "value" in parts else ()
    return train.make_train_step(
        functools.partial(loss, model, settings.omega if "omega" in parts else 0.0),
        optax.chain(*cut, optax.sgd(rate)),
        clip=settings.clip if "norm" in parts else None,
        max_skips=steps + 1,
    )


def loss(
    model: Stack,
    omega: float,
    params: Params,
    batch: tuple[Int[Array, "B T"], Int[Array, "B T"]],
    key: Key[Array, ""] | None,
) -> tuple[train.Mean, dict[str, train.Mean]]:
    """Cross-entropy of all next characters, and `omega` times the regulariser; "nats" is the first alone.

    The regulariser takes the gradient of the last character's loss, as that has come all the way back.
    """
    front, cell, readout = model.cells
    assert isinstance(readout, sj.Dense)
    ids, targets = batch
    _, xs = sj.scan(front, params["0"], ids)
    _, hs = sj.scan(cell, params["1"], xs)
    nats = train.Mean.of(losses.cross_entropy(readout.apply(params["2"], hs), targets))
    value = nats.total / nats.count
    if omega:

        def last_loss(h: Float[jax.Array, "B F"]) -> Float[jax.Array, ""]:
            return jnp.mean(losses.cross_entropy(readout.apply(params["2"], h), targets[:, -1]))

        last = jax.lax.stop_gradient(jax.grad(last_loss)(hs[:, -1]))
        value += omega * norm_change(cell, params["1"], jax.lax.stop_gradient(xs), last)
    return train.Mean(value * nats.count, nats.count), {"nats": nats}


def exponents_squared(cell: sj.Gated, params: Params, xs: Float[jax.Array, "B T D"]) -> Float[jax.Array, ""]:
    """The mean square of the largest Lyapunov exponents, the loss of gradient flossing (Engelken 2023)."""
    warm_up = min(FLOSSING.warm_up, xs.shape[1] - 1)
    found = lyapunov_exponents(cell, params, xs, count=min(FLOSSING.exponents, cell.features), warm_up=warm_up)
    return jnp.mean(found.exponents**2)


def floss(model: Stack, params: PyTree, ids: Int[Array, "B T"]) -> PyTree:
    """Parameters whose cell was brought towards exponents of zero on these characters, by Adam, before any training.

    Gradients of the exponents explode too where the network is chaotic, so that they are shortened to norm 1.
    """
    front, cell, _ = model.cells
    assert isinstance(cell, sj.Gated)
    _, xs = sj.scan(front, params["0"], ids[: FLOSSING.rows, : FLOSSING.length])
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(FLOSSING.learning_rate))

    def improve(state: tuple[Params, PyTree], _: None) -> tuple[tuple[Params, PyTree], None]:
        values, moments = state
        grads = jax.grad(functools.partial(exponents_squared, cell))(values, xs)
        updates, moments = optimizer.update(grads, moments)
        return (optax.apply_updates(values, updates), moments), None

    start = params["1"], optimizer.init(params["1"])
    (values, _), _ = jax.jit(lambda state: jax.lax.scan(improve, state, None, FLOSSING.steps))(start)
    return params | {"1": values}
