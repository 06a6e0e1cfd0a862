"""Claiming due deliveries, and gathering what delivering them needs."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from attrs import evolve

from ..._swift import swiftly
from ...types import EntityRef, Link, Snapshot
from .. import codec, sql
from .._convert import from_ms, to_delivery, to_link, to_snapshot, to_states
from ..engine import Row, Transaction
from ..rows import ClaimRule, Delivery, JobWork, Work, together

__all__ = ["Gatherer", "claim", "due", "find_route", "jobs", "load_job", "made_up", "next_due", "routes_of"]

_new_ref, _new_work = swiftly(EntityRef), swiftly(Work)
#: Source, entity, key.
_Place = tuple[str, str, str]
#: Age, state before event, row id: what included records are sorted by.
_Aged = tuple[datetime, int, int, Snapshot]
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

#: What of several records is delivered.
STATES = """
SELECT s.key, s.data, s.version, s.owner_entity, s.owner_key, s.deleted, s.changed_at, s.fingerprint
FROM json_each(:keys) j CROSS JOIN snapshot s WHERE s.source = :source AND s.entity = :entity AND s.key = j.value
"""

#: What was sent of rows in doubt: by themselves, by one of theirs that was given up, and of the guest whose place they
#: took.
UNHEARD = """
SELECT d.id, d.sent AS own, (SELECT p.sent FROM delivery p WHERE p.source = d.source AND p.entity = d.entity
        AND p.key = d.key AND p.state IN ('parked', 'dismissed') AND p.route = d.route AND p.event IS NULL
        AND p.sent IS NOT NULL ORDER BY p.id DESC LIMIT 1) AS parked,
    (SELECT g.sent FROM snapshot s CROSS JOIN delivery g ON g.route = d.route AND g.source = s.source
        AND g.entity = s.entity AND g.key = s.key AND g.event IS NULL AND g.sent IS NOT NULL
        WHERE s.source = d.source AND s.entity = d.entity AND s.replaced_by = d.key ORDER BY g.id DESC LIMIT 1) AS guest
FROM json_each(:ids) j CROSS JOIN delivery d ON d.id = j.value WHERE d.maybe_applied = 1 AND d.event IS NULL
"""


def find_route(view: Transaction, sink: str, rules: Sequence[ClaimRule], now: int) -> tuple[ClaimRule, bool] | None:
    """The route to claim from and whether its bulk rows: live first, then the earliest due, then rule order."""
    for bulk in (False, True):
        best: tuple[int, ClaimRule] | None = None
        for rule in rules:
            at = {"sink": sink, "route": rule.route, "bulk": bulk, "now": now}
            row = view.execute(sql.CLAIM_HEAD, at).fetchone()
            if row is None or (best is not None and row["due_at"] >= best[0]):
                continue
            if bulk and rule.bulk_at_least > 1:
                enough = view.execute(sql.CLAIM_NTH, at | {"nth": rule.bulk_at_least - 1}).fetchone()
                if enough is None:
                    continue
            best = row["due_at"], rule
        if best is not None:
            return best[1], bulk
    return None


def claim(tx: Transaction, sink: str, rules: Sequence[ClaimRule], now: int, until: int, token: str) -> list[Delivery]:
    """Lease what is due of one route, until then."""
    found = find_route(tx, sink, rules, now)
    if found is None:
        return []
    rule, bulk = found
    at = {"sink": sink, "route": rule.route, "bulk": bulk, "now": now}
    size = rule.max_batch
    if bulk and tx.execute(sql.CLAIM_NTH, at | {"nth": max(rule.bulk_threshold - 1, 0)}).fetchone() is not None:
        size = rule.bulk_batch
    order = _one_per_key(tx.execute(sql.CLAIM_ROWS, at | {"size": size}))
    ids = {"ids": codec.dump_json(order)}
    tx.execute(sql.LEASE, ids | {"token": token, "until": until})
    tx.execute(sql.BLOCK_OTHERS, ids)
    claimed = {d.id: d for d in to_delivery.all(tx.execute(sql.CLAIMED, ids | {"token": token}))}
    return [claimed[id_] for id_ in order if id_ in claimed]


def _one_per_key(rows: Iterable[Row]) -> list[int]:
    """State and event of one key may both be due; the second waits for the first."""
    first: dict[tuple[str, str, str], int] = {}
    for row in rows:
        first.setdefault((row["source"], row["entity"], row["key"]), row["id"])
    return list(first.values())


def routes_of(view: Transaction, sink: str) -> list[str]:
    """Routes that ever had rows for this sink."""
    return [row["route"] for row in view.execute("SELECT DISTINCT route FROM delivery_count WHERE sink = ?", (sink,))]


def due(view: Transaction, sink: str, routes: Sequence[str] | None, now: int, limit: int) -> int:
    """Ready and due rows, counted up to `limit`."""
    count: int = 0
    for route in routes_of(view, sink) if routes is None else routes:
        for bulk in (False, True):
            at = {"sink": sink, "route": route, "bulk": bulk, "now": now, "limit": limit - count}
            count += view.execute(sql.DUE, at).fetchone()[0]
            if count >= limit:
                return count
    return count


def next_due(view: Transaction, sink: str, routes: Sequence[str] | None) -> datetime | None:
    """The earliest due_at of what may be claimed."""
    found = [
        ms
        for route in (routes_of(view, sink) if routes is None else routes)
        for bulk in (False, True)
        if (ms := view.execute(sql.NEXT_DUE, {"sink": sink, "route": route, "bulk": bulk}).fetchone()[0]) is not None
    ]
    return from_ms(min(found)) if found else None


#: Of those who are gone and share a record, all but the last go before it; and that is one for whom it was made, where
#: there is such a one: who found it there, or was joined with them, is not to delete it.
GOING_BEFORE = """
SELECT count(*) FROM link l
CROSS JOIN link o ON o.remote_id = l.remote_id AND o.object = l.object AND o.sink = l.sink AND o.route = l.route
    AND o.source = l.source AND o.entity = l.entity
    AND (o.adopted > l.adopted OR (o.adopted = l.adopted AND o.key < l.key))
