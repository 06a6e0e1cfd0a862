"""`synccore db restore`: a backup in the database's place, without a second record of anybody.

What happened since the backup is not in it: records were made at the targets, and no link says so. So everything that
has no link is doubtful until every source was compared as a whole: the target is asked before a record is made.
"""

from pathlib import Path

from attrs import frozen

from .._app.app import App
from .._app.base import Base
from .._plain import Plain
from ..errors import ConfigError

__all__ = ["Settled", "put_in_place", "settle_in"]


@frozen(kw_only=True)
class Settled(Plain):
    """What a restored database will do: deliveries that ask first, and what is compared ("shop customer")."""

    doubtful: int
    compared: tuple[str, ...]


def put_in_place(app: Base, backup: Path) -> Path | None:
    """Replace the database; gives where the replaced one is kept. `app` must not have opened it.

    Raises ConfigError where a daemon runs, the backup cannot be used, or another engine than SQLite keeps the outbox.
    """
    from .._store.sqlite import restore_sqlite

    file = app.database_file
    if file is None:
        raise ConfigError("only a SQLite database is restored by synccore: use the tools of your database server")
    if backup.exists() and file.exists() and backup.samefile(file):
        raise ConfigError(f"{backup} is the database itself")
    return restore_sqlite(backup, file)


def settle_in(app: App) -> Settled:
    """Mark what is doubtful, and owe a full comparison of every source."""
    now = app.clock.now()
    doubtful = app.store.doubt(tuple(app.sources), now)
    compared = []
    for name, unit in app.sources.items():
        for entity in unit.settings.config.entities:
            app.store.queue_backfill("reconcile", name, entity, {}, None, now)
            compared.append(f"{name} {entity}")
    return Settled(doubtful=doubtful, compared=tuple(compared))
