"""What every measure of gradients begins with: the call as it is checked, the loss, and the cotangents of outputs."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Carry, Float, Params, PyTree
from seqjax.core import driver
from seqjax.core.call import Call, Options
from seqjax.core.cell import Cell
from seqjax.core.padding import fill_padding, zero_padding
from seqjax.core.start import start_carry
from seqjax.diagnostics.place import Findings, Place, Pullback
from seqjax.diagnostics.pullback import scaled_vjp
from seqjax.diagnostics.scaled import Scaled, normalize
from seqjax.errors import ArgumentError

OUTPUTS = ("last", "all")
Loss = Callable[[PyTree], Float[jax.Array, " B"]]
Mask = Bool[Array, " B T"] | Sequence


def prepare(name: str, cell: Cell, params: Params, xs: PyTree, carry: Carry, mask: Mask | None) -> Call:
    """The call of `scan` that `name` is about.

    Raises:
        ArgumentError, ArgumentTypeError: there is not one batch axis, or no step; what `scan` refuses.
    """
    call = driver.prepare(Call(cell, Options(), params, xs, carry, mask))
    layout = call.layout
    if len(layout.batch) != 1 or layout.length == 0:
        raise ArgumentError(
            f"{name}: xs must have one batch axis and at least one step, found batch {layout.batch} "
            f"and {layout.length} steps. A single sequence? Pass xs[None]"
        )
    return call


def check_outputs(name: str, outputs: str) -> None:
    """Refuse what is not one of OUTPUTS.

    Raises:
        ArgumentError: so it is.
    """
    if outputs not in OUTPUTS:
        raise ArgumentError(f"{name}: outputs must be 'last' or 'all', found {outputs!r}")


def real_steps(call: Call) -> Bool[jax.Array, " T B"]:
    """True in real steps, time first."""
    mask = call.real_steps()
    return jnp.ones((call.layout.length, *call.layout.batch), bool) if mask is None else jnp.asarray(mask)


def seed_of(name: str, loss: Loss, outputs: str, call: Call) -> tuple[Float[jax.Array, "..."], Scaled]:
    """The loss, and its cotangents of ys `[T, B, F]`, which are zero in unreal steps.

    The loss is called here, and not within a program that is kept: what it reads may be something else next time.

    Args:
        name: of the function, for errors.
        loss: L of each row, `[B]`; with the outputs "each", L of each step, `[B, T]`.
        outputs: what it is given, "last", "all" or "each".
        call: of the cell.

    Raises:
        ArgumentError: the loss has another shape.
    """
    real = real_steps(call)
    ys = call.layout.time_first(driver.execute(call)[1])
    losses, pull = jax.vjp(lambda ys: loss_of(name, loss, outputs, real, ys), ys)
    return losses, normalize(pull(jnp.ones_like(losses))[0], jnp.zeros(real.shape, jnp.int32))


def loss_of(name: str, loss: Loss, outputs: str, real: Bool[jax.Array, " T B"], ys: PyTree) -> Float[jax.Array, "..."]:
    """What the loss makes of ys `[T, B, F]`, as `seed_of` has it.

    Raises:
        ArgumentError: the loss has another shape.
    """
    if outputs == "last":
        losses = loss(jax.tree.map(lambda y: jnp.sum(y, axis=0), zero_padding(ys, is_last(real))))
    else:
        losses = loss(jax.tree.map(lambda y: jnp.moveaxis(y, 0, 1), zero_padding(ys, real)))
    found, wanted = getattr(losses, "shape", losses), real.T.shape[: 2 if outputs == "each" else 1]
    if found != wanted:
        what = "one number a step" if outputs == "each" else "one number a row"
        raise ArgumentError(f"{name}: loss gave shape {found}, expected {what}, {wanted}")
    return losses


def pull_of(call: Call, findings: Findings, agreement: bool = False) -> Pullback:
    """From the cotangents of outputs to those of inputs; what is found on the way is put into findings."""
    layout, carry = call.layout, call.carry
    if carry is None:
        carry = start_carry(call.cell, call.params, layout.batch, in_features=layout.width)
    xs = fill_padding(layout.time_first(call.xs), call.real_steps(), False)
    place = Place(real_steps(call), call.carry is None, findings, agreement=agreement)
    return scaled_vjp(call.cell, call.params, carry, xs, place)[1]


def is_last(real: Bool[jax.Array, " T B"]) -> Bool[jax.Array, " T B"]:
    """True at the last real step of each row."""
    return real & (jnp.cumsum(real[::-1], axis=0)[::-1] == 1)
