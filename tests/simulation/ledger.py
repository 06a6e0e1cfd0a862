"""A target without keys, in memory: it makes whatever it is told to make, shows it late, and notes at every write what
must not be so at any moment."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from importlib.metadata import EntryPoint
from random import Random
from types import SimpleNamespace
from typing import Any, ClassVar

from attrs import define, frozen

from synccore import hookimpl
from synccore.errors import RateLimited, Rejected, Transient
from synccore.hookspecs import SinkType
from synccore.testing import FakeClock
from synccore.types import (
    Check,
    Context,
    Delivered,
    Erased,
    Failed,
    Hanging,
    Identity,
    Limits,
    Link,
    LookupResult,
    ObjectInfo,
    ObjectType,
    Operation,
    Outcome,
    Retry,
    each,
)

from .mortal import MortalStore
from .targets import Held, Target

__all__ = ["Entry", "Ledger", "Witness"]

RENEWED, FAILED = "Renewed Subscription", "Failed Subscription Renewal"
OBJECTS = ("person", "bill", "receipt", "member")
#: `meanwhile`: the answer is lost, and before that is known the shop has another word of the same record; `locked`,
#: `partly`: the same of one record that is not written, or not all of it, while all others are.
TROUBLES = ("away", "busy", "lost", "half", "bug", "meanwhile", "locked", "partly")
_NEVER = (lambda _: False), ""
HELD = timedelta(seconds=10)
LATER = "what was made last may not be found yet"


@define
class Entry:
    """One record; nothing in it but the tag says whose it is, and nothing stops a second one with that tag."""

    object: str
    tag: str
    fields: dict[str, Any]
    made_at: datetime
    parent: str | None = None
    #: Since when it gets marketing mail: who says yes, until they take it back. A no that never was a yes takes back
    #: nothing; one that may follow a yes nobody knows of, as Klaviyo's sink finds out, takes that back.
    mailed_since: datetime | None = None

    @property
    def mailed(self) -> bool:
        return self.mailed_since is not None

    @property
    def email(self) -> str:
        return self.fields.get("email") or ""


#: Asked before each write: (the operation, what is held) -> what must not be so.
Witness = Callable[[Operation, Mapping[str, Entry]], Iterator[str]]


class Ledger(Target):
    """People, a bill for every order, a receipt for every payment; and members, where an operator makes a route."""

    name = "ledger"
    #: "held": one record is locked for a while, and all others are not.
    can_go_wrong = (*Target.can_go_wrong, "held")
    routes: ClassVar = {
        "entries": {
            "entity": "customer",
            "object": "person",
            "fields": {
                "email": "customer.email",
                "first": "customer.first_name",
                "last": "customer.last_name",
                "phone": "customer.phone",
                "mail": "customer.accepts_marketing",
                "street": "customer.billing.line1",
                "city": "customer.billing.city",
                "code": "customer.billing.postcode",
            },
        },
        "bills": {
            "entity": "order",
            "object": "bill",
            "after": "entries",
            "fields": {"number": "order.key", "status": "order.status"},
        },
        "receipts": {
            "entity": "payment",
            "object": "receipt",
            "fields": {"email": "payment.email", "order": "payment.order_key", "good": "payment.succeeded"},
        },
    }

    def __init__(self, clock: FakeClock, luck: Random) -> None:
        self.clock = clock
        #: For so long nothing new is found.
        self.lag = timedelta(seconds=luck.choice((0, 0, 60, 600)))
        #: Whether a call takes several records and fails as a whole.
        self.batches = luck.random() < 0.5
        self.entries: dict[str, Entry] = {}
        self.receipts: dict[str, Operation] = {}
        #: What must not have been so.
        self.seen: list[str] = []
        self.witness: Witness | None = None
        self.troubles: deque[str] = deque()
        #: What happens while a call is under way.
        self.meanwhile: Callable[[Operation, Mapping[str, Entry]], None] = lambda *_: None
        #: Told of each call: whether something was written.
        self.heard: Callable[..., None] = lambda **_: None
        #: The outbox of the process that calls: it may die at any moment of a call.
        self.caller: Callable[[], MortalStore]
        self.away = self.full = False
        #: At which call there is which trouble.
        self.awaited: tuple[Callable[[Any], bool], str] = _NEVER
        self.refused: set[str] = set()
        #: Facts that were refused: others go ahead of them until they are tried again.
        self.passed: set[str] = set()
        #: Record -> until when somebody has it locked.
        self._held: dict[str, datetime] = {}
        self._made = 0

    # -- the world's side

    def config(self) -> Mapping[str, Any]:
        return {"type": "ledger"}

    @property
    def plugin(self) -> EntryPoint:
        """What brings it: each ledger has one of its own, so that it outlives the process as a vendor does."""
        kind = SinkType(
            name="ledger",
            summary="A target without keys.",
            config=_Config,
            open=lambda _, context: _Sink(self, context),
            objects=tuple(
                ObjectType(name=name, summary=f"A {name}.", readable=name != "receipt", leaves=("keep", "delete"))
                for name in OBJECTS
            ),
            limits=Limits(max_batch=10, seen_within=self.lag),
        )

        def synccore_sinks() -> list[SinkType]:
            return [kind]

        module = SimpleNamespace(synccore_sinks=hookimpl(synccore_sinks))

        class Point(EntryPoint):
            def load(self) -> Any:
                return module

        return Point("ledger", __name__, "synccore")

    def people(self) -> list[Held]:
        return [
            Held(
                email=entry.email,
                first=entry.fields.get("first") or "",
                last=entry.fields.get("last") or "",
                phone=Held.digits(entry.fields.get("phone")),
                place=Held.at(entry.fields, "street", "city", "code"),
            )
            for entry in self.entries.values()
            if entry.object == "person"
        ]

    def mailed(self) -> set[str]:
        return {entry.email for entry in self.entries.values() if entry.mailed}

    def deals(self) -> list[tuple[int, str]]:
        """Order and status of every bill."""
        return [(int(e.fields["number"]), e.fields["status"]) for e in self.entries.values() if e.object == "bill"]

    def above(self, bill: str) -> str | None:
        """The address of whose record a bill hangs under; empty: nobody's. None: there is no such bill."""
        found = next((entry for entry in self.entries.values() if entry.tag == bill), None)
        if found is None:
            return None
        above = self.entries.get(found.parent or "")
        return above.email if above is not None else ""

    def payments(self) -> list[str]:
        """The order of every receipt, with the event that Klaviyo is told of."""
        return [_fact(receipt) for receipt in self.receipts.values()]

    def told(self) -> list[tuple[str, datetime]]:
        """Whom a receipt is of, and when it was paid."""
        return [(receipt.fields.get("email") or "", receipt.at) for receipt in self.receipts.values()]

    def fail(self, luck: Random) -> None:
        self.troubles.extend(luck.choice(TROUBLES) for _ in range(luck.randrange(1, 5)))

    def trouble_at(self, when: Callable[[Any], bool], trouble: str) -> None:
        self.awaited = when, trouble

    def deletes(self, email: str) -> bool:
        found = [name for name, e in self.entries.items() if e.object == "person" and e.email == email]
        for name in found:
            del self.entries[name]
        return bool(found)

    def go_away(self, luck: Random) -> None:
        self.away = True

    def come_back(self) -> None:
        self.away, self.full, self.awaited = False, False, _NEVER
        self.troubles.clear()
        self.refused.clear()

    def refuse(self, email: str) -> None:
        self.refused.add(email)

    def fill(self) -> None:
        self.full = True

    def close(self) -> None:
        """There is no server."""

    # -- the vendor's side

    def reach(self) -> None:
        """Any call that writes nothing."""
        self.caller().burn_call()
        self.heard(wrote=False)
        trouble = self._awaited()
        self._turn_away(trouble)
        if trouble:
            raise Transient("the answer was lost")

    def _awaited(self) -> str:
        """The trouble of this very call, if it is that one."""
        when, trouble = self.awaited
        return trouble if when(None) else ""

    def _turn_away(self, trouble: str) -> None:
        if self.away or trouble in ("away", "refused"):
            raise Transient("503: away")
        if trouble == "busy":
            raise RateLimited("429", retry_after=timedelta(seconds=30))

    def call(self, operations: Sequence[Operation]) -> list[Outcome]:
        """One call that writes."""
        self.caller().burn_call()
        self.heard(wrote=False)
        trouble = self._awaited() or (self.troubles.popleft() if self.troubles else "")
        self._turn_away(trouble)
        if trouble == "cut":
            raise Transient("nothing was heard", maybe_applied=True)
        if trouble in ("meanwhile", "locked", "partly"):
            self.meanwhile(operations[0], self.entries)
        if trouble == "held":
            self._held[operations[0].uid] = self.clock.now() + HELD
            trouble = ""
        if trouble in ("locked", "partly"):
            locked = Failed(Transient("this record is locked", outage=False), partly=trouble == "partly")
            if locked.partly:
                self._write(operations[0])
            self.heard(wrote=True)
            return [locked, *(self._write(operation) for operation in operations[1:])]
        done = operations[: (len(operations) + 1) // 2] if trouble in ("half", "bug") else operations
        outcomes = [self._write(operation) for operation in done]
        self.caller().burn_call()
        if trouble == "bug":
            raise KeyError("id")
        if trouble:
            raise Transient("the answer was lost", maybe_applied=True)
        self.heard(wrote=any(isinstance(outcome, Delivered) for outcome in outcomes))
        return outcomes

    def _write(self, operation: Operation) -> Outcome:
        if self._held.get(operation.uid, self.clock.now()) > self.clock.now():
            return Failed(Transient("this record is locked", outage=False))
        if self.witness is not None:
            self.seen.extend(self.witness(operation, self.entries))
        if operation.fields.get("email") in self.refused:
            self.passed |= {_fact(operation)} if operation.op == "event" else set()
            return Failed(Rejected("this address is not taken"))
        if operation.op == "event":
            if operation.bulk:
                return Delivered(note="of the past: nobody is told")
            self.receipts.setdefault(operation.idempotency_key, operation)
            return Delivered()
        remote_id = operation.link.remote_id if operation.link is not None else ""
        if operation.op in ("delete", "leave"):
            return self._delete(operation, remote_id)
        entry = self.entries.get(remote_id)
        if entry is None:
            if self.full:
                return Failed(Rejected("there is no room"))
            self._made += 1
            remote_id = f"r{self._made}"
            entry = Entry(operation.object, operation.uid, {}, self.clock.now())
            self.entries[remote_id] = entry
        entry.tag = operation.uid
        entry.fields.update(operation.fields)
        for name in operation.changed - operation.fields.keys():
            entry.fields.pop(name, None)
        was = operation.previous or operation.before or {}
        known = operation.link.delivered_at if operation.maybe_applied and operation.link is not None else None
        if operation.fields.get("mail"):
            entry.mailed_since = self.clock.now()
        elif entry.mailed_since and (was.get("mail") or (known is not None and known < entry.mailed_since)):
            entry.mailed_since = None
        entry.parent = operation.parent.remote_id if operation.parent is not None else None
        return Delivered(remote_id=remote_id)

    def _delete(self, operation: Operation, remote_id: str) -> Outcome:
        assert operation.link is not None
        if operation.link.ours:
            self.entries.pop(remote_id, None)
            return Delivered()
        self.seen.append(f"{operation.uid} is at a record of somebody else")
        return Delivered(note="let go of")

    def find(self, tag: str, object_: str) -> str | None:
        """The record with a tag, once that is shown."""
        shown = self.clock.now() - self.lag
        found = (r for r, e in self.entries.items() if (e.tag, e.object) == (tag, object_) and e.made_at <= shown)
        return next(found, None)


def _fact(operation: Operation) -> str:
    return f"{operation.fields['order']}/{RENEWED if operation.fields['good'] else FAILED}"


@frozen(kw_only=True)
class _Config:
    """`[sinks.x] type = "ledger"` has no settings."""


class _Sink:
    """The plugin's face."""

    def __init__(self, ledger: Ledger, context: Context) -> None:
        self._ledger = ledger
        self._state = context.state()

    def check(self) -> Check:
        self._ledger.reach()
        return Check(detail="in memory")

    def describe(self) -> Sequence[ObjectInfo]:
        self._ledger.reach()
        return [ObjectInfo(name=name) for name in OBJECTS]

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        made = [o for o in operations if o.op == "upsert" and o.link is None] if self._ledger.lag else []
        self._state.put(
            {name: self._ledger.clock.now().isoformat() for o in made for name in ("made", f"made:{o.uid}")}
        )
        if self._ledger.batches:
            return self._ledger.call(operations)
        return each(operations, lambda operation: self._ledger.call([operation])[0])

    def lookup(self, operations: Sequence[Operation]) -> Sequence[LookupResult]:
        self._ledger.reach()
        wait = self._unseen("made")
        return [self._found(operation, wait) for operation in operations]

    def _unseen(self, name: str) -> timedelta:
        """How long what was made under this name may still not be found."""
        made = self._state.get(name)
        return self._ledger.lag - (self._ledger.clock.now() - datetime.fromisoformat(made)) if made else timedelta(0)

    def _found(self, operation: Operation, wait: timedelta) -> LookupResult:
        if (remote_id := self._ledger.find(operation.uid, operation.object)) is not None:
            return Link(object=operation.object, remote_id=remote_id, marked=True)
        return Retry(after=wait, reason=LATER) if wait > timedelta(0) else None

    def read(self, links: Sequence[Link]) -> Sequence[Mapping[str, Any] | None]:
        self._ledger.reach()
        found = (self._ledger.entries.get(link.remote_id) for link in links)
        return [entry and Hanging(entry.fields, parent_id=_above(entry)) for entry in found]

    def find(self, identity: Identity) -> Sequence[Link]:
        self._ledger.reach()
        wait = max((self._unseen(f"made:{uid}") for uid in identity.uids), default=timedelta(0))
        if wait > timedelta(0):
            raise RateLimited(LATER, retry_after=wait, scope="operation")
        shown = self._ledger.clock.now() - self._ledger.lag
        return [
            _whose(remote_id, entry, identity)
            for remote_id, entry in self._ledger.entries.items()
            if (entry.email in identity.emails or entry.tag in identity.uids) and entry.made_at <= shown
        ]

    def erase(self, link: Link) -> Erased | None:
        self._ledger.reach()
        if not link.ours:
            return Erased("released", "it is another customer's")
        self._ledger.entries.pop(link.remote_id, None)
        return None

    def close(self) -> None:
        """Nothing to release."""


def _whose(remote_id: str, entry: Entry, identity: Identity) -> Link:
    """A record as `find` names it: somebody else's, unless it bears an id of the person."""
    source, entity, key = entry.tag.split(":", 2)
    adopted = entry.tag not in identity.uids
    return Link(object=entry.object, remote_id=remote_id, source=source, entity=entity, key=key, adopted=adopted)


def _above(entry: Entry) -> str | None:
    """What a bill hangs on; nothing is said of a person."""
    return entry.parent or "" if entry.object == "bill" else None
