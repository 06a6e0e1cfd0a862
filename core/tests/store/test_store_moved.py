"""A file that is moved away at the worst moment."""

import pytest

from synccore._store._database import Database
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
