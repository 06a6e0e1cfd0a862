"""The composition root: settings, plugins, store and instances, opened once and handed around."""

from __future__ import annotations

import os
import random as random_module
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from .._delivery import writeback
from .._delivery.prepare import Preparer
from .._ingest.rules import rules_of
from .._mapping import compile_mapper
from .._plugins import Plugins, load_plugins
from .._settings import (
    InstanceSettings,
    Settings,
    SettingsError,
    find_config,
    load_outline,
    load_settings,
    read_file,
)
from .._settings.references import SecretMissing
from ..config import Problem
from ..entities import ENTITIES
from ..errors import ConfigError
from ..store import DirtyRule, Store, Work
from ..types import Clock, Limits, Log, ObjectType, RouteSpec, Settled
from .accounts import another_account
from .base import Base, readable
from .context import InstanceContext
from .logs import Logs
from .made_by import NOTES, made_by
from .peek import database_in, peek, table
from .units import SinkUnit, SourceUnit, Unit

if TYPE_CHECKING:
    from .._delivery.engine import Engine
    from .._delivery.lane import Lane
    from .._ingest.intake import Intake
    from .._ingest.listing import Lister


class App(Base):
    """Everything that a command or the daemon works with. Opening it talks to nobody."""

    sources: dict[str, SourceUnit]
    sinks: dict[str, SinkUnit]

    def __init__(
        self,
        path: Path,
        *,
        plugins: Plugins,
        environ: Mapping[str, str],
        clock: Clock | None,
        random: random_module.Random | None,
        store: Store | None = None,
        text: str | None = None,
        looking: bool = False,
        logs: Logs | None = None,
    ) -> None:
        #: What the file said when it was read.
        self.text = text if text is not None else read_file(path)
        file = peek(self.text)
        super().__init__(path, database_in(file), plugins=plugins, clock=clock, store=store)
        if self.database_file is None:
            # Secrets of instances may be asked for, and stand in the database, before all settings are read.
            with suppress(SettingsError):
                self._password = load_outline(path, plugins, self.text, environ).password
        self.environ = environ
        self.random = random if random is not None else random_module.Random()  # noqa: S311  jitter, not secrets
        self._logs = logs if logs is not None else Logs()
        self.log: Log = self._logs.of("synccore")
        self.sources = {}
        self.sinks = {}
        self.observers: list[Callable[[Settled], None]] = [plugins.settled]
        #: Told about every `deliver`: sink, operations, duration.
        self.measure: Callable[[str, int, timedelta], None] = lambda *_: None
        self._preparers: dict[str, Preparer] = {}
        self._public_url = table(file, "server").get("public_url")
        self.settings: Settings = self._read(looking=looking)
        self._database, self._password = self.settings.database, self.settings.password
        self.retention = self.settings.retention
        self.routes: Mapping[str, RouteSpec] = self.settings.routes
        self._open_instances()

    def _read(self, *, looking: bool) -> Settings:
        try:
            return load_settings(
                self.path,
                self.plugins,
                environ=self.environ,
                stored_secret=self._stored_secret,
                objects_of=self._objects_of,
                text=self.text,
                looking=looking,
            )
        except SettingsError:
            # A sink that could not open the outbox did not say what it can write, and its routes look wrong.
            for trouble in filter(None, (unit.no_outbox for unit in self.sinks.values())):
                raise trouble from None
            raise

    def _open_instances(self) -> None:
        for instance in self.settings.sinks.values():
            if instance.name not in self.sinks:  # no route leads there yet; it can be connected all the same
                self._open_sink(instance)
        self.sinks = {name: self.sinks[name] for name in self.settings.sinks}
        for sink in self.sinks.values():
            # Opened once to ask for its objects, which the routes' defaults come from; now with those routes.
            sink.close(self.log)
            sink.context.routes = self._routes_of(sink.name)
            sink.open()
        for instance in self.settings.sources.values():
            self._open_source(instance)

    @classmethod
    def open(
        cls,
        config: Path | None,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
        random: random_module.Random | None = None,
        plugins: Plugins | None = None,
        logs: Logs | None = None,
    ) -> Self:
        """Find and read the configuration and open every instance.

        Raises SettingsError with all mistakes at once, ConfigError where there is no configuration.
        """
        path = find_config(config, environ, Path.cwd())
        app = cls(
            path,
            plugins=plugins if plugins is not None else load_plugins(environ=environ),
            environ=environ,
            clock=clock,
            random=random,
            logs=logs,
        )
        if any(route.formerly for route in app.routes.values()) and app.exists and not app.store.daemon_running():
            app.rename_routes()  # a daemon knows them by what its own file says, until it reads this one
        return app

    @classmethod
    def look(
        cls,
        config: Path | None,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
        plugins: Plugins,
        logs: Logs | None = None,
    ) -> Self:
        """As `open`, for whoever only looks: no secret has to be there.

        While a daemon runs a mistake in the file is no hindrance either; `doubts` then says what could not be read.
        Raises SettingsError otherwise.
        """
        path = find_config(config, environ, Path.cwd())
        text, doubts = readable(path, plugins, clock, environ)
        app = cls(path, plugins=plugins, environ=environ, clock=clock, random=None, text=text, looking=True, logs=logs)
        if app.settings.mistakes and not (app.exists and app.store.daemon_running()):
            app.close()
            raise SettingsError(app.settings.mistakes)
        left_out = [f"left out, because it is wrong: {p}" for p in app.settings.mistakes]
        app.doubts = (*doubts, *left_out, *(f"not shown: {p}" for p in app.settings.unread))
        return app

    @classmethod
    def beside(cls, base: Base) -> Self:
        """What the file says now, over a store that is open already, for whoever only looks.

        Its `release` closes what it opened. Raises SettingsError where nothing can be made of the file.
        """
        return cls(
            base.path,
            plugins=base.plugins,
            environ=base.environ,
            clock=base.clock,
            random=None,
            store=base.store,
            looking=True,
        )

    def anew(self) -> Self:
        """Another app over the same store, from what the file says now. Raises SettingsError: this one goes on then.

        What cannot change while a process holds the store is a mistake too, and so is an instance that opened before
        and does not any more.
        """
        fresh = type(self)(
            self.path,
            plugins=self.plugins,
            environ=self.environ,
            clock=self._given_clock,
            random=self.random,
            store=self.store,
            logs=self._logs,
        )
        problems = [
            Problem(self.path_of(name), str(unit.error))
            for name, unit in (*fresh.sources.items(), *fresh.sinks.items())
            if unit.error and getattr(self.sources.get(name) or self.sinks.get(name), "error", None) is None
        ]
        if fresh.settings.database != self.settings.database:
            problems.append(Problem("synccore.database", "cannot change while the daemon runs: stop it first"))
        if problems:
            fresh.release()
            raise SettingsError(problems)
        return fresh

    def _stored_secret(self, name: str) -> str | None:
        return self.secrets.get(name)

    # -- instances

    def context(self, settings: InstanceSettings) -> InstanceContext:
        """What an instance (or an alert's channel) gets of the world."""
        return InstanceContext(
            settings.name,
            settings.type,
            clock=self.clock,
            random_=self.random,
            store=lambda: self.store,
            vault=self.vault(settings.name),
            public_url=self._public_url,
            stopping=self.stopping,
            log=self._logs.of("synccore.plugin", instance=settings.name),
        )

    def _objects_of(self, settings: InstanceSettings) -> Sequence[ObjectType]:
        unit = self._open_sink(settings)
        if unit.error is not None:
            raise (SecretMissing if unit.unasked else ConfigError)(unit.error, path=f"sinks.{unit.name}")
        return unit.objects

    def _open_sink(self, settings: InstanceSettings) -> SinkUnit:
        unit = SinkUnit(settings.name, settings, self.context(settings))
        self.sinks[settings.name] = unit
        unit.open()
        return unit

    def _open_source(self, settings: InstanceSettings) -> None:
        unit = SourceUnit(settings.name, settings, self.context(settings))
        unit.context.routes = self._routes_of(settings.name)
        self.sources[settings.name] = unit
        unit.open()

    def _routes_of(self, instance: str) -> tuple[RouteSpec, ...]:
        return tuple(r for r in self.routes.values() if instance in (r.source, r.sink))

    def unit(self, name: str) -> Unit:
        """A source or sink by name. Raises ConfigError with the names there are."""
        found = self.sources.get(name) or self.sinks.get(name)
        if found is None:
            known = ", ".join([*self.sources, *self.sinks]) or "none"
            raise ConfigError(f"no source or sink is called {name!r}; there are: {known}", path=name)
        return found

    def opened(self, name: str) -> Unit:
        """An instance that could be opened. Raises ConfigError otherwise, saying why."""
        unit = self.unit(name)
        if unit.instance is None:
            raise ConfigError(unit.error or "it could not be opened", path=self.path_of(name))
        return unit

    def path_of(self, name: str) -> str:
        """Where the instance is in the configuration."""
        return f"{'sources' if name in self.sources else 'sinks'}.{name}"

    def route(self, name: str) -> RouteSpec:
        """A route by name. Raises ConfigError with the names there are."""
        if name not in self.routes:
            known = ", ".join(self.routes) or "none"
            raise ConfigError(f"no route is called {name!r}; there are: {known}", path="routes")
        return self.routes[name]

    def calls(self, instance: str) -> int:
        """HTTP calls this instance made since the app was opened."""
        return self.unit(instance).context.calls

    # -- routes and lanes

    def preparer(self, route: str) -> Preparer:
        """What maps and compares for one route, compiled once."""
        if route not in self._preparers:
            self._preparers[route] = self.preparer_of(self.routes[route])
        return self._preparers[route]

    def preparer_of(self, spec: RouteSpec) -> Preparer:
        """What would map and compare for a route as it might be. Raises ConfigError for an expression that is none."""
        own = getattr(self.sinks[spec.sink].instance, "filters", {})
        as_read = self.routes.get(spec.name) is spec and not own
        mapper = self.settings.mappers[spec.name] if as_read else compile_mapper(spec, self.plugins, own)
        tells = hasattr(self.sources[spec.source].instance, "time_zone")
        zone = partial(self._zone, spec.source) if tells else lambda: None
        by_address = any(o.by_address for o in self.sinks[spec.sink].objects if o.name in (spec.object, "*"))
        return Preparer(
            *(spec, mapper), leaves=self._leaves(spec), by_address=by_address, zone=zone, made_by=self._made_by(spec)
        )

    def _made_by(self, route: RouteSpec) -> str | None:
        note = self.store.state(NOTES).get(route.name) if self.exists else None
        return made_by(route, self.sinks[route.sink], self.plugins, zone=self._zone(route.source), note=note)

    def _leaves(self, route: RouteSpec) -> frozenset[str]:
        """What the route's sink can do to a record that is let go of."""
        unit = self.sinks[route.sink]
        objects = {o.name: o.leaves for o in unit.objects}
        return frozenset((*objects.get(route.object, objects.get("*", ())), *unit.leaves))

    def _zone(self, source: str) -> str | None:
        """The time zone the source says its shop is in."""
        ask = getattr(self.sources[source].instance, "time_zone", None)
        try:
            return ask() if callable(ask) else None
        except Exception as error:  # noqa: BLE001  dates are then told in UTC
            self.log.warning("no time zone", instance=source, error=type(error).__name__)
            return None

    def rename_routes(self) -> None:
        """What routes delivered and owe under their former names is theirs."""
        for route in self.routes.values():
            for old in route.formerly:
                whose = {"source": route.source, "entity": route.entity, "sink": route.sink}
                if moved := self.store.rename_route(old, route.name, **whose):
                    self.log.info("route renamed", before=old, route=route.name, links=moved)

    def lost_routes(self) -> Mapping[str, int]:
        """Routes that are not configured any more and whose records are still linked, and how many are."""
        own = {writeback.route_name(source, entity) for source in self.sources for entity in ENTITIES}
        written = table(peek(self.text), "routes")  # one with a mistake is there all the same
        return self.store.linked_routes(known={*self.routes, *written, *own}) if self.exists else {}

    def after_entity(self, route: str) -> str | None:
        """The entity of the route that this one waits for."""
        after = self.routes[route].after
        return self.routes[after].entity if after else None

    def work(self, route: RouteSpec, keys: Sequence[str], store: Store | None = None) -> list[Work]:
        """What a delivery of these records would start from, in their order; as another store knows them, if given."""
        return (store or self.store).work_for(
            route.name,
            route.source,
            route.entity,
            keys,
            include=route.include,
            after=route.after,
            after_entity=self.after_entity(route.name),
        )

    def writes_back(self, source: str) -> bool:
        """Whether remote ids are stored at the source."""
        return bool(getattr(self.settings.sources[source].config, "write_back", False))

    def write_back_rules(self) -> Mapping[str, tuple[DirtyRule, ...]]:
        """Route -> write-back owed once a record of it is linked."""
        return {
            route.name: (writeback.rule(route.source, route.entity),)
            for route in self.routes.values()
            if self.writes_back(route.source)
        }

    def write_back_routes(self, source: str) -> Mapping[str, str]:
        """The names under which remote ids are owed to a source that is written back to, each with its entity."""
        if not self.writes_back(source):
            return {}
        return {writeback.route_name(source, r.entity): r.entity for r in self.routes.values() if r.source == source}

    def observe(self, event: Settled) -> None:
        """Tell all observers."""
        for observer in self.observers:
            try:
                observer(event)
            except Exception as error:  # noqa: BLE001  a failing observer harms nobody
                self.log.warning("observer failed", error=type(error).__name__)

    @cached_property
    def engine(self) -> Engine:
        """The lanes of every sink that opened, and of every source that is written back to: for who delivers."""
        from .._delivery.engine import Engine

        self.store.must_be_whole()
        engine = Engine(self.store, self.clock, self.log, tell=self.running.troubled)
        for name, unit in self.sinks.items():
            if unit.instance is not None:
                engine.lanes[name] = self._lane(engine, name, unit.instance, unit.limits, self._preparers_of(name))
        sink_of = {r.name: r.sink for r in self.routes.values()}
        for name, source in self.sources.items():
            if source.instance is not None and self.writes_back(name):
                entities = sorted(set(self.write_back_routes(name).values()))
                preparers = [writeback.WriteBackPreparer(name, entity, self.store, sink_of) for entity in entities]
                sink, owed = writeback.WriteBackSink(source.instance), {p.route.name: p for p in preparers}
                engine.lanes[name] = self._lane(engine, name, sink, writeback.LIMITS, owed)
        return engine

    def _lane(self, engine: Engine, name: str, sink: Any, limits: Limits, preparers: Mapping[str, Preparer]) -> Lane:
        from .._delivery.lane import Lane

        return Lane(
            name,
            sink,
            limits,
            preparers,
            store=self.store,
            clock=self.clock,
            floor=engine.floor,
            random_=self.random,
            after_entity={
                r: entity for r in preparers if r in self.routes and (entity := self.after_entity(r)) is not None
            },
            owes=self.write_back_rules() if name in self.sinks else {},
            observe=self.observe,
            measure=self._measured,
            full=engine.full,
            held_since=engine.held_since,
            another_account=lambda: another_account(self.store, name, sink),
        )

    def _preparers_of(self, sink: str) -> Mapping[str, Preparer]:
        """Parents before children, so that a first delivery needs no waiting."""
        ordered: dict[str, Preparer] = {}

        def add(route: RouteSpec) -> None:
            if route.after and self.routes[route.after].sink == sink and route.after not in ordered:
                add(self.routes[route.after])
            ordered.setdefault(route.name, self.preparer(route.name))

        for route in self.routes.values():
            if route.sink == sink:
                add(route)
        return ordered

    @cached_property
    def intake(self) -> Intake:
        """The one door into the outbox."""
        from .._ingest.intake import Intake

        return Intake(self.store, self.clock, self._wake)

    def _wake(self, sinks: Iterable[str]) -> None:
        self.engine.wake(sinks)

    def _measured(self, sink: str, size: int, took: timedelta) -> None:
        self.measure(sink, size, took)

    def lister(self, source: str) -> Lister:
        """Lists one source into the outbox."""
        from .._ingest.listing import Lister

        unit = self.sources[source]
        return Lister(
            source,
            unit.instance,
            rules_of(self.routes.values(), source, self._made_by),
            store=self.store,
            intake=self.intake,
            clock=self.clock,
            floor=self.engine.floor,
            stopping=unit.context.stopping,
            filling=self.engine.filling,
            wanted=self.engine.wanted,
            lend=self.engine.lend,
            lent=self.engine.lent,
        )

    # -- end

    def stop(self) -> None:
        """As `Base.stop`; the lanes claim nothing more."""
        super().stop()
        if "engine" in self.__dict__:
            self.engine.halt()

    def close(self) -> None:
        """Close every instance and the store."""
        self.release()
        super().close()

    def release(self) -> None:
        """Close every instance; the store stays open for whoever shares it."""
        for unit in (*self.sources.values(), *self.sinks.values()):
            unit.close(self.log)
