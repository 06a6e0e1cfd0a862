"""Which migrations there are, told without what carries them out: nearly every command finds a database of today."""

import sqlite3

__all__ = ["RELEASES", "is_current"]

RELEASES = (
    "m001_records",
    "m002_outbox",
    "m003_counts",
    "m004_rest",
    "m005_truth",
    "m006_facts",
    "m007_accounts",
    "m008_made_from",
    "m009_seen",
    "m010_former_email",
    "m011_lean",
)


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether exactly these have been applied."""
    try:
        rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'synccore'").fetchall()
    except sqlite3.OperationalError:
        return False  # a new file
    return sorted(row[0] for row in rows) == sorted(RELEASES)
