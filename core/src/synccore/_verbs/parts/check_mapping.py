"""What `check` says about routes: each by itself, and each mapping against what the target describes."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from ..._app.app import App
from ...config import suggest
from ...types import FieldInfo, FieldOptions, Finding, ObjectInfo, RouteSpec

__all__ = ["check_mapping", "check_routes", "constant_of", "lost_routes"]

#: Types of a described field that hold further names of their own choosing (`properties.vip`).
_OPEN_TYPES = ("object", "map", "json", "mapping", "dict")


# -- routes by themselves


def check_routes(app: App) -> list[Finding]:
    """What the settings leave to `check`: instances without a route, routes that write the same twice, lost ones."""
    return [*_unused(app), *_doubled(app), *(_warning(f"routes.{name}", text) for name, text in lost_routes(app))]


def lost_routes(app: App) -> Iterator[tuple[str, str]]:
    """Routes that left the configuration though their records are linked, with what to do."""
    for name, links in app.lost_routes().items():
        yield (
            name,
            (
                f"route {name} is not configured any more, and {links:,} records are linked by it: nothing looks after "
                f'them. Was it renamed? Say formerly = ["{name}"] in the route that took its place; else put it back'
            ),
        )


def _unused(app: App) -> Iterator[Finding]:
    for kind, names, used in (
        ("source", app.sources, {r.source for r in app.routes.values()}),
        ("sink", app.sinks, {r.sink for r in app.routes.values()}),
    ):
        for name in names:
            if name not in used:
                yield _warning(f"{kind}s.{name}", f"no route uses this {kind}")


def _doubled(app: App) -> Iterator[Finding]:
    first: dict[tuple[str, str, str, str], str] = {}
    for route in app.routes.values():
        what = (route.source, route.entity, route.sink, route.object)
        if what in first and route.when is None:
            yield _warning(
                f"routes.{route.name}",
                f"writes the same {route.object} for the same {route.entity} as route {first[what]}: "
                "both will write every record",
            )
        first.setdefault(what, route.name)


# -- a mapping against the target


def check_mapping(route: RouteSpec, objects: Mapping[str, ObjectInfo]) -> list[Finding]:
    """Every mapped field, match key and constant of a route against the described object."""
    path = f"routes.{route.name}"
    described = objects.get(route.object)
    if described is None:
        return [_error(f"{path}.object", f"the target has no {route.object}{suggest(route.object, tuple(objects))}")]
    if not described.fields:
        return []  # the target takes anything
    fields = {info.name: info for info in described.fields}
    findings: list[Finding] = []
    if not described.createable:
        findings.append(_warning(f"{path}.object", f"{route.object} cannot be created by this account, only updated"))
    for name, value in route.fields.items():
        findings += _field(route, name, value, fields)
    findings += _required(route, fields)
    findings += _match(route, fields)
    return findings


def _field(route: RouteSpec, name: str, value: Any, fields: Mapping[str, FieldInfo]) -> Iterator[Finding]:
    path = f"routes.{route.name}.fields.{name}"
    info = fields.get(name)
    if info is None:
        yield from _unknown(route, path, name, fields)
        return
    options = route.options.get(name, FieldOptions())
    if not info.createable and not info.updateable:
        yield _error(path, f"{name} cannot be written at the target: leave it out")
    elif not info.createable:
        yield _warning(path, f"{name} cannot be set when a record is created, only afterwards")
    elif not info.updateable and not options.keep_existing:
        yield _warning(path, f"{name} cannot be changed once the record exists: add keep_existing = true")
    yield from _constant(path, name, constant_of(value), info, options)


def _within(name: str, fields: Mapping[str, FieldInfo]) -> bool:
    """`properties.vip` where `properties` takes any name, or a described `properties.*`."""
    if any(other.endswith("*") and name.startswith(other[:-1]) for other in fields):
        return True
    head, dot, _ = name.partition(".")
    return bool(dot) and head in fields and fields[head].type.lower() in _OPEN_TYPES


def _constant(path: str, name: str, value: Any, info: FieldInfo, options: FieldOptions) -> Iterator[Finding]:
    if not isinstance(value, str) or not value:
        return
    if info.picklist and value not in info.picklist:
        yield _error(path, f"{value!r} is none of the values of {name}{suggest(value, info.picklist)}")
    if info.length is not None and len(value) > info.length and not options.truncate:
        yield _error(path, f"the text is longer than the {info.length} characters of {name}: shorten it")


def constant_of(value: Any) -> Any:
    """What an expression always gives: a quoted text, a number, any TOML value that is no string; None: it depends."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _required(route: RouteSpec, fields: Mapping[str, FieldInfo]) -> Iterator[Finding]:
    # A sink fills some fields by itself where the route's settings name them (`parent = "AccountId"`).
    filled = {str(v) for v in route.settings.values() if isinstance(v, str)}
    for info in fields.values():
        if info.required and info.createable and info.name not in route.fields and info.name not in filled:
            yield _error(
                f"routes.{route.name}.fields", f"{info.name} is required by {route.object} and not mapped: add it"
            )


def _unknown(route: RouteSpec, path: str, name: str, fields: Mapping[str, FieldInfo]) -> Iterator[Finding]:
    if not _within(name, fields):
        yield _error(path, f"{route.object} has no field {name}{suggest(name, tuple(fields))}")


def _match(route: RouteSpec, fields: Mapping[str, FieldInfo]) -> Iterator[Finding]:
    path = f"routes.{route.name}.match"
    for name in route.match:
        info = fields.get(name)
        if info is None:
            yield from _unknown(route, path, name, fields)
            continue
        if not info.unique:
            yield _warning(
                path, f"{name} is not unique at the target: records it finds twice are left alone and reported"
            )


def _error(path: str, message: str) -> Finding:
    return Finding(level="error", path=path, message=message)


def _warning(path: str, message: str) -> Finding:
    return Finding(level="warning", path=path, message=message)
