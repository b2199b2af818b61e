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
# # 11 · Attention you can see
#
# **Question: does a network that learns to translate find out by itself which word belongs to which?**
#
# Nobody tells it. It sees pairs of sentences and is asked for the next German word; at every word it may look at all of the
# English sentence, with weights $w_{ts}$ that sum to 1 (notebook 10). Bahdanau, Cho and Bengio (2015) found that these
# weights *are* an alignment. Here are 5,000 short captions of pictures (Multi30k), and a minute of training.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from seqjax import batching, datasets, decode, losses, plot, text, train
from seqjax.diagnostics import attention_entropy, attention_weights
from seqjax.seq2seq import EncoderDecoder, attend

data = datasets.load("multi30k_en_de")
both = list(zip(data.train.inputs.texts(), data.train.targets.texts()))
short = [pair for pair in both if max(len(side.split()) for side in pair) <= 11][:5000]
specials = ("<pad>", "<unk>", "<bos>", "<eos>")
english, german = (
    text.Vocabulary.words([pair[i] for pair in short], lower=True, punctuation="remove", min_count=3, specials=specials)
    for i in (0, 1)
)
sources, targets = (side.encode_all([pair[i] for pair in short], end=True) for i, side in enumerate((english, german)))
print(len(short), "pairs,", len(english), "English and", len(german), "German words. The first:", short[0])

# %%
source = batching.Shuffled(sources, targets, 64, pairs=True)
encoder = sj.stack(sj.Embed(len(english), 64), sj.bidirectional(sj.GRU(48)))
decoder = sj.stack(sj.Embed(len(german), 64), attend(sj.GRU(96), "additive"), sj.Dense(len(german)))
model = EncoderDecoder(encoder, decoder, begin=german.id("<bos>"))
step = train.make_train_step(train.make_loss(model, losses.cross_entropy), optax.adam(4e-3), clip=1.0)
state = step.init(model.init(jax.random.key(0), 0), jax.random.key(1))
result = train.fit(step, state, source, steps=700, every=25, progress=False)
params = result.params
plot.learning_curves({"GRU(96) with additive attention": [result.history]}, title="Nats a word")

# %% [markdown]
# ## Translations, and where they looked
#
# `generate` writes; `attention_weights` reads the same sentences again and gives the weights. The test captions are new to
# the network; words that it does not know are `<unk>`.


# %%
def translate(sentence):
    """Words that were read, words that were written, and the weights between them."""
    ids = english.encode(sentence, end=True)
    carry = model.initial_carry(params, (1,), source=(jnp.asarray(ids)[None], jnp.array([len(ids)])))
    begin = jnp.array([model.begin])
    tokens = decode.generate(model, params, begin, steps=14, stop=german.id("<eos>"), carry=carry).tokens[0]
    count = int(np.argmax(np.append(np.asarray(tokens) == german.id("<eos>"), True))) + 1
    given = jnp.concatenate([begin, tokens[: count - 1]])[None]
    (weights,) = attention_weights(model, params, given, carry).values()
    words = lambda side, row: [side.decode([token]).replace("\ufffd", "<unk>") or "end" for token in row]
    return words(english, ids), words(german, tokens[:count]), np.asarray(weights[0])


asked = [pair for pair in zip(data.test.inputs.texts(), data.test.targets.texts()) if 6 <= len(pair[0].split()) <= 10]
for sentence, wanted in asked[:6]:
    read, written, _ = translate(sentence)
    print(f"{' '.join(read)}\n    {' '.join(written)}\n    ({wanted})")

# %%
read, written, weights = translate("A man in a blue shirt is standing on a ladder.")
plot.attention(weights, written, read, title="written (rows), read (columns)")

# %% [markdown]
# German puts the verb elsewhere and turns an adjective with its noun; where the order of words differs, the map leaves the
# diagonal.
#
# ## How sure is it where to look?
#
# The entropy of a row of weights is 0 where it looks at one word, and $\ln S$ where at all $S$ alike.

# %%
entropies = np.asarray(attention_entropy(jnp.asarray(weights)[None]))[0]
for word, entropy in zip(written, entropies):
    print(f"{word:14} {entropy:.2f} of at most {np.log(len(read)):.2f} nats")

# %% [markdown]
# **Answer.** It does, from pairs of sentences alone, because looking at the right word is the cheapest way to a smaller
# loss. What the weights show is where information was *taken* from; it need not be why (`diagnostics.saliency` asks that).
#
# *Try:* a sentence of your own; `attend(..., "dot")`; more pairs and a longer training: `experiments/translation.py`.
