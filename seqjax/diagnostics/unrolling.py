"""How the noise of a gradient grows with the number of steps that it is taken through."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from seqjax._internal.types import Bool, Carry, Float, Params, PyTree
from seqjax._internal.validation import whole_number
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.diagnostics.place import Findings
from seqjax.diagnostics.scaled import LOWEST, Scaled, join_norms
from seqjax.diagnostics.seeds import Loss, prepare, pull_of, seed_of
from seqjax.errors import ArgumentError


def gradient_variance(
    cell: Cell, params: Params, xs: PyTree, loss: Loss, lengths: Sequence[int], carry: Carry = None
) -> Float[jax.Array, " L"]:
    """ln tr Cov of the parameters' gradient over examples, for losses at the end of the first T' steps, for each T'.

    Where the largest Lyapunov exponent is above 0 the variance grows as e^(2 exponent T') (Metz et al. 2021): beyond
    some length gradients are noise, however exact, and clipping only hides it. Half the slope over length is the rate
    in nats a step, to be held against `lyapunov_exponents`. Of a contracting cell it comes to rest.

    tr Cov = (mean |g_b|^2 - |mean g|^2) n / (n - 1) over n examples b. Numbers may be far out of the range of floats;
    where examples agree to the precision of floats it is rounding, or -inf.

    Cost: for each length, a run forwards and n + 1 runs backwards of the whole batch; one compilation for all lengths.

    Args:
        cell, params, xs, carry: as in `gradient_flow`, with two examples or more of full length.
        loss: L of each row, `[B]`, of the output at the last step `[B, F]`.
        lengths: T', from 1 to T.

    Returns:
        One number for each length.

    Raises:
        ArgumentError, ArgumentTypeError: one example, no length, or one out of range; as `gradient_flow`.

    Of h' = 2 h + x the gradient doubles with each step, and its variance becomes fourfold:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.diagnostics import gradient_variance
        >>> cell = sj.RNN(1, activation="identity", recurrent_init=sj.initializers.identity(2.0))
        >>> params, xs = cell.init(jax.random.key(0), 1), jax.random.normal(jax.random.key(1), (8, 100, 1))
        >>> logs = gradient_variance(cell, params, xs, lambda y: y[:, 0], [50, 100])
        >>> round(float(logs[1] - logs[0]) / 2 / 50, 1), round(float(jnp.log(2)), 1)
        (0.7, 0.7)
    """
    steps = prepare("gradient_variance", cell, params, xs, carry, None).layout
    if steps.batch[0] < 2:
        raise ArgumentError("gradient_variance: give two examples or more, as one has no variance; found a batch of 1")
    lengths = [whole_number(f"lengths[{i}]", length, 1) for i, length in enumerate(lengths)]
    if not lengths or max(lengths) > steps.length:
        raise ArgumentError(f"lengths must be from 1 to {steps.length}, the steps of xs, found {lengths}")
    found = []
    for length in lengths:
        mask = jnp.broadcast_to(jnp.arange(steps.length) < length, (steps.batch[0], steps.length))
        call = prepare("gradient_variance", cell, params, xs, carry, mask)
        seed = seed_of("gradient_variance", loss, "last", call)[1]
        found.append((_variance if call.is_inline() else _compiled)(call, seed))
    return jnp.stack(found)


def _variance(call: Call, seed: Scaled) -> Float[jax.Array, ""]:
    """One run forwards for all: in chaos two runs of the same example are not the same, by their rounding."""
    count, findings = call.layout.batch[0], Findings()
    pull = pull_of(call, findings)

    def log_norm(rows: Bool[jax.Array, " B"]) -> Float[jax.Array, ""]:
        pull(seed._replace(exponent=jnp.where(rows[None], seed.exponent, LOWEST)))
        return join_norms(findings.parameters, ())

    logs = jax.vmap(log_norm)(jnp.concatenate([jnp.eye(count, dtype=bool), jnp.ones((1, count), bool)]))
    each, mean = logs[:-1], logs[-1] - math.log(count)
    top = jnp.max(each)
    safe = jnp.where(jnp.isfinite(top), top, 0)
    spread = jnp.mean(jnp.exp(2 * (each - safe))) - jnp.exp(2 * (mean - safe))
    return 2 * safe + jnp.log(jnp.maximum(spread, 0) * count / (count - 1))


_compiled = jax.jit(_variance)
