"""A decoder over whole targets, whatever it is fed."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import is_inexact
from seqjax._internal.types import Array, Bool, Carry, Float, Int, Key, Params, PyTree
from seqjax._internal.validation import check_key
from seqjax.core import driver
from seqjax.core.call import Call
from seqjax.core.cell import Cell, check_cell_type
from seqjax.core.scan import scan, scan_fresh
from seqjax.core.start import start_carry
from seqjax.errors import ArgumentError
from seqjax.seq2seq.feedback import Feedback, check_logits, check_speaker, row_keys, say, wide
from seqjax.seq2seq.feeds import Feed, check_feed, teacher

FEED_KEY = 2**32 - 1  # folded into a key, so that coins share no numbers with a carry made of the same key


def unroll(
    cell: Cell,
    params: Params,
    inputs: Int[Array, "*B T"],
    feed: Feed = teacher(),
    carry: Carry = None,
    *,
    key: Key[Array, ""] | None = None,
    **options: Any,
) -> tuple[Carry, Float[jax.Array, "*B T V"]]:
    """A model over the steps of a target, fed as `feed` says: `carry, logits = unroll(cell, params, inputs, feed)`.

        fed    = choose_inputs(cell, params, inputs, feed, carry, key=key)
        logits = scan(cell, params, fed, carry)

    The tokens are chosen first, without a gradient; then one `scan` reads them. So every feed has the masks,
    checkpoints and gradients of `scan`, a transformer is differentiated over all steps at once, and nothing flows back
    through a token. The choice costs one pass more, step by step, where any token can be the model's own.

    Args:
        cell: any causal cell from token ids to logits: a recurrent language model, a decoder that attends, a
            transformer.
        params: its parameters.
        inputs: ids `[*B, T]`, the "begin" token and then the target but for its last: what teacher forcing reads. A
            first real step is always read as it is given, as is one where a reset stands.
        feed: `teacher()`, `free()`, `scheduled(p)` or `two_pass(p)`.
        carry: to go on from, or with what the cell asks for; `cell.initial_carry(params, batch_shape)` where None.
        key: for coins and drawn tokens, and for a new carry of a cell that asks for one. The coin of an example's n-th
            real step is a function of key, example and n.
        options: mask, lengths, resets, gradient, checkpoint, unroll, engine and checked of `scan`.

    Returns:
        The carry after the last real step, and logits `[*B, T, V]`.

    Raises:
        ArgumentError, ArgumentTypeError: as `scan`; a cell that takes vectors, is not causal or does not read all that
            it says; no feed; a key that is missing.

    >>> import jax, jax.numpy as jnp
    >>> import seqjax as sj
    >>> from seqjax.seq2seq import free, scheduled, unroll
    >>> model = sj.stack(sj.Embed(5, 3), sj.GRU(4), sj.Dense(5))
    >>> params, target = model.init(jax.random.key(0), 0), jnp.array([[0, 3, 1, 4]])
    >>> carry, logits = unroll(model, params, target, scheduled(0.5), key=jax.random.key(1))
    >>> logits.shape
    (1, 4, 5)
    >>> _, own = unroll(model, params, target, free())
    >>> bool(jnp.all(own == unroll(model, params, target.at[:, 1:].set(2), free())[1]))  # the target is not read
    True
    """
    carry, fresh = _start(cell, params, inputs, feed, carry, key)
    fed = _choose(cell, params, inputs, feed, carry, key, options)
    run = scan_fresh if fresh else scan
    return run(cell, params, fed, carry, **options)


def choose_inputs(
    cell: Cell,
    params: Params,
    inputs: Int[Array, "*B T"],
    feed: Feed,
    carry: Carry = None,
    *,
    key: Key[Array, ""] | None = None,
    **options: Any,
) -> Int[Array, "*B T"]:
    """The ids `[*B, T]` that `unroll` with the same arguments feeds to the model.

    >>> import jax, jax.numpy as jnp
    >>> import seqjax as sj
    >>> from seqjax.seq2seq import choose_inputs, free, two_pass
    >>> successor = sj.stack(sj.Embed(5, 5), sj.Dense(5))  # says the token after the one it reads
    >>> params = {"0": {"table": jnp.eye(5)}, "1": {"kernel": jnp.roll(jnp.eye(5), 1, 1), "bias": jnp.zeros(5)}}
    >>> target = jnp.array([0, 2, 4, 1])
    >>> choose_inputs(successor, params, target, free()).tolist()
    [0, 1, 2, 3]
    >>> choose_inputs(successor, params, target, two_pass(1.0), key=jax.random.key(0)).tolist()
    [0, 1, 3, 0]
    """
    carry, _ = _start(cell, params, inputs, feed, carry, key)
    return _choose(cell, params, inputs, feed, carry, key, options)


def _start(
    cell: Cell, params: Params, inputs: Array, feed: object, carry: Carry, key: Key[Array, ""] | None
) -> tuple[Carry, bool]:
    """The carry to begin with (None: that of `scan`), and whether it was made here."""
    check_cell_type("unroll", cell)
    check_speaker("unroll", cell)
    check_feed(feed)
    if carry is not None or not cell.asks:
        return carry, False
    return start_carry(cell, params, jnp.shape(inputs)[:-1], key=key, in_features=0), True


def _choose(
    cell: Cell, params: Params, inputs: Array, feed: Feed, carry: Carry, key: Key[Array, ""] | None, options: Any
) -> Array:
    for name in ("reverse", "time_major"):
        if options.get(name):
            raise ArgumentError(f"unroll: {name} has no meaning where a step is fed what the one before it said")
    call = driver.prepare(Call.of(cell, params, inputs, carry, options))
    if feed.draws:
        if key is None:
            raise ArgumentError(
                f"unroll: {feed!r} draws at random: pass key=. To evaluate, take teacher(), free() or generate"
            )
        check_key(cell, key)
    if feed.how == "teacher" or call.layout.length < 2:
        return inputs
    real = call.real_steps()
    real = None if real is None else call.layout.restore(jnp.asarray(real))
    flags = {"mask": call.mask, "lengths": call.lengths, "resets": call.resets}
    chosen = _chosen(feed, _fixed(params), jnp.asarray(inputs), _fixed(carry), key, real, flags, cell=cell)
    # What reads them is then compiled as it is for given tokens, so that p = 0 gives the same bits.
    return lax.optimization_barrier(lax.stop_gradient(chosen))


@functools.partial(jax.jit, static_argnames="cell")
def _chosen(
    feed: Feed, params: Params, inputs: Array, carry: Carry, key: Any, real: Any, flags: dict[str, Any], *, cell: Cell
) -> Int[jax.Array, "*B T"]:
    """The tokens to be fed, compiled once for equal cells and shapes, whatever p."""
    real = jnp.ones(inputs.shape, bool) if real is None else real
    number = jnp.cumsum(real, axis=-1, dtype=jnp.int32) - 1
    first = number == 0 if flags["resets"] is None else (number == 0) | flags["resets"]
    keys = row_keys(jax.random.fold_in(key, FEED_KEY), inputs.shape[:-1]) if feed.draws else None
    own = real & ~first
    if feed.how != "free":
        own &= _coins(keys, number, feed.p)
    if feed.how == "two_pass":
        run = lambda: _second_pass(cell, params, inputs, own, carry, keys, (real, number), flags, feed.sample)
    else:
        run = lambda: _loop(Feedback(cell, feed.sample), params, inputs, own, carry, keys, flags)
    return lax.cond(jnp.any(own), run, lambda: inputs.astype(wide(inputs)))


def _coins(keys: Any, number: Int[Array, "*B T"], p: Any) -> Bool[jax.Array, "*B T"]:
    """Whether the coin of each step says "own": that of an example's n-th real step, by its key and n."""
    throw = lambda key, n: jax.random.uniform(jax.random.fold_in(key, 2 * n))
    throw = jax.vmap(throw, (None, 0))
    for _ in range(keys.ndim):
        throw = jax.vmap(throw)
    p = jnp.asarray(p, jnp.float32)
    try:
        chance = jnp.broadcast_to(p, number.shape)
    except ValueError:
        raise ArgumentError(
            f"unroll: p has shape {p.shape}, expected one that broadcasts to the inputs {number.shape}: a number, one "
            "for each step [T], or for each example [B, 1]"
        ) from None
    return throw(keys, jnp.maximum(number, 0)) < chance


