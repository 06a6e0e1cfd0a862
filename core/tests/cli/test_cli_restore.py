"""`db restore`: the target holds what the backup knows nothing of, and nobody is made twice."""

import sqlite3

import pytest

from synccore.testing import customer


def people(world, *numbers, name="Ada"):
    world.source.put(*(customer(str(n), email=f"p{n}@shop.test", first_name=name) for n in numbers))


@pytest.fixture
def found(world, monkeypatch):
    """The CRM finds its records by their address, as a real one does."""

    def lookup(operations):
        from synccore.types import Link

        held = {fields["email"]: rid for rid, fields in world.crm.records.items()}
        return [
            Link(object="thing", remote_id=held[o.fields["email"]]) if o.fields["email"] in held else None
            for o in operations
        ]

    monkeypatch.setattr(world.crm, "lookup", lookup)


def emails(world):
    return sorted(fields["email"] for fields in world.crm.records.values())


def restored(world, code=0):
    return world.json("db", "restore", world.folder / "before.db", "--yes", code=code)


def test_what_was_made_since_the_backup_is_found_and_not_made_again(world, found):
    people(world, 1, 2)
    world.deliver()
    world.run("db", "backup", world.folder / "before.db")
    people(world, 2, name="Augusta")
    people(world, 3, 4)
    world.deliver()
    made = dict(world.crm.records)
    assert len(made) == 4
    document = restored(world)
    assert document["compared"] == ["shop customer", "shop order"]
    people(world, 5)
    world.deliver()
    assert emails(world) == [f"p{n}@shop.test" for n in range(1, 6)]
    assert made.keys() <= world.crm.records.keys()
    assert [f["name"] for f in world.crm.records.values() if f["email"] == "p2@shop.test"] == ["Augusta"]
    assert world.json("verify", "people")["ok"]


def test_what_was_owed_when_the_copy_was_made_asks_first_too(world, found):
    people(world, 1)
    world.run("run", "--once", "--timeout", "1s")
    people(world, 2)
    world.run("lanes", "pause", "crm")
    world.run("run", "--once", code=0)
    world.run("db", "backup", world.folder / "before.db")
    world.run("lanes", "resume", "crm")
    world.deliver()
    assert len(world.crm.records) == 2
    assert restored(world)["doubtful"] == 1
    world.run("lanes", "resume", "crm")
    world.deliver()
    assert emails(world) == ["p1@shop.test", "p2@shop.test"]


def test_after_a_comparison_new_records_are_made_without_asking(world, found, monkeypatch):
    people(world, 1)
    world.deliver()
    world.run("db", "backup", world.folder / "before.db")
    restored(world)
    world.deliver()
    asked = []
    real = world.crm.lookup
    monkeypatch.setattr(world.crm, "lookup", lambda operations: asked.append(len(operations)) or real(operations))
    people(world, 2)
    world.deliver()
    assert asked == []


def test_the_replaced_database_is_kept(world):
    people(world, 1)
    world.deliver()
    world.run("db", "backup", world.folder / "before.db")
    people(world, 2)
    world.deliver()
    kept = restored(world)["kept"]
    with sqlite3.connect(kept) as old:
        assert old.execute("SELECT count(*) FROM link").fetchone() == (2,)
    old.close()
    assert (world.folder / "synccore.db").stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in world.folder.glob("*restoring*")) == []


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: path.write_bytes(b"not a database at all" * 100), "cannot be read as a database"),
        (
            lambda path: sqlite3.connect(path).executescript("create table t (x); insert into t values (1)").close(),
            "no database of synccore",
        ),
        (lambda path: path.write_bytes(b""), "no database of synccore"),
    ],
)
def test_what_is_no_backup_changes_nothing(world, write, says):
    people(world, 1)
    world.deliver()
    write(world.folder / "before.db")
    result = world.run("db", "restore", world.folder / "before.db", "--yes", code=3)
    assert says in result.output
    assert world.json("verify", "people")["in"] == 1


def test_not_under_a_running_daemon(world):
    from synccore._store.sqlite import open_sqlite

    people(world, 1)
    world.deliver()
    world.run("db", "backup", world.folder / "before.db")
    store = open_sqlite(world.folder / "synccore.db")
    try:
        with store.daemon_lock():
            assert "daemon" in world.run("db", "restore", world.folder / "before.db", "--yes", code=3).output
    finally:
        store.close()


def test_nobody_answers_without_a_terminal(world):
    people(world, 1)
    world.deliver()
    world.run("db", "backup", world.folder / "before.db")
    assert "--yes" in world.run("db", "restore", world.folder / "before.db", code=2).output


def test_a_lost_database_comes_back(world, found):
    people(world, 1)
    world.deliver()
    world.run("db", "backup", world.folder / "before.db")
    people(world, 2)
    world.deliver()
    for name in ("synccore.db", "synccore.db-wal", "synccore.db-shm"):
        (world.folder / name).unlink(missing_ok=True)
    assert restored(world)["kept"] is None
    world.deliver()
    assert emails(world) == ["p1@shop.test", "p2@shop.test"]
