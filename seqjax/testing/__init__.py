"""`check_cell`: the law that every cell obeys, checked on any cell, also one of your own."""

from typing import Any

import jax

from seqjax.core.cell import Cell
from seqjax.testing import protocol_laws, time_laws, transform_laws
from seqjax.testing.case import Case, LawError, MakeCarry, MakeInputs, vectors

LAWS = (
    protocol_laws.carries_have_the_batch_axes_first,
    transform_laws.equal_cells_are_one,
    transform_laws.dtypes,
    protocol_laws.size_is_what_comes_out,
    protocol_laws.a_uniform_step_takes_time_as_an_axis,
    time_laws.sequence_is_the_fold_of_step,
    time_laws.resets_cut,
    time_laws.nothing_in_nothing_out,
    time_laws.padding_changes_nothing,
    time_laws.padded_equals_cut,
    time_laws.batch_rows_do_not_touch,
    time_laws.rows_may_be_moved,
    time_laws.lengths_are_a_mask,
    time_laws.any_batch_axes,
    time_laws.outputs_do_not_see_the_future,
    time_laws.reverse_is_the_flip,
    protocol_laws.a_fresh_carry_need_not_be_given,
    protocol_laws.what_is_held_stays,
    protocol_laws.a_trace_changes_nothing,
    transform_laws.deferred_is_autodiff,
    transform_laws.all_orders_and_modes,
    transform_laws.vmap_over_params,
    transform_laws.devices,
)

__all__ = ["Case", "LawError", "check_cell", "vectors"]


def check_cell(
    cell: Cell,
    in_features: int = 3,
    *,
    make_xs: MakeInputs | None = None,
    make_carry: MakeCarry | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, str]:
    """Check the law on `cell`, in float64, with random parameters and inputs.

    Args:
        cell: any cell, wrapper or stack.
        in_features: D of the inputs it is tried on.
        make_xs: `(key, leading shape) -> xs` for a cell whose inputs are not vectors (tokens, trees).
        make_carry: `(key, params, batch_shape) -> carry` for a cell whose initial carry asks for something else than
            a key, such as a memory.
        seed: of parameters and inputs.
        options: of `seqjax.scan` (engine, gradient, checkpoint, unroll), to be tried where a law does not set its own.

    Returns:
        For each part of the law "holds", or why it was not tried (no time steps for a bidirectional cell, fewer
        than eight devices, ...).

    A cell that forgets the batch axes of its carry; of a lawful one the report says "holds" for each part:

        >>> import jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.testing import check_cell
        >>> class Flat(sj.RNN):
        ...     def initial_carry(self, params, batch_shape=()):
        ...         return jnp.zeros(self.features)
        >>> check_cell(Flat(3))
        Traceback (most recent call last):
        seqjax.testing.case.LawError: a leaf of the initial carry for a batch of (2,) has shape (3,)

    Raises:
        LawError: the first part that does not hold.
    """
    with jax.enable_x64(True):
        case = Case(cell, in_features, make_xs or vectors(in_features), seed, make_carry, options)
        return {law.__name__: law(case) or "holds" for law in LAWS}
