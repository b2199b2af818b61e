"""Cells in Jupyter."""

from xml.etree import ElementTree

import pytest

import seqjax as sj
from seqjax import seq2seq
from tests.table import TABLE


@pytest.mark.parametrize("cell", [row.cell for row in TABLE], ids=repr)
def test_every_cell_is_well_formed_html_with_the_names_of_what_is_within(cell):
    text = "".join(_tree(cell).itertext())
    assert repr(cell).split("(")[0] in text
    assert str(cell.out_features or "") in text


def _tree(cell):
    return ElementTree.fromstring(f"<div>{cell._repr_html_()}</div>")


def test_paths_are_those_of_parameters():
    cell = sj.stack(embed=sj.Embed(9, 4), both=sj.bidirectional(sj.LSTM(4)), out=sj.residual(sj.Dense(8)))
    paths = [found.text for found in _tree(cell).iter("b")]
    assert paths == ["embed", "both", "forward", "backward", "out"]
    calls = [found.text for found in _tree(cell).iter("code")]
    both = ["bidirectional(...)", "LSTM(4)", "LSTM(4)"]
    assert calls == ["stack(...)", "Embed(9, 4)", *both, "residual(...)", "Dense(8)"]
    assert "4 features · gates i, f, g, o" in "".join(_tree(cell).itertext())


def test_cells_side_by_side_have_their_names():
    decoder = sj.stack(sj.Embed(5, 3), seq2seq.attend(sj.GRU(4)))
    cell = seq2seq.EncoderDecoder(sj.stack(sj.Embed(5, 3), sj.GRU(2)), decoder, begin=0)
    assert [found.text for found in _tree(cell).iter("b")] == ["encoder", "0", "1", "decoder", "0", "1"]


def test_options_of_a_compound_cell_are_told_and_a_default_is_not():
    assert next(_tree(sj.bidirectional(sj.GRU(1), merge="sum")).iter("code")).text == "bidirectional(..., merge='sum')"
    assert next(_tree(sj.repeat(sj.GRU(1), 3)).iter("code")).text == "repeat(..., layers=3)"
    assert "1 feature " in "".join(_tree(sj.GRU(1)).itertext())


def test_the_first_line_of_a_docstring_is_a_tooltip_and_everything_is_escaped():
    class Odd(sj.Cell):
        """Less < more & "so".

        Not this.
        """

        word: str = "<b>"

    (row,) = _tree(Odd("</div>"))
    assert row.get("title") == 'Less < more & "so".'
    assert row.find("code").text == "Odd(word='</div>')"  # and no features, which it has not named yet
