"""One page about some runs: an HTML file that needs nothing beside itself, with tables, figures and where it all ran.

Figures are the SVG files of the runs, as images within the page, so that names inside them cannot clash, and nothing
in them is executed. All words from configs and results are escaped.
"""

import base64
import html
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.harness.compare import compare
from experiments.harness.folder import RUNS
from experiments.harness.modules import list_experiments
from experiments.harness.records import Damaged, Record, slug
from experiments.harness.tables import text_rows, word
from seqjax._internal.files import write_atomically
from seqjax.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 70rem; margin: 2rem auto;
       padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { border-top: 2px solid #0072b2; margin-top: 2.5rem; padding-top: .6rem; font-size: 1.3rem }
h3 { font-size: 1.05rem } .where { color: #555 } .scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top } td.number { text-align: right }
thead th { border-bottom: 1px solid #999; white-space: nowrap } tbody tr:nth-child(even) { background: #f4f6f8 }
img { max-width: 100%; height: auto; margin: .6rem 0 } pre { white-space: pre-wrap; font: inherit; max-width: 50rem }
details { margin: .4rem 0 } summary { cursor: pointer } code { background: #f4f6f8; padding: 0 .25rem }
"""


def write_report(found: Sequence[Record], damaged: Sequence[Damaged] = (), path: Path | None = None) -> Path:
    """Write the page; where it is: `path`, or in `runs/`, named after its runs.

    Raises:
        ArgumentError: there is no run.
    """
    if not found:
        raise ArgumentError("report: there is no run to write about")
    names = list(dict.fromkeys(record.config["experiment"] for record in found))
    if path is None:
        path = RUNS / f"report-{slug(' '.join([*names, *(record.folder.name for record in found)]))}.html"
    page = "\n".join(_page(", ".join(names), found, damaged)).encode()
    write_atomically(path, lambda file: file.write(page))
    return path


def _page(title: str, found: Sequence[Record], damaged: Sequence[Damaged]) -> Iterator[str]:
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
    yield f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
    yield f"<h1>{html.escape(title)}</h1>"
    groups: dict[str, list[Record]] = {}
    for record in found:
        groups.setdefault(record.config["experiment"], []).append(record)
    for name, records in groups.items():
        yield f"<h2>{html.escape(name)}</h2>"
        if name in (experiments := list_experiments()):
            question, _, more = experiments[name].read_text().split('"""')[1].partition("\n\n")
            yield f"<p><b>{html.escape(question)}</b></p>"
            yield _details("what to expect, and how it is measured", f"<pre>{html.escape(more.strip())}</pre>")
        if len(records) > 1:
            yield from _comparison(records)
        for record in records:
            yield from _run(record)
    for one in damaged:
        yield f"<p>left out: {html.escape(one.reason)}</p>"
    yield "</body></html>"


def _comparison(records: Sequence[Record]) -> Iterator[str]:
    """Mean and interval over seeds; of runs that have no measure in common nothing."""
    try:
        found = compare(records)
    except ArgumentError as error:
        yield f"<p>no comparison: {html.escape(str(error))}</p>"
        return
    yield "<h3>Over seeds</h3><p>± is half of a 95 % interval of the mean (Student's t).</p>"
    yield _table(found.rows)
    yield from (f"<p>left out: {html.escape(line)}</p>" for line in found.left_out)
    yield _image(_svg(found.figure), f"comparison of {found.experiment}")


def _run(record: Record) -> Iterator[str]:
    where = record.environment
    yield f"<h3>{html.escape(record.name)}: {html.escape(record.status)}</h3>"
    place = f"{where['date']}, {where['device']}, jax {where['jax']}"
    yield f'<p class="where">{html.escape(place)}</p>'
    yield _table(text_rows(record.rows)) if record.rows else "<p>nothing is finished yet</p>"
    for path in sorted(record.folder.glob("plots/*.svg")):
        yield _image(path.read_bytes(), path.stem)
    for name, values in (("config", record.config), ("environment", where)):
        rows = [["name", "value"], *([key, word(value)] for key, value in values.items())]
        yield _details(name, _table(rows))


def _details(head: str, body: str) -> str:
    return f"<details><summary>{html.escape(head)}</summary>{body}</details>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the head; columns of numbers are aligned on the right."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows[1:])
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    kind = ' class="number"' if text.removeprefix("-")[:1].isdigit() else ""
    return f"<td{kind}>{html.escape(text)}</td>"


def _image(svg: bytes, name: str) -> str:
    data = base64.b64encode(svg).decode()
    return f'<p><img alt="{html.escape(name, quote=True)}" src="data:image/svg+xml;base64,{data}"></p>'


def _svg(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    return file.getvalue()
