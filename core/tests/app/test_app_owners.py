"""Files that root made in a service's folder are told, by the owners that the file system itself has."""

import os

import pytest

from synccore._app.owners import foreign_files, root_warning

SERVICE = 54321
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def database(tmp_path):
    folder = tmp_path / "service"
    folder.mkdir()
    path = folder / "synccore.db"
    (folder / "synccore.db.locks").mkdir()
    for file in (path, folder / "synccore.db.key", folder / "synccore.db.locks" / "daemon"):
        file.touch()
    for file in (folder, *folder.rglob("*")):
        os.chown(file, SERVICE, -1)
    return path


def test_what_root_made_is_named_with_whose_it_should_be(database):
    assert list(foreign_files(database)) == []
    os.chown(database.with_name("synccore.db.key"), 0, -1)
    os.chown(database.parent / "synccore.db.locks" / "daemon", 0, -1)
    found = [(path.name, whose, owner) for path, whose, owner in foreign_files(database)]
    assert found == [("synccore.db.key", "root", f"user {SERVICE}"), ("daemon", "root", f"user {SERVICE}")]


def test_root_is_told_before_it_makes_anything(database):
    assert "sudo -u" in root_warning(database, 0)
    assert root_warning(database, SERVICE) is None
    database.unlink()
    assert "sudo -u" in root_warning(database, 0)


def test_root_at_home_is_told_nothing(tmp_path):
    assert root_warning(tmp_path / "synccore.db", 0) is None
    assert root_warning(None, 0) is None


def test_a_folder_that_the_service_cannot_even_look_into_is_named(database, monkeypatch):
    locks = database.parent / "synccore.db.locks"
    os.chown(locks, 0, -1)

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(locks), "iterdir", refused)
    assert [path.name for path, _, _ in foreign_files(database)] == ["synccore.db.locks"]
