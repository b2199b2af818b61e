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
# # 12 · Writing: decoding strategies and exposure bias
#
# **Question: a network gives probabilities of the next token; how does a text come of that, and what goes wrong?**
#
# A language model gives $p(y_t \mid y_1 \dots y_{t-1})$. The probability of a whole text is the product. To *write* is to
# choose: always the likeliest token (greedy), a draw, or a search for a text that is likely as a whole (beam search).
#
# A GRU that has read Shakespeare for a minute, character by character:

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from seqjax import batching, datasets, decode, losses, plot, text, train

written = datasets.load("shakespeare").train.inputs.text(0)[:600_000]
letters = text.Vocabulary.characters(written)
source = batching.RandomWindows(letters.encode(written), batch_size=24, length=64, seed=0)
model = sj.stack(sj.Embed(len(letters), 24), sj.GRU(96), sj.Dense(len(letters)))
step = train.make_train_step(train.make_loss(model, losses.cross_entropy), optax.adam(4e-3), clip=1.0)
result = train.fit(
    step, step.init(model.init(jax.random.key(0), 0), jax.random.key(1)), source, steps=700, every=25, progress=False
)
params = result.params
plot.learning_curves({"GRU(96)": [result.history]}, title="Nats a character")

# %% [markdown]
# ## Four ways to go on

# %%
prompt = jnp.asarray(letters.encode("The king "))[None]


def write(strategy, steps=70, seed=0, **options):
    found = decode.generate(model, params, prompt, steps=steps, strategy=strategy, key=jax.random.key(seed), **options)
    tokens, logs = (np.asarray(each).reshape(-1, steps)[0] for each in (found.tokens, found.log_probs))
    return letters.decode(tokens).replace("\n", " / "), logs.mean()


for strategy in (
    decode.greedy(),
    decode.sample(),
    decode.sample(temperature=0.5),
    decode.sample(top_p=0.8),
    decode.beam(8, length_penalty=1.0),
):
    said, logs = write(strategy)
    print(f"{strategy!r:38} {-logs:.2f} nats a character\n    The king {said}\n")

# %% [markdown]
# * **Greedy** text is safe and soon goes round in circles: the likeliest continuation of what is common is what is common.
# * A **draw** is as varied as the model, and as often wrong: every unlikely character is drawn now and then.
# * A lower **temperature** ($p^{1/\tau}$, made to sum to 1) or cutting off the tail (**top p**: only the likeliest tokens
#   that together have a share of $p$) stand between.
# * A **beam** keeps the 8 most probable texts at every step. What it finds is more probable than the greedy text, and no
#   better to read: the most probable text is not a typical one.
#
# A rule on what may be written is a function of the logits. No five characters that stand there already:

# %%
said, logs = write(decode.greedy(), processors=(decode.no_repeat(5),))
print(f"{-logs:.2f} nats a character\n    The king {said}")

# %% [markdown]
# `stream` gives each token as soon as it is there; the same key draws the same text as `generate`.

# %%
said, key = "", jax.random.key(0)
for token in decode.stream(model, params, prompt, steps=70, strategy=decode.sample(temperature=0.5), key=key):
    said += letters.decode(token)
    print(letters.decode(token).replace("\n", " / "), end="", flush=True)
assert said.replace("\n", " / ") == write(decode.sample(temperature=0.5))[0]

# %% [markdown]
# ## Reading one's own words
#
# In training the network has only ever read Shakespeare. When it writes, it reads itself, and a slip leads where it has
# never been: **exposure bias** (Bengio et al. 2015). How does it show? Below, how sure the model is of each character
# that it draws, when the draw goes on from Shakespeare for 200 characters, against its loss on Shakespeare itself.

# %%
count, steps = 64, 200
ids = letters.encode(written)
starts = jnp.asarray(np.stack([ids[i : i + 50] for i in range(0, count * 1000, 1000)]))
real = jnp.asarray(np.stack([ids[i + 50 : i + 50 + steps] for i in range(0, count * 1000, 1000)]))
own = decode.generate(model, params, starts, steps=steps, strategy=decode.sample(), key=jax.random.key(1))
carry, _ = sj.scan(model, params, starts[:, :-1])
_, logits = sj.scan(model, params, jnp.concatenate([starts[:, -1:], real[:, :-1]], axis=1), carry)
of_real = np.asarray(losses.cross_entropy(logits, real)).mean(0)
of_own = -np.asarray(own.log_probs).mean(0)
groups = lambda values: [(50 * i + 25, values[50 * i : 50 * i + 50].mean(), float("nan")) for i in range(4)]
plot.trend(
    {"on Shakespeare": groups(of_real), "on its own text": groups(of_own)}, "characters written", "nats a character"
)

# %% [markdown]
# If the model were right about Shakespeare, both lines would be one: what it draws would cost what Shakespeare costs.
# Where its own text costs something else, it has drifted to a language of its own.
#
# Where each answer rests on the one before, drifting is worse: `experiments/exposure_bias.py` has a decoder add up numbers,
# where one slip spoils the rest, and compares cures, such as reading some of its own tokens in training already
# (`seqjax.seq2seq.scheduled`).
#
# **Answer.** Writing is a choice that the model does not make: searching finds texts that are probable and dull, drawing
# finds typical ones with slips, and each slip is read again.
#
# *Try:* `decode.sample(min_p=0.1)`; `decode.diverse(6, groups=3)`; `decode.stream` without `steps`, which writes until it is interrupted.
