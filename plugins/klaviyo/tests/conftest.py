"""A strict Klaviyo on loopback, a sink that talks to it, and operations as core makes them.

Every request body of every test is also held against Klaviyo's published schema where that is at hand.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from synccore.entities import Address, Coupon, Customer, Membership, Order, OrderLine, Payment, Subscription
from synccore.secrets import Secret
from synccore.testing import FakeClock, FakeContext, Harness, upsert
from synccore.types import Change, EntityRef, Link, Operation, RouteSpec
from synccore_klaviyo.config import Config
from synccore_klaviyo.mapping.filters import FILTERS
from synccore_klaviyo.sink import SINK, KlaviyoSink
from synccore_klaviyo.testing import FakeKlaviyo

#: Klaviyo's published OpenAPI document, cut to the operations in use; lives beside the repository.
SCHEMA = Path(__file__).parents[4] / "shared" / "reference" / "klaviyo_openapi_subset.json"


#: Of a longer list in a request only this many at both ends are held against the schema.
MANY = 50

#: What `check` sends to find out about a scope: nothing that could be written.
PROBE = {"data": {"type": "nothing"}}


def _nullable(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` in the words of JSON Schema, also where it stands beside `$ref`."""
    if isinstance(node, list):
        return [_nullable(n) for n in node]
    if not isinstance(node, dict):
        return node
    found = {k: _nullable(v) for k, v in node.items() if k not in ("nullable", "example")}
    if node.get("nullable") is True:
        return {"anyOf": [found, {"type": "null"}]}
    return found


@cache
def _validators() -> Mapping[tuple[str, str], Any]:
    import jsonschema

    document = json.loads(SCHEMA.read_text())
    components = _nullable(document["components"])
    found = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = (operation.get("requestBody") or {}).get("content") or {}
            for media in content.values():
                schema = {**_nullable(media["schema"]), "components": components}
                found[(method.upper(), re.sub(r"\{\w+\}", "[^/]+", path))] = jsonschema.Draft4Validator(
                    schema, format_checker=jsonschema.FormatChecker()
                )
    return found


def _shortened(body: Any) -> Any:
    """Of the many alike in a body, the first and the last: ten thousand say no more than a hundred."""
    if isinstance(body, list) and len(body) > 2 * MANY:
        body = [*body[:MANY], *body[-MANY:]]
    if isinstance(body, list):
        return [_shortened(one) for one in body]
    return {k: _shortened(v) for k, v in body.items()} if isinstance(body, dict) else body


def _validate(klaviyo: FakeKlaviyo) -> int:
    checked = 0
    for request in klaviyo.requests:
        if not request.body or request.json() == PROBE:
            continue
        validator = next(
            (v for (m, p), v in _validators().items() if m == request.method and re.fullmatch(p, request.path)), None
        )
        assert validator is not None, f"{request.method} {request.path} is not in the published schema"
        problems = sorted(validator.iter_errors(_shortened(request.json())), key=str)
        assert not problems, f"{request.path}: {problems[0].message} at {list(problems[0].absolute_path)}"
        checked += 1
    return checked


@pytest.fixture
def schema() -> Path:
    if not SCHEMA.exists():
        pytest.skip("Klaviyo's published schema is not beside the repository (../shared/reference)")
    return SCHEMA


@pytest.fixture
def validate(schema: Path) -> Callable[[FakeKlaviyo], int]:
    return _validate


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def klaviyo(clock: FakeClock) -> Iterator[FakeKlaviyo]:
    with FakeKlaviyo(clock=clock.now) as server:
        yield server
        if SCHEMA.exists():
            _validate(server)


@pytest.fixture
def context(clock: FakeClock) -> FakeContext:
    return FakeContext("marketing", "klaviyo", clock=clock)


@pytest.fixture
def open_sink(klaviyo: FakeKlaviyo, context: FakeContext) -> Iterator[Callable[..., KlaviyoSink]]:
    opened = []

    def make(routes: tuple[RouteSpec, ...] = (), key: str | None = None, **settings: Any) -> KlaviyoSink:
        context.routes = routes
        config = Config(api_key=Secret(key or klaviyo.key), api_url=klaviyo.url, **settings)
        opened.append(SINK.open(config, context))
        return opened[-1]

    yield make
    for sink in opened:
        sink.close()


@pytest.fixture
def sink(open_sink: Callable[..., KlaviyoSink]) -> KlaviyoSink:
    return open_sink()


