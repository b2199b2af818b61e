"""Translation: which pairs are trained on, in which batches, and what stands in a row."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments import translation
from experiments.translation import ByTarget, Coders, Config
from seqjax.text import train_bpe

CODER = train_bpe("a", 259)  # bytes
CODERS = Coders(CODER, CODER)


def batches(sources, targets, size=4):
    found = ByTarget.of(CODERS, (sources, targets), Config(batch_size=size))
    return [found.batch(step) for step in range(found.steps_per_epoch)]


def test_sources_and_targets_change_their_places():
    sources, targets = ["ab", "abcd", "abc"], ["wxyz", "vwxyz", "z"]
    seen = {}
    for batch in batches(sources, targets):
        for ids, length, written, counts in zip(batch.inputs, batch.lengths, batch.targets, batch.weights):
            if length:
                assert ids[length - 1] == written[counts.sum() - 1] == CODER.end
                assert (np.diff(counts.astype(int)) <= 0).all()  # what counts comes first
                seen[CODER.decode(ids[:length])] = CODER.decode(written[counts])
            else:
                assert not counts.any()
    assert seen == dict(zip(sources, targets))


def test_batches_hold_targets_of_similar_length():
    targets = ["x" * (1 + n % 30) for n in range(600)]
    lengths = [batch.targets.shape[1] for batch in batches(["y" * len(text) for text in targets], targets, 32)]
    assert len(set(lengths)) == 4
    real = np.mean([len(text) + 1 for text in targets])
    assert np.mean(lengths) < 1.3 * real  # 31 steps for all would be twice as many


@pytest.mark.parametrize(
    "source, target, kept",
    [(3, 3, True), (3, 7, True), (3, 8, False), (8, 3, False), (35, 35, True), (36, 34, False), (33, 36, False)],
)
def test_pairs_of_unequal_or_great_length_are_left_out(source, target, kept):
    """Lengths without the end token, which counts: 8 + 1 is above 1.5 (3 + 1) + 2, and 36 + 1 above 36."""
    found = batches(["a", "x" * source], ["a", "y" * target])
    assert sum(int((batch.lengths > 0).sum()) for batch in found) == 1 + kept


def test_rate_rises_and_falls():
    rate = translation.schedule(2e-3, 1000)
    np.testing.assert_allclose([rate(0), rate(50), rate(100), rate(1001)], [0, 1e-3, 2e-3, 1e-4], rtol=1e-6)
    assert 0 < float(translation.schedule(1.0, 1)(1)) <= 1  # one update has a rate too


def test_curve_of_a_training():
    history = [{"step": 5, "loss": 3.0, "time": 90.0}]
    history += [{"step": at, "evaluation/bleu": at / 2, "time": 100.0 + at} for at in (10, 20)]
    found = translation.curve(SimpleNamespace(history=history), 10, begun=50.0)
    assert found == {"valid_bleu_1": 5.0, "minutes_1": 1.0, "valid_bleu_2": 10.0, "minutes_2": 1.17}
    (axis,) = translation.figure([{"model": "gru"} | found]).axes
    assert axis.lines[0].get_xdata().tolist() == [1.0, 1.17] and axis.lines[0].get_ydata().tolist() == [5.0, 10.0]
