"""What `status` and `log` say beside what the simulation knows, and what is left of who was forgotten."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

from synccore._verbs.log import Wanted, trail
from synccore._verbs.status import status
from synccore.store._convert import to_ms

from .targets import Google
from .world import World

__all__ = ["left_over", "remains", "standing", "told"]

#: What `status` counts -> the states of the rows that it means.
COUNTED = {"ready": ("ready",), "running": ("running", "submitted"), "parked": ("parked",)}
ROWS = "SELECT sink, route, state, count(*) AS rows FROM delivery GROUP BY sink, route, state"
#: So long at most a call that is not full waits for what may come, after the one before it.
LINGER = timedelta(seconds=1)
#: What could go when a round began, and its target was not waited for then.
DUE = """
SELECT DISTINCT sink FROM delivery d WHERE state = 'ready' AND blocked = 0 AND max(due_at, last_change_at) <= :due
    AND NOT EXISTS (SELECT 1 FROM lane l WHERE l.sink = d.sink AND l.until > :began)
"""
HELD = "SELECT sink FROM hold WHERE until > ?"
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


def standing(world: World) -> Iterator[str]:
    """At any moment: whether `status` counts what there is, and says what is held, by the operator or by itself."""
    with world.aside():
        said, now = status(world.app), world.machine.now()
        with world.store.peek() as view:
            rows = view.execute(ROWS).fetchall()
            idle = {row["sink"] for row in view.execute(HELD, (to_ms(now),))}
            if world.worked is not None:
                moments = {"due": to_ms(world.worked - LINGER), "began": to_ms(world.worked)}
                idle |= {row["sink"] for row in view.execute(DUE, moments)}
    there: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        for kind, name in (("sinks", row["sink"]), ("routes", row["route"])):
            there[kind, name, row["state"]] += row["rows"]
    for kind in ("sinks", "routes"):
        for name, document in said[kind].items():
            for word, states in COUNTED.items():
                if document[word] != (number := sum(there[kind, name, state] for state in states)):
                    yield f"status: {document[word]} {word} of {name}, and there are {number}"
    for name, document in {**said["sources"], **said["sinks"]}.items():
        if (name in world.heard.held) != (document["state"] == "paused"):
            yield f"status: {name} is {document['state']}, and the operator holds {sorted(world.heard.held)}"
        if name in idle and document["state"] == "ok" and document["reason"] is None:
            yield f"status: {name} is ok, and does not do what it could"


def told(world: World) -> Iterator[str]:
    """At the end: whether a target wrote something while that was done which is called delivered."""
    lines = trail(world.app, Wanted(), None)
    in_jobs = {line.delivery_id for line in lines if line.outcome == "submitted"}
    for line in lines:
        if line.outcome != "delivered" or line.delivery_id in in_jobs:
            continue
        began = line.at - timedelta(milliseconds=line.duration_ms or 0)
        if not any(began <= at <= line.at for at in world.heard.writes[line.sink]):
            yield f"log: {line.entity} {line.key} delivered to {line.sink} at {line.at}, which wrote nothing then"


def left_over(world: World) -> Iterator[str]:
    """What nobody needs any more once every listing has come to its end, and what would be more each day."""
    if world.store.backfills():
        return
    with world.store.peek() as view:
        for row in view.execute("SELECT name, entity, key FROM sweep_seen").fetchall():
            yield f"comparison {row['name']} is over, and {row['entity']} {row['key']} is marked for it"
    for name in world.store.cursors("shop"):
        if name.startswith(("reconcile:", "backfill:")):
            yield f"no listing goes on from {name}"


def remains(world: World) -> Iterator[str]:
    """Whether anything here has the address of somebody who was forgotten, or is of their accounts. What the owner of
    an address book typed in is theirs, and the index is a copy of that book."""
    if not world.forgotten:
        return
    keys = {key for email in world.forgotten for key in world.erased[email]} - set(map(str, world.shop.customers))
    typed = {email for target in world.targets.values() if isinstance(target, Google) for email in target.typed}
    found: defaultdict[str, set[str]] = defaultdict(set)
    with world.store.peek() as view:
        for table in [row["name"] for row in view.execute(TABLES).fetchall()]:
            for row in view.execute(f"SELECT * FROM {table}").fetchall():  # noqa: S608  names of tables
                values = dict(row)
                text = "\n".join(map(str, values.values()))
                gone = world.forgotten - typed if table == "plugin_state" else world.forgotten
                found[table] |= {email for email in gone if email in text}
                if values.get("entity") == "customer" and values.get("key") in keys:
                    found[table].add(f"customer {values['key']}")
    yield from (f"{', '.join(sorted(who))} was forgotten, and is in {table}" for table, who in found.items() if who)
