"""How well do attending recurrent networks and a small transformer translate, trained on one CPU core?

Multi30k (Elliott et al. 2016), captions of pictures from English into German: 29,000 pairs, read and written in
byte-level sub-words that are learned here, for each language its own. A bidirectional GRU or LSTM is read by one of the
same width with Luong's "general" attention and input feeding (Luong et al. 2015); the transformer is narrower, with two
layers on each side. All learn by Adam with a warm-up and a cosine, smoothed labels (Szegedy et al. 2016) and dropout.
Expectation: published GRU and LSTM systems are at 32 to 35 BLEU on test_2016_flickr after training on a GPU; a few
passes of a narrow network on one core stay below, and beam search gives a point or two more than greedy decoding.

BLEU and chrF are sacrebleu's, on texts as a reader has them, with the signature in the table. Batches are of pairs
whose translations are of similar length, as the decoder costs most; pairs of very unequal or great length are not
trained on, but every sentence of the test counts.

    python -m experiments.translation --models gru
    python -m experiments.translation --model RUN --apply "A man in a blue shirt is standing on a ladder."
"""

import functools
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from experiments.applications.apply import MODEL, application, check_given
from experiments.harness.command import check_options
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.tables import table, text_rows
from experiments.harness.training import fit_unit, init_params
from seqjax import Batch, batching, datasets, decode, losses, metrics, nn, plot, train
from seqjax._internal.types import PyTree
from seqjax.checkpoint import Model
from seqjax.decode import Strategy
from seqjax.interop import as_cell
from seqjax.seq2seq import EncoderDecoder, attend
from seqjax.text import Tokenizer, train_bpe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS = {"gru": sj.GRU, "lstm": sj.LSTM}
MODELS = (*CELLS, "transformer")
LONGEST = 36
"""Sub-words of a sentence that is trained on."""
STEPS = 56
"""Sub-words of a translation at most."""
AT_ONCE = 128
"""Sentences that are translated together."""
POSITIVE = ("vocabulary", "width", "embedding", "layers", "epochs", "batch_size", "learning_rate", "clip", "beams")


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    models: tuple[str, ...] = ("gru", "transformer", "lstm")
    """gru and lstm with attention, transformer"""
    vocabulary: int = 3000
    """Sub-words of each language"""
    width: int = 192
    """Of the recurrent decoder, and of both directions of its encoder together"""
    embedding: int = 128
    """Features of a sub-word, and width of the transformer"""
    layers: int = 2
    """Of the transformer's encoder, and of its decoder"""
    epochs: int = 7
    """Passes through the training pairs"""
    batch_size: int = 64
    """Pairs in a batch"""
    learning_rate: float = 2e-3
    """Of Adam, after the warm-up; it falls to a twentieth along a cosine"""
    dropout: float = 0.2
    """Share of the features of a sub-word, and of outputs, that a training step does not see"""
    smoothing: float = 0.1
    """Share of a label that is spread over all sub-words"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    beams: int = 5
    """Hypotheses of the beam search at the end"""
    examples: int = 0
    """Read only so many pairs of each split; 0 takes all"""
    seed: int = 0
    """Of parameters and order"""


class Coders(NamedTuple):
    """The sub-words of both languages."""

    source: Tokenizer
    target: Tokenizer


Texts = tuple[list[str], list[str]]


def main(config: Config) -> dict[str, Any]:
    """Train each model; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, or no such model.
    """
    return compare("translation", config)


def compare(name: str, config: Config) -> dict[str, Any]:
    """As `main`, in runs of this name."""
    check_options(config, *POSITIVE)
    for word in config.models:
        if word not in MODELS:
            raise sj.ArgumentError(f"models must be of {', '.join(MODELS)}, found {word!r}")
    data = datasets.load("multi30k_en_de")
    take = config.examples or None
    parts = {
        key: (list(split.inputs.texts())[:take], list(split.targets.texts())[:take])
        for key, split in data.splits.items()
    }
    run = Run(name, config, by=("model",))
    rows = run.work({each: functools.partial(study, name, config, each, parts) for each in config.models})
    print(table(text_rows(rows)))
    print_figures(run, lambda: {"bleu": figure(rows)})
    summary = {"by": list(run.by), "measure": "bleu", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def study(name: str, config: Config, kind: str, parts: dict[str, Texts], folder: Path) -> Rows:
    """One training, tested with greedy decoding and with beams, and saved with its sub-words."""
    coders = Coders(*(train_bpe(texts, config.vocabulary) for texts in parts["train"]))
    model, assets = model_of(config, kind, coders), coders._asdict()
    source = ByTarget.of(coders, parts["train"], config)
    steps = config.epochs * source.steps_per_epoch
    step = train.make_train_step(
        train.make_loss(model, functools.partial(losses.cross_entropy, smoothing=config.smoothing)),
        optax.adam(schedule(config.learning_rate, steps), b2=0.98),
        clip=config.clip,
        max_skips=steps + 1,
    )
    evaluation = train.Evaluation(
        lambda params: {"bleu": bleu(translate(model, params, coders, parts["valid"][0]), parts["valid"][1])},
        every=source.steps_per_epoch,
        metric="bleu",
        higher_is_better=True,
    )
    begun = time.time()
    state = step.init(init_params(model, 0, config.seed), jax.random.key(config.seed))
    result, columns = fit_unit(
        folder, model, step, state, source, in_features=0, steps=steps, every=min(100, source.steps_per_epoch),
        evaluation=evaluation, assets=assets,
    )  # fmt: skip
    train.save_model(folder / MODEL, model, result.params, in_features=0, assets=assets, meta={"application": name})
    found = test(config, model, result.params, coders, parts["test"])
    return [{"model": kind} | found | columns | curve(result, source.steps_per_epoch, begun)]


def model_of(config: Config, kind: str, coders: Coders) -> EncoderDecoder:
    """The model of this kind."""
    sizes, begin = (len(coders.source), len(coders.target)), coders.target.begin
    assert begin is not None  # the tokeniser was made here
    if kind == "transformer":
        heads = 4 if config.embedding % 4 == 0 else 1
        both = as_cell(
            nn.EncoderDecoder, sizes, config.embedding, heads, config.layers, capacity=64, dropout=config.dropout,
            style=nn.Style(hidden=2 * config.embedding),
        )  # fmt: skip
        return EncoderDecoder(None, both, begin=begin)
    cell, drop = CELLS[kind], sj.Dropout(config.dropout)
    source, target = (sj.Embed(size, config.embedding) for size in sizes)
    encoder = sj.stack(source, drop, sj.bidirectional(cell(config.width // 2)), drop)
    attending = attend(cell(config.width), score="general", feed="after")
    return EncoderDecoder(encoder, sj.stack(target, drop, attending, drop, sj.Dense(sizes[1])), begin=begin)


@dataclass(frozen=True)
class ByTarget:
    """Batches of pairs whose targets are of similar length."""

    buckets: batching.Buckets

    @classmethod
    def of(cls, coders: Coders, texts: Texts, config: Config) -> "ByTarget":
        """Of pairs of similar length, neither side longer than `LONGEST`."""
        sources, targets = (coder.encode_all(part, end=True) for coder, part in zip(coders, texts))
        a, b = sources.lengths, targets.lengths
        near = (np.maximum(a, b) <= LONGEST) & (a <= 1.5 * b + 2) & (b <= 1.5 * a + 2)
        keep = np.flatnonzero(near)
        return cls(
            batching.Buckets(targets[keep], sources[keep], config.batch_size, config.seed, pairs=True, buckets=4)
        )

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return self.buckets.steps_per_epoch

    def batch(self, step: int) -> Batch:
        """Sources and targets change their places, which the buckets have the other way round."""
        targets, sources, real, lengths = self.buckets.batch(step)
        weights = np.arange(targets.shape[1]) < np.asarray(lengths)[:, None]
        return Batch(sources, targets, weights, np.asarray(real).sum(1, dtype=np.int32))


def schedule(peak: float, steps: int) -> optax.Schedule:
    """A tenth of the steps, at most 300, up to the peak, and down to a twentieth of it."""
    return optax.warmup_cosine_decay_schedule(0.0, peak, max(1, min(300, steps // 10)), steps + 1, peak / 20)


def translate(
    model: EncoderDecoder,
    params: PyTree,
    coders: Coders,
    texts: Sequence[str],
    strategy: Strategy = decode.greedy(),
) -> list[str]:
    """The texts in the other language."""
    still = model.evaluation()
    assert isinstance(still, EncoderDecoder)  # as switching dropout off leaves it
    ids = coders.source.encode_all(texts, end=True)
    size = min(AT_ONCE, len(texts))
    source = batching.Shuffled(ids, np.zeros(len(texts), np.int32), size, shuffle=False, multiple=16)
    found: list[str] = []
    for at in range(source.steps_per_epoch):
        batch = source.batch(at)
        carry = still.initial_carry(params, (size,), source=(batch.inputs, batch.lengths))
        written = decode.generate(
            still, params, jnp.full(size, still.begin), steps=STEPS, stop=coders.target.end, carry=carry,
            strategy=strategy,
        )  # fmt: skip
        best = np.asarray(written.tokens).reshape(size, -1, STEPS)[:, 0]
        found += [coders.target.decode(row).strip() for row in best[np.asarray(batch.lengths) > 0]]
    return found


def bleu(texts: Sequence[str], references: Sequence[str]) -> float:
    """The score alone."""
    return metrics.bleu(texts, references).value


def test(config: Config, model: EncoderDecoder, params: PyTree, coders: Coders, texts: Texts) -> Row:
    """The scores of greedy decoding and of beams, and some translations."""
    greedy = translate(model, params, coders, texts[0])
    best = translate(model, params, coders, texts[0], decode.beam(config.beams, n_best=1))
    score = metrics.bleu(best, texts[1])
    return {
        "bleu": score.value,
        "bleu_greedy": bleu(greedy, texts[1]),
        "chrf": metrics.chrf(best, texts[1]).value,
        "signature": score.signature,
        "baseline_bleu": bleu(*texts),  # of the source, left as it is
        "samples": [list(three) for three in zip(*texts, best)][:8],
    }


def curve(result: train.Result, epoch: int, begun: float) -> Row:
    """BLEU on the validation set after each pass, greedily; the minutes that it took, of a training in one go."""
    found: Row = {}
    for row in (row for row in result.history if "evaluation/bleu" in row):
        found[f"valid_bleu_{row['step'] // epoch}"] = row["evaluation/bleu"]
        found[f"minutes_{row['step'] // epoch}"] = round((row["time"] - begun) / 60, 2)
    return found


def figure(rows: Rows) -> "Figure":
    """BLEU on the validation set over the minutes of training."""
    lines = {}
    for row in rows:
        passes = [name.removeprefix("minutes_") for name in row if name.startswith("minutes_")]
        lines[row["model"]] = [(row[f"minutes_{at}"], row[f"valid_bleu_{at}"], math.nan) for at in passes]
    drawn = plot.trend(lines, "minutes of training", "BLEU, validation, greedy", "Multi30k, English to German")
    drawn.axes[0].set_xscale("linear")
    drawn.axes[0].set_xlim(0, None)
    return drawn


def apply(model: Model, text: str) -> str:
    """A translation, by beam search."""
    coders = Coders(model.assets["source"], model.assets["target"])
    assert isinstance(model.cell, EncoderDecoder)  # as `find_model` has seen
    return translate(model.cell, model.params, coders, [check_given(text)], decode.beam(5, n_best=1))[0]


if __name__ == "__main__":
    application(main, Config, __doc__, apply, sys.argv[1:])
