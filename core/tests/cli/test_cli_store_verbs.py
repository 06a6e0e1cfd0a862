"""Verbs that only need the store work whatever else is wrong in the configuration, and survive a lost key."""

import pytest

from synccore.errors import ConfigError
from synccore.testing import customer

from .test_cli_connect import connect, vault

WRONG = {"crm": {"type": "crm", "key": {"env": "NOT_SET_ANYWHERE"}}}


@pytest.fixture
def half(world):
    """A delivered record, and then a setting that cannot be read."""
    world.source.put(customer("12"))
    world.deliver()
    world.write(sinks=WRONG)
    assert "NOT_SET_ANYWHERE" in world.run("status", code=3).stderr
    return world


@pytest.mark.parametrize(
    "verb",
    [
        ("secret", "list"),
        ("db", "migrate"),
        ("db", "prune"),
        ("plugins", "list"),
        ("lanes", "list"),
        ("lanes", "pause", "crm"),
        ("lanes", "resume", "crm"),
        ("deliveries", "list", "--sink", "crm"),
        ("deliveries", "retry", "--all"),
        ("log", "--sink", "crm"),
    ],
    ids=" ".join,
)
def test_a_variable_that_is_not_set_stops_only_what_needs_it(half, verb):
    half.run(*verb)


def test_a_secret_can_be_stored_before_the_configuration_is_whole(half):
    half.run("secret", "set", "crm_key", input="k-1\n")
    half.write(sinks={"crm": {"type": "crm", "key": {"secret": "crm_key"}}})
    half.run("status")


def test_a_backup_needs_no_flawless_configuration(half, tmp_path):
    half.run("db", "backup", tmp_path / "copy.db")
    assert (tmp_path / "copy.db").stat().st_size


def test_a_mistake_in_the_store_s_own_section_is_still_told(half):
    half.write(synccore={"databse": "x.db"})
    assert "databse" in half.run("lanes", "list", code=3).stderr
    assert not (half.folder / "x.db").exists()


def test_names_are_checked_against_the_file(half):
    assert "no sink is called 'crn'; did you mean crm?" in half.run("lanes", "pause", "crn", code=2).stderr


def test_a_configuration_in_a_closed_directory_is_a_configuration_error(world, monkeypatch):
    def closed(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.is_file", closed)
    assert "cannot be read: Permission denied" in world.run("status", code=3).stderr


# -- the key


def key_file(world):
    (found,) = world.folder.glob("*.key")
    return found


def test_a_lost_key_is_told_and_not_replaced_by_reading(world):
    connect(world)
    key = key_file(world)
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(ConfigError, match="is missing, and what it encrypted cannot be opened"):
        vault(world)
    assert not key.exists()
    key.write_bytes(kept)
    key.chmod(0o600)
    assert vault(world) == {"crm/token": "grant-1"}


def test_connecting_again_works_after_the_key_was_lost(world):
    connect(world)
    key_file(world).unlink()
    connect(world, landed="http://127.0.0.1:1/?code=grant-2&state=s1\n")
    assert vault(world) == {"crm/token": "grant-2"}


def test_a_new_key_is_whole_and_private(world):
    world.run("secret", "set", "one", input="x")
    assert key_file(world).stat().st_mode & 0o777 == 0o600
    assert len(key_file(world).read_bytes()) == 44
    assert not list(world.folder.glob(".*"))
