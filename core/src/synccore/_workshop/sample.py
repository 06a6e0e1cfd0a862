"""The commented `synccore.toml` of `synccore init`, written from what the installed plugins say of themselves."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs
import tomlkit
from attrs import frozen
from tomlkit.items import Table

from .._plugins import Plugins
from .._settings.describe import default_of, required_type, toml_item, toml_text, toml_value
from .._settings.load import FILE_NAME
from .._settings.model import CoreTable, ServerTable
from .._settings.structure import UNIONS, attributes
from ..config import Schedule, suggest
from ..entities import ENTITIES
from ..errors import ConfigError
from ..hookspecs import SinkType, SourceType
from ..secrets import Secret
from ..types import ObjectType

__all__ = ["Sample", "make_sample", "write_sample"]

_NOTHING: Mapping[str, Any] = {}
_TEXTS = ("...", "https://example.com", "example.com", "name@example.com")
_HEAD = """\
What goes where. Durations are "30s", "5m", "24h". Secrets stay outside of this file:
{ env = "NAME" }, { file = "PATH" }, or { secret = "NAME" } after `synccore secret set NAME`.
Lines that begin with # show what else can be set, with its default. `synccore check` says what is missing."""


@frozen
class Sample:
    """A sample file: its text, and the environment variables it reads with what each is for."""

    text: str
    variables: Mapping[str, str]


def write_sample(
    directory: Path, plugins: Plugins, *, source: str | None = None, sinks: Sequence[str] = ()
) -> tuple[Path, Sample]:
    """Write `synccore.toml` into a directory, which is made where it is missing.

    Raises ConfigError for a type that is not installed, and for a file that is there already.
    """
    path = directory / FILE_NAME
    sample = make_sample(plugins, source=source, sinks=sinks)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(sample.text)
    except FileExistsError:
        raise ConfigError(f"{path} is there already; nothing was written") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    return path, sample


def make_sample(plugins: Plugins, *, source: str | None = None, sinks: Sequence[str] = ()) -> Sample:
    """The sample for these types; without any, for the first installed source and every installed sink.

    Raises ConfigError for a type that is not installed.
    """
    chosen = _chosen(plugins.sources, [source] if source else sorted(plugins.sources)[:1], "source", plugins)
    targets = _chosen(plugins.sinks, list(sinks) if sinks or source else sorted(plugins.sinks), "sink", plugins)
    writer = _Writer()
    names: dict[str, SourceType] = {}
    for descriptor in chosen:
        names["shop"] = descriptor
        writer.instance("sources", "shop", descriptor, {"entities": _entities(descriptor, targets)})
    for target in targets:
        writer.instance("sinks", target.name, target)
    for target in targets:
        for name, shop in names.items():
            writer.routes(name, shop, target)
    return Sample(writer.text(), writer.variables)


def _chosen(types: Mapping[str, Any], wanted: Sequence[str], word: str, plugins: Plugins) -> list[Any]:
    for name in wanted:
        if name not in types:
            why = plugins.why_missing(name)
            raise ConfigError(
                f"no {word} type {name!r} is installed (installed: {', '.join(sorted(types)) or 'none'})"
                f"{suggest(name, list(types))}" + (f"; {why}" if why else "")
            )
    return [types[name] for name in dict.fromkeys(wanted)]


def _main_object(target: SinkType) -> ObjectType | None:
    """The first object with a default mapping for customers: its route is switched on."""
    return next((o for o in target.objects if "customer" in o.defaults), None)


def _entities(shop: SourceType, targets: Sequence[SinkType]) -> list[str]:
    """What the routes that are switched on read, as far as the source reports it."""
    mains = [o.defaults["customer"] for o in map(_main_object, targets) if o]
    wanted = {"customer", *(entity for defaults in mains for entity in defaults.include)}
    return [entity for entity in shop.entities if entity in wanted]


