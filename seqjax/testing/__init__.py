"""`check_cell`: the law that every cell obeys, checked on any cell, also one of your own."""

import jax

from seqjax.cell import Cell
from seqjax.testing import time_laws, transform_laws
from seqjax.testing.case import Case, LawError, MakeInputs, vectors

LAWS = (
    transform_laws.equal_cells_are_one,
    transform_laws.dtypes,
    time_laws.sequence_is_the_fold_of_step,
    time_laws.nothing_in_nothing_out,
    time_laws.padding_changes_nothing,
    time_laws.padded_equals_cut,
    time_laws.batch_rows_do_not_touch,
    time_laws.outputs_do_not_see_the_future,
    time_laws.reverse_is_the_flip,
    transform_laws.deferred_is_autodiff,
    transform_laws.all_orders_and_modes,
    transform_laws.vmap_over_params,
    transform_laws.devices,
)

__all__ = ["Case", "LawError", "check_cell", "vectors"]


def check_cell(cell: Cell, in_features: int = 3, *, make_xs: MakeInputs | None = None, seed: int = 0) -> dict[str, str]:
    """Check the law on `cell`, in float64, with random parameters and inputs.

    Args:
        cell: any cell, wrapper or stack.
        in_features: D of the inputs it is tried on.
        make_xs: `(key, leading shape) -> xs` for a cell whose inputs are not vectors (tokens, trees).
        seed: of parameters and inputs.

    Returns:
        For each part of the law "holds", or why it was not tried (no time steps for a bidirectional cell, fewer
        than eight devices, ...).

    Raises:
        LawError: the first part that does not hold.
    """
    with jax.enable_x64(True):
        case = Case(cell, in_features, make_xs or vectors(in_features), seed)
        return {law.__name__: law(case) or "holds" for law in LAWS}
