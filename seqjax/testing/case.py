"""A cell on trial, and the measures that the laws share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.trees import is_inexact, split_inexact
from seqjax._internal.types import Array, Bool, Carry, DTypeLike, Int, Pair, Params, PyTree, Shape
from seqjax.core.cell import Cell
from seqjax.core.chunks import LONGEST_CHUNK
from seqjax.core.scan import scan
from seqjax.core.start import start_carry
from seqjax.errors import SeqjaxError

SHORT, LONG = 4, 2 * LONGEST_CHUNK + 3  # LONG: several chunks and a rest
ROWS = 8  # of the largest batch that the laws ask for
MakeInputs = Callable[[jax.Array, Shape], PyTree]
MakeCarry = Callable[[jax.Array, Params, Shape], Carry]


class LawError(SeqjaxError, AssertionError):
    """A cell breaks the law; the message says which part and by how much."""


def vectors(features: int) -> MakeInputs:
    """Gaussian inputs of so many features, for `check_cell` and `Case`: `(key, leading shape) -> xs`.

    >>> import jax
    >>> from seqjax.testing import vectors
    >>> vectors(3)(jax.random.key(0), (2, 5)).shape
    (2, 5, 3)
    """
    return lambda key, shape: jax.random.normal(key, (*shape, features))


@dataclass
class Case:
    """A cell with the parameters, carries and inputs that it is tried on, and options of `scan` to try it with.

    What a law is made of, for laws of one's own:

        >>> import jax
        >>> import seqjax as sj
        >>> from seqjax.testing import Case, vectors
        >>> with jax.enable_x64(True):
        ...     case = Case(sj.GRU(2), 3, vectors(3), seed=0)
        ...     carry, ys = case.run(case.params, case.carry(4), case.xs(4, 5), reverse=True)
        >>> carry.shape, ys.shape
        ((4, 2), (4, 5, 2))
    """

    cell: Cell
    in_features: int
    make_xs: MakeInputs
    seed: int
    make_carry: MakeCarry | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    traced: list[Cell] = field(default_factory=list)  # each cell for which run_lengths was traced

    @cached_property
    def params(self) -> Params:
        """Those of `init`, moved a little so that zeros do not hide anything."""

        def draw() -> Any:
            params = self.cell.init(jax.random.key(self.seed), self.in_features)
            leaves, tree = jax.tree.flatten(params)
            keys = jax.random.split(jax.random.key(self.seed + 1), max(1, len(leaves)))
            noise = lambda p, k: 0.1 * jax.random.normal(k, p.shape, _widest(p.dtype))
            moved = [p + noise(p, k) if is_inexact(p) else p for p, k in zip(leaves, keys)]
            return jax.tree.unflatten(tree, moved)

        return jax.jit(draw)()

    def xs(self, *shape: int) -> PyTree:
        """Inputs of a leading shape."""
        return self.make_xs(jax.random.key(self.seed + 2), shape)

    def fresh(self, *batch: int) -> Carry:
        """An initial carry."""
        return self.begin(self.params, batch)

    def begin(self, params: Params, batch: Shape) -> Carry:
        """The initial carry for other parameters."""
        key = jax.random.key(self.seed + 3)
        if self.make_carry is not None:
            return self.make_carry(key, params, batch)
        return start_carry(self.cell, params, batch, key=key, in_features=self.in_features)

    def carry(self, *batch: int) -> Carry:
        """A carry that was reached by running: clocks have moved, caches hold something."""
        if len(batch) == 1 and batch[0] <= ROWS:
            return by_numpy(lambda a: a[: batch[0]], self._reached)
        return self._reach(batch) if batch else by_numpy(lambda a: a[0], self._reached)

    @cached_property
    def _reached(self) -> Carry:
        return self._reach((ROWS,))

    def _reach(self, batch: Shape) -> Carry:
        others = self.make_xs(jax.random.key(self.seed + 5), (*batch, SHORT - 1))
        return self.run(self.params, self.fresh(*batch), others)[0]

    def run(self, params: Params, carry: Carry, xs: PyTree, **options: Any) -> Pair:
        """`scan` of the cell, with the options on trial where a law does not set its own."""
        return scan(self.cell, params, xs, carry, **{**self.options, **options})

    @cached_property
    def run_marked(self) -> Any:
        """Values and gradients over SHORT steps of a batch of 3, compiled once for all laws about masks and resets."""
        return jax.jit(lambda p, c, x, mask, resets: run_with_gradients(self.run, p, c, x, mask=mask, resets=resets))

    @cached_property
    def run_lengths(self) -> Any:
        """`(cell, params, xs, carry, lengths)` -> values, compiled for each cell that differs from those before."""

        def traced(cell: Cell, params: Params, xs: PyTree, carry: Carry, lengths: Int[Array, " B"]) -> Any:
            self.traced.append(cell)
            return scan(cell, params, xs, carry, **{**self.options, "lengths": lengths})

        return jax.jit(traced, static_argnums=0)

    def run_masked(self, params: Params, carry: Carry, xs: PyTree, mask: Bool[Array, "B T"]) -> Any:
        """`run_marked` without resets."""
        return self.run_marked(params, carry, xs, mask, np.zeros(np.shape(mask), bool))


def _widest(dtype: DTypeLike) -> Any:
    return jnp.promote_types(dtype, jnp.float64)


def run_with_gradients(run: Callable, params: Params, carry: Carry, xs: PyTree, **options: Any) -> tuple[Any, Any]:
    """What `run` returns and the gradient of a fixed score of it in params, carry and xs (float leaves)."""
    floats, rebuild = split_inexact((params, carry, xs))

    def score(floats: list[Any]) -> tuple[jax.Array, Any]:
        result = run(*rebuild(floats), **options)
        return score_tree(result), result

    grads, result = jax.grad(score, has_aux=True)(floats)
    return result, rebuild(grads, keep=False)


def score_tree(tree: PyTree) -> jax.Array:
    """A smooth scalar that feels every floating entry of the tree differently."""
    score = jnp.zeros(())
    for leaf in jax.tree.leaves(tree):
        for part in _real_parts(leaf):
            phase = jnp.arange(part.size, dtype=part.dtype).reshape(part.shape)
            score = score + jnp.sum(jnp.sin(part + phase))
    return score


def _real_parts(leaf: PyTree) -> list[Any]:
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        return [leaf.real, 2 * leaf.imag]
    return [leaf] if jnp.issubdtype(leaf.dtype, jnp.floating) else []


def to_numpy(leaf: PyTree) -> np.ndarray:
    """As numpy, keys as their bits."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def by_numpy(change: Callable[[Any], Any], tree: PyTree) -> PyTree:
    """Each leaf cut or moved by numpy, where JAX would compile a program for each shape; keys by JAX."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda leaf: change(leaf) if is_key(leaf) else jnp.asarray(change(np.asarray(leaf))), tree)


def check_same(what: str, found: PyTree, expected: PyTree, tolerance: float = 0.0) -> None:
    """Equal trees; bit for bit where the tolerance is 0, else relative to the largest entry or 1."""
    if str(jax.tree.structure(found)) != str(jax.tree.structure(expected)):
        raise LawError(f"{what}: {jax.tree.structure(found)} is not {jax.tree.structure(expected)}")
    pairs = zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected))
    for (path, a), b in pairs:
        a, b = to_numpy(a), to_numpy(b)
        if a.shape != b.shape:
            raise LawError(f"{what}: shape {a.shape} is not {b.shape} at {jax.tree_util.keystr(path)}")
        if a.size == 0 or np.array_equal(a, b):
            continue
        kind = np.result_type(a, b, float)  # float or complex: no imaginary part is dropped
        worst = float(np.max(np.abs(a.astype(kind) - b.astype(kind))))
        if not worst <= tolerance * max(1.0, float(np.max(np.abs(b.astype(kind))))):
            raise LawError(f"{what}: differs by {worst:.3g} at {jax.tree_util.keystr(path)}")


def draw_directions(leaves: list[Any], seed: int) -> list[np.ndarray]:
    """A random direction for each leaf, in its dtype or float64; by numpy, which compiles nothing for each shape."""
    draw = np.random.default_rng(seed).standard_normal

    def direction(leaf: Any) -> np.ndarray:
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            return 0.1 * (draw(leaf.shape) + 1j * draw(leaf.shape)) / np.sqrt(2)
        return 0.1 * np.asarray(draw(leaf.shape))

    return [direction(leaf).astype(_widest(leaf.dtype)) for leaf in leaves]


def score_along(case: Case, gradient: str) -> Callable[[jax.Array], jax.Array]:
    """A real `[3]` -> score, where a moves params, carry and xs along one random direction each."""
    point = case.params, case.carry(2), case.xs(2, SHORT)
    floats, rebuild = split_inexact(point)
    directions = draw_directions(floats, case.seed + 4)
    group = [i for i, part in enumerate(point) for _ in split_inexact(part)[0]]

    def score(a: jax.Array) -> jax.Array:
        moved = [x + a[g] * w for x, w, g in zip(floats, directions, group)]
        return score_tree(case.run(*rebuild(moved), gradient=gradient))

    return score
