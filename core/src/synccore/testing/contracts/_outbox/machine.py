"""Anything in any order against the real engine, crashes and clock steps included; then quiet, and the sums are right.

Two routes of one sink map customers (one includes memberships), one maps payments (events).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from attrs import define
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ....entities import Customer, Membership, Payment, guest_key
from ....store import ClaimRule, DirtyRule, Ingest, LinkUpdate, Settlement, Store
from ....types import Change, EntityRef

EMAIL = "guest@shop.test"
GUEST = guest_key(EMAIL)
ACCOUNT = "1"
CUSTOMERS = (ACCOUNT, "2", GUEST)
RULES = {
    "customer": [
        DirtyRule(route="plain", sink="crm", entity="customer"),
        DirtyRule(route="plans", sink="crm", entity="customer", delay=timedelta(minutes=5)),
    ],
    "membership": [DirtyRule(route="plans", sink="crm", entity="customer", target="owner")],
    "payment": [DirtyRule(route="facts", sink="crm", entity="payment")],
}
CLAIMS = [ClaimRule(route=r, max_batch=2, bulk_batch=3, bulk_threshold=2) for r in ("plain", "plans", "facts")]
#: Payments of customer 1: their events stand in one row.
OWNED = ("p1", "p2")
ACTIVE = ("ready", "running", "submitted", "parked")

#: Ready rows that say otherwise than the rules whether they may be claimed.
_WRONGLY_MARKED = """
SELECT d.id FROM delivery d WHERE d.state = 'ready' AND d.blocked <> CASE WHEN (
    EXISTS (SELECT 1 FROM delivery r WHERE r.sink = d.sink AND r.entity = d.entity AND r.key = d.key
            AND r.state IN ('running', 'submitted'))
    OR (d.event IS NOT NULL AND EXISTS (
        SELECT 1 FROM delivery e WHERE e.sink = d.sink AND e.entity = d.entity AND e.key = d.key
        AND e.event IS NOT NULL AND e.id < d.id AND e.state IN ('ready', 'running', 'submitted')))
    OR (d.owner_key IS NOT NULL AND EXISTS (
        SELECT 1 FROM delivery e WHERE e.sink = d.sink AND e.route = d.route
        AND e.owner_key = d.owner_key AND e.id < d.id
        AND e.state IN ('ready', 'running', 'submitted')))
    OR EXISTS (SELECT 1 FROM awaited a WHERE a.entity = d.entity AND a.key = d.key)) THEN 1 ELSE 0 END
