"""`[routes.NAME]`: references, the sink's defaults merged in, and expressions compiled."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve

from .._contained import contained
from .._mapping import compile_mapper
from .._plugins import Plugins
from ..config import ConfigProblems, Problem, suggest
from ..entities import ENTITIES
from ..errors import ConfigError
from ..hookspecs import Mapper, SinkType, SourceType
from ..types import Defaults, FieldOptions, ObjectType, RouteSpec
from .fields import Field, default_fields, merge, read_field
from .model import InstanceSettings, RouteTable
from .references import SecretMissing
from .structure import INVALID, Structurer

ObjectsOf = Callable[[InstanceSettings], Sequence[ObjectType]]
Instances = Mapping[str, InstanceSettings | None]

#: The object whose options serve any other object of an `any_object` sink.
ANY_OBJECT = "*"
#: What may become of a record at the target that a route no longer wants.
LEAVES = ("keep", "unlabel", "clear", "delete")
_KEYS = tuple(RouteTable.__annotations__)
_NO_DEFAULTS = Defaults(fields={})


def read_routes(
    reader: Structurer,
    tables: Any,
    sources: Instances,
    sinks: Instances,
    plugins: Plugins,
    objects_of: ObjectsOf | None,
) -> tuple[dict[str, RouteSpec], dict[str, Mapper]]:
    """All routes, and what maps for each; what is wrong is noted with the reader."""
    routes: dict[str, RouteSpec] = {}
    mappers: dict[str, Mapper] = {}
    #: Those too that have mistakes of their own.
    read: dict[str, RouteSpec] = {}
    with reader.at("routes"):
        if not isinstance(tables, Mapping):
            reader.problem("is a table: write [routes.NAME]")
            return routes, mappers
        objects = _Objects(objects_of)
        for name, table in tables.items():
            with reader.at(name):
                before = len(reader.problems)
                found = _Route(reader, name, sources, sinks, plugins, objects).read(table)
                objects.blame(reader, before, table)
                if found:
                    read[name], mapper = found
                    if mapper is not None:
                        routes[name], mappers[name] = read[name], mapper
        _check_after(reader, read, tables)
        _check_formerly(reader, read, tables)
    return routes, mappers


class _Objects:
    """What each sink instance can write, asked once."""

    def __init__(self, objects_of: ObjectsOf | None) -> None:
        self._objects_of = objects_of
        self._known: dict[str, tuple[ObjectType, ...]] = {}
        #: Sink -> why it did not say what it can write.
        self._silent: dict[str, ConfigError] = {}

    def of(self, sink: InstanceSettings) -> tuple[ObjectType, ...]:
        if sink.name not in self._known:
            assert isinstance(sink.descriptor, SinkType)  # noqa: S101  sinks hold sinks
            objects: Sequence[ObjectType] = sink.descriptor.objects
            if self._objects_of:
                # An instance that cannot work: its routes are read by what its type can write.
                try:
                    objects = self._objects_of(sink)
                except ConfigError as error:
                    self._silent[sink.name] = error
            self._known[sink.name] = tuple(objects)
        return self._known[sink.name]

    def blame(self, reader: Structurer, before: int, table: Any) -> None:
        """What a route is said to have wrong since so many problems, its sink may have wrong, which did not say what
        it can write: that is told instead."""
        sink = table.get("sink") if isinstance(table, Mapping) else None
        error = self._silent.get(sink) if isinstance(sink, str) else None
        if error is None or len(reader.problems) == before:
            return
        del reader.problems[before:]
        if isinstance(error, SecretMissing):
            said = f"needs the secret of sinks.{sink} to be read, and {error.message} here: set it as the daemon has it"
            reader.unread.append(Problem(reader.path, said))
        else:
            reader.problem(f"cannot be read, for sinks.{sink} cannot be opened: {error.message}")


class _Route:
    """Reads one route."""

    def __init__(
        self, reader: Structurer, name: str, sources: Instances, sinks: Instances, plugins: Plugins, objects: _Objects
    ) -> None:
        self._reader = reader
        self._name = name
        self._sources = sources
        self._sinks = sinks
        self._plugins = plugins
        self._objects = objects

    def read(self, table: Any) -> tuple[RouteSpec, Mapper | None] | None:
        """The route and what maps for it, which is None where it has mistakes; None where it is no route at all."""
        reader = self._reader
        before = len(reader.problems)
        if not isinstance(table, Mapping):
            reader.problem(f"is a table: write [{reader.path}]")
            return None
        sink = self._instance(table, "sink", self._sinks)
        target = self._object(table, sink) if sink else None
        options = target.options if target else {}
        # Without the object its own settings are not known; keys that may be such are then left alone.
        extra = tuple(options) if target else tuple(k for k in table if k not in _KEYS and _may_be_option(k))
        read = reader.read_table(table, RouteTable, extra=extra, go_on=True)
        source = self._instance(table, "source", self._sources)
        entity = self._entity(table, source)
        if read is INVALID or sink is None or target is None or entity is None:
            return None
        mapped = read.mapper in self._plugins.mappers
        if not mapped:
            known = sorted(self._plugins.mappers)
            reader.problem(
                f"no mapper {read.mapper!r} (installed: {', '.join(known)}){suggest(read.mapper, known)}", "mapper"
            )
        defaults = target.defaults.get(entity, _NO_DEFAULTS) if read.defaults else _NO_DEFAULTS
        fields, by_default = self._fields(read, defaults)
        if not fields and len(reader.problems) == before:
            reader.problem(self._why_fields(read, target, entity), "fields")
        route = RouteSpec(
            name=self._name,
            source=read.source,
            entity=entity,
            sink=read.sink,
            object=read.object or target.name,
            fields={name: field.value for name, field in fields.items()},
            options={name: field.options for name, field in fields.items() if field.options != FieldOptions()},
            match=_first(read.match, defaults.match),
            include=_first(read.include, _listed(defaults.include, source)),
            when=(read.when or None) if read.when is not None else defaults.when,
            delay=_first(read.delay, defaults.delay),
            after=read.after or None,
            mapper=read.mapper,
            compare=_first(read.compare, defaults.compare),
            settings=self._settings(table, options),
            on_leave=self._on_leave(read, target, sink),
            formerly=read.formerly,
            defaulted=frozenset(n for n, f in fields.items() if n in by_default and f.value == by_default[n].value),
        )
        self._check_names(route, read, source, defaults, sink)
        mapper = self._compile(route) if mapped and ENTITIES.keys() >= {*route.include} else None
        return route, mapper if len(reader.problems) == before else None

    # -- references

    def _instance(self, table: Mapping[str, Any], key: str, instances: Instances) -> InstanceSettings | None:
        name = table.get(key)
        if not isinstance(name, str):
            return None  # read_table says so
        if name not in instances:
            known = ", ".join(instances) or "none"
            self._reader.problem(
                f"no {key} is called {name!r} (there are: {known}){suggest(name, list(instances))}", key
            )
            return None
        return instances[name]

    def _object(self, table: Mapping[str, Any], sink: InstanceSettings) -> ObjectType | None:
        objects = {o.name: o for o in self._objects.of(sink)}
        named = [n for n in objects if n != ANY_OBJECT]
        name = table.get("object")
        assert isinstance(sink.descriptor, SinkType)  # noqa: S101  sinks hold sinks
        if name is None:
            if len(named) == 1 and not sink.descriptor.any_object:
                return objects[named[0]]
            self._reader.problem(
                f"is required: {', '.join(named)}" + (", ..." if sink.descriptor.any_object else ""), "object"
            )
            return None
        if not isinstance(name, str):
            return None  # read_table says so
        if name in objects and name != ANY_OBJECT:
            return objects[name]
        if sink.descriptor.any_object and name not in ("", ANY_OBJECT):
            return evolve(objects.get(ANY_OBJECT, ObjectType(name=name, summary="")), name=name)
        self._reader.problem(
            f"{sink.type} has no object {name!r} (it has: {', '.join(named)}){suggest(name, named)}", "object"
        )
        return None

    def _entity(self, table: Mapping[str, Any], source: InstanceSettings | None) -> str | None:
        name = table.get("entity")
        if not isinstance(name, str):
            return None  # read_table says so
        if name not in ENTITIES:
            known = list(ENTITIES)
            self._reader.problem(f"{name!r} is no entity ({', '.join(known)}){suggest(name, known)}", "entity")
            return None
        self._reported(name, source, "entity")
        return name

    def _reported(self, entity: str, source: InstanceSettings | None, key: str) -> None:
        """A record that the source never reports never arrives."""
        if source is None:
            return
        assert isinstance(source.descriptor, SourceType)  # noqa: S101  sources hold sources
        can = source.descriptor.entities
        if entity not in can:
            self._reader.problem(f"{source.type} reports no {entity} (it reports: {', '.join(can)})", key)

    # -- fields

    def _fields(self, read: RouteTable, defaults: Defaults) -> tuple[dict[str, Field], dict[str, Field]]:
        """(the route's fields, those of them that the sink maps by default)."""
        with self._reader.at("fields"):
            base = default_fields(self._reader, defaults)
            own = {name: read_field(self._reader, name, value) for name, value in read.fields.items()}
            return merge(self._reader, base, own), base

    def _why_fields(self, read: RouteTable, target: ObjectType, entity: str) -> str:
        if not read.defaults:
            return "defaults = false leaves nothing to send: write the fields"
        mapped = ", ".join(target.defaults) or "none"
        return f"{target.name} has no default mapping for {entity} (it has for: {mapped}): write the fields"

    def _settings(self, table: Mapping[str, Any], options: Mapping[str, tuple[type, Any, str]]) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for name, (kind, default, _) in options.items():
            with self._reader.at(name):
                settings[name] = self._reader.read(table[name], kind) if name in table else default
        return settings

    def _on_leave(self, read: RouteTable, target: ObjectType, sink: InstanceSettings) -> str:
        assert isinstance(sink.descriptor, SinkType)  # noqa: S101  sinks hold sinks
        can = tuple(dict.fromkeys((*target.leaves, *sink.descriptor.leaves)))
        if read.on_leave not in can:
            if read.on_leave in LEAVES:
                text = f"{sink.type} cannot {read.on_leave} {target.name} (it can: {', '.join(can)})"
            else:
                text = f"{read.on_leave!r} is none of {', '.join(LEAVES)}{suggest(read.on_leave, LEAVES)}"
            self._reader.problem(text, "on_leave")
        return read.on_leave

    # -- checks over the whole

    def _check_names(
        self,
        route: RouteSpec,
        read: RouteTable,
        source: InstanceSettings | None,
        defaults: Defaults,
        sink: InstanceSettings,
    ) -> None:
        reader = self._reader
        # What the sink includes by itself and the source never reports is no mistake.
        for entity in read.include or ():
            if entity not in ENTITIES:
                reader.problem(
                    f"{entity!r} is no entity ({', '.join(ENTITIES)}){suggest(entity, list(ENTITIES))}", "include"
                )
            else:
                self._reported(entity, source, "include")
        fields = list(route.fields)
        for name in read.compare or ():
            if name not in route.fields:
                reader.problem(f"no field is called {name!r}{suggest(name, fields)}", "compare")
        for name in read.match or ():
            # A sink of any object may fill a key field by itself; its own check knows the object's fields. What looks
            # like a slip of the pen is one all the same.
            closed = isinstance(sink.descriptor, SinkType) and not sink.descriptor.any_object
            if name not in route.fields and name not in defaults.match and (closed or suggest(name, fields)):
                reader.warning(
                    f"{name} is not among the fields, so nothing can be found by it{suggest(name, fields)}", "match"
                )

    def _compile(self, route: RouteSpec) -> Mapper | None:
        reader = self._reader
        here = f"{reader.path}."
        try:
            with contained():
                return compile_mapper(route, self._plugins)
        except ConfigProblems as error:
            for problem in error.problems:
                reader.problem(problem.message, *_below(problem.path, here))
        except ConfigError as error:
            reader.problem(error.message, *_below(error.path or "", here))
        except Exception as error:  # noqa: BLE001  a mapper is a plugin's code
            reader.problem(f"mapper {route.mapper} failed: {type(error).__name__}")
        return None


def _may_be_option(key: str) -> bool:
    """Settings of objects are mostly `on_...`; what resembles one of core's keys otherwise is a mistyped one."""
    return key.startswith("on_") or not suggest(key, _KEYS)


def _below(path: str, here: str) -> tuple[str, ...]:
    return (path.removeprefix(here),) if path and path != here.rstrip(".") else ()


def _listed(include: tuple[str, ...], source: InstanceSettings | None) -> tuple[str, ...]:
    """Of what the sink includes by itself, that which the source lists: of the rest nobody knows anything."""
    listed = getattr(source.config, "entities", None) if source else None
    return include if listed is None else tuple(e for e in include if e in listed)


def _first(own: Any, default: Any) -> Any:
    return default if own is None else own


def _check_after(reader: Structurer, routes: Mapping[str, RouteSpec], tables: Mapping[str, Any]) -> None:
    """`after` names a route that can have the parent's link, and nothing waits for itself."""
    for name, route in routes.items():
        if route.after is None:
            continue
        with reader.at(name, "after"):
            if route.after not in tables:
                reader.problem(f"no route is called {route.after!r}{suggest(route.after, list(tables))}")
                continue
            parent = routes.get(route.after)
            if parent is None:
                continue  # is no route at all
            if parent.source != route.source:
                reader.problem(f"route {parent.name} has another source ({parent.source})")
            elif parent.entity not in (route.entity, "customer"):
                reader.problem(f"route {parent.name} maps {parent.entity}, which owns no {route.entity}")
            elif circle := _circle(name, routes):
                reader.problem(f"the routes wait for each other: {' -> '.join(circle)}")


def _check_formerly(reader: Structurer, routes: Mapping[str, RouteSpec], tables: Mapping[str, Any]) -> None:
    """What a former name delivered can be one route's only."""
    taken: dict[str, str] = {}
    for name, route in routes.items():
        for former in route.formerly:
            with reader.at(name, "formerly"):
                if former in tables:
                    reader.problem(f"there is a route {former} in this file: its deliveries are its own")
                elif former in taken:
                    reader.problem(f"{former} is claimed by route {taken[former]} too")
            taken.setdefault(former, name)


def _circle(start: str, routes: Mapping[str, RouteSpec]) -> Iterable[str]:
    """The routes from `start` back to `start`, or nothing."""
    seen = [start]
    while (route := routes.get(seen[-1])) and route.after:
        if route.after == start:
            return [*seen, start]
        if route.after in seen:
            return ()
        seen.append(route.after)
    return ()
