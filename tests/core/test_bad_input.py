"""Wrong calls: each is an error of ours that names the argument, what was found and what was expected."""

import re

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
    Dropout,
    Embed,
    NotCausalError,
    bidirectional,
    cell_from_text,
    repeat,
    residual,
    scan,
    stack,
)
from seqjax.core.plan import Newton
from seqjax.diagnostics import gradient_flow, half_life
from seqjax.initializers import chrono, forget_bias, orthogonal, zeros

KEY = jax.random.key(0)
B, T, D, F = 3, 5, 7, 4
LSTM_, GRU_ = LSTM(F), GRU(F)
P = LSTM_.init(KEY, D)
XS = np.zeros((B, T, D), np.float32)
LM = stack(Embed(11, 3), LSTM(F))
LM_P = LM.init(KEY, 0)
IDS = np.zeros((B, T), np.int32)
DROP = stack(Dropout(0.5), LSTM(F))


def run(xs=XS, params=P, cell=LSTM_, **options):
    def call():
        return scan(cell, params, xs, **options)

    call.is_scan = True
    return call


def tokens(xs, **options):
    return run(xs, LM_P, LM, **options)


def flow(cell=LSTM_, params=P, xs=XS, loss=lambda y: y[:, 0], **options):
    return lambda: gradient_flow(cell, params, xs, loss, **options)


def without(tree, *path):
    *parents, last = path
    tree = jax.tree.map(lambda a: a, tree)
    part = tree
    for name in parents:
        part = part[name]
    del part[last]
    return tree


def changed(tree, value, *path):
    tree = jax.tree.map(lambda a: a, tree)
    part = tree
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return tree


