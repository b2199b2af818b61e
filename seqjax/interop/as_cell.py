"""A Flax module as a cell: the call that makes the module is the cell."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax.errors import FlaxError

from seqjax._internal.trees import cast_floats
from seqjax._internal.types import Array, Bool, Carry, DTypeLike, Key, Pair, Params, PyTree, Shape
from seqjax._internal.validation import check_batch_shape, check_causal, check_dtype, check_ids, check_key
from seqjax.attention.memory import Memory
from seqjax.core.cell import Cell, Limit
from seqjax.core.plan import Plan
from seqjax.errors import ArgumentError, SeqjaxError
from seqjax.interop.call import IN_FEATURES, Evaluation, check_make, check_value, spell
from seqjax.interop.choice import choose_kind, is_linen
from seqjax.interop.kinds import Kind
from seqjax.interop.protocol import ProtocolKind

_REFUSALS = (TypeError, ValueError, AssertionError, ZeroDivisionError, FlaxError)
"""What modules raise that cannot be made, or not take an input."""


_WIDTH = 2**6 * 3**2 * 5 * 7
"""Taken for IN_FEATURES where a module is made to be looked at: heads divide it, and no array is made."""


class ModuleCell(Cell):
    """A Flax module as a cell; made by `as_cell`.

    make: the class or function that makes the module. args, options: what it is called with.
    """

    make: Callable[..., Any]
    args: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()

    narrow = True

    def __post_init__(self) -> None:
        check_make(self.make)
        for value in (*self.args, *dict(self.options).values()):
            check_value(value)
        if "rngs" in dict(self.options):
            raise ArgumentError(f"{self!r}: rngs come from the key of cell.init(key, in_features); leave them out")

    def __repr__(self) -> str:
        words = [spell(self.make), *map(spell, self.args), *(f"{name}={spell(v)}" for name, v in self.options)]
        return f"as_cell({', '.join(words)})"

    @property
    def feature_axes(self) -> int:
        return self._kind().feature_axes

    @property
    def causal(self) -> bool:
        return self._kind().causal

    @property
    def uniform(self) -> bool:
        return self._kind().uniform

    @property
    def asks(self) -> frozenset[str]:
        return self._kind().asks

    @property
    def out_features(self) -> int | None:
        """As the module tells; None where it depends on what comes in, or the module does not tell."""
        return None if self._takes_width else self._kind().out_features

    def size(self, in_features: int) -> int:
        known = self._kind(in_features).out_features
        found = _try_step(self, in_features) if known is None else known
        assert found is not None  # what cannot be tried tells its size itself
        return found

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """The parameters of the module, made with `rngs=nnx.Rngs(key)`, as nested dicts.

        Raises:
            ArgumentError: the module does not take inputs of `in_features`.
        """
        check_key(self, key)
        check_dtype(self, dtype)
        _try_step(self, in_features)
        return cast_floats(self._kind(in_features).init(key), dtype)

    def initial_carry(self, params: Params, batch_shape: Shape = (), **given: PyTree) -> Carry:
        """The caches of the module, keys to draw from, or `()`.

        Raises:
            ArgumentError: it asks for something that is not given.
        """
        check_batch_shape(self, batch_shape)
        kind = self._kind_of(params)
        for name in sorted(kind.asks):
            if given.get(name) is None:
                raise ArgumentError(f"{self!r}: initial_carry(params, batch_shape, {name}=...) is missing {name}")
        if "key" in kind.asks:
            check_key(self, given["key"])
        return kind.begin(params, tuple(batch_shape), **given)

    def encode(
        self,
        params: Params,
        xs: Array,
        mask: Bool[Array, "..."] | None = None,
        *,
        key: Key[jax.Array, ""] | None = None,
    ) -> Memory:
        """What a module with an encoder of its own, such as `nn.EncoderDecoder`, makes of a source.

        Raises:
            ArgumentError: the module has none; it drops, and there is no key.
        """
        kind = self._kind_of(params)
        if not isinstance(kind, ProtocolKind) or not hasattr(kind.functions.module, "encode"):
            raise ArgumentError(f"{self!r} has no encoder, as its module has no method encode(x, mask, key=)")
        if "key" in kind.asks:
            if key is None:
                raise ArgumentError(f"{self!r} draws random numbers: pass key, or encode with cell.evaluation()")
            check_key(self, key)
        return kind.encode(params, jnp.asarray(xs), mask, key)

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        """Caches begin anew, keys go on."""
        return self._kind_of(params).restart(params, carry, batch_shape)

    def check_input(self, xs: PyTree, mask: Bool[Array, "..."] | None, values: bool) -> None:
        """Vectors, or token ids of an integer dtype, below the vocabulary that the module tells.

        Raises:
            ArgumentError, ArgumentTypeError: they are not.
        """
        if self.feature_axes == 0:
            check_ids(self, xs, mask, values, self._kind().vocabulary)
        super().check_input(xs, mask, values)

    def limits(self, carry: Carry | None) -> Iterator[Limit]:
        """The caches of the module."""
        return ((self, capacity, count) for capacity, count in self._kind().limits(carry))

    def step(self, params: Params, carry: Carry, x: PyTree) -> Pair:
        """One step."""
        check_causal(self)
        return self._kind_of(params).step(params, carry, x)

    def sequence(self, params: Params, carry: Carry, xs: PyTree, plan: Plan = Plan()) -> Pair:
        """All steps, at once where the module can."""
        return self._kind_of(params).sequence(self, params, carry, xs, plan)

    def evaluation(self) -> "ModuleCell":
        """The same call of `Evaluation(make)`; itself where there is nothing random."""
        if isinstance(self.make, Evaluation) or "key" not in self.asks:
            return self
        return dataclasses.replace(self, make=Evaluation(self.make))

    @functools.cached_property
    def _takes_width(self) -> bool:
        return any(value is IN_FEATURES for value in (*self.args, *dict(self.options).values()))

    def _kind(self, in_features: int | None = None) -> Kind:
        if not self._takes_width and not is_linen(self.make):
            in_features = None  # a module of NNX is then the same for all
        return _find_kind(self, in_features, jnp.result_type(float))

    def _kind_of(self, params: Params) -> Kind:
        """The kind for the number of features that parameters were made for."""
        if not self._takes_width and not is_linen(self.make):
            return self._kind()
        return self._kind(_find_width(self, _shapes(params)))


@functools.lru_cache(maxsize=256)
def _find_kind(cell: ModuleCell, in_features: int | None, floats: DTypeLike) -> Kind:
    """floats: the default dtype; some arrays that a module makes have it."""
    width = _WIDTH if in_features is None else in_features
    known = lambda value: width if value is IN_FEATURES else value
    args, options = map(known, cell.args), {name: known(value) for name, value in cell.options}
    try:
        return choose_kind(functools.partial(cell.make, *args, **options), cell.make, width)
    except _REFUSALS as error:
        if isinstance(error, SeqjaxError):
            raise
        raise ArgumentError(f"{cell!r} cannot be made: {error}") from error


Shapes = tuple[tuple[str, Shape], ...]


def _shapes(params: Params) -> Shapes:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return tuple((jax.tree_util.keystr(path), leaf.shape) for path, leaf in leaves)


@functools.lru_cache(maxsize=256)
def _find_width(cell: ModuleCell, shapes: Shapes) -> int | None:
    """The number of features that parameters of these shapes were made for: one of the sizes that they have.

    Raises:
        ArgumentError: for none of them are there such parameters.
    """
    if not shapes:
        return None
    for width in sorted({0, *(size for _, shape in shapes for size in shape)}):
        try:
            params = jax.eval_shape(cell._kind(width).init, jax.random.key(0))
        except _REFUSALS:
            continue
        if _shapes(params) == shapes:
            return width
    raise ArgumentError(f"{cell!r}: params are of no number of features. Parameters of another cell?")


@functools.lru_cache(maxsize=256)
def _try_step(cell: ModuleCell, in_features: int) -> int | None:
    """The size of the output for inputs of so many features; None where it cannot be tried without a memory.

    Raises:
        ArgumentError: the module does not take them.
    """
    kind = cell._kind(in_features)
    if kind.asks - {"key"}:
        return None

    def run(key: Key[jax.Array, ""]) -> jax.Array:
        params = kind.init(key)
        x = jnp.zeros((in_features,)) if kind.feature_axes else jnp.zeros((), int)
        return kind.step(params, kind.begin(params, (), key=key), x)[1]

    try:
        found = jax.eval_shape(run, jax.random.key(0)).shape[-1]
        kind.check(in_features)
        return found
    except _REFUSALS as error:
        if isinstance(error, SeqjaxError):
            raise
        said = str(error).strip().partition("\n")[0]
        raise ArgumentError(f"{cell!r} does not take inputs of {in_features} features: {said}") from error


def as_cell(make: Callable[..., Any], *args: Any, **options: Any) -> ModuleCell:
    """The Flax module that `make(*args, **options, rngs=...)` makes, as a cell.

    A cell is a value, and modules are not: so the call stands for the module. It compares, hashes, pickles and prints;
    a function of one's own as `make` must be defined at the top of a module to be pickled, which a lambda is not.

    What the cell is follows from the module:

    * A module of `seqjax.nn`, or another of that protocol (`seqjax.interop.protocol`): all steps at once, its caches
      as carry, with `DropoutCarry` beside them where it drops. One that is not causal has no step.
    * A cell of Flax's `RNN` (`initialize_carry`), of NNX or Linen: step by step.
    * A module with parameters alone (`nnx.Linear`, a perceptron): y = module(x), all steps at once. It must treat each
      vector by itself, in any leading axes; `init` tries that once.
    * A module with variables besides (`nnx.MultiHeadAttention` with a cache, `nnx.Dropout`, collections of Linen): its
      carry, one set for each example. It is called on one step of one example, `[1, D]`. An attention module must
      have been given its cache by `make`, for as many steps as there can be: outputs of later ones are NaN. Variables
      that are drawn come from the key of `init` and are in its parameters, where they have no gradient.

    A module of Linen is initialised on an input of `module.capacity` steps where it has that field, else of one. Token
    ids are what a module takes that has `feature_axes = 0`, and `Embed`.

    Args:
        make: a class of modules, or a function that returns one. It is given `rngs` if it takes that argument.
        args, options: plain values; `IN_FEATURES` stands for the number of features that come in.

    Raises:
        ArgumentError, ArgumentTypeError: a module in place of the call that makes it; `rngs`; arguments that do not
            hash; at `init`, a module that cannot be made or does not take the input, one in which a row or step acts on
            another (BatchNorm, GroupNorm over time), one that reads whole sequences (`nnx.RNN`, `Recurrent`).

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from flax import nnx
        >>> from seqjax.interop import IN_FEATURES, as_cell
        >>> cell = sj.stack(sj.LSTM(8), as_cell(nnx.Linear, IN_FEATURES, 4), as_cell(nnx.GRUCell, 4, 3))
        >>> cell
        stack(LSTM(8), as_cell(nnx.Linear, IN_FEATURES, 4), as_cell(nnx.GRUCell, 4, 3))
        >>> params = cell.init(jax.random.key(0), 2)
        >>> params["1"]["kernel"].shape
        (8, 4)
        >>> sj.scan(cell, params, jnp.ones((5, 7, 2)))[1].shape
        (5, 7, 3)
    """
    return ModuleCell(make, args, tuple(sorted(options.items())))
