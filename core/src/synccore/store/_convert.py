"""Database rows to the rows the contract speaks in, and times to milliseconds."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any, Generic, TypeVar

from attrs import AttrsInstance, fields

from .._swift import swiftly
from ..types import EntityRef, Link, Snapshot
from . import codec
from .engine import Row
from .rows import BackfillJob, Delivery, Hint, HistoryEntry, Hold, LaneRecord, UnreadableRecord

__all__ = [
    "from_ms",
    "history_values",
    "maybe_from_ms",
    "maybe_ms",
    "named",
    "to_backfill",
    "to_delivery",
    "to_hint",
    "to_history",
    "to_hold",
    "to_lane",
    "to_link",
    "to_ms",
    "to_snapshot",
    "to_states",
    "to_unreadable",
]

_Kind = TypeVar("_Kind", bound=AttrsInstance)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970 UTC, rounded down."""
    since = at - _EPOCH
    # Of the parts: to divide the whole takes three times as long.
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


@lru_cache(maxsize=1024)  # the rows of a page were made, and are due, at the same time
def from_ms(ms: int) -> datetime:
    """The time, aware UTC."""
    return _EPOCH + ms * _MS


def maybe_ms(at: datetime | None) -> int | None:
    """As `to_ms`; None stays None."""
    return None if at is None else to_ms(at)


def maybe_from_ms(ms: int | None) -> datetime | None:
    """As `from_ms`; None stays None."""
    return None if ms is None else from_ms(ms)


def named(answer: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows of one statement's answer as mappings, for those that are looked into again and again: a row looks for
    the place of a column each time."""
    rows = list(answer)
    if not rows:
        return []
    names = list(rows[0].keys())
    return [dict(zip(names, row, strict=True)) for row in rows]


class _Reader(Generic[_Kind]):
    """How a row becomes a `kind`: its columns bear the names of the attributes, or those of `columns`."""

    def __init__(self, kind: type[_Kind], **columns: str) -> None:
        self._kind = kind
        self._names = [a.name for a in fields(kind)]
        self._columns = [columns.get(name, name) for name in self._names]
        self._turns = [(a.name, _TURNS[a.type]) for a in fields(kind) if a.type in _TURNS]

    @cached_property
    def _make(self) -> Callable[..., _Kind]:
        return swiftly(self._kind)

    def __call__(self, row: Row) -> _Kind:
        return self.all([row])[0]

    def all(self, answer: Iterable[Row]) -> list[_Kind]:
        """The rows of one statement's answer: where the columns stand in it is found once."""
        rows = list(answer)
        if not rows:
            return []
        keys = list(rows[0].keys())
        pick = itemgetter(*map(keys.index, self._columns))
        found = []
        for row in rows:
            values = dict(zip(self._names, pick(tuple(row)), strict=True))
            for name, turn in self._turns:
                if (value := values[name]) is not None:
                    values[name] = turn(value)
            found.append(self._make(**values))
        return found


#: How a column's value is turned, by the type of its attribute; others, and what is not there, are as they stand.
_TURNS: Mapping[Any, Callable[[Any], Any]] = {
    datetime: from_ms,
    datetime | None: from_ms,
    bool: bool,
    Mapping[str, str]: codec.load_json,
    tuple[str, ...]: lambda text: tuple(codec.load_json(text)),
}

#: Each reads a row of the table or view of that name.
to_delivery = _Reader(Delivery)
to_lane = _Reader(LaneRecord)
to_hold = _Reader(Hold)
to_backfill = _Reader(BackfillJob)
to_hint = _Reader(Hint)
to_unreadable = _Reader(UnreadableRecord)
to_history = _Reader(HistoryEntry, delivery_id="delivery")


_new_ref, _new_snapshot = swiftly(EntityRef), swiftly(Snapshot)


def _owner(row: Row) -> EntityRef | None:
    return None if row["owner_key"] is None else _new_ref(row["owner_entity"], row["owner_key"])


def to_snapshot(row: Row, *, event: bool = False) -> Snapshot:
    """A row of `snapshot`, or of `event` as a snapshot of its own data."""
    return _new_snapshot(
        source=row["source"],
        entity=row["entity"],
        key=row["key"],
        data=codec.load_entity(row["entity"], row["data"]),
        version=row["version"],
        owner=_owner(row),
        deleted=not event and bool(row["deleted"]),
        changed_at=from_ms(row["at"] if event else row["changed_at"]),
    )


def to_states(answer: Iterable[Row], source: str, entity: str) -> Iterator[tuple[Snapshot, str]]:
    """Rows of `claim.STATES`, each with its fingerprint: a batch of them at a time, so by their places."""
    for key, data, version, owner_entity, owner_key, deleted, changed_at, fingerprint in answer:
        snapshot = _new_snapshot(
            source=source,
            entity=entity,
            key=key,
            data=codec.load_entity(entity, data),
            version=version,
            owner=None if owner_key is None else _new_ref(owner_entity, owner_key),
            deleted=bool(deleted),
            changed_at=from_ms(changed_at),
        )
        yield snapshot, fingerprint


def to_link(row: Row) -> Link:
    """A row of `linked`."""
    return Link(
        object=row["object"],
        remote_id=row["remote_id"],
        etag=row["etag"],
        fields=codec.load_fields(row["fields"]),
        delivered_at=maybe_from_ms(row["delivered_at"]),
        source=row["source"],
        entity=row["entity"],
        key=row["key"],
        route=row["route"],
        sink=row["sink"],
        left_out=codec.load_json(row["left_out"]),
        asked=None if row["asked"] is None else codec.load_fields(row["asked"]),
        adopted=bool(row["adopted"]),
        shared=max(row["shared"], 1),
        made=codec.load_json(row["made"]),
        parent_id=row["parent_id"],
        left=bool(row["let_go"]),
    )


@lru_cache(maxsize=64)  # the records of a listing have the same fields
def _names(fields: tuple[str, ...]) -> str:
    return codec.dump_json(fields)


def history_values(entry: HistoryEntry, delivery_id: int | None = None) -> dict[str, Any]:
    """The parameters of `sql.ADD_HISTORY`."""
    return {
        "at": to_ms(entry.at),
        "route": entry.route,
        "sink": entry.sink,
        "source": entry.source,
        "entity": entry.entity,
        "key": entry.key,
        "op": entry.op,
        "outcome": entry.outcome,
        "remote_id": entry.remote_id,
        "fields": _names(entry.fields) if entry.fields else "[]",
        "error_kind": entry.error_kind,
        "error": entry.error,
        "note": entry.note,
        "duration_ms": entry.duration_ms,
        "delivery": delivery_id if entry.delivery_id is None else entry.delivery_id,
    }
