"""Rows of the outbox as they come to be, go back and fold: used by ingest, settle and the people's verbs."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from attrs import asdict, frozen

from ..._plain import Plain
from ...types import Op
from .. import sql
from .._convert import from_ms, history_values
from ..engine import Row, Transaction
from ..rows import DirtyRule, HistoryEntry
from .pen import OWE_LENT, Pen

__all__ = [
    "Slot",
    "end_event",
    "fold_or_ready",
    "owe",
    "refresh",
    "refresh_record",
    "slot_of",
    "tell",
    "write_history",
]

_MS = timedelta(milliseconds=1)


@frozen
class Slot(Plain):
    """Where one delivery runs at a time, and (`owner`) where events keep their order."""

    sink: str
    source: str
    entity: str
    key: str
    route: str = ""
    owner_entity: str | None = None
    owner_key: str | None = None


def slot_of(row: Row) -> Slot:
    """A row's slot."""
    place = row["sink"], row["source"], row["entity"], row["key"]
    if row["owner_key"] is None:
        return Slot(*place)
    return Slot(*place, row["route"], row["owner_entity"], row["owner_key"])


def owe(
    pen: Pen,
    rule: DirtyRule,
    source: str,
    key: str,
    op: Op,
    *,
    bulk: bool,
    now: int,
    changed: bool = True,
    before: str | None = None,
    doubt: int = 0,
    made_from: str | None = None,
    lease: Mapping[str, Any] | None = None,
) -> bool:
    """A route owes a key; written with the other keys that it owes alike. Whether it is not among those yet.

    `changed` False: only where none is ready yet, and the link was not made from the same (`made_from`). `before`: the
    state the record had before. `doubt`: 1 where a record without a link may be at the target all the same, 2 where
    what is there may also be another state than the link says. `lease`: for a record that nothing is known of, see
    `lending`.
    """
    delay = rule.delay // _MS
    alike = {
        "route": rule.route,
        "sink": rule.sink,
        "source": source,
        "entity": rule.entity,
        "op": op,
        "bulk": int(bulk),
        "doubt": doubt,
        "delay": delay,
        "due_at": now + delay if changed and not bulk else now,
        "now": now,
    }
    if lease is not None:
        return pen.owe(OWE_LENT, {**alike, **lease}, key, None)
    return pen.owe(sql.OWE if changed else sql.OWE_ANYWAY, alike, key, before if changed else made_from)


def refresh(tx: Transaction, slots: Iterable[Slot]) -> None:
    """Say anew what of these slots may be claimed."""
    distinct = [asdict(slot) for slot in dict.fromkeys(slots)]
    tx.executemany(sql.REFRESH_BLOCKED, distinct)
    tx.executemany(sql.REFRESH_OWNER, [slot for slot in distinct if slot["owner_key"] is not None])


def refresh_record(tx: Transaction, source: str, entity: str, key: str) -> set[str]:
    """Say anew, at every sink, what of a record may be claimed; the sinks that have something of it."""
    place = {"source": source, "entity": entity, "key": key}
    sinks = {row["sink"] for row in tx.execute(sql.SINKS_OF, place).fetchall()}
    tx.executemany(sql.REFRESH_BLOCKED, [place | {"sink": sink} for sink in sorted(sinks)])
    return sinks


def end_event(write: Callable[[str, Mapping[str, Any]], object], row: Row, outcome: str | None) -> None:
    """Remember what became of an event on its route, beyond the life of its row; `write` carries a statement out."""
    if row["event"] is not None:
        write(sql.END_EVENT, {"event": row["event"], "route": row["route"], "outcome": outcome})


def fold_or_ready(tx: Transaction, row: Row, **values: Any) -> None:
    """Put a row back to ready, or, where a newer ready row of its route and key exists, fold it into that one.

    `values` overrides columns of the row. The caller refreshes the slot.
    """
    new = {**dict(row), **values}
    # What a try without an answer may have written is known as long as that is in doubt.
    new["sent"] = new["sent"] if new["maybe_applied"] else None
    if row["event"] is None and (newer := tx.execute(sql.READY, dict(row)).fetchone()) is not None:
        tx.execute("DELETE FROM delivery WHERE id = ?", (row["id"],))
        tx.execute(sql.FOLD, {**new, "id": newer["id"]})
        return
    ended = dict.fromkeys(("job", "job_position", "submitted_at", "settled_at"))
    tx.execute(sql.MOVE, {**new, **ended, "state": "ready", "id": row["id"]})


def write_history(tx: Transaction, entry: HistoryEntry, delivery_id: int | None = None) -> None:
    """A line of the audit trail."""
    tx.execute(sql.ADD_HISTORY, history_values(entry, delivery_id))


def tell(tx: Transaction, row: Row, outcome: str, now: int, **said: Any) -> None:
    """A line of the audit trail about a row of `delivery`."""
    place = {name: row[name] for name in ("route", "sink", "source", "entity", "key", "op")}
    write_history(tx, HistoryEntry(at=from_ms(now), **place, outcome=outcome, **said), row["id"])