class _Writer:
    """Writes tables with comments."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self._parts = ["".join(f"# {line}\n" for line in _HEAD.splitlines())]
        for name, cls in (("synccore", CoreTable), ("server", ServerTable)):
            self._put(name, self._settings(cls, "SYNCCORE"))

    def text(self) -> str:
        """The whole file."""
        return "\n".join(self._parts)

    def instance(
        self, section: str, name: str, descriptor: SourceType | SinkType, given: Mapping[str, Any] = _NOTHING
    ) -> None:
        """`[sources.NAME]` or `[sinks.NAME]`; `given` are values for settings, whatever their defaults."""
        table = tomlkit.table()
        table.add(tomlkit.comment(descriptor.summary))
        table.add("type", descriptor.name)
        self._settings(descriptor.config, descriptor.name.upper().replace("-", "_"), table, given)
        self._put(f"{section}.{name}", table)

    def routes(self, source: str, shop: SourceType, target: SinkType) -> None:
        """A route per default mapping; only the first for customers is switched on."""
        main = _main_object(target)
        for item in target.objects:
            for entity in (e for e in ENTITIES if e in item.defaults and e in shop.entities):
                name = f"{target.name}_{entity}s" if len(item.defaults) > 1 or len(target.objects) == 1 else ""
                name = name or f"{target.name}_{_word(item.name)}"
                if entity == "customer" and item is main:
                    self._put(f"routes.{name}", self._route(source, entity, target, item))
                else:
                    self._commented_route(name, source, entity, target, item)

    def _route(self, source: str, entity: str, target: SinkType, item: ObjectType) -> Table:
        defaults = item.defaults[entity]
        table = tomlkit.table()
        table.add(tomlkit.comment(item.summary))
        table.update({"source": source, "entity": entity, "sink": target.name, "object": item.name})
        for key in ("match", "include", "when"):
            if value := getattr(defaults, key):
                _commented(table, key, toml_text(value), "from the default mapping")
        _commented(table, "delay", toml_text(defaults.delay), "how long to wait for further changes")
        for key, (_, default, help_text) in item.options.items():
            _commented(table, key, "..." if default is None else toml_text(default), help_text)
        table.add(
            tomlkit.comment(
                f"[routes.NAME.fields] adds to, or replaces, the default fields: {', '.join(defaults.fields)}"
            )
        )
        return table

    def _commented_route(self, name: str, source: str, entity: str, target: SinkType, item: ObjectType) -> None:
        values = {"source": source, "entity": entity, "sink": target.name, "object": item.name}
        lines = [f"[routes.{name}]", *(f"{k} = {toml_text(v)}" for k, v in values.items())]
        self._parts.append("".join(f"# {line}\n" for line in lines))

    def _put(self, header: str, table: Table) -> None:
        self._parts.append(f"[{header}]\n{table.as_string()}")

    # -- settings of a class

    def _settings(
        self, cls: type, prefix: str, table: Table | None = None, given: Mapping[str, Any] = _NOTHING
    ) -> Table:
        table = tomlkit.table() if table is None else table
        for field in attributes(cls):
            if field.init:
                self._setting(table, field, prefix, given)
        return table

    def _setting(self, table: Table, field: Any, prefix: str, given: Mapping[str, Any]) -> None:
        key = field.alias or field.name
        help_text = str(field.metadata.get("help", ""))
        kind, default = required_type(field.type), default_of(field)
        sample = given.get(key, field.metadata.get("sample"))
        written = default is attrs.NOTHING or sample is not None
        if kind is Secret:
            variable = f"{prefix}_{key}".upper()
            value: Any = {"env": variable}
            if written:
                self.variables[variable] = help_text
        elif written:
            value = sample if sample is not None else _placeholder(field, kind)
        else:
            value = next(_candidates(kind, "")) if default is None else default
        if not written:
            _commented(table, key, toml_text(value), help_text)
            return
        item = toml_item(value)
        if help_text:
            item.comment(_one_line(help_text))
        table.add(key, item)


def _commented(table: Table, key: str, value: str, help_text: str) -> None:
    line = f"{key} = {value}"
    table.add(tomlkit.comment(f"{line}  # {_one_line(help_text)}" if help_text else line))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _word(name: str) -> str:
    return "".join(c.lower() if c.isalnum() else "_" for c in name)


# -- placeholders ----------------------------------------------------------------------------------------------------


def _placeholder(field: Any, kind: Any) -> Any:
    """A value that the field's own validator takes."""
    for candidate in _candidates(kind, field.name):
        if field.validator is None:
            return toml_value(candidate)
        try:
            field.validator(None, field, candidate)
        except Exception:  # noqa: BLE001, S112  the next one, then
            continue
        return toml_value(candidate)
    return toml_value(next(_candidates(kind, field.name)))


def _candidates(kind: Any, name: str) -> Iterator[Any]:
    """Values of a type, the likeliest first."""
    origin = get_origin(kind)
    if origin is Literal:
        yield from get_args(kind)
    elif origin in UNIONS:
        for member in get_args(kind):
            yield from _candidates(member, name)
    elif origin in (dict, Mapping):
        yield {}
    elif origin is not None:
        inner = next((a for a in get_args(kind) if a is not Ellipsis), str)
        yield [next(_candidates(inner, name), "...")]
    elif kind is str and any(word in name for word in ("url", "host", "login")):
        yield from (*_TEXTS[1:], _TEXTS[0])
    elif isinstance(kind, type) and attrs.has(kind) and kind is not Schedule:
        yield {f.alias: _placeholder(f, required_type(f.type)) for f in attributes(kind) if f.default is attrs.NOTHING}
    else:
        yield from _PLAIN.get(kind, _TEXTS)


_PLAIN: Mapping[Any, tuple[Any, ...]] = {
    str: _TEXTS,
    int: (1, 0, 100),
    float: (1.0, 0.0, 100.0),
    Decimal: (1, 0, 100),
    bool: (False, True),
    timedelta: (timedelta(minutes=5),),
    Schedule: (Schedule("5m"),),
    Path: (Path("file"),),
}
