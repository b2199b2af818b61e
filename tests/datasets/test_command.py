"""`python -m seqjax.datasets`."""

import pytest

from seqjax import datasets
from seqjax.datasets import __main__ as command
from tests.datasets.test_cache import flipped
from tests.datasets.tiny import kept


def test_the_command(tiny, capsys):
    assert command.main([]) == 0
    listing = capsys.readouterr().out
    assert all(name in listing for name in datasets.names()) and str(tiny / "cache") in listing
    (line,) = (line for line in listing.splitlines() if line.startswith("tiny"))
    assert line.split()[:6] == ["tiny", "1", "+", "1", "0.0", "-"]
    assert command.main(["verify", "tiny"]) == 0 and "nothing is kept" in capsys.readouterr().out
    assert command.main(["verify"]) == 0 and "FAILED" not in capsys.readouterr().out
    assert (
        command.main(["fetch", "tiny"]) == 0
        and "fetched: train 1 (5 steps), test 1 (6 steps)" in capsys.readouterr().out
    )
    assert command.main(["fetch", "tiny"]) == 0 and "kept already" in capsys.readouterr().out
    assert command.main(["verify", "tiny"]) == 0 and "good: train 1" in capsys.readouterr().out
    assert command.main(["show", "tiny"]) == 0 and "sha256" in capsys.readouterr().out
    flipped(kept(tiny))
    assert command.main(["verify", "tiny"]) == 1 and "FAILED: " in capsys.readouterr().out
    assert command.main(["fetch", "shakespear"]) == 2 and "Perhaps you meant 'shakespeare'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        command.main(["frobnicate"])
    assert end.value.code == 2
