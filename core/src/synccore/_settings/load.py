"""Reads `synccore.toml`: finds it, checks all of it, and says everything that is wrong at once."""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .._plugins import Plugins
from ..config import Problem, suggest
from ..errors import ConfigError
from ..hookspecs import SinkType, SourceType
from ..secrets import Secret
from ..types import RouteSpec
from .conditions import Condition, parse_condition
from .model import (
    AlertSettings,
    AlertTable,
    CoreTable,
    InstanceSettings,
    Outline,
    ServerSettings,
    ServerTable,
    Settings,
    SettingsError,
    SinkTable,
)
from .references import SecretResolver, StoredSecret
from .routes import ObjectsOf, read_routes
from .structure import INVALID, Structurer, attributes

__all__ = ["find_config", "load_outline", "load_settings"]

FILE_NAME = "synccore.toml"
CONFIG_VARIABLE = "SYNCCORE_CONFIG"
_SECTIONS = ("synccore", "server", "alerts", "sources", "sinks", "routes")
#: What whoever looks can do without.
_PARTS_OF_ITS_OWN = ("server", "alerts.", "sources.", "sinks.", "routes.")
#: Keys of every sink.
_OF_SINKS = frozenset(f.name for f in attributes(SinkTable))
#: Names stand in addresses (/hooks/NAME), keys (NAME:customer:12) and on the command line.
_INSTANCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
#: Tables within tables; a configuration has five or so.
_DEEPEST, _PATH = 50, 200
_POSITION = re.compile(r" \((at line \d+, column \d+|at end of document)\)$")


def find_config(explicit: Path | str | None, environ: Mapping[str, str] = os.environ, cwd: Path | None = None) -> Path:
    """The configuration file: `explicit`, else SYNCCORE_CONFIG, else ./synccore.toml. Raises ConfigError."""
    cwd = cwd or Path.cwd()
    named = explicit or environ.get(CONFIG_VARIABLE)
    path = cwd / Path(named).expanduser() if named else cwd / FILE_NAME
    try:
        if path.is_file():
            return path
    except OSError as error:  # a directory on the way is closed to us
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    if explicit:
        raise ConfigError(f"there is no file {path}: name the configuration with -c, or run synccore init")
    if named:
        raise ConfigError(f"there is no file {path}, which {CONFIG_VARIABLE} names")
    raise ConfigError(f"there is no {FILE_NAME} in {cwd}: name one with -c or {CONFIG_VARIABLE}, or run synccore init")


def load_settings(
    path: Path,
    plugins: Plugins,
    *,
    environ: Mapping[str, str] = os.environ,
    stored_secret: StoredSecret = lambda _: None,
    objects_of: ObjectsOf | None = None,
    text: str | None = None,
    looking: bool = False,
) -> Settings:
    """The settings in a file. Raises SettingsError with every mistake found.

    Args:
        text: what to read instead of what the file holds now.
        looking: whoever asks only looks: secrets need not be there, and what is wrong in one place is left out and
            told (`Settings.mistakes`) instead of stopping everything.
        stored_secret: the text of `{ secret = "NAME" }`, or None; asked on first use, not here.
        objects_of: what a sink instance can write, where that depends on its configuration.
    """
    path = path.absolute()
    document = _parse(path, text)
    reader = Structurer(path.parent, SecretResolver(environ, stored_secret, plugins, later=looking))
    for key in document:
        if key not in _SECTIONS:
            reader.problem(f"unknown key{suggest(key, _SECTIONS)}", key)
    database, password, retention = _core(reader, document, plugins)
    server = _server(reader, document)
    sources = _instances(reader, document, "sources", plugins.sources, plugins)
    sinks = _instances(reader, document, "sinks", plugins.sinks, plugins)
    for name in sinks.keys() & sources.keys():
        reader.problem(f"a source is called {name!r} too; commands need one name for one thing", "sinks", name)
    alerts = _alerts(reader, document, plugins)
    routes, mappers = read_routes(reader, document.get("routes", {}), sources, sinks, plugins, objects_of)
    if reader.problems and not (looking and all(p.path.startswith(_PARTS_OF_ITS_OWN) for p in reader.problems)):
        raise SettingsError(_in_file_order(reader.problems, document))
    routes = _whole(routes)
    return Settings(
        path=path,
        database=database,
        password=password,
        retention=retention,
        server=server,
        sources={n: i for n, i in sources.items() if i is not None},
        sinks={n: i for n, i in sinks.items() if i is not None},
        routes=routes,
        mappers=mappers,
        alerts=alerts,
        warnings=_in_file_order(reader.warnings, document),
        mistakes=_in_file_order(reader.problems, document),
        unread=_in_file_order(reader.unread, document),
    )


