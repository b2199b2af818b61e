"""`check_cell`: the law that every cell obeys, checked on any cell, also one of your own."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqjax import loop
from seqjax.cell import Cell
from seqjax.combinators import initial_carry
from seqjax.errors import NotCausalError, SeqjaxError
from seqjax.scan import scan
from seqjax.trees import split_floats

SHORT, LONG = 4, 2 * loop.CHUNK + 3  # LONG: several chunks and a rest
POISONS = (np.nan, np.inf, -np.inf, 1e38)
MakeInputs = Callable[[jax.Array, tuple[int, ...]], Any]


class LawError(SeqjaxError, AssertionError):
    """A cell breaks the law; the message says which part and by how much."""


def check_cell(
    cell: Cell, in_features: int = 3, *, make_xs: MakeInputs | None = None, seed: int = 0
) -> dict[str, str]:
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
        return {law.__name__.strip("_"): law(case) or "holds" for law in _LAWS}


def vectors(features: int) -> MakeInputs:
    """Gaussian inputs."""
    return lambda key, shape: jax.random.normal(key, (*shape, features), jnp.float64)


@dataclass
class Case:
    """A cell with the parameters, carries and inputs that it is tried on."""

    cell: Cell
    in_features: int
    make_xs: MakeInputs
    seed: int

    @cached_property
    def params(self) -> Any:
        """Those of `init`, moved a little so that zeros do not hide anything."""

        def draw() -> Any:
            params = self.cell.init(jax.random.key(self.seed), self.in_features)
            leaves, tree = jax.tree.flatten(params)
            keys = jax.random.split(jax.random.key(self.seed + 1), max(1, len(leaves)))
            moved = [p + 0.1 * jax.random.normal(k, p.shape, jnp.float64) for p, k in zip(leaves, keys)]
            return jax.tree.unflatten(tree, moved)

        return jax.jit(draw)()

    def xs(self, *shape: int) -> Any:
        """Inputs of a leading shape."""
        return self.make_xs(jax.random.key(self.seed + 2), shape)

    def carry(self, *batch: int) -> Any:
        """A carry that is not the initial one."""
        carry = initial_carry(self.cell, self.params, batch, jax.random.key(self.seed + 3))
        shift = lambda a: a + 0.3 if jnp.issubdtype(a.dtype, jnp.floating) else a  # noqa: E731
        return jax.tree.map(shift, carry)

    def run(self, params: Any, carry: Any, xs: Any, **options: Any) -> Any:
        """`scan` of the cell."""
        return scan(self.cell, params, xs, carry, **options)

    @cached_property
    def masked(self) -> Any:
        """Values and gradients over SHORT steps of a batch of 3, compiled once for all laws about masks."""
        return jax.jit(lambda p, c, x, mask: outcome(self.run, p, c, x, mask=mask))


def outcome(run: Callable, params: Any, carry: Any, xs: Any, **options: Any) -> tuple[Any, Any]:
    """What `run` returns and the gradient of a fixed score of it in params, carry and xs (float leaves)."""
    floats, rebuild = split_floats((params, carry, xs))

    def score(floats: list[Any]) -> tuple[jax.Array, Any]:
        result = run(*rebuild(floats), **options)
        return total(result), result

    grads, result = jax.grad(score, has_aux=True)(floats)
    return result, rebuild(grads, keep=False)


def total(tree: Any) -> jax.Array:
    """A smooth scalar that feels every floating entry of the tree differently."""
    score = jnp.zeros(())
    for leaf in jax.tree.leaves(tree):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            phase = jnp.arange(leaf.size, dtype=leaf.dtype).reshape(leaf.shape)
            score = score + jnp.sum(jnp.sin(leaf + phase))
    return score


def _plain(leaf: Any) -> np.ndarray:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _same(what: str, found: Any, expected: Any, tolerance: float = 0.0) -> None:
    """Equal trees; bit for bit where the tolerance is 0, else relative to the largest entry or 1."""
    if jax.tree.structure(found) != jax.tree.structure(expected):
        raise LawError(f"{what}: {jax.tree.structure(found)} is not {jax.tree.structure(expected)}")
    pairs = zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected))
    for (path, a), b in pairs:
        a, b = _plain(a), _plain(b)
        if a.shape != b.shape:
            raise LawError(f"{what}: shape {a.shape} is not {b.shape} at {jax.tree_util.keystr(path)}")
        if a.size == 0 or np.array_equal(a, b):
            continue
        worst = float(np.max(np.abs(a.astype(float) - b.astype(float))))
        if not worst <= tolerance * max(1.0, float(np.max(np.abs(b.astype(float))))):
            raise LawError(f"{what}: differs by {worst:.3g} at {jax.tree_util.keystr(path)}")


def _sequence_is_the_fold_of_step(case: Case) -> str | None:
    if not case.cell.causal:
        try:
            case.cell.step(case.params, case.carry(3), case.xs(3))
        except NotCausalError:
            return "not tried: reads both directions, and its step says so"
        raise LawError("a cell that is not causal has a step")

    def fold(params: Any, carry: Any, xs: Any) -> Any:
        ys = []
        for t in range(SHORT):
            carry, y = case.cell.step(params, carry, jax.tree.map(lambda x: x[:, t], xs))
            ys.append(y)
        return carry, jax.tree.map(lambda *y: jnp.stack(y, axis=1), *ys)

    def halves(params: Any, carry: Any, xs: Any) -> Any:
        carry, first = case.run(params, carry, jax.tree.map(lambda x: x[:, :1], xs))
        carry, second = case.run(params, carry, jax.tree.map(lambda x: x[:, 1:], xs))
        return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), first, second)

    args = case.params, case.carry(3), case.xs(3, SHORT)
    want = case.masked(*args, np.ones((3, SHORT), bool))
    _same("fold of step", jax.jit(lambda *a: outcome(fold, *a))(*args), want, 1e-12)
    _same("two chunks", jax.jit(lambda *a: outcome(halves, *a))(*args), want, 1e-12)
    return None


def _padding_changes_nothing(case: Case) -> None:
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]], bool)
    params, carry, xs = case.params, case.carry(3), case.xs(3, SHORT)
    args = (params, carry, xs, mask)
    (last, ys), grads = want = case.masked(*args)
    for poison in POISONS:

        def spoil(x: jax.Array) -> jax.Array:
            real = mask.reshape(mask.shape + (1,) * (x.ndim - 2))
            bad = poison if jnp.issubdtype(x.dtype, jnp.floating) else -(10**6)
            return jnp.where(real, x, jnp.asarray(bad).astype(x.dtype))

        got = case.masked(params, carry, jax.tree.map(spoil, xs), mask)
        _same(f"{poison} in unreal steps", got, want)
    row = lambda tree: jax.tree.map(lambda a: a[1], tree)  # noqa: E731
    _same("carry after no real step", row(last), row(carry))
    for name, tree in (("ys", ys), ("gradient of xs", grads[2])):
        unreal = jax.tree.map(lambda a: a[~mask], tree)
        _same(f"{name} in unreal steps", unreal, jax.tree.map(jnp.zeros_like, unreal))


def _padded_equals_cut(case: Case) -> None:
    """A row with gaps gives what its real steps alone give."""
    mask = np.array([[1, 0, 1, 1]] * 3, bool)
    xs, carry = case.xs(3, SHORT), case.carry(3)
    got, _ = case.masked(case.params, carry, xs, mask)
    kept = jax.tree.map(lambda x: x[:, mask[0]], xs)
    last, ys = case.run(case.params, carry, kept)
    _same("carry over gaps", got[0], last, 1e-12)
    _same("ys over gaps", jax.tree.map(lambda y: y[:, mask[0]], got[1]), ys, 1e-12)


def _batch_rows_do_not_touch(case: Case) -> str | None:
    xs, carry = case.xs(3, SHORT), case.carry(3)
    if not all(jnp.issubdtype(x.dtype, jnp.floating) for x in jax.tree.leaves(xs)):
        return "not tried: inputs are whole numbers"
    mask = np.ones((3, SHORT), bool)
    bad = jax.tree.map(lambda x: x.at[1].set(jnp.nan), xs)
    rows = lambda tree: jax.tree.map(lambda a: a[np.array([0, 2])], tree)  # noqa: E731
    (got, got_grads), (want, want_grads) = (case.masked(case.params, carry, x, mask) for x in (bad, xs))
    _same("NaN in another row", rows((got, got_grads[1:])), rows((want, want_grads[1:])))
    return None


def _nothing_in_nothing_out(case: Case) -> None:
    for batch, steps in ((3, 0), (0, SHORT)):
        xs, carry = case.xs(batch, steps), case.carry(batch)
        last, ys = case.run(case.params, carry, xs)
        _same(f"carry for batch {batch}, {steps} steps", last, carry)
        for y in jax.tree.leaves(ys):
            if y.shape[:2] != (batch, steps):
                raise LawError(f"ys for batch {batch}, {steps} steps has shape {y.shape}")


def _outputs_do_not_see_the_future(case: Case) -> str | None:
    xs, carry = case.xs(SHORT), case.carry()
    ys_of = jax.jit(lambda x: case.run(case.params, carry, x)[1])
    if not case.cell.causal:
        return "not tried: reads both directions"
    if all(jnp.issubdtype(x.dtype, jnp.floating) for x in jax.tree.leaves(xs)):
        for block in jax.tree.leaves(jax.jit(jax.jacrev(ys_of))(xs)):
            future = np.triu(np.ones((SHORT, SHORT), bool), 1)
            sizes = np.abs(np.asarray(block)).reshape(SHORT, -1, SHORT, block.size // SHORT**2)
            seen = sizes.reshape(SHORT, -1, SHORT, max(1, block.shape[-1])).max(axis=(1, 3))
            if np.any(seen[future]):
                raise LawError(f"the Jacobian of ys sees the future:\n{seen}")
        return None
    other = jax.tree.map(lambda x: x.at[2:].set(x[:2]), xs)
    _same("ys before a change", *(jax.tree.map(lambda y: y[:2], ys_of(x)) for x in (other, xs)))
    return None


def _reverse_is_the_flip(case: Case) -> None:
    xs, carry = case.xs(3, SHORT), case.carry(3)
    flip = lambda tree: jax.tree.map(lambda a: a[:, ::-1], tree)  # noqa: E731
    got = case.run(case.params, carry, xs, reverse=True)
    if case.cell.causal:
        last, ys = case.run(case.params, carry, flip(xs))
        _same("reverse", got, (last, flip(ys)), 1e-12)


def _deferred_is_autodiff(case: Case) -> None:
    lengths, resets = np.array([LONG, 0, LONG // 2]), np.zeros((3, LONG), bool)
    resets[:, [0, 7, 40]] = True
    args = case.params, case.carry(3), case.xs(3, LONG)

    def run(**options: Any) -> Any:
        options |= {"lengths": lengths, "resets": resets}
        return jax.jit(lambda p, c, x: outcome(case.run, p, c, x, **options))(*args)

    want = run(gradient="autodiff")
    _same("deferred gradient", run(), want, 1e-12)
    _same("deferred gradient, sqrt checkpoint", run(checkpoint="sqrt"), want, 1e-12)


def along_directions(case: Case, gradient: str) -> Callable[[jax.Array], jax.Array]:
    """a `[3]` -> score, where a moves params, carry and xs along one random direction each."""
    point = case.params, case.carry(2), case.xs(2, SHORT)
    floats, rebuild = split_floats(point)
    keys = jax.random.split(jax.random.key(case.seed + 4), max(1, len(floats)))
    ways = [0.1 * jax.random.normal(k, x.shape, jnp.float64) for k, x in zip(keys, floats)]
    group = [i for i, part in enumerate(point) for _ in split_floats(part)[0]]

    def score(a: jax.Array) -> jax.Array:
        moved = [x + a[g] * w for x, w, g in zip(floats, ways, group)]
        return total(case.run(*rebuild(moved), gradient=gradient))

    return score


def _all_orders_and_modes(case: Case) -> None:
    """jvp and hessian of the deferred gradient against autodiff's, and against finite differences."""
    a, da, step = jnp.zeros(3), jnp.array([1.0, -0.5, 2.0]), 1e-5

    def derivatives(gradient: str) -> Any:
        f = along_directions(case, gradient)
        return jax.jit(lambda a: (jax.jvp(f, (a,), (da,)), jax.grad(f)(a), jax.hessian(f)(a)))

    fast = derivatives("deferred")
    found = (_, slope), gradient, hessian = fast(a)
    _same("jvp and hessian", found, derivatives("autodiff")(a), 1e-11)
    ahead, behind = fast(a + step * da), fast(a - step * da)
    _same("jvp by differences", (ahead[0][0] - behind[0][0]) / (2 * step), slope, 1e-6)
    _same("gradient and jvp", gradient @ da, slope, 1e-12)
    _same("hessian by differences", (ahead[1] - behind[1]) / (2 * step), hessian @ da, 1e-6)


