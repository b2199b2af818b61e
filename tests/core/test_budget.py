"""Memory given to `checkpoint`: where sequences are cut, and that it is kept."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.core.budget import count_bytes, fit_segments, parse_bytes
from tests.own_cells import MGU

CELL, T = sj.LSTM(32), 20_000
PARAMS = CELL.init(jax.random.key(0), 1)
XS = np.random.default_rng(0).normal(size=(1, T, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "want"),
    [("512MB", 512e6), ("2GiB", 2**31), ("1.5 GB", 1.5e9), ("64kB", 64e3), ("1KiB", 1024), ("0MB", 0)],
)
def test_bytes_in_words(text, want):
    assert parse_bytes(text) == want


@pytest.mark.parametrize("text", ["512", "MB", "-1MB", "512Mb", "512 megabytes", "sqrt", "1e3MB", "", 512, None, 2.0])
def test_what_is_no_memory(text):
    assert parse_bytes(text) is None


def last_of(cell, **options):
    return lambda params, xs: sum(map(jnp.sum, jax.tree.leaves(sj.scan(cell, params, xs, **options)[0])))


def bytes_of(cell, params, xs, **options):
    """XLA's temporary memory for the gradient in parameters of a loss of the last carry."""
    program = jax.jit(jax.grad(last_of(cell, **options))).lower(params, xs).compile()
    return program.memory_analysis().temp_size_in_bytes


def test_the_fewest_levels_that_fit_are_chosen_and_kept_to():
    whole = bytes_of(CELL, PARAMS, XS)
    said = {}
    for budget in (20_000_000, 400_000, 300_000):
        memory = f"{budget / 1e3}kB"
        assert bytes_of(CELL, PARAMS, XS, checkpoint=memory) <= budget
        said[budget] = sj.explain(CELL, PARAMS, XS, checkpoint=memory).splitlines()
    assert whole > 10_000_000
    assert len(said[20_000_000]) == 1  # all steps fit
    assert "a carry kept every" in said[400_000][-1]
    assert "within these" not in said[400_000][-1]
    assert "within these" in said[300_000][-1]


@pytest.mark.slow
@pytest.mark.parametrize("cell", [sj.RNN(32), sj.GRU(32), sj.GRU(16, reset_after=False), MGU(32)], ids=repr)
@pytest.mark.parametrize("batch", [1, 8])
def test_other_cells_keep_to_it_too(cell, batch):
    params = cell.init(jax.random.key(0), 3)
    xs = np.ones((batch, 20_000, 3), np.float32)
    whole = bytes_of(cell, params, xs)
    for budget in (whole // 4, whole // 10):  # beside which stands a copy of the inputs, with time first
        assert bytes_of(cell, params, xs, checkpoint=f"{budget / 1e3}kB") <= budget + xs.nbytes


@pytest.mark.parametrize("budget", ["560kB", "520kB"])  # one level and two
def test_gradients_are_those_without(x64, budget):
    params, xs = jax.tree.map(np.float64, (PARAMS, XS[:, :1000]))
    resets = np.arange(1000)[None] % 77 == 5
    want, got = (
        jax.grad(last_of(CELL, resets=resets, lengths=[990], **options), (0, 1))(params, xs)
        for options in ({}, {"checkpoint": budget})
    )
    chex.assert_trees_all_close(got, want, rtol=1e-9)


def test_levels_follow_the_formula():
    """Carries of c = 8 bytes; a step of h' = tanh(w h + x) leaves what its derivative is made of."""
    w = jnp.full((2,), 0.5)

    def run(carry, xs):
        body = lambda h, x: (jnp.tanh(w * h + x), None)
        return jax.lax.scan(body, carry, xs)

    length = 999_983  # a prime, so that no divisor is near
    carry, xs = jnp.zeros(2), jax.ShapeDtypeStruct((length, 2), jnp.float32)
    few, more = (fit_segments(budget, run, carry, xs) for budget in (60_000, 16_000))
    assert fit_segments(1e9, run, carry, xs) == []
    assert len(few) == 1
    assert len(more) == 2
    assert more[0] / more[1] == pytest.approx(length / more[0], rel=0.3)  # as many carries at each level, or nearly
    _, left = count_bytes(run, carry, xs)
    assert few[0] == pytest.approx((length * 8 / left) ** 0.5, abs=1)  # K s = c T / K, as each level takes the same


def test_segments_are_divisors_where_the_budget_allows():
    """Of 20,000 steps: views of the inputs, not copies."""
    said = sj.explain(CELL, PARAMS, XS, checkpoint="400kB").splitlines()[-1]
    assert T % int(said.split("every ")[1].split()[0]) == 0


def test_too_little_memory_is_refused():
    message = "1,000 bytes were given, but 20,000 steps that leave .* carries of 256 bytes .* take at least"
    with pytest.raises(sj.ArgumentError, match=message):
        sj.scan(CELL, PARAMS, XS, checkpoint="1kB")


@pytest.mark.parametrize("wrong", ["512", "12 parsecs", -3, 2.5])
def test_what_checkpoint_may_be(wrong):
    with pytest.raises(sj.ArgumentError, match='or memory such as "512MB" or "2GiB", found'):
        sj.scan(CELL, PARAMS, XS, checkpoint=wrong)
