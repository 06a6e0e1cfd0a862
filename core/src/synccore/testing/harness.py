"""The whole app in one process: temporary database, fake clock, no threads.

def test_a_customer_arrives(tmp_path):
    with Harness(tmp_path, routes={"people": {"entity": "customer", "fields": {"email": "customer.email"}}}) as app:
        app.emit(customer("1", email="anna@shop.test"))
        app.drain()
        assert app.sink.by_uid() == {"shop:customer:1": {"email": "anna@shop.test"}}
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import tomlkit

from .._closing import Closing
from ..entities import Customer
from ..hookspecs import SinkType, hookimpl
from ..types import Change, EntityRef, Limits
from .clock import FakeClock
from .scripted import EmitterSource, ScriptedSink, emitters_type, scripted_type

if TYPE_CHECKING:
    from .._app.app import App
    from .._plugins import Plugins
    from ..store import Delivery, HistoryEntry, Ingested

__all__ = ["Harness", "customer", "upsert"]


@cache
def _installed() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group="synccore"))


@cache
def _loaded(*points: EntryPoint) -> "Plugins":
    """Loaded once: what a plugin brings is the same each time."""
    from .._plugins import load_plugins

    return load_plugins(environ={}, entry_points=points)


class _EntryPoint:
    """An entry point of a distribution that exists only in this test."""

    group = "synccore"
    dist = None

    def __init__(self, name: str, module: Any) -> None:
        self.name = name
        self.value = name
        self._module = module

    def load(self) -> Any:
        return self._module


def upsert(data: Any, *, version: int | None = None, owner: str | None = None, **values: Any) -> Change:
    """A change to `data`; `owner` is a customer's key."""
    return Change(
        entity=data.entity,
        key=data.key,
        op=values.pop("op", "upsert"),
        data=data,
        version=version,
        owner=EntityRef("customer", owner) if owner else None,
        **values,
    )


def customer(key: str, *, version: int | None = None, **values: Any) -> Change:
    """A change to a customer."""
    return upsert(Customer(key=key, **values), version=version)