CROSS JOIN snapshot s ON s.source = o.source AND s.entity = o.entity AND s.key = o.key AND s.deleted = 1
WHERE l.route = :route AND l.source = :source AND l.entity = :entity AND l.key = :key
"""


class Gatherer:
    """Gathers `Work` for one route's deliveries; whatever several of them need is read once per batch."""

    def __init__(self, view: Transaction, include: Sequence[str], after: str | None, after_entity: str | None) -> None:
        self._view = view
        self._include = include
        self._after = after
        self._after_entity = after_entity
        self._snapshots: dict[_Place, Snapshot | None] = {}
        self._links: dict[tuple[str, *_Place], Link | None] = {}
        self._seen: dict[tuple[str, *_Place], str] = {}
        self._befores: dict[int, str] = {}
        self._unheard: dict[int, dict[str, Any]] = {}
        self._fingerprints: dict[_Place, str] = {}
        self._owned: dict[tuple[str, EntityRef, str], list[_Aged]] = {}

    def gather_all(self, deliveries: Sequence[Delivery]) -> list[Work]:
        """All that these need, in the same order."""
        states = [d for d in deliveries if d.op != "event"]
        for source, entity in dict.fromkeys((d.source, d.entity) for d in states):
            keys = [d.key for d in states if (d.source, d.entity) == (source, entity)]
            self._read_snapshots(source, entity, keys)
            for route in dict.fromkeys(d.route for d in states):
                self._read_links(route, source, entity, keys)
        owners = (self._snapshots[d.source, d.entity, d.key] for d in states)
        refs = {(s.source, s.owner.entity, s.owner.key) for s in owners if s is not None and s.owner is not None}
        for source, entity in dict.fromkeys(place[:2] for place in refs):
            keys = [key for *place, key in refs if tuple(place) == (source, entity)]
            self._read_snapshots(source, entity, [key for key in keys if (source, entity, key) not in self._snapshots])
            if self._after is not None:
                self._read_links(self._after, source, entity, keys)
        ids = codec.dump_json([d.id for d in deliveries])
        self._befores = {row["id"]: row["before"] for row in self._view.execute(sql.BEFORES, {"ids": ids})}
        if any(d.maybe_applied for d in states):
            self._read_unheard(ids)
        return [self._gather(delivery) for delivery in deliveries]

    def _read_unheard(self, ids: str) -> None:
        for row in self._view.execute(UNHEARD, {"ids": ids}):
            found: dict[str, Any] = {}
            for text in (row["guest"], row["parked"], row["own"]):
                sent = {} if text is None else codec.load_fields(text)
                found = together(together(found, sent.get("unheard", {})), sent.get("fields", {}))
            self._unheard[row["id"]] = found

    def _read_snapshots(self, source: str, entity: str, keys: Sequence[str]) -> None:
        self._snapshots.update(dict.fromkeys((source, entity, key) for key in keys))
        values = {"source": source, "entity": entity, "keys": codec.dump_json(keys)}
        for snapshot, fingerprint in to_states(self._view.execute(STATES, values), source, entity):
            self._snapshots[source, entity, snapshot.key] = snapshot
            self._fingerprints[source, entity, snapshot.key] = fingerprint

    def _read_links(self, route: str, source: str, entity: str, keys: Sequence[str]) -> None:
        self._links.update(dict.fromkeys((route, source, entity, key) for key in keys))
        values = {"route": route, "source": source, "entity": entity, "keys": codec.dump_json(keys)}
        for row in self._view.execute(sql.LINKS, values):
            self._links[route, source, entity, row["key"]] = to_link(row)
            if row["seen"] is not None:
                self._seen[route, source, entity, row["key"]] = row["seen"]

    def _gather(self, delivery: Delivery) -> Work:
        snapshot = self._state_of(delivery)
        owner_ref = None if snapshot is None else snapshot.owner
        parent_ref = self._parent_ref(delivery, owner_ref)
        own = _new_ref(delivery.entity, delivery.key)
        link = None if delivery.op == "event" else self._link(delivery.route, delivery.source, own)
        if link is not None and link.shared > 1 and (delivery.op == "delete" or (snapshot and snapshot.deleted)):
            link = evolve(link, shared=link.shared - self._going_before(delivery))
        return _new_work(
            delivery=delivery,
            snapshot=snapshot,
            owner=None if owner_ref is None else self._snapshot(delivery.source, owner_ref),
            included={
                entity: self._included(delivery.source, [own] if owner_ref is None else [owner_ref, own], entity)
                for entity in self._include
            },
            link=link,
            before=None if link is not None and link.fields else self._before(delivery, snapshot),
            unheard={} if link is not None else self._unheard.get(delivery.id, {}),
            parent_ref=parent_ref,
            inputs=(self._fingerprint(delivery.source, own), self._fingerprint(delivery.source, owner_ref)),
            parent=self._link(self._after, delivery.source, parent_ref) if self._after and parent_ref else None,
        )

    def _going_before(self, delivery: Delivery) -> int:
        """How many who share the record go as well, and leave it to this one: each would leave it to the others."""
        at = {"route": delivery.route, "source": delivery.source, "entity": delivery.entity, "key": delivery.key}
        return int(self._view.execute(GOING_BEFORE, at).fetchone()[0])

    def _state_of(self, delivery: Delivery) -> Snapshot | None:
        if delivery.op == "event":
            row = self._view.execute(
                "SELECT * FROM event WHERE source = ? AND entity = ? AND event_id = ?",
                (delivery.source, delivery.entity, delivery.event_id),
            ).fetchone()
            return None if row is None else to_snapshot(row, event=True)
        return self._snapshot(delivery.source, _new_ref(delivery.entity, delivery.key))

    def _before(self, delivery: Delivery, snapshot: Snapshot | None) -> Snapshot | None:
        # What was seen when the twin was found is older than what a row knows of.
        place = (delivery.route, delivery.source, delivery.entity, delivery.key)
        before = self._seen.get(place) or self._befores.get(delivery.id)
        if before is None or snapshot is None:
            return None
        return evolve(snapshot, data=codec.load_entity(delivery.entity, before))

    def _parent_ref(self, delivery: Delivery, owner: EntityRef | None) -> EntityRef | None:
        if self._after is None:
            return None
        if self._after_entity == delivery.entity:
            return EntityRef(delivery.entity, delivery.key)
        if owner is not None and self._after_entity in (None, owner.entity):
            return owner
        return None

    def _snapshot(self, source: str, ref: EntityRef) -> Snapshot | None:
        if (source, ref.entity, ref.key) not in self._snapshots:
            self._read_snapshots(source, ref.entity, [ref.key])
        return self._snapshots[source, ref.entity, ref.key]

    def _fingerprint(self, source: str, ref: EntityRef | None) -> str:
        return "" if ref is None else self._fingerprints.get((source, ref.entity, ref.key), "")

    def _link(self, route: str, source: str, ref: EntityRef) -> Link | None:
        if (route, source, ref.entity, ref.key) not in self._links:
            self._read_links(route, source, ref.entity, [ref.key])
        return self._links[route, source, ref.entity, ref.key]

    def _included(self, source: str, owners: Sequence[EntityRef], entity: str) -> tuple[Snapshot, ...]:
        found = {item[:3]: item for owner in owners for item in self._owned_by(source, owner, entity)}
        return tuple(found[age][3] for age in sorted(found))

    def _owned_by(self, source: str, owner: EntityRef, entity: str) -> list[_Aged]:
        place = (source, owner, entity)
        if place not in self._owned:
            values = {"source": source, "owner_entity": owner.entity, "owner_key": owner.key, "entity": entity}
            self._owned[place] = [
                (snapshot.data.created_at or snapshot.changed_at or _EPOCH, kind, row["id"], snapshot)
                for kind, statement in enumerate((sql.OWNED, sql.OWNED_EVENTS))
                for row in self._view.execute(statement, values)
                for snapshot in (to_snapshot(row, event=statement is sql.OWNED_EVENTS),)
            ]
        return self._owned[place]


