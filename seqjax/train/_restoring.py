"""Reading a checkpoint whose training had another evaluation, average or carry than this one: one or none."""

from typing import Any

from seqjax._internal.types import PyTree
from seqjax.errors import ArgumentError
from seqjax.train._protocols import Store
from seqjax.train.state import State

Restored = tuple[int, PyTree, dict[str, Any]]


def restore_any(checkpoints: Store, state: State, evaluated: bool) -> Restored:
    """Step, tree and meta of the newest checkpoint. The tree has "best" where that training had an evaluation.

    A store gives back nothing but what a template asks for leaf by leaf, so forms are tried one after the other.

    Raises:
        ArgumentError: it has another form; an option of the step that is to blame is named.
    """
    try:
        return checkpoints.restore(_template(state, evaluated))
    except ArgumentError as error:
        first = error
    if found := _try(checkpoints, state, not evaluated):
        return found
    for name, form in _other_forms(state):
        if _try(checkpoints, form, evaluated) or _try(checkpoints, form, not evaluated):
            had, has = ("without", "with") if getattr(form, name) is None else ("with", "without")
            raise ArgumentError(
                f"the checkpoint was saved by a step {had} {name}=, the step given to fit is one {has} it. Make the "
                f"step {had} {name}=, or begin anew in another folder"
            ) from first
    raise first


def _other_forms(state: State) -> list[tuple[str, State]]:
    """With an average where there is none, and the reverse; a carry can only be left out, as its form is unknown."""
    forms = [("ema", state._replace(ema=state.params if state.ema is None else None))]
    return forms if state.carry is None else [*forms, ("carry", state._replace(carry=None))]


def _try(checkpoints: Store, state: State, evaluated: bool) -> Restored | None:
    try:
        return checkpoints.restore(_template(state, evaluated))
    except ArgumentError:
        return None


def _template(state: State, evaluated: bool) -> dict[str, PyTree]:
    return {"state": state} | ({"best": state.params} if evaluated else {})
