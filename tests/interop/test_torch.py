"""torch's layers: outputs, gradients and round trips, with weights copied both ways; wrong calls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from seqjax.attention import masks
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.interop import from_torch, to_torch
from seqjax.nn import FeedForward, Memory, MultiHeadAttention, Style, TransformerBlock

torch = pytest.importorskip("torch", reason="torch, of seqjax[torch], is not installed")
D, N, M, B, T, S = 8, 2, 12, 3, 5, 7
LENGTHS, SOURCE_LENGTHS = [5, 3, 4], [7, 1, 4]


def drawn(module):
    """A layer of torch with all parameters drawn, in evaluation mode."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return module.eval()


def state_of(layer):
    return {name: tensor.numpy() for name, tensor in layer.state_dict().items()}


def inputs(seed, steps):
    return np.random.default_rng(seed).normal(size=(B, steps, D)).astype(np.float32)


def real(lengths, steps):
    return np.arange(steps) < np.array(lengths)[:, None]


def gradients(layer, loss):
    """Of the loss by name of torch's parameters."""
    layer.zero_grad()
    loss.backward()
    return {name: parameter.grad.numpy() for name, parameter in layer.named_parameters()}


def compare(layer, ours, run_torch, run):
    """Outputs to 1e-5, gradients of all weights to 1e-4, of the largest; round trip to the bit."""
    state = state_of(layer)
    module = from_torch(state, ours)
    back = to_torch(module)
    assert back.keys() == state.keys()
    assert all(back[name].tobytes() == state[name].tobytes() and back[name].flags.c_contiguous for name in state)
    wanted, kept = run_torch(layer)
    kept = np.broadcast_to(kept[..., None], wanted.shape)
    found = run(module)
    wanted_values = np.where(kept, wanted.detach().numpy(), 0)
    assert np.abs(np.where(kept, found, 0) - wanted_values).max() <= 1e-5 * np.abs(wanted_values).max()
    theirs = gradients(layer, (torch.sin(wanted) * torch.from_numpy(kept.copy())).sum())
    graph, params = nnx.split(module)
    loss = lambda params: jnp.sum(jnp.where(kept, jnp.sin(run(nnx.merge(graph, params))), 0))
    found = to_torch(nnx.merge(graph, jax.grad(loss)(params)))
    size = max(np.abs(gradient).max() for gradient in theirs.values())  # that of keys' biases is 0 but for rounding
    for name, gradient in theirs.items():
        assert np.abs(found[name] - gradient).max() <= 1e-4 * size, name


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("across", [False, True])
def test_multihead_attention(bias, across):
    layer = drawn(torch.nn.MultiheadAttention(D, N, bias=bias, batch_first=True))
    ours = MultiHeadAttention(D, N, style=Style(bias=bias), rngs=nnx.Rngs(0))
    x, memory = inputs(1, T), inputs(2, S) if across else inputs(1, T)
    keys = real(SOURCE_LENGTHS, S) if across else real(LENGTHS, T)
    pairs = np.random.default_rng(3).random((T, memory.shape[1])) < 0.7
    pairs[:, 0] = True  # so that no row is empty, where torch gives NaN

    def run_torch(layer):
        x_, memory_ = torch.from_numpy(x), torch.from_numpy(memory)
        masks_ = {"key_padding_mask": torch.from_numpy(~keys), "attn_mask": torch.from_numpy(~pairs)}
        return layer(x_, memory_, memory_, need_weights=False, **masks_)[0], np.ones((B, T), bool)

    run = lambda module: module(x, memory if across else None, mask=masks.padding(keys) & pairs)
    compare(layer, ours, run_torch, run)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer(norm_first, activation):
    options = {"dim_feedforward": M, "activation": activation, "norm_first": norm_first, "layer_norm_eps": 1e-4}
    layer = drawn(torch.nn.TransformerEncoderLayer(D, N, batch_first=True, **options))
    style = Style(order="pre" if norm_first else "post", activation=activation, hidden=M, epsilon=1e-4)
    ours = TransformerBlock(D, N, causal=False, style=style, rngs=nnx.Rngs(0))
    x, mask = inputs(1, T), real(LENGTHS, T)
    run_torch = lambda layer: (layer(torch.from_numpy(x), src_key_padding_mask=torch.from_numpy(~mask)), mask)
    compare(layer, ours, run_torch, lambda module: module(x, mask=mask))


