"""`synccore db`, and what a run leaves: the outbox as a whole."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from .._app.base import Base
from .._plain import Plain
from ..config import format_duration
from ..errors import ConfigError

__all__ = ["Left", "Pruned", "backup", "left", "migrate", "prune"]


@frozen(kw_only=True)
class Pruned(Plain):
    """How many rows of what were deleted, and how far back everything stays."""

    deleted: Mapping[str, int]
    kept: timedelta

    def document(self) -> dict[str, Any]:
        """The JSON of `db prune --json`."""
        return {"deleted": dict(self.deleted), "kept": format_duration(self.kept)}


@frozen(kw_only=True)
class Left(Plain):
    """What is not at its target: owed still, or parked for a person."""

    owed: int
    parked: int

    def document(self) -> dict[str, Any]:
        """The JSON of `run --once --json`."""
        return asdict(self)


def backup(app: Base, target: Path) -> None:
    """Write a consistent copy, also while the daemon runs. Raises ConfigError where it cannot be written."""
    try:
        app.store.backup(target)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror or error}") from error


def migrate(app: Base) -> Sequence[str]:
    """Bring the database up to date; the names of what was applied."""
    return app.store.migrate()


def prune(app: Base) -> Pruned:
    """Delete final deliveries and history older than the retention. Parked ones always stay."""
    return Pruned(deleted=app.store.prune(app.clock.now() - app.retention), kept=app.retention)


def left(app: Base) -> Left:
    """All sinks together."""
    counts = app.store.counts_by_sink().values()
    return Left(owed=sum(c.owed for c in counts), parked=sum(c.parked for c in counts))
