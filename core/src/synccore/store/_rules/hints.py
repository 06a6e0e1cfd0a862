"""Hints: records that a source only named. What belongs to them waits until they are fetched."""

from collections.abc import Iterable

from ...types import Change, EntityRef, Unreadable
from .. import hinting, sql
from ..engine import Transaction
from ..rows import Hint
from .owing import refresh_record

__all__ = ["ask_after_namesakes", "ask_alone", "drop_hints", "end_hint", "give_hint", "put_unreadable", "waiting_for"]


def give_hint(tx: Transaction, source: str, change: Change, *, bulk: bool, now: int) -> None:
    """Owe a fetch (or a forgetting), and let wait for a fetch what is of this record, of its owner and what it owns."""
    place = {"source": source, "entity": change.entity, "key": change.key}
    tx.execute(hinting.PUT_HINT, place | {"op": change.op, "bulk": int(bulk), "due": now, "now": now})
    if change.op == "forget":
        return
    for ref in _concerned(tx, source, change):
        values = {"source": source, "entity": ref.entity, "key": ref.key}
        tx.execute(hinting.AWAIT, values | {"hint_entity": change.entity, "hint_key": change.key})
        refresh_record(tx, source, ref.entity, ref.key)


def ask_after_namesakes(tx: Transaction, source: str, change: Change, email: str, *, now: int) -> None:
    """A new account came with the address of a known one: most likely that was deleted, and the word of it is still
    on its way. Owe a fetch of it, and let the new one wait, so that what the old one leaves behind is found."""
    known = {"source": source, "entity": change.entity, "key": change.key, "email": email}
    for row in tx.execute(sql.NAMESAKES, known).fetchall():
        former = Change(entity=change.entity, key=row["key"], op="touch")
        give_hint(tx, source, former, bulk=False, now=now)
        values = {"source": source, "entity": change.entity, "key": change.key}
        tx.execute(hinting.AWAIT, values | {"hint_entity": former.entity, "hint_key": former.key})


def ask_alone(tx: Transaction, source: str, entity: str, key: str, *, due: int, now: int) -> None:
    """Owe a fetch of a record that may differ from what is known. Nothing waits for it: most likely it does not."""
    place = {"source": source, "entity": entity, "key": key}
    tx.execute(hinting.PUT_HINT, place | {"op": "touch", "bulk": 0, "due": due, "now": now})


def waiting_for(tx: Transaction, source: str, entity: str, key: str) -> list[tuple[str, str]]:
    """Entity and key of what a record owns, and waits for it at a target."""
    return [tuple(row) for row in tx.execute(sql.WAITING_FOR, {"source": source, "entity": entity, "key": key})]


def _concerned(tx: Transaction, source: str, change: Change) -> Iterable[EntityRef]:
    place = {"source": source, "entity": change.entity, "key": change.key}
    found = [EntityRef(change.entity, change.key)]
    known = tx.execute(sql.SNAPSHOT, place).fetchone()
    if known is not None and known["owner_key"] is not None:
        found.append(EntityRef(known["owner_entity"], known["owner_key"]))
    if change.owner is not None:
        found.append(change.owner)
    owned = tx.execute(
        "SELECT entity, key FROM snapshot WHERE source = :source AND owner_entity = :entity AND owner_key = :key "
        "AND deleted = 0",
        place,
    )
    found += [EntityRef(row["entity"], row["key"]) for row in owned]
    return dict.fromkeys(found)


def end_hint(tx: Transaction, hint: Hint) -> set[str]:
    """It is answered, unless it was given again meanwhile; the sinks that may go on."""
    place = {"source": hint.source, "entity": hint.entity, "key": hint.key}
    ended = tx.execute(hinting.END_HINT, place | {"op": hint.op, "mark": hint.mark}).rowcount
    if not ended or hint.op == "forget":
        return set()
    sinks: set[str] = set()
    for row in tx.execute(hinting.END_AWAIT, place).fetchall():
        sinks |= refresh_record(tx, hint.source, row["entity"], row["key"])
    return sinks


def put_unreadable(tx: Transaction, source: str, record: Unreadable, *, now: int) -> None:
    """Keep that a record could not be read, once per place."""
    values = {"source": source, "entity": record.entity, "place": record.where, "key": record.key}
    tx.execute(hinting.PUT_UNREADABLE, values | {"reason": record.reason, "now": now})


def drop_hints(tx: Transaction, source: str, entity: str, key: str) -> None:
    """Nobody asks for this record any more: what waited for it goes on."""
    place = {"source": source, "entity": entity, "key": key}
    tx.execute("DELETE FROM hint WHERE source = :source AND entity = :entity AND key = :key", place)
    tx.execute("DELETE FROM awaited WHERE source = :source AND entity = :entity AND key = :key", place)
    for row in tx.execute(hinting.END_AWAIT, place).fetchall():
        refresh_record(tx, source, row["entity"], row["key"])