def _whole(routes: Mapping[str, RouteSpec]) -> dict[str, RouteSpec]:
    """Without those that wait for a route that is not there."""
    whole = {n: r for n, r in routes.items() if r.after is None or r.after in routes}
    return whole if len(whole) == len(routes) else _whole(whole)


def load_outline(
    path: Path, plugins: Plugins, text: str | None = None, environ: Mapping[str, str] = os.environ
) -> Outline:
    """What the store needs of a file (or of `text`): the rest of it may be wrong. Raises SettingsError."""
    path = path.absolute()
    document = _parse(path, text)
    reader = Structurer(path.parent, SecretResolver(environ, lambda _: None, plugins))
    database, password, retention = _core(reader, document, plugins)
    if reader.problems:
        raise SettingsError(_in_file_order(reader.problems, document))
    sources, sinks = (
        tuple(section) if isinstance(section := document.get(name), dict) else () for name in ("sources", "sinks")
    )
    return Outline(path=path, database=database, password=password, retention=retention, sources=sources, sinks=sinks)


#: `database = "..."` on a line of its own, for a file that is no TOML as a whole.
_DATABASE = re.compile(r"""^[ \t]*database[ \t]*=[ \t]*["']([^"'\n]{1,500})["']""", re.MULTILINE)


def database_of(path: Path) -> str:
    """Where the outbox most likely is, of a file that cannot be read as a whole: a guess, to look into it."""
    try:
        found = _DATABASE.search(read_file(path))
    except SettingsError:
        found = None
    return os.path.expanduser(found[1]) if found else "synccore.db"  # noqa: PTH111  also an URL


