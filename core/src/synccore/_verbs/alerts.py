"""`synccore alerts`: who is told of what, what was told, and a test message."""

from datetime import datetime
from typing import cast

from attrs import frozen

from .._app.app import App
from .._plain import Plain
from .._settings import AlertSettings
from ..errors import ConfigError, SynccoreError
from ..hookspecs import AlertChannel, AlertType
from ..types import Notice

__all__ = [
    "LAST",
    "TOLD",
    "WELL",
    "AlertLine",
    "Tested",
    "close_channel",
    "list_alerts",
    "namespace",
    "open_channel",
    "send_tests",
]

#: Keys of an alert's durable state: when the last message went out, what was told and is not well again, and when a
#: target that stood still was last told to be well again.
LAST = "last"
TOLD = "told:"
WELL = "well:"


@frozen(kw_only=True)
class AlertLine(Plain):
    """One alert: its conditions, and what it has told that is not well again."""

    name: str
    type: str
    when: tuple[str, ...]
    told: tuple[str, ...]
    last_at: datetime | None


@frozen(kw_only=True)
class Tested(Plain):
    """What became of a test message."""

    alert: str
    sent: bool
    error: str | None = None


def namespace(name: str) -> str:
    """Where an alert's durable state is kept."""
    return f"alerts:{name}"


def list_alerts(app: App) -> list[AlertLine]:
    """Every configured alert."""
    lines = []
    for name, alert in app.settings.alerts.items():
        state = app.store.state(namespace(name))
        last = state.get(LAST)
        lines.append(
            AlertLine(
                name=name,
                type=alert.instance.type,
                when=tuple(c.text for c in alert.when),
                told=tuple(value["sentence"] for _, value in state.scan(TOLD)),
                last_at=datetime.fromisoformat(last) if last else None,
            )
        )
    return lines


def open_channel(app: App, alert: AlertSettings) -> AlertChannel:
    """The channel of an alert. Raises ConfigError."""
    instance = alert.instance
    return cast("AlertType", instance.descriptor).open(instance.config, app.context(instance))


def close_channel(channel: AlertChannel) -> None:
    """Close it, where it has anything to close."""
    close = getattr(channel, "close", None)
    if callable(close):
        close()


def send_tests(app: App, name: str | None = None) -> list[Tested]:
    """Send a message that says it is a test, through one alert or all. Raises ConfigError for an unknown name."""
    if name is not None and name not in app.settings.alerts:
        known = ", ".join(app.settings.alerts) or "none"
        raise ConfigError(f"no alert is called {name!r}; there are: {known}", path="alerts")
    return [_tested(app, one) for one in ([name] if name else app.settings.alerts)]


def _tested(app: App, name: str) -> Tested:
    try:
        _send_test(app, name, app.settings.alerts[name])
    except SynccoreError as error:
        return Tested(alert=name, sent=False, error=error.message)
    return Tested(alert=name, sent=True)


def _send_test(app: App, name: str, alert: AlertSettings) -> None:
    text = f"This is a test of [alerts.{name}]: whoever reads it will be told when something needs a person."
    channel = open_channel(app, alert)
    try:
        channel.send(Notice(at=app.clock.now(), subject=f"synccore: a test of {name}", text=text))
    finally:
        close_channel(channel)
