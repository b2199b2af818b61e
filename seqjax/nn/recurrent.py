"""A cell as a Flax module."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from seqjax._internal.types import Array, Bool, Carry, Int, Key, PyTree
from seqjax.core.cell import Cell, check_cell_type
from seqjax.core.scan import scan
from seqjax.core.start import init_params, start_carry
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.nn.checks import check_rngs


class Recurrent(nnx.Module):
    """Any cell as a module that is called as `nnx.RNN` is: a drop-in for it.

    Parameters are those of the cell: `module.params` is a module with a part for each part of the cell. It keeps
    nothing else: no stream of random numbers, so that it may be vmapped; carries come in and go out.

    It gives what `nnx.RNN` gives where that is right, and differs in what `nnx.RNN` does wrong: a sequence of length 0
    leaves its carry alone; lengths below 0, above T or of another shape are an error; NaN in the padding reaches no
    gradient; any number of batch axes goes with lengths. Outputs of padding are 0.

    Args:
        cell: an LSTM, a stack, an `as_cell` of a transformer.
        in_features: of the input, 0 for token ids.
        time_major, return_carry, reverse, keep_order, unroll: as in `nnx.RNN`; a call may say otherwise.
        rngs: draws the parameters.

    Raises:
        ArgumentError, ArgumentTypeError: what is no cell; what `seqjax.scan` refuses.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from flax import nnx
        >>> rnn = sj.nn.Recurrent(sj.LSTM(8), 3, rngs=nnx.Rngs(0))
        >>> x = jnp.ones((2, 5, 3))
        >>> rnn(x).shape
        (2, 5, 8)
        >>> carry, ys = rnn(x, seq_lengths=jnp.array([5, 2]), return_carry=True)
        >>> carry.h.shape, bool(jnp.all(carry.h[1] == ys[1, 1]))
        ((2, 8), True)
        >>> grads = nnx.grad(lambda m: m(x).sum())(rnn)
        >>> grads["params"]["mix"]["kernel"].shape
        (8, 32)
    """

    def __init__(
        self,
        cell: Cell,
        in_features: int,
        *,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        unroll: int = 1,
        rngs: nnx.Rngs,
    ) -> None:
        check_cell_type("Recurrent", cell)
        check_rngs("Recurrent", rngs)
        self.cell, self.in_features, self.unroll = cell, in_features, unroll
        self.time_major, self.return_carry, self.reverse, self.keep_order = (
            time_major,
            return_carry,
            reverse,
            keep_order,
        )
        self.params = _as_tree(init_params(cell, rngs.params(), in_features, jnp.float32))
        self.deterministic = False

    @property
    def out_features(self) -> int:
        """Features of one output."""
        return self.cell.size(self.in_features)

    def initialize_carry(self, batch_shape: tuple[int, ...] = (), **given: PyTree) -> Carry:
        """The carry to begin with, for so many sequences; `given`: what the cell asks for, such as `key=`."""
        return start_carry(self._cell(), self.values(), batch_shape, in_features=self.in_features, **given)

    def values(self) -> dict[str, Any]:
        """The parameters as `seqjax.scan` takes them: nested dicts of arrays."""
        return _values(self.params)

    def __call__(
        self,
        inputs: PyTree,
        *,
        initial_carry: Carry | None = None,
        seq_lengths: Int[Array, "*B"] | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ) -> Any:
        """Outputs `[*B, T, F]`, or with `return_carry` the carry after the last real step and the outputs.

        Args:
            inputs: `[*B, T, D]`, with `time_major` `[T, *B, D]`.
            initial_carry: the carry to begin with.
            seq_lengths: whole numbers `[*B]`, 0 ... T: the real steps.
            reverse: read from the last real step to the first. Outputs are in the order in which they were made, as
                in `nnx.RNN`, unless `keep_order`: then in that of the inputs.
            mask, resets: as in `seqjax.scan`; mask in place of lengths.
            rngs: for a cell with dropout; the next key of its stream "carry" is taken, of "default" where there is
                none, or of "dropout". A stream of its own, `rngs.carry`, does too.

        Raises:
            ArgumentError: a cell with dropout and neither a carry nor rngs, unless `module.eval()` was called.
        """
        cell, params = self._cell(), self.values()
        choose = lambda given, own: own if given is None else given
        backwards, time_first = choose(reverse, self.reverse), choose(time_major, self.time_major)
        keep = choose(keep_order, self.keep_order)
        if backwards and mask is not None and not keep:
            raise ArgumentError("Recurrent: reverse with a mask needs keep_order=True, as gaps have no other order")
        options: dict[str, Any] = {"lengths": seq_lengths, "mask": mask, "resets": resets}
        if initial_carry is None and "key" in cell.asks:
            key = next_key(cell, rngs)
            rank = jax.tree.leaves(inputs)[0].ndim - 1 - jax.tree.leaves(cell.feature_axes)[0]
            shape = jax.tree.leaves(inputs)[0].shape[int(time_first) :][:rank]
            initial_carry = self.initialize_carry(shape, key=key)
        carry, ys = scan(
            cell, params, inputs, initial_carry, reverse=backwards, time_major=time_first, unroll=self.unroll, **options
        )
        if backwards and not keep:
            axis = 0 if time_first else jax.tree.leaves(ys)[0].ndim - 2
            ys = jax.tree.map(lambda y: flip(y, seq_lengths, axis), ys)
        return (carry, ys) if choose(return_carry, self.return_carry) else ys

    def _cell(self) -> Cell:
        return self.cell.evaluation() if self.deterministic else self.cell


def next_key(cell: Cell, rngs: Any) -> Key[jax.Array, ""]:
    """The key of a call, drawn from its streams.

    Raises:
        ArgumentError: there are none, or none with one of the names.
        ArgumentTypeError: no streams of Flax.
    """
    if rngs is None:
        raise ArgumentError(
            f"Recurrent: {cell!r} draws random numbers: call the module with rngs=nnx.Rngs(carry=0), another one for "
            "each call, or with initial_carry=module.initialize_carry(batch_shape, key=key), or call module.eval()"
        )
    if isinstance(rngs, nnx.RngStream):
        return rngs()
    if not isinstance(rngs, nnx.Rngs):
        raise ArgumentTypeError(
            f"Recurrent: rngs must be nnx.Rngs or one of its streams, found {rngs!r}. A key? Write nnx.Rngs(carry=key)"
        )
    for name in ("carry", "default", "dropout"):
        if name in rngs:
            return rngs[name]()
    raise ArgumentError(f"Recurrent: rngs must have a stream carry, default or dropout, found {', '.join(rngs)}")


def flip(ys: Array, lengths: Int[Array, "*B"] | None, axis: int) -> jax.Array:
    """The steps along `axis` turned around, real ones first where there are lengths.

    >>> import jax.numpy as jnp
    >>> from seqjax.nn.recurrent import flip
    >>> flip(jnp.array([[[1], [2], [0]], [[3], [4], [5]]]), jnp.array([2, 3]), 1)[..., 0].tolist()
    [[2, 1, 0], [5, 4, 3]]
    """
    if lengths is None:
        return jnp.flip(ys, axis)
    steps = jnp.arange(ys.shape[axis])
    places = jnp.asarray(lengths)[..., None] - 1 - steps.reshape((1,) * jnp.ndim(lengths) + steps.shape)
    places = jnp.where(places < 0, jnp.broadcast_to(steps, places.shape), places)
    places = jnp.moveaxis(places, -1, axis)[..., None]
    return jnp.take_along_axis(jnp.asarray(ys), places, axis=axis)


def _as_tree(params: Any) -> Any:
    if isinstance(params, dict):
        return nnx.Dict({name: _as_tree(part) for name, part in params.items()})
    return nnx.Param(params)


def _values(tree: Any) -> Any:
    if isinstance(tree, nnx.Variable):
        return tree[...]
    return {name: _values(part) for name, part in tree.items()}