def read_file(path: Path) -> str:
    """The file's text. Raises SettingsError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SettingsError([Problem(path.name, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise SettingsError([Problem(path.name, f"is no UTF-8 text (byte {error.start})")]) from None


def _parse(path: Path, text: str | None) -> dict[str, Any]:
    try:
        document = tomllib.loads(text if text is not None else read_file(path))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        where = found[1].removeprefix("at ") if (found := _POSITION.search(message)) else ""
        told = _POSITION.sub("", message)
        raise SettingsError([Problem(path.name, f"{where}: {told}" if where else told)]) from None
    except ValueError:
        # Python's own limit on numbers, past which TOML's grammar is not asked.
        raise SettingsError([Problem(path.name, "holds a number of thousands of digits")]) from None
    except RecursionError:
        raise SettingsError([Problem(path.name, "is nested too deeply")]) from None
    _check_shape(path, document)
    return document


def _check_shape(path: Path, document: Mapping[str, Any]) -> None:
    """Raises SettingsError for what no part of a configuration can mean, and much would stumble over."""
    left: list[tuple[Any, int, str]] = [(document, 0, "")]
    while left:
        value, depth, where = left.pop()
        if depth > _DEEPEST:
            raise SettingsError([Problem(path.name, "is nested too deeply")])
        if isinstance(value, Mapping):
            left += [(key, depth + 1, where) for key in value]
            left += [(inner, depth + 1, f"{where}.{key}"[:_PATH]) for key, inner in value.items()]
        elif isinstance(value, list):
            left += [(inner, depth + 1, where) for inner in value]
        elif isinstance(value, str) and "\x00" in value:
            place = where.removeprefix(".").replace("\x00", "?")
            raise SettingsError([Problem(place or path.name, "holds a NUL character")])


def _section(document: Mapping[str, Any], name: str) -> Any:
    return document.get(name, {})


# -- [synccore] and [server] -----------------------------------------------------------------------------------------


def _core(reader: Structurer, document: Mapping[str, Any], plugins: Plugins) -> tuple[str, Secret | None, Any]:
    with reader.at("synccore"):
        table = reader.read_table(_section(document, "synccore"), CoreTable)
        if table is INVALID:
            return "", None, None
        password = table.database_password
        if password is not None and password.origin.startswith("secret "):
            reader.problem("cannot be stored in the database that it opens: use env or file", "database_password")
        with reader.at("database"):
            return _database(reader, table.database, plugins), password, table.retention


def _database(reader: Structurer, value: str, plugins: Plugins) -> str:
    """The absolute path of the file, or the address of another engine."""
    if not value:
        reader.problem("is empty")
        return ""
    if "://" not in value:
        return str(reader.base / Path(value).expanduser())
    if _has_password(value):
        reader.warning("holds a password: leave it out and set database_password, or PGPASSWORD")
    if plugins.store_for(value) is None:
        scheme = value.partition("://")[0]
        package = "synccore-postgres" if scheme in ("postgresql", "postgres") else f"a plugin that brings {scheme}://"
        why = plugins.why_missing("postgres" if scheme.startswith("postgres") else scheme)
        reader.problem(f"{scheme}:// needs {package}, which is not loaded" + (f"; {why}" if why else ""))
    return value


def _has_password(url: str) -> bool:
    try:
        return bool(urlsplit(url).password)
    except ValueError:
        return False


def _server(reader: Structurer, document: Mapping[str, Any]) -> ServerSettings:
    with reader.at("server"):
        table = reader.read_table(_section(document, "server"), ServerTable)
        if table is INVALID:
            return ServerSettings()
        try:
            host, port = _listen(table.listen)
        except ValueError as error:
            reader.problem(str(error), "listen")
            return ServerSettings()
        if not is_loopback(host) and table.dashboard_password is None:
            reader.problem(
                f'is required, because listen = "{table.listen}" can be reached from other machines',
                "dashboard_password",
            )
        public_url = table.public_url
        if public_url is not None:
            with reader.at("public_url"):
                public_url = _public_url(reader, public_url)
        for number, proxy in enumerate(table.trusted_proxies):
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                text = f'"{proxy}" is no address; write for instance 127.0.0.1 or 10.0.0.0/8'
                reader.problem(text, "trusted_proxies", str(number))
                return ServerSettings()
        return ServerSettings(
            host=host,
            port=port,
            public_url=public_url,
            dashboard_password=table.dashboard_password,
            trusted_proxies=table.trusted_proxies,
        )


def _listen(text: str) -> tuple[str, int]:
    """ "127.0.0.1:8484", "localhost:8484", "[::1]:8484", ":8484" (every address). Raises ValueError."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 65536
    if not colon or number > 65535 or (":" in host and bare == host):
        raise ValueError(f'"{text[:80]}" is no address with port; write for instance 127.0.0.1:8484 or [::1]:8484')
    return bare or "0.0.0.0", number  # noqa: S104  what an empty host means; needs a password


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _public_url(reader: Structurer, text: str) -> str:
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        _ = url.port
    except ValueError:
        url, host = urlsplit(""), ""
    if not host or url.scheme not in ("http", "https") or url.query or url.fragment:
        reader.problem(f'"{text}" is no address; write for instance https://sync.example.com')
    elif url.username or url.password:
        reader.problem("holds a user name or password: leave it out")
    elif url.scheme == "http" and not is_loopback(host):
        reader.problem("must begin with https:// (webhooks carry personal data)")
    return text.rstrip("/")


# -- [sources.X] and [sinks.X] ---------------------------------------------------------------------------------------


def _instances(
    reader: Structurer,
    document: Mapping[str, Any],
    section: str,
    types: Mapping[str, SourceType] | Mapping[str, SinkType],
    plugins: Plugins,
) -> dict[str, InstanceSettings | None]:
    """By name; None for one whose mistakes are noted, so that routes to it are not mistakes as well."""
    found: dict[str, InstanceSettings | None] = {}
    tables = _section(document, section)
    with reader.at(section):
        if not isinstance(tables, Mapping):
            reader.problem(f"is a table: write [{section}.NAME]")
            return found
        for name, table in tables.items():
            with reader.at(name):
                found[name] = _instance(reader, name, table, types, plugins)
    return found


