"""Decoders of torch's cells, with attention written by hand, align and answer as ours do."""

import jax
import numpy as np
import pytest

from seqjax import GRU, LSTM, trace
from seqjax.seq2seq import Memory, attend

torch = pytest.importorskip("torch", reason="torch is there for comparisons alone")
D, E, F, S, T, B = 3, 4, 5, 6, 4, 2
LENGTHS = np.array([6, 4])


def tensors(tree):
    return jax.tree.map(lambda a: torch.tensor(np.asarray(a, np.float32)), tree)


def torch_cell(kind, params, blocks):
    """`blocks`: which of our gates stand where in torch's order."""
    cell = kind(D + params["extra"], F)
    p = params["cell"]
    turn = lambda kernel: np.concatenate(
        [np.split(np.asarray(kernel), len(blocks), axis=-1)[i] for i in blocks], axis=-1
    )
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor(turn(p["project"]["kernel"]).T))
        cell.weight_hh.copy_(torch.tensor(turn(p["mix"]["kernel"]).T))
        cell.bias_ih.copy_(torch.tensor(turn(p["project"]["bias"])))
        cell.bias_hh.zero_()
        if "bias" in p["mix"]:
            cell.bias_hh[2 * F :] = torch.tensor(np.asarray(p["mix"]["bias"]))
    return cell


def ends(values):
    return torch.stack([torch.cat([row[n - 1], row[0]]) for row, n in zip(values, LENGTHS)])


def read(energies, values, real):
    weights = torch.softmax(energies.masked_fill(~real, -torch.inf), -1)
    return weights, torch.bmm(weights[:, None], values)[:, 0]


def luong(params, cell, values, real, xs):
    """An LSTM with the score "general" after its step, and input feeding."""
    cross = lambda part: torch.tanh(ends(values) @ part["kernel"] + part["bias"])
    h, c = cross(params["bridge"]["state"]["h"]), cross(params["bridge"]["state"]["c"])
    attended, outputs, alignments = torch.zeros(B, F), [], []
    for t in range(T):
        h, c = cell(torch.cat([xs[:, t], attended], -1), (h, c))
        weights, context = read(torch.einsum("bd,de,bse->bs", h, params["score"]["kernel"], values), values, real)
        attended = torch.tanh(torch.cat([context, h], -1) @ params["combine"]["kernel"])
        outputs.append(attended)
        alignments.append(weights)
    return torch.stack(outputs, 1), torch.stack(alignments, 1)


def bahdanau(params, cell, values, real, xs):
    """A GRU with the additive score before its step."""
    p = params["score"]
    h = torch.tanh(ends(values) @ params["bridge"]["state"]["h"]["kernel"] + params["bridge"]["state"]["h"]["bias"])
    outputs, alignments = [], []
    for t in range(T):
        energies = torch.tanh((h @ p["query"])[:, None] + values @ p["keys"]) @ p["v"]
        weights, context = read(energies, values, real)
        h = cell(torch.cat([xs[:, t], context], -1), h)
        outputs.append(torch.tanh(torch.cat([context, h], -1) @ params["combine"]["kernel"]))
        alignments.append(weights)
    return torch.stack(outputs, 1), torch.stack(alignments, 1)


CASES = {
    "luong": (attend(LSTM(F), "general", "after", memory_features=E), luong, torch.nn.LSTMCell, (0, 1, 2, 3), F),
    "bahdanau": (attend(GRU(F), memory_features=E), bahdanau, torch.nn.GRUCell, (0, 1, 2), E),
}


@pytest.mark.parametrize("name", CASES)
def test_alignments_are_those_of_a_decoder_of_torch(name):
    cell, by_hand, kind, blocks, extra = CASES[name]
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda p: p + 0.2 * rng.standard_normal(p.shape).astype("f4"), cell.init(jax.random.key(0), D)
    )
    if name == "bahdanau":  # whose first query is the state itself
        params["bridge"]["fed"] = params["bridge"]["state"]["h"]
    values, xs = (rng.standard_normal(shape).astype("f4") for shape in ((B, S, E), (B, T, D)))
    real = np.arange(S) < LENGTHS[:, None]
    _, ys, seen = trace(cell, params, xs, cell.initial_carry(params, (B,), memory=Memory(values, real)))
    with torch.no_grad():
        other = torch_cell(kind, params | {"extra": extra}, blocks)
        outputs, alignments = by_hand(tensors(params), other, *(torch.tensor(a) for a in (values, real, xs)))
    np.testing.assert_allclose(seen["weights"], alignments.numpy(), atol=2e-6)
    np.testing.assert_allclose(ys, outputs.numpy(), atol=2e-6)
