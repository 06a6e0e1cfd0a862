"""Database rows to the rows the contract speaks in, and times to milliseconds."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, TypeVar

from attrs import AttrsInstance, fields

from ..types import EntityRef, Link, Snapshot
from . import codec
from .engine import Row
from .rows import BackfillJob, Delivery, Hint, HistoryEntry, Hold, LaneRecord, UnreadableRecord

__all__ = [
    "from_ms",
    "history_values",
    "maybe_from_ms",
    "maybe_ms",
    "to_backfill",
    "to_delivery",
    "to_hint",
    "to_history",
    "to_hold",
    "to_lane",
    "to_link",
    "to_ms",
    "to_snapshot",
    "to_unreadable",
]

_Kind = TypeVar("_Kind", bound=AttrsInstance)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970 UTC, rounded down."""
    return (at - _EPOCH) // _MS


def from_ms(ms: int) -> datetime:
    """The time, aware UTC."""
    return _EPOCH + ms * _MS


def maybe_ms(at: datetime | None) -> int | None:
    """As `to_ms`; None stays None."""
    return None if at is None else to_ms(at)


def maybe_from_ms(ms: int | None) -> datetime | None:
    """As `from_ms`; None stays None."""
    return None if ms is None else from_ms(ms)


def _reader(kind: type[_Kind], **columns: str) -> Callable[[Row], _Kind]:
    """How a row becomes a `kind`: its columns bear the names of the attributes, or those of `columns`."""
    names = [a.name for a in fields(kind)]
    turns = [(a.name, _TURNS[a.type]) for a in fields(kind) if a.type in _TURNS]

    @lru_cache(maxsize=16)
    def picker(keys: tuple[str, ...]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
        """Where the columns stand in a statement's answers: to find each by its name in each row takes long."""
        return itemgetter(*(keys.index(columns.get(name, name)) for name in names))

    def read(row: Row) -> _Kind:
        values = dict(zip(names, picker(tuple(row.keys()))(tuple(row)), strict=True))
        for name, turn in turns:
            values[name] = turn(values[name])
        return kind(**values)

    return read


#: How a column's value is turned, by the type of its attribute; others are as they stand.
_TURNS: Mapping[Any, Callable[[Any], Any]] = {
    datetime: from_ms,
    datetime | None: maybe_from_ms,
    bool: bool,
    Mapping[str, str]: codec.load_json,
    tuple[str, ...]: lambda text: tuple(codec.load_json(text)),
}

#: Each reads a row of the table or view of that name.
to_delivery = _reader(Delivery)
to_lane = _reader(LaneRecord)
to_hold = _reader(Hold)
to_backfill = _reader(BackfillJob)
to_hint = _reader(Hint)
to_unreadable = _reader(UnreadableRecord)
to_history = _reader(HistoryEntry, delivery_id="delivery")


#: Columns of `history` that hold what the attribute of that name says.
_HISTORY = [a.name for a in fields(HistoryEntry) if a.name not in ("at", "fields", "delivery_id", "id")]


def _owner(row: Row) -> EntityRef | None:
    return None if row["owner_key"] is None else EntityRef(row["owner_entity"], row["owner_key"])


def to_snapshot(row: Row) -> Snapshot:
    """A row of `snapshot`, or of `event` as a snapshot of its own data."""
    event = "event_id" in row.keys()  # noqa: SIM118  `in` on a Row looks at its values
    return Snapshot(
        source=row["source"],
        entity=row["entity"],
        key=row["key"],
        data=codec.load_entity(row["entity"], row["data"]),
        version=row["version"],
        owner=_owner(row),
        deleted=not event and bool(row["deleted"]),
        changed_at=from_ms(row["at"] if event else row["changed_at"]),
    )


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


def history_values(entry: HistoryEntry, delivery_id: int | None = None) -> dict[str, Any]:
    """The parameters of `sql.ADD_HISTORY`."""
    return {
        **{name: getattr(entry, name) for name in _HISTORY},
        "at": to_ms(entry.at),
        "fields": codec.dump_json(entry.fields) if entry.fields else "[]",
        "delivery": delivery_id if entry.delivery_id is None else entry.delivery_id,
    }
