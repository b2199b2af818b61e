"""How well each key fits a query: the scores of decoders that are recurrent nets.

Axes: `B` batch (any number of axes, also none), `S` keys (the source), `D` features of the query (the decoder's state),
`E` of a key (an encoder's output), `F` hidden features. Parameters are made by `init_score`; a decoder projects the
keys once for all its steps with `project_keys`.
"""

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Array, Float, Params
from seqjax._internal.validation import true_or_false
from seqjax.attention._score_checks import check_flags, check_last, check_parts, check_vectors
from seqjax.attention.terms import wide_dtype
from seqjax.errors import ArgumentError


def additive(
    params: Params, query: Float[Array, "*B D"], keys: Float[Array, "*B S E"], *, projected: bool = False
) -> Float[jax.Array, "*B S"]:
    """Bahdanau et al. 2015:  e_s = v . tanh(W q + U k_s).

    Args:
        params: query W `[D, F]`, keys U `[E, F]`, v `[F]`; and where they are there, as `init_score("monotonic", ...)`
            makes them, bias b `[F]`, scale g and offset r `[]`: e_s = g v/|v| . tanh(W q + U k_s + b) + r (Raffel et
            al. 2017, eq. 16).
        query, keys: `[*B, D]` and `[*B, S, E]`, or keys `[*B, S, F]` from `project_keys` with projected=True.

    Returns:
        Scores in float32 or wider.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not fit.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> params = {"query": jnp.ones((1, 1)), "keys": jnp.ones((1, 1)), "v": jnp.array([2.0])}
        >>> print(attention.additive(params, jnp.array([0.5]), jnp.array([[-0.5], [0.5]])))
        [0.        1.5231884]
    """
    check_parts("additive", params, ("query", "keys", "v"))
    return _energy(params, _hidden(params, query, keys, projected))


def dot(query: Float[Array, "*B D"], keys: Float[Array, "*B S D"]) -> Float[jax.Array, "*B S"]:
    """Luong et al. 2015, "dot":  e_s = q . k_s, in float32 or wider.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not fit.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> attention.dot(jnp.array([1.0, 2.0]), jnp.array([[3.0, 0.0], [0.0, 3.0]])).tolist()
        [3.0, 6.0]
    """
    query, keys = check_vectors(query, keys)
    check_last("keys", keys, query.shape[-1], 'the features of the query; "general" takes other ones')
    return jnp.einsum("...d,...sd->...s", query, keys, preferred_element_type=wide_dtype(query.dtype))


def general(
    params: Params, query: Float[Array, "*B D"], keys: Float[Array, "*B S E"], *, projected: bool = False
) -> Float[jax.Array, "*B S"]:
    """Luong et al. 2015, "general":  e_s = q . W k_s, in float32 or wider.

    Args:
        params: kernel W `[D, E]`.
        query, keys, projected: as in `additive`; projected keys W k are `[*B, S, D]`.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not fit.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> attention.general({"kernel": jnp.array([[2.0, 0.0]])}, jnp.array([3.0]), jnp.eye(2)).tolist()
        [6.0, 0.0]
    """
    check_parts("general", params, ("kernel",))
    query, keys = check_vectors(query, keys)
    kernel = params["kernel"]
    check_last("query", query, kernel.shape[0], "the rows of the kernel")
    if true_or_false("projected", projected):
        return dot(query, keys)
    check_last("keys", keys, kernel.shape[1], "the columns of the kernel")
    return dot(jnp.einsum("...d,de->...e", query, kernel), keys)


def concat(
    params: Params, query: Float[Array, "*B D"], keys: Float[Array, "*B S E"], *, projected: bool = False
) -> Float[jax.Array, "*B S"]:
    """Luong et al. 2015, "concat":  e_s = v . tanh(W [q; k_s]), in float32 or wider.

    Args:
        params: kernel W `[D + E, F]`, rows of the query first, v `[F]`.
        query, keys, projected: as in `additive`.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not fit.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> params = {"kernel": jnp.ones((2, 1)), "v": jnp.array([2.0])}
        >>> print(attention.concat(params, jnp.array([0.5]), jnp.array([[-0.5], [0.5]])))
        [0.        1.5231884]
    """
    check_parts("concat", params, ("kernel", "v"))
    query, keys = check_vectors(query, keys)
    kernel, features = params["kernel"], query.shape[-1]
    parts = {"query": kernel[:features], "keys": kernel[features:]}
    return _energy(params, _hidden(parts, query, keys, projected))


