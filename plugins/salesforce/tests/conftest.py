"""An org on loopback and a sink connected to it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from attrs import evolve

from synccore.config import parse_duration
from synccore.secrets import Secret
from synccore.testing import START, FakeContext
from synccore.types import Link, Operation, RouteSpec
from synccore_salesforce.config import Config
from synccore_salesforce.mapping import OBJECTS
from synccore_salesforce.sink import SalesforceSink
from synccore_salesforce.testing import FakeSalesforce

assert parse_duration


class Browser:
    """A person who signs in and allows, on the org's own page."""

    def __init__(self, org: FakeSalesforce) -> None:
        self.org = org
        self.said: list[str] = []
        self.redirect = ""

    def authorize(self, build_url, *, host="127.0.0.1", port=0, path="/"):
        from urllib.parse import parse_qsl, urlsplit

        self.redirect = f"http://{host}:{port}{path}"
        landed = self.org.approve(build_url(self.redirect))
        return self.redirect, dict(parse_qsl(urlsplit(landed).query))

    def say(self, text: str) -> None:
        self.said.append(text)


def make_route(name="crm_customers", object="Contact", entity="customer", fields=None, **options: Any) -> RouteSpec:  # noqa: A002
    """A route as core would hand it over: the defaults merged with `fields`."""
    kind = next((o for o in OBJECTS if o.name == object), None)
    defaults = kind.defaults.get(entity) if kind else None
    with_defaults = options.pop("defaults", True)
    merged = {**(defaults.fields if defaults and with_defaults else {}), **(fields or {})}
    options.setdefault("match", defaults.match if defaults else ())
    return RouteSpec(name=name, source="shop", entity=entity, sink="crm", object=object, fields=merged, **options)


class Bench:
    """An org, a context, and operations made by hand."""

    def __init__(self, org: FakeSalesforce, *routes: RouteSpec, connect: bool = True, **config: Any) -> None:
        self.org = org
        self.context = FakeContext("crm", "salesforce", routes=routes)
        self.config = Config(
            login_url=org.url, client_id=org.client_id, client_secret=Secret(org.client_secret), **config
        )
        self.sink = SalesforceSink(self.config, self.context)
        self.links: dict[tuple[str, str], Link] = {}
        self._ids = 0
        if connect:
            self.sink.connect(Browser(org))

    def restart(self) -> None:
        """A new process: only what is stored survives."""
        self.sink.close()
        self.sink = SalesforceSink(self.config, self.context)

    def op(self, key: str, fields: Mapping[str, Any] | None = None, **options: Any) -> Operation:
        """One operation of the first route, or of `route`."""
        name = options.pop("route", None)
        route = next(r for r in self.context.routes if name in (None, r.name))
        self._ids += 1
        link = options.pop("link", self.links.get((route.name, key)))
        values = dict(fields or {})
        before = link.fields if link else {}
        changed = frozenset(n for n in {*values, *before} if values.get(n) != before.get(n) or not before)
        return Operation(
            id=self._ids, route=route.name, object=route.object, op=options.pop("kind", "upsert"), source="shop",
            entity=route.entity, key=key, fields=values, changed=changed, options=route.options, match=route.match,
            link=link, idempotency_key=options.pop("idempotency_key", f"{route.name}:{key}:{sorted(values.items())}"),
            at=START, settings=route.settings, **options,
        )  # fmt: skip

    def deliver(self, *ops: Operation):
        """Deliver and remember the links, as core does."""
        outcomes = self.sink.deliver(ops)
        assert len(outcomes) == len(ops)
        self.remember(ops, outcomes)
        return list(outcomes)

    def remember(self, ops, outcomes) -> None:
        for op, outcome in zip(ops, outcomes, strict=True):
            if getattr(outcome, "remote_id", None):
                self.links[op.route, op.key] = Link(
                    object=op.object, remote_id=outcome.remote_id, fields=dict(op.fields), source=op.source,
                    entity=op.entity, key=op.key, route=op.route,
                )  # fmt: skip

    def parent(self, route: str, key: str) -> Link:
        return self.links[route, key]

    def close(self) -> None:
        self.sink.close()


@pytest.fixture
def org() -> Iterator[FakeSalesforce]:
    """An org whose contacts, accounts, leads and orders have the external id field."""
    with FakeSalesforce() as server:
        add_keys(server)
        yield server


def add_keys(server: FakeSalesforce) -> None:
    for name in ("Contact", "Account", "Lead", "Order", "Opportunity"):
        if name in server.org.objects:
            server.add_field(name, "WooId__c", length=100, external_id=True, unique=True)


@pytest.fixture
def bench(org) -> Iterator[Any]:
    """Makes benches on the org; closes them."""
    made = []

    def make(*routes: RouteSpec, **config: Any) -> Bench:
        made.append(Bench(config.pop("org", org), *(routes or (make_route(match=("WooId__c",)),)), **config))
        return made[-1]

    yield make
    for one in made:
        one.close()


def person(n: int | str, **fields: Any) -> dict[str, Any]:
    """Mapped fields of customer n."""
    return {"FirstName": f"Ann{n}", "LastName": f"Lee{n}", "Email": f"ann{n}@shop.test", **fields}


assert evolve
