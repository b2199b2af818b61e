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
# # 5 · Deep, bidirectional and mixed networks
#
# **Question: what do more layers, and a second direction of reading, do to gradients and to what is understood?**
#
# > The bank was steep and muddy.
#
# Whether *bank* is a place for money or the side of a river is told only four words later. A network that reads from left
# to right has said what it thinks of the word before it knew. One that reads in both directions,
#
# $$\overrightarrow h_t = f(\overrightarrow h_{t-1}, x_t), \qquad \overleftarrow h_t = g(\overleftarrow h_{t+1}, x_t),
# \qquad y_t = [\overrightarrow h_t;\ \overleftarrow h_t],$$
#
# has seen the whole sentence at every word (Schuster and Paliwal 1997).

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from seqjax import diagnostics, losses, plot, text, train

river = ["steep and muddy", "green and wet", "full of reeds", "under the water", "muddy and wet", "steep and green"]
money = [
    "closed on sunday",
    "robbed last night",
    "full of money",
    "open until five",
    "closed at night",
    "robbed on sunday",
]
sentences = [f"The bank was {end}." for end in river + money]
words = text.Vocabulary.words(sentences, lower=True, punctuation="remove")
ids = jnp.asarray(np.stack([words.encode(sentence) for sentence in sentences]))
bank = list(words.decode(ids[0]).split()).index("bank")
is_money = jnp.repeat(jnp.array([0, 1]), len(river))
print(ids.shape, "the word in question is number", bank)

# %% [markdown]
# ## Which sense?
#
# At the word *bank* itself each network is asked for the sense. Both see the same sentences.


# %%
def sense_of(model, params):
    return sj.scan(model, params, ids)[1][:, bank]


trained = {}
for name, cell in {"left to right": sj.LSTM(16), "both directions": sj.bidirectional(sj.LSTM(8))}.items():
    model = sj.stack(sj.Embed(len(words), 16), cell, sj.Dense(2))
    loss = lambda params, batch, key, m=model: losses.cross_entropy(sense_of(m, params), is_money).mean()
    step = train.make_train_step(loss, optax.adam(1e-2))
    update = jax.jit(step)
    state = step.init(model.init(jax.random.key(0), 0), jax.random.key(1))
    for _ in range(100):
        state = update(state, None)[0]
    trained[name] = (model, state.params)
    right = (sense_of(model, state.params).argmax(-1) == is_money).mean()
    print(f"{name:16} loss {float(loss(state.params, None, None)):.3f} nats, right {right:.0%}")

# %% [markdown]
# Left to right it can only guess (ln 2 = 0.693 nats), however long it trains: at *bank* all sentences are still the same.
# On which words does the answer of the other one rest? `saliency` tells.

# %%
model, params = trained["both directions"]
asked = list(map(str, words.decode(ids[0]).split()))
one = diagnostics.saliency(
    model,
    params,
    ids[:1],
    lambda ys: losses.cross_entropy(ys[:, bank], is_money[:1]),
    method="integrated",
    outputs="all",
)
plot.saliency(asked, np.asarray(one)[0], title="what makes it a river bank (below 0: less loss)")

# %% [markdown]
# ## Layer by layer
#
# Networks are *stacked*: what one layer puts out is what the next one reads. `gradient_flow` looks into each layer. A mixed
# stack of an RNN, an LSTM and a GRU, and the loss at the last of 60 steps:

# %%
xs = jax.random.normal(jax.random.key(2), (8, 60, 8))
mixed = sj.stack(rnn=sj.RNN(24), lstm=sj.LSTM(24), gru=sj.GRU(24))
flow = diagnostics.gradient_flow(mixed, mixed.init(jax.random.key(3), 8), xs, lambda y: y.sum(-1))
curves = {
    name: {"mean": diagnostics.log_mean(flow.layers[f"{name}/h"])[::-1] / np.log(10)} for name in ("rnn", "lstm", "gru")
}
plot.norm_by_distance({"state h of each layer": curves}, "A mixed stack")

# %% [markdown]
# The gradient can run back through the memory of *any* layer, so the one that keeps most decides: behind an LSTM an RNN
# hears more of the past than it would alone, since the LSTM above it hands its gradient down at every step.
#
# ## Depth
#
# The gradient also has to come down through the layers. With six of them, and with a way past each (`residual`: the input
# is added to the output):

# %%
curves = {}
for name, wrap in {"plain": lambda cell: cell, "residual": sj.residual}.items():
    deep = sj.stack(*[wrap(sj.LSTM(24)) for _ in range(6)])
    flow = diagnostics.gradient_flow(
        deep, deep.init(jax.random.key(4), 24), jnp.tile(xs, (1, 1, 3)), lambda y: y.sum(-1)
    )
    last = [float(diagnostics.log_mean(flow.layers[f"{i}/h"][:, -1:])[0]) for i in range(6)]
    curves[name] = [(i + 1, 10 ** (log / np.log(10)), float("nan")) for i, log in enumerate(last)]
plot.trend(curves, "layer, 6 is the top", "‖∂L/∂h‖ at the last step", "LSTM(24), six layers")

# %% [markdown]
# **Answer.** Direction decides what can be known at a word; no training makes up for reading only from the left. Layers
# share one gradient: it flows back in time through the layer that keeps best, and down through the layers the better for
# a path around each.
#
# *Try:* `merge="sum"` in `bidirectional`; a GRU below and an RNN on top; twelve layers.
