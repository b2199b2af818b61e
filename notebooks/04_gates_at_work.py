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
# # 4 · Gates at work
#
# **Question: what do the gates of an LSTM and a GRU do while they read a sentence?**
#
# A *gate* is a number between 0 and 1, computed at every step from the input and the state, that something is multiplied
# with. An LSTM (Hochreiter and Schmidhuber 1997; Gers et al. 2000) has three, for each of its units:
#
# $$\begin{aligned}
# i, f, o &= \sigma(x W + h U + b) && \text{input, forget and output gate}\\
# g &= \tanh(x W_g + h U_g + b_g) && \text{candidate}\\
# c' &= f \odot c + i \odot g && \text{the memory: keep a share } f \text{, add a share } i \text{ of the new}\\
# h' &= o \odot \tanh(c') && \text{what it shows}
# \end{aligned}$$
#
# A GRU (Cho et al. 2014) has two: the *update* gate $u$ says how much of $h$ is kept, the *reset* gate $r$ how much of it
# the candidate may see:
#
# $$h' = u \odot h + (1 - u) \odot n, \qquad n = \tanh(x W_n + b_n + r \odot (h U_n + d)) .$$
#
# Nobody sets these numbers: they are learnt. Two networks learn to guess the next character of Shakespeare, for a minute.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from seqjax import batching, datasets, diagnostics, losses, plot, text, train

written = datasets.load("shakespeare").train.inputs.text(0)[:400_000]
letters = text.Vocabulary.characters(written)
source = batching.RandomWindows(letters.encode(written), batch_size=16, length=64, seed=0)

trained, history = {}, {}
for name, cell in (("LSTM", sj.LSTM(48)), ("GRU", sj.GRU(48))):
    model = sj.stack(sj.Embed(len(letters), 16), cell, sj.Dense(len(letters)))
    step = train.make_train_step(train.make_loss(model, losses.cross_entropy), optax.adam(5e-3), clip=1.0)
    state = step.init(model.init(jax.random.key(0), 0), jax.random.key(1))
    result = train.fit(step, state, source, steps=500, every=20, progress=False)
    trained[name], history[name] = (model, result.params), [result.history]
plot.learning_curves(history, title="Nats a character")

# %% [markdown]
# ## Reading a sentence
#
# `seqjax.trace` runs a network and shows what is inside each step, by name: `"1/f"` is the gate $f$ of layer 1.

# %%
sentence = "The quick brown fox jumped over the lazy dog."
tokens = jnp.asarray(letters.encode(sentence))[None]

model, params = trained["LSTM"]
_, _, seen = sj.trace(model, params, tokens)
print({name: value.shape for name, value in seen.items()})
shown = {"forget gate f": seen["1/f"][0], "input gate i": seen["1/i"][0], "output gate o": seen["1/o"][0]}
plot.gates(shown, list(sentence), "LSTM(48), a row for each unit")

# %% [markdown]
# Rows that are light throughout keep their memory, dark ones forget at once, and rows that change with the letters have
# learnt *when*. Is it the end of a word? The mean of each gate on spaces, and on letters, with the units that differ most:


# %%
def by_place(gate):
    """Mean of a gate over units on spaces and on letters, and the largest difference of one unit."""
    space = np.array([letter in " ." for letter in sentence])
    on, off = gate[space].mean(0), gate[~space].mean(0)
    return on.mean(), off.mean(), np.abs(on - off).max()


for name, keys in (("LSTM", "fio"), ("GRU", "ur")):
    model, params = trained[name]
    _, _, seen = sj.trace(model, params, tokens)
    for key in keys:
        on, off, most = by_place(np.asarray(seen[f"1/{key}"][0]))
        print(f"{name:4} {key}: {on:.2f} on spaces, {off:.2f} on letters; one unit differs by {most:.2f}")

# %% [markdown]
# ## How long does a unit remember?
#
# A memory that is multiplied by $f$ at each step has fallen to $1/e$ after $\tau = -1/\ln f$ steps. `time_constants` says
# so for every unit; here from the geometric mean of its gate over the sentence.

# %%
model, params = trained["LSTM"]
_, _, seen = sj.trace(model, params, tokens)
kept = jnp.exp(jnp.mean(jnp.log(seen["1/f"][0]), axis=0))
tau = np.sort(diagnostics.time_constants(kept))
print(
    "LSTM, characters until a unit has forgotten: quartiles",
    np.quantile(tau, [0.25, 0.5, 0.75]).round(1),
    "longest",
    tau[-1].round(0),
)

model, params = trained["GRU"]
_, _, seen = sj.trace(model, params, tokens)
plot.gates({"update gate u (1 keeps)": seen["1/u"][0], "reset gate r": seen["1/r"][0]}, list(sentence), "GRU(48)")

# %% [markdown]
# Gates at their ends (below 0.1, above 0.9) have nearly no slope: such a unit has decided, and hardly learns any more
# whether to. `saturation` counts them.

# %%
for name, keys in (("LSTM", "fio"), ("GRU", "ur")):
    model, params = trained[name]
    found = diagnostics.saturation(model, params, tokens)
    shares = {key: (float(found[f"1/{key}"].low.mean()), float(found[f"1/{key}"].high.mean())) for key in keys}
    print(name, {key: f"{low:.0%} shut, {high:.0%} open" for key, (low, high) in shares.items()})

# %% [markdown]
# **Answer.** The gates decide, unit by unit and letter by letter, what is kept. Some units hold on over the whole
# sentence, some forget at once, and some have learnt to do so at the end of a word. That the *forget* gate can stand near
# 1 is what lets a gradient through: along that path it is multiplied by $f$ and by nothing else (notebooks 2 and 6).
#
# *Try:* another sentence; `bias_init=seqjax.initializers.forget_bias(5.0)`; `plot.gates` of the state `"1/c"`.
