"""What a person does to the outbox: retry, dismiss, forget."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ...entities import Customer, normalize_email
from ...types import Link
from .. import codec, sql
from .._convert import from_ms, to_link
from ..engine import Row, Transaction, UnderWay
from .hints import drop_hints
from .owing import end_event, fold_or_ready, refresh, slot_of, tell
from .traces import Traces

__all__ = [
    "KEYED",
    "Ref",
    "dismiss",
    "forget",
    "forgotten_at",
    "key_digest",
    "keys_by_email",
    "owned_refs",
    "refs_of",
    "retry",
]

#: (source, entity, key)
Ref = tuple[str, str, str]
#: The tables whose rows are of one record each, in the order in which they may go.
KEYED = ("delivery", "link", "link_archive", "history", "snapshot", "event", "sweep_seen", "unreadable", "hint")


def key_digest(source: str, entity: str, key: str) -> str:
    """The tombstone of a key, for records that carry no address."""
    return hashlib.sha256(f"synccore:key:{source}:{entity}:{key}".encode()).hexdigest()


def retry(tx: Transaction, ids: Sequence[int], now: int) -> int:
    """Parked to ready, with a clean slate."""
    slots = []
    for row in _parked(tx, ids):
        # The newer row of the same key, where there is one, backs off for the same reason: it is retried too.
        tx.execute(
            "UPDATE delivery SET due_at = min(due_at, :now) WHERE route = :route AND source = :source "
            "AND entity = :entity AND key = :key AND state = 'ready' AND event IS NULL AND error_kind IS NOT NULL",
            dict(row) | {"now": now},
        )
        fold_or_ready(
            tx,
            row,
            due_at=now if row["event"] is not None or not _has_ready(tx, row) else 0,
            attempts=0,
            first_failed_at=None,
            waiting_since=None,
            wait_route=None,
            wait_entity=None,
            wait_key=None,
            error_kind=None,
            error=None,
        )
        tell(tx, row, "retried", now, error_kind=row["error_kind"])
        slots.append(slot_of(row))
    refresh(tx, slots)
    return len(slots)


def dismiss(tx: Transaction, ids: Sequence[int], now: int, note: str | None = None) -> int:
    """Parked to dismissed."""
    rows = _parked(tx, ids)
    for row in rows:
        tx.execute(sql.DISMISS, (now, row["id"]))
        end_event(tx.execute, row, "dismissed")
        tell(tx, row, "dismissed", now, error_kind=row["error_kind"], note=note)
    return len(rows)


def _parked(tx: Transaction, ids: Sequence[int]) -> list[Row]:
    return tx.execute(
        "SELECT * FROM delivery WHERE state = 'parked' AND id IN (SELECT value FROM json_each(:ids)) ORDER BY id",
        {"ids": json.dumps(list(ids))},
    ).fetchall()


def _has_ready(tx: Transaction, row: Row) -> bool:
    return tx.execute(sql.READY, dict(row)).fetchone() is not None


def forgotten_at(view: Transaction, digests: Sequence[str]) -> datetime | None:
    """When somebody with one of these digests was forgotten, the last time."""
    marks = ", ".join("?" * len(digests))
    row = view.execute(f"SELECT max(at) AS at FROM tombstone WHERE digest IN ({marks})", digests).fetchone()  # noqa: S608
    return None if row["at"] is None else from_ms(row["at"])


def keys_by_email(view: Transaction, email: str) -> list[tuple[str, str]]:
    """(source, customer key) of everyone with this address, deleted ones too."""
    rows = view.execute(
        "SELECT source, key FROM snapshot WHERE email = ? AND entity = ? ORDER BY source, id",
        (normalize_email(email), Customer.entity),
    )
    return [(row["source"], row["key"]) for row in rows]


def owned_refs(view: Transaction, people: Iterable[tuple[str, str]]) -> list[Ref]:
    """The records of these customers: themselves, whom they replaced, and what they own."""
    found: dict[Ref, None] = {}
    for source, key in people:
        own = {"source": source, "entity": Customer.entity, "key": key}
        found[source, Customer.entity, key] = None
        for statement in (
            "SELECT entity, key FROM snapshot WHERE source = :source AND entity = :entity AND replaced_by = :key",
            "SELECT entity, key FROM snapshot WHERE source = :source AND owner_entity = :entity AND owner_key = :key",
            "SELECT entity, key FROM event WHERE source = :source AND owner_entity = :entity AND owner_key = :key",
        ):
            for row in view.execute(statement, own):
                found[source, row["entity"], row["key"]] = None
    return list(found)


def refs_of(view: Transaction, address: str) -> list[Ref]:
    """All records of the people with this address, and what else bears it."""
    refs = dict.fromkeys(owned_refs(view, keys_by_email(view, address)))
    for table in ("snapshot", "event"):
        for row in view.execute(f"SELECT source, entity, key FROM {table} WHERE email = ?", (address,)):  # noqa: S608
            refs[row["source"], row["entity"], row["key"]] = None
    return list(refs)


def sent(view: Transaction, refs: Iterable[Ref]) -> dict[str, str]:
    """What was sent of these records, each delivery in a state that ends a call or begins a job -> its sink."""
    found: dict[str, str] = {}
    for ref in refs:
        rows = view.execute(
            "SELECT id, state, job, sink FROM delivery "
            "WHERE source = ? AND entity = ? AND key = ? AND state IN ('submitted', 'done')",
            ref,
        )
        found.update((f"{row['id']} {row['state']} {row['job']}", row["sink"]) for row in rows)
    return found


def forget(
    tx: Transaction,
    email: str,
    digest: str,
    now: int,
    lease_clock: int,
    known: Collection[str] | None,
    keys: Collection[tuple[str, str]] = (),
) -> list[Link]:
    """Erase a person and leave hashes; their links."""
    address = normalize_email(email)
    people = list(dict.fromkeys([*keys_by_email(tx, address), *keys]))
    links: list[Link] = []
    traces = Traces(address)
    refs = refs_of(tx, address)
    named = [ref for ref in owned_refs(tx, keys) if ref not in refs]
    sinks = _sent_to_now(tx, [*refs, *named], lease_clock)
    if known is not None:
        sinks += [sink for mark, sink in sent(tx, refs).items() if mark not in known and sink not in sinks]
    if sinks:
        raise UnderWay(sinks)
    for source, entity, key in [*refs, *named]:
        place = (source, entity, key)
        where = "source = ? AND entity = ? AND key = ?"
        for table in ("snapshot", "event"):
            for row in tx.execute(f"SELECT data FROM {table} WHERE {where}", place):  # noqa: S608
                traces.add(row["data"])
        links += map(to_link, tx.execute(f"SELECT * FROM linked WHERE {where} ORDER BY route", place))  # noqa: S608
        drop_hints(tx, source, entity, key)
        for table in KEYED:
            tx.execute(f"DELETE FROM {table} WHERE {where}", place)  # noqa: S608  constant names
        tx.execute(
            "UPDATE delivery SET wait_route = NULL, wait_entity = NULL, wait_key = NULL "
            "WHERE wait_route IS NOT NULL AND source = ? AND wait_entity = ? AND wait_key = ?",
            place,
        )
    traces.blot(tx)
    # Somebody else may have given the address up.
    tx.execute("UPDATE delivery SET former_email = NULL WHERE former_email = ?", (address,))
    _unsay(tx, address)
    stones = [digest, *(key_digest(source, Customer.entity, key) for source, key in people)]
    tx.executemany(
        "INSERT INTO tombstone VALUES (?, ?) ON CONFLICT (digest) DO UPDATE SET at = excluded.at",
        [(stone, now) for stone in stones],
    )
    return links


def _unsay(tx: Transaction, address: str) -> None:
    """Take the address out of what unheard tries of others may have written: nothing stands under it any more."""
    for row in tx.execute("SELECT id, sent FROM delivery WHERE sent IS NOT NULL AND state <> 'submitted'").fetchall():
        sent = codec.load_fields(row["sent"])
        parts = {part: _not_of(sent[part], address) for part in ("unheard", "fields") if part in sent}
        if parts != {part: sent[part] for part in parts}:
            tx.execute("UPDATE delivery SET sent = ? WHERE id = ?", (codec.dump_fields({**sent, **parts}), row["id"]))


def _not_of(fields: Mapping[str, Any], address: str) -> Mapping[str, Any]:
    return {name: value for name, value in fields.items() if address not in str(value).lower()}


def _sent_to_now(tx: Transaction, refs: Sequence[Ref], now: int) -> list[str]:
    """Sinks that may be in a call for one of these records: the lease of a dead process ends by itself."""
    sinks: dict[str, None] = {}
    for ref in refs:
        running = tx.execute(
            "SELECT sink FROM delivery WHERE source = ? AND entity = ? AND key = ? AND state = 'running' "
            "AND lease_until > ?",
            (*ref, now),
        )
        sinks.update((row["sink"], None) for row in running)
    return list(sinks)
