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
# # 6 · How far back: memory horizon and initialisation
#
# **Question: before anything is learnt, how long does a network remember, and what sets it?**
#
# A network that cannot feel what happened 200 steps ago cannot learn to use it: no gradient comes from there. How far it
# feels *at the start of training* is decided by its initial weights. We measure $g_k = \lVert \partial L / \partial
# h_{T-k} \rVert$ by the distance $k$ from the loss, and say it in one number: the **half-life**, the steps in which $g_k$
# halves; or the **horizon**, the last $k$ with more than a hundredth of $g_0$ left.

# %%
import jax
import numpy as np

import seqjax as sj
from seqjax import diagnostics, plot
from seqjax.initializers import chrono, forget_bias, identity, orthogonal

steps = 400
xs = jax.random.normal(jax.random.key(0), (8, steps, 8))


def curve(cell):
    """Mean log norm by distance, of 8 random sequences."""
    params = cell.init(jax.random.key(1), 8)
    return diagnostics.log_mean(diagnostics.gradient_flow(cell, params, xs, lambda y: y.sum(-1)).joint)


def compare(cells, title):
    curves = {name: curve(cell) for name, cell in cells.items()}
    for name, logs in curves.items():
        found = diagnostics.memory_horizon(logs)
        print(f"{name:24} half-life {found.half_life:8.3g} steps, horizon {found.epsilon_horizon:4.0f}")
    return plot.norm_by_distance(
        {title: {name: {"mean": logs / np.log(10)} for name, logs in curves.items()}}, of="carry"
    )


compare({"RNN": sj.RNN(32), "GRU": sj.GRU(32), "LSTM": sj.LSTM(32)}, "as they come")

# %% [markdown]
# ## The forget gate
#
# Along the LSTM's memory the gradient is multiplied by $f_t$ at each step. With a bias $b$ and small inputs
# $f \approx \sigma(b)$, so a memory has fallen to $1/e$ after $\tau = -1 / \ln \sigma(b)$ steps:

# %%
for b in (0.0, 1.0, 3.0, 5.0):
    f = jax.nn.sigmoid(b)
    print(f"b = {b:.0f}   f = {f:.4f}   tau = {float(diagnostics.time_constants(f)):6.1f} steps")

compare({f"forget bias {b:.0f}": sj.LSTM(32, bias_init=forget_bias(b)) for b in (0.0, 1.0, 3.0, 5.0)}, "LSTM(32)")

# %% [markdown]
# (A half-life below 0: it *grows*. What is kept adds up, and what the gates see of it adds to that.)
#
# A bias of 1 is what Jozefowicz et al. (2015) recommend, and what seqjax takes; several libraries start at 0. One bias
# for all units gives them all the same memory. *Chrono* biases (Tallec and Ollivier 2018) spread it: $b = \ln u$ with $u$
# uniform in $1 \dots T_{max} - 1$, so that the time constants are spread over the range of the task, and the input
# gate gets $-b$, so that what is kept long is written slowly.

# %%
cell = sj.LSTM(32, bias_init=chrono(steps))
_, _, seen = sj.trace(cell, cell.init(jax.random.key(1), 8), xs)
tau = np.sort(np.median(diagnostics.time_constants(seen["f"]), axis=(0, 1)))
print("time constants of units, quartiles:", np.quantile(tau, [0, 0.25, 0.5, 0.75, 1]).round(0))
compare(
    {"forget bias 1": sj.LSTM(32), "forget bias 5": sj.LSTM(32, bias_init=forget_bias(5.0)), "chrono": cell}, "LSTM(32)"
)

# %% [markdown]
# ## Without gates
#
# A plain RNN has one lever, its recurrent matrix. Orthogonal matrices keep lengths, and a ReLU network that starts at the
# identity just adds up what it reads (Le, Jaitly and Hinton 2015):

# %%
compare(
    {
        "tanh, orthogonal": sj.RNN(32),
        "tanh, orthogonal x 1.2": sj.RNN(32, recurrent_init=orthogonal(scale=1.2)),
        "relu, identity": sj.RNN(32, activation="relu", recurrent_init=identity()),
        "no nonlinearity": sj.RNN(32, activation="identity"),
    },
    "RNN(32)",
)

# %% [markdown]
# The tanh is what makes it forget: each unit's slope is below 1 wherever it is active. Without it the orthogonal network
# keeps everything, at the price of computing nothing but sums.
#
# **Answer.** At the start an RNN feels a few steps, an LSTM some more, and a bias on one gate moves it to hundreds. It costs
# nothing, and where a task spans $T$ steps it is the first thing to set. Whether a longer horizon at the start also means
# that a task is learnt is another question: `experiments/adding.py` and `copy_memory.py` ask it.
#
# *Try:* inputs of half the size (units are less saturated); `sj.GRU(32, bias_init=chrono(400))`.
