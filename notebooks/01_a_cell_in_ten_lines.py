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
# # 1 · A cell in ten lines
#
# **Question: what is a recurrent network, and how little has to be written to have one that trains?**
#
# A recurrent network reads a sequence $x_1, x_2, \dots, x_T$ one step at a time. Between two steps it keeps a *carry*
# $h$, its memory. Everything it does is one function, used at every step:
#
# $$h_t,\; y_t = \mathrm{step}(\theta,\; h_{t-1},\; x_t)$$
#
# with the same parameters $\theta$ at all steps. The plain network of Elman (1990) is
#
# $$h_t = \tanh(x_t W + h_{t-1} U + b), \qquad y_t = h_t .$$

# %%
import jax
import jax.numpy as jnp


def init(key, in_features, features):
    of_input, of_state = jax.random.split(key)
    return {
        "W": jax.random.normal(of_input, (in_features, features)) / in_features**0.5,
        "U": jax.random.normal(of_state, (features, features)) / features**0.5,
        "b": jnp.zeros(features),
    }


def step(params, h, x):
    h = jnp.tanh(x @ params["W"] + h @ params["U"] + params["b"])
    return h, h


# %% [markdown]
# That is the whole network. To run it over a sequence is to *fold* `step` over time, which `jax.lax.scan` does: it takes
# a carry, the inputs with time as first axis, and gives the last carry and all outputs.

# %%
params = init(jax.random.key(0), in_features=3, features=4)
xs = jax.random.normal(jax.random.key(1), (6, 3))  # 6 steps of 3 numbers
last, ys = jax.lax.scan(lambda h, x: step(params, h, x), jnp.zeros(4), xs)
print(ys.shape, bool(jnp.all(last == ys[-1])))

# %% [markdown]
# ## The same as a seqjax cell
#
# In seqjax a network is a **cell**: a value without arrays that knows how to make its parameters and how to take a step.
# The plain network is `RNN(4)`. `seqjax.scan` is the fold, with the batch as first axis.

# %%
import seqjax as sj

cell = sj.RNN(4)
theta = cell.init(jax.random.key(0), 3)
print(cell, jax.tree.map(jnp.shape, theta))

# %%
theta = {
    "project": {"kernel": params["W"], "bias": params["b"]},  # x W + b, for all steps at once
    "mix": {"kernel": params["U"]},  # h U: the recurrent part
}
carry, outputs = sj.scan(cell, theta, xs[None])
print("largest difference:", float(jnp.max(jnp.abs(outputs[0] - ys))))

# %% [markdown]
# ## One of your own
#
# A cell is a few equations. Here is a *minimal gated unit* (Zhou et al. 2016): one gate $f$ between 0 and 1 says how much
# of the memory is replaced, and how much of it the candidate may look at.
#
# $$f = \sigma(x W_f + h U_f + b_f), \qquad \tilde h = \tanh(x W_n + b_n + f \odot (h U_n)),\qquad
# h' = (1 - f) \odot h + f \odot \tilde h$$
#
# The sums $z = x W + b$ and $m = h U$ are made for you; `update` says what is done with them.


# %%
class MGU(sj.Gated):
    gates = ("f", "n")

    def update(self, p, h, z, m):
        (zf, zn), (mf, mn) = jnp.split(z, 2, -1), jnp.split(m, 2, -1)
        (f,) = sj.activate(zf + mf, "sigmoid")
        h = (1 - f) * h + f * jnp.tanh(zn + f * mn)
        return h, h


# %% [markdown]
# The law of all cells is that running a sequence is the fold of `step`. So a sequence may be cut anywhere:

# %%
cell = MGU(4)
theta = cell.init(jax.random.key(2), 3)
carry, whole = sj.scan(cell, theta, xs[None])
carry_2, first = sj.scan(cell, theta, xs[None, :2])
carry_6, rest = sj.scan(cell, theta, xs[None, 2:], carry_2)
print("equal:", bool(jnp.allclose(jnp.concatenate([first, rest], axis=1), whole, atol=1e-6)))

# %% [markdown]
# `seqjax.testing.check_cell(MGU(4))` tries that and twenty-two other laws (padding, resets, `jit`, `vmap`, gradients of
# all orders …) in half a minute.

# %% [markdown]
# ## It trains
#
# A task that needs a memory: *parity*. The network reads bits and has to say, after each, whether the number of ones so
# far is odd. One bit of memory is enough, but it must be kept exactly and turned over at every 1.

# %%
import optax

from seqjax import batching, losses, train


def draw(key):
    """32 sequences of 12 bits and, for every step, whether the ones so far are odd."""
    bits = jax.random.bernoulli(key, shape=(32, 12)).astype(jnp.int32)
    return sj.Batch(bits, jnp.cumsum(bits, axis=1) % 2, jnp.ones((32, 12), bool), jnp.full(32, 12))


source = batching.Synthetic(draw, seed=0)  # always new ones
history = {}
for cell in (sj.RNN(16), MGU(16)):
    model = sj.stack(sj.Embed(2, 8), cell, sj.Dense(2))
    loss = train.make_loss(model, losses.cross_entropy, metrics={"accuracy": losses.accuracy})
    train_step = train.make_train_step(loss, optax.adam(1e-2), clip=1.0)
    state = train_step.init(model.init(jax.random.key(0), 0), jax.random.key(1))
    result = train.fit(train_step, state, source, steps=400, every=20, progress=False)
    history[repr(cell)] = [result.history]
    print(cell, train.evaluate(loss, result.params, batching.Synthetic(draw, seed=1), steps=10))

# %%
from seqjax import plot

plot.learning_curves(history, baseline=0.69, title="Parity, loss in nats; knowing nothing costs ln 2")

# %% [markdown]
# **Answer.** A recurrent network is one function of parameters, memory and input, folded over time. Ten lines give one
# that runs; three equations give a cell that stacks, trains and is measured like any other. What *every* such network has
# in common, and what goes wrong with it over long sequences, is the subject of the next notebooks.
#
# *Try:* `MGU(2)`; 40 bits instead of 12; a cell without a gate but with `jnp.sin`.