def _loop(
    loop: Feedback, params: Params, inputs: Array, own: Array, carry: Carry, keys: Any, flags: dict[str, Any]
) -> Int[jax.Array, "*B T"]:
    """Step by step, each own token after those before it."""
    batch, start = inputs.shape[:-1], None
    if carry is not None or loop.sample == "sample":
        start = loop.begin(start_carry(loop.cell, params, batch) if carry is None else carry, batch, keys)
    return scan(loop, params, {"token": inputs, "own": own}, start, **flags)[1]


def _second_pass(
    cell: Cell, params: Params, inputs: Array, own: Array, carry: Carry, keys: Any, steps: Any, flags: Any, sample: str
) -> Int[jax.Array, "*B T"]:
    """What the model says after the given tokens, in place of those that follow."""
    logits = scan(cell, params, inputs, carry, **flags)[1]
    check_logits(cell, logits)
    real, number = steps
    each = jnp.broadcast_to(keys[..., None], inputs.shape)
    said = say(logits, each, jnp.maximum(number, 0)) if sample == "sample" else say(logits)
    places = lax.broadcasted_iota(jnp.int32, inputs.shape, inputs.ndim - 1)
    last = lax.cummax(jnp.where(real, places, 0), axis=inputs.ndim - 1)
    before = jnp.concatenate([jnp.zeros_like(last[..., :1]), last[..., :-1]], axis=-1)
    ids = inputs.astype(wide(inputs))
    return jnp.where(own, jnp.take_along_axis(said, before, axis=-1).astype(ids.dtype), ids)


def _fixed(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: lax.stop_gradient(leaf) if is_inexact(leaf) else leaf, tree)
