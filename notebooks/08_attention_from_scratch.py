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
# # 8 · Attention, from scratch to a transformer
#
# **Question: how does a network read a sequence without carrying anything from step to step, and what does that cost?**
#
# A recurrent network squeezes what it has read into a state of fixed size. *Attention* keeps all of it, and looks things
# up. Each step asks with a *query* $q$; each step that was read offers a *key* $k$ and a *value* $v$. How well query and
# key agree decides how much of the value is taken:
#
# $$w_{ts} = \frac{\exp(q_t \cdot k_s / \sqrt H)}{\sum_{s' \le t} \exp(q_t \cdot k_{s'} / \sqrt H)}, \qquad
# y_t = \sum_{s \le t} w_{ts}\, v_s$$
#
# with $q$, $k$, $v$ linear in the input and $H$ features wide. $s \le t$ makes it *causal*: nobody looks ahead. (Vaswani
# et al. 2017)

# %%
import jax
import jax.numpy as jnp
import numpy as np


def attend(q, k, v):
    """Causal attention of [T, H] arrays, and its weights [T, T]."""
    scores = q @ k.T / q.shape[-1] ** 0.5
    allowed = jnp.arange(len(q))[:, None] >= jnp.arange(len(k))[None]
    weights = jax.nn.softmax(jnp.where(allowed, scores, -jnp.inf))
    return weights @ v, weights


q, k, v = jax.random.normal(jax.random.key(0), (3, 6, 8))
y, weights = attend(q, k, v)
print(weights.round(2))

# %% [markdown]
# `seqjax.attention.dot_product` is the same, for batches and several heads, `[B, T, N, H]`, with masks that are rules and
# not arrays, and in blocks where sequences are long:

# %%
from seqjax import attention

ours = attention.dot_product(*(x[None, :, None] for x in (q, k, v)), attention.causal())
print("largest difference:", float(jnp.abs(ours[0, :, 0] - y).max()))

# %% [markdown]
# ## What attention alone cannot know
#
# Swap two earlier steps, and the last one sees no difference: attention reads a *set*. So positions have to be told.

# %%
swapped = jnp.array([1, 0, 2, 3, 4, 5])
last, _ = attend(q, k[swapped], v[swapped])
print("without positions:", bool(jnp.allclose(last[-1], y[-1], atol=1e-6)))

turned = lambda x: attention.rotary(x[None, :, None], jnp.arange(6)[None])[0, :, 0]
first, _ = attend(turned(q), turned(k), v)
last, _ = attend(turned(q), turned(k[swapped]), v[swapped])
print("with rotary positions:", bool(jnp.allclose(last[-1], first[-1], atol=1e-6)))

# %% [markdown]
# ## A transformer block
#
# Several heads look for several things at once; then a small network works on each step by itself. Both are *added* to
# what was there, so that the gradient has a straight way past them, and a norm stands before each:
#
# $$x \leftarrow x + \mathrm{attention}(\mathrm{norm}(x)), \qquad x \leftarrow x + \mathrm{feed\ forward}(\mathrm{norm}(x)).$$
#
# `nn.TransformerBlock` is a Flax module, and `as_cell` makes it a cell like any other; its carry is what has been read.

# %%
import seqjax as sj
from seqjax import plot
from seqjax.interop import as_cell
from seqjax.nn import TransformerBlock

block = as_cell(TransformerBlock, 32, 4, positions="rotary", capacity=64)
theta = block.init(jax.random.key(0), 32)
xs = jax.random.normal(jax.random.key(1), (1, 10, 32))
_, whole = sj.scan(block, theta, xs)
carry, first = sj.scan(block, theta, xs[:, :7])
_, rest = sj.scan(block, theta, xs[:, 7:], carry)
print("in two pieces:", bool(jnp.allclose(jnp.concatenate([first, rest], 1), whole, atol=1e-5)))

# %% [markdown]
# ## Looking up
#
# *Associative recall* (Arora et al. 2023): four pairs of a key and a value are read; later each key comes once more, among
# other symbols, and its value is the answer. It is what attention is made for. A GRU and two blocks of attention of about
# as many parameters try to learn it.

# %%
import optax

from seqjax import batching, tasks, train

task = tasks.AssociativeRecall(tokens=32, pairs=4)
print(task.as_text(20))
source = batching.Synthetic(lambda key: task.sample(key, 64, 20), seed=0)
inner = {
    "GRU": sj.GRU(76),
    "attention": sj.stack(*[as_cell(TransformerBlock, 32, 4, positions="rotary", capacity=64)] * 2),
}
models, trained, history = {}, {}, {}
for name, cell in inner.items():
    model = sj.stack(embed=sj.Embed(task.vocabulary, 32), inner=cell, out=sj.Dense(task.out_features))

    def loss(params, batch, key, model=model):
        _, outputs = sj.scan(model, params, batch.inputs)
        return task.loss(outputs, batch), {"accuracy": task.score(outputs, batch)}

    step = train.make_train_step(loss, optax.adam(3e-3), clip=1.0)
    state = step.init(model.init(jax.random.key(0), 0), jax.random.key(1))
    result = train.fit(step, state, source, steps=600, every=25, progress=False)
    models[name], trained[name], history[name] = model, result.params, [result.history]
    print(name, sum(leaf.size for leaf in jax.tree.leaves(result.params)), "parameters")
plot.learning_curves(history, "accuracy", title="Associative recall: share of right answers")

# %% [markdown]
# Where does it look? `attention_weights` has the weights of every layer and head:

# %%
from seqjax.diagnostics import attention_weights

batch = task.sample(jax.random.key(5), 1, 20)
seen = attention_weights(models["attention"], trained["attention"], batch.inputs)
print(list(seen))
steps = [str(token) for token in np.asarray(batch.inputs[0])]
plot.attention(list(seen.values())[-1][0], steps, title="second layer, four heads: rows ask, columns are looked at")

# %% [markdown]
# ## And the price
#
# A step of a recurrent network costs the same wherever it stands. Attention looks at all steps before, so that $T$ steps
# cost $T^2$ products, and its carry grows with what was read:

# %%
for length in (64, 256, 1024):
    block = as_cell(TransformerBlock, 32, 4, positions="rotary", capacity=length)
    carry = block.initial_carry(block.init(jax.random.key(0), 32), (1,))
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(carry))
    print(f"{length:5} steps: the carry of a block holds {held:7,} bytes; that of GRU(32) 128")

# %% [markdown]
# **Answer.** Attention does not carry, it looks up: every step is one multiplication away from every other, which makes
# recall easy and paths of gradients short (notebook 9). It has to be told positions, it pays with memory for all that was
# read, and it does not count or keep a state as recurrence does. Mixtures have both.
#
# *Try:* `positions=None` or `"alibi"`; one head; `sj.stack(sj.GRU(32), as_cell(TransformerBlock, 32, 4))`.
