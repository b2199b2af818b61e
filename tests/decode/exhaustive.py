"""All texts and their log-probabilities, by brute force."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj


def all_texts(vocabulary, steps, stop):
    """Every text of at most `steps` tokens that ends at the first stop token, or at `steps`."""
    for size in range(1, steps + 1):
        for text in itertools.product(range(vocabulary), repeat=size):
            if stop not in text[:-1] and (text[-1] == stop or size == steps):
                yield text


def log_probabilities(cell, params, prompt, texts, carry=None):
    """The sum of log-probabilities of each text after a prompt `[P]`, by one teacher-forced scan over all texts.

    carry: of a batch of one.
    """
    steps, size = max(map(len, texts)), len(prompt)
    padded = np.array([(*text, *(0,) * (steps - len(text))) for text in texts])
    tokens = np.concatenate([np.broadcast_to(prompt, (len(texts), size)), padded], axis=1)
    if carry is not None:
        carry = jax.tree.map(lambda a: jnp.broadcast_to(a, (len(texts), *a.shape[1:])), carry)
    logits = sj.scan(cell, params, jnp.asarray(tokens[:, :-1]), carry)[1][:, size - 1 :]
    log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), padded[..., None], axis=-1)[..., 0]
    real = np.arange(steps) < np.array([len(text) for text in texts])[:, None]
    return np.where(real, log_probs, 0).sum(axis=1)


def ranked(texts, scores):
    """Texts and scores, best first."""
    order = np.argsort(-scores, kind="stable")
    return [list(texts[i]) for i in order], scores[order]
