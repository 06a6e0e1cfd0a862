"""`synccore demo`: the whole thing on loopback, with nobody's account."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .._failure import DONE, FINDINGS
from .._session import Session, verb

if TYPE_CHECKING:
    from ..._workshop.stage import Stage
    from .show import Show

__all__ = ["demo"]

#: Seconds: between two edits, until an edit must have arrived, until the first listing must be through (that last
#: one grows with the number of customers).
_BETWEEN, _EDIT_PATIENCE, _SEED_PATIENCE = 4.0, 30.0, 60.0
_SECONDS_PER_CUSTOMER = 0.05


@verb()
@click.option("--once", is_flag=True, help="Deliver everything, change one customer, print a summary and end.")
@click.option(
    "--customers", type=click.IntRange(1, 100_000), default=25, show_default=True, help="How many the shop has."
)
@click.option(
    "--database", default="synccore.db", help="Keep the outbox there: the address of an empty PostgreSQL database."
)
@click.pass_context
def demo(ctx: click.Context, once: bool, customers: int, database: str) -> int:
    """Try it: a shop and targets on loopback, no account needed.

    Starts a stand-in for every installed plugin, connects to them, and runs the daemon: customers arrive at the
    targets, and a customer changed in the shop is up to date there a moment later. Nothing leaves this machine, and
    nothing of it is left afterwards (but with --database what stands there).
    """
    click.echo("starting a shop and a stand-in of each target on this machine, and connecting to them ...", err=True)
    from ..._app.base import on_signals
    from ..._workshop.stage import open_stage
    from .show import open_show, summary

    with open_stage(Session.of(ctx).plugins(), customers, database, _log_to) as stage:
        with on_signals(stage.app.stopping.set), open_show(stage, once=once) as show:
            well = _play(stage, show, customers, once=once)
        stage.app.stopping.set()
        summary(stage)
        parked = any(line.parked for line in stage.lines())
    # The live one is ended by a person, who may do so at any moment: what is owed then is no finding.
    return FINDINGS if once and (parked or not well) else DONE


def _play(stage: "Stage", show: "Show", customers: int, *, once: bool) -> bool:
    """The story; whether it went to its end."""
    if not stage.wait_quiet(_SEED_PATIENCE + customers * _SECONDS_PER_CUSTOMER, show.look):
        show.say("" if stage.app.stopping.is_set() else "Not everything was delivered in time.")
        return False
    known = ", ".join(f"{count:,} {entity} records" for entity, count in stage.known().items())
    show.say(f"everything the shop holds was delivered ({known})")
    if once:
        return _edit(stage, show)
    from .show import pause

    while not stage.app.stopping.is_set():
        pause(stage, _BETWEEN, show.look)
        if not stage.app.stopping.is_set():
            _edit(stage, show)
    return True


def _edit(stage: "Stage", show: "Show") -> bool:
    from .show import LiveShow

    wave = stage.edit()
    if isinstance(show, LiveShow):
        show.wave(wave)
    arrived = stage.wait_wave(wave, _EDIT_PATIENCE, show.look)
    if not isinstance(show, LiveShow):
        show.wave(wave)
    return arrived


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """The daemon's log goes to a file: the terminal shows the play."""
    import structlog

    from .._logging import configure_logging

    root = logging.getLogger()
    before, handlers, level = structlog.get_config(), root.handlers[:], root.level
    with path.open("w", encoding="utf-8") as file:
        configure_logging({}, file)
        try:
            yield
        finally:
            structlog.configure(**before)
            root.handlers[:] = handlers
            root.setLevel(level)
