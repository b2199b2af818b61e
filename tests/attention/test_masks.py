"""The mask algebra against loops over pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import attention as A
from seqjax.errors import ArgumentError, ArgumentTypeError

RNG = np.random.default_rng(0)
B, T, S = 2, 5, 7
REAL = RNG.random((B, S)) > 0.3
IDS, KEYS = np.sort(RNG.integers(0, 3, (B, T))), np.sort(RNG.integers(0, 3, (B, S)))
PAIRS = RNG.random((B, 1, T, S)) > 0.4


def pairs(rule):
    """The flags of `rule(row, t, s, q, k)` over all pairs, where positions are the default ones."""
    return np.array([[[[bool(rule(b, t, s, t + S - T, s)) for s in range(S)] for t in range(T)]] for b in range(B)])


PARTS = {
    "causal": (A.causal(), lambda b, t, s, q, k: k <= q),
    "window": (A.window(3), lambda b, t, s, q, k: abs(q - k) < 3),
    "padding": (A.padding(REAL), lambda b, t, s, q, k: REAL[b, s]),
    "segments": (A.segments(IDS, KEYS), lambda b, t, s, q, k: IDS[b, t] == KEYS[b, s]),
    "pairs": (PAIRS, lambda b, t, s, q, k: PAIRS[b, 0, t, s]),
}
EVERY = (A.causal() & PAIRS & A.padding(REAL) & A.window(3) & A.segments(IDS, KEYS)).array(T, S)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_its_rule(name):
    mask, rule = PARTS[name]
    assert np.array_equal(np.broadcast_to((A.Mask() & mask).array(T, S), (B, 1, T, S)), pairs(rule))


def test_parts_are_joined_in_any_order():
    wanted = pairs(lambda *of: all(rule(*of) for _, rule in PARTS.values()))
    joined = PAIRS & A.segments(IDS, KEYS) & A.window(3) & (A.padding(REAL) & A.causal())  # NumPy's array stands first
    assert np.array_equal(joined.array(T, S), wanted) and np.array_equal(EVERY, wanted)
    assert np.array_equal((jnp.asarray(PAIRS) & A.causal()).array(T, S), (A.causal() & PAIRS).array(T, S))


def test_a_prefix_exempts_from_causality_alone():
    lengths = np.array([3, 6])
    wanted = pairs(lambda b, t, s, q, k: (k <= q or k < lengths[b]) and REAL[b, s] and abs(q - k) < 4)
    for mask in (A.prefix(lengths) & A.padding(REAL), A.causal() & A.padding(REAL) & A.prefix(lengths)):
        assert np.array_equal((mask & A.window(4)).array(T, S), wanted)
    assert np.array_equal((A.prefix(lengths) & A.prefix(5)).array(T, S), A.prefix(np.array([3, 5])).array(T, S))


def test_masks_go_by_positions_and_not_by_places():
    q, k = np.array([[4, 9], [0, 1]]), np.array([[9, 4, 5], [1, 0, 2]])
    found = (A.causal() & A.window(5)).array(2, 3, (q, k))
    q, k = q[:, None, :, None], k[:, None, None, :]
    assert np.array_equal(found, (k <= q) & (abs(q - k) < 5))


def test_a_mask_is_a_tree_of_its_arrays():
    mask = A.causal() & A.padding(REAL)
    doubled = jax.tree.map(lambda a: jnp.concatenate([a, a]), mask)
    assert doubled.causal and doubled.array(T, S).shape == (2 * B, 1, T, S)
    found = jax.jit(lambda mask: mask.array(T, S))(mask)
    assert np.array_equal(found, mask.array(T, S))
    over_rows = jax.vmap(lambda mask: mask.array(T, S))(mask)
    assert np.array_equal(over_rows, mask.array(T, S))


def test_blocks_in_which_no_pair_may_attend_are_known():
    first, last = np.arange(4)[None], np.arange(8, 12)[None]
    assert not A.causal().may_attend(first, last) and A.causal().may_attend(last, first)
    assert A.prefix(jnp.array([9])).may_attend(first, last)
    assert not A.window(5).may_attend(first, last) and A.window(6).may_attend(first, last)
    assert not A.window(5).may_attend(last, first)
    assert not A.padding(np.zeros((1, 4), bool)).may_attend(first, last)
    apart = A.segments(np.array([[0, 0, 1, 1]]), np.array([[2, 2, 2, 3]]))
    assert not apart.may_attend(first, last) and A.Mask().may_attend(first, last) is None


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: A.padding(np.ones((B, S))), ArgumentTypeError, "True = attend"),
        (lambda: A.padding(np.ones((B, S), int)), ArgumentTypeError, "flags != 0"),
        (lambda: A.padding([True, False]), ArgumentTypeError, "list"),
        (lambda: A.padding(np.bool_(True)), ArgumentError, r"\[\*B, S\]"),
        (lambda: A.causal() & 1, ArgumentTypeError, "bool array"),
        (lambda: A.causal() & np.ones((T, S)), ArgumentTypeError, "bias"),
        (lambda: A.window(0), ArgumentError, "at least 1"),
        (lambda: A.window(2.0), ArgumentTypeError, "whole number"),
        (lambda: A.segments(np.ones((B, T))), ArgumentTypeError, "whole numbers"),
        (lambda: A.segments(3), ArgumentError, "time axis"),
        (lambda: A.prefix(2.5), ArgumentTypeError, "whole numbers"),
        (lambda: A.padding(REAL) & A.padding(REAL[:, 1:]), ArgumentError, "do not fit"),
        (lambda: A.padding(REAL).array(T, S + 1), ArgumentError, "padding must have"),
        (lambda: A.segments(IDS).array(T, S), ArgumentError, "segments\\(ids, keys\\)"),
        (lambda: A.causal().array(T, S, np.arange(T)), ArgumentTypeError, "pair"),
        (lambda: A.causal().array(T, S, (np.arange(T), np.arange(T))), ArgumentError, "positions of keys"),
        (lambda: A.causal().array(T, S, (np.arange(T), np.ones(S))), ArgumentTypeError, "whole numbers"),
    ],
)  # fmt: skip
def test_wrong_masks_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
