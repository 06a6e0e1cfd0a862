"""How deliveries leave `running` and `submitted`: fenced by the token they were claimed with."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ...types import Op, Uid
from .. import codec, sql
from .._convert import history_values, named, to_ms
from ..codec import dump_json
from ..engine import Row, Transaction
from ..rows import DirtyRule, LinkUpdate, Settlement
from .hanging import owe_hanging
from .hints import ask_alone
from .owing import end_event, fold_or_ready, owe, refresh, slot_of, tell
from .pen import Pen
from .people import retry
from .returning import BEHIND_NEWER

__all__ = ["put_link", "settle"]

_FINAL = ("done", "skipped")
#: After these it is known whether the newest state is at the target.
_JUDGED = (*_FINAL, "parked")

#: What is owed of a record is owed in full: what is there may be another state than the link says.
_UNSURE = """
UPDATE delivery SET maybe_applied = 1 WHERE route = :route AND source = :source AND entity = :entity AND key = :key
    AND settled_at IS NULL AND event IS NULL AND state IN ('ready', 'parked')
"""
#: The oldest state that is known of a record whose twin was found just now.
_OLDEST = """
SELECT coalesce((SELECT d.before FROM delivery d WHERE d.source = :source AND d.entity = :entity AND d.key = :key
        AND d.route = :route AND d.settled_at IS NULL AND d.before IS NOT NULL ORDER BY d.id LIMIT 1),
    (SELECT s.data FROM snapshot s WHERE s.source = :source AND s.entity = :entity AND s.key = :key AND s.deleted = 0),
    :seen) AS data
"""

#: A newer one made it pointless: nothing of it is needed any more but why it was parked.
_SUPERSEDE = """
UPDATE delivery SET state = 'skipped', maybe_applied = 0, sent = NULL, before = NULL, former_email = NULL,
    wait_route = NULL, wait_entity = NULL, wait_key = NULL, settled_at = ? WHERE id = ?
