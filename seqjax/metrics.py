"""Scores of sequences that a model has written: on token ids, and on texts.

Axes: `*B` any leading ones (batch, beams), `L` steps written, `T` steps of the target. Scores of logits, as
`accuracy`, are in `seqjax.losses`. What is known under a name in the literature comes from the package that defines it:
BLEU and chrF from sacrebleu, the word error rate from jiwer (`pip install 'seqjax[metrics]'`).
"""

import importlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Float, Int
from seqjax._internal.validation import real_number
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError

__all__ = ["TextScore", "bits", "bleu", "chrf", "exact_match", "perplexity", "token_accuracy", "word_error_rate"]


class TextScore(NamedTuple):
    """A score of sacrebleu, 0 to 100, and the signature that says how it was computed, to be reported with it."""

    value: float
    signature: str


def token_accuracy(
    tokens: Int[Array, "*B L"], targets: Int[Array, "*B T"], lengths: Int[Array, "*B"] | None = None
) -> Float[jax.Array, "*B T"]:
    """1.0 where the token of a step is the target's, else 0.0, also where nothing was written: `[*B, T]`.

    tokens: what was written, longer or shorter than the targets. lengths: how many of them are real; all where None.
    `losses.weighted_mean(token_accuracy(...), weights)` counts what a batch counts.

        >>> import jax.numpy as jnp
        >>> from seqjax.metrics import token_accuracy
        >>> print(token_accuracy(jnp.array([[5, 6], [5, 5]]), jnp.array([[5, 6, 7], [5, 6, 7]])))
        [[1. 1. 0.]
         [1. 0. 0.]]

    Raises:
        ArgumentError, ArgumentTypeError: other leading axes, or no whole numbers.
    """
    tokens, targets = _ids("token_accuracy", "tokens", tokens), _ids("token_accuracy", "targets", targets)
    _check_axes("token_accuracy", tokens, targets)
    written = _real("token_accuracy", "lengths", lengths, tokens)
    return _same(tokens, targets, written).astype(jnp.float32)


def exact_match(
    tokens: Int[Array, "*B L"],
    targets: Int[Array, "*B T"],
    lengths: Int[Array, "*B"] | None = None,
    target_lengths: Int[Array, "*B"] | None = None,
) -> Float[jax.Array, "*B"]:
    """1.0 where a sequence is its target, in length and in each token, else 0.0: `[*B]`.

    lengths, target_lengths: how many tokens of each are real; all where None.

        >>> import jax.numpy as jnp
        >>> from seqjax.metrics import exact_match
        >>> written, targets = jnp.array([[5, 6, 0], [5, 6, 7]]), jnp.array([[5, 6], [5, 6]])
        >>> print(exact_match(written, targets, lengths=jnp.array([2, 3])))
        [1. 0.]

    Raises:
        ArgumentError, ArgumentTypeError: as `token_accuracy`.
    """
    tokens, targets = _ids("exact_match", "tokens", tokens), _ids("exact_match", "targets", targets)
    _check_axes("exact_match", tokens, targets)
    written = _real("exact_match", "lengths", lengths, tokens)
    wanted = _real("exact_match", "target_lengths", target_lengths, targets)
    right = jnp.all(_same(tokens, targets, written) | ~wanted, axis=-1)
    return (right & (jnp.sum(written, axis=-1) == jnp.sum(wanted, axis=-1))).astype(jnp.float32)


def perplexity(nats: float | np.generic | Array) -> float:
    """exp(nats), of a mean cross entropy for each token; infinite where that is beyond floats.

        >>> import math
        >>> from seqjax.metrics import perplexity
        >>> round(perplexity(math.log(50)), 6)  # as a fair choice of 50
        50.0

    Raises:
        ArgumentTypeError: no number.
    """
    number = _number("perplexity", nats)
    return math.exp(number) if number < 709 or number != number else math.inf


def bits(nats: float | np.generic | Array) -> float:
    """nats / ln 2: of a mean cross entropy for each character, the bits per character.

        >>> import math
        >>> from seqjax.metrics import bits
        >>> round(bits(math.log(256)), 6)
        8.0

    Raises:
        ArgumentTypeError: no number.
    """
    return _number("bits", nats) / math.log(2)


def bleu(
    texts: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
) -> TextScore:
    """BLEU of a corpus (Papineni et al. 2002), as sacrebleu computes it (Post 2018).

    Texts are to be as a reader would have them: words not taken apart, case kept.

    Args:
        texts: what was written.
        references: one for each, or a list of several for each.
        tokenize: how sacrebleu takes words apart: "13a", "intl", "char", "zh", "none", ...
        lowercase: whether case counts for nothing.

        >>> from seqjax.metrics import bleu
        >>> score = bleu(["The cat sat on the mat."], ["The cat sat on a mat."])
        >>> round(score.value, 1), score.signature[:36]
        (48.9, 'nrefs:1|case:mixed|eff:no|tok:13a|sm')

    Raises:
        ArgumentError, ArgumentTypeError: no lists of texts, of different numbers, or an unknown `tokenize`.
        DataError: sacrebleu is not installed.
    """
    lists = _texts("bleu", texts, references)
    package = _package("sacrebleu")
    known = list(package.metrics.BLEU.TOKENIZERS)
    if tokenize not in known:
        raise ArgumentError(f"bleu: tokenize must be one of {', '.join(known)}, found {tokenize!r}")
    return _score(package.metrics.BLEU(tokenize=tokenize, lowercase=lowercase), lists)


