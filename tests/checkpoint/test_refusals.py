"""What does not fit, cannot be saved or is a wrong call is refused by name; JSON comes back as it was."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
pytest.importorskip("optax", reason="optax is not installed (extra train)")

from hypothesis import given
from hypothesis import strategies as st

from seqjax import LSTM, ArgumentError, ArgumentTypeError
from seqjax.checkpoint import Checkpoints
from seqjax.checkpoint._json import decode, encode


def template():
    return {
        "p": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)},
        "key": jax.random.key(0),
        "n": 0,
        "np": np.zeros(2),
    }


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"p": {"kernel": jnp.zeros((2, 3))}}, ArgumentError, r"also has \['p'\]\['bias'\]. Another cell"),
        ({"q": jnp.zeros(2)}, ArgumentError, r"the checkpoint lacks \['q'\]"),
        ({"p": {"kernel": jnp.zeros((2, 3)), "bios": jnp.zeros(3)}}, ArgumentError, r"lacks \['p'\]\['bios'\] and also has \['p'\]\['bias'\]"),
        ({"p": {"kernel": jnp.zeros((2, 4)), "bias": jnp.zeros(3)}}, ArgumentError, r"template\['p'\]\['kernel'\] does not fit .*float32\[2, 3\], the template float32\[2, 4\]"),
        ({"p": {"kernel": jnp.zeros((2, 3), jnp.bfloat16), "bias": jnp.zeros(3)}}, ArgumentTypeError, r"the checkpoint has float32\[2, 3\], the template bfloat16\[2, 3\]"),
        ({"np": np.zeros(2, np.float32)}, ArgumentTypeError, r"float64\[2\], the template float32\[2\].*jax_enable_x64"),
        ({"key": jax.random.key(0, impl="rbg")}, ArgumentTypeError, r"key<fry>\[\], the template key<rbg>\[\]"),
        ({"key": jax.random.PRNGKey(0)}, ArgumentError, r"template\['key'\]"),
        ({"n": jnp.int32(0)}, ArgumentError, r"the checkpoint has a Python int, the template int32\[\]"),
        ({"n": False}, ArgumentTypeError, r"a Python int, the template a Python bool"),
        ({"n": None}, ArgumentError, r"also has \['n'\]"),
        ({"n": object()}, ArgumentTypeError, r"template\['n'\] must be an array"),
    ],
)  # fmt: skip
def test_another_template_is_refused(saved, change, error, message):
    with pytest.raises(error, match=message):
        Checkpoints(saved).restore(template() | change)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    Checkpoints(folder).save(3, template())
    return folder


def test_64_bits_are_not_cut(tmp_path):
    Checkpoints(tmp_path).save(0, np.arange(3.0))
    with pytest.raises(ArgumentTypeError, match="float64, which needs jax_enable_x64"):
        Checkpoints(tmp_path).restore(jax.ShapeDtypeStruct((3,), np.dtype("float64")))


def donated():
    x = jnp.arange(3.0)
    x.delete()
    return x


@pytest.mark.parametrize(
    "tree, error, message",
    [
        ({"a": [1, object()]}, ArgumentTypeError, r"tree\['a'\]\[1\] must be an array, a key, int"),
        ({"a": 1j}, ArgumentTypeError, "found complex"),
        ({"a": np.array(["x"])}, ArgumentTypeError, "dtype <U1"),
        ({"a": np.array([None])}, ArgumentTypeError, "dtype object"),
        ({"a": np.zeros(2, ">f4")}, ArgumentTypeError, "native byte order"),
        ({"a": np.ma.array([1, 2], mask=[True, False])}, ArgumentTypeError, "MaskedArray"),
        ({"a": jax.ShapeDtypeStruct((2,), np.float32)}, ArgumentTypeError, "ShapeDtypeStruct"),
        (donated, ArgumentError, "has been deleted. Donated"),
    ],
)
def test_a_leaf_that_cannot_be_kept_is_refused(tmp_path, tree, error, message):
    with pytest.raises(error, match=message):
        Checkpoints(tmp_path / "x").save(0, tree() if callable(tree) else tree)
    assert not (tmp_path / "x").exists()


def test_not_inside_jit(tmp_path):
    with pytest.raises(ArgumentTypeError, match="is traced. A checkpoint inside jit"):
        jax.jit(lambda x: Checkpoints(tmp_path).save(0, x))(jnp.zeros(3))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda c: c(keep=0), ArgumentError, "keep must be a whole number of at least 1, found 0"),
        (lambda c: c(keep=True), ArgumentTypeError, "keep"),
        (lambda c: c(every=0), ArgumentError, "every must be a whole number of at least 1, found 0"),
        (lambda c: c(in_features=None), ArgumentTypeError, "in_features must be a whole number"),
        (lambda c: c(cell=LSTM), ArgumentTypeError, r"cell: expected a cell.*Write LSTM"),
        (lambda c: Checkpoints(None), ArgumentTypeError, "folder must be a path"),
        (lambda c: Checkpoints(""), ArgumentTypeError, "folder must be a path"),
        (lambda c: c().save(-1, {}), ArgumentError, r"step must be in \[0, 2\*\*31\), found -1"),
        (lambda c: c().save(jnp.int32(1), {}), ArgumentTypeError, r"step must be an int.* Write int\(step\)"),
        (lambda c: c().save(True, {}), ArgumentTypeError, "step"),
        (lambda c: c().restore({}, 1.0), ArgumentTypeError, "step"),
        (lambda c: c().save(0, {}, [1]), ArgumentTypeError, "meta must be a dict, found list"),
        (lambda c: c().save(0, {}, {"a": {"b": (1, 2)}}), ArgumentTypeError, r"meta\['a'\]\['b'\] .*tuple \(1, 2\).*list\(x\)"),
        (lambda c: c().save(0, {}, {"a": [np.float64(1)]}), ArgumentTypeError, r"meta\['a'\]\[0\] .*float64.*Write float\(x\)"),
        (lambda c: c().save(0, {}, {1: 2}), ArgumentTypeError, r"key 1, expected text. Write str\(key\)"),
        (lambda c: c().save(0, {}, {"$float": "x"}), ArgumentError, "Another name"),
    ],
)  # fmt: skip
def test_wrong_calls_are_named(tmp_path, call, error, message):
    with pytest.raises(error, match=message):
        call(lambda **options: Checkpoints(tmp_path / "x", **options))
    assert not (tmp_path / "x").exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda k: k != "$float"), inner),
)


@given(JSON)
def test_json_comes_back_as_it_was(value):
    text = encode("meta", value)
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert repr(decode(text)) == repr(value)
