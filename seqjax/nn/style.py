"""How the blocks of a family of transformers are built."""

import dataclasses
from dataclasses import dataclass

from seqjax._internal.validation import real_number, true_or_false, whole_number
from seqjax.errors import ArgumentError, ArgumentTypeError, closest

NORMS = ("layer", "rms")
ORDERS = ("pre", "post")
PLAIN = ("gelu", "gelu_tanh", "relu", "silu")
GATED = ("swiglu", "geglu", "geglu_tanh")


def check_choice(owner: str, name: str, value: object, known: tuple[str, ...]) -> None:
    """Refuse what is none of the known names."""
    if value not in known:
        hint = closest(value, known) if isinstance(value, str) else f" Known: {', '.join(known)}."
        raise ArgumentError(f"{owner}: {name} is unknown, found {value!r}.{hint}")


@dataclass(frozen=True, repr=False)
class Style:
    """What the members of a family of transformers have in common, as a value.

    A part f of a block (attention, the feed forward part) is put around x with

        pre:   x + f(norm(x))         (Xiong et al. 2020; GPT-2, T5, LLaMA)
        post:  norm(x + f(x))         (Vaswani et al. 2017; BERT)

    Args:
        norm: "layer" (Ba, Kiros, Hinton 2016) or "rms" (Zhang and Sennrich 2019, without a bias).
        order: "pre" or "post".
        activation: of the feed forward part: "gelu", "gelu_tanh" (its approximation), "relu", "silu", or gated
            (Shazeer 2020) "swiglu", "geglu", "geglu_tanh".
        bias: whether linear maps and layer norms have one.
        epsilon: of the norms.
        hidden: width of the feed forward part; None for four times the features.
        kv_heads: heads of keys and values, which divide the query heads (Ainslie et al. 2023); None for as many.
        head_features: width of a head; None for features / heads.
        scale: of the scores; None for head_features ** -0.5. Queries begin so that scores have the spread of None.
        tied: whether logits are products with the table of the tokens (Press and Wolf 2017), not a map of their own.
        scaled_logits: whether tied logits are multiplied by features ** -0.5, as in T5.
        embedding_norm: whether there is a norm after the embedding, as in BERT.
        final_norm: whether there is a norm after the last block; None for order "pre" alone.
        token_types: number of types of tokens (BERT's segments A and B), 0 for none.
        buckets, max_distance: of relative positions (Raffel et al. 2020).
        base: of rotary positions (Su et al. 2021).
        window: None, or n where in all layers a token sees those less than n away alone (Beltagy et al. 2020), and
            caches hold n tokens; `MultiHeadAttention` and `TransformerBlock` have an argument of their own.

    `GPT2`, `BERT`, `T5`, `T5_GATED` (version 1.1) and `LLAMA` are ready values; change one with
    `dataclasses.replace`:

        >>> import dataclasses
        >>> from seqjax.nn import GPT2
        >>> dataclasses.replace(GPT2, hidden=128)
        Style(activation='gelu_tanh', hidden=128)

    Raises:
        ArgumentError, ArgumentTypeError: an unknown name, or a number out of range.
    """

    norm: str = "layer"
    order: str = "pre"
    activation: str = "gelu"
    bias: bool = True
    epsilon: float = 1e-5
    hidden: int | None = None
    kv_heads: int | None = None
    head_features: int | None = None
    scale: float | None = None
    tied: bool = True
    scaled_logits: bool = False
    embedding_norm: bool = False
    final_norm: bool | None = None
    token_types: int = 0
    buckets: int = 32
    max_distance: int = 128
    base: float = 10_000.0
    window: int | None = None

    def __post_init__(self) -> None:
        check_choice("Style", "norm", self.norm, NORMS)
        check_choice("Style", "order", self.order, ORDERS)
        check_choice("Style", "activation", self.activation, (*PLAIN, *GATED))
        for name in ("bias", "tied", "scaled_logits", "embedding_norm"):
            true_or_false(f"Style: {name}", getattr(self, name))
        if self.final_norm is not None:
            true_or_false("Style: final_norm", self.final_norm)
        for name in ("hidden", "kv_heads", "head_features", "buckets", "max_distance", "window"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole_number(f"Style: {name}", getattr(self, name), 1))
        whole_number("Style: token_types", self.token_types)
        for name in ("epsilon", "scale", "base"):
            value = getattr(self, name)
            if value is not None and not 0 < real_number(f"Style: {name}", value) < float("inf"):
                raise ArgumentError(f"Style: {name} must be above 0 and finite, found {value!r}")

    def __repr__(self) -> str:
        """What differs from the defaults."""
        changed = [f for f in dataclasses.fields(self) if getattr(self, f.name) != f.default]
        return f"Style({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in changed)})"

    @property
    def ends_with_norm(self) -> bool:
        """Whether there is a norm after the last block."""
        return self.order == "pre" if self.final_norm is None else self.final_norm


def check_style(owner: str, style: object) -> None:
    """Refuse what is no `Style`."""
    if not isinstance(style, Style):
        raise ArgumentTypeError(
            f"{owner}: style must be a Style, found {style!r}. Write style=GPT2, or Style(norm='rms')"
        )


GPT2 = Style(activation="gelu_tanh")
BERT = Style(order="post", epsilon=1e-12, embedding_norm=True, token_types=2)
T5 = Style(norm="rms", activation="relu", bias=False, epsilon=1e-6, scale=1.0, scaled_logits=True)
T5_GATED = Style(norm="rms", activation="geglu_tanh", bias=False, epsilon=1e-6, scale=1.0, tied=False)
LLAMA = Style(norm="rms", activation="swiglu", bias=False, epsilon=1e-6, tied=False)
