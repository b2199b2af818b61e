"""`python -m seqjax.datasets`: list what there is, fetch it, verify what is kept."""

import argparse
import sys
from collections.abc import Callable

from seqjax._internal.pipes import allow_closed_output
from seqjax.datasets import catalogue
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch import store
from seqjax.errors import SeqjaxError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if all went well, 1 if a data set failed, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m seqjax.datasets", description="Data sets: list, fetch, verify.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("list", help="all data sets: what is kept, bytes to fetch, licence (the default)")
    for name, text in (
        ("show", "what is known of a data set"),
        ("fetch", "fetch and convert"),
        ("verify", "check the kept copies"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "names", nargs="+" if name == "show" else "*", help="data sets; all by default", metavar="NAME"
        )
    given = parser.parse_args(arguments)
    try:
        if given.command in (None, "list"):
            return _list()
        entries = [catalogue.find(name) for name in given.names] or list(catalogue.CATALOGUE.values())
        return {"show": _show, "fetch": _fetch, "verify": _verify}[given.command](entries)
    except SeqjaxError as error:
        print(error, file=sys.stderr)
        return 2


def _list() -> int:
    rows = [("name", "examples", "fetch MB", "kept", "what", "licence")]
    for entry in catalogue.CATALOGUE.values():
        examples = " + ".join(f"{count:,}" for count in entry.counts.values())
        megabytes = f"{sum(original.size for original in entry.originals) / 1e6:.1f}"
        kept = ("package" if entry.in_place else "yes") if catalogue.is_kept(entry) else "-"
        rows.append((entry.name, examples, megabytes, kept, entry.about, entry.licence))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]))
    print(f"\nkept in {store.cache_folder()}")
    return 0


def _show(entries: list[Entry]) -> int:
    for entry in entries:
        print(f"{entry.name}: {entry.about}")
        for topic, text in entry.describe().items():
            print(f"  {topic:9} {text}")
        print(f"  examples  {', '.join(f'{name} {count:,}' for name, count in entry.counts.items())}")
        for original in entry.originals:
            print(f"  original  {original.filename} ({original.size:,} bytes, sha256 {original.sha256})")
            print(f"            {original.origin or 'in no package: put it into SEQJAX_DATA'}")
    return 0


def _fetch(entries: list[Entry]) -> int:
    return _each(entries, lambda entry: "kept already" if catalogue.is_kept(entry) else _load(entry, "fetched"))


def _verify(entries: list[Entry]) -> int:
    kept = [entry for entry in entries if catalogue.is_kept(entry)]
    if not kept:
        print(f"nothing is kept in {store.cache_folder()}")
    return _each(kept, lambda entry: _load(entry, "good"))


def _load(entry: Entry, word: str) -> str:
    counts = catalogue.load(entry).counts()
    return f"{word}: " + ", ".join(
        f"{name} {examples:,} ({steps:,} steps)" for name, (examples, steps) in counts.items()
    )


def _each(entries: list[Entry], action: Callable[[Entry], str]) -> int:
    failed = 0
    for entry in entries:
        try:
            print(f"{entry.name:20} {action(entry)}", flush=True)
        except SeqjaxError as error:
            failed += 1
            print(f"{entry.name:20} FAILED: {error}", flush=True)
    if failed:
        print(f"{failed} of {len(entries)} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    with allow_closed_output():
        sys.exit(main())