def _vmap_over_params(case: Case) -> None:
    two = jax.tree.map(lambda p: jnp.stack([p, 1.1 * p]), case.params)
    rest = case.carry(3), case.xs(3, SHORT), np.ones((3, SHORT), bool)
    if not jax.tree.leaves(two):
        return
    together = jax.vmap(case.masked, in_axes=(0, None, None, None))(two, *rest)
    for i in range(2):
        alone = case.masked(jax.tree.map(lambda p: p[i], two), *rest)
        _same("vmap over params", jax.tree.map(lambda a: a[i], together), alone, 1e-12)


def _devices(case: Case) -> str | None:
    """One device against eight, by mesh (both kinds of axes) and by shard_map."""
    if len(jax.devices()) < 8:
        return "not tried: fewer than 8 devices (XLA_FLAGS=--xla_force_host_platform_device_count=8)"
    lengths = np.arange(8) % (SHORT + 1)
    carry = case.carry(8) if case.cell.random else None
    args = case.params, carry, case.xs(8, SHORT), lengths

    def score(params: Any, carry: Any, xs: Any, lengths: Any) -> jax.Array:
        return jnp.sum(jnp.stack([jnp.sum(jnp.sin(y)) for y in jax.tree.leaves(
            case.run(params, carry, xs, lengths=lengths)[1])]))  # fmt: skip

    def shard(*args: Any) -> Any:
        value, grads = jax.value_and_grad(score)(*args)
        return jax.lax.psum(value, "data"), grads

    want = jax.jit(jax.value_and_grad(score))(*args)
    whole, parted = PartitionSpec(), PartitionSpec("data")
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
        with jax.set_mesh(mesh):
            put = lambda tree, spec: jax.device_put(tree, NamedSharding(mesh, spec))  # noqa: E731
            placed = (put(args[0], whole), *(put(a, parted) for a in args[1:]))
            mapped = jax.shard_map(shard, in_specs=(whole, parted, parted, parted), out_specs=whole)
            for name, f in (("mesh", jax.value_and_grad(score)), ("shard_map", mapped)):
                _same(f"8 devices, {kind} {name}", jax.jit(f)(*placed), want, 1e-12)
    return None