ZEROS = np.zeros
CALLS = {
    # the input
    "features of another size": (run(ZEROS((B, T, 3))), ArgumentError,
        r"xs has 3 features \(shape \(3, 5, 3\) = batch, time, features\) but params were made for 7. Time-major"),
    "features of another size, time-major": (run(ZEROS((T, B, 3)), time_major=True), ArgumentError,
        r"shape \(5, 3, 3\) = time, batch, features"),
    "features of another size in a stack": (run(ZEROS((B, T, 3)), {"0": P}, stack(LSTM_)), ArgumentError,
        r"xs has 3 features"),
    "no time axis": (run(ZEROS(D)), ArgumentError, r"xs has shape \(7,\).*\(time, features\).*cell.step"),
    "a number": (run(1.0), ArgumentTypeError, "xs must hold arrays, found float"),
    "a list of sequences": (run([[1.0, 2.0], [3.0]]), ArgumentTypeError, "xs must hold arrays.*Pad them.*lengths="),
    "nothing": (run(None), ArgumentTypeError, "xs holds no array"),
    "text": (run(np.array([["a", "b"]])), ArgumentTypeError, "xs has dtype <U1.*Encode it as ids"),
    "whole numbers": (run(XS.astype(int)), ArgumentTypeError, r"xs must be floating point, found int.*Put Embed"),
    "booleans": (run(XS != 0), ArgumentTypeError, "xs must be floating point, found bool"),
    "a tree for a cell of vectors": (run({"a": XS, "b": XS[:, :2]}), ArgumentError, r"disagree on \(batch shape, steps\)"),
    "floats for tokens": (tokens(IDS.astype(float)), ArgumentTypeError, "xs must be token ids of an integer dtype.*Dense"),
    "a token too large": (tokens(IDS + 11), ArgumentError, r"xs has the token id 11, but ids must be in \[0, 11\)"),
    "a negative token": (tokens(IDS - 1), ArgumentError, "xs has the token id -1"),
    "an enormous token": (tokens(IDS.astype(np.int64) + 2**40), ArgumentError, "token id 1099511627776"),
    "a bad token in a real step": (tokens(np.array([[1, 99]]), lengths=[2]), ArgumentError, "token id 99"),
    # masks, lengths, resets
    "a float mask": (run(mask=ZEROS((B, T))), ArgumentTypeError, "mask must be bool, found float.*True means a real step"),
    "an int mask": (run(mask=np.ones((B, T), int)), ArgumentTypeError, "mask must be bool, found int"),
    "a mask of wrong rank": (run(mask=np.ones(B, bool)), ArgumentError, r"mask has shape \(3,\), expected \(3, 5\) \(batch, time\)"),
    "a turned mask": (run(mask=np.ones((T, B), bool)), ArgumentError, "mask has shape .* Axes swapped.*time_major=True"),
    "a mask with a features axis": (run(mask=np.ones((B, T, 1), bool)), ArgumentError, "mask has shape"),
    "mask and lengths": (run(mask=np.ones((B, T), bool), lengths=[1, 2, 3]), ArgumentError, "both given.*pass one"),
    "float lengths": (run(lengths=[1.0, 2.0, 3.0]), ArgumentTypeError, "lengths must be whole numbers.*float"),
    "bool lengths": (run(lengths=[True, True, False]), ArgumentTypeError, "found dtype bool. That is a mask"),
    "a length above T": (run(lengths=[1, 6, 2]), ArgumentError, r"lengths must be in \[0, 5\] .*found 6"),
    "a negative length": (run(lengths=[1, -2, 2]), ArgumentError, "found -2"),
    "one length for all": (run(lengths=4), ArgumentError, r"lengths has shape \(\), expected one for each sequence, \(3,\)"),
    "lengths of shape (1,)": (run(lengths=[4]), ArgumentError, r"lengths has shape \(1,\)"),
    "lengths with an axis too many": (run(lengths=[[1], [2], [3]]), ArgumentError, r"lengths has shape \(3, 1\)"),
    "a length for each step": (run(lengths=[1] * T), ArgumentError, "Time-major data"),
    "a mask as lengths": (run(lengths=np.ones((B, T), int)), ArgumentError, "shape of a mask: pass mask="),
    "float resets": (run(resets=ZEROS((B, T))), ArgumentTypeError, "resets must be bool.*a new sequence begins"),
    "resets of wrong shape": (run(resets=np.ones((B, T - 1), bool)), ArgumentError, r"resets has shape \(3, 4\)"),
    "turned resets": (run(resets=np.ones((T, B), bool)), ArgumentError, "Axes swapped"),
    # parameters and carries
    "arguments in another order": (lambda: scan(LSTM_, XS, P), ArgumentTypeError, "params must be the dict.*order"),
    "params missing": (run(params=None), ArgumentTypeError, "params must be the dict .* found NoneType"),
    "params of another cell": (run(params=GRU_.init(KEY, D)), ArgumentError, r"params has .*'mix'.*'bias'.*another cell"),
    "params of a narrower cell": (run(params=LSTM(2).init(KEY, D)), ArgumentError, r"params\['mix'\]\['kernel'\] has shape \(2, 8\)"),
    "a part of params missing": (run(params=without(P, "mix")), ArgumentError, r"params lacks \['mix'\]\['kernel'\]"),
    "a stack's params for its part": (run(params={"0": P}), ArgumentError, "params lacks .* and has .* beside"),
    "whole-number params": (run(params=changed(P, np.zeros(16, int), "project", "bias")), ArgumentTypeError, "must be floating point, found int"),
    "a number as a param": (run(params=changed(P, 0.5, "project", "bias")), ArgumentTypeError, r"params\['project'\]\['bias'\] must be an array"),
    "stacked params without vmap": (run(params=jax.tree.map(lambda a: np.stack([a, a]), P)), ArgumentError, "without jax.vmap"),
    "a carry of another cell": (run(carry=GRU_.initial_carry({}, (B,))), ArgumentError, "carry has the structure .* another cell"),
    "a carry of another batch": (run(carry=LSTM_.initial_carry(P, (2,))), ArgumentError, r"carry.c has shape \(2, 4\), expected \(3, 4\)"),
    "a carry without batch": (run(carry=LSTM_.initial_carry(P)), ArgumentError, r"carry.c has shape \(4,\)"),
    "a whole-number carry": (run(carry=jax.tree.map(lambda a: a.astype(int), LSTM_.initial_carry(P, (B,)))), ArgumentTypeError, "carry.c has dtype int"),
    "a carry of numbers": (run(carry=sj.LSTMCarry(0.0, 0.0)), ArgumentTypeError, "carry must hold arrays"),
    "dropout without a key": (run(cell=DROP, params=DROP.init(KEY, D)), ArgumentError, r"pass carry=.*key=key.*evaluation\(\)"),
    # options
    "no cell": (run(cell="LSTM"), ArgumentTypeError, "scan: expected a cell such as LSTM"),
    "a class for a cell": (run(cell=LSTM), ArgumentTypeError, r"Write LSTM\(...\) with its features"),
    "an unknown gradient": (run(gradient="defered"), ArgumentError, "gradient must be one of deferred, autodiff"),
    "an unknown engine": (run(engine="fused"), ArgumentError, "engine must be one of auto, scan, associative, newton, cudnn, found 'fused'"),
    "an array as gradient": (run(gradient=np.array(["autodiff"] * 2)), ArgumentError, "gradient must be one of"),
    "settings of Newton's method as gradient": (run(gradient=Newton()), ArgumentError, "gradient must be one of deferred"),
    "an array as checkpoint": (run(checkpoint=np.array([2, 3])), ArgumentError, "checkpoint must be None, a number"),
    "checkpoint 0": (run(checkpoint=0), ArgumentError, "checkpoint must be None, a number of steps above 0"),
    "checkpoint misspelt": (run(checkpoint="root"), ArgumentError, "checkpoint must be .* found 'root'"),
    "memory most": (run(memory="most"), ArgumentError, "memory must be one of auto, least, found 'most'"),
    "unroll 0": (run(unroll=0), ArgumentError, "unroll must be a whole number above 0"),
    "unroll True": (run(unroll=True), ArgumentError, "unroll must be"),
    "reverse by number": (run(reverse=1), ArgumentTypeError, "reverse must be True or False, found 1"),
    "time_major by name": (run(time_major="yes"), ArgumentTypeError, "time_major must be True or False"),
    # cells and combinators
    "no features": (lambda: LSTM(0), ArgumentError, "LSTM: features must be a whole number of at least 1, found 0"),
    "half a feature": (lambda: GRU(2.5), ArgumentError, "GRU: features .* found 2.5"),
    "an empty vocabulary": (lambda: Embed(0, 4), ArgumentError, "Embed: vocabulary"),
    "an unknown activation": (lambda: RNN(3, activation="tahn"), ArgumentError, "activation 'tahn' is not known. Perhaps you meant 'tanh'"),
    "an activation by function": (lambda: RNN(3, activation=jnp.tanh), ArgumentError, "activation .* is not known"),
    "an unknown norm": (lambda: sj.Norm("batch"), ArgumentError, "kind must be 'layer' or 'rms', found 'batch'"),
    "dropout of everything": (lambda: Dropout(1.0), ArgumentError, r"rate must be in \[0, 1\), found 1.0"),
    "dropout per layer": (lambda: Dropout(0.1, per="layer"), ArgumentError, "per must be 'step' or 'sequence'"),
    "an empty stack": (lambda: stack(), ArgumentError, "needs at least one cell"),
    "a list in a stack": (lambda: stack([LSTM_, GRU_]), ArgumentTypeError, r"Write stack\(\*cells\)"),
    "a class in a stack": (lambda: stack(LSTM), ArgumentTypeError, r"Write LSTM\(...\)"),
    "an unknown merge": (lambda: bidirectional(LSTM_, merge="add"), ArgumentError, "merge must be one of concat, sum, mean, product, pair, found 'add'"),
    "a pair inside a stack": (lambda: stack(bidirectional(LSTM_, merge="pair"), GRU_), ArgumentError, "gives a pair"),
    "a residual of another width": (lambda: residual(LSTM(3)).init(KEY, 5), ArgumentError, "gives 3 features but gets 5"),
    "a residual of another width in scan": (run(params={}, cell=residual(LSTM(3))), ArgumentError, "gives 3 features but gets 7"),
    "a step of both directions": (lambda: bidirectional(LSTM_).step({}, (), XS[:, 0]), NotCausalError, "has no step; run it with seqjax.scan"),
    "a step of a stack of both directions": (lambda: stack(bidirectional(LSTM_)).step({}, (), XS[:, 0]), NotCausalError, "no step"),
    "a forget bias without a gate": (lambda: RNN(3, bias_init=forget_bias()).init(KEY, 2), ArgumentError, "no gate that keeps"),
    "chrono of two steps": (lambda: LSTM(3, bias_init=chrono(2)).init(KEY, 2), ArgumentError, "max_length must be above 2"),
    # cells as text
    "an unknown cell name": (lambda: cell_from_text("LTSM(3)"), ArgumentError, "'LTSM' is not known. Perhaps you meant 'LSTM'"),
    "a cell name without a call": (lambda: cell_from_text("LSTM"), ArgumentError, r"neither a literal nor a call such as LSTM\(64\)"),
    "an unclosed bracket": (lambda: cell_from_text("LSTM(3"), ArgumentError, "cannot be read"),
    "an unknown option of a cell": (lambda: cell_from_text("LSTM(3, bias=1)"), ArgumentError, "LSTM refused its arguments.*bias"),
    "code as a cell": (lambda: cell_from_text("__import__('os').getcwd()"), ArgumentError, "neither a literal nor a call"),
    "a number as a cell": (lambda: cell_from_text("3"), ArgumentTypeError, "which is not a cell"),
    "an initialiser as a cell": (lambda: cell_from_text("orthogonal()"), ArgumentTypeError, "which is not a cell"),
    "a missing file of cells": (lambda: cell_from_text("nowhere.py:MGU(3)"), ArgumentError, "'nowhere.py': there is no such file"),
    # data sets and diagnostics
    "an unknown data set": (lambda: sj.datasets.load("shakespear"), ArgumentError, "Perhaps you meant 'shakespeare'"),
    "flow of one curve for all": (lambda: half_life(np.zeros((3, 6))), ArgumentError, r"one curve over distance, found shape \(3, 6\)"),
    "flow with another cell's carry": (flow(carry=np.zeros((B, F))), ArgumentError, "carry has the structure"),
    "flow of some outputs": (flow(outputs="first"), ArgumentError, "outputs must be 'last' or 'all', found 'first'"),
    "flow with ids out of range": (flow(LM, LM_P, IDS + 11), ArgumentError, "token id 11"),
    # what parameters are drawn from
    "an initialiser by name": (lambda: LSTM(F, kernel_init="orthogonal"), ArgumentTypeError, r"Write orthogonal\(\), not 'orthogonal'"),
    "an initialiser not called": (lambda: GRU(F, kernel_init=orthogonal), ArgumentTypeError, r"Write orthogonal\(\), not the class"),
    "a number as a bias": (lambda: LSTM(F, bias_init=1.0), ArgumentTypeError, r"forget_bias\(1.0\) is one"),
    "a bias initialiser as a kernel's": (lambda: RNN(F, recurrent_init=zeros()), ArgumentTypeError, "pass it as bias_init"),
    "a key of the old style": (lambda: LSTM_.init(jax.random.PRNGKey(0), D), ArgumentTypeError, "keys of the old style"),
    "a number as a key": (lambda: LSTM_.init(0, D), ArgumentTypeError, "key must be one key such as .* found 0"),
    "a number as a key of a stack": (lambda: LM.init(0, 1), ArgumentTypeError, "key must be one key"),
    "a number as a key of both directions": (lambda: bidirectional(LSTM_).init(0, D), ArgumentTypeError, "key must be one key"),
    "a number as a key of many layers": (lambda: repeat(LSTM_, 2).init(0, F), ArgumentTypeError, "key must be one key"),
    "a number as a key of an embedding": (lambda: Embed(3, 2).init(0), ArgumentTypeError, "key must be one key"),
    "several keys": (lambda: LSTM_.init(jax.random.split(KEY), D), ArgumentTypeError, "key must be one key"),
    "an old key for dropout": (lambda: DROP.initial_carry(P, (B,), key=jax.random.PRNGKey(0)), ArgumentTypeError, "old style"),
    "no features in": (lambda: LSTM_.init(KEY, 0), ArgumentError, "in_features must be a whole number above 0, found 0"),
    "features in by shape": (lambda: sj.Dense(F).init(KEY, (D,)), ArgumentError, "in_features must be a whole number"),
    "whole parameters": (lambda: LSTM_.init(KEY, D, jnp.int32), ArgumentTypeError, "dtype must be floating point"),
    "a whole embedding": (lambda: Embed(3, 2).init(KEY, 0, jnp.int32), ArgumentTypeError, "dtype must be floating point"),
    "an unknown dtype": (lambda: LSTM_.init(KEY, D, "float23"), ArgumentTypeError, "found 'float23'"),
    # carries and combinators
    "a batch by its size": (lambda: LSTM_.initial_carry(P, 4), ArgumentTypeError, r"Write \(4,\) for a batch of 4"),
    "a batch by its size, in a stack": (lambda: LM.initial_carry(LM_P, 4), ArgumentTypeError, "batch_shape must be a tuple"),
    "a carry asked for by a wrong name": (lambda: LM.initial_carry(LM_P, (4,), memmory=XS), ArgumentError, "given 'memmory', which no part asks for"),
    "ids within a stack": (lambda: stack(sj.Dense(3), Embed(10, 4)), ArgumentError, r"Embed\(10, 4\) takes token ids, but stands after Dense\(3\)"),
    "a residual of a pair": (lambda: residual(bidirectional(LSTM_, merge="pair")), ArgumentError, "gives a pair, to which its input cannot be added"),
    "a residual of ids": (lambda: residual(Embed(5, 5)), ArgumentError, "takes no vectors"),
    "a sum of pairs": (lambda: bidirectional(bidirectional(LSTM_, merge="pair"), merge="sum"), ArgumentError, "only merge='pair' can take"),
    "a complex input of a real cell": (run(XS.astype(complex)), ArgumentTypeError, "xs must be floating point, found complex"),
    "an embedding step out of range": (lambda: Embed(3, 2).step(Embed(3, 2).init(KEY), (), np.array([3])), ArgumentError, "token id 3"),
    "flow without a batch": (flow(xs=XS[0]), ArgumentError, r"one batch axis.*pass xs\[None\]|one batch axis.*Pass xs\[None\]"),
    "flow of no steps": (flow(xs=XS[:, :0]), ArgumentError, "at least one step"),
    "flow of one loss for all": (flow(loss=jnp.sum), ArgumentError, r"loss gave shape \(\), expected one number a row, \(3,\)"),
    "flow with params of another width": (flow(xs=XS[..., :2]), ArgumentError, "xs has 2 features"),
    "flow through dropout without a key": (flow(DROP, DROP.init(KEY, D)), ArgumentError, "key=key"),
}  # fmt: skip


