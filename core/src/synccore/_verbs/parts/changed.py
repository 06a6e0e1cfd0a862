"""Routes that changed since records were judged by them: which, in what, and how many records are concerned.

What a route says is remembered as digests, by part, whenever something begins to deliver with it. A record counts as
judged anew once a delivery of it came to its end on the route after the change, whatever that end was.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from attrs import asdict, frozen

from ..._app.app import App
from ..._app.base import Base
from ..._app.made_by import NOTES
from ..._app.running import digest_of
from ..._plain import Plain
from ..._settings import SettingsError, read_file
from ...entities import FACTS
from ...types import RouteSpec

__all__ = ["Changed", "changed_routes", "file_notes", "note_routes"]

#: Part of a route, as a person calls it -> what belongs to it.
_PARTS = {
    "mapping": ("fields", "options", "mapper", "compare", "include"),
    "filter": ("when",),
    "target": ("object", "match", "settings"),
}


@frozen(kw_only=True)
class Changed(Plain):
    """A route that changed. `records` of its entity were last judged, delivered or skipped, as it was before."""

    route: str
    parts: tuple[str, ...]
    #: When it came into force; None: it stands in the file only.
    since: datetime | None
    records: int
    command: str

    @property
    def text(self) -> str:
        """A sentence for people."""
        what = " and ".join(self.parts)
        if self.since is None:
            return (
                f"route {self.route}: its {what} changed in the file and is not in force yet; {self.records:,} records "
                f"were delivered or skipped as it was: once it is, {self.command} sends them again"
            )
        return (
            f"route {self.route}: its {what} changed, and {self.records:,} records were delivered or skipped under the "
            f"old one: {self.command} sends them again"
        )


def note_routes(app: App) -> None:
    """Remember the routes that begin to be delivered by now."""
    now = app.clock.now()
    notes = app.store.state(NOTES)
    for route in app.routes.values():
        digests = _digests(route)
        known: Mapping[str, Any] | None = notes.get(route.name)
        if known is None:
            notes.put({route.name: {"parts": digests}})
        elif parts := _differing(known["parts"], digests):
            open_parts = known.get("changed", ()) if _old_ones(app, route, known) else ()
            changed = [part for part in _PARTS if part in parts or part in open_parts]
            notes.put({route.name: {"parts": digests, "changed": changed, "since": now.isoformat()}})


def file_notes(app: Base, routes: Collection[str] | None = None) -> tuple[str, ...]:
    """What a person has to know of the file: it is not what the daemon works with; `routes` (None: all) changed."""
    behind = app.running.behind(app.path)
    changed = [c.text for c in changed_routes(app) if routes is None or c.route in routes]
    return ((behind,) if behind else ()) + tuple(changed)


def changed_routes(app: Base) -> list[Changed]:
    """Every route of the file with records that were last judged as it was before."""
    with _filed(app) as filed:
        return [] if filed is None else list(_changed(filed))


@contextmanager
def _filed(app: Base) -> Iterator[App | None]:
    """The app of what the file says now: a daemon's page and the commands beside it tell the same."""
    known = app if isinstance(app, App) else None
    try:
        current = known is not None and digest_of(known.text) == digest_of(read_file(app.path))
        filed = None if current else App.beside(app)
    except SettingsError:
        filed = None  # nothing can be made of the file: it stays at what is known
    try:
        yield filed or known
    finally:
        if filed is not None:
            filed.release()


def _changed(app: App) -> Iterator[Changed]:
    notes = app.store.state(NOTES)
    for route in app.routes.values():
        known: Mapping[str, Any] | None = notes.get(route.name)
        # A sink that does not open without its secret did not say what the route sends by default.
        if known is None or route.entity in FACTS or app.sinks[route.sink].unasked:
            continue
        command = f"synccore backfill {route.source} {route.entity} --route {route.name}"
        if parts := _differing(known["parts"], _digests(route)):
            records = app.store.unjudged(route.name, route.source, route.entity, app.clock.now())
            yield Changed(route=route.name, parts=parts, since=None, records=records, command=command)
        elif records := _old_ones(app, route, known):
            yield Changed(
                route=route.name,
                parts=tuple(known["changed"]),
                since=datetime.fromisoformat(known["since"]),
                records=records,
                command=command,
            )


def _old_ones(app: App, route: RouteSpec, known: Mapping[str, Any]) -> int:
    if known.get("since") is None:
        return 0
    since = datetime.fromisoformat(known["since"])
    records = app.store.unjudged(route.name, route.source, route.entity, since)
    if records == 0 or app.clock.now() - since > app.retention:
        # All of them, or longer ago than deliveries are kept: nothing more can be said of this change.
        app.store.state(NOTES).put({route.name: {"parts": known["parts"]}})
        return 0
    return records


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(part for part in _PARTS if old.get(part) != new[part])


def _digests(route: RouteSpec) -> dict[str, str]:
    values = asdict(route)
    return {part: _digest({name: values[name] for name in names}) for part, names in _PARTS.items()}


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
