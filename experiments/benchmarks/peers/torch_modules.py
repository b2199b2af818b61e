"""torch: its modules, packed sequences for lengths, a user's cell as a loop. Free of JAX.

Its layers have two biases, of which the second is zero here but for that of n in a GRU.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from experiments.benchmarks.peers.work import (
    VOCABULARY,
    Data,
    NotOffered,
    Point,
    Tree,
    Weights,
    make_data,
    make_weights,
)


class Own(torch.nn.Module):
    """The cell `own` of `GATES` in a loop over time, whose input product is taken before it."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.dense_i = torch.nn.Linear(width, 2 * features)
        self.dense_h = torch.nn.Linear(features, 2 * features, bias=False)

    def forward(self, xs: torch.Tensor) -> tuple[torch.Tensor, None]:
        h, ys = xs.new_zeros(xs.shape[0], self.dense_h.in_features), []
        for z in self.dense_i(xs).unbind(1):
            z_f, z_n = z.chunk(2, -1)
            m_f, m_n = self.dense_h(h).chunk(2, -1)
            f = torch.sigmoid(z_f + m_f)
            n = torch.tanh(z_n + f * m_n)
            h = (1 - f) * n + f * h
            ys.append(h)
        return torch.stack(ys, 1), None


class Text(torch.nn.Module):
    """Embed, LSTM and dense."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(VOCABULARY, width)
        self.layer = torch.nn.LSTM(width, features, batch_first=True)
        self.head = torch.nn.Linear(features, VOCABULARY)


def module_of(point: Point) -> torch.nn.Module:
    """The module of a work.

    Raises:
        NotOffered: there is none.
    """
    d, n = point.in_features, point.features
    makers: dict[str, Any] = {
        "rnn": lambda: torch.nn.RNN(d, n, batch_first=True), "lstm": lambda: torch.nn.LSTM(d, n, batch_first=True),
        "rnn_relu": lambda: torch.nn.RNN(d, n, nonlinearity="relu", batch_first=True),
        "gru": lambda: torch.nn.GRU(d, n, batch_first=True), "own": lambda: Own(d, n), "text": lambda: Text(d, n),
        "bilstm": lambda: torch.nn.LSTM(d, n, num_layers=2, bidirectional=True, batch_first=True),
    }  # fmt: skip
    if point.work not in makers:
        raise NotOffered(f"torch has no {point.work}")
    return makers[point.work]()


def own_layer(w: Weights, prefix: str = "", suffix: str = "_l0") -> dict[str, np.ndarray]:
    """Names and arrays of one layer; the second bias is that of h, where n of a GRU has its own."""
    second = np.zeros_like(w["bias"])
    if "hidden_bias" in w:
        second[-w["hidden_bias"].size :] = w["hidden_bias"]
    arrays = {"weight_ih": w["kernel"].T, "weight_hh": w["recurrent"].T, "bias_ih": w["bias"], "bias_hh": second}
    return {f"{prefix}{name}{suffix}": a for name, a in arrays.items()}


def own_weights(point: Point, w: Weights) -> dict[str, np.ndarray]:
    """Names and arrays of all parameters."""
    if point.work == "own":
        return {"dense_i.weight": w["kernel"].T, "dense_i.bias": w["bias"], "dense_h.weight": w["recurrent"].T}
    if point.work == "text":
        head = {"head.weight": w["head"]["kernel"].T, "head.bias": w["head"]["bias"]}
        return {"embed.weight": w["table"]} | own_layer(w["layer"], "layer.") | head
    if point.work == "bilstm":
        suffixes = [(f"_l{i}{'_reverse' * (side == 'backward')}", layer[side])
                    for i, layer in enumerate(w.values()) for side in layer]  # fmt: skip
        return {name: a for suffix, v in suffixes for name, a in own_layer(v, "", suffix).items()}
    return own_layer(w)


class Program:
    """A module with its data, run eagerly."""

    compile_s = compile_cpu_s = temporary_mib = None

    def __init__(self, point: Point) -> None:
        self.point, self.module = point, module_of(point)
        data = make_data(point)
        self.xs = torch.from_numpy(data.xs)
        self.targets = None if data.targets is None else torch.from_numpy(data.targets).long()
        self.lengths = None if data.lengths is None else torch.from_numpy(data.lengths).long()
        own = own_weights(point, make_weights(point))
        self.module.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in own.items()})
        self._prepare(data)

    def _prepare(self, data: Data) -> None:
        self.real = None
        if self.lengths is not None:
            self.real = torch.arange(self.point.length)[None] < self.lengths[:, None]
        if data.targets is None and self.point.call == "train":
            self.xs.requires_grad_()

    def outputs(self) -> torch.Tensor:
        """The outputs of all steps."""
        if isinstance(self.module, Text):
            return self.module.head(self._recur(self.module.layer, self.module.embed(self.xs)))
        return self._recur(self.module, self.xs)

    def _recur(self, layer: torch.nn.Module, xs: torch.Tensor) -> torch.Tensor:
        if self.lengths is None or isinstance(layer, Own):  # padding comes last and the loss leaves it out
            return layer(xs)[0]
        packed = pack_padded_sequence(xs, self.lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=xs.shape[1])[0]

    def loss(self) -> torch.Tensor:
        """As `model.loss_of`."""
        ys = self.outputs()
        if self.targets is None:
            losses = (ys * ys).sum(-1)
        else:
            losses = torch.nn.functional.cross_entropy(ys.transpose(1, 2), self.targets, reduction="none")
        return (losses if self.real is None else losses * self.real).sum()

    def run(self) -> torch.Tensor:
        """Run once."""
        if self.point.call == "forward":
            with torch.no_grad():
                return self.outputs()
        self.module.zero_grad()
        self.xs.grad = None
        loss = self.loss()
        loss.backward()
        return loss

    def numbers(self) -> dict[str, np.ndarray]:
        """What it gives, the gradients in the layout of `make_weights`."""
        result = self.run().detach().numpy()
        if self.point.call == "forward":
            return {"outputs": result}
        found = {name: p.grad.numpy() for name, p in self.module.named_parameters() if p.grad is not None}
        inputs = {} if self.xs.grad is None else {"inputs.0": self.xs.grad.numpy()}
        return {"loss": result} | inputs | self._gradients(found)

    def _gradients(self, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        # The arrays are found again by marking each entry of the weights with its number: `own_weights` moves them.
        weights = make_weights(self.point)
        leaves = list(_leaves(weights))
        gradients = {}
        for name, leaf in leaves:
            marks = _with_leaf(weights, name, np.arange(1, leaf.size + 1, dtype=np.float64).reshape(leaf.shape))
            gradients[f"weights.{name}"] = gradient = np.zeros(leaf.size, np.float32)
            for own, mark in own_weights(self.point, marks).items():
                here = mark.astype(np.int64)
                gradient[here[here > 0] - 1] = found[own][here > 0]
            gradients[f"weights.{name}"] = gradient.reshape(leaf.shape)
        return gradients


def _leaves(tree: Tree, prefix: str = "") -> Any:
    for name, value in tree.items():
        yield from _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]


def _with_leaf(tree: Tree, name: str, leaf: np.ndarray) -> Tree:
    """The tree with one leaf, and zeros for the others."""
    found = {}
    for key, value in tree.items():
        inner = name.removeprefix(f"{key}.") if name.startswith(f"{key}.") else ""
        found[key] = _with_leaf(value, inner, leaf) if isinstance(value, dict) else np.zeros(value.shape)
        if key == name:
            found[key] = leaf
    return found


class Flow:
    """The norms of dL/d carry before every step, `[B, T]`, of a loop over an LSTM cell: L is the sum of its last h."""

    compile_s = compile_cpu_s = temporary_mib = None

    def __init__(self, point: Point) -> None:
        if point.work != "lstm" or point.lengths:
            raise NotOffered("flows are measured for an LSTM, without lengths")
        self.point, self.cell = point, torch.nn.LSTMCell(point.in_features, point.features)
        own = own_layer(make_weights(point), suffix="")
        self.cell.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in own.items()})
        self.xs = torch.from_numpy(make_data(point).xs)

    def run(self) -> torch.Tensor:
        """Run once."""
        shape = (self.point.batch_size, self.point.features)
        state = tuple(torch.zeros(shape, requires_grad=True) for _ in range(2))
        states: list[torch.Tensor] = []
        for x in self.xs.unbind(1):
            state = tuple(
                a.clone() for a in state
            )  # as h is made from c, whose own gradient would have that of h in it
            states += state
            state = self.cell(x, state)
        found = torch.autograd.grad(state[0].sum(), states)
        return (torch.stack(found[::2]).square().sum(-1) + torch.stack(found[1::2]).square().sum(-1)).sqrt().T

    def numbers(self) -> dict[str, np.ndarray]:
        """What it gives."""
        return {"norms": self.run().numpy()}


def make_stream(point: Point) -> Callable[[], None]:
    """A function that takes one step of an LSTM, without gradients."""
    cell = torch.nn.LSTMCell(point.in_features, point.features)
    x, state = torch.ones(point.batch_size, point.in_features), None

    def call() -> None:
        nonlocal state
        with torch.no_grad():
            state = cell(x, state)

    call()
    return call
