"""Two schemas, one outbox: a column that core's migrations add has to come here too."""

import sqlite3
from contextlib import closing

from synccore._store.sqlite import open_sqlite
from synccore_postgres.engine import PostgresStore

COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_schema = current_schema() AND table_name <> 'synccore_migration'"
)
#: What SQLite's own book-keeping needs.
ITS_OWN = ("sqlite_sequence", "_sqlite_migrations")


def test_both_engines_hold_the_same_columns(server, tmp_path):
    with closing(PostgresStore(server.url())) as store, store.reading() as view:
        here = {(row["table_name"], row["column_name"]) for row in view.execute(COLUMNS)}
    open_sqlite(tmp_path / "a.db").close()
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
        there = {
            (name, column)
            for name in names
            if name not in ITS_OWN
            for _, column, *_ in db.execute(f"PRAGMA table_info('{name}')")
        }
    assert here == there