"""


def settle(tx: Transaction, settlements: Sequence[Settlement], now: int) -> frozenset[int]:
    """Settle all; the ids whose lease was lost."""
    pen = Pen(tx)
    rows = _fenced(pen, settlements)
    positions: dict[tuple[str, str], int] = {}
    held = [(row, s) for s in settlements if (row := rows.get(s.delivery_id)) is not None]
    ended = [(row, s) for row, s in held if s.to in _FINAL]
    _end(pen, ended, now)
    others = [row for row, s in held if s.to not in _FINAL]
    whole = {row["id"]: row for row in pen.execute(sql.WHOLE, {"ids": _ids(others)})} if others else {}
    back = {"ids": _ids(row for row, s in held if s.to == "ready")}
    behind = {row["id"] for row in pen.execute(BEHIND_NEWER, back)} if others else set()
    linked: list[Row] = []
    for row, settlement in held:
        if settlement.to not in _FINAL:
            _move_on(pen, whole[row["id"]], settlement, now, positions, behind)
        if settlement.link is not None and _put_link(pen, row, settlement.link, now, settlement.made_from):
            linked.append(row)
        elif row["event"] is None and settlement.to in _JUDGED:
            # Looked at, and not written: the newest state is there all the same, or it is not.
            place = {name: row[name] for name in ("route", "source", "entity", "key")}
            pen.later(sql.MADE_FROM, place | {"made_from": settlement.made_from})
        if settlement.may_hold is not None:
            place = {name: row[name] for name in ("route", "source", "entity", "key")}
            pen.later(sql.MAY_HOLD, place | {"asked": codec.dump_fields(dict(settlement.may_hold))})
        _tell(pen, row, settlement, now)
    _wake(pen, linked, now)
    for row, settlement in held:
        if settlement.link is not None and settlement.link.emptied:
            _owe_sharers(pen, row, settlement.link, now)
        for one in settlement.frees:
            _owe_freed(pen, row, one, now)
    owe_hanging(pen, (row for row, s in held if s.link is not None and s.link.moved), now)
    # What is handed to a job holds up what it held up while it ran; what was folded away is no row any more.
    moved = [row for row, s in held if s.to != "submitted"]
    pen.execute(sql.REFRESH_BEHIND, {"ids": _ids(row for row in moved if row["id"] not in behind)})
    refresh(pen, (slot_of(row) for row in moved if row["id"] in behind or row["owner_key"] is not None))
    pen.flush()
    return frozenset(s.delivery_id for s in settlements if s.delivery_id not in rows)


def _fenced(tx: Pen, settlements: Sequence[Settlement]) -> dict[int, Row]:
    """The rows that still have the lease (or the job) they were claimed with."""
    tokens = {s.delivery_id: s.token for s in settlements}
    rows = named(tx.execute(sql.HELD, {"ids": dump_json(list(tokens))}))
    return {
        row["id"]: row
        for row in rows
        if tokens[row["id"]] == (row["lease_token"] if row["state"] == "running" else row["job"])
    }


def _ids(rows: Iterable[Row]) -> str:
    return dump_json([row["id"] for row in rows])


def _end(tx: Pen, ended: Sequence[tuple[Row, Settlement]], now: int) -> None:
    """What needs no further try, all at once."""
    for state in _FINAL:
        rows = [row for row, settlement in ended if settlement.to == state]
        if not rows:
            continue
        ids = {"ids": _ids(rows)}
        tx.execute(sql.END, ids | {"state": state, "now": now})
        for row in rows:
            end_event(tx.later, row, state)
        if doubted := [row for row in rows if row["maybe_applied"]]:
            tx.execute(sql.END_DOUBT, {"ids": _ids(doubted)})
        by_id = {row["id"]: row for row in rows}
        for superseding in tx.execute(sql.SUPERSEDING, ids).fetchall():
            _supersede_parked(tx, by_id[superseding["id"]], state, now)


def _move_on(
    tx: Pen,
    row: Row,
    settlement: Settlement,
    now: int,
    positions: dict[tuple[str, str], int],
    behind: Collection[int],
) -> None:
    """What is owed still (`behind`: in a newer row, into which it is folded), handed to a job, or needs a person."""
    values = _moved(row, settlement, now)
    if settlement.to == "ready":
        wait = settlement.wait if row["waiting_since"] is None else None
        if wait is not None and _is_linked(tx, wait, row["source"]):
            # The parent was delivered while this one was being mapped: nothing would wake it any more. Once alone, for
            # what the link leads to may be gone, and that is waited for like any other.
            values |= {"due_at": now, "wait_route": None, "wait_entity": None, "wait_key": None}
        if wait is not None and _is_deleted(tx, wait, row["source"]):
            # It may be nobody's by now, and the parent never comes: the source knows, which gives no word of that.
            ask_alone(tx, row["source"], row["entity"], row["key"], due=now, now=now)
        if row["id"] in behind:
            fold_or_ready(tx, row, **values)
        else:
            tx.later(sql.MOVE, {**dict(row), **values, "state": "ready"})
    elif settlement.to == "submitted":
        if settlement.job is None:
            raise ValueError("a submitted delivery needs its job")
        values |= {
            "job": settlement.job,
            "job_position": _next_position(tx, row["sink"], settlement.job, positions),
            "submitted_at": now,
            "sent": None if settlement.sent is None else codec.dump_fields(settlement.sent),
        }
        tx.later(sql.MOVE, {**dict(row), **values, "state": "submitted"})
    else:
        tx.execute(sql.MOVE, {**dict(row), **values, "state": "parked"})
        tx.execute(sql.HAND_ON_BEFORE, {**dict(row), **values})
        _supersede_parked(tx, row, "parked", now)


def _tell(tx: Pen, row: Row, settlement: Settlement, now: int) -> None:
    """What else is owed because of it, and a line of the trail."""
    for rule in settlement.owes:
        op: Op = "delete" if row["op"] == "delete" else "upsert"
        owe(tx, rule, row["source"], row["key"], op, bulk=bool(row["bulk"]), now=now)
    if settlement.history is not None:
        tx.later(sql.ADD_HISTORY, history_values(settlement.history, row["id"]))


def _moved(row: Row, settlement: Settlement, now: int) -> dict[str, Any]:
    """The columns of a row that was tried and has not ended."""
    failed_at = row["first_failed_at"]
    wait = settlement.wait or (None, None, None)
    return {
        "due_at": row["due_at"] if settlement.due_at is None else to_ms(settlement.due_at),
        "attempts": row["attempts"] + settlement.counted,
        "first_failed_at": now if failed_at is None and settlement.counted else failed_at,
        # Once a try may have been carried out, that stays true until the row is settled, or the target was asked.
        "maybe_applied": _in_doubt(row, settlement),
        "job": None,
        "job_position": None,
        "submitted_at": None,
        "sent": _unheard(row, settlement),
        "wait_route": wait[0],
        "wait_entity": wait[1],
        "wait_key": wait[2],
        "waiting_since": None if settlement.wait is None else _first(row["waiting_since"], now),
        "error_kind": settlement.error_kind,
        "error": settlement.error,
        "settled_at": None,
    }


def _unheard(row: Row, settlement: Settlement) -> str | None:
    """What tries without an answer may have written, a job among them: kept as long as that is in doubt."""
    if settlement.unheard is not None:
        return codec.dump_fields({"unheard": dict(settlement.unheard)})
    return row["sent"] if row["event"] is None and _in_doubt(row, settlement) else None


def _in_doubt(row: Row, settlement: Settlement) -> bool:
    return not settlement.not_applied and bool(settlement.maybe_applied or row["maybe_applied"])


def _first(known: int | None, now: int) -> int:
    return now if known is None else known


def _is_deleted(tx: Transaction, wait: tuple[str, str, str], source: str) -> bool:
    _, entity, key = wait
    known = tx.execute(sql.SNAPSHOT, {"source": source, "entity": entity, "key": key}).fetchone()
    return known is not None and bool(known["deleted"])


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
                "UPDATE delivery SET first_change_at = min(first_change_at, ?),"
                " former_email = coalesce(?, former_email), sent = coalesce(sent, ?) WHERE id = ?",
                (older["first_change_at"], older["former_email"], older["sent"], row["id"]),
            )
            continue
        tx.execute(_SUPERSEDE, (now, older["id"]))
        tell(tx, older, "skipped", now, note=f"parked before; settled by delivery {row['id']}")


def put_link(tx: Transaction, route: str, source: str, entity: str, key: str, update: LinkUpdate, now: int) -> None:
    """Write or remove a link, and wake what waited for it."""
    pen = Pen(tx)
    row = {"route": route, "source": source, "entity": entity, "key": key, "sink": update.sink}
    if _put_link(pen, row, update, now):
        _wake(pen, [row], now)
    if update.moved:
        owe_hanging(pen, [row], now)
    pen.flush()


def _put_link(
    tx: Pen, row: Row | Mapping[str, Any], update: LinkUpdate, now: int, made_from: str | None = None
) -> bool:
    """Whether there is a link now that was written."""
    values: dict[str, Any] = {
        "route": row["route"],
        "source": row["source"],
        "entity": row["entity"],
        "key": row["key"],
        "now": now,
    }
    if update.remove:
        tx.execute(sql.DROP_LINK, values)
        return False
    remote_id = update.remote_id
    if remote_id is None:
        known = tx.execute(sql.LINK, values).fetchone()
        if known is None:
            return False
        remote_id = known["remote_id"]
    seen = None
    if update.seen is not None:
        seen = tx.execute(_OLDEST, values | {"seen": codec.dump_entity(update.seen)}).fetchone()["data"]
    values["sink"] = row["sink"]
    values["object"] = update.object
    values["remote_id"] = remote_id
    values["etag"] = update.etag
    values["fields"] = None if update.fields is None else codec.dump_fields(dict(update.fields))
    values["left_out"] = dump_json(dict(update.left_out)) if update.left_out else "{}"
    values["asked"] = None if update.asked is None else codec.dump_fields(dict(update.asked))
    values["adopted"] = None if update.adopted is None else int(update.adopted)
    values["made"] = dump_json(dict(update.made)) if update.made else "{}"
    values["parent_id"] = update.parent_id
    values["left"] = int(update.left)
    values["made_from"] = made_from
    values["seen"] = seen
    tx.later(sql.PUT_LINK[update.fields is not None, update.adopted is not None], values)
    return True


def _owe_sharers(tx: Pen, row: Row, update: LinkUpdate, now: int) -> None:
    """Others wrote the same values to the twin: what of theirs is there still nobody knows. What they wrote stays
    known as theirs, lest it be taken for the target's own when they go."""
    place = {name: row[name] for name in ("route", "source", "entity", "key", "sink")}
    for other in tx.execute(sql.SHARERS, place | {"remote_id": update.remote_id, "object": update.object}).fetchall():
        _put_link(tx, other, LinkUpdate(object=other["object"], remote_id=other["remote_id"]), now)
        _owe_in_full(tx, other, now)


