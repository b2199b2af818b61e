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
# # 9 · Gradients without recurrence
#
# **Question: attention reaches every step at once. Do its gradients vanish too?**
#
# In a recurrent network the gradient comes back through all steps between: $\partial h_T / \partial h_t$ is a product of
# $T - t$ Jacobians (notebook 2). In attention the last step reads step $t$ directly,
#
# $$y_T = \sum_s w_{Ts} v_s, \qquad \frac{\partial y_T}{\partial x_t} \ni w_{Tt} \frac{\partial v_t}{\partial x_t},$$
#
# one factor, however far back $t$ is. What it has to overcome is another thing: the weights share a sum of 1, so with
# $T$ steps to look at each gets about $1/T$ as long as nothing has been learnt.
#
# States of a recurrent network and the cache of attention cannot be compared; the *inputs* can. So here it is the norm of
# $\partial L_T / \partial x_t$, for networks about equally large, on Shakespeare.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from seqjax import batching, datasets, diagnostics, losses, plot, text, train
from seqjax.interop import as_cell
from seqjax.nn import TransformerBlock

length = 64
written = datasets.load("shakespeare").train.inputs.text(0)[:400_000]
letters = text.Vocabulary.characters(written)
encoded = letters.encode(written)
source = batching.RandomWindows(encoded, batch_size=16, length=length, seed=0)

block = as_cell(TransformerBlock, 32, 4, positions="rotary", capacity=length)
inner = {
    "RNN": sj.RNN(32),
    "LSTM": sj.LSTM(32),
    "GRU": sj.GRU(32),
    "attention": block,
    "GRU, attention": sj.stack(sj.GRU(32), block),
}
models = {
    name: sj.stack(embed=sj.Embed(len(letters), 32), inner=cell, out=sj.Dense(len(letters)))
    for name, cell in inner.items()
}
before = {name: model.init(jax.random.key(0), 0) for name, model in models.items()}

# %% [markdown]
# A short training each, 300 updates:

# %%
after, history = {}, {}
for name, model in models.items():
    step = train.make_train_step(train.make_loss(model, losses.cross_entropy), optax.adam(3e-3), clip=1.0)
    result = train.fit(step, step.init(before[name], jax.random.key(1)), source, steps=300, every=20, progress=False)
    after[name], history[name] = result.params, [result.history]
plot.learning_curves(history, title="Nats a character")

# %%
windows = jnp.asarray(np.stack([encoded[i : i + length + 1] for i in range(0, 16_000, 1000)]))
last = windows[:, -1]


def reach(model, params):
    """Mean log10 norm of the last loss's gradient in each embedded character, by distance."""
    flow = diagnostics.gradient_flow(model, params, windows[:, :-1], lambda logits: losses.cross_entropy(logits, last))
    return diagnostics.log_mean(flow.layers["embed/y"])[::-1] / np.log(10)


panels = {
    title: {name: {"mean": reach(model, params[name])} for name, model in models.items()}
    for title, params in (("before training", before), ("after 300 updates", after))
}
plot.norm_by_distance(panels, "Shakespeare, 64 characters", of="x_t")

# %% [markdown]
# The recurrent lines fall exponentially. Attention is level: some way below the character that was just read, it gives
# every other one about the same, also the first. A GRU below attention has both, the steep beginning and the level floor.
#
# ## How much comes from far away?

# %%
for name in models:
    shares = []
    for title in panels:
        norms = 10 ** panels[title][name]["mean"]
        shares.append(norms[32:].sum() / norms.sum())
    print(
        f"{name:15} share of the gradient from more than 32 characters back: {shares[0]:.1e} before, {shares[1]:.1e} after"
    )

# %% [markdown]
# **Answer.** They do not vanish with distance; they are diluted, as $1/T$ and not as $e^{-T}$. That is why attention can
# learn what lies far back, where a recurrent network has to be lucky in its initialisation. It does not follow that it
# *does* at once: after 300 updates attention alone is where the recurrent networks are, which know the last few characters
# only, and a GRU below attention, which has both, is ahead of all.
#
# *Try:* `length = 256`; two blocks; `positions="alibi"`, which favours what is near.
