"""Alerts of synccore through Apprise."""

from collections.abc import Iterable

from synccore import hookimpl
from synccore.hookspecs import AlertType


@hookimpl
def synccore_alerts() -> Iterable[AlertType]:
    """The channel `apprise`."""
    from .channel import APPRISE

    return [APPRISE]
