"""`synccore deliveries`: the outbox itself."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ._failure import DONE, FINDINGS
from ._options import names_in
from ._session import Group, config_option, current, json_option, named_lane, tell_notes

if TYPE_CHECKING:
    from .._app.base import Base
    from .._verbs.deliveries import Acted
    from ..store import Delivery

_STATES = ("ready", "running", "submitted", "done", "skipped", "parked", "dismissed")

_state = click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
_sink = click.option("--sink", help="Only those to this sink.", shell_complete=names_in("sinks"))


@click.group("deliveries", cls=Group)
@config_option
def deliveries() -> None:
    """Look into the outbox; retry or dismiss what is parked.

    A delivery is what a route owes its sink for one record. One that a person has to look at is parked: it waits,
    is never dropped, and goes on with `retry`, through today's mapping and the record's newest state.
    """


@deliveries.verb("list")
@_state
@_sink
@click.option("--all", "everything", is_flag=True, help="All of them, not only the newest.")
@json_option
def list_(state: str | None, sink: str | None, everything: bool, as_json: bool) -> int:
    """List deliveries, newest first."""
    from .._verbs.deliveries import SHOWN, document, listed
    from ._output import note, print_json

    with current().open_store() as app:
        if sink is not None:
            named_lane(app, sink, "sink")
        found = listed(app, state, sink, everything=everything)
        now = app.clock.now()
    if as_json:
        print_json([document(d) for d in found])
        return DONE
    _table(found, now)
    if len(found) == SHOWN and not everything:
        note(f"the newest {SHOWN}; --all shows the rest")
    return DONE


_COLOURS = {"parked": "red", "done": "green", "ready": "yellow", "running": "cyan", "submitted": "cyan"}


def _table(found: list[Delivery], now: Any) -> None:
    from .._verbs.parts.words import ago, due
    from ._output import table

    table(
        ("id", "route", "record", "op", "state", "tries", "when", "why"),
        [
            (
                d.id,
                d.route,
                f"{d.entity} {d.key}",
                d.op,
                click.style(d.state, fg=_COLOURS.get(d.state)),
                d.attempts,
                f"due {due(d.due_at, now)}" if d.state == "ready" else ago(d.settled_at or d.due_at, now),
                d.error or d.waits or "",
            )
            for d in found
        ],
        numbers=("id", "tries"),
        empty="no deliveries fit",
    )


@deliveries.verb("show")
@click.argument("id", type=int)
@json_option
def show(id: int, as_json: bool) -> int:  # noqa: A002  the argument's name in the help
    """Show everything about one delivery, with its history."""
    from .._verbs.deliveries import show as show_delivery
    from .._verbs.parts.waits import moment
    from ._output import print_json
    from .status import history_table

    with current().open_store() as app:
        found = show_delivery(app, id)
    if found is None:
        raise click.UsageError(f"no delivery has the id {id}: synccore deliveries list shows them")
    if as_json:
        print_json(found.document())
        return DONE
    for name, value in found.facts().items():
        if value not in (None, False):
            click.echo(f"{name + ':':17} {moment(value) if isinstance(value, datetime) else value}")
    click.echo()
    history_table(found.history)
    delivery = found.delivery
    if delivery.state == "parked":
        click.echo(
            f"\nnext: synccore preview {delivery.route} {delivery.key}, then synccore deliveries retry {id} "
            f"or synccore deliveries dismiss {id}"
        )
    return DONE


def _checked(app: Base, ids: tuple[int, ...], everything: bool, sink: str | None, state: str | None) -> None:
    """Ids, or --all (with --sink for one sink's). Raises UsageError."""
    if everything == bool(ids):
        raise click.UsageError("name the ids, or --all (with --sink NAME for one sink's)")
    if state not in (None, "parked"):
        raise click.UsageError(f"only parked deliveries wait for a person; those in state {state} do not")
    if sink is not None:
        named_lane(app, sink, "sink")


@deliveries.verb("retry")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="Every parked delivery.")
@_sink
@_state
@json_option
def retry(ids: tuple[int, ...], everything: bool, sink: str | None, state: str | None, as_json: bool) -> int:
    """Deliver parked ones again, through today's mapping and newest state."""
    from .._verbs.deliveries import retry as retry_parked

    with current().open_store() as app:
        _checked(app, ids, everything, sink, state)
        acted = retry_parked(app, ids, sink)
    tell_notes(acted.notes)
    text = "owed again" + ("" if acted.running else ": synccore run delivers them")
    return _told(acted, text, as_json=as_json)


@deliveries.verb("dismiss")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="Every parked delivery.")
@click.option("--reason", help="Why: kept in the trail.")
@_sink
@_state
@json_option
def dismiss(
    ids: tuple[int, ...], everything: bool, reason: str | None, sink: str | None, state: str | None, as_json: bool
) -> int:
    """Give parked ones up: they are not delivered. The record's next change is."""
    from .._verbs.deliveries import dismiss as dismiss_parked

    with current().open_store() as app:
        _checked(app, ids, everything, sink, state)
        acted = dismiss_parked(app, ids, sink, reason)
    return _told(acted, "dismissed", as_json=as_json)


def _told(acted: Acted, text: str, *, as_json: bool) -> int:
    from .._verbs.parts.words import plural
    from ._output import print_json

    if as_json:
        print_json(acted.document())
    else:
        click.echo(f"{plural(acted.count, 'delivery', 'deliveries')} {text}")
        for one in acted.not_parked:
            click.echo(f"{one} is not parked: synccore deliveries show {one}", err=True)
    return FINDINGS if acted.not_parked else DONE
