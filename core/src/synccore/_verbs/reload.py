"""`synccore reload`: let the running daemon read its configuration again."""

from datetime import timedelta
from typing import Any

from attrs import frozen

from .._app.base import Base
from .._plain import Plain

__all__ = ["Reload", "reload"]

#: How long running calls may take before the daemon works with the new configuration, and a little more.
PATIENCE = timedelta(seconds=60)
LOOK_EVERY = timedelta(milliseconds=200)


@frozen(kw_only=True)
class Reload(Plain):
    """What came of it. `problems`: (path, message) of the file's mistakes, for which everything goes on as before."""

    done: bool
    problems: tuple[tuple[str, str], ...] = ()
    #: Why nothing was reloaded, or what a reload cannot change.
    notes: tuple[str, ...] = ()

    def mistakes(self) -> list[str]:
        """The problems, a sentence each."""
        return [f"{path}: {message}" if path else message for path, message in self.problems]

    def document(self) -> dict[str, Any]:
        """The JSON of `reload --json`."""
        problems = [{"path": path, "message": message} for path, message in self.problems]
        return {"reloaded": self.done, "problems": problems, "notes": list(self.notes)}


def reload(app: Base) -> Reload:
    """Ask for it and wait for the daemon's answer."""
    if not app.store.daemon_running():
        return Reload(done=False, notes=("no daemon runs: its start reads the file",))
    wish = app.running.ask()
    end = app.clock.now() + PATIENCE
    while app.store.daemon_running() and app.clock.now() < end:
        if (answer := app.running.answer(wish)) is not None:
            return Reload(done=not answer.problems, problems=answer.problems, notes=answer.notes)
        app.clock.sleep(LOOK_EVERY)
    return Reload(done=False, notes=("the daemon did not answer in time: see its log",))
