"""Verbs that only need the store work whatever else is wrong in the configuration, and survive a lost key."""

import pytest

from synccore._cli._session import Session
from synccore.errors import ConfigError
from synccore.testing import customer
from synccore.types import Defaults, ObjectType

from .test_cli_connect import connect, vault

WRONG = {"crm": {"type": "crm", "key": {"env": "NOT_SET_ANYWHERE"}}}


@pytest.fixture
def half(world):
    """A delivered record, and then a setting that cannot be read."""
    world.source.put(customer("12"))
    world.deliver()
    world.write(sinks=WRONG)
    assert "NOT_SET_ANYWHERE" in world.run("check", code=3).stderr
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
    assert "no lane is called 'crn'; did you mean crm?" in half.run("lanes", "pause", "crn", code=2).stderr


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


# -- looking


@pytest.mark.parametrize("verb", [("status",), ("preview", "people", "12")], ids=" ".join)
def test_looking_needs_no_secret_of_a_vendor(half, verb):
    assert "NOT_SET_ANYWHERE" not in half.run(*verb).output


def test_looking_shows_the_target_s_own_record_only_with_its_secret(half):
    assert "NOT_SET_ANYWHERE" in half.run("preview", "people", "12", "--live", code=3).stderr


def test_a_route_that_only_its_sink_can_read_waits_for_the_secret_and_nothing_is_called_wrong(world):
    """What may be written depends on the sink's settings, and it does not open without its key."""
    thing = Defaults(fields={"email": "'a@shop.test'"})
    world.crm.own_objects = (ObjectType(name="thing", summary="", defaults={"customer": thing, "order": thing}),)
    orders = {"source": "shop", "entity": "order", "sink": "crm", "object": "thing"}
    world.write(sinks=WRONG, routes={**world.config["routes"], "orders": orders})
    world.source.put(customer("12"))
    world.run("run", "--once", "--wait", environ={"NOT_SET_ANYWHERE": "key"})
    lacks = "orders: needs the secret of sinks.crm to be read, and the environment variable NOT_SET_ANYWHERE is not set"
    told = world.run("status")
    assert lacks in told.stderr
    assert "wrong" not in told.output
    assert lacks in world.run("preview", "orders", "1", code=3).stderr
    assert "sinks.crm: needs its secret" in world.run("preview", "people", "1", code=3).stderr
    assert world.run("status", environ={"NOT_SET_ANYWHERE": "key"}).stderr == ""


def test_a_sink_that_does_not_open_is_blamed_and_not_its_routes(world):
    orders = {"source": "shop", "entity": "order", "sink": "crm", "object": "thing"}
    world.write(sinks={"crm": {"type": "crm"}}, routes={**world.config["routes"], "orders": orders})
    world.crm.broken = "the region is none"
    told = world.run("run", "--once", code=3).stderr
    assert "routes.orders: cannot be read, for sinks.crm cannot be opened: the region is none" in told
    assert "default mapping" not in told


@pytest.fixture
def running(world):
    """A delivered record, and a daemon in this process that works with the file as it is now."""
    world.source.put(customer("12"))
    world.deliver()
    session = Session({"SYNCCORE_CONFIG": str(world.path)}, plugins=world.plugins(), clock=world.clock)
    with session.open() as app, app.store.daemon_lock():
        app.running.began(app.path.read_text(), app.clock.now())
        yield world


@pytest.mark.parametrize(
    "verb",
    [
        ("status",),
        ("log",),
        ("deliveries", "list"),
        ("deliveries", "retry", "--all"),
        ("lanes", "list"),
        ("preview", "people", "12"),
    ],
    ids=" ".join,
)
def test_a_broken_file_stops_nobody_who_looks_while_a_daemon_runs(running, verb):
    running.path.write_text(running.path.read_text() + "\n[sinks.crm\n")
    told = running.run(*verb)
    assert "Shown is what the running daemon works with" in told.stderr
    assert "synccore.toml" in told.stderr


def test_a_mistake_elsewhere_is_left_out_and_told_while_a_daemon_runs(running):
    running.write(sinks={"crm": {"type": "crm"}, "other": {"type": "crm", "regoin": "eu"}})
    told = running.run("status", code=1)  # nobody reached the new one yet
    assert "left out, because it is wrong: sinks.other.regoin" in told.stderr
    assert "crm" in told.stdout


def test_a_route_with_a_mistake_is_not_called_one_that_left(running):
    running.path.write_text(running.path.read_text() + '\n[routes.people.fields]\nname = "customer.nobody"\n')
    told = running.run("status").stderr
    assert "left out, because it is wrong: routes.people.fields" in told
    assert "not configured any more" not in told


def test_without_a_daemon_a_broken_file_is_the_only_truth(world):
    world.deliver()
    world.path.write_text(world.path.read_text() + "\n[sinks.crm\n")
    for verb in (("status",), ("lanes", "list")):
        assert "synccore.toml" in world.run(*verb, code=3).stderr


def test_another_file_than_the_daemon_s_is_told(running):
    assert "synccore reload" not in running.run("status").stderr
    running.path.write_text("# only a remark\n" + running.path.read_text())
    assert "synccore reload" not in running.run("status").stderr
    running.write(synccore={"retention": "30d"})
    assert "synccore reload makes it read the file" in running.run("status").stderr
