"""Rows of the outbox as they come to be, go back and fold: used by ingest, settle and the people's verbs."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ..types import Op
from . import sql
from ._convert import history_values
from .engine import Row, Transaction
from .rows import DirtyRule, HistoryEntry

__all__ = ["Slot", "fold_or_ready", "owe", "refresh", "slot_of", "write_history"]

#: (sink, source, entity, key): where one delivery runs at a time.
Slot = tuple[str, str, str, str]


def slot_of(row: Row) -> Slot:
    """A row's slot."""
    return row["sink"], row["source"], row["entity"], row["key"]


def owe(
    tx: Transaction,
    rule: DirtyRule,
    source: str,
    key: str,
    op: Op,
    *,
    bulk: bool,
    now: int,
    changed: bool = True,
) -> bool:
    """A route owes a key; whether a row was made or refreshed. `changed` False: only where none is ready yet."""
    values = {
        "route": rule.route,
        "sink": rule.sink,
        "source": source,
        "entity": rule.entity,
        "key": key,
        "op": op,
        "bulk": bulk,
        "delay": rule.delay // timedelta(milliseconds=1),
        "now": now,
    }
    return tx.execute(sql.OWE if changed else sql.OWE_ANYWAY, values).rowcount > 0


def refresh(tx: Transaction, slots: Iterable[Slot]) -> None:
    """Say anew what of these slots may be claimed."""
    tx.executemany(
        sql.REFRESH_BLOCKED,
        [{"sink": s, "source": source, "entity": e, "key": k} for s, source, e, k in sorted(set(slots))],
    )


def fold_or_ready(tx: Transaction, row: Row, **values: Any) -> None:
    """Put a row back to ready, or, where a newer ready row of its route and key exists, fold it into that one.

    `values` overrides columns of the row. The caller refreshes the slot.
    """
    new = {**dict(row), **values}
    if row["event"] is None and (newer := tx.execute(sql.READY, dict(row)).fetchone()) is not None:
        tx.execute("DELETE FROM delivery WHERE id = ?", (row["id"],))
        tx.execute(sql.FOLD, {**new, "id": newer["id"]})
        return
    ended = dict.fromkeys(("job", "job_position", "submitted_at", "sent", "settled_at"))
    tx.execute(sql.MOVE, {**new, **ended, "state": "ready", "id": row["id"]})


def write_history(tx: Transaction, entry: HistoryEntry, delivery_id: int | None = None) -> None:
    """A line of the audit trail."""
    tx.execute(sql.ADD_HISTORY, history_values(entry, delivery_id))
