"""An org on loopback, a sink connected to it, and operations made by hand."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from synccore.secrets import Secret
from synccore.testing import START, AutoBrowser, FakeContext
from synccore.types import Delivered, Job, Link, Operation, Outcome, RouteSpec, Unchanged
from synccore_salesforce.config import Config
from synccore_salesforce.mapping.defaults import OBJECTS
from synccore_salesforce.sink import SalesforceSink
from synccore_salesforce.testing import FakeSalesforce


def make_route(
    name: str = "crm_customers",
    object: str = "Contact",  # noqa: A002  the contract's word
    entity: str = "customer",
    fields: Mapping[str, Any] | None = None,
    *,
    defaults: bool = True,
    **options: Any,
) -> RouteSpec:
    """A route as core would hand it over: the object's defaults merged with `fields`."""
    kind = next((o for o in OBJECTS if o.name == object), None)
    default = kind.defaults.get(entity) if kind else None
    merged = {**(default.fields if default and defaults else {}), **(fields or {})}
    options.setdefault("match", default.match if default else ())
    return RouteSpec(name=name, source="shop", entity=entity, sink="crm", object=object, fields=merged, **options)


class Bench:
    """One sink at one org. Remembers links as core does."""

    def __init__(self, org: FakeSalesforce, *routes: RouteSpec, connect: bool = True, **config: Any) -> None:
        self.org = org
        self.context = FakeContext("crm", "salesforce", routes=routes)
        config.setdefault("client_secret", Secret(org.client_secret))
        self.config = Config(login_url=org.url, client_id=org.client_id, **config)
        self.sink = SalesforceSink(self.config, self.context)
        self.browser = AutoBrowser(org.approve)
        self.links: dict[tuple[str, str], Link] = {}
        self._ids = 0
        if connect:
            try:
                self.sink.connect(self.browser)
            except BaseException:
                self.sink.close()
                raise

    def restart(self) -> None:
        """A new process: only what is stored survives."""
        self.sink.close()
        self.sink = SalesforceSink(self.config, self.context)

    def op(self, key: str, fields: Mapping[str, Any] | None = None, **options: Any) -> Operation:
        """An operation of `route` (by default the first), with the link of what was delivered before."""
        name = options.pop("route", None)
        spec = next(r for r in self.context.routes if name in (None, r.name))
        self._ids += 1
        link = options.pop("link", self.link(spec.name, key))
        values = dict(fields or {})
        before = link.mapped if link else {}
        names = {n for n in {*values, *before} if values.get(n) != before.get(n)} if before else set(values)
        kind = options.pop("kind", "upsert")
        return Operation(
            id=self._ids,
            route=spec.name,
            object=spec.object,
            op=kind,
            source="shop",
            entity=spec.entity,
            key=key,
            fields=values,
            changed=frozenset(names),
            options=spec.options,
            match=spec.match,
            link=link,
            idempotency_key=f"{spec.name}/{key}/{kind}/{sorted(values.items(), key=str)}",
            at=START,
            settings=spec.settings,
            **options,
        )

    def link(self, route: str, key: str) -> Link | None:
        """The link of a record, with how many share its twin now."""
        link = self.links.get((route, key))
        if link is None:
            return None
        twins = {k for (_, k), x in self.links.items() if x.remote_id == link.remote_id}
        return evolve(link, shared=len(twins))

    def deliver(self, *operations: Operation) -> list[Outcome]:
        """Deliver and remember the links."""
        outcomes = list(self.sink.deliver(operations))
        self.remember(operations, outcomes)
        return outcomes

    def one(self, key: str, fields: Mapping[str, Any] | None = None, **options: Any) -> Outcome:
        """Deliver one operation."""
        return self.deliver(self.op(key, fields, **options))[0]

    def remember(self, operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> None:
        assert len(outcomes) == len(operations)
        for op, outcome in zip(operations, outcomes, strict=True):
            if not isinstance(outcome, Delivered | Unchanged) or not outcome.remote_id:
                continue
            if op.op == "delete" and isinstance(outcome, Delivered):
                self.links.pop((op.route, op.key))
                continue
            if op.op == "leave":
                self.links[op.route, op.key] = evolve(self.links[op.route, op.key], fields={}, asked=None, left=True)
                continue
            fields = dict(op.fields) if outcome.fields is None else dict(outcome.fields)
            adopted = outcome.adopted if outcome.adopted is not None else bool(op.link and op.link.adopted)
            self.links[op.route, op.key] = Link(
                object=op.object,
                remote_id=outcome.remote_id,
                fields=fields,
                asked=None if fields == op.fields else dict(op.fields),
                left_out=dict(outcome.left_out),
                adopted=adopted,
                parent_id=op.parent.remote_id if op.parent else None,
                made={**(op.link.made if op.link else {}), **getattr(outcome, "made", {})},
                delivered_at=START,
                source=op.source,
                entity=op.entity,
                key=op.key,
                route=op.route,
            )

    def collect(self, operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Poll all jobs to their end, as core does; the outcomes in the operations' order."""
        found: dict[int, Outcome] = {}
        for job_id in dict.fromkeys(o.job for o in outcomes if hasattr(o, "job")):
            mine = tuple(op for op, o in zip(operations, outcomes, strict=True) if getattr(o, "job", None) == job_id)
            job = Job(id=job_id, operations=mine, submitted_at=self.context.clock.now())
            for _ in range(20):
                self.context.clock.sleep(timedelta(seconds=10))
                if (answers := self.sink.collect(job)) is not None:
                    break
            else:
                raise AssertionError("the job never ended")
            found.update({op.id: o for op, o in zip(mine, answers, strict=True)})
        final = [found.get(op.id, o) for op, o in zip(operations, outcomes, strict=True)]
        self.remember(operations, final)
        return final

    def found(self, name: str, **fields: Any) -> dict[str, Any]:
        """The one live record with these values."""
        (record,) = (r for r in self.org.records(name) if all(r.get(n) == v for n, v in fields.items()))
        return record

    def close(self) -> None:
        self.sink.close()


def add_keys(server: FakeSalesforce) -> FakeSalesforce:
    for name in ("Contact", "Account", "Lead", "Order", "Opportunity"):
        if name in server.org.objects:
            server.add_field(name, "WooId__c", length=100, external_id=True, unique=True)
    return server


@pytest.fixture
def make_org() -> Iterator[Callable[..., FakeSalesforce]]:
    """Makes orgs whose objects have the external id field; `keys=False` leaves that out."""
    made: list[FakeSalesforce] = []

    def make(*, keys: bool = True, **options: Any) -> FakeSalesforce:
        made.append(FakeSalesforce(**options))
        return add_keys(made[-1]) if keys else made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def org(make_org: Callable[..., FakeSalesforce]) -> FakeSalesforce:
    """A plain org."""
    return make_org()


@pytest.fixture
def route() -> Callable[..., RouteSpec]:
    """`make_route`."""
    return make_route


@pytest.fixture
def bench(org: FakeSalesforce) -> Iterator[Callable[..., Bench]]:
    """Makes benches on the org (or on `at`); by default with contacts matched by external id."""
    made: list[Bench] = []

    def make(*routes: RouteSpec, at: FakeSalesforce | None = None, **config: Any) -> Bench:
        made.append(Bench(at or org, *(routes or (make_route(match=("WooId__c",)),)), **config))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def person() -> Callable[..., dict[str, Any]]:
    """Mapped fields of customer n."""

    def make(n: int | str, **fields: Any) -> dict[str, Any]:
        values = {"FirstName": f"Ann{n}", "LastName": f"Lee{n}", "Email": f"ann{n}@shop.test"}
        return {**values, "WooId__c": f"shop:customer:{n}", **fields}

    return make
