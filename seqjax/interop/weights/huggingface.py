"""Models of Hugging Face's transformers, to and from folders."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from seqjax.errors import ArgumentError, ArgumentTypeError, closest
from seqjax.interop.weights import bert, gpt2, t5
from seqjax.interop.weights.config import Config
from seqjax.interop.weights.folder import CONFIG, read_folder, write_folder
from seqjax.interop.weights.pairs import Pair, parameters, read, shapes_of, with_parameters, write
from seqjax.nn import EncoderDecoder, MaskedLanguageModel, TransformerDecoder, TransformerEncoder


class Family(NamedTuple):
    """What differs between families of models."""

    modules: tuple[type[nnx.Module], ...]
    tidy: Callable[[Config, Mapping[str, np.ndarray]], dict[str, np.ndarray]]
    build: Callable[[Config, set[str], float], nnx.Module]
    pairs: Callable[[Any], list[Pair]]
    config_of: Callable[[Any], dict[str, object]]
    trunk: Callable[[Any], Any]


FAMILIES = {
    "gpt2": Family((TransformerDecoder,), gpt2.tidy, gpt2.build, gpt2.pairs, gpt2.config_of, lambda m: m.trunk),
    "bert": Family(
        (MaskedLanguageModel, TransformerEncoder), bert.tidy, bert.build, bert.pairs, bert.config_of,
        lambda m: bert.encoder_of(m).trunk,
    ),
    "t5": Family((EncoderDecoder,), t5.tidy, t5.build, t5.pairs, t5.config_of, lambda m: m.encoder),
}  # fmt: skip


def from_huggingface(
    folder: str | os.PathLike[str], *, sha256: str | Mapping[str, str] | None = None, dropout: float = 0.0
) -> Any:
    """The model in a folder that `save_pretrained` of transformers wrote, or `to_huggingface`.

    | `model_type` | transformers | here |
    |---|---|---|
    | gpt2 | `GPT2LMHeadModel` | `TransformerDecoder` |
    | bert | `BertForMaskedLM`, `BertForPreTraining` without its second head | `MaskedLanguageModel` |
    | bert | `BertModel`, without the pooler | `TransformerEncoder` |
    | t5 | `T5ForConditionalGeneration`, versions 1.0 and 1.1 | `EncoderDecoder` |

    The folder holds `config.json` and `model.safetensors`, or several such files and `model.safetensors.index.json`.
    Pickles (`pytorch_model.bin`) are never opened. Nothing is fetched. Parameters keep the dtype of the file. Rates of
    dropout in the configuration are for training and are not taken. Where transformers is loaded with the same folder,
    logits are equal; mind that it does not derive positions from a mask: pass `position_ids` there with padding on
    the left.

    Args:
        folder: its path.
        sha256: digest that `model.safetensors` must have, or a dict from names of files to digests. A file
            `SHA256SUMS` in the folder, as `to_huggingface` writes it, is held against the files as well.
        dropout: rate of the module, for training it further.

    Raises:
        DataError: a file is missing, damaged, has another digest, or would lie outside the folder.
        ArgumentError: another kind of model, an option that the modules here do not have, or tensors that are missing,
            unexpected or misshapen.

        >>> from flax import nnx
        >>> from seqjax.interop import from_huggingface, to_huggingface
        >>> from seqjax.nn import TransformerDecoder
        >>> import tempfile, pathlib
        >>> folder = pathlib.Path(tempfile.mkdtemp()) / "model"
        >>> to_huggingface(TransformerDecoder(11, 8, 2, 2, capacity=16, rngs=nnx.Rngs(0)), folder)
        >>> sorted(path.name for path in folder.iterdir())
        ['SHA256SUMS', 'config.json', 'model.safetensors']
        >>> from_huggingface(folder).vocabulary
        11
    """
    folder = _path(folder)
    values, tensors = read_folder(folder, sha256)
    config = Config(values, str(folder / CONFIG))
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ArgumentError(f"{config.source}: model_type {kind!r} is not supported.{closest(str(kind), FAMILIES)}")
    family = FAMILIES[kind]
    tensors = family.tidy(config, tensors)
    module = nnx.eval_shape(lambda: family.build(config, set(tensors), dropout))
    return with_parameters(module, read(str(folder), family.pairs(module), shapes_of(module), tensors))


def to_huggingface(module: Any, folder: str | os.PathLike[str], *, config: Mapping[str, object] | None = None) -> None:
    """Write a folder that `from_pretrained` of transformers loads: it is complete, or not there.

    `SHA256SUMS` beside the files is for `sha256sum -c` and for `from_huggingface`. Copy a tokenizer into the folder
    yourself.

    Args:
        module: of `seqjax.nn`, built as the architecture is: a `TransformerDecoder` (becomes GPT-2), a
            `MaskedLanguageModel` or `TransformerEncoder` (BERT), or an `EncoderDecoder` (T5).
        folder: a path at which there is nothing yet, or an empty folder.
        config: more for `config.json` that the module does not know: `{"eos_token_id": 2}`.

    Raises:
        ArgumentTypeError: another module; `config` is no dict that JSON can hold.
        ArgumentError: it has what this architecture has not, such as rotary positions; `config` contradicts it.
        DataError: something is there already, or the disk is full.

        >>> import tempfile, pathlib
        >>> from flax import nnx
        >>> from seqjax.interop import to_huggingface
        >>> from seqjax.nn import MaskedLanguageModel
        >>> folder = pathlib.Path(tempfile.mkdtemp()) / "model"
        >>> to_huggingface(MaskedLanguageModel(11, 8, 2, 2, rngs=nnx.Rngs(0)), folder, config={"pad_token_id": 0})
        >>> '"model_type": "bert"' in (folder / "config.json").read_text()
        True
    """
    kind = next((kind for kind, family in FAMILIES.items() if isinstance(module, family.modules)), None)
    if kind is None:
        names = ", ".join(each.__name__ for family in FAMILIES.values() for each in family.modules)
        raise ArgumentTypeError(f"module must be one of {names}, found {type(module).__name__}")
    values = FAMILIES[kind].config_of(module)
    _check_same(kind, module, values)
    tensors = write(FAMILIES[kind].pairs(module), parameters(module))
    dtypes = sorted({array.dtype.name for array in tensors.values()})
    if len(dtypes) > 1:
        raise ArgumentError(f"parameters must have one dtype, found {', '.join(dtypes)}")
    values["dtype"] = dtypes[0]
    write_folder(_path(folder), _join(values, config), tensors)


def _path(folder: object) -> Path:
    if not isinstance(folder, str | os.PathLike):
        raise ArgumentTypeError(f"folder must be a path, found {folder!r}")
    return Path(os.path.abspath(folder))  # so that "." has a name


def _join(values: dict[str, object], more: Mapping[str, object] | None) -> dict[str, object]:
    if more is None:
        return values
    if not isinstance(more, Mapping):
        raise ArgumentTypeError(f"config must be a dict of entries for config.json, found {more!r}")
    for name, value in more.items():
        if name in values and values[name] not in (None, value) and not name.endswith("_token_id"):
            raise ArgumentError(f"config has {name} {value!r}, but the module {values[name]!r}")
    try:
        json.dumps(dict(more))
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"config cannot be written as JSON: {error}") from None
    return values | dict(more)


def _check_same(kind: str, module: Any, values: dict[str, object]) -> None:
    """Refuse a module that its own configuration would not build."""
    family = FAMILIES[kind]
    names = {pair.theirs for pair in family.pairs(module)}
    built = nnx.eval_shape(lambda: family.build(Config(values, f"to_huggingface, as {kind}"), names, 0.0))
    wanted, found = (_options(family.trunk(each)) for each in (built, module))
    for name, value in wanted.items():
        if found.get(name, value) != value:
            raise ArgumentError(f"{kind} has {name}={value!r}, found {found[name]!r}: it cannot be written as {kind}")


def _options(trunk: Any) -> dict[str, object]:
    """What the blocks are like: the options of the style, with their defaults resolved."""
    style, attention = trunk.style, trunk.layers.attention
    options = dataclasses.asdict(style) | {
        "positions": trunk.positions,
        "hidden": style.hidden or 4 * trunk.layers.features,
        "kv_heads": attention.kv_heads,
        "head_features": attention.head_features,
        "scale": style.scale or attention.head_features**-0.5,
        "final_norm": style.ends_with_norm,
        "scaled_logits": style.scaled_logits and style.tied,
    }
    unused = {"base"} | (set() if trunk.positions == "relative" else {"buckets", "max_distance"})
    return {name: value for name, value in options.items() if name not in unused}
