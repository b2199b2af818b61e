"""Which cells carry two numbers across a long sequence: the adding problem.

Expectation (Hochreiter and Schmidhuber 1997; in the form of Le et al. 2015, numbers in [0, 1] and one mark in each
half): gated cells solve it, a tanh RNN stays near the mean squared error of always answering 1, which is 1/6, as its
gradient does not reach the first number. Solved is our bound, a mean squared error below 0.005 on 2,000 fresh
sequences; the error in the table is that of the best parameters on five times as many others.

    python -m experiments.adding --length 200 --seeds 0 1 2
"""

from dataclasses import dataclass
from typing import Any

from experiments.harness import synthetic
from experiments.harness.command import command
from seqjax import tasks

SOLVED = 0.005


@dataclass(frozen=True)
class Config(synthetic.Config):
    """Options of the experiment."""

    length: int = 200
    """Steps of a sequence"""
    learning_rate: float = 3e-3
    """Of Adam"""
    evaluation: int = 2000
    """Fresh sequences of an evaluation; another five times as many at the end"""


def main(config: Config) -> dict[str, Any]:
    """Train each cell; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, a length that is too short.
    """
    baseline = tasks.adding.baseline(config.length)
    problem = synthetic.Problem(tasks.adding, config.length, "mse", baseline, SOLVED, tests=5)
    return synthetic.compare_cells("adding", problem, config, length=config.length)


if __name__ == "__main__":
    command(main, Config, __doc__)