@pytest.fixture
def programs():
    """The compilations of a whole scan, not of single operations, which may have to be compiled again for a message."""
    found = []

    def listen(event, *_, fun_name="jit(run)", **__):
        if "backend_compile" in event and fun_name == "jit(run)":
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.clear_event_listeners()


def test_a_right_call_is_compiled(programs):
    jax.clear_caches()
    run()()
    assert programs


@pytest.mark.parametrize("name", CALLS)
def test_wrong_call(name, programs):
    call, kind, message = CALLS[name]
    with pytest.raises(kind) as caught:
        call()
    assert re.search(message, str(caught.value), re.S), str(caught.value)
    assert isinstance(caught.value, sj.SeqjaxError)
    if hasattr(call, "is_scan"):
        assert not programs  # refused before anything is compiled


def test_there_are_at_least_a_hundred():
    assert len(CALLS) >= 100


def test_parameters_as_the_cell_are_not_printed():
    with pytest.raises(ArgumentTypeError, match="found dict. Parameters\\? The cell comes first") as caught:
        scan(P, LSTM_, XS)
    assert len(str(caught.value)) < 200


def test_numbers_of_numpy_become_those_of_python():
    assert repr(LSTM(np.int64(5))) == "LSTM(5)"
    assert repr(Dropout(np.float32(0.5))) == "Dropout(0.5)"
    assert LSTM(np.int64(5)) == LSTM(5)


def test_a_bad_token_in_padding_is_no_error():
    scan(LM, LM_P, np.array([[1, 99], [-5, 2**20]]), lengths=[1, 0])


def test_a_missing_method_is_named():
    class Unfinished(sj.Cell):
        pass

    for call in (
        lambda c: c.init(KEY, 1),
        lambda c: c.initial_carry({}),
        lambda c: c.step({}, (), 1),
        lambda c: c.out_features,
    ):
        with pytest.raises(TypeError, match="Unfinished must define"):
            call(Unfinished())


@pytest.mark.parametrize("dtype", [">f4", np.longdouble])
def test_arrays_that_jax_lacks_are_named(dtype):
    with pytest.raises(ArgumentTypeError, match="which JAX lacks"):
        scan(LSTM_, P, XS.astype(dtype))
