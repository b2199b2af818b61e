"""A module of Linen as pure functions of its variables, as `seqjax.interop.modules` has those of NNX."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from flax.errors import InvalidRngError

from seqjax._internal.types import Key, Pair, Params
from seqjax.interop.modules import Variables, only, refuse_statistics


class LinenFunctions:
    """A module of Linen, which makes its variables when it sees an input, `inputs()`."""

    def __init__(self, module: linen.Module, inputs: Callable[[], tuple[Any, ...]]) -> None:
        self.module, self._inputs = module, inputs

    def init(self, key: Key[jax.Array, ""]) -> tuple[Params, Variables]:
        for_params, for_dropout = jax.random.split(key)
        collections = dict(self.module.init({"params": for_params, "dropout": for_dropout}, *self._inputs()))
        params = collections.pop("params", {})
        if "batch_stats" in collections:
            refuse_statistics()
        collections.pop("intermediates", None)
        return params, Variables(collections, {"key": for_dropout, "count": jnp.zeros((), "uint32")})

    def call(self, params: Params, variables: Variables, *args: Any, method: str = "__call__", **options: Any) -> Pair:
        state, random = variables
        rngs = {"dropout": jax.random.fold_in(random["key"], random["count"])} if random else {}
        collections = {"params": params, **state}
        output, after = self.module.apply(collections, *args, rngs=rngs, mutable=list(state), method=method, **options)
        if random:
            random = {"key": random["key"], "count": random["count"] + 1}
        return Variables(only(dict(after), state), random), output

    def draws(self, *args: Any) -> bool:
        """Whether a call draws random numbers."""

        def run(key: Key[jax.Array, ""]) -> Any:
            params, variables = self.init(key)
            return self.call(params, variables._replace(random={}), *args)[1]

        try:
            jax.eval_shape(run, jax.random.key(0))
        except InvalidRngError:
            return True
        return False
