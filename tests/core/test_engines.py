"""Which engine runs a cell, and that all give the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.core import engines
from seqjax.core.linear_scan import BLOCK, linear_scan
from seqjax.core.wrapper import Wrapper
from seqjax.testing import check_cell
from seqjax.testing.case import check_same, run_with_gradients
from tests.own_cells import Gate


def model(*cells):
    cell = sj.stack(*cells)
    return cell, cell.init(jax.random.key(0), 3)


def draw(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("steps", [1, BLOCK, 3 * BLOCK + 1, BLOCK**2 + 5, 2 * BLOCK**2 + 1])
def test_blocks_are_the_loop(x64, kind, steps):
    """Against NumPy, with starts; over one and two levels of blocks, and lengths that are no multiple of one."""
    rng = np.random.default_rng(0)
    values = lambda *shape: rng.normal(size=shape) + (1j * rng.normal(size=shape) if kind == "complex" else 0)
    a, b, h = values(steps, 2, 3) / 2, values(steps, 2, 3), values(2, 3)
    starts = rng.random((steps, 2)) < 0.1
    for flags in (None, starts):
        want, state = [], h
        for t in range(steps):
            state = a[t] * state + b[t]
            if flags is not None:
                state = np.where(flags[t][:, None], b[t], state)
            want.append(state)
        for blocks in (False, True):
            np.testing.assert_allclose(linear_scan(a, b, jnp.asarray(h), flags, blocks=blocks), want, rtol=1e-11)


@pytest.mark.parametrize("blocks", [False, True])
def test_nothing_passes_a_start(blocks):
    """Neither a state that has become infinite, nor the gradient in it."""
    a, b = jnp.full((3 * BLOCK, 1), 2.0), jnp.full((3 * BLOCK, 1), 1e38)
    starts = np.arange(3 * BLOCK)[:, None] == 40
    states = linear_scan(a, b, b[0], starts, blocks=blocks)
    assert np.isinf(states[39, 0]) and states[40, 0] == b[40, 0]
    in_a, in_b, in_h = jax.grad(lambda *given: linear_scan(*given, starts, blocks=blocks)[40, 0], (0, 1, 2))(a, b, b[0])
    assert in_b[40, 0] == 1 and not np.any(in_b[:40]) and not np.any(in_a[40:42]) and not np.any(in_h)


def test_the_choice_is_told():
    cell, params = model(sj.Dense(3), Gate(4), sj.GRU(4))
    text = sj.explain(cell, params, jnp.zeros((2, 100, 3)))
    assert "Gate(4): loop over time for h' = a h + b alone, in chunks of 100 (faster on this cpu)" in text
    assert "GRU(4): loop over time, deferred gradient in chunks of 100" in text
    cell, params = model(sj.Dense(3), Gate(4))
    assert "alone, in chunks of 128 (faster" in sj.explain(cell, params, jnp.zeros((2, 2**17, 3)))
    xs = jnp.zeros((2, 100, 3))
    assert f"Gate(4): associative in blocks of {BLOCK} (asked for)" in sj.explain(
        cell, params, xs, engine="associative"
    )
    assert "alone, in chunks of 100 (asked for), autodiff" in sj.explain(
        cell, params, xs, engine="scan", gradient="autodiff"
    )


def test_an_engine_that_cannot_run_a_part_is_refused():
    """By the name of the part; layers without a recurrence are no obstacle."""
    xs = draw(1, 2, 5, 3)
    for part in (sj.GRU(4), Stepped(Gate(4)), sj.residual(sj.stack(sj.Norm(), sj.RNN(4)))):
        cell, params = model(Gate(4), part, sj.Dense(2))
        name = {"Residual": "RNN(4)"}.get(type(part).__name__, repr(part))
        for run in (sj.scan, jax.jit(lambda *a, **k: sj.scan(*a, **k), static_argnums=0, static_argnames="engine")):
            with pytest.raises(sj.ArgumentError) as error:
                run(cell, params, xs, engine="associative")
            assert str(error.value).startswith(f"engine='associative' cannot run {name}: it has a recurrence")
    cell, params = model(sj.Norm(), sj.Dense(3), sj.bidirectional(sj.residual(sj.stack(Gate(3)))))
    assert sj.scan(cell, params, xs, engine="associative")[1].shape == (2, 5, 6)


class Stepped(Wrapper):
    """What overrides `step` alone means it, whatever the cell within defines."""

    def step(self, params, carry, x):
        carry, y = self.cell.step(params, carry, x)
        return carry, 2 * y


def test_a_step_of_its_own_takes_affine_back():
    class Twice(Gate):
        def step(self, params, carry, x):
            carry, y = super().step(params, carry, x)
            return carry, 2 * y

    assert Gate(2).diagonal and Gate(2).uniform and not Twice(2).diagonal
    params, xs = Gate(2).init(jax.random.key(0), 3), draw(1, 2, 5, 3)
    np.testing.assert_allclose(sj.scan(Twice(2), params, xs)[1], 2 * sj.scan(Gate(2), params, xs)[1], rtol=1e-6)


class Grow(sj.Cell):
    """h' = 5 h + x."""

    out_features = 1

    def init(self, key, in_features, dtype=jnp.float32):
        return {"a": jnp.full(1, 5.0, dtype)}

    def affine(self, params, x):
        return jnp.broadcast_to(params["a"], x.shape), x


