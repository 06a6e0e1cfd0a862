"""What the benchmarks share: a shop of any size made up as it is listed, and a target that keeps nothing.

Neither holds its records, so the memory that is measured is the engine's.
"""

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tomlkit
from attrs import frozen

from synccore._app.app import App
from synccore._plugins import load_plugins
from synccore.config import SourceSettings
from synccore.entities import Address, Customer
from synccore.hookspecs import SinkType, SourceType, hookimpl
from synccore.types import (
    Change,
    Check,
    Delivered,
    Limits,
    ObjectType,
    Operation,
    Outcome,
    Page,
    WebhookRequest,
    WriteBack,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOWNS = (("Köln", "50667", "DE", "0221 9"), ("Leeds", "LS1 4DY", "GB", "0113 4"), ("New York", "10001", "US", "212 5"))

#: Fifteen fields as integrators write them.
FIELDS: Mapping[str, Any] = {
    "email": "customer.email | lower",
    "first_name": "customer.first_name",
    "last_name": "customer.last_name",
    "name": "{{ customer.first_name }} {{ customer.last_name }}",
    "phone": "customer.phone | e164(customer.billing.country)",
    "company": "customer.company",
    "street": "customer.billing.line1",
    "city": "customer.billing.city | title",
    "postcode": "customer.billing.postcode",
    "country": "customer.billing.country | country_name",
    "since": "customer.created_at | date",
    "external_id": "uid",
    "newsletter": "(customer.meta.newsletter | default('no')) == 'yes'",
    "tags": "customer.meta.tags | default('') | split(',') | sort",
    "source": "'Web shop'",
}


@frozen
class TargetConfig:
    """`[sinks.x]` has no settings."""


def customer(number: int, version: int = 1) -> Change:
    """A customer of about a kilobyte, as shops have them."""
    town, postcode, country, phone = TOWNS[number % len(TOWNS)]
    data = Customer(
        key=f"{number:09}",
        email=f"Customer{number}@shop.test",
        first_name=f"Ada{version if version > 1 else ''}",
        last_name=f"Number {number}",
        phone=f"{phone}{number % 1_000_000:06}",
        company="Example & Co" if number % 3 else None,
        created_at=NOW - timedelta(hours=number % 20_000),
        paying=True,
        billing=Address(line1=f"{number % 200} Sample Street", city=town, postcode=postcode, country=country),
        meta={"newsletter": "yes" if number % 2 else "no", "tags": "b2c,web,2026"},
        raw={"id": number, "text": "x" * 600, "total": str(Decimal(number) / 100)},
    )
    return Change(entity="customer", key=data.key, op="upsert", data=data, version=version)


class Shop:
    """A source of `size` customers. A webhook's body is `NUMBER VERSION`."""

    def __init__(self, size: int, page: int = 100) -> None:
        self.size = size
        self._page = page

    def check(self) -> Check:
        """Always well."""
        return Check(detail="made up")

    def poll(self, entity: str, cursor: str | None, filters: Mapping[str, str]) -> Iterator[Page]:
        """Everything in pages; a cursor is the next number."""
        for first in range(int(cursor or 0), self.size, self._page):
            after = min(first + self._page, self.size)
            yield Page(changes=[customer(n) for n in range(first, after)], cursor=str(after), total=self.size)

    def receive(self, request: WebhookRequest) -> Sequence[Change]:
        """One customer."""
        number, version = request.body.split()
        return [customer(int(number), int(version))]

    def fetch(self, entity: str, key: str) -> Change | None:
        """The customer as it is listed."""
        return customer(int(key))

    def subscribe(self, hook_url: str) -> str:
        """Nothing to subscribe to."""
        return hook_url

    def unsubscribe(self) -> str:
        """Nothing either."""
        return ""

    def write_back(self, links: Sequence[WriteBack]) -> Sequence[Outcome]:
        """Believe it."""
        return [Delivered() for _ in links]

    def close(self) -> None:
        """Nothing to release."""


class Target:
    """A sink that counts; each call takes `takes`, as a vendor's would. `seen` is told of every operation."""

    def __init__(self, takes: timedelta = timedelta(0)) -> None:
        self.operations = 0
        self.calls = 0
        self.takes = takes
        self.seen: Any = None
        self._lock = threading.Lock()
        self._never = threading.Event()

    def check(self) -> Check:
        """Always well."""
        return Check(detail="in memory")

    def describe(self) -> Sequence[Any]:
        """Nothing to say."""
        return []

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Take all."""
        self._never.wait(self.takes.total_seconds())
        with self._lock:
            self.calls += 1
            self.operations += len(operations)
        if self.seen is not None:
            for operation in operations:
                self.seen(operation)
        return [Delivered(remote_id=f"r{o.key}") for o in operations]

    def read(self, links: Sequence[Any]) -> Sequence[Any]:
        """What was delivered."""
        return [dict(link.fields) for link in links]

    def erase(self, link: Any) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing to release."""


def open_app(
    folder: Path,
    shop: Shop | None,
    targets: Mapping[str, Target],
    *,
    limits: Limits | None = None,
    source: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
) -> App:
    """An app with the source `shop` (made up, or an installed type by its table) and a route to each target."""
    limits = limits or Limits(max_batch=200)
    kinds = [_sink_type(name, target, limits) for name, target in targets.items()]
    module = SimpleNamespace(synccore_sinks=_hook("synccore_sinks", kinds))
    if shop is not None:
        made_up = SourceType(
            name="made_up",
            summary="A shop made up as it is listed.",
            config=SourceSettings,
            open=lambda _config, _context: shop,
            entities=("customer",),
        )
        module.synccore_sources = _hook("synccore_sources", [made_up])
    config = {
        "server": dict(server or {}),
        "sources": {"shop": dict(source or {"type": "made_up"})},
        "sinks": {name: {"type": name} for name in targets},
        "routes": {
            f"{name}_customers": {
                "source": "shop",
                "entity": "customer",
                "sink": name,
                "object": "person",
                "fields": dict(FIELDS),
            }
            for name in targets
        },
    }
    path = folder / "synccore.toml"
    path.write_text(tomlkit.dumps(config), encoding="utf-8")
    points = [*entry_points(group="synccore"), _EntryPoint(module)]
    plugins = load_plugins(environ={}, entry_points=points)  # type: ignore[arg-type]
    return App.open(path, environ={}, plugins=plugins, random=random.Random(1))


def _sink_type(name: str, target: Target, limits: Limits) -> SinkType:
    return SinkType(
        name=name,
        summary="A target that counts.",
        config=TargetConfig,
        open=lambda _config, _context: target,
        objects=(ObjectType(name="person", summary="A person."),),
        limits=limits,
    )


def _hook(name: str, values: Any) -> Any:
    def hook() -> Any:
        return values

    hook.__name__ = name
    return hookimpl(hook)


class _EntryPoint:
    """An entry point of a distribution that exists in this process only."""

    group = "synccore"
    dist = None
    name = value = "benchmarks"

    def __init__(self, module: Any) -> None:
        self._module = module

    def load(self) -> Any:
        """The module of hooks."""
        return self._module


def resident() -> float:
    """Megabytes of this process now."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
