"""What a cell is, and the one law that it obeys.

Legend of axes for the whole project: `B` batch (any number of axes, also none), `T` time, `D` features in,
`F` features out, `G` gates, `N` heads, `H` head width, `S` source length, `V` vocabulary.

The law: `cell.sequence` equals the fold of `cell.step`, also when the sequence is cut into chunks, and under
`jit`, `vmap` (over data and over parameters), `grad`, `jvp`, `hessian`, `remat` and `shard_map`.
`seqjax.testing.check_cell` checks it.
"""

import dataclasses
from typing import Any, ClassVar, dataclass_transform

import jax
import jax.numpy as jnp

from seqjax import loop
from seqjax.errors import ArgumentError, ArgumentTypeError, NotCausalError
from seqjax.gating import linear
from seqjax.gradient import advance
from seqjax.initializers import Bias, Initializer, glorot, orthogonal, zeros
from seqjax.plan import Plan
from seqjax.spelling import Spelled
from seqjax.trees import out_dtype

Params = dict[str, Any]


@dataclass_transform(frozen_default=True)
class Cell(Spelled):
    """A sequence model: a frozen value without arrays, which is its own configuration.

    A subclass becomes a frozen dataclass by itself; its annotated names are its options. It gives `init`,
    `initial_carry`, `step` and `out_features`; `sequence` follows from `step` and is overridden only for speed.
    Equal cells are equal, hash equal, share one trace, pickle, and print as the call that makes them.
    """

    feature_axes: ClassVar[Any] = 1
    """How many axes of one input x are features: 1 for vectors, 0 for token ids, a tree for tree inputs."""

    causal: ClassVar[Any] = True
    """Whether the output at a step depends on the past alone, so that `step` exists."""

    splits: ClassVar[Any] = False
    """Whether the step is composed of `project`, `mix` and `update` (see `Recurrent`)."""

    random: ClassVar[Any] = False
    """Whether the carry holds a key, so that `initial_carry` takes `key=`."""

    @property
    def out_features(self) -> int | None:
        """Features of one output, `F`; None when there are as many as come in."""
        raise TypeError(f"{type(self).__name__} must define out_features")

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """Draw parameters for inputs of `in_features` features: a nested dict of arrays of `dtype`."""
        raise TypeError(f"{type(self).__name__} must define init(key, in_features)")

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> Any:
        """The carry before the first step; every leaf has the axes `batch_shape` first."""
        raise TypeError(f"{type(self).__name__} must define initial_carry(params, batch_shape)")

    def step(self, params: Params, carry: Any, x: Any) -> tuple[Any, Any]:
        """One time step, x `[B, D]`: the next carry and the output `[B, F]`."""
        raise TypeError(f"{type(self).__name__} must define step(params, carry, x)")

    def sequence(self, params: Params, carry: Any, xs: Any, plan: Plan = Plan()) -> tuple[Any, Any]:
        """All steps, xs `[T, B, D]` (time first, as in `lax.scan`): the last carry and ys `[T, B, F]`.

        `seqjax.scan` is the batch-major driver with masks and checks; `plan` is how it tells a cell of them.
        """
        return loop.run(self, params, carry, xs, plan)

    def restart(self, params: Params, carry: Any, batch_shape: tuple[int, ...]) -> Any:
        """The carry with which a new sequence begins after a reset."""
        return self.initial_carry(params, batch_shape)

    def check_input(self, xs: Any, mask: Any, values: bool) -> None:
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

    def evaluation(self) -> "Cell":
        """The cell to evaluate with: the same parameters, every random part switched off."""

        def off(value: Any) -> Any:
            if isinstance(value, Cell):
                return value.evaluation()
            return tuple(map(off, value)) if isinstance(value, tuple) else value

        fields = {f.name: off(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return dataclasses.replace(self, **fields)


class Recurrent(Cell):
    """A cell split in three, from which the driver makes training fast.

        z = project(p, x)              time-parallel, before the loop; sees params["project"]
        m = mix(p, carry)              the recurrent linear map; sees params["mix"]
        carry', y = update(p, carry, z, m)     elementwise; sees params["update"], which must stay small

    Each accepts any leading axes, and a branch of the parameters that a cell does not need may be absent.
    """

    sums: ClassVar[bool] = False
    """Whether `update` reads z and m as their sum z + m alone, which saves the driver one of two arrays."""

    @property
    def splits(self) -> bool:
        """Whether `step` is the composition of the three; a cell that writes its own step says False."""
        return type(self).step is Recurrent.step

    def project(self, p: Params, x: Any) -> Any:
        """z from x, for any leading axes."""
        return linear(p, x)

    def mix(self, p: Params, carry: Any) -> Any:
        """m from the carry, linear in it."""
        raise TypeError(f"{type(self).__name__} must define mix(p, carry)")

    def update(self, p: Params, carry: Any, z: Any, m: Any) -> tuple[Any, Any]:
        """The next carry and the output, elementwise."""
        raise TypeError(f"{type(self).__name__} must define update(p, carry, z, m)")

    def step(self, params: Params, carry: Any, x: Any) -> tuple[Any, Any]:
        """`update(carry, project(x), mix(carry))`."""
        z = self.project(params.get("project", {}), x)
        m = self.mix(params.get("mix", {}), carry)
        dtype = out_dtype(params, x)
        return advance(self, dtype, params.get("update", {}), carry, z, m)


class Gated(Recurrent):
    """A recurrent cell with one affine map of the input and one linear map of the state h for all its gates.

        z = x W + b   [B, G F],      m = h U   [B, G F]

    A subclass names its `gates`, and gives `update`; with more than one state it names a `carry_type`, a
    NamedTuple with a field h. Weights are drawn gate by gate, so that an orthogonal U is orthogonal for each gate.

    Args:
        features: F, the width of every state.
        kernel_init, recurrent_init, bias_init: from `seqjax.initializers`.
        learned_carry: make the initial carry a parameter, `params["carry"]`, zero at the start.
    """

    gates: ClassVar[tuple[str, ...]] = ()
    keep_gate: ClassVar[str | None] = None
    write_gate: ClassVar[str | None] = None
    carry_type: ClassVar[Any] = None

    features: int
    _: dataclasses.KW_ONLY
    kernel_init: Initializer = glorot()
    recurrent_init: Initializer = orthogonal()
    bias_init: Bias = zeros()
    learned_carry: bool = False

    def __post_init__(self) -> None:
        check_positive(self, "features")

    @property
    def out_features(self) -> int:
        """F."""
        return self.features

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """`project` {kernel `[D, G F]`, bias `[G F]`}, `mix` {kernel `[F, G F]`} and, if learned, `carry`."""
        keys = jax.random.split(key, 3)
        count = len(self.gates)

        def blocks(init: Initializer, key: jax.Array, rows: int) -> jax.Array:
            shape = (rows, self.features)
            drawn = jax.vmap(lambda k: init(k, shape, dtype))(jax.random.split(key, count))
            return jnp.moveaxis(drawn, 0, 1).reshape(rows, count * self.features)

        params: Params = {
            "project": {
                "kernel": blocks(self.kernel_init, keys[0], in_features),
                "bias": self.bias_init(keys[2], self, dtype),
            },
            "mix": {"kernel": blocks(self.recurrent_init, keys[1], self.features)},
        }
        if self.learned_carry:
            params["carry"] = self._carry(lambda: jnp.zeros(self.features, dtype))
        return params

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> Any:
        """Zeros, or the learned carry, `[B, F]` each; float32, or wider where the parameters are."""
        dtype = jnp.promote_types(out_dtype(params, ()), jnp.float32)
        shape = tuple(batch_shape) + (self.features,)
        if "carry" in params:
            return jax.tree.map(lambda c: jnp.broadcast_to(c.astype(dtype), shape), params["carry"])
        return self._carry(lambda: jnp.zeros(shape, dtype))

    def mix(self, p: Params, carry: Any) -> Any:
        """h U, in the precision of U, accumulated in that of h."""
        return linear(p, carry if self.carry_type is None else carry.h, keep=True)

    def _carry(self, make: Any) -> Any:
        if self.carry_type is None:
            return make()
        return self.carry_type(*(make() for _ in self.carry_type._fields))


def check_positive(cell: Any, *names: str) -> None:
    """Refuse options that are not whole numbers above zero."""
    for name in names:
        value = getattr(cell, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(f"{type(cell).__name__}: {name} must be a whole number above 0, found {value!r}")


def initial_carry(cell: Cell, params: Params, batch_shape: tuple[int, ...], key: jax.Array | None) -> Any:
    """`cell.initial_carry`, with the key for those cells alone that draw random numbers."""
    if cell.random:
        return cell.initial_carry(params, batch_shape, key=key)  # type: ignore[call-arg]
    return cell.initial_carry(params, batch_shape)


def init(cell: Cell, key: jax.Array, in_features: int, dtype: Any) -> Params:
    """`cell.init`, leaving dtype out where it is the default, as a cell need not know of it."""
    if dtype == jnp.float32:
        return cell.init(key, in_features)
    return cell.init(key, in_features, dtype)


def check_cell_type(name: str, cell: Any) -> None:
    """Refuse what is not a cell, with a hint for the common slips."""
    if isinstance(cell, Cell):
        return
    slip = ""
    if isinstance(cell, type):
        slip = f" Write {cell.__name__}(...) with its features, not the class"
    elif isinstance(cell, (list, tuple)):
        slip = f" Write {name}(*cells)"
    raise ArgumentTypeError(f"{name}: expected a cell such as LSTM(64), found {cell!r}.{slip}")


def check_causal(cell: Cell) -> None:
    """Refuse a single step of what must see the whole sequence."""
    if not cell.causal:
        raise NotCausalError(
            f"{cell!r} reads the sequence in both directions, so it has no step; run it with seqjax.scan"
        )
