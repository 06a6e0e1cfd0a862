"""What the tables look like, and how they come to be."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from synccore._store import _new, _releases, schema
from synccore._store.sqlite import open_sqlite
from synccore.errors import ConfigError

NAMES = (
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


#: Databases as older code left them, named after their newest migration; see `make.py` there.
KEPT = Path(__file__).with_name("releases")


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2")
        return [f"{kind} {name}: {text}" for kind, name, text in rows]


def written(path: Path) -> list[str]:
    """The whole schema executed as one script, without migrations."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(schema.SCHEMA)
        schema.MIGRATIONS.ensure_migrations_table(Database(db, execute_plugins=False))
    return dump(path)


def test_the_schema_from_scratch_is_what_migrations_give(tmp_path):
    open_sqlite(tmp_path / "a.db").close()
    assert dump(tmp_path / "a.db") == written(tmp_path / "b.db")


def test_a_new_file_is_what_the_migrations_would_make_of_it(tmp_path):
    open_sqlite(tmp_path / "new.db").close()
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as old:
        schema.MIGRATIONS.apply(Database(old, execute_plugins=False))
        applied = old.execute("SELECT migration_set, name FROM _sqlite_migrations ORDER BY id").fetchall()

    assert dump(tmp_path / "new.db") == dump(tmp_path / "old.db")
    with closing(sqlite3.connect(tmp_path / "new.db")) as new:
        assert new.execute("SELECT migration_set, name FROM _sqlite_migrations ORDER BY id").fetchall() == applied
        assert schema.migrate(new) == ()


@pytest.mark.parametrize("stop", range(len(NAMES)))
def test_every_older_database_is_brought_up_to_date(tmp_path, stop):
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as db:
        schema.MIGRATIONS.apply(Database(db, execute_plugins=False), stop_before=NAMES[stop])
    with closing(open_sqlite(path)) as store:
        assert store.migrate() == ()
    assert dump(path) == written(tmp_path / "new.db")


def test_a_new_file_is_whole_or_empty(tmp_path, monkeypatch):
    path = tmp_path / "a.db"
    with monkeypatch.context() as patch:
        patch.setattr(_new, "_blank", lambda: b"no database")
        with pytest.raises(ConfigError, match="not a SQLite database"):
            open_sqlite(path)
    assert dump(path) == []
    with closing(open_sqlite(path)) as store:
        assert store.migrate() == ()
    assert dump(path) == written(tmp_path / "b.db")


def test_links_and_trail_of_an_older_database_are_kept(tmp_path):
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as db, db:
        schema.MIGRATIONS.apply(Database(db, execute_plugins=False), stop_before="m005_truth")
        for key, outcome in (("1", "linked"), ("2", "delivered")):
            db.execute(
                "INSERT INTO link (route, source, entity, key, object, remote_id, fields) "
                "VALUES ('people', 'shop', 'customer', ?, 'thing', 'r1', '{\"a\":1}')",
                (key,),
            )
            db.execute(
                "INSERT INTO history (at, route, sink, source, entity, key, op, outcome) "
                "VALUES (5, 'people', 'crm', 'shop', 'customer', ?, 'upsert', ?)",
                (key, outcome),
            )
        db.execute(ROW.replace("'r', 's'", "'people', 'crm'"), ("upsert", "done", None, None, None, 1))
    with closing(open_sqlite(path)) as store:
        assert [(x.key, x.adopted, x.shared, dict(x.mapped)) for x in store.links("people")] == [
            ("1", True, 2, {"a": 1}),
            ("2", False, 2, {"a": 1}),
        ]
        assert [(e.key, e.outcome) for e in store.history()] == [("1", "linked"), ("2", "delivered")]


def test_no_number_of_a_row_that_was_pruned_is_given_again(tmp_path):
    path = tmp_path / "old.db"
    told = (
        "INSERT INTO history (at, route, sink, source, entity, key, op, outcome) "
        "VALUES (5, 'r', 's', 'shop', 'customer', 'k', 'upsert', 'delivered')"
    )
    with closing(sqlite3.connect(path)) as db, db:
        schema.MIGRATIONS.apply(Database(db, execute_plugins=False), stop_before="m011_lean")
        for _ in range(3):
            db.execute(ROW, ("upsert", "done", None, None, None, 1))
            db.execute(told)
        db.execute("DELETE FROM delivery")
        db.execute("DELETE FROM history WHERE id = 3")
    with closing(open_sqlite(path)) as store, store.writing() as tx:
        assert tx.execute(ROW, ("upsert", "done", None, None, None, 1)).lastrowid == 4
        assert tx.execute(told).lastrowid == 4
        counted = tx.execute("SELECT state, rows FROM delivery_count").fetchall()
        assert [tuple(row) for row in counted] == [("done", 1)]


def test_no_table_is_filled_to_check_what_is_written(desk):
    """As SQLite does for each row where a condition has a list of three or more."""
    written = [f"INSERT INTO {table} DEFAULT VALUES" for table in ("snapshot", "delivery", "link", "history")]
    with desk.store.reading() as view:
        for statement in (*written, "UPDATE delivery SET state = 'done', settled_at = 1 WHERE id = 1"):
            steps = [row["opcode"] for row in view.execute(f"EXPLAIN {statement}")]
            assert "Halt" in steps
            assert "OpenEphemeral" not in steps, statement


