"""`synccore lanes`: the way to each sink."""

from __future__ import annotations

from typing import Any

import click

from ._failure import DONE
from ._options import names_in
from ._session import Group, config_option, current, json_option, named_sink


@click.group("lanes", cls=Group)
@config_option
def lanes() -> None:
    """Pause and resume the way to a sink.

    What a paused lane owes waits; nothing is lost and no attempt is used.
    """


@lanes.verb("list")
@json_option
def list_(as_json: bool) -> int:
    """List the lanes and their state."""
    from ._output import ago, print_json, state_text, table, timestamp

    with current().open_store() as app:
        found = [(name, app.store.lane(name)) for name in app.sinks]
        counts = app.store.counts_by_sink()
        now = app.clock.now()
    rows: list[dict[str, Any]] = [
        {
            "sink": name,
            "state": lane.state,
            "reason": lane.reason,
            "until": timestamp(lane.until),
            "changed_at": timestamp(lane.changed_at),
            "ready": counts[name].ready if name in counts else 0,
        }
        for name, lane in found
    ]
    if as_json:
        print_json(rows)
        return DONE
    table(
        ("lane", "state", "ready", "since", "until", "why"),
        [
            (
                row["sink"],
                state_text(row["state"]),
                row["ready"],
                ago(lane.changed_at, now),
                ago(lane.until, now),
                lane.reason or "",
            )
            for row, (_, lane) in zip(rows, found, strict=True)
        ],
        numbers=("ready",),
        empty="no sinks are configured",
    )
    return DONE


@lanes.verb("pause")
@click.argument("name", shell_complete=names_in("sinks", "sources"))
@click.option("--reason", default="paused by a person", show_default=True, help="Shown in status.")
def pause(name: str, reason: str) -> int:
    """Deliver nothing to a sink until it is resumed."""
    _put(name, "paused", reason)
    click.echo(f"{name} is paused: synccore lanes resume {name} goes on")
    return DONE


@lanes.verb("resume")
@click.argument("name", shell_complete=names_in("sinks", "sources"))
def resume(name: str) -> int:
    """Go on delivering to a sink now, whatever held it."""
    _put(name, "ok", None)
    click.echo(f"{name} goes on")
    return DONE


def _put(name: str, state: str, reason: str | None) -> None:
    from attrs import evolve

    with current().open_store() as app:
        named_sink(app, name)
        lane = evolve(app.lane_of(name), state=state, reason=reason, until=None, changed_at=app.clock.now(), failures=0)
        app.store.put_lane(lane)
