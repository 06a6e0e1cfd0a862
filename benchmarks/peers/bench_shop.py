"""synccore's side of the comparison: a shop that makes its customers up, and a sink that posts them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen
from people import person

from synccore import hookimpl
from synccore.config import SourceSettings, option
from synccore.entities import Address, Customer
from synccore.errors import Transient
from synccore.hookspecs import SinkType, SourceType
from synccore.http import Client
from synccore.types import Change, Check, Defaults, Delivered, Limits, ObjectType, Operation, Page, WebhookRequest

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
#: Fourteen fields.
FIELDS = {
    "id": "customer.key",
    "email": "customer.email",
    "first_name": "customer.first_name",
    "last_name": "customer.last_name",
    "phone": "customer.phone",
    "street": "customer.billing.line1",
    "city": "customer.billing.city",
    "postcode": "customer.billing.postcode",
    "country": "customer.billing.country",
    "plan": "customer.meta.plan",
    "state": "customer.meta.state",
    "orders": "customer.meta.orders",
    "spent": "customer.meta.spent",
    "since": "customer.created_at | date",
}


def customer(record: Mapping[str, Any]) -> Change:
    """A record as core knows it."""
    address = record["address"]
    data = Customer(
        key=record["id"],
        email=record["email"],
        first_name=record["first_name"],
        last_name=record["last_name"],
        phone=record["phone"],
        created_at=FIRST,
        billing=Address(
            line1=address["street"], city=address["city"], postcode=address["postcode"], country=address["country"]
        ),
        meta={name: str(record[name]) for name in ("plan", "state", "orders", "spent")},
        raw=record,
    )
    return Change(entity="customer", key=record["id"], op="upsert", data=data, version=1)


@frozen
class ShopConfig(SourceSettings):
    """`[sources.x]`."""

    count: int = option(default=0, help="customers")


@frozen
class TargetConfig:
    """`[sinks.x]`."""

    url: str = option(default="", help="address of the target")


class Shop:
    """Lists and receives."""

    def __init__(self, config: ShopConfig, context: Any) -> None:
        self._count = config.count

    def check(self) -> Check:
        """Nothing to check."""
        return Check(detail="made up")

    def poll(self, entity: str, cursor: str | None, filters: Mapping[str, str]) -> Iterator[Page]:
        """Pages of a hundred, as shops give them."""
        for first in range(int(cursor or 0), self._count, 100):
            after = min(first + 100, self._count)
            yield Page(changes=[customer(person(n)) for n in range(first, after)], cursor=str(after), total=self._count)

    def receive(self, request: WebhookRequest) -> Sequence[Change]:
        """One customer a webhook."""
        return [customer(json.loads(request.body))]

    def fetch(self, entity: str, key: str) -> None:
        """Never needed."""

    def close(self) -> None:
        """Nothing is open."""


class Target:
    """Posts batches."""

    def __init__(self, config: TargetConfig, context: Any) -> None:
        self._http = Client(context, config.url)

    def check(self) -> Check:
        """Nothing to check."""
        return Check(detail="loopback")

    def describe(self) -> list[Any]:
        """Nothing to describe."""
        return []

    def deliver(self, operations: Sequence[Operation]) -> list[Delivered]:
        """One call for all."""
        if self._http.post("/batch", json=[dict(o.fields) for o in operations]).status != 200:
            raise Transient("the target does not take it")
        return [Delivered(remote_id=o.key) for o in operations]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


@hookimpl
def synccore_sources() -> list[SourceType]:
    """The shop."""
    return [SourceType(name="bench", summary="made up", config=ShopConfig, open=Shop, entities=("customer",))]


@hookimpl
def synccore_sinks() -> list[SinkType]:
    """The target."""
    person_ = ObjectType(name="person", summary="a person", defaults={"customer": Defaults(fields=FIELDS)})
    limits = Limits(max_batch=200, max_in_flight=4, linger=timedelta(milliseconds=20))
    return [
        SinkType(name="bench", summary="loopback", config=TargetConfig, open=Target, objects=(person_,), limits=limits)
    ]
