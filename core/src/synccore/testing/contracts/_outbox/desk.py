"""An outbox and short words for what shops and workers do to it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ....entities import Customer, Order, Payment
from ....store import ClaimRule, Delivery, DirtyRule, Ingest, Ingested, LinkUpdate, Settlement, Store, Work
from ....types import Change, EntityRef

#: Opens a new, empty outbox.
NewOutbox = Callable[[], Store]

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Desk:
    """One store, one clock, one source named shop, one sink named crm (and another named mail)."""

    def __init__(self, store: Store) -> None:
        #: Any: a test looks into whatever it is given.
        self.store: Any = store
        self.now = NOW
        self.rules: dict[str, list[DirtyRule]] = {
            "customer": [DirtyRule(route="people", sink="crm", entity="customer")],
            "order": [
                DirtyRule(route="orders", sink="crm", entity="order"),
                DirtyRule(route="people", sink="crm", entity="customer", target="owner"),
            ],
            "payment": [DirtyRule(route="facts", sink="crm", entity="payment")],
        }
        self.claims = [self.claim_rule(route) for route in ("people", "orders", "facts")]
        self._tokens = 0

    @staticmethod
    def claim_rule(route: str, max_batch: int = 10, bulk_batch: int = 100, bulk_threshold: int = 1000) -> ClaimRule:
        return ClaimRule(route=route, max_batch=max_batch, bulk_batch=bulk_batch, bulk_threshold=bulk_threshold)

    def tick(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    # -- changes

    @staticmethod
    def customer(key: str = "1", name: str = "Ada", email: str | None = None, **values: Any) -> Change:
        own = {k: values.pop(k) for k in ("version", "replaces", "at") if k in values}
        data = Customer(key=key, first_name=name, email=email or f"c{key}@shop.test", **values)
        return Change(entity="customer", key=key, op="upsert", data=data, **own)

    @staticmethod
    def order(key: str, owner: str | None, status: str = "new", email: str | None = None, **own: Any) -> Change:
        data = Order(key=key, number=key, status=status, currency="EUR", total=Decimal(5), email=email)
        ref = None if owner is None else EntityRef("customer", owner)
        return Change(entity="order", key=key, op="upsert", data=data, owner=ref, **own)

    @staticmethod
    def payment(event: str, key: str = "p", owner: str | None = None, **own: Any) -> Change:
        data = Payment(key=key, succeeded=False, amount=Decimal(5), currency="EUR", at=NOW, reason=event)
        ref = None if owner is None else EntityRef("customer", owner)
        return Change(entity="payment", key=key, op="event", event_id=event, data=data, owner=ref, **own)

    @staticmethod
    def gone(entity: str, key: str, **own: Any) -> Change:
        return Change(entity=entity, key=key, op="delete", **own)

    @staticmethod
    def touch(entity: str, key: str, **own: Any) -> Change:
        return Change(entity=entity, key=key, op="touch", **own)

    def take(self, *changes: Change, **unit: Any) -> Ingested:
        store: Store = self.store
        return store.ingest([Ingest(source="shop", changes=changes, rules=self.rules, **unit)], self.now)[0]

    # -- work

    def claim(self, rules: Sequence[ClaimRule] | None = None, sink: str = "crm", minutes: float = 2) -> list[Delivery]:
        self._tokens += 1
        store: Store = self.store
        return store.claim(
            sink, self.claims if rules is None else rules, self.now, timedelta(minutes=minutes), f"t{self._tokens}"
        )

    def settle(self, delivery: Delivery, to: Any = "done", **values: Any) -> bool:
        """Whether the lease still held."""
        token = values.pop("token", delivery.lease_token or delivery.job or "")
        settlement = Settlement(delivery_id=delivery.id, token=token, to=to, **values)
        return not self.store.settle([settlement], self.now)

    def in_job(self) -> list[Work]:
        """The rows of the oldest job."""
        store: Store = self.store
        job = store.jobs("crm")[0]
        return store.load_job(job, job.ids)

    def link(self, remote_id: str, **fields: Any) -> LinkUpdate:
        return LinkUpdate(object="thing", remote_id=remote_id, fields=fields)

    def deliver_all(self) -> list[str]:
        """Everything due, batch by batch: "route key" in the order it was claimed."""
        done = []
        while batch := self.claim():
            for delivery in batch:
                done.append(f"{delivery.route} {delivery.event_id or delivery.key}")
                link = None if delivery.op != "upsert" else self.link(f"r-{delivery.key}")
                self.settle(delivery, link=link)
        return done

    def rows(self, **wanted: Any) -> list[str]:
        """ "route key op state" of the outbox, oldest first."""
        found = self.store.deliveries(limit=None, **wanted)[::-1]
        return [f"{d.route} {d.event_id or d.key} {d.op} {d.state}" for d in found]
