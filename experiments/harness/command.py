"""The command line of an experiment, and the checks of its options."""

import dataclasses
import faulthandler
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import seqjax as sj
from experiments.harness.folder import Options
from experiments.harness.run import Stopped
from seqjax._internal.signals import stop_requests
from seqjax._internal.validation import key_number


def check_options(config: Options, *names: str) -> None:
    """Numbers, or all numbers of a tuple, that must be above 0; all others must not be below it.

    Raises:
        ArgumentError: one is, or a tuple is empty.
    """
    key_number("seed", config.seed)
    for name, value in dataclasses.asdict(config).items():
        values = value if isinstance(value, tuple) else (value,)
        if not values:
            raise sj.ArgumentError(f"{name}: give at least one")
        for number in (v for v in values if isinstance(v, (int, float)) and name != "seed"):
            if number < 0 or (number == 0 and name in names) or not math.isfinite(number) or number >= 2**31:
                least = "above 0" if name in names else "at least 0"
                raise sj.ArgumentError(f"{name} must be {least} and below 2^31, found {number}")


def command(main: Callable[[Any], Any], options: type, description: str | None) -> None:
    """The command line of an experiment: its options, and `--seeds 0 1 2` for one run after another."""
    import tyro

    @dataclasses.dataclass(frozen=True)
    class Command:
        config: tyro.conf.OmitArgPrefixes[options]  # type: ignore[valid-type]
        """Of one run"""
        seeds: tuple[int, ...] = ()
        """Seeds of several runs, instead of --seed"""

    given: Any = tyro.cli(Command, description=description)
    outlast_readers()
    faulthandler.enable()  # a crash below Python has a word too
    try:
        run_seeds(main, given.config, given.seeds or (given.config.seed,))
    except Stopped as stop:
        sys.exit(str(stop))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
    except sj.SeqjaxError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def run_seeds(main: Callable[[Any], Any], config: Any, seeds: Sequence[int]) -> None:
    """One run after another. However it ends, seeds that are not done are named.

    Raises:
        ArgumentError: a seed is given twice.
        Stopped: SIGTERM came, or the terminal was closed, and there are more seeds.
    """
    if twice := [seed for i, seed in enumerate(seeds) if seed in seeds[:i]]:
        raise sj.ArgumentError(f"seeds: {twice[0]} is given twice; each seed is one run")
    left = list(seeds)
    signals = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]  # HUP: the terminal is closed
    with stop_requests(*signals) as asked:  # also between two runs, where they end a process without a word
        try:
            while left:
                if len(seeds) > 1:
                    print(f"seed {left[0]} ({len(seeds) - len(left) + 1} of {len(seeds)})", file=sys.stderr, flush=True)
                main(dataclasses.replace(config, seed=left[0]))
                del left[0]
                if asked(True) and left:
                    raise Stopped("stopped between two runs; the same command goes on")
        finally:
            if left and len(seeds) > 1:
                print(f"not finished: seeds {' '.join(map(str, left))}", file=sys.stderr, flush=True)


def outlast_readers() -> None:
    """Let a run go on when nobody reads its output any more (`| head`, a closed terminal).

    What it finds is in its folder; without this it would end at the next line that it prints, and where stderr goes
    the same way, without a word.
    """
    sys.stdout, sys.stderr = _Lasting(sys.stdout), _Lasting(sys.stderr)


class _Lasting:
    """A stream that is turned to nowhere when it cannot be written any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._turn_away()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._turn_away()

    def _turn_away(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
