"""How results reach people and programs: JSON documents, tables, states, times, progress."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import click

from .._verbs.parts.documents import json_text

__all__ = [
    "Shown",
    "level_text",
    "note",
    "print_json",
    "progress",
    "state_text",
    "table",
]

_STATE_COLOURS = {"ok": "green", "paused": "yellow", "rate_limited": "yellow", "circuit_open": "yellow"}
_LEVEL_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}


# -- programs


def print_json(document: Any, *, line: bool = False) -> None:
    """The one JSON document of a verb on stdout; `line` for a stream of documents, one a line."""
    click.echo(json_text(document, line=line))


# -- people


#: Cells up to this wide are not broken.
_WHOLE = 20
#: What the last column keeps of a narrow terminal.
_READABLE = 32
_GAP = 2


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str, numbers: Sequence[str] = ()) -> None:
    """A table on stdout: on a terminal coloured and in its width, aligned plain text when piped.

    Cells are text (with click styles) or None. `empty` is said, on stderr, where there are no rows.
    """
    rows = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not rows:
        note(empty)
    elif not sys.stdout.isatty():
        _plain_table(columns, rows, numbers)
    elif (widths := _widths(columns, rows)) is None:
        _blocks(columns, rows)
    else:
        _grid(columns, rows, numbers, widths)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int] | None:
    """What each column gets of the terminal's width, the widest giving way first; None where that is not enough.

    Names stay whole; explanations, which come last, keep room enough to be read.
    """
    from rich.cells import cell_len
    from rich.console import Console

    lines = [columns, *([click.unstyle(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(part) for line in lines for part in line[i].split("\n")) for i in range(len(columns))]
    least = [min(width, _WHOLE) for width in widths]
    least[-1] = min(widths[-1], _READABLE)
    room = Console().width - _GAP * (len(columns) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        giving = max((i for i in range(len(widths)) if widths[i] > least[i]), key=widths.__getitem__)
        widths[giving] -= 1
    return widths


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str], widths: Sequence[int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        grid.add_column(column, justify=justify, overflow="fold", min_width=width, max_width=width)
    for row in rows:
        grid.add_row(*(Text.from_ansi(cell) for cell in row))
    Console().print(grid)


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Where the terminal is too narrow for columns: what a row begins with, and below it the rest, each by its name."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console, gap = Console(), Text(" " * _GAP)
    first = next((i for i, column in enumerate(columns) if column.strip()), 0) + 1
    for row in rows:
        cells = [Text.from_ansi(cell) for cell in row]
        console.print(gap.join(cell for cell in cells[:first] if cell), overflow="fold")
        named = zip(columns[first:], cells[first:], strict=True)
        rest = [Text.assemble((f"{column}: " if column else "", "dim"), cell) for column, cell in named if cell]
        console.print(Padding(gap.join(rest), (0, 0, 0, _GAP)), overflow="fold")


def _plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str]) -> None:
    """Columns under each other, a line for a row, nothing cut: what `grep` and `awk` want."""
    from rich.cells import cell_len

    lines = [list(columns), *([" ".join(click.unstyle(cell).splitlines()) for cell in row] for row in rows)]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = []
        for column, cell, width in zip(columns, line, widths, strict=True):
            gap = " " * (width - cell_len(cell))
            cells.append(gap + cell if column in numbers else cell + gap)
        click.echo("  ".join(cells).rstrip())


def note(text: str) -> None:
    """Something beside the result: on stderr."""
    click.echo(text, err=True)


def state_text(state: str) -> str:
    """A state's word, green, amber or red on a terminal."""
    return click.style(state, fg=_STATE_COLOURS.get(state, "red"))


def level_text(level: str) -> str:
    """A finding's level, coloured on a terminal."""
    return click.style(level, fg=_LEVEL_COLOURS.get(level))


class Shown(Protocol):
    """Shows how far something is."""

    def __call__(self, title: str, seen: int, total: int | None, text: str = "", remark: str = "") -> None:
        """`seen` of `total` (None: not known), under a title of its own; a new `remark` is always worth a line."""
        ...


class Progress:
    """A line on stderr that says how far something is: redrawn on a terminal, now and then otherwise."""

    def __init__(self, title: str, bars: Any = None) -> None:
        self._title = title
        self._bars = bars
        self._task = bars.add_task(title, total=None, text="") if bars is not None else None
        self._last = ""
        self._total: int | None = None

    def update(self, seen: int, total: int | None, text: str = "", remark: str = "") -> None:
        """`seen` of `total` (None: as before), with further words behind."""
        self._total = total = self._total if total is None else total
        text = "  ".join(filter(None, (text, remark)))
        if self._bars is not None:
            self._bars.update(self._task, completed=seen, total=total, text=text)
            return
        # Piped: one line for each further tenth (or 10,000 records), not one for each page.
        mark = f"{seen * 10 // total if total else seen // 10_000} {remark}"
        if mark != self._last:
            self._last = mark
            of = f" of {total:,}" if total else ""
            note(f"{self._title}: {seen:,}{of}{'  ' + text if text else ''}")


@contextmanager
def progress() -> Iterator[Shown]:
    """Progress of long work on stderr: call it with (title, seen, total or None, further words), a line per title."""
    if not sys.stderr.isatty():
        yield _Lines(None)
        return
    from rich import progress as rich_progress
    from rich.console import Console

    with rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn("{task.fields[text]}"),
        rich_progress.TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bars:
        yield _Lines(bars)


class _Lines:
    """A `Progress` for each title."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._lines: dict[str, Progress] = {}

    def __call__(self, title: str, seen: int, total: int | None, text: str = "", remark: str = "") -> None:
        if title not in self._lines:
            self._lines[title] = Progress(title, self._bars)
        self._lines[title].update(seen, total, text, remark)
