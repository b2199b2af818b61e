# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# %% [markdown]
# # 10 · Encoder, decoder, and the bottleneck between
#
# **Question: can one vector hold a sentence?**
#
# To turn one sequence into another of a different length, an *encoder* reads the source and a *decoder* writes the target,
# token by token. In the first such networks (Cho et al. 2014; Sutskever, Vinyals and Le 2014) all that passes between
# them is one vector $c$, the encoder's last state. Bahdanau, Cho and Bengio (2015) let the decoder look at *all* states
# $e_s$ of the encoder instead, again at every token it writes:
#
# $$c_t = \sum_s w_{ts}\, e_s, \qquad w_{t\cdot} = \mathrm{softmax}_s\ \mathrm{score}(h_{t-1}, e_s).$$
#
# The task: write a list of digits backwards. Nothing can be left out, so a vector of fixed size must fill up.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from seqjax import Ragged, batching, decode, losses, plot, train
from seqjax.diagnostics import attention_weights
from seqjax.seq2seq import EncoderDecoder, attend

end, begin, symbols, longest = 10, 11, 12, 12
rng = np.random.default_rng(0)


def lists(count, sizes, batch_size):
    """Lists of digits, and each of them backwards; both end with the end token."""
    drawn = [rng.integers(0, 10, rng.choice(sizes)) for _ in range(count)]
    sources, targets = (
        Ragged.of([np.append(each, end) for each in these]) for these in (drawn, [d[::-1] for d in drawn])
    )
    return batching.Shuffled(sources, targets, batch_size, pairs=True, length=longest + 1, target_length=longest + 1)


source = lists(4000, range(1, longest + 1), 64)
print(source.batch(0).inputs[0], "->", source.batch(0).targets[0])

# %% [markdown]
# Two models, alike but for what lies between encoder and decoder. `EncoderDecoder` is a cell that asks for a source; in
# training it reads the right tokens ("teacher forcing"), and `decode.generate` lets it write by itself.


# %%
def make(**context):
    encoder = sj.stack(sj.Embed(symbols, 16), sj.bidirectional(sj.GRU(24)))
    decoder = sj.stack(
        sj.Embed(symbols, 16), attend(sj.GRU(48), "general" if not context else "mean"), sj.Dense(symbols)
    )
    return EncoderDecoder(encoder, decoder, begin=begin, **context)


models = {"one vector": make(context="ends"), "attention": make()}
trained, history = {}, {}
for name, model in models.items():
    step = train.make_train_step(train.make_loss(model, losses.cross_entropy), optax.adam(3e-3), clip=1.0)
    state = step.init(model.init(jax.random.key(0), 0), jax.random.key(1))
    result = train.fit(step, state, source, steps=800, every=40, progress=False)
    trained[name], history[name] = result.params, [result.history]
plot.learning_curves(history, title="Nats a digit, right digits before it given")

# %% [markdown]
# ## By length
#
# Whole lists right, when the model writes by itself:


# %%
def write(name, batch):
    model, count = models[name], len(batch.inputs)
    carry = model.initial_carry(trained[name], (count,), source=(batch.inputs, batch.lengths))
    start = jnp.full(count, begin)
    return decode.generate(model, trained[name], start, steps=longest + 1, stop=end, carry=carry).tokens


points = {name: [] for name in models}
for size in (2, 4, 6, 8, 10, 12):
    batch = lists(200, [size], 200).batch(0)
    for name in models:
        right = np.asarray(write(name, batch))[:, : size + 1] == batch.targets[:, : size + 1]
        points[name].append((size, right.all(1).mean(), float("nan")))
plot.trend(points, "digits in the list", "share of lists that are right", bounds=(0, 1))

# %% [markdown]
# ## Where it looks
#
# The weights $w_{ts}$ of one list: rows are what is written, from top to bottom, columns what was read.

# %%
batch = lists(1, [longest], 1).batch(0)
model, params = models["attention"], trained["attention"]
carry = model.initial_carry(params, (1,), source=(batch.inputs, batch.lengths))
given = np.concatenate([[begin], batch.targets[0][:-1]])[None]
(weights,) = attention_weights(model, params, given, carry).values()
written, read = (["end" if token == end else str(token) for token in row[0]] for row in (batch.targets, batch.inputs))
plot.attention(weights[0], written, read, title="written (rows), read (columns)")

# %% [markdown]
# **Answer.** One vector holds a few digits, and then no more, whatever the training. With attention the decoder fetches
# each digit from where it stands, and the map of the weights shows the order in which it does. Translation is the same,
# but that the order is learnt from the languages.
#
# *Try:* a wider GRU for the one vector (how much does a digit cost?); `attend(..., "additive")`; lists longer than those of
# training.
