"""`synccore init`: a first synccore.toml, made of what the installed plugins say about themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click
from attrs import frozen

from ._failure import DONE
from ._session import current, verb

if TYPE_CHECKING:
    from .._plugins import Plugins
    from ..hookspecs import SinkType, SourceType
    from ..types import Defaults

FILE = "synccore.toml"
#: Help stands behind a setting where both fit on a line.
_HELP_COLUMN = 52
_LINE = 118
_HEAD = """\
# What synccore keeps up to date with what. Made by synccore init.
#
# Settings behind a # are at their defaults. A secret is written { env = "NAME" }, { file = "PATH" } or
# { secret = "NAME" } (encrypted in the database: synccore secret set NAME).
#
#   synccore check          what is missing or wrong
#   synccore connect NAME   once for each source and sink
#   synccore plan ROUTE     what the first run would do
#   synccore run            the daemon
"""


@verb("init")
@click.argument("directory", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--source", metavar="TYPE", help="The source's type.  [default: the installed one]")
@click.option(
    "--sink", "sinks", metavar="TYPE", multiple=True, help="A sink's type; repeat it.  [default: all installed]"
)
def init(directory: Path, source: str | None, sinks: tuple[str, ...]) -> int:
    """Write a commented synccore.toml for the installed plugins.

    Every setting of the chosen source and sinks is in it with its meaning, and a route from the source's customers
    to each sink.
    """
    from ..errors import ConfigError

    loaded = current().plugins()
    chosen = _source(loaded, source)
    targets = [_type(loaded, "sink", loaded.sinks, name) for name in sinks] or list(loaded.sinks.values())
    path = directory / FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text_of(loaded, chosen, targets))
    except FileExistsError:
        raise click.UsageError(f"{path} is there already: it is left as it is") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    click.echo(f"wrote {path}")
    if not targets:
        click.echo("no sink is installed yet: pip install synccore-google-contacts, -klaviyo or -salesforce", err=True)
    where = "" if directory == Path() else f" -c {path}"
    click.echo(f"next: fill in what is not behind a #, then synccore check{where}")
    return DONE


def _source(loaded: Plugins, name: str | None) -> SourceType:
    if name is not None:
        found: SourceType = _type(loaded, "source", loaded.sources, name)
        return found
    if len(loaded.sources) == 1:
        return next(iter(loaded.sources.values()))
    if not loaded.sources:
        raise click.UsageError("no source is installed: pip install synccore-woocommerce")
    raise click.UsageError(f"several sources are installed, name one: --source {' or --source '.join(loaded.sources)}")


def _type(loaded: Plugins, kind: str, types: Mapping[str, Any], name: str) -> Any:
    from ..config import suggest

    if name in types:
        return types[name]
    why = loaded.why_missing(name)
    raise click.UsageError(
        f"no {kind} {name!r} is installed{suggest(name, list(types))}"
        + (f" ({why})" if why else f"; there are: {', '.join(types) or 'none'}")
    )


# -- the text


def text_of(loaded: Plugins, source: SourceType, sinks: Sequence[SinkType]) -> str:
    """The whole file."""
    from .._settings.model import CoreTable, ServerTable

    names = _names(loaded, source, sinks)
    shop = names["source"]
    routes = [route for sink in sinks for route in _routes(names[sink.name], sink, source)]
    wanted = {e for r in routes if r.active for e in (r.entity, *r.defaults.include)} | {"customer"}
    entities = tuple(e for e in source.entities if e in wanted)
    blocks = [
        _HEAD,
        "\n".join(_table("synccore", CoreTable, {}, "")),
        "\n".join(_table("server", ServerTable, {}, "")),
        "\n".join(_table(f"sources.{shop}", source.config, {"entities": entities}, source.name)),
        *("\n".join(_table(f"sinks.{names[s.name]}", s.config, {}, s.name)) for s in sinks),
        *("\n".join(_route(r, shop, source, entities)) for r in routes),
    ]
    return "\n\n".join(block.rstrip() for block in blocks) + "\n"


def _names(loaded: Plugins, source: SourceType, sinks: Sequence[SinkType]) -> dict[str, str]:
    """Names for the instances: the plugin's own idea of one, else its type."""
    own = {(v.role, v.type): v.name for v in loaded.demo_vendors}
    names = {"source": own.get(("source", source.name), "shop")}
    for sink in sinks:
        name = own.get(("sink", sink.name), sink.name)
        names[sink.name] = name if name not in names.values() else sink.name
    return names


