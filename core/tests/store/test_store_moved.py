"""A file that is moved away at the worst moment."""

from contextlib import closing

import pytest

from synccore._store._database import Database
from synccore._store.sqlite import open_sqlite, restore_sqlite
from synccore.store import StoreError


def test_a_file_moved_while_a_connection_is_opened_is_not_made_anew(tmp_path, monkeypatch):
    path = tmp_path / "synccore.db"
    database = Database(path)
    looked = database._still_there

    def moved_after_the_look():
        looked()
        monkeypatch.undo()
        path.rename(tmp_path / "elsewhere.db")

    monkeypatch.setattr(database, "_still_there", moved_after_the_look)
    with pytest.raises(StoreError, match="is not there any more"), database.read():
        pass
    assert not path.exists()
    database.close()


def test_a_command_makes_no_new_database_beside_the_log_of_one_that_was_moved(tmp_path):
    path = tmp_path / "synccore.db"
    with closing(open_sqlite(path)) as daemon:
        daemon.state("x").put({"a": "b"})
        path.rename(tmp_path / "elsewhere.db")
        with pytest.raises(StoreError, match="Put it back"):
            open_sqlite(path)
        assert not path.exists()
        (tmp_path / "elsewhere.db").rename(path)
        assert daemon.state("x").get("a") == "b"
        with closing(open_sqlite(path)) as command:
            assert command.state("x").get("a") == "b"


def test_a_restored_copy_is_not_given_the_log_of_the_one_that_was_lost(tmp_path):
    path, copy = tmp_path / "synccore.db", tmp_path / "copy.db"
    with closing(open_sqlite(path)) as daemon:
        daemon.state("x").put({"a": "old"})
        daemon.backup(copy)
        daemon.state("x").put({"a": "new"})
        log = (tmp_path / "synccore.db-wal").read_bytes()
    path.unlink()
    (tmp_path / "synccore.db-wal").write_bytes(log)
    assert restore_sqlite(copy, path) is None
    assert not (tmp_path / "synccore.db-wal").exists()
    with closing(open_sqlite(path)) as restored:
        assert restored.state("x").get("a") == "old"