class Harness(Closing):
    """An app around one source `shop` (or several `sources`) and one sink `crm` (or further `sinks`).

    Args:
        folder: where configuration and database go.
        routes: name -> table; source, sink and object default to shop, crm and thing.
        sink_types: instance name -> (type, its configuration), beside or instead of the scripted `crm`;
            without a configuration (None) the type is only installed.
        server: the `[server]` table.
        sources: names of the shops, the first of which is the one that is meant where none is named.
        installed: load the installed plugins as well, for their sinks and filters.
        filters: a plugin's own filters for expressions, as its `synccore_template_filters` gives them.
    """

    def __init__(
        self,
        folder: Path,
        routes: Mapping[str, Mapping[str, Any]],
        *,
        limits: Limits | None = None,
        sink_types: Mapping[str, tuple[SinkType, Mapping[str, Any] | None]] | None = None,
        source_table: Mapping[str, Any] | None = None,
        server: Mapping[str, Any] | None = None,
        clock: FakeClock | None = None,
        mappers: Sequence[Any] = (),
        filters: Mapping[str, Callable[..., Any]] | None = None,
        installed: bool = False,
        sources: Sequence[str] = ("shop",),
    ) -> None:
        self.folder = folder
        self.clock = clock or FakeClock()
        self.sources = {name: EmitterSource() for name in sources}
        self.source = self.sources[sources[0]]
        self.sink = ScriptedSink()
        self._mappers = tuple(mappers)
        self._installed = installed
        self._filters = dict(filters or {})
        self._types = {"crm": (scripted_type(self.sink, limits=limits), {}), **(sink_types or {})}
        config = {
            "server": dict(server or {}),
            "sources": {
                name: {"type": "emitter", **(source_table or {"entities": _entities(routes)})} for name in sources
            },
            "sinks": {name: {"type": k.name, **t} for name, (k, t) in self._types.items() if t is not None},
            "routes": {
                name: {"source": sources[0], "sink": "crm", "object": "thing", **table}
                for name, table in routes.items()
            },
        }
        self._path = folder / "synccore.toml"
        self._path.write_text(tomlkit.dumps(config), encoding="utf-8")
        self._wrecks: list[App] = []
        self.app: App = self._open()

    def _open(self) -> "App":
        from .._app.app import App
        from .._plugins import load_plugins

        loaded = _loaded(*(_installed() if self._installed else ()))
        sinks = [kind for kind, _ in self._types.values() if kind.name not in loaded.sinks]
        module = SimpleNamespace(
            synccore_sources=hookimpl(_named("synccore_sources", [emitters_type(self.sources)])),
            synccore_sinks=hookimpl(_named("synccore_sinks", sinks)),
            synccore_mappers=hookimpl(_named("synccore_mappers", self._mappers)),
            synccore_template_filters=hookimpl(_named("synccore_template_filters", self._filters)),
        )
        own = _EntryPoint("harness", module)
        plugins = load_plugins(environ={}, entry_points=[own], beside=loaded)  # type: ignore[list-item]
        app = App.open(self._path, environ={}, clock=self.clock, random=random.Random(1), plugins=plugins)  # noqa: S311
        app.store.rescue(self.clock.now(), all_running=True)
        return app

    # -- doing

    def emit(self, *changes: Change, bulk: bool = False, source: str | None = None) -> "Ingested":
        """Take changes in as one webhook would (or, `bulk`, as one page of a backfill)."""
        from .._ingest.rules import only, rules_of
        from ..store import Ingest

        name = source or next(iter(self.sources))
        self.sources[name].put(*(c for c in changes if c.op in ("upsert", "delete")))
        rules = rules_of(self.app.routes.values(), name)
        force = only(rules, None) if bulk else frozenset()
        return self.app.intake.submit(Ingest(source=name, changes=changes, rules=rules, bulk=bulk, force=force))

    def follow(self) -> list[str]:
        """Ask the sources for all that they only named so far, as their threads do; the keys asked for."""
        return [key for name in self.sources for key in self._follow(name)]

    def _follow(self, name: str) -> list[str]:
        from .._ingest.hints import Follower
        from .._ingest.rules import rules_of

        rules = rules_of(self.app.routes.values(), name)
        follower = Follower(name, self.sources[name], rules, intake=self.app.intake, clock=self.clock)
        hints = [h for h in self.app.store.hints(name, self.clock.now(), 100) if h.op == "touch"]
        follower.follow(hints)
        return [hint.key for hint in hints]

    def drain(self) -> int:
        """Deliver all that is due now; how many deliveries were settled."""
        return self.app.engine.drain()

    def advance(self, duration: timedelta) -> int:
        """Move the clock and deliver."""
        self.clock.advance(duration)
        return self.drain()

    def settle_down(self, limit: timedelta = timedelta(days=2)) -> None:
        """Move the clock from due time to due time until nothing is owed or `limit` has passed, and ask for what the
        source only named when that is due."""
        end = self.clock.now() + limit
        self.follow()
        self.drain()
        while (upcoming := self._upcoming(end)) is not None and upcoming < end:
            self.clock.advance(max(upcoming - self.clock.now(), timedelta(milliseconds=1)))
            self.follow()
            self.drain()

    def _upcoming(self, end: datetime) -> datetime | None:
        """When something is to be done next. What the source named is due later where the clock was set back."""
        now = self.clock.now()
        hints = [hint for name in self.sources for hint in self.app.store.hints(name, end, 100)]
        named = [hint.due_at for hint in hints if hint.due_at > now]
        return min(filter(None, (self.app.engine.next_try(), *named)), default=None)

    def crash(self) -> None:
        """Die at once and start again: nothing is closed, what ran is rescued."""
        self._wrecks.append(self.app)
        self.app = self._open()

    def backup(self) -> Path:
        """What `synccore db backup` writes now."""
        path = self.folder / "backup.db"
        self.app.store.backup(path)
        return path

    def restore(self, backup: Path) -> None:
        """`synccore db restore`: the backup takes the database's place, and the app starts on it."""
        from .._verbs.restore import put_in_place, settle_in

        self.app.close()
        put_in_place(self.app, backup)
        self.app = self._open()
        settle_in(self.app)

    # -- looking

    def deliveries(self, **filters: Any) -> "list[Delivery]":
        """Rows of the outbox; filters are state, sink, route, key."""
        return self.app.store.deliveries(limit=None, **filters)

    def states(self) -> dict[str, int]:
        """How many deliveries are in which state."""
        counts: dict[str, int] = {}
        for delivery in self.deliveries():
            counts[delivery.state] = counts.get(delivery.state, 0) + 1
        return counts

    def history(self, **filters: Any) -> "list[HistoryEntry]":
        """The audit trail."""
        return self.app.store.history(limit=None, **filters)

    def close(self) -> None:
        """Close the app, and what crashed ones left open: a dead process would have."""
        for app in (self.app, *self._wrecks):
            app.close()


def _named(name: str, values: Iterable[Any]) -> Any:
    found = dict(values) if isinstance(values, Mapping) else list(values)

    def hook() -> Any:
        return found

    hook.__name__ = name
    return hook


def _entities(routes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    entities = {str(r["entity"]) for r in routes.values()}
    for route in routes.values():
        entities |= set(route.get("include", ()))
    return sorted(entities)
