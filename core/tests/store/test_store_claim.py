"""Who is served next, and what a claim costs."""

import re
import sqlite3

import pytest

from synccore.store import hinting, sql
from synccore.store._rules import claim, namesakes, returning, takeover


def test_an_idle_claim_takes_no_write_lock(desk):
    other = sqlite3.connect(desk.path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        assert desk.claim() == []
        assert desk.store.rescue(desk.now) == 0
    finally:
        other.close()


HOT = (
    *("CLAIM_HEAD", "CLAIM_NTH", "CLAIM_ROWS", "LEASE", "BLOCK_OTHERS", "DUE", "NEXT_DUE", "HELD", "READY", "OWE"),
    *("OLDER_PARKED", "LEASED", "OVERDUE", "WAKE", "REFRESH_BLOCKED", "REFRESH_OWNER", "OWE_EVENT", "OWE_ANYWAY"),
    *("HINTS", "SINKS_OF", "END_AWAIT", "MOVE_OWNED_EVENTS", "HAND_ON_BEFORE", "BEHIND_NEWER", "GIVE_BACK"),
    *("CLAIMED", "BEFORES", "END", "END_DOUBT", "SUPERSEDING", "REFRESH_BEHIND", "WAITED_FOR", "SNAPSHOTS", "STATES"),
    *("FORMER_EMAIL", "BEHIND_A_NAMESAKE", "MOVING", "UNTOLD"),
)


@pytest.mark.parametrize("name", sorted(HOT))
def test_no_hot_statement_walks_the_outbox(desk, name):
    """Every step looks rows up by an index; nothing scans or sorts what grows with the number of open rows."""
    values = {"nth": 4, "size": 10, "limit": 5, "now": 0, "bulk": 0, "ids": "[1]", "id": 1, "until": 1, "event": 1}
    texts = ("sink", "route", "source", "entity", "key", "token")
    statement = next(
        getattr(part, name) for part in (sql, hinting, claim, takeover, returning, namesakes) if hasattr(part, name)
    )
    db = sqlite3.connect(desk.path)
    try:
        named = dict.fromkeys(re.findall(r":(\w+)", statement), "x") | values | dict.fromkeys(texts, "x")
        plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + statement, named).fetchall()]
    finally:
        db.close()
    allowed = ("SCAN json_each", "SCAN j VIRTUAL", "SCAN CONSTANT ROW", "SCAN (subquery", "SCAN counted")
    walks = [step for step in plan if step.startswith("SCAN") and not step.startswith(allowed)]
    assert walks == [], plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


def test_who_gives_an_address_up_is_found_among_the_few_who_do(desk):
    db = sqlite3.connect(desk.path)
    try:
        values = {"source": "x", "entity": "x", "keys": "[]", "routes": "[]"}
        plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + namesakes.BEHIND_A_HANDOVER, values).fetchall()]
    finally:
        db.close()
    assert sum("delivery_former_email (former_email=?)" in step for step in plan) == 2, plan
    assert not any(
        step.startswith("SCAN") and not re.match(r"SCAN (j|json_each|g|b|o|behind|before)\b", step) for step in plan
    )


def test_whose_place_a_record_took_is_not_looked_for_among_all(desk):
    """After a crash it is asked for each record of a batch: ten thousand walks outlast the time one delivery has."""
    db = sqlite3.connect(desk.path)
    try:
        plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql.TAKEN_OVER, ("x", "x", "x")).fetchall()]
    finally:
        db.close()
    assert all("snapshot_replaced" in step for step in plan), plan
