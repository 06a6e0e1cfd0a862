"""What a plugin hands over is checked here, at the boundary, so that a slip is named with the plugin that made it."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

import attrs

from ..config import SourceSettings
from ..entities import ENTITIES
from ..hookspecs import API
from ..types import Defaults, Limits, ObjectType

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_FILTER = re.compile(r"[a-z][a-z0-9_]*")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


class PluginFault(Exception):
    """Why a plugin is not loaded; `status` as in PluginStatus."""

    def __init__(self, status: Literal["failed", "incompatible", "duplicate"], message: str) -> None:
        super().__init__(message)
        self.status = status


def check_types(results: Iterable[Any], kind: type[Any], hook: str) -> tuple[Any, ...]:
    """What a hook gave, as a tuple of `kind`. Raises PluginFault."""
    found: list[Any] = []
    for result in results:
        if isinstance(result, str | Mapping) or not isinstance(result, Iterable):
            raise PluginFault("failed", f"{hook} gave a {_kind(result)}, not a list of {kind.__name__}")
        try:
            found += result
        except Exception as error:
            raise PluginFault("failed", f"{hook} failed: {type(error).__name__}: {error}") from error
    for item in found:
        if not isinstance(item, kind):
            what = f"the class {item.__name__}" if isinstance(item, type) else f"a {_kind(item)}"
            raise PluginFault("failed", f"{hook} gave {what}, not a {kind.__name__}")
    return tuple(found)


def check_api(descriptor: Any, word: str) -> None:
    """The contract's version first, then the types of every attribute. Raises PluginFault."""
    if descriptor.api != API:
        raise PluginFault(
            "incompatible",
            f"{word} {descriptor.name!r} is written for api {descriptor.api!r} of the contract; this core serves {API}",
        )
    where = f"{word} {descriptor.name!r}"
    _need(isinstance(descriptor.name, str) and _NAME.fullmatch(descriptor.name), f"{where}: name is no plain word")
    _need(isinstance(descriptor.summary, str), f"{where}: summary is a {_kind(descriptor.summary)}, not text")
    _need(callable(descriptor.open), f"{where}: open is a {_kind(descriptor.open)} and cannot be called")
    if word in ("source", "sink", "alert"):
        config = descriptor.config
        _need(isinstance(config, type) and attrs.has(config), f"{where}: config is not an attrs class")
    if word == "source":
        _need(issubclass(descriptor.config, SourceSettings), f"{where}: config does not inherit SourceSettings")
        _texts(descriptor.entities, f"{where}: entities")
        for entity in descriptor.entities:
            _need(entity in ENTITIES, f"{where}: {entity!r} is no entity ({', '.join(ENTITIES)})")
    elif word == "sink":
        _need(isinstance(descriptor.limits, Limits), f"{where}: limits is a {_kind(descriptor.limits)}, not Limits")
        check_objects(descriptor.objects, where)
    elif word == "store":
        _texts(descriptor.schemes, f"{where}: schemes")
        for scheme in descriptor.schemes:
            _need(_SCHEME.fullmatch(scheme), f"{where}: {scheme!r} is no URL scheme")


def check_objects(objects: Any, where: str) -> None:
    """The objects of a sink, also those an instance states itself. Raises PluginFault."""
    _need(isinstance(objects, tuple | list), f"{where}: objects is a {_kind(objects)}, not a tuple of ObjectType")
    for item in objects:
        _need(isinstance(item, ObjectType), f"{where}: objects holds a {_kind(item)}, not an ObjectType")
        here = f"{where}: object {item.name!r}"
        _need(isinstance(item.name, str) and item.name, f"{here}: name is no text")
        for entity, defaults in item.defaults.items():
            _need(entity in ENTITIES, f"{here}: {entity!r} is no entity ({', '.join(ENTITIES)})")
            _need(isinstance(defaults, Defaults), f"{here}: defaults of {entity} is a {_kind(defaults)}, not Defaults")
            _need(isinstance(defaults.fields, Mapping), f"{here}: fields of {entity} is no mapping")
            _need(isinstance(defaults.delay, timedelta), f"{here}: delay of {entity} is no timedelta")
            for name in ("match", "include", "compare"):
                _texts(getattr(defaults, name), f"{here}: {name} of {entity}")
            for included in defaults.include:
                _need(included in ENTITIES, f"{here}: {included!r} is no entity ({', '.join(ENTITIES)})")
        for name, option in item.options.items():
            _need(
                isinstance(name, str) and isinstance(option, tuple) and len(option) == 3,
                f"{here}: option {name!r} is not (type, default, help)",
            )


def check_filters(results: Iterable[Any], *, core: bool) -> dict[str, Callable[..., Any]]:
    """Filters by name; a plugin's own may not hide one of core's or Jinja's. Raises PluginFault."""
    from jinja2.filters import FILTERS

    filters: dict[Any, Any] = {}
    for result in results:
        if not isinstance(result, Mapping):
            raise PluginFault("failed", f"synccore_template_filters gave a {_kind(result)}, not a mapping")
        filters.update(result)
    for name, function in filters.items():
        _need(isinstance(name, str) and _FILTER.fullmatch(name), f"filter {name!r} is no lower case word")
        _need(callable(function), f"filter {name!r} is a {_kind(function)} and cannot be called")
        if not core and name in FILTERS:
            raise PluginFault("duplicate", f"filter {name} is brought by both Jinja and this plugin")
    return filters


def _texts(value: Any, where: str) -> None:
    fits = isinstance(value, tuple | list) and all(isinstance(v, str) for v in value)
    _need(fits, f"{where} is not a tuple of texts")


def _need(condition: object, message: str) -> None:
    if not condition:
        raise PluginFault("failed", message)


def _kind(value: object) -> str:
    return type(value).__name__