def made_up(view: Transaction, route: str, source: str, entity: str, key: str) -> Delivery:
    """A delivery that nobody owes: of the record's state, or of the newest event of that key."""
    values = {"source": source, "entity": entity, "key": key}
    snapshot = view.execute(sql.SNAPSHOT, values).fetchone()
    event = None
    if snapshot is None:
        event = view.execute(
            "SELECT * FROM event WHERE source = :source AND entity = :entity AND key = :key ORDER BY id DESC LIMIT 1",
            values,
        ).fetchone()
    at = _EPOCH if event is None else from_ms(event["at"])
    if snapshot is not None:
        at = from_ms(snapshot["changed_at"])
    return Delivery(
        id=0,
        route=route,
        sink="",
        source=source,
        entity=entity,
        key=key,
        op="event" if event is not None else "delete" if snapshot is not None and snapshot["deleted"] else "upsert",
        state="ready",
        bulk=False,
        event_id=None if event is None else event["event_id"],
        due_at=at,
        first_change_at=at,
        last_change_at=at,
        created_at=at,
    )


def jobs(view: Transaction, sink: str, skip: Collection[str] = ()) -> list[JobWork]:
    """Submitted jobs with the ids of their rows."""
    grouped: dict[str, list[tuple[int, int]]] = {}
    rows = view.execute(
        "SELECT id, job, submitted_at FROM delivery WHERE state = 'submitted' AND sink = :sink "
        "AND job NOT IN (SELECT value FROM json_each(:skip)) ORDER BY job, job_position",
        {"sink": sink, "skip": codec.dump_json(list(skip))},
    )
    for row in rows:
        grouped.setdefault(row["job"], []).append((row["id"], row["submitted_at"]))
    found = [
        JobWork(sink=sink, job=job, submitted_at=from_ms(min(at for _, at in held)), ids=tuple(id_ for id_, _ in held))
        for job, held in grouped.items()
    ]
    return sorted(found, key=lambda job: (job.submitted_at, job.job))


def load_job(view: Transaction, job: JobWork, ids: Sequence[int]) -> list[Work]:
    """Some rows of a job as they were sent; without those that are in it no more."""
    values = {"sink": job.sink, "job": job.job, "ids": codec.dump_json(list(ids))}
    rows = view.execute(
        "SELECT o.* FROM json_each(:ids) j CROSS JOIN outbox o ON o.id = j.value "
        "WHERE o.state = 'submitted' AND o.sink = :sink AND o.job = :job ORDER BY o.job_position",
        values,
    ).fetchall()
    gathered = Gatherer(view, (), None, None).gather_all(to_delivery.all(rows))
    return [
        evolve(work, sent=row["sent"] and codec.load_fields(row["sent"]))
        for row, work in zip(rows, gathered, strict=True)
    ]
