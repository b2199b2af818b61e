"""A cell that looks at a memory in every step: attention for any cell or stack of cells.

Axes: `B` batch (any number of axes, also none), `S` steps of the source, `D` features in, `F` out, `E` of the memory.
"""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from seqjax import attention
from seqjax._internal.trees import out_dtype
from seqjax._internal.types import Array, Carry, DTypeLike, Float, Key, Pair, Params, PyTree, Shape
from seqjax._internal.validation import check_given, check_init
from seqjax.attention.memory import Memory
from seqjax.core import taps
from seqjax.core.cell import Cell, Limit
from seqjax.core.gating import linear
from seqjax.core.held import Held
from seqjax.core.start import init_params, start_carry
from seqjax.core.wrapper import Wrapper
from seqjax.initializers import glorot
from seqjax.seq2seq.bridge import apply_bridge, init_bridge
from seqjax.seq2seq.carry import AttendCarry, Source
from seqjax.seq2seq.checks import check_memory, check_options, check_parts, check_width
from seqjax.seq2seq.context import find_ends
from seqjax.seq2seq.rows import spread_like
from seqjax.seq2seq.score import find_weights, first_past, init_score, next_past, project_keys


class Attend(Wrapper):
    """A cell that looks at a memory in every step; made by `attend`.

    Parameters: "cell" (those of the cell within), "score", "combine" {kernel `[E + F, F]`} and "bridge".
    Carry: `AttendCarry`.

        >>> import jax
        >>> import seqjax as sj
        >>> from seqjax.seq2seq import attend
        >>> cell = attend(sj.GRU(4), score="general", memory_features=6, start="zeros")
        >>> jax.tree.map(lambda p: p.shape, cell.init(jax.random.key(0), 3)["score"]), cell
        ({'kernel': (4, 6)}, attend(GRU(4), score='general', memory_features=6, start='zeros'))
    """

    score: str = "additive"
    feed: str = "before"
    _: dataclasses.KW_ONLY
    features: int | None = None
    memory_features: int | None = None
    start: str = "bridge"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self)

    def __repr__(self) -> str:
        return "attend" + super().__repr__().removeprefix(type(self).__name__)

    @property
    def asks(self) -> frozenset[str]:
        """A memory, and what the cell within asks for."""
        return frozenset(self.cell.asks) | {"memory"}

    @property
    def _asks_before(self) -> bool:
        """Whether the first step has a query before there is an output."""
        return self.feed == "before" and self.score != "mean"

    def size(self, in_features: int) -> int:
        """Those of the cell within, F."""
        known = self.out_features
        return self.cell.size(in_features + check_width(self)) if known is None else known

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """The parameters of the cell, of the score, of the output and of the bridge.

        Raises:
            ArgumentError: sizes that do not fit, such as those of a memory and of a query for score="dot".
        """
        check_init(self, key, in_features, dtype)
        width, features = check_width(self), self.size(in_features)
        inner, scoring, combining, bridging = jax.random.split(key, 4)
        own_inputs = in_features + (width if self.feed == "before" else features)
        params = {
            "cell": init_params(self.cell, inner, own_inputs, dtype),
            "score": init_score(self.score, scoring, features, width, self.features, dtype),
            "combine": {"kernel": glorot()(combining, (width + features, features), dtype)},
        }
        if self.start == "bridge":
            params["bridge"] = self._init_bridge(params, bridging, own_inputs, width, dtype)
        return params

    def _init_bridge(
        self, params: Params, key: Key[jax.Array, ""], own_inputs: int, width: int, dtype: DTypeLike
    ) -> Params:
        """Maps for the cell's state, and for the first query where that is no output of the cell."""
        memory = Memory(jnp.zeros((1, width), dtype))
        given = {"key": jax.random.key(0), "memory": memory, "in_features": own_inputs}
        state = jax.eval_shape(lambda: start_carry(self.cell, params["cell"], (), **given))
        own = {"fed": jax.ShapeDtypeStruct(params["combine"]["kernel"].shape[1:], dtype)}
        keys = jax.random.split(key)
        of_fed = init_bridge(keys[1], own, 2 * width, dtype) if self._asks_before else {}
        return {"state": init_bridge(keys[0], state, 2 * width, dtype), **of_fed}

    def initial_carry(self, params: Params, batch_shape: Shape = (), **given: PyTree) -> AttendCarry:
        """The state of the cell, and the memory with its keys projected once for all steps.

        Args:
            params, batch_shape: as ever.
            given: memory, a `Memory` or values `[*B, S, E]`; and what the cell within asks for.

        Raises:
            ArgumentError, ArgumentTypeError: a memory that is missing, or of other features or batch axes.
        """
        check_given(self, given)
        check_parts(self, params, "cell", "score", "combine")
        features = params["combine"]["kernel"].shape[1]
        width = params["combine"]["kernel"].shape[0] - features
        memory = check_memory(self, given.get("memory"), width, tuple(batch_shape))
        if (in_features := given.get("in_features")) is not None:
            given["in_features"] = in_features + (width if self.feed == "before" else features)
        keys = project_keys(self.score, params["score"], memory.values)
        ends = find_ends(memory.values, memory.mask) if self.start == "bridge" else None
        source = Source(memory.values, keys, memory.mask, memory.tokens, ends)
        state = start_carry(self.cell, params["cell"], batch_shape, **given)
        state = spread_like(state, memory.values, len(batch_shape))
        return self._begin(params, state, source, batch_shape)

    def restart(self, params: Params, carry: AttendCarry, batch_shape: Shape) -> AttendCarry:
        """A new target of the same source."""
        state = self.cell.restart(params["cell"], carry.state, batch_shape)
        return self._begin(params, state, carry.memory.value, batch_shape)

    def _begin(self, params: Params, state: Carry, source: Source, batch_shape: Shape) -> AttendCarry:
        dtype = jnp.promote_types(out_dtype(params, ()), jnp.float32)
        fed = jnp.zeros((*batch_shape, params["combine"]["kernel"].shape[1]), dtype)
        fed = spread_like(fed, source.values, len(batch_shape))
        if source.ends is not None:
            state = apply_bridge(params["bridge"]["state"], state, source.ends)
            if self._asks_before:
                fed = apply_bridge(params["bridge"], {"fed": fed}, source.ends)["fed"]
        return AttendCarry(state, fed, first_past(self.score, params["score"], source), Held(source))

    def limits(self, carry: AttendCarry | None) -> Iterator[Limit]:
        return self.cell.limits(None if carry is None else carry.state)

    def step(self, params: Params, carry: AttendCarry, x: Float[Array, "*B D"]) -> Pair:
        """One step: h~ = tanh(W_c [c; y])."""
        carry, (y, _) = self.step_and_weights(params, carry, x)
        return carry, y

    def step_and_weights(self, params: Params, carry: AttendCarry, x: Float[Array, "*B D"]) -> Pair:
        """`step`, whose output is the pair of h~ `[*B, F]` and the weights `[*B, S]`."""
        dtype, source = out_dtype(params, x), carry.memory.value
        if self.feed == "before":
            context, weights = self._attend(params, carry.fed, source, carry.weights)
            state, y = self._step_within(params, carry.state, x, context, dtype)
        else:
            state, y = self._step_within(params, carry.state, x, carry.fed, dtype)
            context, weights = self._attend(params, y, source, carry.weights)
        both = jnp.concatenate([context.astype(dtype), y.astype(dtype)], axis=-1)
        out = taps.tap_output(jnp.tanh(linear(params["combine"], both)).astype(dtype))
        past = next_past(self.score, carry.weights, weights)
        return AttendCarry(state, y if self.feed == "before" else out, past, carry.memory), (out, weights)

    def _attend(self, params: Params, query: Array, source: Source, past: PyTree) -> tuple[jax.Array, jax.Array]:
        weights = taps.tap("weights", find_weights(self.score, params["score"], query, source, past))
        return taps.tap("context", attention.context(weights, source.values)), weights

    def _step_within(self, params: Params, state: Carry, x: Array, other: Array, dtype: DTypeLike) -> Pair:
        both = jnp.concatenate([x.astype(dtype), other.astype(dtype)], axis=-1)
        with taps.scope("cell"):
            return taps.tap_step(self.cell, params["cell"], state, both)


