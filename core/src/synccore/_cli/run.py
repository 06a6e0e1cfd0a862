"""`synccore run`."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from ._options import DURATION
from ._session import current, verb

if TYPE_CHECKING:
    from .._app.app import App


@verb("run")
@click.option("--once", is_flag=True, help="Poll, deliver what is due, stop.")
@click.option("--wait", is_flag=True, help="As --once, and go on until nothing is owed.")
@click.option("--timeout", type=DURATION, help="Stop after this long whatever is owed, for instance 10m.")
def run(once: bool, wait: bool, timeout: timedelta | None) -> int:
    """Run the daemon.

    It receives webhooks, polls, delivers, and serves the dashboard, until it is asked to stop (Ctrl-C, SIGTERM):
    then running calls finish or are given back. With --once the exit code is 1 where something is parked.
    """
    from .._daemon.run import run_daemon

    session = current()
    session.log_level = logging.INFO
    once = once or wait

    def ready(url: str) -> None:
        click.echo(f"{click.style('ready', fg='green', bold=True)}: listening on {url}", err=True)

    with session.open() as app:
        code = run_daemon(app, once=once, wait=wait, timeout=timeout, on_ready=ready)
        if once:
            _summary(app)
        return code


def _summary(app: App) -> None:
    counts = app.store.counts_by_sink().values()
    owed = sum(c.ready + c.running + c.submitted for c in counts)
    parked = sum(c.parked for c in counts)
    if parked:
        click.echo(f"{parked:,} parked: synccore deliveries list --state parked", err=True)
    click.echo(f"{owed:,} still owed: synccore status says why" if owed else "nothing is owed", err=True)
