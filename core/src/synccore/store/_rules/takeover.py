"""A record takes another one's place: an account that of the guest it was."""

from collections.abc import Mapping
from typing import Any

from .. import codec, sql
from ..engine import Row, Transaction
from ..rows import DirtyRule, Rules
from .hanging import hanging
from .owing import Slot, end_event, owe, refresh, slot_of, tell
from .pen import Pen

__all__ = ["MOVE_OWNED_EVENTS", "move"]

#: Its links, unless the new one has one of its own on the route, or what was sent may have made that.
MOVE_LINKS = """
UPDATE link SET key = :new WHERE source = :source AND entity = :entity AND key = :old AND NOT EXISTS (
    SELECT 1 FROM link o WHERE o.route = link.route AND o.source = :source AND o.entity = :entity AND o.key = :new)
    AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.route = link.route AND o.source = :source AND o.entity = :entity
        AND o.key = :new AND o.settled_at IS NULL AND o.event IS NULL
        AND (o.maybe_applied = 1 OR o.state IN ('running', 'submitted')))
RETURNING route
"""

#: Whoever has it has the address there that both have now: what it had before stands nowhere.
NOWHERE_ELSE = """
UPDATE delivery SET former_email = NULL WHERE source = :source AND entity = :entity AND key = :new
    AND settled_at IS NULL AND event IS NULL AND former_email IS NOT NULL
    AND route IN (SELECT value FROM json_each(:taken))
"""

#: ... what is under way, unless something of the new key is, or may have been: what it makes would take its place.
MOVE_UNDER_WAY = """
UPDATE delivery SET key = :new WHERE source = :source AND entity = :entity AND key = :old AND settled_at IS NULL
    AND state IN ('running', 'submitted') AND NOT EXISTS (
        SELECT 1 FROM delivery o WHERE o.source = :source AND o.entity = :entity AND o.key = :new
            AND o.settled_at IS NULL AND o.sink = delivery.sink AND (o.state IN ('running', 'submitted')
                OR o.route = delivery.route AND o.event IS NULL AND o.maybe_applied = 1))
    AND NOT EXISTS (SELECT 1 FROM link o WHERE o.route = delivery.route AND o.source = :source
        AND o.entity = :entity AND o.key = :new)
"""

#: ... and what it waits for.
MOVE_AWAITED = """
INSERT INTO awaited (source, entity, key, hint_entity, hint_key)
SELECT source, entity, :new, hint_entity, hint_key FROM awaited
WHERE source = :source AND entity = :entity AND key = :old ON CONFLICT DO NOTHING
"""

#: The open events of an owner belong to another one now.
MOVE_OWNED_EVENTS = """
UPDATE delivery SET owner_key = :new WHERE source = :source AND owner_entity = :entity AND owner_key = :old
    AND settled_at IS NULL RETURNING *
"""

#: Routes on which the old key has, or may have, a record of its own beside that of the new one; `doubt` where nobody
#: knows what came of its create.
_BESIDE = """
SELECT route, max(doubt) AS doubt FROM (
    SELECT l.route, 0 AS doubt FROM link l WHERE l.source = :source AND l.entity = :entity AND l.key = :old
    UNION ALL SELECT d.route, CASE WHEN d.state IN ('ready', 'parked') THEN 1 ELSE 0 END FROM delivery d
    WHERE d.source = :source AND d.entity = :entity AND d.key = :old AND d.settled_at IS NULL AND d.event IS NULL
        AND (d.state IN ('running', 'submitted') OR d.maybe_applied = 1 AND EXISTS (SELECT 1 FROM link o
            WHERE o.route = d.route AND o.source = d.source AND o.entity = d.entity AND o.key = :new))) found
GROUP BY route
"""

_OWNED = "source = :source AND owner_entity = :entity AND owner_key = :old"
_OLD = "source = :source AND entity = :entity AND key = :old"
#: Sinks at which the old key has a record of its own.
_LEFT = f"SELECT sink FROM link WHERE {_OLD}"  # noqa: S608  own constant


