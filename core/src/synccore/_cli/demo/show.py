"""How the demo looks: a live display on a terminal, lines otherwise."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from ..._verbs.parts.words import plural
from ..._workshop.stage import RouteLine, Stage, Wave

__all__ = ["LiveShow", "PlainShow", "Show", "open_show", "summary", "wave_text"]

#: Edits kept on the screen.
_WAVES = 8


def wave_text(wave: Wave) -> str:
    """ "customer 3 got a new phone number: contacts 0.21 s, crm 0.34 s"."""
    arrived = sorted(wave.arrived.items(), key=lambda item: item[1])
    return f"{wave.text}: {', '.join(f'{sink} {seconds:.2f} s' for sink, seconds in arrived) or 'on its way'}"


def _sums(stage: Stage) -> list[str]:
    """What each side holds: "shop: 25 customers, 8 orders"."""
    return [
        f"{v.name} ({stage.accounts.get(v.name, v.descriptor.type)}): "
        + ", ".join(f"{count:,} {what}" for what, count in v.instance.counts().items())
        for v in stage.vendors
    ]


class PlainShow:
    """One line for each thing that happens."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __enter__(self) -> "PlainShow":
        for vendor in self._stage.vendors:
            account = self._stage.accounts.get(vendor.name, "")
            click.echo(f"{vendor.name}: {vendor.descriptor.type} stand-in, connected to {account}")
        click.echo(f"dashboard: {self._stage.daemon.url}/")
        return self

    def __exit__(self, *_: object) -> None:
        self.look()

    def look(self) -> None:
        """Tell what happened since the last look."""
        batches = self._stage.batches
        while batches:
            sink, size = batches.popleft()
            click.echo(f"{sink}: {plural(size, 'record')} in one batch")

    def say(self, text: str) -> None:
        """Print a sentence, behind what happened before it."""
        self.look()
        click.echo(text)

    def wave(self, wave: Wave) -> None:
        """Print an edit, and when each target had it."""
        self.say(wave_text(wave))


class LiveShow:
    """A screen that is drawn again several times a second."""

    def __init__(self, stage: Stage) -> None:
        from rich.live import Live

        self._stage = stage
        self._said = ""
        self._waves: list[Wave] = []
        self._batches: dict[str, int] = {}
        self._live = Live(get_renderable=self._screen, refresh_per_second=8)

    def __enter__(self) -> "LiveShow":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.refresh()
        self._live.stop()

    def look(self) -> None:
        """Count the batches; the screen draws itself."""
        while self._stage.batches:
            sink, _ = self._stage.batches.popleft()
            self._batches[sink] = self._batches.get(sink, 0) + 1

    def say(self, text: str) -> None:
        """A sentence below the tables."""
        self._said = text

    def wave(self, wave: Wave) -> None:
        """An edit: its times appear as the targets have it."""
        if wave not in self._waves:
            self._waves = [*self._waves, wave][-_WAVES:]

    def _screen(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        parts: list[Any] = [Text(f"synccore demo   dashboard {self._stage.daemon.url}/   Ctrl-C ends it", style="dim")]
        parts += [Text(line) for line in _sums(self._stage)]
        parts.append(_route_table(self._stage.lines(), self._batches))
        if self._waves:
            parts.append(Text("Changed in the shop, and when each target had it", style="bold"))
            parts += [Text(f"  {wave_text(wave)}") for wave in reversed(self._waves)]
        if self._said:
            parts.append(Text(self._said, style="dim"))
        return Group(*parts)


Show = PlainShow | LiveShow


def open_show(stage: Stage, *, once: bool) -> Show:
    """The live display where there is a terminal to draw on."""
    return LiveShow(stage) if sys.stdout.isatty() and not once else PlainShow(stage)


def _route_table(lines: Sequence[RouteLine], batches: dict[str, int] | None = None) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("route")
    for column in ("owed", "delivered", "skipped", "parked", "HTTP calls"):
        table.add_column(column, justify="right")
    if batches is not None:
        table.add_column("batches", justify="right")
    seen: set[str] = set()
    for line in lines:
        cells = [line.name, *_cells(line, first=line.sink not in seen)]
        if batches is not None:
            cells.append(f"{batches.get(line.sink, 0):,}" if line.sink not in seen else "")
        seen.add(line.sink)
        table.add_row(*cells, style="red" if line.parked else "yellow" if line.owed else "green")
    return table


def _cells(line: RouteLine, *, first: bool) -> list[str]:
    """The figures; calls are the sink's, so only its first route shows them."""
    figures = [f"{n:,}" for n in (line.owed, line.delivered, line.skipped, line.parked)]
    return [*figures, f"{line.calls:,}" if first else ""]


def summary(stage: Stage) -> None:
    """The table at the end, what each side holds, and what is parked."""
    from .._output import table

    seen: set[str] = set()
    rows = []
    for line in stage.lines():
        rows.append([line.name, *_cells(line, first=line.sink not in seen)])
        seen.add(line.sink)
    click.echo()
    columns = ("route", "owed", "delivered", "skipped", "parked", "HTTP calls")
    table(columns, rows, empty="no routes", numbers=columns[1:])
    click.echo()
    for text in _sums(stage):
        click.echo(text)
    for cause in stage.parked_causes():
        click.echo(f"parked: {cause}")


def pause(stage: Stage, seconds: float, look: Callable[[], None]) -> None:
    """Let time pass with the display kept up to date."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stage.app.stopping.is_set():
        look()
        stage.app.stopping.wait(0.1)
