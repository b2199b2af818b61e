"""How far a training is: one moving line on a terminal and in a notebook, a line now and then elsewhere."""

import sys
import time
from typing import Any, TextIO

INTERVAL = {True: 0.1, False: 10.0}  # seconds between drawings of a moving line, and between lines


class Progress:
    """Steps so far, the latest values, steps a second, and the time to go."""

    def __init__(self, start: int, total: int, stream: TextIO | None = None, moving: bool | None = None) -> None:
        notebook = _notebook()
        self._stream = stream or (sys.stdout if notebook else sys.stderr)
        self._moving = notebook or self._stream.isatty() if moving is None else moving
        self._total, self._width = total, 0
        self._values: dict[str, Any] = {}
        self._drawn: tuple[int, float] | None = None
        self._mark = (start, time.monotonic())
        self._speed = 0.0
        self._step = start

    def show(self, step: int, values: dict[str, Any]) -> None:
        """Values known after `step` steps; drawn if it is time to."""
        self._step = step
        self._values |= {name: value for name, value in values.items() if isinstance(value, float)}
        now = time.monotonic()
        if self._drawn is None or now - self._drawn[1] >= INTERVAL[self._moving]:
            self._draw(now)

    def close(self) -> None:
        """Draw the last state, and end the line."""
        if self._drawn is not None and self._drawn[0] != self._step:
            self._draw(time.monotonic())
        if self._moving and self._drawn is not None:
            print(file=self._stream, flush=True)

    def _draw(self, now: float) -> None:
        steps, seconds = self._step - self._mark[0], now - self._mark[1]
        if steps > 0 and seconds > 0:
            self._speed, self._mark = steps / seconds, (self._step, now)
        self._drawn = (self._step, now)
        line = line_of(self._step, self._total, self._values, self._speed)
        if self._moving:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def line_of(step: int, total: int, values: dict[str, Any], speed: float) -> str:
    """`step 300/1000  loss 1.234  norm 0.5  312.4 steps/s  eta 0:00:02`."""
    words = [f"step {step}/{total}", *(f"{name} {value:.4g}" for name, value in values.items())]
    if speed > 0:
        left = round((total - step) / speed)
        words += [f"{speed:.1f} steps/s", f"eta {left // 3600}:{left // 60 % 60:02}:{left % 60:02}"]
    return "  ".join(words)


def _notebook() -> bool:
    return "ipykernel" in sys.modules and not sys.stderr.isatty()
