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
# # 13 · A cell of your own, from paper to plots
#
# **Question: a paper proposes a network; how do I find out by the evening what it is worth?**
#
# The *update gate RNN* (Collins, Sohl-Dickstein and Sussillo 2017) has the simplest gate one can think of: it decides how
# much of the old state is kept, and the rest is filled with the new.
#
# $$c = \tanh(x W_c + h U_c + b_c), \qquad g = \sigma(x W_g + h U_g + b_g), \qquad h' = g \odot h + (1 - g) \odot c$$
#
# ## The cell
#
# `Gated` makes the sums $z = x W + b$ and $m = h U$ of all gates, initialises them, and runs $x W + b$ for all steps at
# once. What is left are the equations. `keep_gate` names the gate that the initialisers `forget_bias` and `chrono` set.

# %%
import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj


class UGRNN(sj.Gated):
    gates = ("c", "g")
    keep_gate = "g"

    def update(self, p, h, z, m):
        c, g = sj.activate(z + m, "tanh sigmoid")
        g = sj.tap("g", g)
        h = g * h + (1 - g) * c
        return h, h


cell = UGRNN(8)
params = cell.init(jax.random.key(0), 3)
print(cell, jax.tree.map(jnp.shape, params))

# %% [markdown]
# ## Is it right?
#
# Against a transcription of the equations in NumPy, step by step, in float64:


# %%
def reference(params, xs):
    """The paper's equations, one after the other."""
    kernel, bias, recurrent = params["project"]["kernel"], params["project"]["bias"], params["mix"]["kernel"]
    h, found = np.zeros(8), []
    for x in xs:
        c, g = np.split(x @ kernel + bias + h @ recurrent, 2)
        g = 1 / (1 + np.exp(-g))
        h = g * h + (1 - g) * np.tanh(c)
        found.append(h)
    return np.array(found)


with jax.enable_x64(True):
    exact = cell.init(jax.random.key(0), 3, jnp.float64)
    xs = jax.random.normal(jax.random.key(1), (20, 3), jnp.float64)
    _, ys = sj.scan(cell, exact, xs[None])
    print("largest difference:", np.abs(ys[0] - reference(jax.tree.map(np.asarray, exact), np.asarray(xs))).max())

# %% [markdown]
# And does it obey the law of all cells? `seqjax.testing.check_cell(UGRNN(4))` tries all of it in half a minute: padding,
# chunks, resets, `jit`, `vmap`, every order of differentiation. One of these laws by hand: what stands in padding, NaN
# too, must not reach any gradient.

# %%
xs = jnp.full((2, 6, 3), jnp.nan).at[0].set(1.0).at[1, :4].set(1.0)  # the second sequence has 4 steps
grads = jax.grad(lambda p: jnp.sum(sj.scan(cell, p, xs, lengths=[6, 4])[1] ** 2))(params)
print("gradients are finite:", all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(grads)))

# %% [markdown]
# ## How far does it remember?

# %%
from seqjax import diagnostics, plot
from seqjax.initializers import forget_bias

xs = jax.random.normal(jax.random.key(2), (8, 200, 4))
cells = {
    "UGRNN": UGRNN(32),
    "UGRNN, bias 3": UGRNN(32, bias_init=forget_bias(3.0)),
    "RNN": sj.RNN(32),
    "LSTM": sj.LSTM(32),
    "GRU": sj.GRU(32),
}
curves = {}
for name, each in cells.items():
    flow = diagnostics.gradient_flow(each, each.init(jax.random.key(0), 4), xs, lambda y: y.sum(-1))
    logs = diagnostics.log_mean(flow.joint)
    curves[name] = {"mean": logs / np.log(10)}
    print(f"{name:14} half-life {diagnostics.memory_horizon(logs).half_life:6.1f} steps")
plot.norm_by_distance({"at the start of training": curves}, of="carry")

# %% [markdown]
# ## What can it learn?
#
# *Adding* (Hochreiter and Schmidhuber 1997): two of 30 numbers are marked, and their sum is asked. Always answering 1
# costs 0.167. Three seeds each, as one program.

# %%
import optax

from seqjax import batching, tasks, train

task = tasks.adding
source = batching.Synthetic(lambda key: task.sample(key, 32, 30), seed=0)
history = {}
for name in ("UGRNN, bias 3", "RNN", "LSTM", "GRU"):
    model = sj.stack(cells[name], sj.Dense(1))

    def loss(params, batch, key, model=model):
        return task.loss(sj.scan(model, params, batch.inputs)[1], batch)

    found = train.sweep(
        lambda rate, loss=loss: train.make_train_step(loss, optax.adam(rate), clip=1.0),
        lambda key, model=model: model.init(key, 2),
        source, seeds=range(3), learning_rates=(5e-3,), steps=600, every=30, progress=False,
    )  # fmt: skip
    history[name] = [[{"step": row["step"], "loss": row["loss"][i, 0]} for row in found.history] for i in range(3)]
    print(f"{name:14} last loss {np.mean([run[-1]['loss'] for run in history[name]]):.4f}")
plot.learning_curves(history, baseline=1 / 6, title="Adding over 30 steps")

# %% [markdown]
# ## From here
#
# Put the class into a file, and every experiment takes it:
#
# ```bash
# python -m experiments.adding --cell my_cells.py:UGRNN(64) "LSTM(64)" --seeds 0 1 2
# python -m experiments.gradient_norms --cell my_cells.py:UGRNN(64)
# ```
#
# **Answer.** Three equations, a transcription to compare with, one function that checks the law, one that measures, and
# one that trains. What a cell is worth then shows in the same figures as for all others.
