"""Runs of experiments: list them, show one, go on with one, compare some over their seeds, write a page about some.

    python -m experiments list
    python -m experiments show adding/1a2b3c4d-s0
    python -m experiments resume adding/1a2b3c4d-s0
    python -m experiments compare adding/1a2b3c4d temporal_order
    python -m experiments report adding/1a2b3c4d temporal_order

A run is named as `list` prints it, without `-s0` for all seeds, by its experiment for all of them, or by its folder.
"""

import argparse
import sys
import typing

from experiments.harness import records
from experiments.harness.compare import compare
from experiments.harness.figures import save_figure
from experiments.harness.folder import RUNS, folder_of
from experiments.harness.modules import import_experiment, list_experiments
from experiments.harness.records import Record
from experiments.harness.report import write_report
from experiments.harness.run import Stopped
from experiments.harness.tables import table, text_rows
from seqjax._internal.pipes import allow_closed_output
from seqjax.errors import ArgumentError, SeqjaxError


def main(words: list[str] | None = None) -> None:
    """The command line.

    Raises:
        ArgumentError, DataError: no such run, or one that cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="python -m experiments", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | show | resume | compare | report")
    commands.add_parser("list", help="experiments that can be run, and the runs there are")
    for name, about in (("show", "config, table and figures of a run"), ("resume", "go on with a run")):
        commands.add_parser(name, help=about).add_argument("run")
    for name, about in (
        ("compare", "mean and interval over seeds: a table and a figure"),
        ("report", "one HTML page with tables, figures, configs and where it ran"),
    ):
        commands.add_parser(name, help=about).add_argument("run", nargs="+")
    given = parser.parse_args(words)
    if given.command == "list":
        print_list()
    elif given.command == "compare":
        print_comparison(given.run)
    elif given.command == "report":
        print(f"report: {write_report(*records.find(given.run, RUNS))}")
    else:
        {"show": show, "resume": resume}[given.command](_one(given.run))


def print_list() -> None:
    """Print the experiments with their questions, and the runs."""
    questions = [["experiment", "question"]]
    for name, path in list_experiments().items():
        questions.append([name, path.read_text().split('"""')[1].split("\n")[0]])
    print(table(questions))
    runs = [["run", "status", "date", "units", "device"]]
    found, damaged = records.every(RUNS)
    for record in found:
        where = record.environment
        runs.append([record.name, record.status, where["date"], str(len(record.units)), where["device"]])
    print("", table(runs) if len(runs) > 1 else f"no runs yet under {RUNS}/", sep="\n")
    for one in damaged:
        print(one.reason)


def show(record: Record) -> None:
    """Print what a run was asked, where it ran, what it found so far, and its figures."""
    print(f"{record.name}: {record.status}, in {record.folder}")
    print(table([["option", "value"], *([k, str(v)] for k, v in record.config.items())]), "", sep="\n")
    print(table([["where", ""], *([k, str(v)] for k, v in record.environment.items())]), "", sep="\n")
    print(table(text_rows(record.rows)) if record.rows else "nothing is finished yet")
    for path in sorted(record.folder.glob("plots/*.png")):
        print(f"figure: {path}")


def resume(record: Record) -> None:
    """Call the experiment with the run's own config, so that it goes on in the same folder.

    Raises:
        ArgumentError: the experiment has other options by now, so that it would be another run.
    """
    module = import_experiment(record.config["experiment"])
    kinds = typing.get_type_hints(module.Config)
    given = {name: value for name, value in record.config.items() if name not in ("experiment", "seqjax")}
    if given.keys() != kinds.keys():
        names = ", ".join(sorted(given.keys() ^ kinds.keys()))
        raise ArgumentError(
            f"resume: {record.name} was made by another version of the experiment, without or with {names}"
        )
    config = module.Config(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})
    if (folder := folder_of(record.config["experiment"], config)).resolve() != record.folder.resolve():
        raise ArgumentError(
            f"resume: {record.name} was made by another version of seqjax, or edited; now it is {folder}"
        )
    module.main(config)


def print_comparison(words: list[str]) -> None:
    """Print the table over seeds and what is left out of it; draw the figure."""
    found = compare(*records.find(words, RUNS))
    print(table(found.rows))
    print("± is half of a 95 % interval of the mean over seeds (Student's t)")
    for line in found.left_out:
        print(f"left out: {line}")
    print(f"figure: {save_figure(found.figure, RUNS / found.experiment / found.name)}")


def _one(name: str) -> Record:
    found, _ = records.find([name], RUNS)
    if len(found) > 1:
        raise ArgumentError(f"{name!r} names {len(found)} runs: {', '.join(record.name for record in found)}")
    return found[0]


if __name__ == "__main__":
    try:
        with allow_closed_output():
            main()
    except (Stopped, SeqjaxError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; `resume` goes on")