@frozen
class Route:
    """A route that could be. `active`: it is written without a # in front."""

    name: str
    sink: str
    object: str
    entity: str
    defaults: Any
    #: The active route of this sink, if it is another one.
    main: str | None

    @property
    def active(self) -> bool:
        """The first route from customers to a sink is."""
        return self.main is None


def _routes(sink: str, type_: SinkType, source: SourceType) -> Iterator[Route]:
    """The route from customers to the sink's first object for them, then all others that have a default mapping."""
    found = [
        (target.name, entity, defaults)
        for target in type_.objects
        for entity, defaults in target.defaults.items()
        if entity in source.entities and target.name != "*"
    ]
    found.sort(key=lambda pair: pair[1] != "customer")
    main = f"{sink}_{found[0][1]}s" if found else None
    for number, (target, entity, defaults) in enumerate(found):
        plain = target.lower() == entity or number == 0
        name = f"{sink}_{entity}s" if plain else f"{sink}_{target.lower()}_{entity}s"
        yield Route(name, sink, target, entity, defaults, main if number else None)


def _table(header: str, config: type, given: Mapping[str, Any], type_name: str) -> Iterator[str]:
    """A table with every setting: required ones to fill in first, then the defaults behind a #."""
    import attrs

    yield f"[{header}]"
    if type_name:
        yield f'type = "{type_name}"'
    settings = attrs.fields(attrs.resolve_types(config))
    prefix = header.rpartition(".")[2].upper().replace("-", "_")
    ordered = sorted(settings, key=lambda s: s.default is not attrs.NOTHING and s.name not in given)
    lines = [(_setting(s, given, prefix), s.metadata.get("help", "")) for s in ordered]
    width = min(max((len(line) for line, _ in lines), default=0), _HELP_COLUMN)
    for line, text in lines:
        if len(line) <= width and width + len(text) + 4 <= _LINE:
            yield f"{line.ljust(width)}  # {text}"
        else:
            yield f"# {text}"
            yield line


def _setting(setting: Any, given: Mapping[str, Any], prefix: str) -> str:
    import attrs

    from ._toml import toml

    name = setting.name
    if name in given:
        return f"{name} = {toml(given[name])}"
    if setting.default is attrs.NOTHING:
        return f"{name} = {_placeholder(setting, prefix)}"
    default = setting.default.factory() if isinstance(setting.default, attrs.Factory) else setting.default  # type: ignore[arg-type]
    return f"# {name} = {_placeholder(setting, prefix) if default is None else toml(default)}"


def _placeholder(setting: Any, prefix: str) -> str:
    """Something in the right shape for a value that only the user knows."""
    from ..secrets import Secret

    kinds = [k for k in (get_args(setting.type) or (setting.type,)) if k is not type(None)]
    if Secret in kinds:
        return f'{{ env = "{prefix}_{setting.name.upper()}" }}'
    if get_origin(setting.type) is Literal:
        return f'"{get_args(setting.type)[0]}"'
    if int in kinds:
        return "0"
    example = re.search(r"https?://[^\s,;)]+", setting.metadata.get("help", ""))
    return f'"{example.group()}"' if example else '"..."'


def _route(route: Route, shop: str, source: SourceType, entities: Sequence[str]) -> Iterator[str]:
    from ..config import format_duration
    from ._toml import toml

    defaults: Defaults = route.defaults
    mark = "" if route.active else "# "
    reported = tuple(e for e in defaults.include if e in source.entities)
    missing = [e for e in (route.entity, *reported) if e not in entities]
    if not route.active:
        more = f" (add {', '.join(missing)} to the entities of {shop})" if missing else ""
        yield f"# One {route.object} for each {route.entity}{more}:"
    yield f"{mark}[routes.{route.name}]"
    yield f'{mark}source = "{shop}"'
    yield f'{mark}entity = "{route.entity}"'
    yield f'{mark}sink = "{route.sink}"'
    yield f'{mark}object = "{route.object}"'
    if reported != defaults.include:
        yield f"{mark}include = {toml(reported)}"
    if route.main is not None:
        if route.entity != "customer" and defaults.match:
            yield f'# after = "{route.main}"'
        return
    if defaults.include and reported == defaults.include:
        yield f"# include = {toml(reported)}"
    if defaults.match:
        yield f"# match = {toml(defaults.match)}"
    yield f'# delay = "{format_duration(defaults.delay)}"'
    yield f"[routes.{route.name}.fields]"
    yield "# Added to the default mapping, or replacing parts of it (synccore plugins show says what that is):"
    for field, expression in list(defaults.fields.items())[:3]:
        yield f"# {toml_key(field)} = {toml(expression)}"


def toml_key(name: str) -> str:
    """A key, quoted where TOML wants it."""
    import json

    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
