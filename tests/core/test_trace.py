"""Values inside a step: seen, differentiated in, replaced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, RNN, Cell, Dense, Embed, bidirectional, repeat, residual, scan, stack, tap, trace
from tests.attending_cells import AttendingLSTM, WindowAttention
from tests.own_cells import MGU
from tests.trees import close

B, T, D = 3, 6, 2
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))
LENGTHS = np.array([0, 4, T])
RESETS = np.zeros((B, T), bool)
RESETS[:, 3] = True


def numpy_lstm(params, xs):
    """Gates and states by the equations, for one row."""
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    width = params["mix"]["kernel"].shape[0]
    c, h = np.zeros(width), np.zeros(width)
    rows = []
    for x in xs:
        z = x @ params["project"]["kernel"] + params["project"]["bias"] + h @ params["mix"]["kernel"]
        i, f, g, o = (a(part) for a, part in zip((sigmoid, sigmoid, np.tanh, sigmoid), np.split(z, 4)))
        c = f * c + i * g
        h = o * np.tanh(c)
        rows.append({"i": i, "f": f, "g": g, "o": o, "c": c, "h": h, "y": h})
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def test_gates_and_states_of_an_lstm(x64):
    cell = LSTM(3)
    params = cell.init(jax.random.key(0), D, "float64")
    carry, ys, seen = trace(cell, params, XS.astype(float), lengths=LENGTHS)
    assert set(seen) == {"i", "f", "g", "o", "c", "h", "y"}
    for row, length in enumerate(LENGTHS):
        want = numpy_lstm(params, XS[row, :length]) if length else {}
        for name, value in seen.items():
            np.testing.assert_array_equal(value[row, length:], 0)
            if length:
                np.testing.assert_allclose(value[row, :length], want[name], rtol=1e-12)
    close((carry, ys), scan(cell, params, XS.astype(float), lengths=LENGTHS), 1e-12)


MODEL = stack(
    embed=Embed(5, D),
    rnn=bidirectional(stack(LSTM(3), GRU(3))),
    skip=residual(GRU(6)),
    deep=repeat(RNN(6), 2),
    out=Dense(2),
)
PARAMS = MODEL.init(jax.random.key(0), 1)
TOKENS = np.random.default_rng(0).integers(0, 5, (B, T))


def test_paths_name_layers_and_directions():
    _, _, seen = trace(MODEL, PARAMS, TOKENS)
    lstm = {f"rnn/{way}/0/{n}" for way in ("forward", "backward") for n in "ifgochy"}
    gru = {f"rnn/{way}/1/{n}" for way in ("forward", "backward") for n in "runhy"}
    rest = {"embed/y", "rnn/y", "deep/layer/h", "deep/layer/y", "out/y"} | {
        f"skip/{n}" for n in ("r", "u", "n", "h", "y", "sum")
    }
    assert set(seen) == lstm | gru | rest
    assert seen["deep/layer/h"].shape == (B, T, 2, 6)
    assert seen["rnn/y"].shape == (B, T, 6)


def test_a_cell_that_taps_nothing_shows_its_states_and_outputs():
    _, ys, seen = trace(MGU(3), MGU(3).init(jax.random.key(0), D), XS)
    assert set(seen) == {"h", "y"}
    np.testing.assert_array_equal(seen["y"], ys)
    _, _, seen = trace(WindowAttention(3), WindowAttention(3).init(jax.random.key(0), D), XS)
    assert set(seen) == {"y"}


def test_attention_weights_of_a_held_memory():
    cell = AttendingLSTM(3)
    params = cell.init(jax.random.key(0), D)
    carry = cell.initial_carry(params, (B,), memory=jax.random.normal(jax.random.key(2), (B, 4, 3)))
    _, _, seen = trace(cell, params, XS, carry)
    assert seen["weights"].shape == (B, T, 4)
    np.testing.assert_allclose(jnp.sum(seen["weights"], -1), 1, rtol=1e-6)
    assert set(seen) == {"weights", *"ifgoch", "y"}


OPTIONS = [
    {},
    {"lengths": LENGTHS},
    {"resets": RESETS, "checkpoint": 4},
    {"lengths": LENGTHS, "resets": RESETS, "checkpoint": "sqrt", "reverse": True},
    {"reverse": True, "mask": np.random.default_rng(1).random((B, T)) < 0.6},
]


@pytest.mark.parametrize("options", OPTIONS, ids=[" ".join(o) or "none" for o in OPTIONS])
def test_traced_runs_and_probes_are_exact_under_every_option(x64, options):
    """Outputs those of scan; the gradient in a probe for every name at once against finite differences."""
    params = jax.tree.map(lambda p: p.astype("float64"), PARAMS)
    f = jax.jit(lambda p, add: trace(MODEL, p, TOKENS, add=add, **options))
    carry, ys, seen = f(params, {})
    close((carry, ys), scan(MODEL, params, TOKENS, **options), 1e-12)
    ways = {
        n: np.asarray(jax.random.normal(jax.random.key(i), v.shape, v.dtype)) for i, (n, v) in enumerate(seen.items())
    }
    score = lambda add: jnp.sum(jnp.sin(f(params, add)[1]))
    grads = jax.jit(jax.grad(score))(jax.tree.map(jnp.zeros_like, ways))
    step = 1e-6
    for name, way in ways.items():
        ahead, behind = (score({n: (s if n == name else 0) * w for n, w in ways.items()}) for s in (step, -step))
        np.testing.assert_allclose(
            np.sum(grads[name] * way), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8, err_msg=name
        )


def test_vmap_over_parameters_and_over_data():
    two = jax.tree.map(lambda p: jnp.stack([p, 1.1 * p]), PARAMS)
    together = jax.vmap(lambda p: trace(MODEL, p, TOKENS, lengths=LENGTHS))(two)
    alone = trace(MODEL, jax.tree.map(lambda p: p[1], two), TOKENS, lengths=LENGTHS)
    close(jax.tree.map(lambda a: a[1], together), alone)
    rows = jax.vmap(lambda x: trace(MODEL, PARAMS, x)[2])(TOKENS)
    close(rows, trace(MODEL, PARAMS, TOKENS)[2])


def test_an_edit_replaces_a_gate():
    """An LSTM whose forget gate is held at 1 sums up what it writes."""
    cell = LSTM(3)
    params = cell.init(jax.random.key(0), D)
    _, _, seen = trace(cell, params, XS, add={"f": jnp.ones_like})
    np.testing.assert_array_equal(seen["f"], 1)
    np.testing.assert_allclose(seen["c"], np.cumsum(seen["i"] * seen["g"], axis=1), rtol=1e-5)
    model = stack(Dense(2), cell)
    layered = {"0": Dense(2).init(jax.random.key(1), D), "1": params}
    assert not np.allclose(trace(model, layered, XS, add={"1/o": jnp.zeros_like})[1], scan(model, layered, XS)[1])
    np.testing.assert_array_equal(trace(model, layered, XS, add={"1/o": jnp.zeros_like})[1], 0)


def test_a_probe_moves_what_follows_from_it_alone():
    cell = LSTM(3)
    params = cell.init(jax.random.key(0), D)
    probe = np.zeros((B, T, 3), np.float32)
    probe[:, 3] = 1
    _, ys, _ = trace(cell, params, XS, add={"c": probe})
    same = np.isclose(ys, scan(cell, params, XS)[1]).all((0, 2))
    np.testing.assert_array_equal(same, [True] * 3 + [False] * 3)


def test_time_major_and_no_steps():
    cell = GRU(3)
    params = cell.init(jax.random.key(0), D)
    seen = trace(cell, params, XS)[2]
    turned = trace(cell, params, XS.swapaxes(0, 1), time_major=True, add={"u": np.zeros((T, B, 3), np.float32)})[2]
    close(jax.tree.map(lambda a: a.swapaxes(0, 1), turned), seen)
    assert trace(cell, params, XS[:, :0])[2]["r"].shape == (B, 0, 3)


def test_without_a_trace_a_tap_is_nothing():
    """The program of a cell that taps is that of the cell that does not."""

    class Bare(RNN):
        def update(self, p, h, z, m):
            (h,) = sj.activate(z + m, "tanh")
            return h, h

    params = RNN(3).init(jax.random.key(0), D)
    program = lambda cell: str(jax.make_jaxpr(lambda x: cell.step(params, jnp.zeros((B, 3)), x))(XS[:, 0]))
    assert program(RNN(3)) == program(Bare(3))
    value = jnp.ones(3)
    assert tap("anything", value) is value


def test_traces_are_compiled_once():
    cell = LSTM(3)
    params = cell.init(jax.random.key(0), D)
    traces = []

    class Counting(LSTM):
        def update(self, p, carry, z, m):
            traces.append(1)
            return super().update(p, carry, z, m)

    trace(Counting(3), params, XS)
    first = len(traces)
    for _ in range(3):
        trace(Counting(3), params, XS + 1)
    assert len(traces) == first


class TapsInJit(Cell):
    inner: str
    out_features = 2

    def init(self, key, in_features, dtype=jnp.float32):
        return {"w": jnp.ones((in_features, 2), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, 2))

    def step(self, params, carry, x):
        inner = {"jit": jax.jit, "vmap": jax.vmap, "twice": lambda f: lambda v: f(f(v))}[self.inner]
        h = inner(lambda v: tap("inside", v))(carry + x @ params["w"])
        return h, h


@pytest.mark.parametrize(
    "inner, message",
    [("jit", "inside a jit, vmap or loop"), ("vmap", "inside a jit, vmap or loop"), ("twice", "stands twice")],
)
def test_taps_that_cannot_be_seen_are_refused(inner, message):
    cell = TapsInJit(inner)
    params = cell.init(jax.random.key(0), D)
    with pytest.raises(sj.ArgumentError, match=message):
        trace(cell, params, XS)
    scan(cell, params, XS)  # without a trace it is an ordinary cell


@pytest.mark.parametrize(
    "add, error, message",
    [
        ({"ff": np.zeros((B, T, 3))}, sj.ArgumentError, "no tap 'ff'. Perhaps you meant 'f'"),
        ({"f": np.zeros((B, T, 4))}, sj.ArgumentError, r"probe of 'f' has shape \(3, 4\) in a step, expected \(3, 3\)"),
        ({"f": np.zeros((T, B, 3))}, sj.ArgumentError, r"expected \(3, 6\) first"),
        ({"f": 1.0}, sj.ArgumentTypeError, "must hold arrays"),
        ({"f": lambda f: f[..., :1]}, sj.ArgumentError, "edit of 'f' has shape"),
    ],
    ids=["unknown", "width", "axes", "number", "edit"],
)
def test_wrong_probes_are_named(add, error, message):
    cell = LSTM(3)
    with pytest.raises(error, match=message):
        trace(cell, cell.init(jax.random.key(0), D), XS, add=add)


def test_an_unknown_option_is_named():
    with pytest.raises(sj.ArgumentError, match="'length' is no option of scan. Perhaps you meant 'lengths'"):
        trace(RNN(3), RNN(3).init(jax.random.key(0), D), XS, length=LENGTHS)
