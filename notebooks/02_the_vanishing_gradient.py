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
# # 2 · The vanishing gradient
#
# **Question: how far back does the last word of a sentence reach, when a network learns from it?**
#
# A recurrent network learns by the chain rule through time. With $h_t = f(h_{t-1}, x_t)$ and a loss $L$ at the last step
# $T$, what an early step gets to hear of it is
#
# $$\frac{\partial L}{\partial h_t} = \frac{\partial L}{\partial h_T}\,
# \frac{\partial h_T}{\partial h_{T-1}} \cdots \frac{\partial h_{t+1}}{\partial h_t},$$
#
# a product of $T - t$ matrices. If each shrinks vectors to, say, 0.6 of their length, twenty of them leave
# $0.6^{20} \approx 0.00004$. The gradient *vanishes*: early words hardly change what is learnt (Hochreiter 1991; Bengio,
# Simard and Frasconi 1994).
#
# Two sentences, and the question how far "dog" and "park" reach:

# %%
import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from seqjax import diagnostics, losses, plot, text

sentences = [
    "The quick brown fox jumped over the lazy dog.",
    "The cat in the hat sat on the mat while the dog barked loudly at the park.",
]
ends = {"The": ["dog", "park"], "A": ["cat", "school"], "One": ["horse", "station"], "My": ["snail", "church"]}
variants = [  # for later: in these the first word decides the last
    f"{first} {sentence[4:].rsplit(' ', 1)[0]} {ends[first][i]}"
    for i, sentence in enumerate(sentences)
    for first in ends
]
words = text.Vocabulary.words(variants, lower=True, punctuation="remove")
ids = [words.encode(sentence) for sentence in sentences]
for each in ids:
    print(len(each), "words:", words.decode(each))

# %% [markdown]
# ## Before training
#
# Three networks of 32 units read the words and guess the next one. The loss is that of the last word alone,
# $L = -\log p(\text{dog} \mid \text{The quick brown fox jumped over the lazy})$.
#
# `gradient_flow` gives, for every step and layer, the norm of the gradient as a logarithm (so that 1e-300 is a number and
# not 0). We look at the gradient in the embedding of each word: what the word is told about the last one. Single draws of
# the parameters scatter, so there are ten of each, and the geometric mean of their norms.


# %%
def make(cell):
    return sj.stack(sj.Embed(len(words), 32), cell, sj.Dense(len(words)))


models = {"RNN": make(sj.RNN(32)), "LSTM": make(sj.LSTM(32)), "GRU": make(sj.GRU(32))}
seeds = jax.random.split(jax.random.key(0), 10)
draws = {name: [model.init(seed, 0) for seed in seeds] for name, model in models.items()}


def reach(model, draws, sentence):
    """log10 of the gradient norm of the last word's loss in each word's embedding, a row for each draw."""
    given, last = jnp.asarray(sentence[None, :-1]), jnp.asarray(sentence[-1:])
    loss = lambda logits: losses.cross_entropy(logits, last)
    flows = [diagnostics.gradient_flow(model, params, given, loss) for params in draws]
    return np.stack([flow.layers["0/y"][0] for flow in flows]) / np.log(10)


def show(draws, title):
    panels = {}
    for sentence in ids:
        back = {name: reach(model, draws[name], sentence)[:, ::-1] for name, model in models.items()}
        panels[f'back from "{words.decode(sentence[-1:])}"'] = {
            name: {"mean": logs.mean(0), "p10": logs.min(0), "p90": logs.max(0)} for name, logs in back.items()
        }
    return plot.norm_by_distance(panels, title, of="word")


show(draws, "Before training: mean and range of ten draws")

# %% [markdown]
# On a logarithmic axis all three are straight lines: an exponential. In numbers, what the first word gets of it compared
# with the last but one:

# %%
for sentence in ids:
    for name, model in models.items():
        logs = reach(model, draws[name], sentence).mean(0)
        half = diagnostics.half_life(logs[::-1] * np.log(10))
        share = 10 ** (logs[0] - logs[-1])
        print(
            f'"{words.decode(sentence[-1:])}" {name:4}  at "the": {share:.1e} of its last step, halves every {half:.1f} words'
        )

# %% [markdown]
# The RNN multiplies by about the same factor at every word. GRU and LSTM have a path on which the state is *kept* and not
# rewritten, $c_t = f_t \odot c_{t-1} + \dots$, so that the factor of a step is the forget gate $f_t$, which at the start
# is near one half for the GRU and near 0.73 for this LSTM, whose forget gates begin with a bias of 1.
#
# ## After training
#
# Now the networks have a reason to look back: in the training sentences the *first* word decides the *last* one, and
# nothing between does.

# %%
import optax

from seqjax import batching, train

print(*variants[2:6], sep="\n")
source = batching.Shuffled(words.encode_all(variants), None, batch_size=8)  # the target of each word is the next one

trained, history = {}, {}
for name, model in models.items():
    loss = train.make_loss(model, losses.cross_entropy)
    found = train.sweep(  # three trainings as one program
        lambda rate, loss=loss: train.make_train_step(loss, optax.adam(rate), clip=1.0),
        lambda key, model=model: model.init(key, 0),
        source, seeds=range(3), learning_rates=(5e-3,), steps=600, every=20, progress=False,
    )  # fmt: skip
    trained[name] = [jax.tree.map(lambda leaf, i=i: leaf[i, 0], found.state.params) for i in range(3)]
    history[name] = [[{"step": row["step"], "loss": row["loss"][i, 0]} for row in found.history] for i in range(3)]

plot.learning_curves(history, title="Three trainings each: nats a word")

# %%
show(trained, "After training: mean and range of three trainings")

# %% [markdown]
# Do they answer? Eight sentences, of which the last word is asked:

# %%
for name, model in models.items():
    right = []
    for sentence in map(words.encode, variants):
        for params in trained[name]:
            _, logits = sj.scan(model, params, jnp.asarray(sentence[None, :-1]))
            right.append(logits[0, -1].argmax() == sentence[-1])
    hears = [10 ** np.mean(logs[:, 0] - logs[:, -1]) for logs in (reach(model, trained[name], s) for s in ids)]
    print(
        f"{name:4}  right: {np.mean(right):4.0%}   of the last step the first word hears {hears[0]:.1e}, {hears[1]:.1e}"
    )

# %% [markdown]
# Half of the sentences end with "dog" or its like, eight words after the word that decides; the other half with "park",
# sixteen words after. Who has learnt only the first half is right in 62 % (all of one, a quarter of the other).
#
# **Answer.** It halves every one or two words in an RNN and in a GRU as it starts, and every three in an LSTM. Over eight
# words that is enough to learn from, and where a network has learnt, the first word hears of the last one as loudly as
# the words between. Over sixteen words the RNN and the GRU began with a thousandth, and never found out; the LSTM began
# with some hundredths, and did in part. What vanishes is not learnt, and what is not learnt goes on vanishing.
#
# *Try:* `steps=2000`; a longer sentence; `sj.GRU(32, bias_init=seqjax.initializers.forget_bias(2.0))`.
