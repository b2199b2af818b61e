"""The parts of the law about derivatives, transformations, devices, dtypes and identity."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqjax._internal.trees import cast_floats, is_inexact, out_dtype, real_dtype, split_inexact
from seqjax._internal.types import Array, Carry, DTypeLike, Int, Pair, PyTree
from seqjax.core.held import without_held
from seqjax.testing.case import LONG, SHORT, Case, LawError, by_numpy, check_same, run_with_gradients, score_along


def deferred_is_autodiff(case: Case) -> None:
    """Over several chunks, with lengths and resets, and with the sqrt checkpoint."""
    lengths, resets = np.array([LONG, 0, LONG // 2]), np.zeros((3, LONG), bool)
    resets[:, [0, 7, *range(40, LONG, 30)]] = True  # often, as a linear recurrence may grow without bound
    args = case.params, case.carry(3), case.xs(3, LONG)

    def run(**options: Any) -> Pair:
        options |= {"lengths": lengths, "resets": resets}
        return jax.jit(lambda p, c, x: run_with_gradients(case.run, p, c, x, **options))(*args)

    want = run(gradient="autodiff")
    check_same("deferred gradient", run(), want, 1e-12)
    check_same("deferred gradient, sqrt checkpoint", run(checkpoint="sqrt"), want, 1e-12)


def all_orders_and_modes(case: Case) -> None:
    """Jvp and hessian of the deferred gradient against autodiff's, and against finite differences."""
    a, da, step = np.zeros(3), np.array([1.0, -0.5, 2.0]), 1e-5

    def derivatives(gradient: str) -> Any:
        f = score_along(case, gradient)
        twice = jax.jacfwd(lambda a: (jax.grad(f)(a),) * 2, has_aux=True)  # the hessian and, on its way, the gradient
        return jax.jit(lambda a: (jax.jvp(f, (a,), (da,)), *twice(a)))

    fast = derivatives("deferred")
    found = (_, slope), hessian, gradient = fast(a)
    check_same("jvp and hessian", found, derivatives("autodiff")(a), 1e-11)
    ahead, behind = fast(a + step * da), fast(a - step * da)
    check_same("jvp by differences", (ahead[0][0] - behind[0][0]) / (2 * step), slope, 1e-6)
    check_same("gradient and jvp", gradient @ da, slope, 1e-12)
    check_same("hessian by differences", (ahead[2] - behind[2]) / (2 * step), hessian @ da, 1e-6)


def vmap_over_params(case: Case) -> str | None:
    """Two sets of parameters at once are each alone."""
    two = jax.tree.map(lambda p: np.stack([p, 1.1 * np.asarray(p) if is_inexact(p) else p]), case.params)
    rest = case.carry(3), case.xs(3, SHORT), np.ones((3, SHORT), bool)
    if not jax.tree.leaves(two):
        return "not tried: there are no parameters"
    together = jax.vmap(case.run_masked, in_axes=(0, None, None, None))(two, *rest)
    for i in range(2):
        alone = case.run_masked(by_numpy(lambda p: p[i], two), *rest)
        check_same("vmap over params", by_numpy(lambda a: a[i], together), alone, 1e-12)
    return None


def devices(case: Case) -> str | None:
    """One device against eight, by mesh (both kinds of axes) and by shard_map."""
    if len(jax.devices()) < 8:
        return "not tried: fewer than 8 devices (XLA_FLAGS=--xla_force_host_platform_device_count=8)"
    lengths = np.arange(8) % (SHORT + 1)
    carry = case.carry(8) if case.cell.asks else None
    moved, rebuild = split_inexact(case.params)
    args = moved, carry, case.xs(8, SHORT), lengths

    def score(moved: Any, carry: Carry, xs: PyTree, lengths: Int[Array, " B"]) -> jax.Array:
        params = rebuild(moved)
        return jnp.sum(jnp.stack([jnp.sum(jnp.sin(y)) for y in jax.tree.leaves(
            case.run(params, carry, xs, lengths=lengths)[1])]))  # fmt: skip

    def shard(*args: Any) -> Any:
        value, grads = jax.value_and_grad(score)(*args)
        return jax.lax.psum(value, "data"), grads

    want = jax.jit(jax.value_and_grad(score))(*args)
    replicated, sharded = PartitionSpec(), PartitionSpec("data")
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
        with jax.set_mesh(mesh):
            put = lambda tree, spec: jax.device_put(tree, NamedSharding(mesh, spec))
            placed = (put(args[0], replicated), *(put(a, sharded) for a in args[1:]))
            check_same(f"8 devices, {kind} mesh", jax.jit(jax.value_and_grad(score))(*placed), want, 1e-12)
            if kind is AxisType.Explicit:  # inside shard_map the axes are manual, whatever they are outside
                mapped = jax.shard_map(shard, in_specs=(replicated, sharded, sharded, sharded), out_specs=replicated)
                check_same("8 devices, shard_map", jax.jit(mapped)(*placed), want, 1e-12)
    return None