@pytest.fixture
def operation(clock: FakeClock) -> Callable[..., Operation]:
    """An operation as core makes it; `previous` are the fields last delivered."""
    numbers = itertools.count(1)

    def make(
        object: str = "profile",  # noqa: A002  the contract's word
        *,
        entity: str = "customer",
        key: str = "12",
        previous: Mapping[str, Any] | None = None,
        remote_id: str | None = None,
        **values: Any,
    ) -> Operation:
        fields = values.pop("fields", {})
        link = None
        if previous is not None or remote_id is not None:
            link = Link(
                object=object,
                remote_id=remote_id or f"shop:{entity}:{key}",
                fields=previous or {},
                delivered_at=values.pop("delivered_at", clock.now()),
            )
        changed = frozenset(n for n in {*fields, *(previous or {})} if fields.get(n) != (previous or {}).get(n))
        text = json.dumps([entity, key, fields], sort_keys=True, default=str)
        return Operation(
            **{
                "id": next(numbers),
                "route": "marketing",
                "object": object,
                "op": "upsert",
                "source": "shop",
                "entity": entity,
                "key": key,
                "fields": fields,
                "changed": changed,
                "link": link,
                "idempotency_key": text,
                "at": clock.now(),
                **values,
            }
        )

    return make


# -- the whole app

ROUTES = {
    "profiles": {"entity": "customer", "object": "profile"},
    "changes": {"entity": "membership", "object": "event"},
    "members": {"entity": "customer", "object": "event"},
    "subscriptions": {"entity": "subscription", "object": "event"},
    "payments": {"entity": "payment", "object": "event"},
    "orders": {"entity": "order", "object": "event"},
}
ENTITIES = ["customer", "order", "membership", "subscription", "payment"]


@pytest.fixture
def open_app(tmp_path, klaviyo, clock):
    """Starts an app between a shop and the account, with these routes and settings of the sink."""
    apps = []

    def make(routes, **settings):
        table = {"api_key": klaviyo.key, "api_url": klaviyo.url, **settings}
        sinks, source = {"marketing": (SINK, table)}, {"entities": ENTITIES}
        apps.append(Harness(tmp_path, routes, sink_types=sinks, source_table=source, clock=clock, filters=FILTERS))
        return apps[-1]

    yield make
    for app in apps:
        app.close()


@pytest.fixture
def start(open_app):
    """Starts an app with some of the routes."""

    def make(*names, settings=None, **options):
        settings = dict(settings or {})
        if "orders" in names:
            settings.setdefault("commerce_events", True)
        return open_app({n: {"sink": "marketing", **ROUTES[n], **options.get(n, {})} for n in names}, **settings)

    return make


@pytest.fixture
def crash():
    """Kills an app and starts it again; the dead one's connections are closed when the test is over."""
    dead = []

    def make(app):
        dead.append(app.app)
        app.crash()

    yield make
    for app in dead:
        app.close()


class Shop:
    """Says what changed, with the clock's time and a version that grows."""

    def __init__(self, clock):
        self.clock = clock
        self.version = 0

    def _change(self, record, owner, **values):
        self.version += 1
        return upsert(record, version=self.version, owner=owner, at=self.clock.now(), **values)

    def customer(self, key="12", **values):
        values = {"email": f"c{key}@shop.test", "first_name": "Anna", "updated_at": self.clock.now(), **values}
        return self._change(Customer(key=key, **values), None)

    def membership(self, key="5", plan="gold", status="active", owner="12", **values):
        return self._change(
            Membership(
                key=key,
                status=status,
                plan_key=f"1{len(plan)}",
                plan_slug=plan,
                plan_name=plan.title(),
                product_name=f"{plan.title()} year",
                customer_key=owner,
                **{"started_at": datetime(2025, 5, 1, tzinfo=UTC), "updated_at": self.clock.now(), **values},
            ),
            owner,
        )

    def subscription(self, key="7", status="active", owner="12", **values):
        line = OrderLine(key="1", name="Gold year", sku="GOLD", total=Decimal("120.00"))
        defaults = {"lines": (line,), "billing_period": "year", "billing_interval": 1}
        return self._change(
            Subscription(
                key=key,
                status=status,
                currency="EUR",
                total=Decimal("120.00"),
                customer_key=owner,
                **(defaults | values),
            ),
            owner,
        )

    def payment(self, key="900:ok:1", succeeded=True, owner="12", **values):
        payment = Payment(
            key=key,
            succeeded=succeeded,
            amount=Decimal("120.00"),
            currency="EUR",
            at=self.clock.now(),
            customer_key=owner,
            subscription_key="7",
            order_key="900",
            **values,
        )
        return Change(
            entity="payment",
            key=key,
            op="event",
            data=payment,
            event_id=key,
            at=self.clock.now(),
            owner=EntityRef("customer", owner),
        )

    def order(self, key="900", status="processing", owner="12", **values):
        lines = (
            OrderLine(key="1", name="Mug", sku="MUG", quantity=Decimal(2), price=Decimal(5), total=Decimal("10.00")),
            OrderLine(key="2", name="Tea", product_key="77", total=Decimal("4.50"), categories=("Drinks",)),
        )
        defaults = {
            "number": key,
            "lines": lines,
            "total": Decimal("14.50"),
            "currency": "EUR",
            "created_at": datetime(2025, 12, 31, 8, tzinfo=UTC),
            "coupons": (Coupon(code="TEA"),),
            "billing": Address(first_name="Anna", city="Köln", country="DE"),
        }
        return self._change(Order(key=key, status=status, customer_key=owner, **(defaults | values)), owner)


@pytest.fixture
def shop(clock):
    return Shop(clock)
