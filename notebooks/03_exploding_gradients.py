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
# # 3 · Exploding gradients, and clipping
#
# **Question: what if each step makes the gradient a little longer, and not shorter?**
#
# The simplest network has one unit, no input and no nonlinearity: $h_t = w\, h_{t-1}$. After $T$ steps
# $h_T = w^T h_0$, and what the first state hears of the last one is
#
# $$\frac{\partial h_T}{\partial h_0} = w^T, \qquad \frac{\partial h_T}{\partial w} = T\, w^{T-1} h_0 .$$
#
# With $w = 2$ that is $2^0, 2^1, 2^2, 2^3, \dots, 2^{10} = 1024$:

# %%
import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from seqjax import diagnostics, plot
from seqjax.initializers import identity, orthogonal


def unit(w):
    """h' = w h + x, one unit."""
    cell = sj.RNN(1, activation="identity", recurrent_init=identity(w))
    return cell, cell.init(jax.random.key(0), 1)


cell, params = unit(2.0)
flow = diagnostics.gradient_flow(cell, params, jnp.zeros((1, 10, 1)), lambda y: y[:, 0])
print("steps back  dh_T/dh_t")
for k, log in enumerate(flow.joint[0]):
    print(f"{k:10}  {np.exp(log):,.0f}")

# %% [markdown]
# Ten steps make a factor of a thousand, a hundred steps $2^{100} \approx 10^{30}$, and 128 steps leave what a float32 can
# hold. A factor of 1.05 seems harmless, and is 131 after 100 steps. `gradient_flow` keeps logarithms, so nothing
# overflows:

# %%
panels = {}
for w in (0.5, 0.9, 1.0, 1.1, 2.0):
    cell, params = unit(w)
    logs = diagnostics.gradient_flow(cell, params, jnp.zeros((1, 1000, 1)), lambda y: y[:, 0]).joint[0]
    panels[f"w = {w}"] = {"mean": np.asarray(logs) / np.log(10)}
plot.norm_by_distance({"h' = w h, 1,000 steps": panels}, of="h_t")

# %% [markdown]
# Only $w = 1$ neither vanishes nor explodes. For a matrix $U$ in place of $w$ the same happens along each of its
# directions: gradients can explode only if the largest singular value of the step's Jacobian exceeds 1 (Pascanu, Mikolov
# and Bengio 2013).
#
# ## A network that explodes
#
# An RNN of 32 units whose recurrent matrix is orthogonal, times a scale. `tanh` squeezes: its slope is at most 1, and less
# where units are large. So a scale a little above 1 is needed before anything grows.

# %%
xs = 0.1 * jax.random.normal(jax.random.key(1), (16, 100, 4))
curves = {}
for scale in (0.8, 1.0, 1.2, 1.5):
    cell = sj.RNN(32, recurrent_init=orthogonal(scale=scale))
    params = cell.init(jax.random.key(0), 4)
    logs = diagnostics.gradient_flow(cell, params, xs, lambda y: jnp.sum(y, -1)).joint / np.log(10)
    low, mean, high = np.quantile(logs, [0.1, 0.5, 0.9], axis=0)
    curves[f"scale {scale}"] = {"mean": mean, "p10": low, "p90": high}
plot.norm_by_distance({"RNN(32), small inputs, 16 sequences": curves}, of="h_t")

# %% [markdown]
# ## Why that is bad, and what clipping does
#
# A gradient of length 1,000 with a learning rate of 0.1 moves the parameters by 100: out of the valley, and usually to
# where all units are saturated and nothing can be learnt any more. *Clipping* shortens it,
#
# $$g \leftarrow g \cdot \min\left(1, \frac{c}{\lVert g \rVert}\right),$$
#
# and leaves its direction alone. The same network, the same data, plain gradient descent, with and without:

# %%
import optax

from seqjax import batching, losses, train

cell = sj.stack(sj.RNN(32, recurrent_init=orthogonal(scale=1.7)), sj.Dense(1))


def draw(key):
    """Sequences of 100 steps; the target is the sum of all inputs so far."""
    xs = 0.3 * jax.random.normal(key, (32, 100, 1))
    return sj.Batch(xs, jnp.cumsum(xs, axis=1) / 3, jnp.ones((32, 100), bool), jnp.full(32, 100))


norms, errors = {}, {}
for name, clip in (("not clipped", None), ("clipped to 1", 1.0)):
    loss = train.make_loss(cell, losses.squared_error)
    step = train.make_train_step(loss, optax.sgd(0.05), clip=clip, max_skips=200)
    state = step.init(cell.init(jax.random.key(2), 1), jax.random.key(3))
    result = train.fit(step, state, batching.Synthetic(draw, seed=0), steps=200, every=1, progress=False)
    rows = [row for row in result.history if "loss" in row]
    norms[name] = np.log10([row["norm"] for row in rows])
    errors[name] = np.minimum([row["loss"] for row in rows], 5)  # cut off, to have both in one picture
    print(f"{name:12}  first loss {errors[name][0]:.2f}, last {np.mean(errors[name][-20:]):.2f}")
plot.training(norms, errors, "RNN(32) with recurrent scale 1.7 under plain gradient descent")

# %% [markdown]
# Without clipping a few steps throw the parameters so far that the loss is no number any more; `fit` leaves such steps
# out and says so, and there is nothing left to learn from. With clipping the same gradients, as long as they are, do no
# harm.
#
# **Answer.** The gradient through $T$ steps is a product of $T$ factors; whatever is not 1 on average grows or shrinks
# exponentially. Growth is the lesser evil: it can be seen (in the norm), and clipping is enough to survive it. What has
# vanished cannot be brought back by making it longer, because it is no longer told apart from the rest.
#
# *Try:* `clip=10.0`; `optax.adam(1e-3)` in place of `sgd`, which divides by the gradient's size anyway; `sj.LSTM(32)`.