def test_what_grows_within_its_resets_has_a_gradient_in_blocks():
    """The product of a over a whole block, which nothing reads, was inf, and the gradient inf times 0."""
    cell, xs, resets = Grow(), jnp.ones((1, 2 * BLOCK + 8, 1)), np.arange(2 * BLOCK + 8)[None] % 10 == 0
    params = cell.init(jax.random.key(0), 1)
    loss = lambda params, xs, engine: jnp.sum(1e-6 * sj.scan(cell, params, xs, resets=resets, engine=engine)[1])
    loop, blocks = (jax.grad(loss, (0, 1))(params, xs, engine) for engine in ("scan", "associative"))
    assert np.all(np.isfinite(loop[1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), blocks, loop)


@pytest.mark.parametrize(
    "found, words",
    [
        (lambda x: (x * (1 + 1j), x), "gives complex numbers as a, and the carry is real. Define initial_carry"),
        (lambda x: (0.5, x), "affine must give a pair .* of trees of arrays, found .0.5, "),
        (lambda x: x, "affine must give a pair .* of trees of arrays, found "),
        (lambda x: (jnp.ones(1), x), r"affine must give a like the carry, .2, 1. for each step, found .1,."),
    ],
    ids=["complex", "number", "no pair", "no axes"],
)
def test_what_affine_gives_is_looked_at(found, words):
    class Wrong(Grow):
        def affine(self, params, x):
            return found(x)

    with pytest.raises(sj.ArgumentError, match=words):
        sj.scan(Wrong(), {"a": jnp.ones(1)}, jnp.ones((2, 3, 1)))


def test_affine_must_be_like_the_carry():
    class Wide(Gate):
        def affine(self, params, x):
            a, b = super().affine(params, x)
            return a[..., :1], b

    cell = Wide(4)
    with pytest.raises(sj.ArgumentError, match=r"Wide\(4\): affine must give a like the carry, \(2, 4\) for each step"):
        sj.scan(cell, cell.init(jax.random.key(0), 3), draw(1, 2, 5, 3))


def test_a_reset_that_reads_the_carry_goes_step_by_step():
    class Halving(Gate):
        def restart(self, params, carry, batch_shape):
            return carry / 2

    cell = Halving(2)
    params, xs, resets = cell.init(jax.random.key(0), 3), draw(1, 2, 5, 3), np.zeros((2, 5), bool)
    resets[:, 3] = True
    assert "step by step, not all at once (a reset reads the carry)" in sj.explain(cell, params, xs, resets=resets)
    carry, before = sj.scan(cell, params, xs[:, :3])
    want = sj.scan(cell, params, xs[:, 3:], carry / 2)[1]
    np.testing.assert_allclose(sj.scan(cell, params, xs, resets=resets)[1][:, 3:], want, rtol=1e-6)
    with pytest.raises(sj.ArgumentError, match="a reset reads the carry"):
        sj.scan(cell, params, xs, resets=resets, engine="associative")


def stepped(cell):
    """The same cell, which is known by its step alone, so that a loop runs it step by step."""
    kind = type(cell)
    changed = {"step": lambda self, params, carry, x: kind.step(self, params, carry, x)}
    return type(f"Stepped{kind.__name__}", (kind,), changed)(**vars(cell))


MASK = np.random.default_rng(0).random((3, 2 * BLOCK + 9)) < 0.8
MASK[1] = False
RESETS = np.random.default_rng(1).random(MASK.shape) < 0.1


@pytest.mark.parametrize("options", [{}, {"reverse": True, "checkpoint": 37}], ids=str)
@pytest.mark.parametrize("cell", [sj.MinGRU(3, learned_carry=True), sj.LRU(3)], ids=repr)
def test_engines_agree_over_blocks(x64, monkeypatch, cell, options):
    """With gaps, a row without real steps, resets and NaN in unreal steps: values and gradients."""
    monkeypatch.setattr(engines, "ONE_CHUNK", 0)
    params = jax.tree.map(lambda a: a + 0.1, cell.init(jax.random.key(0), 3, jnp.float64))
    clean = draw(1, *MASK.shape, 3)
    dirty = jnp.where(MASK[..., None], clean, jnp.nan)
    begin = cell.initial_carry(params, (3,)) + 0.5

    def run(cell, xs, **engine):
        call = lambda p, x, c: sj.scan(cell, p, x, c, mask=MASK, resets=RESETS, **options, **engine)
        return jax.jit(lambda *given: run_with_gradients(lambda p, c, x: call(p, x, c), *given))(params, begin, xs)

    want = run(stepped(cell), clean)
    for engine in ("scan", "associative"):
        found = run(cell, clean, engine=engine)
        check_same(engine, found, want, 1e-12)
        check_same(f"{engine}, NaN in unreal steps", run(cell, dirty, engine=engine), found)


@pytest.mark.parametrize("gradient", ["deferred", "autodiff"])
def test_a_budget_of_memory_and_long_chunks(monkeypatch, gradient):
    """More than a chunk, with a rest; what is left to `checkpoint` goes by its own segments."""
    monkeypatch.setattr(engines, "ONE_CHUNK", 0)
    cell = sj.MinGRU(3)
    params, xs = cell.init(jax.random.key(0), 3), draw(1, 1, 1000, 3)
    run = lambda options, cell=cell: jax.jit(lambda p, x: run_with_gradients(
        lambda p, c, x: sj.scan(cell, p, x, **options), p, (), x))(params, xs)  # fmt: skip
    want = run({}, stepped(cell))
    for options in ({}, {"checkpoint": "200kB"}, {"checkpoint": "sqrt"}, {"engine": "associative"}):
        check_same(str(options), run({**options, "gradient": gradient}), want, 1e-4)


def test_all_orders_in_blocks(x64):
    """Forward and reverse over each other, against what JAX makes of the loop."""
    rng = np.random.default_rng(0)
    a, b, h = (jnp.asarray(rng.normal(size=shape)) for shape in ((3 * BLOCK, 2), (3 * BLOCK, 2), (2,)))

    def derivatives(**options):
        f = lambda s: jnp.sum(jnp.sin(linear_scan(s[0] * a / 2, s[1] * b, s[2] * h, **options)))
        orders = (jax.hessian, lambda f: jax.jacrev(jax.jacrev(f)), lambda f: jax.jacfwd(jax.jacfwd(f)))
        return [jax.jit(order(f))(jnp.ones(3)) for order in orders] + [jax.jit(jax.jacfwd(jax.hessian(f)))(jnp.ones(3))]

    want = derivatives(autodiff=True)
    for blocks in (False, True):
        for found, expected in zip(derivatives(blocks=blocks), want):
            np.testing.assert_allclose(found, expected, rtol=1e-9)


LAW = [
    (sj.MinGRU(4, learned_carry=True), {"engine": "associative"}),
    *(
        pytest.param(cell, {"engine": engine, "gradient": gradient, "checkpoint": checkpoint}, marks=pytest.mark.slow)
        for cell in (sj.MinGRU(4), sj.MinLSTM(4), sj.LRU(4))
        for engine in ("scan", "associative")
        for gradient in ("deferred", "autodiff")
        for checkpoint in (None, 3)
    ),
]


@pytest.mark.parametrize(("cell", "options"), LAW, ids=str)
def test_the_law_by_engine(monkeypatch, cell, options):
    monkeypatch.setattr(engines, "ONE_CHUNK", 0)
    report = check_cell(cell, **options)
    assert set(report.values()) == {"holds", "not tried: nothing is held"}


def test_a_trace_goes_step_by_step():
    cell, params = model(sj.MinGRU(3), sj.LRU(2))
    xs = draw(1, 2, 100, 3)
    _, ys, seen = sj.trace(cell, params, xs, engine="associative")
    assert sorted(seen) == ["0/h", "0/n", "0/u", "0/y", "1/h", "1/y"]
    flow = sj.diagnostics.gradient_flow(cell, params, xs, lambda y: y[:, 0])
    assert sorted(flow.layers) == sorted(seen)
    np.testing.assert_allclose(ys, sj.scan(cell, params, xs)[1], atol=1e-5)
    u, n, h = (seen[f"0/{name}"] for name in "unh")
    np.testing.assert_allclose(h[:, 1:], (u * jnp.roll(h, 1, axis=1) + (1 - u) * n)[:, 1:], atol=1e-6)