"""

customers = st.sampled_from(CUSTOMERS)
versions = st.none() | st.integers(1, 6)
#: Whatever a shop or a target says: a zero character as well.
texts = st.sampled_from(("a", "b\0", "c\0d"))


@define
class Known:
    """What the model knows of a record."""

    text: str
    version: int | None
    owner: str | None = None
    deleted: bool = False
    replaced: bool = False


@define
class Held:
    """A claimed delivery as a worker sees it."""

    token: str
    value: object
    event: str | None


class OutboxMachine(RuleBasedStateMachine):
    """The engine beside a model of it; a subclass gives the `place`."""

    def place(self) -> Callable[[], Store]:
        """A new, empty outbox: each call of what is given opens it once more, as another process would."""
        raise NotImplementedError

    def clear_away(self) -> None:
        """The outbox is closed and needed no more."""

    @initialize()
    def start(self) -> None:
        self.open = self.place()
        #: Any: what a test looks into.
        self.store: Any = self.open()
        self.abandoned: list[Any] = []
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.tokens = 0
        self.people: dict[str, Known] = {}
        self.plans: dict[str, Known] = {}
        self.events: list[str] = []
        self.delivered: dict[tuple[str, str], object] = {}
        self.excused: set[tuple[str, str]] = set()
        self.sent: list[str] = []
        self.dropped: set[str] = set()
        self.held: dict[int, Held] = {}
        self.stale: list[tuple[int, str]] = []
        #: Hinted record -> the customers whose deliveries wait for it.
        self.hinted: dict[tuple[str, str], set[str]] = {}

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            self.quiet()
        finally:
            for store in (*self.abandoned, self.store):
                store.close()
            self.clear_away()

    # -- the model

    def ingest(self, change: Change, *, bulk: bool = False, force: frozenset[str] = frozenset()) -> str:
        unit = Ingest(source="shop", changes=[change], rules=RULES, bulk=bulk, force=force)
        done = self.store.ingest([unit], self.now)[0]
        fates = [f for f in ("accepted", "unchanged", "stale") if getattr(done, f)]
        assert len(fates) == 1
        return fates[0]

    def live(self, key: str | None) -> bool:
        return key in self.people and not self.people[key].deleted

    def value(self, route: str, key: str) -> object:
        """What a target should hold."""
        if not self.live(key):
            return None
        plans = sorted((k, p.text) for k, p in self.plans.items() if p.owner == key and not p.deleted)
        return self.people[key].text, tuple(plans) if route == "plans" else ()

    def awaited(self) -> set[str]:
        """Customers whose deliveries wait for a fetch."""
        return {key for keys in self.hinted.values() for key in keys}

    def dirty(self, key: str) -> None:
        """A customer changed: what a person dismissed is owed anew."""
        self.excused -= {("plain", key), ("plans", key)}

    def dirty_owner(self, *keys: str | None) -> None:
        """What a customer owns changed: only the route that includes it, and only for a customer who is there."""
        self.excused -= {("plans", str(key)) for key in keys if self.live(key)}

    # -- ingest

    @rule(key=customers, text=texts, version=versions, bulk=st.booleans(), force=st.booleans())
    def customer(self, key: str, text: str, version: int | None, bulk: bool, force: bool) -> None:
        guest = key == GUEST
        email = EMAIL if key in (GUEST, ACCOUNT) else f"{key}@shop.test"
        change = Change(
            entity="customer",
            key=key,
            op="upsert",
            data=Customer(key=key, email=email, guest=guest, first_name=text),
            version=version,
            replaces=(GUEST,) if key == ACCOUNT else (),
        )
        known = self.people.get(key)
        fate = self.ingest(change, bulk=bulk, force=frozenset({"plain"}) if force else frozenset())
        if guest and not self.live(GUEST) and self.live(ACCOUNT):
            assert fate == "stale"
            return
        # What was sent again after a deletion is no newer than it.
        if known and version is not None and known.version is not None and version < known.version + known.deleted:
            assert fate == "stale"
            return
        moved = key == ACCOUNT and self.live(GUEST)
        if known and not known.deleted and known.text == text and not moved:
            assert fate == "unchanged"
        else:
            assert fate == "accepted"
            self.dirty(key)
        self.people[key] = Known(text, version if version is not None or known is None else known.version)
        if moved:
            self.people[GUEST].deleted = self.people[GUEST].replaced = True
            for plan in self.plans.values():
                plan.owner = ACCOUNT if plan.owner == GUEST else plan.owner
            self.excused |= {("plain", GUEST), ("plans", GUEST)}
            for keys in self.hinted.values():
                if GUEST in keys:
                    keys.discard(GUEST)
                    keys.add(ACCOUNT)

    @rule(key=customers, version=versions)
    def delete(self, key: str, version: int | None) -> None:
        known = self.people.get(key)
        fate = self.ingest(Change(entity="customer", key=key, op="delete", version=version))
        if known is None:
            assert fate == "unchanged"
        elif version is not None and known.version is not None and version < known.version:
            assert fate == "stale"
        else:
            assert fate == ("unchanged" if known.deleted else "accepted")
            if not known.deleted:
                self.dirty(key)
            known.deleted = True
            known.version = known.version if version is None else version

    @rule(key=st.sampled_from(("m1", "m2")), text=texts, owner=customers, gone=st.booleans())
    def membership(self, key: str, text: str, owner: str, gone: bool) -> None:
        known = self.plans.get(key)
        ref = EntityRef("customer", owner)
        if gone:
            self.ingest(Change(entity="membership", key=key, op="delete", owner=ref))
            if known is not None and not known.deleted:
                known.deleted = True
                self.dirty_owner(known.owner, owner)
            return
        data = Membership(key=key, status=text, plan_key="p")
        fate = self.ingest(Change(entity="membership", key=key, op="upsert", data=data, owner=ref))
        if owner == GUEST and GUEST in self.people and self.people[GUEST].replaced and self.live(ACCOUNT):
            owner = ACCOUNT
        same = known is not None and not known.deleted and (known.text, known.owner) == (text, owner)
        assert fate == ("unchanged" if same else "accepted")
        if not same:
            self.dirty_owner(owner, None if known is None else known.owner)
        self.plans[key] = Known(text, None, owner)

    @rule(entity=st.sampled_from(("customer", "membership")), number=st.integers(0, 3))
    def touch(self, entity: str, number: int) -> None:
        key = CUSTOMERS[number % len(CUSTOMERS)] if entity == "customer" else f"m{number % 2 + 1}"
        unit = Ingest(source="shop", changes=[Change(entity=entity, key=key, op="touch")], rules=RULES)
        assert self.store.ingest([unit], self.now)[0].hinted == 1
        waits = self.hinted.setdefault((entity, key), set())
        if entity == "customer":
            waits.add(key)
        elif key in self.plans:
            waits.add(str(self.plans[key].owner))

    @precondition(lambda self: bool(getattr(self, "hinted", None)))
    @rule(data=st.data())
    def fetched(self, data: st.DataObject) -> None:
        """Fetched, and found as it was known."""
        chosen = data.draw(st.sampled_from(sorted(self.hinted)))
        self.answer(chosen)

    def answer(self, chosen: tuple[str, str]) -> None:
        far = self.now + timedelta(days=9)
        hints = [h for h in self.store.hints("shop", far, 99) if (h.entity, h.key) == chosen]
        assert len(hints) == 1
        self.store.ingest([Ingest(source="shop", changes=[], rules=RULES, answers=hints)], self.now)
        del self.hinted[chosen]

    @rule(number=st.integers(0, 9), key=st.sampled_from((*OWNED, "p3")))
    def payment(self, number: int, key: str) -> None:
        event = f"{key}-{number}"
        data = Payment(key=key, succeeded=True, amount=Decimal(number), currency="EUR", at=self.now)
        owner = EntityRef("customer", "1") if key in OWNED else None
        fate = self.ingest(Change(entity="payment", key=key, op="event", event_id=event, data=data, owner=owner))
        assert fate == ("unchanged" if event in self.events else "accepted")
        if event not in self.events:
            self.events.append(event)

    # -- working

    @rule()
    def claim(self) -> None:
        self.tokens += 1
        token = f"t{self.tokens}"
        before = {d.id: d for d in self.store.deliveries(limit=None)}
        found = self.store.claim("crm", CLAIMS, self.now, timedelta(minutes=2), token)
        assert len({(d.entity, d.key) for d in found}) == len(found)
        assert len({(d.route, d.bulk) for d in found}) <= 1
        due = [d for d in before.values() if d.state == "ready" and d.due_at <= self.now]
        if found and found[0].bulk:
            busy = {(d.entity, d.key) for d in before.values() if d.state in ("running", "submitted")}
            busy |= {("customer", key) for key in self.awaited()}
            waits = [d for d in due if not d.bulk and (d.entity, d.key) not in busy and d.event_id is None]
            assert not waits, "live rows go first"
        for work in self.store.load(found, include=["membership"]):
            delivery = work.delivery
            assert before[delivery.id].state == "ready"
            if delivery.op == "event":
                keys = OWNED if delivery.key in OWNED else (delivery.key,)
                key_events = [e for e in self.events if e.startswith(keys)]
                for earlier in key_events[: key_events.index(str(delivery.event_id))]:
                    states = {d.state for d in before.values() if d.event_id == earlier}
                    assert not states & {"ready", "running", "submitted"}, (
                        "events of a key, and of an owner, keep their order"
                    )
                value: object = delivery.event_id
            else:
                snapshot = work.snapshot
                value = None
                if snapshot is not None and not snapshot.deleted:
                    plans = [(s.key, s.data.status) for s in work.included["membership"]]
                    value = snapshot.data.first_name, tuple(sorted(plans)) if delivery.route == "plans" else ()
                assert value == self.value(delivery.route, delivery.key)
                assert (delivery.op == "delete") == (not self.live(delivery.key))
                assert delivery.key not in self.awaited(), "what is to be fetched waits"
            self.held[delivery.id] = Held(token, value, delivery.event_id)

    @precondition(lambda self: bool(getattr(self, "held", None)))
    @rule(data=st.data(), to=st.sampled_from(("done", "done", "skipped", "ready", "wait", "submitted", "parked")))
    def settle(self, data: st.DataObject, to: Any) -> None:
        delivery_id = data.draw(st.sampled_from(sorted(self.held)))
        held = self.held[delivery_id]
        row = self.store.deliveries(ids=[delivery_id])[0]
        settlement = Settlement(
            delivery_id=delivery_id,
            token=held.token,
            to="ready" if to == "wait" else to,
            due_at=self.now + timedelta(minutes=3) if to in ("ready", "wait") else None,
            counted=to == "ready",
            wait=("plain", "customer", "2") if to == "wait" else None,
            job=f"job-{delivery_id}-{held.token}" if to == "submitted" else None,
            sent={"fields": {"n": Decimal(1)}} if to == "submitted" else None,
            error_kind="rejected" if to == "parked" else None,
            error="no\0" if to == "parked" else None,
            link=LinkUpdate(object="x", remote_id=f"remote-{row.key}\0", fields={})
            if to == "done" and row.op == "upsert"
            else None,
        )
        assert self.store.settle([settlement], self.now) == frozenset()
        if to == "submitted":
            self.stale.append((delivery_id, held.token))
            self.held[delivery_id] = Held(str(settlement.job), held.value, held.event)
            return
        self.stale.append((delivery_id, held.token))
        del self.held[delivery_id]
        if to in ("done", "skipped"):
            self.note(row.route, row.key, held)

    def note(self, route: str, key: str, held: Held) -> None:
        if held.event is not None:
            assert held.event not in self.sent, "an event is delivered once"
            self.sent.append(held.event)
        else:
            self.delivered[route, key] = held.value

    @precondition(lambda self: bool(getattr(self, "stale", None)))
    @rule(data=st.data())
    def late(self, data: st.DataObject) -> None:
        """A worker that lost its lease reports: nothing may come of it."""
        delivery_id, token = data.draw(st.sampled_from(self.stale))
        before = self.store.deliveries(limit=None)
        lost = self.store.settle([Settlement(delivery_id=delivery_id, token=token, to="done")], self.now)
        assert lost == frozenset({delivery_id})
        assert self.store.deliveries(limit=None) == before

    def lose(self, running: set[int]) -> None:
        for delivery_id in [i for i in self.held if i in running]:
            self.stale.append((delivery_id, self.held.pop(delivery_id).token))

    @rule(all_running=st.booleans())
    def rescue(self, all_running: bool) -> None:
        running = self.store.deliveries(state="running", limit=None)
        lost = {d.id for d in running if all_running or (d.lease_until is not None and d.lease_until <= self.now)}
        assert self.store.rescue(self.now, all_running=all_running) == len(lost)
        self.lose(lost)
        assert all(d.maybe_applied for d in self.store.deliveries(ids=sorted(lost)))

    @precondition(lambda self: bool(getattr(self, "held", None)))
    @rule(data=st.data(), sent=st.booleans())
    def release(self, data: st.DataObject, sent: bool) -> None:
        token = data.draw(st.sampled_from(sorted({h.token for h in self.held.values()})))
        running = {d.id for d in self.store.deliveries(state="running", limit=None) if d.lease_token == token}
        assert self.store.release(token, self.now, sent=sent) == len(running)
        self.lose(running)

    @rule()
    def crash(self) -> None:
        self.abandoned.append(self.store)
        self.store = self.open()
        self.rescue(all_running=True)

    # -- persons and time

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        parked = [d.id for d in self.store.deliveries(state="parked", limit=None)]
        if parked:
            ids = data.draw(st.lists(st.sampled_from(parked), unique=True, min_size=1))
            assert self.store.retry(ids, self.now) == len(ids)

    @rule(data=st.data())
    def dismiss(self, data: st.DataObject) -> None:
        parked = self.store.deliveries(state="parked", limit=None)
        if not parked:
            return
        chosen = data.draw(st.sampled_from(parked))
        assert self.store.dismiss([chosen.id], self.now) == 1
        if chosen.event_id is not None:
            self.dropped.add(chosen.event_id)
        else:
            self.excused.add((chosen.route, chosen.key))

    @rule(minutes=st.integers(-90, 240))
    def clock(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def prune(self) -> None:
        self.store.prune(self.now - timedelta(minutes=30))

    # -- what must hold at any time

    @invariant()
    def counts_and_marks_are_right(self) -> None:
        if not hasattr(self, "store"):
            return
        with self.store.reading() as db:
            wrong = db.execute(_WRONGLY_MARKED).fetchall()
            assert not wrong
            kept = "SELECT sink, route, state, rows FROM delivery_count WHERE rows > 0 ORDER BY 1, 2, 3"
            real = "SELECT sink, route, state, count(*) AS rows FROM delivery GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            assert [tuple(row) for row in db.execute(kept)] == [tuple(row) for row in db.execute(real)]
            count = "SELECT entity, count(*) AS rows FROM snapshot WHERE deleted = 0 GROUP BY 1"
            live = {row["entity"]: row["rows"] for row in db.execute(count)}
        assert {e: n for e, n in self.store.snapshot_counts("shop").items() if n} == live

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "store"):
            return
        rows = self.store.deliveries(limit=None)
        owed = {(d.route, d.key) for d in rows if d.state in ACTIVE}
        for route in ("plain", "plans"):
            for key in self.people:
                place = (route, key)
                if place in owed or place in self.excused:
                    continue
                assert self.delivered.get(place) == self.value(route, key), place
        open_events = {d.event_id for d in rows if d.state in ACTIVE and d.event_id is not None}
        assert set(self.events) == open_events | set(self.sent) | self.dropped

    # -- the end

    def quiet(self) -> None:
        """No more changes: everything owed is delivered."""
        self.now += timedelta(days=2)
        for chosen in list(self.hinted):
            self.answer(chosen)
        self.store.rescue(self.now, all_running=True)
        for job in self.store.jobs("crm"):
            held = self.store.load_job(job, job.ids)
            done = [Settlement(delivery_id=w.delivery.id, token=job.job, to="ready", due_at=self.now) for w in held]
            assert self.store.settle(done, self.now) == frozenset()
            assert all(w.sent == {"fields": {"n": Decimal(1)}} for w in held)
        self.held.clear()
        self.store.retry([d.id for d in self.store.deliveries(state="parked", limit=None)], self.now)
        while True:
            self.claim()
            if not self.held:
                break
            for delivery_id, held in list(self.held.items()):
                row = self.store.deliveries(ids=[delivery_id])[0]
                self.store.settle([Settlement(delivery_id=delivery_id, token=held.token, to="done")], self.now)
                self.note(row.route, row.key, held)
            self.held.clear()
        assert not [d for d in self.store.deliveries(limit=None) if d.state in ACTIVE]
        self.nothing_is_lost()
        self.counts_and_marks_are_right()
        assert sorted([*self.sent, *self.dropped]) == sorted(self.events)
