"""Signal and noise: how far the gradients of several examples agree, in every state and in the parameters."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Bool, Carry, Float, Int, Params, PyTree
from seqjax.core import driver
from seqjax.core.call import Call, Options
from seqjax.core.cell import Cell
from seqjax.diagnostics.place import Findings
from seqjax.diagnostics.scaled import Scaled, times
from seqjax.diagnostics.seeds import Loss, Mask, check_outputs, prepare, pull_of, real_steps, seed_of
from seqjax.errors import ArgumentError


class SignalToNoise(NamedTuple):
    """What `signal_to_noise` finds over n examples.

    layers: `[T]` by step, |G|^2 / tr Cov of dL/dv_t in each value that a cell taps, by path as in `GradientFlow`.
        0: no direction in common beyond chance; inf: all alike; NaN: fewer than two examples are real there.
    parameters: the tree of parameters, GSNR = mean^2 / variance of each number's gradient over examples. Noise alone
        gives about 1 / n; NaN where the gradient is zero in all.
    noise_scale: tr Cov / |G|^2 of all parameters, in examples: the batch size beyond which a larger batch
        hardly gives a better step. inf where no signal is seen.
    """

    layers: dict[str, Float[jax.Array, " T"]]
    parameters: PyTree
    noise_scale: Float[jax.Array, ""]


def signal_to_noise(
    cell: Cell,
    params: Params,
    xs: PyTree,
    loss: Loss,
    carry: Carry = None,
    *,
    mask: Mask | None = None,
    outputs: str = "last",
) -> SignalToNoise:
    """How far examples agree on where to go (GSNR: Liu et al. 2020; noise scale: McCandlish et al. 2018).

    A gradient that reaches the first step may still teach nothing there, where it points elsewhere for each example.
    With g_b the gradient of example b, S = tr Cov = sum_b |g_b - mean g|^2 / (n - 1) and, without the part that
    noise adds to it, |G|^2 = |mean g|^2 - S / n. Both are for a batch that is a sample: give examples of one length,
    as steps are compared by place.

    Cost: `gradient_flow`, and a run forwards and backwards of each example by itself for the parameters, with memory
    for two more copies of these. States are in the log domain as in `gradient_flow`; parameters are plain floats.

    Args:
        cell, params, xs, loss, carry, mask, outputs: as in `gradient_flow`, with two examples or more.

    Raises:
        ArgumentError, ArgumentTypeError: one example; as `gradient_flow`.

    dL/dw = x and dL/db = 1 for y = w x + b. x = 1, 2, 3 has mean 2 and variance 1, so that |G|^2 = 4 + 1 - 1/3.

        >>> import jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.diagnostics import signal_to_noise
        >>> params = {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}
        >>> xs = jnp.array([1.0, 2.0, 3.0])[:, None, None]
        >>> found = signal_to_noise(sj.Dense(1), params, xs, lambda y: y[:, 0])
        >>> found.parameters["kernel"].round(4).item(), round(float(1 / found.noise_scale), 4)
        (4.0, 4.6667)
    """
    check_outputs("signal_to_noise", outputs)
    call = prepare("signal_to_noise", cell, params, xs, carry, mask)
    if call.layout.batch[0] < 2:
        raise ArgumentError("signal_to_noise: give two examples or more, as one agrees with itself; found a batch of 1")
    seed = seed_of("signal_to_noise", loss, outputs, call)[1]
    return (_signal_to_noise if call.is_inline() else _compiled)(call, seed)


def _signal_to_noise(call: Call, seed: Scaled) -> SignalToNoise:
    real, findings = real_steps(call), Findings()
    pull_of(call, findings, agreement=True)(seed)
    layers = {path: _ratio(share, jnp.sum(real, axis=1)) for path, share in findings.agreements.items()}
    count, mean, squares = _over_rows(call, seed, real)
    variance = jax.tree.map(lambda total: total / (count - 1), squares)
    noise = _total(variance)
    signal = _total(jax.tree.map(lambda leaf: jnp.abs(leaf) ** 2, mean)) - noise / count
    gsnr = jax.tree.map(lambda leaf, spread: jnp.abs(leaf) ** 2 / spread, mean, variance)
    return SignalToNoise(layers, gsnr, jnp.where(signal > 0, noise / jnp.where(signal > 0, signal, 1), jnp.inf))


_compiled = jax.jit(_signal_to_noise)


def _ratio(share: Float[jax.Array, " T"], count: Int[jax.Array, " T"]) -> Float[jax.Array, " T"]:
    """|G|^2 / S from r = |mean g|^2 / mean |g|^2: (n r - 1) / (n (1 - r))."""
    share = jnp.minimum(share, 1)
    found = jnp.maximum(count * share - 1, 0) / (count * (1 - share))
    return jnp.where(count > 1, found, jnp.nan)


def _over_rows(call: Call, seed: Scaled, real: Bool[jax.Array, "T B"]) -> tuple[jax.Array, PyTree, PyTree]:
    """How many rows are real, the mean of their parameter gradients, and the sum of squares around it (Welford)."""
    rows = jax.tree.map(lambda leaf: leaf[:, None], (call.xs, call.carry, call.mask))
    weighted = jax.tree.map(lambda leaf: jnp.moveaxis(times(leaf, seed.exponent), 1, 0)[:, :, None], seed.tree)

    def one(totals: tuple[jax.Array, PyTree, PyTree], row: PyTree) -> tuple[tuple[jax.Array, PyTree, PyTree], None]:
        (xs, carry, mask), cotangent, is_real = row
        of_row = lambda params: _outputs(Call(call.cell, Options(), params, xs, carry, mask))
        gradient = jax.vjp(of_row, call.params)[1](cotangent)[0]
        count, mean, squares = totals
        added = jax.tree.map(lambda m, g: m + (g - m) / (count + 1), mean, gradient)
        around = jax.tree.map(
            lambda s, g, m, a: s + jnp.real((g - m) * jnp.conj(g - a)), squares, gradient, mean, added
        )
        new = count + 1, added, around
        return jax.tree.map(lambda new, old: jnp.where(is_real, new, old), new, totals), None

    zeros = jax.tree.map(jnp.zeros_like, call.params)
    start = jnp.zeros(()), zeros, jax.tree.map(jnp.real, zeros)
    return lax.scan(one, start, (rows, weighted, jnp.any(real, axis=0)))[0]


def _outputs(call: Call) -> PyTree:
    return call.layout.time_first(driver.run(call)[1])


def _total(tree: PyTree) -> Float[jax.Array, ""]:
    return sum((jnp.sum(leaf) for leaf in jax.tree.leaves(tree)), jnp.zeros(()))
