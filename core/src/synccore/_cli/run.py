"""`synccore run`."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from ._options import DURATION
from ._session import current, json_option, verb

#: After being asked to stop; a supervisor kills after 30 s or more.
LAST_MOMENT = timedelta(seconds=23)

if TYPE_CHECKING:
    from .._app.app import App


@verb("run")
@click.option("--once", is_flag=True, help="Poll, deliver what is due, stop.")
@click.option("--wait", is_flag=True, help="As --once, and go on until nothing is owed.")
@click.option("--timeout", type=DURATION, help="Stop after this long whatever is owed, for instance 10m.")
@click.option(
    "--log", "log_form", type=click.Choice(["text", "json"]), help="How the log is written.  [default: $SYNCCORE_LOG]"
)
@json_option
def run(once: bool, wait: bool, timeout: timedelta | None, log_form: str | None, as_json: bool) -> int:
    """Run the daemon.

    It receives webhooks, polls, delivers, and serves the dashboard, until it is asked to stop (Ctrl-C, SIGTERM):
    then running calls finish or are given back. With --once the exit code is 1 where something is parked, a source did
    not answer or an instance could not be opened. With --json what is still owed and parked at the end is a document.
    """
    session = current()
    session.log_level = logging.INFO
    if log_form is not None:
        session.environ = {**session.environ, "SYNCCORE_LOG": log_form}
    from .._daemon.run import run_daemon
    from ._logging import say

    once = once or wait

    def ready(url: str) -> None:
        say(session.environ, f"{click.style('ready', fg='green', bold=True)}: listening on {url}", logging.INFO)

    with session.open() as app:
        code = run_daemon(app, once=once, wait=wait, timeout=timeout, on_ready=ready, on_stop=leave_in_time)
        if once or as_json:
            _summary(app, as_json=as_json, environ=session.environ)
        return code


def leave_in_time(patience: timedelta = LAST_MOMENT) -> None:
    """End this process after `patience`, whatever still runs in it.

    A plugin's call cannot be broken off, and Python waits for its threads at the end. Nothing is lost by leaving: what
    ran is given back at the next start, as after a crash.
    """
    timer = threading.Timer(patience.total_seconds(), _leave)
    timer.daemon = True
    timer.start()


def _leave() -> None:
    click.echo("left in the middle of a call that did not end; what it carried is taken up at the next start", err=True)
    os._exit(0)


def _summary(app: App, *, as_json: bool, environ: Mapping[str, str]) -> None:
    from .._verbs.upkeep import left
    from ._logging import say

    found = left(app)
    if as_json:
        from ._output import print_json

        print_json(found.document())
        return
    if found.parked:
        say(environ, f"{found.parked:,} parked: synccore deliveries list --state parked", logging.INFO)
    owed = f"{found.owed:,} still owed: synccore status says why" if found.owed else "nothing is owed"
    say(environ, owed, logging.INFO)