@pytest.mark.parametrize(("norm_first", "activation", "bias"), [(True, "gelu", True), (False, "relu", False)])
def test_decoder_layer(norm_first, activation, bias):
    options = {"dim_feedforward": M, "activation": activation, "norm_first": norm_first, "bias": bias}
    layer = drawn(torch.nn.TransformerDecoderLayer(D, N, batch_first=True, **options))
    style = Style(order="pre" if norm_first else "post", activation=activation, hidden=M, bias=bias)
    ours = TransformerBlock(D, N, causal=True, cross=True, style=style, rngs=nnx.Rngs(0))
    x, mask = inputs(1, T), real(LENGTHS, T)
    memory, real_memory = inputs(2, S), real(SOURCE_LENGTHS, S)

    def run_torch(layer):
        later = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        padding = {"tgt_key_padding_mask": ~mask, "memory_key_padding_mask": ~real_memory}
        padding = {name: torch.from_numpy(array) for name, array in padding.items()}
        return layer(torch.from_numpy(x), torch.from_numpy(memory), tgt_mask=later, **padding), mask

    compare(layer, ours, run_torch, lambda module: module(x, Memory(memory, real_memory), mask=mask))


def test_the_weights_are_copies():
    """torch trains in place; what was taken from it must not change with it."""
    layer = torch.nn.MultiheadAttention(D, N)
    module = from_torch(state_of(layer), MultiHeadAttention(D, N, rngs=nnx.Rngs(0)))
    before, kernel = np.array(module.out.kernel), np.array(module.query.kernel)
    with torch.no_grad():
        layer.out_proj.weight.add_(1), layer.in_proj_weight.add_(1)
    assert np.array_equal(module.out.kernel, before) and np.array_equal(module.query.kernel, kernel)
    state = to_torch(module)
    state["out_proj.bias"] += 1
    assert np.array_equal(module.out.bias, np.zeros(D))


def attention(**options):
    return MultiHeadAttention(D, N, **options, rngs=nnx.Rngs(0))


def block(**style):
    return TransformerBlock(D, N, style=Style(**style), rngs=nnx.Rngs(0))


WRONG = {
    "a tensor": (lambda s: from_torch({"a": torch.zeros(2)}, attention()), "must be a NumPy array, found Tensor"),
    "a layer": (lambda s: from_torch(torch.nn.Linear(2, 2), attention()), "state must be a dict"),
    "no module": (lambda s: from_torch(s, torch.nn.Linear(2, 2)), "must be a MultiHeadAttention or a Transformer"),
    "another module": (lambda s: to_torch(FeedForward(4, rngs=nnx.Rngs(0))), "found FeedForward"),
    "a missing weight": (
        lambda s: from_torch(without(s, "in_proj_bias"), attention()),
        "lacks 1 tensors: in_proj_bias",
    ),
    "one too many": (lambda s: from_torch(s | {"bias_k": s["in_proj_bias"]}, attention()), "no place for: bias_k"),
    "another layer": (lambda s: from_torch(s, block()), "lacks .* tensors: linear1.bias"),
    "another width": (
        lambda s: from_torch(s, MultiHeadAttention(2 * D, N, rngs=nnx.Rngs(0))),
        r"in_proj_weight must have the shape \(48, 16\), found \(24, 8\)",
    ),
    "whole numbers": (lambda s: from_torch(s | {"out_proj.bias": np.zeros(D, int)}, attention()), "must hold floats"),
    "float64": (lambda s: from_torch({k: v.astype(float) for k, v in s.items()}, attention()), "jax_enable_x64"),
    "grouped heads": (lambda s: to_torch(attention(style=Style(kv_heads=1))), "torch have no grouped heads"),
    "positions": (lambda s: to_torch(attention(positions="rotary")), "no positions 'rotary'"),
    "a gate": (lambda s: to_torch(block(activation="swiglu")), "no activation 'swiglu'"),
    "RMS norms": (lambda s: to_torch(block(norm="rms")), "no RMS norms"),
    "wide heads": (lambda s: to_torch(attention(style=Style(head_features=9))), "widths do not add up"),
}


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls(name):
    call, message = WRONG[name]
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        call(state_of(torch.nn.MultiheadAttention(D, N)))
