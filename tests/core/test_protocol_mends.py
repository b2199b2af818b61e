"""What a second reader broke, each named after what it did."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import (
    GRU,
    LSTM,
    RNN,
    ArgumentError,
    ArgumentTypeError,
    Cell,
    Dense,
    Dropout,
    Held,
    Pointwise,
    Wrapper,
    bidirectional,
    repeat,
    residual,
    scan,
    stack,
    trace,
)  # fmt: skip
from seqjax.diagnostics import gradient_flow
from seqjax.testing import LawError, check_cell
from tests.own_cells import LRU, DelayLine

B, T, D = 3, 5, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


class Speed(Cell):
    """How far the input has moved: an infinite slope where it has not."""

    out_features = 1

    def init(self, key, in_features, dtype=jnp.float32):
        return {"k": jnp.ones(1, dtype)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, D), jnp.promote_types(params["k"].dtype, jnp.float32))

    def step(self, params, carry, x):
        moved = jnp.sqrt(jnp.sum((x - carry) ** 2, axis=-1, keepdims=True))
        y = moved * jnp.broadcast_to(params["k"], moved.shape)
        return x.astype(carry.dtype), y.astype(jnp.result_type(params["k"], x))


class Arctanh(Pointwise):
    """Defined between -1 and 1 alone."""

    out_features = 1

    def init(self, key, in_features, dtype=jnp.float32):
        return {"s": jnp.full(in_features, 0.9, dtype)}

    def apply(self, params, x):
        return jnp.sum(jnp.arctanh(x * jnp.broadcast_to(params["s"], x.shape)), axis=-1, keepdims=True)


GAPS = np.ones((B, T), bool)
GAPS[:, 1] = GAPS[2] = False


@pytest.mark.parametrize("gradient", ["deferred", "autodiff"])
@pytest.mark.parametrize(
    "marks",
    [{"lengths": np.array([1, 1, 1])}, {"mask": GAPS}, {"mask": GAPS, "reverse": True}],
    ids=["one step", "gaps", "reverse"],
)
def test_an_unreal_step_reads_a_carry_that_belongs_to_its_input(gradient, marks):
    """The first real input beside the carry that it leaves was a pair that never occurs: NaN in every weight."""
    cell = stack(Dense(D), Speed())
    params = cell.init(jax.random.key(0), D)
    grads = jax.grad(lambda p: scan(cell, p, XS, gradient=gradient, **marks)[1].sum())(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))
    if "lengths" in marks:
        want = jax.grad(lambda p: scan(cell, p, XS[:, :1])[1].sum())(params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), grads, want)


def test_both_directions_of_such_a_cell_and_its_flow():
    cell = stack(Dense(D), bidirectional(Speed()))
    params = cell.init(jax.random.key(0), D)
    grads = jax.grad(lambda p: scan(cell, p, XS, mask=GAPS)[1].sum())(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))
    flow = gradient_flow(cell, params, XS, lambda ys: ys.sum((1, 2)), mask=GAPS, outputs="all")
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(grads))) / B
    np.testing.assert_allclose(np.exp(flow.parameters), norm, rtol=1e-5)


def test_a_row_without_real_steps_stays_within_the_domain():
    """It read numbers from 1 to 2."""
    params = Arctanh().init(jax.random.key(0), D)
    for lengths in ([0, 5, 2], [0, 0, 0]):
        f = lambda p, lengths=lengths: scan(Arctanh(), p, 0.5 * np.tanh(XS), lengths=np.array(lengths))[1].sum()
        assert np.all(np.isfinite(jax.grad(f)(params)["s"]))


def test_a_loss_or_an_edit_is_called_anew_each_time():
    """They were compiled in, with what they read at the first call."""
    cell = LSTM(3)
    params = cell.init(jax.random.key(0), D)
    target, strength = {"t": 0.0}, {"s": 1.0}
    loss = lambda y: jnp.sum((y - target["t"]) ** 2, -1)
    edit = lambda f: f * strength["s"]
    first = gradient_flow(cell, params, XS, loss).loss, trace(cell, params, XS, add={"f": edit})[1]
    target["t"], strength["s"] = 100.0, 0.0
    second = gradient_flow(cell, params, XS, loss).loss, trace(cell, params, XS, add={"f": edit})[1]
    assert np.all(second[0] > 1000 * first[0])
    assert not np.allclose(*(pair[1] for pair in (first, second)))


class Bank(Cell):
    """It holds a memory that is made of its parameters."""

    out_features = D

    def init(self, key, in_features, dtype=jnp.float32):
        return {"m": jax.random.normal(key, (3, D), dtype)}

    def initial_carry(self, params, batch_shape=()):
        memory = jnp.broadcast_to(params["m"], (*batch_shape, 3, D))
        return jnp.zeros((*batch_shape, D), jnp.promote_types(params["m"].dtype, jnp.float32)), Held(memory)

    def step(self, params, carry, x):
        h, memory = carry
        weights = jax.nn.softmax(jnp.einsum("...d,...sd->...s", x.astype(h.dtype), memory.value.astype(h.dtype)))
        h = jnp.tanh(h + jnp.einsum("...s,...sd->...d", weights, memory.value.astype(h.dtype)))
        return (h, memory), h.astype(jnp.result_type(params["m"], x))


class Same(Wrapper):
    """A wrapper that changes nothing."""


class Own(Wrapper):
    """One whose sequence is its own, in both directions."""

    causal = False

    def step(self, params, carry, x):
        raise sj.NotCausalError

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = self.cell.sequence(params, carry, xs, plan)
        return carry, 2 * ys


@pytest.mark.parametrize(
    "cell",
    [
        Bank(),
        stack(Dense(D), residual(Bank())),
        Same(bidirectional(GRU(3, learned_carry=True))),
        Own(bidirectional(GRU(3, learned_carry=True))),
    ],
    ids=["bank", "within", "same", "own"],
)
def test_parameters_that_act_through_the_initial_carry(x64, cell):
    """Their part was left out of `gradient_flow(...).parameters`."""
    params = cell.init(jax.random.key(0), D, "float64")
    loss = lambda ys: jnp.sum(jnp.sin(ys), (1, 2))
    grads = jax.grad(lambda p: jnp.mean(loss(scan(cell, p, XS.astype(float))[1])))(params)
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(grads)))
    flow = gradient_flow(cell, params, XS.astype(float), loss, outputs="all")
    np.testing.assert_allclose(np.exp(flow.parameters), norm, rtol=1e-9)
    if isinstance(cell, Same):
        assert {"forward/h", "backward/u"} <= flow.layers.keys()


def test_a_memory_made_of_parameters_is_lawful():
    check_cell(Bank(), D)


def test_a_real_carry_of_a_complex_cell_and_a_narrow_clock():
    """The first lost every imaginary part, the second wrapped around at 127."""
    cell = LRU(2)
    params = cell.init(jax.random.key(0), D)
    np.testing.assert_allclose(scan(cell, params, XS, jnp.zeros((B, 2)))[1], scan(cell, params, XS)[1], rtol=1e-6)
    drop = Dropout(0.5)
    carry = drop.initial_carry({}, (1,), key=jax.random.key(0))
    last, _ = scan(drop, {}, np.ones((1, 200, 1), np.float32), carry._replace(draws=carry.draws.astype(jnp.int8)))
    assert int(last.draws[0]) == 200


def test_paths_are_told_apart():
    cell = residual(residual(GRU(D)))
    params = cell.init(jax.random.key(0), D)
    names = set(trace(cell, params, XS)[2])
    assert {"sum", "cell/sum", "cell/h"} <= names
    assert set(gradient_flow(cell, params, XS, lambda y: y[:, 0]).layers) <= names
    for bad in ("a/b", "class", "my layer", ""):
        with pytest.raises(ArgumentError, match="no name for a part"):
            stack(**{bad: LSTM(3)})


def test_a_named_stack_keeps_as_many_names_as_cells():
    """One cell more was left out of the run, in silence."""
    model = stack(a=Dense(4), b=GRU(3))
    with pytest.raises(ArgumentError, match="3 cells, but 2 names"):
        dataclasses.replace(model, cells=(*model.cells, Dense(7)))
    with pytest.raises(ArgumentError, match="used once"):
        sj.combinators.Stack((Dense(4), GRU(3)), ("x", "x"))


class Twice(Wrapper):
    factor: float = 2.0

    def step(self, params, carry, x):
        carry, y = self.cell.step(params, carry, x)
        return carry, self.factor * y


def test_a_path_means_the_same_in_a_loop_and_in_a_sequence():
    cell = stack(residual(GRU(D)), Dense(2))
    params = cell.init(jax.random.key(0), D)
    alone, within = trace(cell, params, XS)[2], trace(Twice(cell), params, XS)[2]
    assert set(alone) <= set(within)
    for name, value in alone.items():
        np.testing.assert_allclose(within[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "cell", [Twice(repeat(GRU(D), 2)), Twice(stack(repeat(GRU(D), 2), Dense(3))), residual(repeat(GRU(D), 2))], ids=repr
)
def test_wrappers_of_repeated_cells_can_be_traced(cell):
    params = cell.init(jax.random.key(0), D)
    seen = trace(cell, params, XS)[2]
    assert any(name.endswith("layer/h") and value.shape == (B, T, 2, D) for name, value in seen.items())
    zeros = {name: jnp.zeros_like(value) for name, value in seen.items()}
    np.testing.assert_allclose(trace(cell, params, XS, add=zeros)[1], scan(cell, params, XS)[1], rtol=1e-5, atol=1e-6)


class Pair(NamedTuple):
    y: jax.Array
    z: jax.Array


class Oscillator(Cell):
    """A state that is called y."""

    out_features = 2

    def init(self, key, in_features, dtype=jnp.float32):
        return {"w": jnp.ones((in_features, 2), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return Pair(*(jnp.zeros((*batch_shape, 2), params["w"].dtype) for _ in range(2)))

    def step(self, params, carry, x):
        z = carry.z + 0.1 * (jnp.tanh(x @ params["w"]) - carry.y)
        y = carry.y + 0.1 * z
        return Pair(y, z), y + 1


def test_a_state_may_have_the_name_of_an_output():
    seen = trace(Oscillator(), Oscillator().init(jax.random.key(0), D), XS)[2]
    assert set(seen) == {"y", "carry/y", "z"}
    np.testing.assert_allclose(seen["y"], seen["carry/y"] + 1, rtol=1e-6)


def test_what_is_held_is_no_state_of_a_trace():
    seen = trace(Bank(), Bank().init(jax.random.key(0), D), XS)[2]
    assert set(seen) == {"0", "y"}
    with pytest.raises(ArgumentError, match="no tap '1/value'"):
        trace(Bank(), Bank().init(jax.random.key(0), D), XS, add={"1/value": jnp.zeros_like})


def test_options_that_are_equal_numbers_of_other_types_are_other_cells():
    """1 == True and 0.0 == -0.0 shared one program."""
    assert Twice(GRU(3), 1) != Twice(GRU(3), True)
    assert Twice(GRU(3), 0.0) != Twice(GRU(3), -0.0)
    assert Twice(GRU(3), 2.0) == Twice(GRU(3)) and hash(Twice(GRU(3), 2.0)) == hash(Twice(GRU(3)))
    assert Twice(GRU(3), float("nan")) == Twice(GRU(3), float("nan"))


class Two(Cell):
    parts: Pair
    made: int = dataclasses.field(init=False, default=3)


def test_evaluation_and_replace_reach_cells_in_named_tuples():
    quiet = Two(Pair(Dropout(0.5), stack(Dropout(0.1)))).evaluation()
    assert quiet.parts == Pair(Dropout(0.0), stack(Dropout(0.0)))


@pytest.mark.parametrize("dtype", [">f4", np.longdouble])
def test_arrays_that_jax_lacks_are_named(dtype):
    with pytest.raises(ArgumentTypeError, match="which JAX lacks"):
        scan(RNN(3), RNN(3).init(jax.random.key(0), D), XS.astype(dtype))


class Permuting(Cell):
    """Whole-number parameters, and a whole-number output."""

    out_features = 1

    def init(self, key, in_features, dtype=jnp.float32):
        return {"order": jax.random.permutation(key, in_features), "w": jnp.ones((in_features, 2), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, 2), jnp.promote_types(params["w"].dtype, jnp.float32))

    def step(self, params, carry, x):
        h = jnp.tanh(carry + (x[..., params["order"]] @ params["w"]).astype(carry.dtype))
        return h, jnp.argmax(h, axis=-1, keepdims=True)


def test_whole_numbers_in_parameters_and_outputs_are_lawful():
    check_cell(Permuting())


class Holes(Wrapper):
    hole: str

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = self.cell.sequence(params, carry, xs, plan)
        marked = plan.mask is not None or plan.resets is not None
        wrong = {
            "lengths": plan.lengths is not None,
            "fresh": plan.fresh and (marked or plan.reverse),
            "axes": ys.ndim > 3,
        }
        return carry, ys * 2 if wrong[self.hole] else ys


@pytest.mark.parametrize(
    "hole, message", [("lengths", "lengths"), ("fresh", "no carry given"), ("axes", "two batch axes")]
)
def test_laws_that_had_holes(hole, message):
    with pytest.raises(LawError, match=message):
        check_cell(Holes(RNN(2), hole))


def test_joint_of_all_outputs_is_nan_where_the_last_step_is_unreal():
    cell = RNN(2)
    flow = gradient_flow(cell, cell.init(jax.random.key(0), D), XS, lambda ys: ys.sum((1, 2)), mask=GAPS, outputs="all")
    np.testing.assert_array_equal(np.isnan(flow.joint[:, 0]), ~GAPS[:, -1])


def test_a_delay_line_may_stand_in_a_stack_with_resets():
    cell = stack(DelayLine(2), Dense(2))
    params = cell.init(jax.random.key(0), D)
    resets = np.zeros((B, T), bool)
    resets[:, 2] = True
    _, ys = scan(cell, params, XS, resets=resets)
    np.testing.assert_allclose(ys[:, 2:], scan(cell, params, XS[:, 2:])[1], rtol=1e-6)
