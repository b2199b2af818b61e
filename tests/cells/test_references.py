"""Each cell against its paper in NumPy, against torch.nn, and against Flax, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import GRU, LSTM, RNN, Norm, bidirectional, scan, stack
from seqjax.core.gating import ACTIVATIONS

pytestmark = pytest.mark.usefixtures("x64")
D, F, T, B = 3, 4, 6, 5
LENGTHS = np.array([6, 1, 4, 3, 5])


def random_params(cell, seed=0, in_features=D):
    params = cell.init(jax.random.key(seed), in_features)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape) * 0.5), params)


def random_xs(seed=1):
    return np.random.default_rng(seed).normal(size=(B, T, D))


def weights(p):
    return np.asarray(p["project"]["kernel"]), np.asarray(p["project"]["bias"]), np.asarray(p["mix"]["kernel"])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_rnn(p, x, h, act):
    w, b, u = weights(p)
    return act(x @ w + b + h @ u)


def numpy_lstm(p, x, c, h):
    """Gers, Schmidhuber, Cummins 2000, one gate at a time."""
    w, b, u = (np.split(np.asarray(a), 4, axis=-1) for a in weights(p))
    net = [x @ w[k] + b[k] + h @ u[k] for k in range(4)]
    i, f, g, o = sigmoid(net[0]), sigmoid(net[1]), np.tanh(net[2]), sigmoid(net[3])
    c = f * c + i * g
    return c, o * np.tanh(c)


def numpy_gru(p, x, h, reset_after):
    """Cho et al. 2014, equations 5 to 8, and the form of cuDNN."""
    w, b, u = (np.split(np.asarray(a), 3, axis=-1) for a in weights(p))
    r = sigmoid(x @ w[0] + b[0] + h @ u[0])
    z = sigmoid(x @ w[1] + b[1] + h @ u[1])
    if reset_after:
        n = np.tanh(x @ w[2] + b[2] + r * (h @ u[2] + np.asarray(p["mix"]["bias"])))
    else:
        n = np.tanh(x @ w[2] + b[2] + (r * h) @ u[2])
    return z * h + (1 - z) * n


NUMPY_ACTIVATIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "identity": lambda x: x, "sin": np.sin}


@pytest.mark.parametrize("name", NUMPY_ACTIVATIONS)
def test_rnn_is_elman(name):
    cell, xs = RNN(F, activation=name), random_xs()
    p, h, want = random_params(cell), np.zeros((B, F)), []
    for t in range(T):
        h = numpy_rnn(p, xs[:, t], h, NUMPY_ACTIVATIONS[name])
        want.append(h)
    last, ys = scan(cell, p, xs)
    np.testing.assert_allclose(ys, np.stack(want, 1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(last, h, rtol=1e-12, atol=1e-12)


def test_lstm_is_the_paper():
    cell, xs = LSTM(F), random_xs()
    p, c, h, want = random_params(cell), np.zeros((B, F)), np.zeros((B, F)), []
    for t in range(T):
        c, h = numpy_lstm(p, xs[:, t], c, h)
        want.append(h)
    last, ys = scan(cell, p, xs)
    np.testing.assert_allclose(ys, np.stack(want, 1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(last.c, c, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_is_the_paper(reset_after):
    cell, xs = GRU(F, reset_after=reset_after), random_xs()
    p, h = random_params(cell), np.zeros((B, F))
    for t in range(T):
        h = numpy_gru(p, xs[:, t], h, reset_after)
    np.testing.assert_allclose(scan(cell, p, xs)[0], h, rtol=1e-12, atol=1e-12)


def test_norms_are_the_papers():
    x = random_xs()
    layer, rms = (jax.tree.map(np.asarray, random_params(Norm(kind))) for kind in ("layer", "rms"))
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    want = (x - mean) / np.sqrt(var + 1e-6) * layer["scale"] + layer["bias"]
    np.testing.assert_allclose(scan(Norm(), layer, x)[1], want, rtol=1e-12)
    want = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * rms["scale"]
    np.testing.assert_allclose(scan(Norm("rms"), rms, x)[1], want, rtol=1e-12)


def test_every_named_activation_is_finite_and_smooth_enough_to_train():
    x = jnp.linspace(-3.0, 3.0, 7)
    for name, f in ACTIVATIONS.items():
        y, dy = jax.jvp(f, (x,), (jnp.ones_like(x),))
        assert np.all(np.isfinite(y)), name
        assert np.any(np.asarray(dy) != 0), name


torch = None
try:
    import torch
except ImportError:
    pass
needs_torch = pytest.mark.skipif(
    torch is None, reason="torch is not installed (make test installs it where there is a build for this Python)"
)
KINDS = {"lstm": LSTM(F), "gru": GRU(F), "tanh": RNN(F), "relu": RNN(F, activation="relu")}


def torch_module(kind, layers, bidirectional):
    options = {"num_layers": layers, "bidirectional": bidirectional, "batch_first": True, "dtype": torch.float64}
    if kind in ("tanh", "relu"):
        return torch.nn.RNN(D, F, nonlinearity=kind, **options)
    return {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](D, F, **options)


def to_torch(params, module):
    """Copy parameters of one layer and direction, and give the torch names of each of ours."""

    def fill(suffix, p):
        names = {"weight_ih": p["project"]["kernel"].T, "weight_hh": p["mix"]["kernel"].T,
                 "bias_ih": p["project"]["bias"], "bias_hh": np.zeros(p["project"]["bias"].shape)}  # fmt: skip
        if "bias" in p["mix"]:
            names["bias_hh"][2 * F :] = p["mix"]["bias"]
        for name, value in names.items():
            getattr(module, name + suffix).data[...] = torch.tensor(np.array(value))

    for i, layer in enumerate(params):
        for direction, p in layer.items():
            fill(f"_l{i}" + ("_reverse" if direction == "backward" else ""), p)


def torch_grads(module, layers, directions):
    found = []
    for i in range(layers):
        layer = {}
        for direction in directions:
            suffix = f"_l{i}" + ("_reverse" if direction == "backward" else "")
            g = {
                n: np.asarray(getattr(module, n + suffix).grad)
                for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            p = {"project": {"kernel": g["weight_ih"].T, "bias": g["bias_ih"]}, "mix": {"kernel": g["weight_hh"].T}}
            if isinstance(module, torch.nn.GRU):
                p["mix"]["bias"] = g["bias_hh"][2 * F :]
            layer[direction] = p
        found.append(layer)
    return found


@needs_torch
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_torch(kind, layers, both, packed):
    """Outputs, final states, and the gradients of all parameters and inputs."""
    single = KINDS[kind]
    cell = stack(*[bidirectional(single) if both else single] * layers)
    params, xs = random_params(cell), random_xs()
    directions = ("forward", "backward") if both else ("forward",)
    parts = [params[str(i)] if both else {"forward": params[str(i)]} for i in range(layers)]
    module = torch_module(kind, layers, both)
    to_torch(parts, module)
    x = torch.tensor(xs, requires_grad=True)
    if packed:
        given = torch.nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        out, state = module(given)
        out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=T)
    else:
        out, state = module(x)
    states = state if kind == "lstm" else (state,)
    (torch.sin(out).sum() + sum(torch.cos(s).sum() for s in states)).backward()

    def score(params, xs):
        last, ys = scan(cell, params, xs, lengths=LENGTHS if packed else None)
        return jnp.sum(jnp.sin(ys)) + sum(jnp.sum(jnp.cos(s)) for s in jax.tree.leaves(last)), (last, ys)

    grads, (last, ys) = jax.jit(jax.grad(score, argnums=(0, 1), has_aux=True))(params, xs)
    close = dict(rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(ys, out.detach().numpy(), **close)
    singles = [s for layer in last for s in (layer if both else (layer,))]
    for i, mine in enumerate(singles):
        theirs = [s[i].detach().numpy() for s in states]
        for a, b in zip((mine.h, mine.c) if kind == "lstm" else (mine,), theirs):
            np.testing.assert_allclose(a, b, **close)
    mine = [grads[0][str(i)] if both else {"forward": grads[0][str(i)]} for i in range(layers)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), mine, torch_grads(module, layers, directions))
    np.testing.assert_allclose(grads[1], x.grad.numpy(), **close)


def flax_params(kind, p):
    """Our parameters under Flax's names, gate by gate."""
    names = {"lstm": "ifgo", "gru": "rzn"}[kind]
    cut = lambda a: np.split(np.asarray(a), len(names), axis=-1)
    w, b, u = cut(p["project"]["kernel"]), cut(p["project"]["bias"]), cut(p["mix"]["kernel"])
    flax = {}
    for k, name in enumerate(names):
        if kind == "lstm":
            flax["i" + name], flax["h" + name] = {"kernel": w[k]}, {"kernel": u[k], "bias": b[k]}
        else:
            flax["i" + name], flax["h" + name] = {"kernel": w[k], "bias": b[k]}, {"kernel": u[k]}
    if kind == "gru":
        flax["hn"]["bias"] = p["mix"]["bias"]
    return flax


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_flax(kind):
    from flax import linen

    cell = {"lstm": LSTM(F), "gru": GRU(F), "rnn": RNN(F)}[kind]
    p, xs = random_params(cell), random_xs()
    theirs = {"lstm": linen.OptimizedLSTMCell, "gru": linen.GRUCell, "rnn": linen.SimpleCell}[kind]
    if kind == "rnn":
        flax = {"i": dict(p["project"]), "h": dict(p["mix"])}
    else:
        flax = flax_params(kind, p)
    module = linen.RNN(theirs(F, param_dtype=jnp.float64), return_carry=True)
    (last, ys) = module.apply({"params": {"cell": flax}}, jnp.asarray(xs), seq_lengths=jnp.asarray(LENGTHS))
    mine_last, mine = scan(cell, p, xs, lengths=LENGTHS)
    real = np.arange(T) < LENGTHS[:, None]
    np.testing.assert_allclose(np.asarray(mine)[real], np.asarray(ys)[real], rtol=1e-12, atol=1e-12)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), tuple(jax.tree.leaves(mine_last)),
        tuple(jax.tree.leaves(last)),
    )  # fmt: skip
