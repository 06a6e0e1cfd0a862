"""`synccore lanes`: the ways to the sinks and from the sources."""

from __future__ import annotations

import click

from ._failure import DONE
from ._options import names_in
from ._session import Group, config_option, current, json_option, named_lane


@click.group("lanes", cls=Group)
@config_option
def lanes() -> None:
    """Pause and resume the way to a sink, or from a source.

    What a paused lane owes waits; nothing is lost and no attempt is used. A paused source is not asked; webhooks
    that it sends are taken in all the same.
    """


@lanes.verb("list")
@json_option
def list_(as_json: bool) -> int:
    """List the lanes and their state."""
    from .._verbs.lanes import lanes as read_lanes
    from .._verbs.parts.words import ago, due
    from ._output import print_json, state_text, table

    with current().open_store() as app:
        found = read_lanes(app)
        now = app.clock.now()
    if as_json:
        print_json([line.document() for line in found])
        return DONE
    rows = [
        (
            line.name,
            line.kind,
            state_text(line.state),
            line.ready if line.kind == "sink" else "-",
            ago(line.changed_at, now) if line.changed_at else "-",
            due(line.until, now) if line.until else "-",
            line.reason or "",
        )
        for line in found
    ]
    columns = ("lane", "kind", "state", "ready", "since", "until", "why")
    table(columns, rows, numbers=("ready",), empty="no sinks are configured")
    return DONE


@lanes.verb("pause")
@click.argument("name", shell_complete=names_in("sinks", "sources"))
@click.option("--reason", default="paused by a person", show_default=True, help="Shown in status.")
@json_option
def pause(name: str, reason: str, as_json: bool) -> int:
    """Deliver nothing to a sink, or ask a source nothing, until it is resumed."""
    from .._verbs.lanes import pause as pause_lane
    from .._verbs.parts.waits import remedy
    from ._output import print_json

    with current().open_store() as app:
        held = pause_lane(app, named_lane(app, name), reason)
    if as_json:
        print_json({"lane": name, "state": held.state, "reason": held.reason})
    else:
        click.echo(f"{name} is paused until somebody runs: {remedy('paused', name)}")
    return DONE


@lanes.verb("resume")
@click.argument("name", shell_complete=names_in("sinks", "sources"))
@json_option
def resume(name: str, as_json: bool) -> int:
    """Go on now, whatever held it. Says what still waits, and until when."""
    from .._verbs.lanes import resume as resume_lane
    from .._verbs.parts.waits import until_text
    from .._verbs.parts.words import plural
    from ._output import print_json

    with current().open_store() as app:
        found, now = resume_lane(app, named_lane(app, name)), app.clock.now()
    if as_json:
        print_json(found.document())
        return DONE
    owed = f" with {plural(found.ready, 'delivery', 'deliveries')} owed" if found.ready else ""
    click.echo(f"{name} goes on{owed}" + ("" if found.daemon else " once a daemon runs: synccore run"))
    if found.until is not None:
        click.echo(f"{found.later:,} of them wait for their route's delay, the first {until_text(found.until, now)}")
    return DONE