def chrf(
    texts: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]], *, word_order: int = 0
) -> TextScore:
    """chrF of a corpus (Popović 2015), as sacrebleu computes it: an F score over n-grams of characters.

    word_order: 0, characters alone; 2, words and pairs of words as well, which is chrF++.

        >>> from seqjax.metrics import chrf
        >>> round(chrf(["The cat sat on the mat."], ["The cat sat on the mat."]).value, 1)
        100.0

    Raises:
        ArgumentError, ArgumentTypeError, DataError: as `bleu`.
    """
    lists = _texts("chrf", texts, references)
    if isinstance(word_order, bool) or not isinstance(word_order, int) or word_order < 0:
        raise ArgumentError(f"chrf: word_order must be a whole number of at least 0, found {word_order!r}")
    return _score(_package("sacrebleu").metrics.CHRF(word_order=word_order), lists)


def word_error_rate(texts: Sequence[str], references: Sequence[str]) -> float:
    """(substitutions + deletions + insertions) / words of the references, over all texts, as jiwer computes it.

    The written texts come first, as in `bleu`; jiwer itself takes the references first.

        >>> from seqjax.metrics import word_error_rate
        >>> word_error_rate(["the cat sat", "on the mat mat"], ["the cat sat", "on a mat"])  # 2 of 6 words
        0.3333333333333333

    Raises:
        ArgumentError, ArgumentTypeError: as `bleu`; references without a word.
        DataError: jiwer is not installed.
    """
    lists = _texts("word_error_rate", texts, references)
    if len(lists[1]) > 1:
        raise ArgumentTypeError("word_error_rate: references must be one text for each, found lists of several")
    if not any(str(text).split() for text in lists[1][0]):
        raise ArgumentError("word_error_rate: references hold no word, so there is nothing to divide by")
    return float(_package("jiwer").wer(lists[1][0], lists[0]))


def _same(tokens: jax.Array, targets: jax.Array, written: jax.Array) -> jax.Array:
    """Where a token was written that is the target's, `[*B, T]`."""
    short = targets.shape[-1] - tokens.shape[-1]
    pad = [(0, 0)] * (tokens.ndim - 1) + [(0, max(short, 0))]
    cut = lambda array: jnp.pad(array, pad)[..., : targets.shape[-1]]
    return (cut(tokens) == targets) & cut(written)


def _ids(where: str, name: str, value: Array) -> jax.Array:
    if not isinstance(value, (jax.Array, np.ndarray)) or not jnp.issubdtype(value.dtype, jnp.integer):
        found = getattr(value, "dtype", type(value).__name__)
        slip = " Logits? Take losses.accuracy" if hasattr(value, "dtype") else ""
        raise ArgumentTypeError(f"{where}: {name} must be an array of token ids, found {found}.{slip}")
    if value.ndim == 0:
        raise ArgumentError(f"{where}: {name} must have steps [..., T], found shape ()")
    return jnp.asarray(value)


def _check_axes(where: str, tokens: Array, targets: Array) -> None:
    if tokens.shape[:-1] != targets.shape[:-1]:
        raise ArgumentError(
            f"{where}: tokens has shape {tokens.shape} and targets {targets.shape}; expected [..., L] and [..., T] "
            "with the same leading axes. Beams? Score those of rank 0, tokens[:, 0]"
        )


def _real(where: str, name: str, lengths: Array | None, ids: jax.Array) -> jax.Array:
    if lengths is None:
        return jnp.ones(ids.shape, bool)
    if jnp.shape(lengths) != ids.shape[:-1]:
        raise ArgumentError(
            f"{where}: {name} has shape {jnp.shape(lengths)}, expected one for each sequence, {ids.shape[:-1]}"
        )
    return jax.lax.broadcasted_iota(jnp.int32, ids.shape, ids.ndim - 1) < jnp.asarray(lengths)[..., None]


def _number(where: str, value: Any) -> float:
    if np.ndim(value) != 0:
        raise ArgumentTypeError(f"{where}: nats must be one number, a mean over all that counts, found {value!r}")
    return real_number(f"{where}: nats", value)


def _texts(where: str, texts: object, references: object) -> tuple[list[str], list[list[str | None]]]:
    """The texts, and the references as sacrebleu has them: the first of each, the second of each, ..."""
    lists: dict[str, list[Any]] = {}
    for name, value in (("texts", texts), ("references", references)):
        if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or not hasattr(value, "__getitem__"):
            raise ArgumentTypeError(f"{where}: {name} must be a list of texts, found {type(value).__name__} {value!r}")
        lists[name] = [value[i] for i in range(len(value))]
    if len(lists["texts"]) != len(lists["references"]) or not lists["texts"]:
        raise ArgumentError(
            f"{where}: there are {len(lists['texts'])} texts and {len(lists['references'])} references; expected as "
            "many, at least one. Several references for a text? Write a list of lists, one list for each text"
        )
    several = [[reference] if isinstance(reference, str) else reference for reference in lists["references"]]
    for name, value in (("texts", lists["texts"]), *(("references", each) for each in several)):
        if isinstance(value, bytes) or not isinstance(value, (list, tuple)) or not value:
            raise ArgumentTypeError(f"{where}: {name} must be texts, or lists of them, found {value!r}")
        if wrong := [item for item in value if not isinstance(item, str)]:
            slip = " Token ids? Decode them first" if not isinstance(wrong[0], (bytes, list, tuple)) else ""
            raise ArgumentTypeError(f"{where}: {name} must be texts, found {wrong[0]!r}.{slip}")
    most = max(map(len, several))
    return lists["texts"], [[row[i] if i < len(row) else None for row in several] for i in range(most)]


def _score(metric: Any, lists: tuple[list[str], list[list[str | None]]]) -> TextScore:
    value = metric.corpus_score(*lists).score
    return TextScore(float(value), str(metric.get_signature()))


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DataError(f"the package {name} is not installed: pip install 'seqjax[metrics]'") from None
