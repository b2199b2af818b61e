"""An encoder and a decoder as one cell, which asks for a source.

Axes: `B` batch (any number of axes, also none), `S` steps of the source, `T` of the target, `D` features,
`V` vocabulary.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Bool, Carry, DTypeLike, Key, Pair, Params, PyTree, Shape
from seqjax._internal.validation import check_given, check_key, whole_number
from seqjax.attention.memory import Memory
from seqjax.core import taps
from seqjax.core.cell import Cell, Limit, check_cell_type, replace
from seqjax.core.held import held_parts, with_held, without_held
from seqjax.core.plan import Plan
from seqjax.core.start import init_params, start_carry
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.seq2seq.attend import Attend
from seqjax.seq2seq.checks import check_parts
from seqjax.seq2seq.context import check_place, fixed_context
from seqjax.seq2seq.encode import encode
from seqjax.seq2seq.rows import spread_like


class EncoderDecoder(Cell):
    """An encoder of a source, and a decoder of a target that reads what the encoder made of it, as one cell.

    It is the decoder, whose initial carry runs the encoder: `carry = model.initial_carry(params, (B,), source=source)`.
    So whatever runs cells runs it: `scan`, `trace`, `generate`, losses, `save_model`. Within it, an `attend` that was
    not told how wide the memory is takes the width that the encoder gives.

    Args:
        encoder: any cell over the source, as in `encode`; None for a decoder with an encoder of its own, as
            `as_cell(nn.EncoderDecoder, ...)`.
        decoder: a cell with a part that asks for a memory, such as `stack(Embed(V, 64), attend(GRU(64)), Dense(V))`.
        begin: the id that a target begins with.
        context: None, attention over all steps; or "ends", "last", "mean": one vector, `fixed_context`.
        source_features: D of the source; 0 for ids.

    Parameters: "encoder", where there is one, and "decoder".

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.seq2seq import EncoderDecoder, attend
        >>> encoder = sj.stack(sj.Embed(10, 4), sj.bidirectional(sj.GRU(4)))
        >>> decoder = sj.stack(sj.Embed(12, 4), attend(sj.GRU(8)), sj.Dense(12))
        >>> model = EncoderDecoder(encoder, decoder, begin=1)
        >>> params = model.init(jax.random.key(0), 0)
        >>> source, lengths = jnp.array([[3, 1, 4, 1], [5, 9, 0, 0]]), jnp.array([4, 2])
        >>> carry = model.initial_carry(params, (2,), source=(source, lengths))
        >>> sj.scan(model, params, jnp.array([[1, 7, 8], [1, 2, 0]]), carry)[1].shape
        (2, 3, 12)

    Raises:
        ArgumentError, ArgumentTypeError: something that is no cell, a decoder that reads no memory, `begin` that is no
            id, an unknown context.
    """

    encoder: Cell | None
    decoder: Cell
    _: dataclasses.KW_ONLY
    begin: int
    context: str | None = None
    source_features: int = 0

    def __post_init__(self) -> None:
        check_cell_type("EncoderDecoder", self.decoder)
        if self.encoder is not None:
            check_cell_type("EncoderDecoder", self.encoder)
        elif not hasattr(self.decoder, "encode"):
            raise ArgumentError(f"EncoderDecoder: {self.decoder!r} has no encoder of its own, and was given none")
        whole_number("EncoderDecoder: begin", self.begin)
        whole_number("EncoderDecoder: source_features", self.source_features)
        if self.context is not None:
            check_place(self.context)
        if "memory" not in self.decoder.asks:
            raise ArgumentError(
                f"EncoderDecoder: the decoder {self.decoder!r} reads no memory. Wrap a cell of it, as in "
                "stack(Embed(50, 16), attend(GRU(64)), Dense(50))"
            )
        if not self.decoder.causal:
            raise ArgumentError(f"EncoderDecoder: the decoder {self.decoder!r} reads both directions, and has no step")

        if self.decoder.feature_axes == 0:
            try:
                self.decoder.check_input(np.asarray([self.begin]), None, True)
            except ArgumentError as error:
                raise ArgumentError(f"EncoderDecoder: begin is {self.begin}, but {error}") from None

    @property
    def feature_axes(self) -> Any:
        return self.decoder.feature_axes

    @property
    def uniform(self) -> bool:
        return bool(self.decoder.uniform)

    @property
    def narrow(self) -> bool:
        return bool(self.decoder.narrow)

    @property
    def asks(self) -> frozenset[str]:
        """A source, a key where a part draws random numbers, and what else the decoder asks for."""
        return (self.decoder.asks - {"memory"}) | {"source"} | (self._reader.asks & {"key"})

    @property
    def _reader(self) -> Cell:
        """What encodes the source."""
        return self.decoder if self.encoder is None else self.encoder

    @property
    def out_features(self) -> int | None:
        return self.decoder.out_features

    def size(self, in_features: int) -> int:
        return self.decoder.size(in_features)

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """The parameters of both; `in_features` are those of the target, 0 for ids."""
        check_key(self, key)
        of_encoder, of_decoder = jax.random.split(key)
        if self.encoder is None:
            return {"decoder": init_params(self.decoder, of_decoder, in_features, dtype)}
        width = self.encoder.size(self.source_features) * (2 if self.context == "ends" else 1)

        def widen(cell: Cell) -> Cell:
            if isinstance(cell, Attend) and cell.memory_features is None:
                return dataclasses.replace(cell, memory_features=width)
            return cell

        return {
            "encoder": init_params(self.encoder, of_encoder, self.source_features, dtype),
            "decoder": init_params(replace(self.decoder, widen), of_decoder, in_features, dtype),
        }

    def initial_carry(self, params: Params, batch_shape: Shape = (), **given: PyTree) -> Carry:
        """The carry of the decoder, with the source encoded.

        Args:
            params, batch_shape: as ever.
            given: source, ids `[*B, S]` or vectors `[*B, S, D]`, or a pair of these and of lengths `[*B]` or a bool
                mask `[*B, S]`; key, where a part draws random numbers.

        Raises:
            ArgumentError, ArgumentTypeError: a source that is missing, or with other batch axes; as `encode`.
        """
        check_given(self, given)
        key = given.pop("key", None)
        keys = (None, None) if key is None else jax.random.split(key)
        memory = self.encode(params, given.pop("source", None), batch_shape, keys[0])
        carry = start_carry(self.decoder, params["decoder"], batch_shape, memory=memory, key=keys[1], **given)
        return with_held(spread_like(without_held(carry), memory.values, len(batch_shape)), held_parts(carry))

    def encode(
        self, params: Params, source: Any, batch_shape: Shape | None = None, key: Key[jax.Array, ""] | None = None
    ) -> Memory:
        """What the decoder reads of a source, as in `initial_carry`.

        Raises:
            ArgumentError, ArgumentTypeError: as `initial_carry`.
        """
        check_parts(self, params, "decoder", *([] if self.encoder is None else ["encoder"]))
        xs, marks = _split_source(self, source)
        lead = xs.shape[: len(xs.shape) - 1 - self._reader.feature_axes]
        if batch_shape is not None and lead != tuple(batch_shape):
            raise ArgumentError(
                f"EncoderDecoder: source has shape {xs.shape}, so the batch axes {lead}, expected {tuple(batch_shape)}"
            )
        masked = marks is not None and marks.dtype == bool
        options = {"mask": marks} if masked else {"lengths": marks}
        own = params["decoder" if self.encoder is None else "encoder"]
        memory = encode(self._reader, own, xs, key=key, **options)
        return memory if self.context is None else fixed_context(memory, self.context)

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        """A new target of the same source."""
        return self.decoder.restart(params["decoder"], carry, batch_shape)

    def check_input(self, xs: PyTree, mask: Bool[Array, "..."] | None, values: bool) -> None:
        self.decoder.check_input(xs, mask, values)

    def limits(self, carry: Carry | None) -> Iterator[Limit]:
        return self.decoder.limits(carry)

    def step(self, params: Params, carry: Carry, x: PyTree) -> Pair:
        """A step of the decoder."""
        with taps.scope("decoder"):
            return taps.tap_step(self.decoder, params["decoder"], carry, x)

    def sequence(self, params: Params, carry: Carry, xs: PyTree, plan: Plan = Plan()) -> Pair:
        """The target through the decoder."""
        with taps.scope("decoder"):
            return self.decoder.sequence(params["decoder"], carry, xs, plan)


def _split_source(cell: Cell, source: Any) -> tuple[Array, Array | None]:
    """The source itself, and its lengths or its mask."""
    if source is None:
        raise ArgumentError(
            f"{cell!r} reads a source: pass carry=cell.initial_carry(params, batch_shape, source=source)"
        )
    xs, marks = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    marks = np.asarray(marks) if isinstance(marks, list) else marks
    for array in (xs, marks):
        if array is not None and not hasattr(array, "dtype"):
            raise ArgumentTypeError(
                f"{type(cell).__name__}: source must be an array, or a pair of one and of lengths or a mask, found "
                f"{type(array).__name__}"
            )
    return xs, marks
