"""`synccore log`: the audit trail of a record, a person or a target, and what is added to it."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from .._app.base import Base
from .._plain import Plain
from ..store import HistoryEntry
from ..values import timestamp

__all__ = ["COLUMNS", "Wanted", "document", "follow", "told", "trail"]

POLL = timedelta(seconds=1)
#: What the JSON of a line holds.
COLUMNS = (
    *("at", "route", "sink", "entity", "key", "op", "outcome", "remote_id", "fields", "error", "duration_ms"),
    *("note", "delivery"),
)


@frozen(kw_only=True)
class Wanted(Plain):
    """Which lines: all conditions hold together."""

    key: str | None = None
    email: str | None = None
    sink: str | None = None
    route: str | None = None
    outcome: str | None = None
    since: datetime | None = None


def _lines(
    app: Base, wanted: Wanted, *, after_id: int | None = None, before_id: int | None = None, limit: int | None
) -> list[HistoryEntry]:
    keys: Sequence[tuple[str, str]] | None = None
    if wanted.email is not None:
        keys = app.store.keys_by_email(wanted.email)
        if not keys:
            return []
    return app.store.history(
        keys=keys,
        key=wanted.key,
        sink=wanted.sink,
        route=wanted.route,
        outcomes=(wanted.outcome,) if wanted.outcome else (),
        since=wanted.since,
        after_id=after_id,
        before_id=before_id,
        limit=limit,
    )


def trail(app: Base, wanted: Wanted, limit: int | None = 200, *, before_id: int | None = None) -> list[HistoryEntry]:
    """The newest `limit` lines (of those before one), oldest first."""
    return _lines(app, wanted, before_id=before_id, limit=limit)


def follow(app: Base, wanted: Wanted, after_id: int | None) -> Iterator[HistoryEntry]:
    """What is added from now on, until the process is asked to stop."""
    while not app.stopping.is_set():
        for line in _lines(app, wanted, after_id=after_id, limit=None):
            after_id = line.id
            yield line
        app.clock.sleep(POLL)


def document(line: HistoryEntry) -> dict[str, Any]:
    """A line in the JSON of `log --json`: names of fields, never their values."""
    own = {"at": timestamp(line.at), "fields": list(line.fields), "delivery": line.delivery_id}
    return {name: own[name] if name in own else getattr(line, name) for name in COLUMNS}


def told(line: HistoryEntry) -> str:
    """What a line says to people: the error; else the names of the fields, and what is to be said of them."""
    return line.error or "; ".join(filter(None, (", ".join(line.fields), line.note)))