def dtypes(case: Case) -> None:
    """Ys has the promoted dtype of params and xs; a carry keeps its own, and begins with float32 or wider."""
    cast = cast_floats
    for p, x in (("f4", "f4"), ("bfloat16", "bfloat16"), ("f4", "bfloat16"), ("bfloat16", "f4"), ("f8", "f8")):
        params, xs = cast(case.params, p), cast(case.xs(3, SHORT), x)
        carry = jax.eval_shape(lambda params=params: case.begin(params, (3,)))
        last, ys = jax.eval_shape(case.run, params, carry, xs)
        dtype = out_dtype(params, xs) if jax.tree.leaves(params) else jnp.dtype(x)
        found = {str(real_dtype(y.dtype)) for y in jax.tree.leaves(ys) if is_inexact(y)}
        if not found <= {str(real_dtype(dtype))}:
            raise LawError(
                f"params {p}, xs {x}: ys are {', '.join(found)}, expected {real_dtype(dtype)}. An output has the "
                "promoted dtype of params and xs: end step (or apply) with y.astype(jnp.result_type(params[...], x))"
                + _wide_carry(carry, dtype)
            )
        for a, b in zip(jax.tree.leaves(without_held(last)), jax.tree.leaves(without_held(carry))):
            if a.dtype != b.dtype:
                raise LawError(f"params {p}, xs {x}: a carry goes in as {b.dtype}, comes out as {a.dtype}")
            if is_inexact(b) and jnp.finfo(b.dtype).bits < 32 and not case.cell.narrow:
                raise LawError(
                    f"params {p}, xs {x}: the carry begins as {b.dtype}, expected float32 or wider. Make it with "
                    "jnp.promote_types(params[...].dtype, jnp.float32), or say narrow = True for a cache"
                )


def _wide_carry(carry: Carry, dtype: DTypeLike) -> str:
    """The commonest slip: jnp.zeros without a dtype."""
    wide = jnp.promote_types(real_dtype(dtype), jnp.float32)
    if not any(is_inexact(c) and jnp.finfo(c.dtype).bits > jnp.finfo(wide).bits for c in jax.tree.leaves(carry)):
        return ""
    return (
        f". Its carry begins wider than {wide}: make it as jnp.promote_types(params[...].dtype, jnp.float32), "
        "not the default one"
    )


def equal_cells_are_one(case: Case) -> None:
    """Equality, hash, pickle and print; one trace for equal cells, and for all lengths of a padded batch."""
    cell = case.cell
    try:
        other = pickle.loads(pickle.dumps(cell))
    except (pickle.PicklingError, AttributeError) as error:
        raise LawError(f"{cell!r} cannot be pickled ({error}). Define its class at the top of a module") from error
    if (other, hash(other), repr(other)) != (cell, hash(cell), repr(cell)):
        raise LawError(f"{cell!r} changes when pickled, to {other!r}")
    for each, longest in ((cell, SHORT), (other, 1), (cell, 0)):
        case.run_lengths(each, case.params, case.xs(3, SHORT), case.carry(3), np.array([0, 1, longest]))
    if len(case.traced) != 1:
        raise LawError(f"{len(case.traced)} traces for equal cells and a sweep of lengths, expected 1")
