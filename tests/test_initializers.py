"""Initialisers, gate by gate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.initializers import (
    Initializer,
    check_initializer,
    chrono,
    forget_bias,
    glorot,
    identity,
    normal,
    orthogonal,
    zeros,
)


def gate_blocks(cell, kernel):
    return dict(zip(cell.gates, np.split(np.asarray(kernel, np.float64), len(cell.gates), axis=-1)))


@pytest.mark.parametrize("cell", [sj.RNN(32), sj.LSTM(32), sj.GRU(32), sj.GRU(32, reset_after=False)], ids=repr)
def test_recurrent_kernels_are_orthogonal_gate_by_gate(cell):
    params = cell.init(jax.random.key(0), 5)
    for name, block in gate_blocks(cell, params["mix"]["kernel"]).items():
        values = np.linalg.svd(block, compute_uv=False)
        np.testing.assert_allclose(values, 1, atol=1e-5, err_msg=name)


def test_scale_and_identity():
    cell = sj.RNN(16, recurrent_init=orthogonal(1.5))
    kernel = cell.init(jax.random.key(0), 3)["mix"]["kernel"]
    np.testing.assert_allclose(np.linalg.svd(kernel, compute_uv=False), 1.5, atol=1e-5)
    kernel = sj.RNN(4, recurrent_init=identity(0.5)).init(jax.random.key(0), 3)["mix"]["kernel"]
    np.testing.assert_array_equal(kernel, 0.5 * np.eye(4))


def test_forget_bias_is_that_of_the_forget_gate_alone():
    for cell, gate, value in ((sj.LSTM(6), "f", 1.0), (sj.GRU(6, bias_init=forget_bias(2.0)), "u", 2.0)):
        biases = gate_blocks(cell, cell.init(jax.random.key(0), 3)["project"]["bias"])
        for name, bias in biases.items():
            np.testing.assert_array_equal(bias, value if name == gate else 0.0)


def test_chrono_spreads_time_constants():
    cell = sj.LSTM(2000, bias_init=chrono(100))
    bias = chrono(100)(jax.random.key(0), cell, jnp.float32)
    gates = gate_blocks(cell, bias)
    steps = np.exp(gates["f"])
    assert 1 <= steps.min() < 3
    assert 96 < steps.max() <= 99
    assert abs(steps.mean() - 50) < 3  # uniform on 1 ... 99: standard error 0.63
    np.testing.assert_array_equal(gates["i"], -gates["f"])
    np.testing.assert_array_equal(gates["g"], 0)
    gru = sj.GRU(8, bias_init=chrono(50))
    gates = gate_blocks(gru, gru.init(jax.random.key(0), 2)["project"]["bias"])
    assert np.all(gates["u"] > 0)
    assert not np.any(gates["r"])


def test_fans_are_those_of_the_gate():
    kernel = sj.LSTM(50).init(jax.random.key(0), 50)["project"]["kernel"]
    bound = np.sqrt(6 / 100)
    assert 0.97 * bound < np.abs(kernel).max() <= bound
    spread = normal()(jax.random.key(0), (400, 50), jnp.float32).std()
    assert abs(spread * 20 - 1) < 0.05


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_parameters_of_every_dtype(dtype):
    cell = sj.stack(sj.Embed(7, 4), sj.LSTM(4), sj.GRU(4, bias_init=chrono(9)), sj.Norm(), sj.Dense(2))
    with jax.enable_x64(dtype == "float64"):
        params = cell.init(jax.random.key(0), 0, dtype)
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(params)} == {dtype}
        assert all(np.all(np.isfinite(np.asarray(leaf, np.float64))) for leaf in jax.tree.leaves(params))


def test_float64_draws_are_orthogonal_to_float64_precision(x64):
    kernel = sj.RNN(16).init(jax.random.key(0), 3, "float64")["mix"]["kernel"]
    np.testing.assert_allclose(np.asarray(kernel).T @ np.asarray(kernel), np.eye(16), atol=1e-13)


def test_bias_without_a_gate_to_keep_is_refused():
    with pytest.raises(sj.ArgumentError, match=r"bias_init=forget_bias\(\): RNN has no gate"):
        sj.RNN(3, bias_init=forget_bias()).init(jax.random.key(0), 2)


def test_learned_carry_starts_at_zero_and_is_trained():
    cell = sj.LSTM(3, learned_carry=True)
    params = cell.init(jax.random.key(0), 2)
    xs = jax.random.normal(jax.random.key(1), (4, 5, 2))
    plain = sj.LSTM(3)
    rest = {k: v for k, v in params.items() if k != "carry"}
    np.testing.assert_array_equal(sj.scan(cell, params, xs)[1], sj.scan(plain, rest, xs)[1])
    grads = jax.grad(lambda p: jnp.sum(sj.scan(cell, p, xs)[1] ** 2))(params)
    assert np.all(np.asarray(grads["carry"].c) != 0)


def test_initialisers_print_as_calls():
    for value in (orthogonal(), orthogonal(2.0), identity(), glorot(), normal(0.1), zeros(), chrono(10)):
        assert eval(repr(value)) == value


@pytest.mark.parametrize("name", ["kernel_init", "recurrent_init"])
@pytest.mark.parametrize(
    "value, words",
    [
        ("orthogonal", r"found 'orthogonal'. Write orthogonal\(\), not 'orthogonal'"),
        ("orthogonal(2.0)", r"Write orthogonal\(\)"),
        ("ortogonal", "Perhaps you meant 'orthogonal'"),
        (orthogonal, r"Write orthogonal\(\), not the class"),
        (1.0, r"found 1.0. A size\? Write normal\(1.0\)"),
        (zeros(), r"found zeros\(\). It draws biases: pass it as bias_init"),
        (forget_bias, "pass it as bias_init"),
        (jax.nn.initializers.glorot_uniform(), "subclass of Initializer with a method draw"),
        (None, "such as orthogonal"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or repr(value),
)
def test_what_is_no_initialiser_of_matrices_is_refused(name, value, words):
    with pytest.raises(sj.ArgumentTypeError, match=rf"{name} must be an initialiser.*{words}"):
        check_initializer(name, value)


@pytest.mark.parametrize(
    "value, words",
    [
        ("zeros", r"Write zeros\(\), not 'zeros'"),
        (zeros, r"Write zeros\(\), not the class"),
        (1.0, r"A constant\? forget_bias\(1.0\)"),
        (glorot(), r"found glorot\(\). It draws matrices: pass it as kernel_init or recurrent_init"),
        (orthogonal, "It draws matrices"),
        (lambda key, shape, dtype: 0, "subclass of Bias with a method draw"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or repr(value),
)
def test_what_is_no_initialiser_of_biases_is_refused(value, words):
    with pytest.raises(
        sj.ArgumentTypeError, match=rf"bias_init must be an initialiser such as forget_bias\(\).*{words}"
    ):
        check_initializer("bias_init", value)


def test_initialisers_pass_also_those_of_a_user():
    class ones(Initializer):
        def draw(self, key, shape, dtype):
            return jnp.ones(shape, dtype)

    for name in ("kernel_init", "recurrent_init"):
        for value in (orthogonal(), identity(0.5), glorot(), normal(), ones()):
            check_initializer(name, value)
    for value in (zeros(), forget_bias(), chrono(9)):
        check_initializer("bias_init", value)
    np.testing.assert_array_equal(sj.Dense(2, kernel_init=ones()).init(jax.random.key(0), 3)["kernel"], 1)


@pytest.mark.parametrize(
    "make", [lambda init: sj.Dense(2, kernel_init=init), lambda init: sj.Embed(3, 2, kernel_init=init)]
)
@pytest.mark.parametrize("wrong", ["glorot", glorot, 1.0, zeros()], ids=repr)
def test_layers_refuse_a_kernel_init_when_they_are_made(make, wrong):
    with pytest.raises(sj.ArgumentTypeError, match="kernel_init must be an initialiser"):
        make(wrong)