def location(
    params: Params,
    query: Float[Array, "*B D"],
    keys: Float[Array, "*B S E"],
    previous: Float[Array, "*B S"],
    *,
    projected: bool = False,
) -> Float[jax.Array, "*B S"]:
    """Location-aware, Chorowski et al. 2015:  e_s = v . tanh(W q + U k_s + L f_s + b), in float32 or wider.

    f is the convolution of the weights of the step before with C filters of width R, centred and with zeros beyond
    the ends: f_sc = sum_m filter[m, c] previous[s + m - (R - 1)/2].

    Args:
        params: query W `[D, F]`, keys U `[E, F]`, location L `[C, F]`, filter `[R, C]`, R odd, bias b and v `[F]`.
        query, keys, projected: as in `additive`.
        previous: weights `[*B, S]` of the step before; zeros at the first step.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not fit, an even R.

        >>> import jax
        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> params = attention.init_score("location", jax.random.key(0), 2, 3, 4)
        >>> attention.location(params, jnp.ones(2), jnp.ones((5, 3)), jnp.zeros(5)).shape
        (5,)
    """
    check_parts("location", params, ("query", "keys", "location", "filter", "bias", "v"))
    query, keys = check_vectors(query, keys)
    check_flags("previous", previous, keys, jnp.floating)
    if params["filter"].shape[0] % 2 == 0:
        raise ArgumentError(f"filters must have an odd width, as they are centred, found {params['filter'].shape}")
    features = _convolve(previous, params["filter"]) @ jnp.asarray(params["location"])
    return _energy(params, _hidden(params, query, keys, projected) + features)


def _convolve(weights: Float[Array, "*B S"], filters: Float[Array, "R C"]) -> Float[jax.Array, "*B S C"]:
    """Each filter centred on each key; as a product, as a convolution takes no batch that explicit meshes shard."""
    dtype = wide_dtype(jnp.result_type(weights, filters))
    width, steps = filters.shape[0], weights.shape[-1]
    beyond = (width // 2, width // 2, 0)
    padded = lax.pad(jnp.asarray(weights, dtype), jnp.zeros((), dtype), [(0, 0, 0)] * (weights.ndim - 1) + [beyond])
    windows = jnp.stack([padded[..., m : m + steps] for m in range(width)], axis=-1)
    return jnp.einsum("...sm,mc->...sc", windows, jnp.asarray(filters, dtype))


def _hidden(params: Params, query: Array, keys: Array, projected: bool) -> Float[jax.Array, "*B S F"]:
    """W q + U k_s, and b where there is one, in float32 or wider."""
    query, keys = check_vectors(query, keys)
    wide = wide_dtype(jnp.result_type(query, params["query"], keys))
    check_last("query", query, params["query"].shape[0], "the rows of the kernel of queries")
    of_query = jnp.einsum("...d,df->...f", query, params["query"], preferred_element_type=wide)
    if "bias" in params:
        of_query = of_query + params["bias"].astype(wide).reshape((1,) * (of_query.ndim - 1) + (-1,))
    if true_or_false("projected", projected):
        check_last("keys", keys, params["keys"].shape[1], "the hidden features, as they are projected")
        return of_query[..., None, :] + keys.astype(wide)
    check_last(
        "keys", keys, params["keys"].shape[0], "the rows of the kernel of keys; projected ones need projected=True"
    )
    return of_query[..., None, :] + jnp.einsum("...se,ef->...sf", keys, params["keys"], preferred_element_type=wide)


def _energy(params: Params, hidden: Float[jax.Array, "*B S F"]) -> Float[jax.Array, "*B S"]:
    """v . tanh(hidden), and with scale and offset where they are there."""
    v = jnp.asarray(params["v"]).astype(hidden.dtype)
    if "scale" in params:
        v = params["scale"].astype(hidden.dtype) * v / jnp.linalg.norm(v)
    scores = jnp.einsum("...sf,f->...s", jnp.tanh(hidden), v)
    return scores + params["offset"].astype(hidden.dtype) if "offset" in params else scores
