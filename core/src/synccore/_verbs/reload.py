"""`synccore reload`: let the running daemon read its configuration again."""

from datetime import timedelta

from .._app.base import Base
from .._app.running import Reloaded

__all__ = ["Reloaded", "reload"]

#: How long running calls may take before the daemon works with the new configuration, and a little more.
PATIENCE = timedelta(seconds=60)
LOOK_EVERY = timedelta(milliseconds=200)


def reload(app: Base) -> Reloaded | None:
    """Ask for it and wait for the daemon's answer. None: no daemon runs, or it did not answer in time."""
    wish = app.running.ask() if app.store.daemon_running() else 0
    end = app.clock.now() + PATIENCE
    while wish and app.store.daemon_running() and app.clock.now() < end:
        if (answer := app.running.answer(wish)) is not None:
            return answer
        app.clock.sleep(LOOK_EVERY)
    return None
