"""The settings of one configuration file after validation."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from attrs import field, frozen

from .._plain import Plain
from ..config import ConfigProblems, Problem, format_duration, option, parse_duration
from ..hookspecs import AlertType, Mapper, SinkType, SourceType
from ..secrets import Secret
from ..types import RouteSpec
from .conditions import DEFAULT as DEFAULT_WHEN
from .conditions import Condition

__all__ = ["AlertSettings", "InstanceSettings", "ServerSettings", "Settings", "SettingsError"]

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8484
LONGEST_LINGER = timedelta(seconds=10)


class SettingsError(ConfigProblems):
    """The configuration file cannot be used: every mistake in it, in the order of the file."""


@frozen(kw_only=True)
class CoreTable(Plain):
    """`[synccore]` as it is written."""

    database: str = option(
        default="synccore.db",
        help="the outbox: a file, relative to this one, or postgresql://... (needs synccore-postgres)",
    )
    database_password: Secret | None = option(
        default=None, help="of a database with an address; else PGPASSWORD or a passfile. Not { secret = ... }"
    )
    retention: timedelta = option(default=parse_duration("90d"), help="how long finished deliveries stay in the log")


@frozen(kw_only=True)
class ServerTable(Plain):
    """`[server]` as it is written."""

    listen: str = option(default=f"{DEFAULT_HOST}:{DEFAULT_PORT}", help="address and port of webhooks and dashboard")
    public_url: str | None = option(default=None, help="how the shop reaches this server: https://sync.example.com")
    dashboard_password: Secret | None = option(
        default=None, help="asked for by the dashboard; required unless it listens on loopback only"
    )
    trusted_proxies: tuple[str, ...] = option(
        default=(), help="addresses or networks of your reverse proxies: X-Forwarded-For is believed from these alone"
    )


@frozen(kw_only=True)
class RouteTable(Plain):
    """`[routes.NAME]` as it is written, without the sink's own settings; None means: not written."""

    source: str = option(help="name of a source")
    entity: str = option(help="customer, order, membership, subscription or payment")
    sink: str = option(help="name of a sink")
    object: str | None = option(default=None, help="what to write there; may be left out where the sink has one object")
    match: tuple[str, ...] | None = option(default=None, help="target fields to find an existing record by, in order")
    include: tuple[str, ...] | None = option(
        default=None, help="entities of the same owner that the expressions see, in the plural"
    )
    when: str | None = option(default=None, help="expression; where it is false the record is skipped")
    delay: timedelta | None = option(default=None, help="how long to wait for further changes before delivering")
    after: str | None = option(default=None, help="route that must have delivered the record, or its owner, before")
    mapper: str = option(default="jinja", help="how the fields are worked out")
    defaults: bool = option(default=True, help="begin with the sink's default mapping; false begins empty")
    compare: tuple[str, ...] | None = option(default=None, help="fields whose change alone makes a delivery")
    on_leave: str = option(
        default="keep",
        help="what happens to a delivered record that the route no longer wants: keep, unlabel, clear or delete",
    )
    formerly: tuple[str, ...] = option(default=(), help="names this route had before; what they delivered is its own")
    fields: Mapping[str, Any] = option(factory=dict, help="target field = expression, template or constant")


@frozen(kw_only=True)
class ServerSettings(Plain):
    """Where the daemon listens and how it is reached; `public_url` has no slash at its end."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    public_url: str | None = None
    dashboard_password: Secret | None = None
    trusted_proxies: tuple[str, ...] = ()


def _short(_: object, attribute: Any, value: timedelta | None) -> None:
    if value is not None and value > LONGEST_LINGER:
        raise ValueError(f"is at most {format_duration(LONGEST_LINGER)}; what waits longer is the delay of a route")


@frozen(kw_only=True)
class SinkTable(Plain):
    """What every `[sinks.NAME]` has beside the settings of its type; None means: not written."""

    linger: timedelta | None = option(
        default=None,
        help="how long a change may wait for others that go in the same call, while changes come one after the other",
        validator=_short,
    )


@frozen(kw_only=True)
class InstanceSettings(Plain):
    """One `[sources.NAME]`, `[sinks.NAME]` or `[alerts.NAME]`; `config` is of the type's configuration class."""

    name: str
    type: str
    descriptor: SourceType | SinkType | AlertType
    config: Any
    #: Of a sink: instead of the linger of its limits.
    linger: timedelta | None = None


@frozen(kw_only=True)
class AlertTable(Plain):
    """What every `[alerts.NAME]` has beside the settings of its type."""

    when: tuple[str, ...] = option(default=DEFAULT_WHEN, help="what is worth a message")
    every: timedelta = option(default=parse_duration("5m"), help="at most one message in this time")


@frozen(kw_only=True)
class AlertSettings(Plain):
    """One `[alerts.NAME]`."""

    instance: InstanceSettings
    when: tuple[Condition, ...]
    every: timedelta


@frozen(kw_only=True)
class Outline(Plain):
    """What can be told of a configuration whose instances and routes may be wrong."""

    path: Path
    database: str = field(repr=False)
    password: Secret | None = None
    retention: timedelta
    #: Names of instances.
    sources: tuple[str, ...]
    sinks: tuple[str, ...]


@frozen(kw_only=True)
class Settings(Plain):
    """A whole configuration.

    Attributes:
        database: absolute path of the SQLite file, or the address of another engine; `password` is for that.
        mappers: what maps for each route, with the filters of all plugins.
        warnings: what works and should still be changed.
        mistakes: what had to be left out; only ever something where whoever asked wanted to look and no more.
        unread: routes that could not be read then, for want of a secret that says what their sink can write.
    """

    path: Path
    database: str = field(repr=False)
    retention: timedelta
    server: ServerSettings
    sources: Mapping[str, InstanceSettings]
    sinks: Mapping[str, InstanceSettings]
    routes: Mapping[str, RouteSpec]
    mappers: Mapping[str, Mapper] = field(factory=dict, repr=False, eq=False)
    alerts: Mapping[str, AlertSettings] = field(factory=dict)
    password: Secret | None = None
    warnings: tuple[Problem, ...] = ()
    mistakes: tuple[Problem, ...] = ()
    unread: tuple[Problem, ...] = ()

    @property
    def database_file(self) -> Path | None:
        """The SQLite file; None where another engine keeps the outbox."""
        return None if "://" in self.database else Path(self.database)
