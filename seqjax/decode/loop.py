"""The one loop: run the cell on the last tokens, choose the next, move beams to their ancestors, until all is done.

The tokens of the prompt but the last are read by `scan`; the last is what the first step reads. So no logits of the
prompt are computed, and a prompt of one token needs no scan at all. With one beam there is no axis K in the carry;
with more, the step is mapped over it, and what is `Held` is read by all beams of a row without being copied. K comes
first in the carry: behind the rows, every product of the step turned its arrays, at twice the time of a transformer's.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, auto_axes, reshard, use_abstract_mesh

from seqjax._internal import trees
from seqjax._internal.types import Array, Bool, Carry, Float, Int, Key, PyTree
from seqjax.core import taps
from seqjax.core.held import Held, held_parts, with_held, without_held
from seqjax.core.scan import scan
from seqjax.decode.checks import check_logits
from seqjax.decode.generation import Generation
from seqjax.decode.history import History
from seqjax.decode.placement import find_explicit
from seqjax.decode.request import Request
from seqjax.decode.strategy import Sizes, View, Written


class Progress(NamedTuple):
    """What the loop carries.

    step: tokens written so far. last: `[B, K]`, the tokens to read next. carry: `[B, ...]`, or `[K, B, ...]`.
    tokens, log_probs: `[B, K, L]`. search: what the strategy keeps.
    failure: int32 `[B]`, 0; or step + 1 where logits were NaN; or -(step + 1) where processors left no token.
    """

    step: Int[jax.Array, ""]
    last: Int[jax.Array, "B K"]
    carry: Carry
    tokens: Int[jax.Array, "B K L"]
    log_probs: Float[jax.Array, "B K L"]
    search: PyTree
    failure: Int[jax.Array, " B"]


class Fixed(NamedTuple):
    """What the loop reads and never changes."""

    request: Request
    held: list[Held]
    keys: Key[Array, " B"]


def run(request: Request) -> tuple[Generation, jax.Array]:
    """The whole generation, and `Progress.failure` at its end.

    On a mesh of explicit axes all that a step gathers and writes would have to name its sharding, in processors and
    strategies of a user too; so there the compiler places it, and the result is sharded as the rows are.
    """
    placed = find_explicit(request)
    if placed is None:
        return _run(request)
    mesh, axes, rows = placed
    with use_abstract_mesh(mesh):  # that of the arrays, where none is set
        return auto_axes(_run, axes=axes, out_sharding=(rows, rows))(request)


def _run(request: Request) -> tuple[Generation, jax.Array]:
    fixed, progress = begin(request)

    def goes_on(progress: Progress) -> Bool[jax.Array, ""]:
        return (progress.step < request.steps) & ~jnp.all(is_done(request, progress))

    progress = lax.while_loop(goes_on, lambda progress: advance(fixed, progress), progress)
    return conclude(request, progress), progress.failure


def begin(request: Request) -> tuple[Fixed, Progress]:
    """Read the prompt."""
    batch, beams = request.prompt.shape[0], request.strategy.beams
    lengths, zeros = request.all_lengths, request.zeros
    prompt = jnp.asarray(request.prompt)
    before = None if request.lengths is None else jnp.maximum(lengths - 1, 0)
    carry, _ = scan(request.cell, request.params, prompt[:, :-1], request.carry, lengths=before)
    fixed = Fixed(request, held_parts(carry), _row_keys(request, batch))
    carry = without_held(carry)
    if beams > 1:
        carry = jax.tree.map(lambda a: jnp.broadcast_to(a, (beams, *a.shape)), carry)
    last = jnp.take_along_axis(prompt, jnp.maximum(lengths - 1, 0)[:, None], axis=1)
    last = jnp.broadcast_to(last, (batch, beams))
    _, logits, seen = jax.eval_shape(lambda: run_cell(fixed, carry, last))
    check_logits(request, logits)
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    sizes = Sizes(batch, request.room, logits.shape[-1], dtype, seen)
    written = (batch, beams, request.room)
    fill = request.stop[0] if request.stop else 0
    failure = jnp.where((lengths < 1) | (lengths > prompt.shape[1]), 1, 0).astype(jnp.int32)
    tokens, log_probs, search = _on_rows(
        (jnp.full(written, fill, jnp.int32), jnp.zeros(written, dtype), request.strategy.init(sizes)), zeros
    )
    return fixed, Progress(jnp.zeros((), jnp.int32), last, carry, tokens, log_probs, search, failure)


def run_cell(fixed: Fixed, carry: Carry, last: Int[Array, "B K"]) -> tuple[Carry, jax.Array, dict[str, jax.Array]]:
    """One step of the cell: the carry, logits `[B, K, V]`, and the values that the strategy watches."""
    cell, params, watch = fixed.request.cell, fixed.request.params, fixed.request.strategy.watch

    def one(carry: Carry, tokens: Int[Array, " B"]) -> tuple[Carry, jax.Array, dict[str, jax.Array]]:
        whole = with_held(carry, fixed.held)
        if not watch:
            after, logits = cell.step(params, whole, tokens)
            return without_held(trees.cast_like(after, whole)), logits, {}
        with taps.record_taps({}, {}) as record:
            after, logits = cell.step(params, whole, tokens)
        ends = tuple(f"/{name}" for name in watch)
        seen = {path: value for path, value in record.values.items() if f"/{path}".endswith(ends)}
        return without_held(trees.cast_like(after, whole)), logits, seen

    if last.shape[1] > 1:
        return jax.vmap(one, in_axes=(0, 1), out_axes=(0, 1, 1))(carry, last)
    carry, logits, seen = one(carry, last[:, 0])
    return carry, logits[:, None], {path: value[:, None] for path, value in seen.items()}


def advance(fixed: Fixed, progress: Progress) -> Progress:
    """One token more for every beam."""
    request, step = fixed.request, progress.step
    carry, logits, seen = run_cell(fixed, progress.carry, progress.last)
    view = _look(fixed, progress, logits, seen)
    search, choice = request.strategy.select(progress.search, view)
    alive = (progress.failure == 0) & ~request.strategy.done(progress.search)
    broken = alive & jnp.any(jnp.isnan(view.log_sum), axis=1)
    empty = alive & choice.empty & ~broken
    gained = view.gain(choice.tokens, choice.ancestors)
    gained = jnp.where(choice.real & alive[:, None], gained, 0)
    gained = jnp.where((broken | empty)[:, None], jnp.nan, gained)
    last = jnp.where((alive & ~broken & ~empty)[:, None], choice.tokens, view.fill)
    tokens, log_probs = progress.tokens, progress.log_probs
    if last.shape[1] > 1 and choice.ancestors is not None:
        carry = _move(carry, choice.ancestors.T, beams=0)
        tokens, log_probs = _move((tokens, log_probs), choice.ancestors, beams=1)
    return Progress(
        step + 1,
        last,
        carry,
        _write(tokens, last, step),
        _write(log_probs, gained, step),
        trees.select(alive, search, progress.search),
        progress.failure + jnp.where(broken, step + 1, 0) - jnp.where(empty, step + 1, 0),
    )


def is_done(request: Request, progress: Progress) -> Bool[jax.Array, " B"]:
    """Which rows need no further step."""
    return request.strategy.done(progress.search) | (progress.failure != 0)


def conclude(request: Request, progress: Progress) -> Generation:
    """The result, with the score NaN in rows that have failed."""
    history = History(request.prompt, request.all_lengths, progress.tokens, progress.step)
    fill = request.stop[0] if request.stop else 0
    written = Written(progress.tokens, progress.log_probs, history, request.stop, fill)
    generation = request.strategy.finish(progress.search, written)
    failed = (progress.failure != 0).reshape((-1,) + (1,) * (generation.scores.ndim - 1))
    return generation._replace(scores=jnp.where(failed, jnp.nan, generation.scores))


def _look(fixed: Fixed, progress: Progress, logits: Array, seen: Mapping[str, Array]) -> View:
    request, step = fixed.request, progress.step
    history = History(request.prompt, request.all_lengths, progress.tokens, step)
    logits = logits.astype(progress.log_probs.dtype)

    def process(values: Array) -> jax.Array:
        return request.processors(values, history)

    keys: Any = None if fixed.keys is None else jax.vmap(jax.random.fold_in, (0, None))(fixed.keys, step)
    steps = jnp.asarray(request.steps, jnp.int32)
    peak = jnp.max(logits, axis=-1)
    shifted = logits - peak[..., None]
    log_sum = jnp.log(jnp.sum(jnp.exp(shifted), axis=-1))
    log_probs = shifted - log_sum[..., None]  # nothing, where a strategy does not look at it
    return View(logits, log_probs, process, history, steps, keys, seen, request.stop, peak, log_sum)


def _row_keys(request: Request, batch: int) -> Any:
    """A key for each row, so that what is drawn for one does not depend on the others."""
    if request.key is None or not request.strategy.draws:
        return None
    if request.key.ndim == 1:
        return request.key
    keys, placed = jax.random.split(request.key, batch), find_explicit(request)
    return keys if placed is None else reshard(keys, NamedSharding(placed[0], placed[2]))  # in a stream


def _move(tree: Any, ancestors: Int[Array, "..."], beams: int) -> Any:
    """Each beam from its ancestor, along the axis `beams`; rows are an axis of both, so that devices may share them."""

    def move(leaf: Array) -> jax.Array:
        index = ancestors.reshape(ancestors.shape + (1,) * (leaf.ndim - 2))
        return jnp.take_along_axis(leaf, index, axis=beams, mode="promise_in_bounds")

    return jax.tree.map(move, tree)


def _write(buffer: Array, column: Array, step: Array) -> jax.Array:
    return lax.dynamic_update_slice_in_dim(buffer, column[..., None], step, axis=2)


def _on_rows(tree: Any, zeros: Int[Array, " B"]) -> Any:
    """Arrays made from nothing, sharded as the rows are, as a loop under `shard_map` asks for."""

    def place(leaf: Array) -> jax.Array:
        zero = jnp.broadcast_to(zeros.reshape(zeros.shape + (1,) * (leaf.ndim - 1)), leaf.shape)
        return jnp.logical_or(leaf, zero) if leaf.dtype == bool else jnp.add(leaf, zero.astype(leaf.dtype))

    return jax.tree.map(place, tree)
