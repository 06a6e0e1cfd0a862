"""Looking at a little costs little, however much else there is: counted in steps of SQLite's machine, not in time."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from synccore.store import HistoryEntry
from synccore.store._convert import to_ms

LOOKS = {
    "the last hour": {"since": True},
    "a sink's last hour": {"since": True, "sink": "crm"},
    "a record at a sink": {"key": "new", "sink": "crm"},
    "a record's last hour": {"key": "new", "since": True},
    "a person at a sink": {"keys": [("shop", "new")], "sink": "crm"},
    "what was added": {"after_id": True, "sink": "crm"},
    "the newest": {"limit": 1},
}


def line(key, at):
    values = {"route": "people", "sink": "crm", "source": "shop", "entity": "customer", "op": "upsert"}
    return HistoryEntry(at=at, key=key, outcome="delivered", **values)


def steps(desk, look):
    """Tens of steps that looking took."""
    newest = max(entry.id for entry in desk.store.history())
    wanted = dict(look)
    if "since" in wanted:
        wanted["since"] = desk.now - timedelta(hours=1)
    if "after_id" in wanted:
        wanted["after_id"] = newest - 1
    taken = 0

    def count():
        nonlocal taken
        taken += 1

    # The connection comes back to the pool, and the next look borrows it.
    with desk.store.reading() as view:
        view.set_progress_handler(count, 10)
    assert [entry.key for entry in desk.store.history(**wanted)] == ["new"]
    with desk.store.reading() as view:
        view.set_progress_handler(None, 0)
    return taken


@pytest.mark.parametrize("name", sorted(LOOKS))
def test_a_look_at_the_trail_costs_the_same_however_long_it_is(desk, name):
    old = desk.now - timedelta(days=30)
    desk.store.overtaken((), [line("old", old)] * 20 + [line("new", desk.now)])
    short = steps(desk, LOOKS[name])
    with closing(sqlite3.connect(desk.path)) as db, db:
        db.execute("UPDATE history SET key = 'old', at = ? WHERE key = 'new'", (to_ms(old),))
    desk.store.overtaken((), [line("old", old)] * 2000 + [line("new", desk.now)])
    assert steps(desk, LOOKS[name]) <= short * 2 + 5
