"""`synccore preview` and `synccore plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ._failure import DONE, FINDINGS
from ._options import names_in
from ._session import current, json_option, named_route, stopping, tell_notes, verb

if TYPE_CHECKING:
    from .._app.records import Heard
    from .._verbs.plan import Plan
    from .._verbs.preview import FieldLine, Preview
    from ._output import Shown


def heard_by(shown: Shown, source: str) -> Heard:
    """Progress of a listing, for stderr."""
    return lambda what, seen, total: shown(what if what == "compared" else f"{source} {what}", seen, total)


@verb("preview")
@click.argument("route", shell_complete=names_in("routes"))
@click.argument("key", metavar="KEY|EMAIL")
@click.option("--live", is_flag=True, help="Beside the target's own record, read now.")
@json_option
def preview(route: str, key: str, live: bool, as_json: bool) -> int:
    """Show what would be sent for one record, beside what was last sent.

    KEY is the record's key at the source, for instance a customer's id; an address or a name finds the person's record
    (the newest, where a route is for what they own). Nothing is sent and nothing is stored: a
    record that is not known here yet is read from the source. The values shown are the person's own data.
    """
    from .._verbs.preview import answer
    from ._output import print_json

    session = current()
    with session.open() if live else session.look() as app:
        found = answer(app, named_route(app, route), key, live=live)
    tell_notes(found.notes)
    if as_json:
        print_json(found.document())
    else:
        _show(found.preview)
        if (standing := found.standing) is not None and standing.state not in ("delivered", "never"):
            click.echo(f"now: {standing.state}: {standing.sentence}")
            if standing.next:
                click.echo(f"next: {standing.next}")
    return FINDINGS if found.preview.action == "refused" else DONE


_SENTENCES = {
    "create": "would be created",
    "update": "would be updated",
    "delete": "was deleted at the source: the target is told",
    "leave": "is not wanted by the route any more",
    "event": "would be sent as an event",
    "none": "nothing would be sent",
    "refused": "would be parked",
    "wait": "would wait",
}
_LEAVES = {
    "unlabel": "it would be taken off lists and labels",
    "clear": "what we wrote there would be emptied",
    "delete": "it would be deleted there",
}
#: What becomes of a field that is mapped no longer, because the record is not wanted.
_STAYS = {"clear": "(emptied)", "delete": "(deleted)"}
_COLOURS = {
    "leave": "yellow",
    "create": "green",
    "update": "green",
    "event": "green",
    "refused": "red",
    "wait": "yellow",
}


def _show(found: Preview) -> None:
    from ._output import note

    target = f"{found.object} {found.remote_id}" if found.remote_id else found.object
    said = _SENTENCES[found.action] + (f": {_LEAVES[found.on_leave]}" if found.on_leave else "")
    sentence = click.style(said, fg=_COLOURS.get(found.action), bold=True)
    reason = f": {found.reason}" if found.reason else ""
    click.echo(f"{found.source} {found.entity} {found.key} -> {found.sink} {target}")
    click.echo(f"{sentence}{reason}")
    if found.expected:
        note(f"expected: {found.expected}")
    if found.waits:
        click.echo(found.waits)
    if found.fetched:
        note("not stored here yet: read from the source, and what belongs to it is not counted")
    if found.live and found.remote is None:
        note("no record is linked at the target" if found.remote_id is None else "the record is gone at the target")
    _beside(found)


def _beside(found: Preview) -> None:
    """Field by field: what would be there, and what is."""
    from ._output import table

    lines = found.lines()
    if not lines:
        return
    click.echo()
    live = found.remote is not None
    rows = [_row(found, line, line.there if live else line.sent) for line in lines]
    table(("", "field", "would be", "at the target" if live else "last sent"), rows, empty="")


def _row(found: Preview, line: FieldLine, is_there: Any) -> tuple[str, ...]:
    star = click.style("*", fg="yellow") if line.mark not in (None, "left out") else ""
    would = _STAYS.get(found.on_leave or "", "(stays)") if found.unwanted else _text(line.now)
    if line.mapped and line.now is None and is_there not in (None, ""):
        would = "(emptied)"
    told = _text(is_there)
    if line.why is not None:
        told = f"(left out: {line.why})" if is_there is None else f"{told} ({line.why})"
    return star, line.name, would, told


def _text(value: Any) -> str:
    """A value for people."""
    text = "-" if value is None else str(value)
    return text if len(text) <= 120 else text[:119] + "…"


@verb("plan")
@click.argument("route", shell_complete=names_in("routes"))
@json_option
def plan(route: str, as_json: bool) -> int:
    """Say what a backfill would do; writes nothing.

    Lists the source, maps every record, and asks the target what it already has: how many would be created,
    updated, left alone, or refused, and why.
    """
    from .._verbs.plan import plan as run_plan
    from ._output import print_json, progress

    with current().open() as app, stopping(app), progress() as shown:
        spec = app.routes[named_route(app, route)]
        found = run_plan(app, route, heard_by(shown, spec.source))
    tell_notes(found.notes)
    if as_json:
        print_json(found.document())
    else:
        _show_plan(found)
    return FINDINGS if found.counts["refused"] else DONE


def _show_plan(found: Plan) -> None:
    from .._verbs.parts.words import plural
    from ._output import table

    click.echo(f"a backfill of {found.route} would take {plural(found.seen, 'record')}:")
    rows = [(kind, f"{count:,}", ", ".join(found.examples[kind])) for kind, count in found.counts.items()]
    table(("", "records", "for instance"), rows, numbers=("records",), empty="")
    if found.reasons:
        click.echo()
        table(
            ("", "why", "records", "for instance"),
            [(r.kind, text, f"{r.count:,}", ", ".join(r.examples)) for text, r in found.told()],
            numbers=("records",),
            empty="",
        )
