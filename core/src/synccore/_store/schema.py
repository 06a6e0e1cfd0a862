"""The migrations that bring the tables of an older file up to date, and what else an old file needs.

A migration that was released is never edited: the next change is the next script.
"""

import sqlite3

from sqlite_utils import Database, Migrations

from ..errors import ConfigError
from ._new import CLEAN
from ._tables import SCHEMA, SCRIPTS

__all__ = ["MIGRATIONS", "SCHEMA", "migrate", "overwrite_old_pages"]

MIGRATIONS = Migrations("synccore")


def _release(name: str, script: str) -> None:
    """A script, executed inside the migration's own transaction (`executescript` would commit it)."""

    @MIGRATIONS(name=name)
    def apply(db: Database) -> None:
        statement = ""
        for line in script.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                db.conn.execute(statement)
                statement = ""


for _name, _script in SCRIPTS.items():
    _release(_name, _script)


def migrate(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Apply what is pending; the names. Raises ConfigError for a database of a newer synccore."""
    return _apply(connection)


def overwrite_old_pages(connection: sqlite3.Connection) -> None:
    """Once for a file that was written before what is deleted was overwritten: the free space may hold anybody.

    Takes about as long as a backup, and that much space; nothing can be written meanwhile.
    """
    if connection.execute("PRAGMA user_version").fetchone()[0] < CLEAN:
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA user_version = {CLEAN}")


def _names() -> set[str]:
    return {m.name for m in MIGRATIONS._migrations}  # noqa: SLF001  sqlite-utils has no public list of all of them


def _apply(connection: sqlite3.Connection) -> tuple[str, ...]:
    db = Database(connection, execute_plugins=False)
    unknown = {m.name for m in MIGRATIONS.applied(db)} - _names()
    if unknown:
        raise ConfigError(
            f"the database was written by a newer synccore ({', '.join(sorted(unknown))}): upgrade synccore",
            path="synccore.database",
        )
    pending = tuple(m.name for m in MIGRATIONS.pending(db))
    if pending:
        MIGRATIONS.apply(db)
    return pending
