"""A new file: all tables and no row, in one go, whole or not at all. Without what carries migrations out."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from functools import cache

from ._releases import RELEASES
from ._today import TODAY

__all__ = ["CLEAN", "fill", "is_new"]

#: `user_version` of a file in which nothing was ever deleted without being overwritten.
CLEAN = 1
#: Where sqlite-utils looks for what was applied, as it makes it.
_APPLIED = """
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
"""


def is_new(connection: sqlite3.Connection) -> bool:
    """Whether there is no table."""
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def fill(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Make what the migrations would; their names."""
    with closing(sqlite3.connect(":memory:")) as blank:
        blank.deserialize(_blank())
        blank.backup(connection)
    return RELEASES


@cache
def _blank() -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(_APPLIED + TODAY)
        connection.executemany(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('synccore', ?, ?)",
            [(name, str(datetime.now(UTC))) for name in RELEASES],
        )
        connection.execute(f"PRAGMA user_version = {CLEAN}")
        return connection.serialize()
