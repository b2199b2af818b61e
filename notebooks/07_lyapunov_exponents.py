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
# # 7 · Lyapunov exponents and the edge of chaos
#
# **Question: is there one number that says whether gradients vanish or explode?**
#
# Start a network twice, from states that differ by a tiny $\delta_0$, and give it the same inputs. After $t$ steps they
# differ by about $\delta_0\, e^{\lambda t}$. The rate $\lambda$ is the largest **Lyapunov exponent**.
#
# * $\lambda < 0$: differences die out; the network forgets where it began, and gradients vanish.
# * $\lambda > 0$: they grow; the network is *chaotic*, and gradients explode.
# * $\lambda \approx 0$: the edge between, where memory is longest.
#
# It is no coincidence: forwards and backwards go through the same product of Jacobians.

# %%
import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from seqjax import diagnostics, plot
from seqjax.initializers import normal

cell = sj.RNN(64, recurrent_init=normal(1.6 / 8))  # weights of deviation 1.6 / sqrt(64)
params = cell.init(jax.random.key(0), 1)
silence = jnp.zeros((1, 200, 1))  # nothing comes in: the network runs free
start = 0.5 * jax.random.normal(jax.random.key(1), (1, 64))

_, one = sj.scan(cell, params, silence, start)
_, other = sj.scan(cell, params, silence, start + 1e-5 * jax.random.normal(jax.random.key(2), start.shape))
apart = np.linalg.norm(np.asarray(one - other)[0], axis=-1)
for t in (0, 25, 50, 75, 100, 150):
    print(f"after {t:3} steps they are {apart[t]:.1e} apart")

# %% [markdown]
# They part until they are as far as two states can be. `lyapunov_exponents` measures the rate properly: along the run it
# pushes a set of directions through the Jacobians, and takes them apart by a QR decomposition at each step, so that
# nothing overflows (Benettin et al. 1980; for networks Engelken, Wolf and Abbott 2023).

# %%
found = diagnostics.lyapunov_exponents(cell, params, jnp.zeros((1, 600, 1)), start, count=20, warm_up=(100, 50))
top, error = float(found.exponents[0, 0]), float(found.standard_error[0, 0])
print(f"largest exponent {top:.3f} ± {error:.3f} a step; from the two runs {np.log(apart[75] / apart[25]) / 50:.3f}")

# %% [markdown]
# ## From forgetting to chaos
#
# With Gaussian weights of deviation $g / \sqrt N$ a large network has its edge at $g = 1$ (Sompolinsky, Crisanti and
# Sommers 1988): below, the only thing it can do without input is to fall silent.

# %%
scales = (0.6, 0.8, 1.0, 1.2, 1.6, 2.0)
largest, reach = [], []
for g in scales:
    cell = sj.RNN(64, recurrent_init=normal(g / 8))
    params = cell.init(jax.random.key(0), 1)
    found = diagnostics.lyapunov_exponents(cell, params, jnp.zeros((1, 400, 1)), start, count=4, warm_up=(100, 50))
    largest.append(float(found.exponents[0, 0]))
    flow = diagnostics.gradient_flow(cell, params, jnp.zeros((1, 400, 1)), lambda y: y.sum(-1), start)
    logs = np.asarray(flow.joint[0])
    reach.append((logs[300] - logs[0]) / 300)
points = {
    "largest exponent": [(g, each, float("nan")) for g, each in zip(scales, largest)],
    "growth of the gradient, backwards": [(g, each, float("nan")) for g, each in zip(scales, reach)],
}
plot.trend(points, "g", "rate a step", "RNN(64) without input")

# %% [markdown]
# The rate at which states part forwards is the rate at which gradients grow backwards.
#
# ## Inputs tame it
#
# A network that is driven is less chaotic than one that runs free: inputs push units to where their slopes are small. The
# same network, $g = 2$, under inputs of growing size:

# %%
cell = sj.RNN(64, recurrent_init=normal(2 / 8))
params = cell.init(jax.random.key(0), 1)
noise = jax.random.normal(jax.random.key(3), (1, 400, 1))
driven = []
for size in (0.0, 1.0, 2.0, 4.0, 8.0):
    found = diagnostics.lyapunov_exponents(cell, params, size * noise, start, count=4, warm_up=(100, 50))
    driven.append((size, float(found.exponents[0, 0]), float(found.standard_error[0, 0])))
plot.trend({"largest exponent": driven}, "size of the inputs", "rate a step", "RNN(64), g = 2")

# %% [markdown]
# ## To the edge on purpose
#
# The exponents are differentiable, so a network can be *brought* to the edge before it learns anything: make the squares
# of the leading ones small ("gradient flossing", Engelken 2023).

# %%
import optax

cell = sj.RNN(32)
params = cell.init(jax.random.key(0), 4)
xs = jax.random.normal(jax.random.key(4), (2, 60, 4))


def flossing(params):
    return jnp.mean(diagnostics.lyapunov_exponents(cell, params, xs, count=8, warm_up=10).exponents ** 2)


def reach_of(params):
    logs = diagnostics.log_mean(diagnostics.gradient_flow(cell, params, xs, lambda y: y.sum(-1)).joint)
    return {"mean": logs / np.log(10)}


before = reach_of(params)
optimizer = optax.adam(3e-3)
state = optimizer.init(params)


@jax.jit
def improve(params, state):
    loss, grads = jax.value_and_grad(flossing)(params)
    updates, state = optimizer.update(grads, state)
    return optax.apply_updates(params, updates), state, loss


for i in range(101):
    params, state, loss = improve(params, state)
    if i % 50 == 0:
        print(f"update {i:3}: mean square of the exponents {loss:.4f}")
plot.norm_by_distance({"RNN(32)": {"before": before, "after flossing": reach_of(params)}}, of="h_t")

# %% [markdown]
# **Answer.** The largest Lyapunov exponent: its sign says whether gradients vanish or explode, its size how fast. It
# depends on the weights *and* on what the network is fed, and it can be set.
#
# *Try:* `sj.LSTM(64)`; all exponents (`count=None`) and `found.dimension`, that of the set on which the states move.
