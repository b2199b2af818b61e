"""Descriptions of models: every parameter once, shapes as they come out, and tables that are escaped."""

import math

import jax
import jax.numpy as jnp
import pytest

import seqjax as sj


def test_every_parameter_is_in_one_layer():
    model = sj.stack(embed=sj.Embed(7, 3), rest=sj.stack(sj.bidirectional(sj.LSTM(4)), sj.Dense(2)))
    params = model.init(jax.random.key(0), 1)
    found = sj.describe(model, params, jax.ShapeDtypeStruct((2, 5), jnp.int32))
    assert [layer.path for layer in found.layers] == ["embed", "rest/0", "rest/1"]
    assert [layer.output for layer in found.layers] == [(3,), (8,), (2,)]
    assert found.parameters == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert found.size == sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    assert found.layers[0].shapes == {"table": (7, 3)}
    assert all(layer.parameters == sum(map(math.prod, layer.shapes.values())) for layer in found.layers)
    assert found.paths == tuple(sj.explain(model, params, jnp.zeros((2, 5), int)).splitlines())


def test_a_lone_cell_of_another_dtype_and_shapes_alone():
    cell = sj.LSTM(4)
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), 3, "bfloat16"))
    found = sj.describe(cell, params)
    assert (found.layers[0].path, found.size, found.paths) == ("", 2 * found.parameters, ())
    assert found.layers[0].output is None


def test_tables_hold_numbers_and_no_html_of_others():
    cell = sj.RNN(16)
    found = sj.describe(cell, cell.init(jax.random.key(0), 100))
    assert "100×16" in repr(found) and "1,872" in repr(found)  # 100 x 16 + 16 x 16 + 16
    odd = sj.Description((found.layers[0]._replace(cell="<b>"),), ("x < y",))._repr_html_()
    assert "&lt;b&gt;" in odd and "x &lt; y" in odd and "<b>" not in odd


def test_what_cannot_be_right_is_named():
    with pytest.raises(sj.ArgumentTypeError, match="cell must be a seqjax.Cell, found dict"):
        sj.describe({}, sj.RNN(2))
    cell = sj.RNN(2)
    params = cell.init(jax.random.key(0), 3)
    with pytest.raises(sj.ArgumentError, match="features"):
        sj.describe(cell, params, jnp.zeros((1, 2, 4)))
