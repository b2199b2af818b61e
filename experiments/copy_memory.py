"""What does it take to remember ten symbols over a long delay: the copying memory problem.

Expectation: without memory the best answer costs 10 ln 8 / (delay + 20) nats a step (Arjovsky et al. 2016). A tanh RNN
and an LSTM with forget bias 1 sit at that line; biases that make the gates' time constants as long as the delay
(chrono(T), T about 3/2 of the delay, Tallec and Ollivier 2018) take the LSTM below it, and so does an RNN without
nonlinearity that starts orthogonal (Henaff et al. 2016). Solved is a tenth of that line.

    python -m experiments.copy_memory --seeds 0 1 2
    python -m experiments.copy_memory --delay 200 --cell "LSTM(64)" "LSTM(64, bias_init=chrono(300))"
"""

from dataclasses import dataclass
from typing import Any

from experiments.harness import synthetic
from experiments.harness.command import command
from seqjax import tasks

SHARE = 0.1  # of the baseline: solved


@dataclass(frozen=True)
class Config(synthetic.Config):
    """Options of the experiment."""

    cell: tuple[str, ...] = (
        "RNN(64)",
        "RNN(64, activation='identity')",
        "GRU(64)",
        "LSTM(64)",
        "LSTM(64, bias_init=chrono(150))",
    )
    """Cells to compare, each with a linear readout"""
    delay: int = 100
    """Steps between the last symbol to remember and the first to recall"""
    steps: int = 4000
    """Updates at most; a run that has solved the task ends"""


def main(config: Config) -> dict[str, Any]:
    """Train each cell; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, a delay below 1.
    """
    length = config.delay + 20  # ten symbols before, ten after
    baseline = tasks.copy_memory.baseline(length)
    problem = synthetic.Problem(tasks.copy_memory, length, "nats_per_step", baseline, SHARE * baseline)
    return synthetic.compare_cells("copy_memory", problem, config, delay=config.delay)


if __name__ == "__main__":
    command(main, Config, __doc__)
