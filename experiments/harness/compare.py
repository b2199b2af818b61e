"""Runs beside each other, as a table and as a figure; and what is left out, and why."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.harness.figures import figure, print_figures
from experiments.harness.records import Damaged, Record, read, slug
from experiments.harness.run import Rows, Run
from experiments.harness.spread import differences, rows_of, spread
from experiments.harness.tables import table, text_rows
from seqjax.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Comparison(NamedTuple):
    """A table and a figure of runs. `name` is made of the runs that are in it; `left_out` has a line for each other."""

    experiment: str
    name: str
    rows: list[list[str]]
    figure: "Figure"
    left_out: list[str]


def conclude(
    run: Run, rows: Rows, measure: str, note: str = "", trend: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Print the table of a run, draw its figure, and mark it as done; the summary.

    Args:
        run: whose units are done.
        rows: of all of them.
        measure: the column that answers the question, and the name of the evaluation that is drawn.
        note: said below the table.
        trend: columns x and y; where x takes several values, y over x is drawn instead of the measure.
    """
    summary = {"by": list(run.by), "measure": measure, "trend": trend and list(trend), "rows": rows}
    print(table(text_rows(rows)), *([note] if note else []), sep="\n\n")
    print_figures(run, lambda: {measure: figure([read(run.folder)], run.by, measure, trend)})
    run.finish(summary)
    return summary


def compare(records: Sequence[Record], damaged: Sequence[Damaged] = ()) -> Comparison:
    """Finished runs of one experiment beside each other.

    Raises:
        ArgumentError: none is finished, or they are of several experiments.
    """
    left_out = {record.name: reason for record in records if (reason := _reason(record))}
    done = [record for record in records if record.name not in left_out]
    lines = [f"{name}: {reason}" for name, reason in left_out.items()]
    lines += [f"{one.folder.parent.name}/{one.folder.name}: {one.reason}" for one in damaged]
    if not done:
        raise ArgumentError("compare: there is no run to compare. " + "; ".join(lines))
    names = {record.config["experiment"] for record in done}
    if len(names) > 1:
        raise ArgumentError(f"compare: runs of one experiment can be compared, found {', '.join(sorted(names))}")
    summary = done[0].summary
    alike = [record for record in done if record.summary["measure"] == summary["measure"]]
    lines += [f"{r.name}: measures {r.summary['measure']}, not {summary['measure']}" for r in done if r not in alike]
    options = differences(alike)
    by = tuple(dict.fromkeys((*options, *summary["by"])))
    drawn = figure(alike, by, summary["measure"], summary.get("trend"))
    name = f"comparison-{slug(' '.join(record.folder.name for record in alike))}"
    return Comparison(names.pop(), name, spread(rows_of(alike, options), by), drawn, lines)


def _reason(record: Record) -> str:
    """Why a run cannot stand in a table; nothing where it can."""
    if record.status != "done":
        return record.status
    if record.is_edited:
        return "config.json is not the config of this run. Was it edited?"
    summary = record.summary
    if summary and not summary.keys() & {"measure", "rows", "by"}:
        return "has no single measure; see `show`"
    rows, by, measure = (summary.get(name) for name in ("rows", "by", "measure"))
    if not (isinstance(rows, list) and isinstance(by, list) and isinstance(measure, str)):
        return "summary.json is damaged: it has no rows, measure or by"
    for name, found in (("summary.json", rows), ("metrics.jsonl", record.rows)):
        if not found or not all(isinstance(row, dict) and measure in row for row in found):
            return f"{name} is damaged: it has no rows, or one without {measure}"
    return ""