def _owe_freed(tx: Pen, row: Row, one: Uid, now: int) -> None:
    """Something was kept from it that stood at another one's twin; without a link it is owed in full anyhow."""
    place = {"route": row["route"], "source": one.source, "entity": one.entity, "key": one.key}
    other = tx.execute(sql.LINK, place).fetchone()
    if other is not None and not other["let_go"]:
        _owe_in_full(tx, other, now)


def _owe_in_full(tx: Pen, other: Row, now: int) -> None:
    """Of what is linked: the next state is sent whole, also where it is what was delivered last."""
    tx.later(_UNSURE, {name: other[name] for name in ("route", "source", "entity", "key")})
    rule = DirtyRule(route=other["route"], sink=other["sink"], entity=other["entity"])
    owe(tx, rule, other["source"], other["key"], "upsert", bulk=True, now=now, changed=False, doubt=2)


def _wake(tx: Pen, linked: Sequence[Row | Mapping[str, Any]], now: int) -> None:
    """What waited for these links goes on, and so does what was parked because it had waited for too long."""
    routes = {row["route"]: row["sink"] for row in linked}
    waited = {route for route in routes if tx.execute(sql.WAITED_FOR, {"route": route}).fetchone()}
    in_vain = {
        route for route in waited if tx.execute(sql.WAITED_IN_VAIN, {"route": route, "sink": routes[route]}).fetchone()
    }
    for row in linked:
        place = {name: row[name] for name in ("route", "source", "entity", "key")}
        if row["route"] in in_vain:
            retry(tx, [parked["id"] for parked in tx.execute(sql.PARKED_BEHIND, place).fetchall()], now)
        if row["route"] in waited:
            tx.later(sql.WAKE, place | {"now": now})