def move(tx: Pen, known: Row, key: str, rules: Rules, *, now: int, known_at: int) -> list[str]:
    """What belonged to the snapshot `known` is the record's with this key from now on; the routes on which it took that
    one's twin over.

    A key that has a record of its own at a target keeps that one: there the other one goes, once what hangs on it has
    moved, and the person stands there once.
    """
    source, entity = known["source"], known["entity"]
    where = {"source": source, "entity": entity, "old": known["key"], "new": key, "now": now}
    # What is under way goes on under the new key, so that the account is not sent beside it.
    tx.execute(MOVE_UNDER_WAY, where)
    taken = [row["route"] for row in tx.execute(MOVE_LINKS, where).fetchall()]
    if taken:
        tx.execute(NOWHERE_ELSE, where | {"taken": codec.dump_json(taken)})
    for table in ("snapshot", "event"):
        tx.execute(f"UPDATE {table} SET owner_key = :new WHERE {_OWNED}", where)  # noqa: S608  constant text
    beside = {row["route"]: int(row["doubt"]) for row in tx.execute(_BESIDE, where)}
    left = {row["sink"] for row in tx.execute(_LEFT, where)} if beside else ()
    hang = hanging(tx, source, entity, [key], left) if left else ()
    _move_owed(tx, where, f"taken over by {entity} {key}")
    tx.execute(
        "UPDATE snapshot SET replaced_by = :new WHERE source = :source AND entity = :entity AND replaced_by = :old",
        where,
    )
    gone = {"id": known["id"], "version": None, "replaced_by": key, "changed_at": now, "known_at": known_at, "now": now}
    tx.execute(sql.BURY_SNAPSHOT, gone)
    sinks = tx.execute(
        "SELECT DISTINCT sink FROM delivery WHERE source = :source AND entity = :entity AND key = :new "
        "AND settled_at IS NULL",
        where,
    ).fetchall()
    slots = [Slot(row["sink"], source, entity, key) for row in sinks]
    # The guest's events stand in one row with the account's now.
    owned = tx.execute(MOVE_OWNED_EVENTS, where).fetchall()
    refresh(tx, slots + [slot_of(row) for row in owned])
    for row in hang:
        for rule in _own(rules, row["entity"], row["route"]):
            owe(tx, rule, source, row["key"], "upsert", bulk=False, now=now)
    for route, doubt in beside.items():
        for rule in _own(rules, entity, route):
            owe(tx, rule, source, known["key"], "delete", bulk=False, now=now, doubt=doubt)
    return taken


def _own(rules: Rules, entity: str, route: str) -> list[DirtyRule]:
    """What a change of such a record owes its own route."""
    return [rule for rule in rules.get(entity, ()) if rule.route == route and rule.target == "self"]


def _move_owed(tx: Transaction, where: Mapping[str, Any], note: str) -> None:
    """What waits ends."""
    tx.execute(MOVE_AWAITED, where)
    tx.execute(f"DELETE FROM awaited WHERE {_OLD}", where)  # noqa: S608  constant text
    open_rows = tx.execute(
        f"SELECT * FROM delivery WHERE {_OLD} "  # noqa: S608  constant text
        "AND settled_at IS NULL AND state IN ('ready', 'parked') AND event IS NULL",
        where,
    ).fetchall()
    for row in open_rows:
        _drop(tx, row, note, where["now"])
    tx.execute(
        "UPDATE delivery SET wait_key = :new, due_at = min(due_at, :now) WHERE wait_route IS NOT NULL "
        "AND source = :source AND wait_entity = :entity AND wait_key = :old",
        where,
    )


def _drop(tx: Transaction, row: Row, note: str, now: int) -> None:
    """Owe this no longer, and say why."""
    tx.execute(
        "UPDATE delivery SET state = 'skipped', blocked = 0, settled_at = ?, wait_route = NULL, "
        "wait_entity = NULL, wait_key = NULL, waiting_since = NULL WHERE id = ?",
        (now, row["id"]),
    )
    end_event(tx.execute, row, "skipped")
    tell(tx, row, "skipped", now, note=note)