def _dtypes(case: Case) -> None:
    """ys has the promoted dtype of params and xs; a carry keeps its own, and begins with float32 or wider."""
    cast = loop.cast_floats
    for p, x in (("f4", "f4"), ("bfloat16", "bfloat16"), ("f4", "bfloat16"), ("bfloat16", "f4"), ("f8", "f8")):
        params, xs = cast(case.params, p), cast(case.xs(3, SHORT), x)
        carry = initial_carry(case.cell, params, (3,), jax.random.key(0))
        last, ys = jax.eval_shape(case.run, params, carry, xs)
        dtype = loop.out_dtype(params, xs) if jax.tree.leaves(params) else jnp.dtype(x)
        found = {str(y.dtype) for y in jax.tree.leaves(ys)}
        if found != {str(dtype)}:
            raise LawError(f"params {p}, xs {x}: ys are {found}, expected {dtype}")
        for a, b in zip(jax.tree.leaves(last), jax.tree.leaves(carry)):
            if a.dtype != b.dtype or jnp.issubdtype(b.dtype, jnp.floating) and b.dtype.itemsize < 4:
                raise LawError(f"params {p}, xs {x}: a carry goes in as {b.dtype}, comes out as {a.dtype}")


def _equal_cells_are_one(case: Case) -> None:
    """Equality, hash, pickle and print; one trace for equal cells, and for all lengths of a padded batch."""
    cell, traces = case.cell, []

    def traced(cell: Cell, params: Any, xs: Any, carry: Any, lengths: Any) -> Any:
        traces.append(cell)
        return scan(cell, params, xs, carry, lengths=lengths)

    other = pickle.loads(pickle.dumps(cell))
    if (other, hash(other), repr(other)) != (cell, hash(cell), repr(cell)):
        raise LawError(f"{cell!r} changes when pickled, to {other!r}")
    f = jax.jit(traced, static_argnums=0)
    for each, longest in ((cell, SHORT), (other, 1), (cell, 0)):
        f(each, case.params, case.xs(3, SHORT), case.carry(3), np.array([0, 1, longest]))
    if len(traces) != 1:
        raise LawError(f"{len(traces)} traces for equal cells and a sweep of lengths, expected 1")


_LAWS = (
    _equal_cells_are_one,
    _dtypes,
    _sequence_is_the_fold_of_step,
    _nothing_in_nothing_out,
    _padding_changes_nothing,
    _padded_equals_cut,
    _batch_rows_do_not_touch,
    _outputs_do_not_see_the_future,
    _reverse_is_the_flip,
    _deferred_is_autodiff,
    _all_orders_and_modes,
    _vmap_over_params,
    _devices,
)
