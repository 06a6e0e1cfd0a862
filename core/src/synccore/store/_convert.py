"""Database rows to the rows the contract speaks in, and times to milliseconds."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from ..types import EntityRef, Link, Snapshot
from . import codec
from .engine import Row
from .rows import BackfillJob, Delivery, Hint, HistoryEntry, LaneRecord, UnreadableRecord

__all__ = [
    "from_ms",
    "history_values",
    "maybe_from_ms",
    "maybe_ms",
    "to_backfill",
    "to_delivery",
    "to_hint",
    "to_history",
    "to_lane",
    "to_link",
    "to_ms",
    "to_snapshot",
    "to_unreadable",
]

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


def to_delivery(row: Row) -> Delivery:
    """A row of `outbox`."""
    return Delivery(
        id=row["id"],
        route=row["route"],
        sink=row["sink"],
        source=row["source"],
        entity=row["entity"],
        key=row["key"],
        op=row["op"],
        state=row["state"],
        bulk=bool(row["bulk"]),
        event_id=row["event_id"],
        due_at=from_ms(row["due_at"]),
        attempts=row["attempts"],
        first_failed_at=maybe_from_ms(row["first_failed_at"]),
        first_change_at=from_ms(row["first_change_at"]),
        last_change_at=from_ms(row["last_change_at"]),
        maybe_applied=bool(row["maybe_applied"]),
        lease_token=row["lease_token"],
        lease_until=maybe_from_ms(row["lease_until"]),
        job=row["job"],
        error_kind=row["error_kind"],
        error=row["error"],
        created_at=from_ms(row["created_at"]),
        settled_at=maybe_from_ms(row["settled_at"]),
        waiting_since=maybe_from_ms(row["waiting_since"]),
        submitted_at=maybe_from_ms(row["submitted_at"]),
        behind_job=row["behind_job"],
        behind_since=maybe_from_ms(row["behind_since"]),
    )


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
        left_out=json.loads(row["left_out"]),
        asked=None if row["asked"] is None else codec.load_fields(row["asked"]),
        adopted=bool(row["adopted"]),
        shared=max(row["shared"], 1),
        made=json.loads(row["made"]),
        parent_id=row["parent_id"],
        left=bool(row["let_go"]),
    )


def to_history(row: Row) -> HistoryEntry:
    """A row of `history`."""
    return HistoryEntry(
        at=from_ms(row["at"]),
        route=row["route"],
        sink=row["sink"],
        source=row["source"],
        entity=row["entity"],
        key=row["key"],
        op=row["op"],
        outcome=row["outcome"],
        remote_id=row["remote_id"],
        fields=tuple(json.loads(row["fields"])),
        error_kind=row["error_kind"],
        error=row["error"],
        note=row["note"],
        duration_ms=row["duration_ms"],
        delivery_id=row["delivery"],
        id=row["id"],
    )


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
        "fields": json.dumps(entry.fields),
        "error_kind": entry.error_kind,
        "error": entry.error,
        "note": entry.note,
        "duration_ms": entry.duration_ms,
        "delivery": delivery_id if entry.delivery_id is None else entry.delivery_id,
    }


def to_lane(row: Row) -> LaneRecord:
    """A row of `lane`."""
    return LaneRecord(
        sink=row["sink"],
        state=row["state"],
        reason=row["reason"],
        until=maybe_from_ms(row["until"]),
        changed_at=maybe_from_ms(row["changed_at"]),
        failures=row["failures"],
    )


def to_backfill(row: Row) -> BackfillJob:
    """A row of `backfill`."""
    return BackfillJob(
        id=row["id"],
        kind=row["kind"],
        source=row["source"],
        entity=row["entity"],
        filters=json.loads(row["filters"]),
        route=row["route"],
        state=row["state"],
        cursor=row["cursor"],
        seen=row["seen"],
        total=row["total"],
        error=row["error"],
        created_at=from_ms(row["created_at"]),
        finished_at=maybe_from_ms(row["finished_at"]),
    )


def to_hint(row: Row) -> Hint:
    """A row of `hint`."""
    return Hint(
        source=row["source"],
        op=row["op"],
        entity=row["entity"],
        key=row["key"],
        mark=row["mark"],
        bulk=bool(row["bulk"]),
        due_at=from_ms(row["due_at"]),
        attempts=row["attempts"],
        error=row["error"],
        given_at=from_ms(row["given_at"]),
    )


def to_unreadable(row: Row) -> UnreadableRecord:
    """A row of `unreadable`."""
    return UnreadableRecord(
        source=row["source"],
        entity=row["entity"],
        place=row["place"],
        key=row["key"],
        reason=row["reason"],
        times=row["times"],
        first_at=from_ms(row["first_at"]),
        last_at=from_ms(row["last_at"]),
    )
