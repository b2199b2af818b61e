"""Recurrent matrices: spectral radius, largest singular value, and what bound on gradients follows."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Float, Params
from seqjax.cells import RNN
from seqjax.core.cell import Cell
from seqjax.errors import ArgumentError, ArgumentTypeError

SLOPES = {
    "tanh": 1.0, "identity": 1.0, "relu": 1.0, "sigmoid": 0.25, "elu": 1.0, "gelu": 1.1290, "hard_sigmoid": 1 / 6,
    "hard_tanh": 1.0, "leaky_relu": 1.0, "selu": 1.7581, "silu": 1.0999, "sin": 1.0, "softplus": 1.0, "softsign": 1.0,
}  # fmt: skip
"""The largest slope of each activation, where it is no round number rounded up."""


def spectral_radius(params: Params) -> dict[str, Float[jax.Array, "*L G"]]:
    """The largest absolute eigenvalue of each recurrent matrix, by path.

    A linear recurrence h U grows or decays with it in the long run. With a nonlinearity it is a rule of thumb: above 1
    a tanh network can be chaotic, below 1 it forgets near h = 0; what truly happens along a run is in
    `lyapunov_exponents`. It may be far below the largest singular value, as a product of such matrices can grow at
    first (Pascanu, Mikolov, Bengio 2013).

    Cost: n^3 for each matrix. Within `jit` too.

    Args:
        params: of any cell or stack. Recurrent matrices are the kernels `[F, G F]` under "mix", one `[F, F]` for each
            of G gates side by side.

    Returns:
        For each path an array `[G]`, in the order of the cell's gates; `[L, G]` for the layers of `repeat`.

    Raises:
        ArgumentError, ArgumentTypeError: there is none; params are no dict.

        >>> import jax, seqjax as sj
        >>> from seqjax.diagnostics import spectral_norm, spectral_radius
        >>> model = sj.stack(sj.GRU(4), sj.RNN(3, recurrent_init=sj.initializers.identity(0.5)), sj.Dense(1))
        >>> params = model.init(jax.random.key(0), 2)
        >>> {path: radius.round(3).tolist() for path, radius in spectral_radius(params).items()}
        {'0/mix/kernel': [1.0, 1.0, 1.0], '1/mix/kernel': [0.5]}
    """
    return _of_each("spectral_radius", params, lambda u: jnp.max(jnp.abs(jnp.linalg.eigvals(u)), axis=-1))


def spectral_norm(params: Params) -> dict[str, Float[jax.Array, "*L G"]]:
    """The largest singular value of each recurrent matrix, by path: the most that h U can be longer than h.

    Args, Returns, Raises, cost: as `spectral_radius`, which is never larger.

        >>> import jax.numpy as jnp
        >>> from seqjax.diagnostics import spectral_norm, spectral_radius
        >>> params = {"mix": {"kernel": jnp.array([[0.5, 3.0], [0.0, 0.5]])}}
        >>> print(spectral_radius(params)["mix/kernel"], spectral_norm(params)["mix/kernel"].round(2))
        [0.5] [3.08]
    """
    return _of_each("spectral_norm", params, lambda u: jnp.linalg.norm(u, 2, axis=(-2, -1)))


def gain_bound(cell: Cell, params: Params) -> Float[jax.Array, ""]:
    """gamma sigma_max(U) of a simple RNN: no gradient grows by more than this factor a step.

    |dL/dh_(t-1)| <= gamma sigma_max(U) |dL/dh_t|, gamma the largest slope of the activation: 1 for tanh, 1/4 for the
    sigmoid. Below 1 gradients must vanish, at this rate or faster; above 1 they can explode, and need not (Pascanu,
    Mikolov, Bengio 2013, section 2.1).

    Args:
        cell: an RNN.
        params: its parameters.

    Raises:
        ArgumentTypeError: another cell, of which there is no such bound.
        ArgumentError: params that are not its own.

        >>> import jax, seqjax as sj
        >>> from seqjax.diagnostics import gain_bound
        >>> cell = sj.RNN(8, activation="sigmoid")  # whose recurrent matrix is orthogonal
        >>> print(gain_bound(cell, cell.init(jax.random.key(0), 3)).round(4))
        0.25
    """
    if not isinstance(cell, RNN):
        raise ArgumentTypeError(
            f"gain_bound: expected an RNN, found {cell!r}. Gates have no such bound: measure with lyapunov_exponents "
            "or jacobian_spectrum. A stack? Pass one of its cells, and its own part of params"
        )
    norms = spectral_norm(params)
    if list(norms) != ["mix/kernel"]:
        raise ArgumentError(f"gain_bound: params must be those of {cell!r}, found matrices at {', '.join(norms)}")
    return SLOPES[cell.activation] * norms["mix/kernel"][..., 0]


def _of_each(name: str, params: Params, measure: Callable[[jax.Array], jax.Array]) -> dict[str, jax.Array]:
    if not isinstance(params, dict):
        raise ArgumentTypeError(
            f"{name}: params must be a dict as of cell.init, found {type(params).__name__}. The cell is not needed"
        )
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        keys = jax.tree_util.keystr(path, simple=True, separator="/").split("/")
        if keys[-2:] == ["mix", "kernel"] and leaf.ndim >= 2 and leaf.shape[-1] % leaf.shape[-2] == 0:
            found["/".join(keys)] = measure(_gates(jnp.asarray(leaf)))
    if not found:
        raise ArgumentError(f"{name}: params have no recurrent matrix, a kernel [F, G F] under 'mix'")
    return found


def _gates(kernel: Float[Array, "*L F GF"]) -> Float[jax.Array, "*L G F F"]:
    width = kernel.shape[-2]
    wide = kernel.astype(jnp.promote_types(kernel.dtype, jnp.float32))
    return jnp.moveaxis(wide.reshape(*kernel.shape[:-1], -1, width), -2, -3)
