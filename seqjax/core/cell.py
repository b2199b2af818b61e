"""What a cell is, and the one law that it obeys.

Legend of axes for the whole project: `B` batch (any number of axes, also none), `T` time, `D` features in,
`F` features out, `G` gates, `N` heads, `H` head width, `S` source length, `V` vocabulary.

The law: `cell.sequence` equals the fold of `cell.step`, also when the sequence is cut into chunks, and under
`jit`, `vmap` (over data and over parameters), `grad`, `jvp`, `hessian`, `remat` and `shard_map`.
`seqjax.testing.check_cell` checks it.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, dataclass_transform

import jax
import jax.numpy as jnp

from seqjax._internal.spelling import Spelled, map_options
from seqjax._internal.trees import out_dtype
from seqjax._internal.types import Array, Bool, Carry, DTypeLike, Key, Pair, Params, PyTree, Shape
from seqjax._internal.validation import check_batch_shape
from seqjax.core.affine import step_affine
from seqjax.core.display import cell_html
from seqjax.core.engines import run_cell
from seqjax.core.plan import Plan
from seqjax.errors import ArgumentTypeError

Limit = tuple["Cell", int, Any]


@dataclass_transform(frozen_default=True)
class Cell(Spelled):
    """A sequence model: a frozen value without arrays, which is its own configuration.

    A subclass becomes a frozen dataclass by itself; its annotated names are its options. It gives `init`,
    `initial_carry`, `step` and `out_features`; `sequence` follows from `step` and is overridden only for speed.
    Equal cells are equal, hash equal, share one trace, pickle, and print as the call that makes them; Jupyter shows
    what is within, with its paths.

    Dtypes: an output has the promoted dtype of parameters and input, `x.astype(params[...].dtype)` and back where
    the arithmetic is wider. A carry begins in float32 or wider, and goes on in the dtype that it came in; drivers
    cast it, a step need not. bfloat16 parameters and inputs thus meet float32 states.

    A cell of one's own, an average with a learned weight for each feature:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> class Average(sj.Cell):
        ...     features: int
        ...     start: float = 2.0
        ...     out_features = property(lambda self: self.features)
        ...     def init(self, key, in_features, dtype=jnp.float32):
        ...         return {"keep": jnp.full(self.features, self.start, dtype)}
        ...     def initial_carry(self, params, batch_shape=()):
        ...         return jnp.zeros((*batch_shape, self.features), jnp.promote_types(params["keep"].dtype, "float32"))
        ...     def step(self, params, carry, x):
        ...         keep = jnp.broadcast_to(jax.nn.sigmoid(params["keep"]), carry.shape)
        ...         mean = keep * carry + (1 - keep) * x
        ...         return mean, mean.astype(jnp.result_type(params["keep"], x))
        >>> cell = Average(1, start=0.0)
        >>> cell == Average(1, start=0.0), cell
        (True, Average(1, start=0.0))
        >>> params = cell.init(jax.random.key(0), 1)
        >>> sj.scan(cell, params, jnp.array([[8.0], [0.0], [4.0]]))[1].ravel().tolist()
        [4.0, 2.0, 3.0]
    """

    feature_axes: ClassVar[Any] = 1
    """How many axes of one input x are features: 1 for vectors, 0 for token ids, a tree for tree inputs."""

    causal: ClassVar[Any] = True
    """Whether the output at a step depends on the past alone, so that `step` exists."""

    separable: ClassVar[Any] = False
    """Whether the step is composed of `project`, `mix` and `update` (see `Recurrent`)."""

    uniform: ClassVar[Any] = False
    """Whether `step` treats all leading axes alike, so that it may be called with time as one more of them.

    The backward pass of a cell with a step alone then takes its weights' gradients as flat products, which is faster
    (see `seqjax.core.gradient`). It is wrong for a step that names an axis by its number (`axis=1`), which
    `check_cell` finds.
    """

    diagonal: ClassVar[Any] = False
    """Whether the recurrence is linear in the carry, and acts on each entry alone: where `affine` is defined."""

    asks: ClassVar[Any] = frozenset()
    """What `initial_carry` needs besides the parameters, by name: "key", "memory", "in_features", ..."""

    narrow: ClassVar[Any] = False
    """Whether the carry may hold floats narrower than float32 on purpose, as a cache in bfloat16 does."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Whoever overrides `step` or `update` alone means it: what its bases derive from another one is taken back.
        if _depth(cls, "step") < _depth(cls, "sequence"):
            cls.sequence = Cell.sequence  # type: ignore[method-assign]
        for method, derived in (("step", "separable"), ("step", "uniform"), ("update", "sums")):
            if hasattr(cls, derived) and _depth(cls, method) < _depth(cls, derived):
                setattr(cls, derived, False)
        if "affine" in vars(cls):
            cls.diagonal = cls.uniform = True
        elif _depth(cls, "step") < _depth(cls, "affine"):
            cls.diagonal = False

    @property
    def out_features(self) -> int | None:
        """Features of one output, `F`; None where that depends on what comes in, which `size` tells."""
        raise TypeError(f"{type(self).__name__} must define out_features")

    def size(self, in_features: int) -> int:
        """Features of one output for inputs of `in_features`: `out_features`, or else as many as come in."""
        return in_features if self.out_features is None else self.out_features

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw parameters for inputs of `in_features` features: a nested dict of arrays of `dtype`."""
        raise TypeError(f"{type(self).__name__} must define init(key, in_features)")

    def initial_carry(self, params: Params, batch_shape: Shape = ()) -> Carry:
        """The carry before the first step; every leaf has the axes `batch_shape` first.

        Zeros, one for each output feature, where a cell that defines `affine` does not say otherwise.
        A cell with `asks` takes what it asks for as keyword arguments: `initial_carry(params, (32,), key=key)`.
        """
        if type(self).affine is Cell.affine or self.out_features is None:
            raise TypeError(f"{type(self).__name__} must define initial_carry(params, batch_shape)")
        check_batch_shape(self, batch_shape)
        return jnp.zeros((*batch_shape, self.out_features), jnp.promote_types(out_dtype(params, ()), jnp.float32))

    def step(self, params: Params, carry: Carry, x: PyTree) -> Pair:
        """One time step, x `[B, D]`: the next carry and the output `[B, F]`."""
        if type(self).affine is Cell.affine:
            raise TypeError(f"{type(self).__name__} must define step(params, carry, x)")
        return step_affine(self, params, carry, x)

    def affine(self, params: Params, x: PyTree) -> tuple[Carry, Carry]:
        """a and b of a recurrence that is linear in the carry, h' = a h + b for each of its entries.

        For any leading axes of x; a and b are trees like the carry, real or complex. A cell that defines this and
        `read` needs no `step`, and runs over all steps at once (see `engine` of `seqjax.scan`).
        """
        raise TypeError(f"{type(self).__name__} must define affine(params, x)")

    def read(self, params: Params, h: Carry, x: PyTree) -> PyTree:
        """The output from the carry h after a step of a cell that defines `affine`; h itself unless overridden."""
        return h

    def sequence(self, params: Params, carry: Carry, xs: PyTree, plan: Plan = Plan()) -> Pair:
        """All steps, xs `[T, B, D]` (time first, as in `lax.scan`): the last carry and ys `[T, B, F]`.

        `seqjax.scan` is the batch-major driver with masks and checks; `plan` is how it tells a cell of them. A cell
        that computes all steps at once writes it with `seqjax.parallel`.
        """
        return run_cell(self, params, carry, xs, plan)

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        """The carry with which a new sequence begins after a reset; `Held` parts stay what they are."""
        if self.asks:
            raise TypeError(
                f"{type(self).__name__} asks for {', '.join(sorted(self.asks))}, which a reset does not know, so it "
                "must define restart(params, carry, batch_shape)"
            )
        return self.initial_carry(params, batch_shape)

    def check_input(self, xs: PyTree, mask: Bool[Array, "..."] | None, values: bool) -> None:
        """Refuse inputs that cannot be meant for this cell; `mask` and values only where they are known.

        Raises:
            ArgumentTypeError: whole numbers where floating point is expected.
        """
        for x, rank in zip(jax.tree.leaves(xs), jax.tree.leaves(jax.tree.broadcast(self.feature_axes, xs))):
            if rank and not jnp.issubdtype(x.dtype, jnp.floating):
                raise ArgumentTypeError(
                    f"{self!r}: xs must be floating point, found {x.dtype} {tuple(x.shape)}. "
                    "Token ids? Put Embed(vocabulary, features) first, as in stack(Embed(256, 64), LSTM(64))"
                )

    def limits(self, carry: Carry | None) -> Iterator[Limit]:
        """Each cache that can overflow, `(cell, capacity, count)`: it holds that many tokens, and so many are there.

        carry: None for a fresh one. `scan` refuses more tokens than there is room for, where it knows the numbers.
        """
        return iter(())

    def evaluation(self) -> "Cell":
        """The cell to evaluate with: the same parameters, every random part switched off."""
        return map_options(self, Cell, lambda part: part.evaluation())

    def _repr_html_(self) -> str:
        return cell_html(self, Cell)


def replace(cell: Cell, change: Callable[[Cell], Cell]) -> Cell:
    """The cell in which every cell within, innermost first, and then the whole, is what `change` makes of it.

    Parameters stay those of the original as long as the changes leave their shapes alone.

        >>> import dataclasses
        >>> import seqjax as sj
        >>> model = sj.stack(sj.Embed(10, 4), sj.residual(sj.stack(sj.Dropout(0.5), sj.GRU(4))), sj.Dense(10))
        >>> sj.replace(model, lambda c: dataclasses.replace(c, rate=0.1) if isinstance(c, sj.Dropout) else c)
        stack(Embed(10, 4), residual(stack(Dropout(0.1), GRU(4))), Dense(10))
    """
    changed = change(map_options(cell, Cell, lambda part: replace(part, change)))
    check_cell_type("replace", changed)
    return changed


def _depth(cls: type, name: str) -> int:
    """How far up its bases a class finds `name`; 0 is the class itself."""
    return next(i for i, base in enumerate(cls.__mro__) if name in vars(base))


def check_cell_type(name: str, cell: object) -> None:
    """Refuse what is not a cell, with a hint for the common slips."""
    if isinstance(cell, Cell):
        return
    slip = ""
    if isinstance(cell, type):
        slip = f" Write {cell.__name__}(...) with its features, not the class"
    elif isinstance(cell, (list, tuple)):
        slip = f" Write {name}(*cells)"
    elif isinstance(cell, dict):
        slip = f" Parameters? The cell comes first, as in {name}(cell, params, xs)"
    shown = type(cell).__name__ if isinstance(cell, dict) else repr(cell)
    raise ArgumentTypeError(f"{name}: expected a cell such as LSTM(64), found {shown}.{slip}")
