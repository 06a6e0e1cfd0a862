"""How deliveries leave `running` and `submitted`: fenced by the token they were claimed with."""

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import evolve

from ..types import Op
from . import codec, sql
from ._convert import to_ms
from ._owing import Slot, end_event, fold_or_ready, owing, refresh, slot_of, tell, write_history
from .engine import Row, Transaction
from .rows import LinkUpdate, Settlement

__all__ = ["give_back", "put_link", "settle"]


def settle(tx: Transaction, settlements: Sequence[Settlement], now: int) -> frozenset[int]:
    """Settle all; the ids whose lease was lost."""
    lost = set()
    slots: list[Slot] = []
    positions: dict[tuple[str, str], int] = {}
    for settlement in settlements:
        row = tx.execute(sql.FENCED, {"id": settlement.delivery_id, "token": settlement.token}).fetchone()
        if row is None:
            lost.add(settlement.delivery_id)
            continue
        _settle_one(tx, row, settlement, now, positions)
        slots.append(slot_of(row))
    refresh(tx, slots)
    return frozenset(lost)


def _settle_one(
    tx: Transaction, row: Row, settlement: Settlement, now: int, positions: dict[tuple[str, str], int]
) -> None:
    values = _moved(row, settlement, now)
    if settlement.to == "ready":
        if settlement.wait is not None and _is_linked(tx, settlement.wait, row["source"]):
            # The parent was delivered while this one was being mapped: nothing would wake it any more.
            values |= {"due_at": now, "wait_route": None, "wait_entity": None, "wait_key": None}
        fold_or_ready(tx, row, **values)
    elif settlement.to == "submitted":
        if settlement.job is None:
            raise ValueError("a submitted delivery needs its job")
        values |= {
            "job": settlement.job,
            "job_position": _next_position(tx, row["sink"], settlement.job, positions),
            "submitted_at": now,
            "sent": None if settlement.sent is None else codec.dump_fields(settlement.sent),
        }
        tx.execute(sql.MOVE, {**dict(row), **values, "state": "submitted"})
    else:
        tx.execute(sql.MOVE, {**dict(row), **values, "state": settlement.to})
        if settlement.to == "parked":
            tx.execute(sql.HAND_ON_BEFORE, dict(row))
        else:
            end_event(tx, row, settlement.to)
        _supersede_parked(tx, row, settlement.to, now)
    if settlement.link is not None:
        update = evolve(settlement.link, sink=row["sink"])
        put_link(tx, row["route"], row["source"], row["entity"], row["key"], update, now)
    for rule in settlement.owes:
        op: Op = "delete" if row["op"] == "delete" else "upsert"
        tx.execute(*owing(rule, row["source"], row["key"], op, bulk=bool(row["bulk"]), now=now))
    if settlement.history is not None:
        write_history(tx, settlement.history, row["id"])


def _moved(row: Row, settlement: Settlement, now: int) -> dict[str, Any]:
    """The columns of a row that was tried, whatever came of it."""
    failed_at = row["first_failed_at"]
    final = settlement.to in ("done", "skipped")
    wait = settlement.wait or (None, None, None)
    return {
        "due_at": row["due_at"] if settlement.due_at is None else to_ms(settlement.due_at),
        "attempts": row["attempts"] + settlement.counted,
        "first_failed_at": now if failed_at is None and settlement.counted else failed_at,
        # Once a try may have been carried out, that stays true until the row is settled.
        "maybe_applied": not final and bool(settlement.maybe_applied or row["maybe_applied"]),
        "job": None,
        "job_position": None,
        "submitted_at": None,
        "sent": None,
        "wait_route": wait[0],
        "wait_entity": wait[1],
        "wait_key": wait[2],
        "waiting_since": None if settlement.wait is None else _first(row["waiting_since"], now),
        "error_kind": settlement.error_kind,
        "error": settlement.error,
        "settled_at": now if final else None,
    }


def _first(known: int | None, now: int) -> int:
    return now if known is None else known


def _is_linked(tx: Transaction, wait: tuple[str, str, str], source: str) -> bool:
    route, entity, key = wait
    values = {"route": route, "source": source, "entity": entity, "key": key}
    return tx.execute(sql.LINK, values).fetchone() is not None


def _next_position(tx: Transaction, sink: str, job: str, positions: dict[tuple[str, str], int]) -> int:
    """Rows of a job keep the order in which they were submitted."""
    if (sink, job) not in positions:
        positions[sink, job] = tx.execute(
            "SELECT coalesce(max(job_position) + 1, 0) FROM delivery "
            "WHERE state = 'submitted' AND sink = ? AND job = ?",
            (sink, job),
        ).fetchone()[0]
    else:
        positions[sink, job] += 1
    return positions[sink, job]


def _supersede_parked(tx: Transaction, row: Row, to: str, now: int) -> None:
    """A key's state is owed once: what was parked earlier is answered by the newest delivery, or parked with it."""
    if row["event"] is not None:
        return
    for older in tx.execute(sql.OLDER_PARKED, dict(row)).fetchall():
        if to == "parked":
            tx.execute("DELETE FROM delivery WHERE id = ?", (older["id"],))
            tx.execute(
                "UPDATE delivery SET first_change_at = min(first_change_at, ?) WHERE id = ?",
                (older["first_change_at"], row["id"]),
            )
            continue
        tx.execute("UPDATE delivery SET state = 'skipped', settled_at = ? WHERE id = ?", (now, older["id"]))
        tell(tx, older, "skipped", now, note=f"parked before; settled by delivery {row['id']}")


def put_link(tx: Transaction, route: str, source: str, entity: str, key: str, update: LinkUpdate, now: int) -> None:
    """Write or remove a link, and wake what waited for it."""
    values = {"route": route, "source": source, "entity": entity, "key": key, "now": now}
    if update.remove:
        tx.execute(sql.DROP_LINK, values)
        return
    remote_id = update.remote_id
    if remote_id is None:
        known = tx.execute(sql.LINK, values).fetchone()
        if known is None:
            return
        remote_id = known["remote_id"]
    fields = None if update.fields is None else codec.dump_fields(dict(update.fields))
    tx.execute(
        sql.PUT_LINK,
        values
        | {
            "sink": update.sink,
            "object": update.object,
            "remote_id": remote_id,
            "etag": update.etag,
            "fields": fields,
            "left_out": codec.dump_json(dict(update.left_out)),
            "asked": None if update.asked is None else codec.dump_fields(dict(update.asked)),
            "adopted": update.adopted,
            "made": codec.dump_json(dict(update.made)),
            "parent_id": update.parent_id,
            "left": update.left,
        },
    )
    tx.execute(sql.WAKE, values)


def give_back(tx: Transaction, rows: Iterable[Row], *, maybe_applied: bool) -> int:
    """Running rows to ready, no attempt used."""
    slots = []
    for row in sorted(rows, key=lambda row: int(row["id"])):
        fold_or_ready(tx, row, maybe_applied=bool(maybe_applied or row["maybe_applied"]))
        slots.append(slot_of(row))
    refresh(tx, slots)
    return len(slots)
