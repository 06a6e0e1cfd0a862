"""`synccore status` and `synccore log`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from ._failure import DONE, FINDINGS
from ._options import DURATION, names_in
from ._session import current, json_option, named_lane, stopping, verb

if TYPE_CHECKING:
    from .._verbs.status import Overview
    from ..store import HistoryEntry


@verb("status")
@json_option
def status(as_json: bool) -> int:
    """Show the state of every source, sink and route.

    The exit code is 1 where something is parked or an instance needs a person.
    """
    from .._verbs.status import overview
    from ._output import note, print_json

    with current().look() as app:
        found = overview(app)
        now = app.clock.now()
    if as_json:
        print_json(found.document)
    else:
        _show(found, now)
    for text in found.notes:
        note(f"note: {text}")
    return DONE if found.well else FINDINGS


def _show(found: Overview, now: datetime) -> None:
    _show_instances(found, now)
    for line in found.work:
        click.echo(line)
    for need in found.needs:
        if not need.noted:
            word = click.style("needs you", fg="red") if need.grave else click.style("look", fg="yellow")
            advice = f" ({need.next})" if need.next and need.next not in need.sentence else ""
            click.echo(f"{word}: {need.sentence}{advice}")


def _show_instances(found: Overview, now: datetime) -> None:
    from .._verbs.parts.words import ago, length
    from ._output import state_text, table

    document, told = found.document, {need.name for need in found.needs}
    click.echo(f"daemon: {'running' if found.running else 'not running'}")
    rows = []
    for name, source in document["sources"].items():
        for entity, one in source["entities"].items() or [("-", {})]:
            known, polled = f"{one.get('snapshots', 0):,}", ago(one.get("last_poll_at"), now)
            rows.append((name, source["type"], state_text(source["state"]), entity, known, polled))
    click.echo()
    columns = ("source", "type", "state", "entity", "known", "last poll")
    table(columns, rows, numbers=("known",), empty="no sources are configured")
    click.echo()
    numbers = ("owed", "parked", "delivered", "skipped")
    ages = {name: s["oldest_ready_seconds"] for name, s in document["sinks"].items()}
    waits = {name: "-" if age is None else length(age) for name, age in ages.items()}
    table(
        ("sink", "type", "state", *numbers, "waiting for"),
        [(name, s["type"], state_text(s["state"]), *_counts(s), waits[name]) for name, s in document["sinks"].items()],
        numbers=numbers,
        empty="no sinks are configured",
    )
    click.echo()
    table(
        ("route", *numbers),
        [(name, *_counts(r)) for name, r in document["routes"].items()],
        numbers=numbers,
        empty="no routes are configured",
    )
    for name, instance in [*document["sources"].items(), *document["sinks"].items()]:
        if instance["reason"] and name not in told:
            click.echo(f"{state_text(instance['state'])}: {name}: {instance['reason']}")


def _counts(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Owed (ready or running), parked, delivered, skipped."""
    owed = counts["ready"] + counts["running"]
    return tuple(f"{n:,}" for n in (owed, counts["parked"], counts["done"], counts["skipped"]))


@verb("log")
@click.option("--key", help="Only this record's key.")
@click.option("--email", help="Only this person, and what belongs to them.")
@click.option("--sink", help="Only this sink.", shell_complete=names_in("sinks"))
@click.option("--since", type=DURATION, help="Only the last while, for instance 2h.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=200, show_default=True, help="At most so many lines."
)
@click.option("--follow", is_flag=True, help="Go on with what is added, until Ctrl-C (with --json: a document a line).")
@json_option
def log(
    key: str | None,
    email: str | None,
    sink: str | None,
    since: timedelta | None,
    limit: int,
    follow: bool,
    as_json: bool,
) -> int:
    """Show the audit trail.

    One line for each thing that happened to a record on its way to a target: names of fields, never their values.
    """
    from .._verbs.log import Wanted, document, trail
    from .._verbs.log import follow as follow_trail
    from ._output import print_json

    with current().open_store() as app, stopping(app):
        if sink is not None:
            named_lane(app, sink, "sink")
        wanted = Wanted(key=key, email=email, sink=sink, since=app.clock.now() - since if since else None)
        lines = trail(app, wanted, limit)
        if follow:
            last = max((line.id or 0 for line in lines), default=0)
            for line in lines:
                _follow_line(line, as_json=as_json)
            for line in follow_trail(app, wanted, last):
                _follow_line(line, as_json=as_json)
            return DONE
    if as_json:
        print_json([document(line) for line in lines])
    else:
        history_table(lines)
    if email is not None:
        _say_left_out(email)
    return DONE


def _say_left_out(email: str) -> None:
    """Why a source leaves an account out, where it says so; its buyer may be known as a guest."""
    from .._verbs.why import all_left_out
    from ._output import note

    with current().look() as app:
        for said in all_left_out(app, email):
            note(f"note: {said}")


_OUTCOMES = {"delivered": "green", "parked": "red", "failed": "red", "retry": "yellow", "snoozed": "yellow"}


def _cells(line: HistoryEntry) -> tuple[str, ...]:
    from .._verbs.log import told

    return (
        line.at.strftime("%Y-%m-%d %H:%M:%S"),
        line.route,
        f"{line.entity} {line.key}",
        line.op,
        click.style(line.outcome, fg=_OUTCOMES.get(line.outcome)),
        line.remote_id or "-",
        "-" if line.delivery_id is None else str(line.delivery_id),
        "-" if line.duration_ms is None else f"{line.duration_ms} ms",
        told(line),
    )


def history_table(lines: Sequence[HistoryEntry]) -> None:
    """Lines of the trail for people."""
    from ._output import table

    columns = ("at (UTC)", "route", "record", "op", "outcome", "remote id", "delivery", "took", "fields, or why")
    table(columns, map(_cells, lines), numbers=("delivery", "took"), empty="nothing happened yet that fits")


def _follow_line(line: HistoryEntry, *, as_json: bool) -> None:
    from .._verbs.log import document
    from ._output import print_json

    if as_json:
        print_json(document(line), line=True)
    else:
        click.echo("  ".join(_cells(line)))
