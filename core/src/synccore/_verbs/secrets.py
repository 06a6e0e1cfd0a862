"""`synccore secret`: secrets named by the user, kept encrypted beside those of the instances."""

from datetime import datetime
from typing import Any

from attrs import frozen

from .._app.base import Base
from .._plain import Plain
from ..values import timestamp

__all__ = ["StoredName", "forget", "keep", "stored"]

#: Under which prefix the store keeps them.
_PREFIX = "@"


@frozen(kw_only=True)
class StoredName(Plain):
    """A secret that is kept; never its value."""

    name: str
    stored_at: datetime

    def document(self) -> dict[str, Any]:
        """One of the JSON of `secret list --json`."""
        return {"name": self.name, "stored_at": timestamp(self.stored_at)}


def keep(app: Base, name: str, value: str) -> None:
    """Store one; the configuration names it as { secret = "NAME" }."""
    app.secrets.put(name, value)


def stored(app: Base) -> list[StoredName]:
    """Those there are."""
    return [StoredName(name=name.removeprefix(_PREFIX), stored_at=at) for name, at in app.store.secret_names(_PREFIX)]


def forget(app: Base, name: str) -> bool:
    """Delete one, so that nothing of it stays in the file; whether it was there."""
    there = app.store.delete_secret(_PREFIX + name)
    app.store.scrub()
    return there
