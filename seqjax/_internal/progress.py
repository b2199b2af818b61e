"""How far a piece of work is: a bar of tqdm, where tqdm is installed."""

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

INTERVAL = 10.0  # seconds between lines where nothing can move


class Bar:
    """What `bar` gives; by itself one that shows nothing."""

    def update(self, done: int, values: Mapping[str, object] | None = None) -> None:
        """So much is done in all; `values` whose numbers are floats stand beside the bar."""


class _Tqdm(Bar):
    def __init__(self, shown: Any) -> None:
        self._shown = shown
        self._values: dict[str, float] = {}

    def update(self, done: int, values: Mapping[str, object] | None = None) -> None:
        self._values |= {name: value for name, value in (values or {}).items() if isinstance(value, float)}
        words = "  ".join(f"{name} {value:.4g}" for name, value in self._values.items())
        self._shown.set_postfix_str(words, refresh=False)
        self._shown.update(done - self._shown.n)  # drawn if it is time to


class _Lines:
    """A stream for tqdm whose every drawing becomes a line, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = ""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line and line != self._last:
            self._stream.write(line + "\n")
            self._last = line

    def flush(self) -> None:
        self._stream.flush()


@contextlib.contextmanager
def bar(total: int | None, initial: int = 0, unit: str = "steps", description: str | None = None) -> Iterator[Bar]:
    """A bar while the block runs: `with bar(100) as shown: ...; shown.update(step, {"loss": 0.1})`.

    It moves on a terminal and in a notebook (as text: no widgets are needed), and is a line now and then elsewhere.

    Args:
        total: how much is to be done; None where that is not known.
        initial: how much of it is done already.
        unit: of what; "B" are bytes, shown as kB and MB.
        description: what is done, in front of the bar.
    """
    try:
        from tqdm.std import tqdm
    except ImportError:
        yield Bar()
        return
    notebook = _in_notebook()
    stream = sys.stdout if notebook else sys.stderr  # notebooks colour stderr as an error
    moving = notebook or stream.isatty()
    size = shutil.get_terminal_size((100, 24))  # tqdm shows nothing on a terminal that does not say its size

    class Quiet(tqdm):
        monitor_interval = 0  # no thread that watches over bars

    with Quiet(
        total=total,
        initial=initial,
        unit=unit if unit == "B" else f" {unit}",
        unit_scale=unit == "B",
        desc=description,
        file=stream if moving else _Lines(stream),
        mininterval=0.1 if moving else INTERVAL,
        ncols=size.columns if moving else 0,  # 0: numbers without a bar
        nrows=size.lines,
        miniters=1,
    ) as shown:
        yield _Tqdm(shown)


def _in_notebook() -> bool:
    """Whether a kernel of Jupyter runs this; that a package of Jupyter has been imported says nothing."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel") and not sys.stderr.isatty()