def attend(
    cell: Cell,
    score: str = "additive",
    feed: str = "before",
    *,
    features: int | None = None,
    memory_features: int | None = None,
    start: str = "bridge",
) -> Attend:
    """The cell, any cell or stack of them, with attention to a memory in every step.

    With the context c_t = sum_s weights_s values_s and the weights from a query by a score,

        feed="before"   c_t from the query y_{t-1};   y_t = cell([x_t; c_t])         Bahdanau et al. 2015
        feed="after"    y_t = cell([x_t; h~_{t-1}]);  c_t from the query y_t         Luong et al. 2015, input feeding
        both            h~_t = tanh(W_c [c_t; y_t])   is the output, F features

    so that decoders stack as cells do, `stack(Embed(V, 64), attend(LSTM(64)), residual(attend(GRU(64))), Dense(V))`.
    They ask for a memory, which `encode` makes: `carry = model.initial_carry(params, batch_shape, memory=memory)`; or
    `EncoderDecoder` runs an encoder for it. The memory is `Held` in the carry, its keys projected once; gradients reach
    the encoder. A source without real steps gives a context of zeros.

    Args:
        cell: one that takes vectors and has a step; embed tokens before it.
        score: "additive" (Bahdanau et al. 2015), "dot", "general", "concat" (Luong et al. 2015), "location" (Chorowski
            et al. 2015: it sees the weights of the step before), "coverage" (See et al. 2017: it sees the sum of all
            weights so far), "monotonic" (Raffel et al. 2017: it goes on from where it was; for "additive" with one
            direction of travel), or "mean" (all real steps alike, no parameters: for a fixed context).
        feed: when it attends; see above.
        features: hidden features of the score; by default F.
        memory_features: E; by default F, or in an `EncoderDecoder` what the encoder gives.
        start: "bridge": every vector of the cell's state (and the first query, for feed="before") begins as
            tanh(W_i s + b_i), s being the values of the last real step of the source and of the first; "zeros": as
            without a source.

    In a trace: "weights" `[B, T, S]`, "context" `[B, T, E]`, and values within the cell under "cell/".

    Raises:
        ArgumentError, ArgumentTypeError: a cell that takes no vectors or has no step, an unknown score, feed or start.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.seq2seq import attend, encode
        >>> keys = jax.random.split(jax.random.key(0))
        >>> encoder, decoder = sj.bidirectional(sj.GRU(3)), sj.stack(sj.Embed(9, 4), attend(sj.LSTM(6)), sj.Dense(9))
        >>> params = {"encoder": encoder.init(keys[0], 5), "decoder": decoder.init(keys[1], 0)}
        >>> memory = encode(encoder, params["encoder"], jnp.ones((2, 7, 5)), lengths=[7, 4])
        >>> carry = decoder.initial_carry(params["decoder"], (2,), memory=memory)
        >>> _, logits, seen = sj.trace(decoder, params["decoder"], jnp.array([[0, 2, 4], [0, 1, 8]]), carry)
        >>> logits.shape, seen["1/weights"].shape, bool(jnp.all(seen["1/weights"][1, :, 4:] == 0))
        ((2, 3, 9), (2, 3, 7), True)
    """
    return Attend(cell, score, feed, features=features, memory_features=memory_features, start=start)