def _instance(
    reader: Structurer, name: str, table: Any, types: Mapping[str, Any], plugins: Plugins
) -> InstanceSettings | None:
    word = reader.path.partition(".")[0].removesuffix("s")
    if not _INSTANCE_NAME.fullmatch(name):
        reader.problem("a name has letters, digits, - and _ only")
    if not isinstance(table, Mapping):
        reader.problem(f"is a table: write [{reader.path}]")
        return None
    kind = table.get("type")
    if not isinstance(kind, str):
        said = "is required" if kind is None else "is a text in quotes"
        reader.problem(f"{said}: one of {', '.join(sorted(types)) or 'no type is installed'}", "type")
        return None
    if kind not in types:
        reader.problem(_unknown_type(kind, word, types, plugins), "type")
        return None
    descriptor = types[kind]
    # A plugin's own key of that name is the plugin's.
    common = _OF_SINKS - {f.alias or f.name for f in attributes(descriptor.config)} if word == "sink" else set()
    config = reader.read_table({k: v for k, v in table.items() if k != "type"}, descriptor.config, extra=sorted(common))
    own = reader.read_table({k: table[k] for k in common if k in table}, SinkTable)
    if config is INVALID or own is INVALID:
        return None
    return InstanceSettings(name=name, type=kind, descriptor=descriptor, config=config, linger=own.linger)


def _unknown_type(kind: str, word: str, types: Mapping[str, Any], plugins: Plugins) -> str:
    installed = ", ".join(sorted(types)) or "none"
    near = suggest(kind, list(types))
    message = f"no {word} type {kind!r} is installed (installed: {installed}){near}"
    other = plugins.sinks if word == "source" else plugins.sources
    if kind in other:
        message += f"; {kind} is a {'sink' if word == 'source' else 'source'}"
    why = plugins.why_missing(kind)
    if not why and not near and kind not in other and _INSTANCE_NAME.fullmatch(kind):
        why = f"its plugin may be had by pip install synccore-{kind.replace('_', '-')}"
    return message + (f"; {why}" if why else "")


# -- [alerts.X] ------------------------------------------------------------------------------------------------------


def _alerts(reader: Structurer, document: Mapping[str, Any], plugins: Plugins) -> dict[str, AlertSettings]:
    found: dict[str, AlertSettings] = {}
    tables = _section(document, "alerts")
    with reader.at("alerts"):
        if not isinstance(tables, Mapping):
            reader.problem("is a table: write [alerts.NAME]")
            return found
        for name, table in tables.items():
            with reader.at(name):
                own = {k: table[k] for k in ("when", "every") if isinstance(table, Mapping) and k in table}
                common = reader.read_table(own, AlertTable)
                rest = {k: v for k, v in table.items() if k not in own} if isinstance(table, Mapping) else table
                instance = _instance(reader, name, rest, plugins.alerts, plugins)
                if common is INVALID:
                    continue
                when = _conditions(reader, common.when)
                if instance is not None:
                    found[name] = AlertSettings(instance=instance, when=when, every=common.every)
    return found


def _conditions(reader: Structurer, texts: Sequence[str]) -> tuple[Condition, ...]:
    found = []
    for number, text in enumerate(texts):
        try:
            found.append(parse_condition(text))
        except ConfigError as error:
            reader.problem(error.message, "when", str(number))
    if not texts:
        reader.problem("names nothing to be told of", "when")
    return tuple(found)


# -- order -----------------------------------------------------------------------------------------------------------


def _in_file_order(problems: Sequence[Problem], document: Mapping[str, Any]) -> tuple[Problem, ...]:
    """As a reader of the file meets them; a missing key stands where its table does."""
    places: dict[str, int] = {}

    def walk(value: Any, path: str) -> None:
        places[path] = len(places)
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key)

    walk(document, "")

    def place(problem: Problem) -> int:
        path = problem.path
        while path and path not in places:
            path = path.rpartition(".")[0]
        return places[path]

    return tuple(sorted(dict.fromkeys(problems), key=place))
