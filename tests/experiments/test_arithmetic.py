"""Sums, written digit by digit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.arithmetic import Config, Sums, in_words, source_of


@pytest.mark.parametrize("source", ["plain", "reversed", "doubled"])
def test_answers_are_sums(source):
    sums, sizes = Sums(4, source), np.array([1, 2, 3, 4] * 20)
    batch = sums.sample(jnp.asarray(sizes), jax.random.key(0))
    questions, answers = in_words(sums, batch.inputs), in_words(sums, batch.targets)
    seen = set()
    for row, (size, question, answer) in enumerate(zip(sizes, questions, answers)):
        if source == "reversed":
            question = question[::-1]
        if source == "doubled":
            half = len(question) // 2
            assert question[:half] == question[half:]
            question = question[:half]
        a, b = question.split("+")
        assert len(a) == len(b) == size and "0" not in (a[0], b[0])
        assert int(a) + int(b) == int(answer)
        assert batch.lengths[row] == len(questions[row]) + 1
        assert np.asarray(batch.weights)[row].sum() == len(answer) + 1
        seen.add(len(answer) - size)
    assert seen == {0, 1}, "with and without a carry at the front"


def test_policies_choose_the_digits():
    config = Config(digits=3, steps=60, batch_size=64)

    def digits(name, step):
        return set(((np.asarray(source_of(config, name).batch(step).lengths) - 2) // 2).tolist())

    assert digits("baseline", 0) == {3}
    assert [digits("naive", step) for step in (0, 9, 10, 20, 59)] == [{1}, {1}, {2}, {3}, {3}]
    assert digits("mixed", 0) == {1, 2, 3}
    early = np.asarray(source_of(config, "combined").batch(0).lengths)
    assert 0.5 < (early == 4).mean() < 0.85  # half of them have one digit, and a third of the others
