"""A cache in plain Python: for each row a list of the tokens since the last reset."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.attention import empty, extend, places


class Row:
    """One row: tokens are (position, number), `number` being that of the token in the whole stream."""

    def __init__(self, window):
        self.tokens, self.window, self.stream = [], window, 0

    def read(self, real, reset):
        """The numbers of the tokens that the next one may attend to, itself among them; None where it is not real."""
        number, self.stream = self.stream, self.stream + 1
        if not real:
            return None
        if reset:
            self.tokens = []
        self.tokens.append((len(self.tokens), number))
        return {number for _, number in self.tokens[-(self.window or len(self.tokens)) :]}

    def slots(self, capacity):
        """What a cache holds afterwards: {slot: (position, number)}."""
        held = {}
        for position, number in self.tokens:
            if self.window is not None or position < capacity:
                held[position % capacity] = (position, number)
        return held


def allowed(places, keys, window):
    """bool [*B, T, S]: what the masks of the attention room say, written out."""
    back = places.position[..., :, None] - keys.position[..., None, :]
    fits = (back >= 0) & (keys.segment[..., None, :] == places.segment[..., :, None]) & keys.real[..., None, :]
    return fits if window is None else fits & (back < window)


def numbered(numbers):
    """Keys and values [*B, T, 1, 2] that say which token they are of."""
    numbers = np.asarray(numbers, float)
    return numbers[..., None, None] + np.array([0.0, 0.5]), -numbers[..., None, None] * np.ones(2)


@functools.partial(jax.jit, static_argnums=(5, 6))
def extend_compiled(cache, k, v, mask, resets, window, fresh):
    at = places(cache.count, mask, resets, k.shape[-3])
    return *extend(cache, k, v, at, window=window, fresh=fresh), at


def run_chunks(mask, resets, cuts, capacity, window, fresh=False):
    """Cache, and for each chunk (allowed, numbers of the keys, places); the tokens of each row are 0, 1, ...

    mask, resets: bool [*B, T]. They are not handed on where the mask is all True, the resets all False.
    """
    cache = jax.tree.map(np.asarray, empty(mask.shape[:-1], capacity, 1, 2, jnp.float64))
    masks, starts = mask if not mask.all() else None, resets if resets.any() else None
    seen = []
    for first, last in zip([0, *cuts], [*cuts, mask.shape[-1]]):
        part = lambda a, cut=np.s_[..., first:last]: None if a is None else a[cut]
        k, v = numbered(np.broadcast_to(np.arange(first, last), part(mask).shape))
        cache, keys, at = extend_compiled(cache, k, v, part(masks), part(starts), window, fresh and first == 0)
        keys, at = jax.tree.map(np.asarray, (keys, at))
        seen.append((allowed(at, keys, window), keys.k[..., 0, 0], at))
    return jax.tree.map(np.asarray, cache), seen