def test_a_migration_that_fails_leaves_nothing_half_done(tmp_path, monkeypatch):
    broken = Migrations("synccore")
    broken._migrations = [*schema.MIGRATIONS._migrations]

    @broken()
    def m999_broken(db):
        db.conn.execute("CREATE TABLE half (x)")
        raise RuntimeError("power cut")

    path = tmp_path / "a.db"
    open_sqlite(path).close()
    monkeypatch.setattr(schema, "MIGRATIONS", broken)
    monkeypatch.setattr(_releases, "RELEASES", (*NAMES, "m999_broken"))
    with pytest.raises(RuntimeError, match="power cut"):
        open_sqlite(path)
    monkeypatch.undo()
    open_sqlite(path).close()
    assert dump(path) == written(tmp_path / "b.db")


def test_a_database_of_today_is_told_without_what_would_migrate_it(tmp_path):
    path = tmp_path / "a.db"
    open_sqlite(path).close()
    with closing(sqlite3.connect(path)) as db:
        assert _releases.is_current(db)
        db.execute("DELETE FROM _sqlite_migrations WHERE name = ?", (NAMES[-1],))
        assert not _releases.is_current(db)
    with closing(sqlite3.connect(":memory:")) as new:
        assert not _releases.is_current(new)


def test_every_table_is_strict(desk):
    with closing(sqlite3.connect(desk.path)) as db:
        loose = db.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict "
            "AND name NOT LIKE 'sqlite_%' AND name <> '_sqlite_migrations'"
        ).fetchall()
    assert loose == []


def test_every_connection_is_durable_and_checks_references(desk):
    for ask, answer in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
        with desk.store._database.write() as tx:
            assert tx.execute(f"PRAGMA {ask}").fetchone()[0] == answer
        with desk.store._database.read() as view:
            assert view.execute(f"PRAGMA {ask}").fetchone()[0] == answer


def test_no_page_is_written_beside_the_file_while_many_rows_are(desk):
    """What undoes half a statement is kept in memory; what sorts or compacts a whole file is not."""
    with desk.store._database.write() as tx:
        assert tx.execute("PRAGMA temp_store").fetchone()[0] == 2
    with desk.store._database.exclusive() as connection:
        assert connection.execute("PRAGMA temp_store").fetchone()[0] == 0
    with desk.store._database.write() as tx:
        assert tx.execute("PRAGMA temp_store").fetchone()[0] == 2


ROW = (
    "INSERT INTO delivery (route, sink, source, entity, key, op, state, bulk, due_at, first_change_at, last_change_at, "
    "created_at, lease_token, lease_until, job, settled_at) "
    "VALUES ('r', 's', 'shop', 'customer', 'k', ?, ?, 0, 0, 0, 0, 0, ?, ?, ?, ?)"
)


@pytest.mark.parametrize(
    "values",
    [
        ("upsert", "lost", None, None, None, None),
        ("merge", "ready", None, None, None, None),
        ("event", "ready", None, None, None, None),
        ("upsert", "running", None, None, None, None),
        ("upsert", "ready", "t", 1, None, None),
        ("upsert", "running", "t", None, None, None),
        ("upsert", "submitted", None, None, None, None),
        ("upsert", "done", None, None, None, None),
        ("upsert", "parked", None, None, None, 1),
        ("upsert", "ready", None, None, "j", None),
    ],
)
def test_the_table_refuses_illegal_rows(desk, values):
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"), desk.store._database.write() as tx:
        tx.execute(ROW, values)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("upsert", "ready", None, None, None, None), ("delete", "ready", None, None, None, None)),
        (("upsert", "running", "a", 1, None, None), ("upsert", "running", "b", 1, None, None)),
        (("upsert", "running", "a", 1, None, None), ("upsert", "submitted", None, None, "j", None)),
    ],
)
def test_the_table_refuses_a_second_ready_or_running_row(desk, first, second):
    with desk.store._database.write() as tx:
        tx.execute(ROW, first)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), desk.store._database.write() as tx:
        tx.execute(ROW, second)


def test_a_database_of_a_newer_synccore_is_left_alone(tmp_path):
    path = tmp_path / "a.db"
    open_sqlite(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('synccore', 'm900_x', '')")
    with pytest.raises(ConfigError, match=r"newer synccore \(m900_x\): upgrade"):
        open_sqlite(path)


def test_a_database_of_the_first_release_goes_on_where_it_was(tmp_path):
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript((KEPT / "m004_rest.sql").read_text())
    with closing(open_sqlite(path)) as store:
        assert dump(path) == written(tmp_path / "new.db")
        link = store.link("people", "shop", "customer", "1")
        assert (link.remote_id, link.fields, link.left_out, link.shared) == ("R-1", {"name": "Ada"}, {}, 1)
        assert store.snapshot("shop", "customer", "1").version == 4
        assert [h.outcome for h in store.history(key="1")] == ["received", "delivered", "received"]
        assert store.lane("crm").reason == "holiday"
        assert store.get_cursor("shop", "poll:customer") == "7"
        assert [job.job for job in store.jobs("crm")] == ["J"]
        # Everything owed is still owed, once.
        open_rows = {f"{d.route} {d.event_id or d.key} {d.state}" for d in store.deliveries(limit=None)}
        assert {"people 2 parked", "people 1 running", "orders o1 submitted", "facts e2 running"} <= open_rows
        with store.reading() as view:
            fates = view.execute("SELECT event, outcome FROM event_route ORDER BY event").fetchall()
            assert [tuple(row) for row in fates] == [(1, "done"), (2, None)]
