"""Databases that earlier code made: they open, go on where they were, and survive a crash in the middle of it."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from synccore._cli import cli
from synccore._store import schema
from synccore._store._releases import RELEASES
from synccore._store.sqlite import open_sqlite
from synccore.store import ClaimRule, Settlement

KEPT = sorted(Path(__file__).with_name("releases").glob("*.sql"))
#: The first was made by hand, before there was `make.py`: `test_store_schema` looks at what is in it.
MADE = KEPT[1:]
LATER = datetime(2027, 1, 1, tzinfo=UTC)


def restored(kept: Path, path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(kept.read_text(encoding="utf-8"))
    return path


def content(path: Path) -> list[str]:
    """Tables and rows, whenever they were migrated."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE _sqlite_migrations SET applied_at = ''")
        return sorted(db.iterdump())


def test_one_is_kept_for_the_newest_migration():
    assert KEPT[-1].stem == RELEASES[-1], "run core/tests/store/releases/make.py with the code that is released"


@pytest.mark.parametrize("kept", MADE, ids=lambda p: p.stem)
def test_an_older_database_goes_on_where_it_was(tmp_path, kept):
    with closing(open_sqlite(restored(kept, tmp_path / "old.db"))) as store:
        link = store.link("people", "shop", "customer", "1")
        assert (link.remote_id, link.fields) == ("R-1", {"name": "Ada"})
        assert store.get_cursor("shop", "poll:customer") == "7"
        assert [job.job for job in store.jobs("crm")] == ["J"]
        states = {f"{d.route} {d.event_id or d.key} {d.state}" for d in store.deliveries(limit=None)}
        assert states >= {"people 2 parked", "people 3 submitted", "people 4 running", "people 5 ready"}
        store.rescue(LATER, all_running=True)
        rules = [ClaimRule(route=r, max_batch=10, bulk_batch=10, bulk_threshold=99) for r in ("people", "facts")]
        told = []
        for n in range(4):
            for row in store.claim("crm", rules, LATER + timedelta(minutes=n), timedelta(minutes=2), f"token {n}"):
                told.append(row.event_id or row.key)
                store.settle([Settlement(delivery_id=row.id, token=row.lease_token, to="done")], LATER)
        assert sorted(told) == ["1", "4", "5", "e2"]


class Mortal(sqlite3.Connection):
    """Dies at the statement whose turn it is."""

    fuse = -1

    def execute(self, *statement):
        self.fuse -= 1
        if self.fuse == 0:
            raise KeyboardInterrupt
        return super().execute(*statement)


def test_a_process_may_die_at_any_statement_of_a_migration(tmp_path):
    whole = restored(KEPT[0], tmp_path / "whole.db")
    open_sqlite(whole).close()
    moment, died = 1, True
    while died:
        path = restored(KEPT[0], tmp_path / f"{moment}.db")
        with closing(sqlite3.connect(path, factory=Mortal, isolation_level=None)) as db:
            db.fuse = moment
            try:
                schema.migrate(db)
                died = False
            except KeyboardInterrupt:
                pass
        open_sqlite(path).close()
        assert content(path) == content(whole), f"it died at statement {moment}"
        moment += 5
    assert moment > 50, "nothing was enumerated"


def test_a_database_of_newer_code_is_refused_in_words(tmp_path):
    (tmp_path / "synccore.toml").write_text('[synccore]\ndatabase = "new.db"\n')
    path = restored(KEPT[-1], tmp_path / "new.db")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('synccore', 'm900_x', '')")
    before = content(path)
    ended = CliRunner().invoke(cli, ["-c", str(tmp_path / "synccore.toml"), "status"])
    assert ended.exit_code == 3
    assert "newer synccore (m900_x): upgrade synccore" in ended.output
    assert content(path) == before
