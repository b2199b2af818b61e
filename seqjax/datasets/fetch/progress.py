"""A progress bar for fetching, on stderr."""

import sys
import time

WIDTH = 30


class Bar:
    """Called with (file, bytes so far, bytes expected). One moving line on a terminal, one line a file elsewhere."""

    def __init__(self) -> None:
        self.file, self.began, self.ended = "", 0.0, False

    def __call__(self, file: str, done: int, total: int) -> None:
        """Draw it anew."""
        terminal = sys.stderr.isatty()
        if file != self.file:
            self.file, self.began, self.ended = file, time.monotonic(), False
            if not terminal:
                print(f"seqjax: fetching {file} ({total / 1e6:.1f} MB)", file=sys.stderr, flush=True)
        if terminal and not self.ended:
            share = min(1.0, done / max(total, 1))
            bar = "#" * round(WIDTH * share)
            speed = done / 1e6 / max(time.monotonic() - self.began, 1e-3)
            self.ended = share == 1
            end = "\n" if self.ended else "\r"
            line = f"{file[:40]:40} [{bar:{WIDTH}}] {done / 1e6:6.1f} of {total / 1e6:.1f} MB, {speed:.1f} MB/s "
            print(line, end=end, file=sys.stderr, flush=True)
