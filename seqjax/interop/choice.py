"""Which kind of cell a Flax module becomes."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

from seqjax._internal.types import Carry, Params, Shape
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.interop.kinds import Kind, PointwiseKind, RNNKind, StatefulKind, feature_axes_of
from seqjax.interop.linen import LinenFunctions
from seqjax.interop.modules import NONE, NNXFunctions
from seqjax.interop.protocol import ProtocolKind
from seqjax.nn.recurrent import Recurrent

_UNIFORM = ("LSTMCell", "OptimizedLSTMCell", "SimpleCell", "GRUCell", "MGUCell")
"""Cells of both that treat all leading axes alike."""


def is_module(value: object) -> bool:
    """Whether it is a module of Flax."""
    return isinstance(value, (nnx.Module, linen.Module))


def is_linen(make: Any) -> bool:
    """Whether a call may make modules of Linen, which are made to fit the input."""
    make = getattr(make, "make", make)
    return not (isinstance(make, type) and issubclass(make, nnx.Module)) and not _takes_rngs(make)


def choose_kind(build: Callable[..., Any], make: Any, width: int) -> Kind:
    """The kind of cell that `build(rngs=...)` is one of; `width`: features of an input.

    Raises:
        ArgumentError, ArgumentTypeError: it is none.
    """
    if not is_linen(make):
        return _choose_nnx(lambda rngs: _checked(build(rngs=rngs)))
    module = _checked(build())
    return _choose_linen(module, width) if isinstance(module, linen.Module) else _choose_nnx(lambda rngs: build())


def _takes_rngs(make: Any) -> bool:
    if isinstance(make, type):
        make = make.__init__  # type: ignore[misc]  # NNX hides the signature of the class itself
    return "rngs" in inspect.signature(make).parameters


def _checked(module: Any) -> Any:
    if not is_module(module):
        raise ArgumentTypeError(f"as_cell: the call must make a module of flax.nnx or flax.linen, found {module!r}")
    return module


def _choose_nnx(build: Callable[[nnx.Rngs], Any]) -> Kind:
    functions = NNXFunctions(build)
    module = functions.module
    if _obeys_protocol(module):
        return ProtocolKind(functions)
    if isinstance(module, nnx.RNNCellBase):
        begin = lambda params, shape: functions.call(params, NONE, shape, nnx.Rngs(0), method="initialize_carry")[1]
        return _rnn(functions, begin, getattr(module, "in_features", 1))
    _check_parts(module)
    draws = any(map(_draws, [m for _, m in nnx.iter_modules(module)]))
    return StatefulKind(functions, draws) if draws or functions.has_state else PointwiseKind(functions)


def _obeys_protocol(module: Any) -> bool:
    """Whether a module is a sequence model of the protocol, and not a map of vectors that names its features."""
    if not (hasattr(module, "causal") and hasattr(module, "out_features")):
        return False
    return not module.causal or (hasattr(module, "extend") and hasattr(module, "initial_carry"))


def _check_parts(module: nnx.Module) -> None:
    """Refuse what reads a sequence within one call: a step of a cell has no sequence to give it."""
    for _, part in nnx.iter_modules(module):
        if isinstance(part, (Recurrent, nnx.RNN)):
            cell = repr(part.cell) if isinstance(part, Recurrent) else f"as_cell({type(part.cell).__name__}, ...)"
            raise ArgumentError(
                f"as_cell: {type(part).__name__} reads a whole sequence, and a cell goes step by step. Use its cell, "
                f"{cell}, alone or in stack(...)"
            )


def _draws(module: nnx.Module) -> bool:
    """Whether a module draws from a stream of random numbers that it keeps."""
    keeps = any(isinstance(value, (nnx.Rngs, nnx.RngStream)) for value in vars(module).values())
    rate = getattr(module, "rate", getattr(module, "dropout_rate", 1))
    return keeps and not getattr(module, "deterministic", False) and rate != 0


def _rnn(functions: Any, begin: Callable[[Params, Shape], Carry], in_features: int) -> Kind:
    module = functions.module
    if module.num_feature_axes != 1:
        raise ArgumentError(f"as_cell: {type(module).__name__} takes inputs that are no vectors")
    initial = lambda params, batch_shape: begin(params, (*batch_shape, in_features))
    return RNNKind(functions, initial, type(module).__name__ in _UNIFORM)


def _choose_linen(module: linen.Module, width: int) -> Kind:
    if isinstance(module, linen.RNNCellBase):
        begin = lambda params, shape: module.initialize_carry(jax.random.key(0), shape)
        inputs = lambda: (begin({}, (width,)), jnp.zeros(width))
        return _rnn(LinenFunctions(module, inputs), begin, width)
    steps = getattr(module, "capacity", 1)
    shape = (steps, width) if feature_axes_of(module) else (steps,)
    x = partial(jnp.zeros, shape, float if feature_axes_of(module) else int)
    functions = LinenFunctions(module, lambda: (x(),))
    state = jax.eval_shape(functions.init, jax.random.key(0))[1].state
    draws = functions.draws(x()[:1])
    return StatefulKind(functions, draws) if draws or state else PointwiseKind(functions)
