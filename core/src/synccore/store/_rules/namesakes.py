"""What has to wait for another record's sake, or for a record's own new address; asked for a batch at a time.

Whoever gives an address up is `former_email` of a row until that is delivered: few rows have one, and nobody else's
are looked at.
"""

from collections.abc import Iterable

from .. import codec
from ..engine import Transaction
from ..rows import Heir

__all__ = [
    "FORMER_EMAIL",
    "given_away",
    "given_up_by",
    "going",
    "going_round",
    "handed_over",
    "heirs",
    "moving",
    "untold",
]

#: Whose place another record took goes after that one, which has the address itself; all others wait for both, unless
#: that one might wait for them.
_ITS_HEIR = """p.replaced_by <> s.key AND EXISTS (
    SELECT 1 FROM snapshot h WHERE h.source = p.source AND h.entity = p.entity AND h.key = p.replaced_by
        AND NOT EXISTS (SELECT 1 FROM delivery g WHERE g.source = h.source AND g.entity = h.entity
            AND g.former_email = h.email AND g.key <> h.key AND g.settled_at IS NULL)
        AND NOT EXISTS (SELECT 1 FROM snapshot q WHERE q.email = h.email AND q.source = h.source
            AND q.entity = h.entity AND q.key <> h.key AND q.replaced_by <> h.key))"""

#: Of these keys, those whose address another record has that is going: its deletion is owed on the route, or it is yet
#: to be asked for. Who is going themselves waits for nobody: their deletion waits for their facts.
BEHIND_A_NAMESAKE = f"""
SELECT s.key FROM json_each(:keys) j CROSS JOIN snapshot s ON s.source = :source AND s.entity = :entity
    AND s.key = j.value
WHERE s.email IS NOT NULL AND s.deleted = 0 AND EXISTS (
    SELECT 1 FROM snapshot p WHERE p.email = s.email AND p.id <> s.id AND p.source = s.source AND p.entity = s.entity
        AND (p.replaced_by IS NULL OR {_ITS_HEIR}) AND (EXISTS (
            SELECT 1 FROM delivery d WHERE d.source = p.source AND d.entity = p.entity AND d.key = p.key
                AND d.route = :route AND d.settled_at IS NULL AND d.op = 'delete' AND d.state <> 'parked')
        OR EXISTS (SELECT 1 FROM hint h WHERE h.source = p.source AND h.entity = p.entity AND h.key = p.key
            AND h.op = 'touch')))
"""  # noqa: S608  own constants

#: The address that a record had before, on its rows that are owed; the oldest, which is what the target may have. Not
#: where it has just taken over a twin, which has the new one.
FORMER_EMAIL = """
UPDATE delivery SET former_email = coalesce(former_email, :email)
WHERE source = :source AND entity = :entity AND key = :key AND settled_at IS NULL AND state = 'ready' AND event IS NULL
    AND route NOT IN (SELECT value FROM json_each(:taken))
"""

#: Records that are owed with another address than `s` has now, and were delivered with that one, or are in a call or a
#: job with it. One that is parked is waited for by nobody, unless a newer state is on its way: then it tells what they
#: have at the target, and what it was refused with they never had, whatever the newer one is about to tell.
_GIVES_IT_UP = """s ON s.source = :source AND s.entity = :entity AND s.key = {key} AND s.deleted = 0
    CROSS JOIN delivery d ON d.former_email = s.email AND d.source = s.source AND d.entity = s.entity
        AND d.key <> s.key AND d.settled_at IS NULL AND d.route IN (SELECT value FROM json_each(:routes))
        AND (d.state <> 'parked' OR EXISTS (
            SELECT 1 FROM delivery n WHERE n.source = d.source AND n.entity = d.entity AND n.key = d.key
                AND n.settled_at IS NULL AND n.route = d.route AND n.event IS NULL AND n.state <> 'parked'))
        AND NOT EXISTS (
            SELECT 1 FROM delivery o WHERE o.source = d.source AND o.entity = d.entity AND o.key = d.key
                AND o.settled_at IS NULL AND o.route = d.route AND o.event IS NULL AND o.state = 'parked'
                AND o.former_email IS NOT NULL AND o.maybe_applied = 0 AND o.id < d.id)
        AND (d.maybe_applied = 1 OR EXISTS (SELECT 1 FROM link l WHERE l.route = d.route AND l.source = d.source
            AND l.entity = d.entity AND l.key = d.key) OR d.state <> 'parked' AND EXISTS (
            SELECT 1 FROM delivery j WHERE j.source = d.source AND j.entity = d.entity AND j.key = d.key
                AND j.settled_at IS NULL AND j.route = d.route AND j.event IS NULL AND j.id <> d.id
                AND j.state IN ('running', 'submitted')))
        AND NOT EXISTS (SELECT 1 FROM snapshot p WHERE p.source = d.source AND p.entity = d.entity AND p.key = d.key
            AND p.email = s.email AND p.deleted = 0)"""

#: Whether anything of it is known to be there: whoever has no twin on the route is there only if an unanswered try was
#: carried out.
_IN_DOUBT = """CASE WHEN EXISTS (SELECT 1 FROM link k WHERE k.route = d.route AND k.source = d.source
    AND k.entity = d.entity AND k.key = d.key) THEN 0 ELSE 1 END"""

#: Who is behind whom of these keys, at any distance, and whom of these keys others are behind.
_BEHIND = f"""
WITH RECURSIVE gives (key, giver, doubt) AS (
    SELECT s.key, d.key, {_IN_DOUBT} FROM json_each(:keys) j CROSS JOIN snapshot {_GIVES_IT_UP.format(key="j.value")}
    UNION
    SELECT g.giver, d.key, {_IN_DOUBT} FROM gives g CROSS JOIN snapshot {_GIVES_IT_UP.format(key="g.giver")}),
behind (start, key) AS (
    SELECT g.key, g.giver FROM gives g WHERE g.key IN (SELECT value FROM json_each(:keys))
    UNION
    SELECT b.start, g.giver FROM behind b CROSS JOIN gives g ON g.key = b.key),
before (start, key) AS (
    SELECT g.giver, g.key FROM gives g WHERE g.giver IN (SELECT value FROM json_each(:keys))
    UNION
    SELECT b.start, g.key FROM before b CROSS JOIN gives g ON g.giver = b.key)
"""  # noqa: S608  own constants

#: Of these keys, those whose address such a record gives up. Where the addresses go round, those of that circle do not
#: wait for each other: whoever came first would wait for the last. But all of them wait for who stands outside, and for
#: whoever of them is in doubt: the target is asked about that one, and then it is in the circle or it is not.
BEHIND_A_HANDOVER = f"""{_BEHIND}
SELECT start AS key FROM (SELECT start, key FROM behind EXCEPT SELECT start, key FROM before) o
UNION
SELECT b.start FROM behind b WHERE b.key IN (SELECT giver FROM gives WHERE doubt = 1)
    AND b.start NOT IN (SELECT giver FROM gives WHERE doubt = 1)
"""  # noqa: S608  own constants

#: Whether anybody gives an address up at all.
ANYBODY_GIVES_UP = "SELECT 1 FROM delivery WHERE former_email IS NOT NULL LIMIT 1"

#: Of these keys, those whose own address comes back to them.
GOES_ROUND = f"""{_BEHIND}
SELECT start AS key FROM behind WHERE key = start
"""  # noqa: S608  own constants

#: Whoever gives up the address of these.
GIVEN_UP_BY = f"""
SELECT DISTINCT d.key FROM json_each(:keys) j CROSS JOIN snapshot {_GIVES_IT_UP.format(key="j.value")}
"""  # noqa: S608  own constants

#: Of these people, those who are owed with a new address on one of the routes.
MOVING = """
SELECT j.value AS key FROM json_each(:keys) j WHERE EXISTS (
    SELECT 1 FROM delivery d WHERE d.source = :source AND d.entity = :entity AND d.key = j.value
        AND d.settled_at IS NULL AND d.route IN (SELECT value FROM json_each(:routes)) AND d.former_email IS NOT NULL
        AND d.op = 'upsert' AND d.state <> 'parked')
"""

#: Of these people, those of whom facts are still to be told at the sink, or states of what they own on one of the
#: routes. A parked one is waited for by nobody.
UNTOLD = """
SELECT j.value AS key FROM json_each(:keys) j WHERE EXISTS (
    SELECT 1 FROM delivery d WHERE d.source = :source AND d.owner_entity = :entity AND d.owner_key = j.value
        AND d.sink = :sink AND d.settled_at IS NULL AND d.event IS NOT NULL AND d.state <> 'parked')
OR :routes <> '[]' AND EXISTS (
    SELECT 1 FROM snapshot s CROSS JOIN delivery d ON d.key = s.key AND d.entity = s.entity AND d.source = s.source
        AND d.settled_at IS NULL AND d.event IS NULL AND d.op = 'upsert' AND d.state <> 'parked'
        AND d.route IN (SELECT value FROM json_each(:routes))
    WHERE s.source = :source AND s.owner_entity = :entity AND s.owner_key = j.value)
"""

#: Of these keys, those whose place another record took, that one's twin on the route, and whether it is still to be
#: delivered with the address they share, or what hung on the former twin. Parked ones are waited for by nobody.
HEIRS = """
SELECT s.key, h.remote_id, CASE WHEN EXISTS (
        SELECT 1 FROM delivery d WHERE d.source = s.source AND d.entity = s.entity AND d.key = s.replaced_by
            AND d.settled_at IS NULL AND d.route = :route AND d.event IS NULL AND d.state <> 'parked'
            AND (h.remote_id IS NULL OR d.former_email IS NOT NULL OR d.maybe_applied = 1 OR d.state <> 'ready'))
    OR EXISTS (SELECT 1 FROM link l
        CROSS JOIN snapshot c ON c.source = s.source AND c.owner_entity = s.entity AND c.owner_key = s.replaced_by
        CROSS JOIN link k ON k.source = c.source AND k.entity = c.entity AND k.key = c.key AND k.sink = l.sink
            AND k.parent_id = l.remote_id
        CROSS JOIN delivery d ON d.source = k.source AND d.entity = k.entity AND d.key = k.key
            AND d.settled_at IS NULL AND d.route = k.route AND d.event IS NULL AND d.state <> 'parked'
        WHERE l.route = :route AND l.source = s.source AND l.entity = s.entity AND l.key = s.key)
    THEN 1 ELSE 0 END AS owed
FROM json_each(:keys) j CROSS JOIN snapshot s ON s.source = :source AND s.entity = :entity AND s.key = j.value
LEFT JOIN link h ON h.route = :route AND h.source = s.source AND h.entity = s.entity AND h.key = s.replaced_by
WHERE s.replaced_by IS NOT NULL
"""

#: Whether a record's twin is by now that of another one, which has the address that this one had when it was delivered;
#: or had it, where the target has one record for an address, and has moved on with that twin since.
GIVEN_AWAY = """
SELECT 1 FROM delivery d
CROSS JOIN link l ON l.route = d.route AND l.source = d.source AND l.entity = d.entity AND l.key = d.key
CROSS JOIN link o ON o.remote_id = l.remote_id AND o.object = l.object AND o.sink = l.sink AND o.route = l.route
    AND o.source = l.source AND o.entity = l.entity AND o.key <> l.key
CROSS JOIN snapshot s ON s.source = o.source AND s.entity = o.entity AND s.key = o.key AND s.deleted = 0
    AND (s.email = d.former_email
        OR :by_address = 1 AND d.former_email IS NOT NULL AND o.let_go = 0 AND o.delivered_at >= d.first_change_at)
CROSS JOIN snapshot m ON m.source = l.source AND m.entity = l.entity AND m.key = l.key AND m.email <> s.email
WHERE d.route = :route AND d.source = :source AND d.entity = :entity AND d.key = :key AND d.settled_at IS NULL
    AND d.event IS NULL LIMIT 1
"""


def given_away(view: Transaction, route: str, source: str, entity: str, key: str, *, by_address: bool) -> bool:
    """Whether its twin is another one's by now."""
    at = {"route": route, "source": source, "entity": entity, "key": key, "by_address": int(by_address)}
    return view.execute(GIVEN_AWAY, at).fetchone() is not None


def going(view: Transaction, route: str, source: str, entity: str, keys: Iterable[str]) -> set[str]:
    """Those behind the end of another record."""
    return _keys(view, BEHIND_A_NAMESAKE, source, entity, keys, route=route)


def handed_over(view: Transaction, routes: Iterable[str], source: str, entity: str, keys: Iterable[str]) -> set[str]:
    """Those behind another record's new address."""
    if view.execute(ANYBODY_GIVES_UP).fetchone() is None:
        return set()  # nearly always
    return _keys(view, BEHIND_A_HANDOVER, source, entity, keys, routes=codec.dump_json(list(routes)))


def given_up_by(view: Transaction, routes: Iterable[str], source: str, entity: str, key: str) -> set[str]:
    """The records that were delivered with the address of this one, and are owed with another."""
    return _keys(view, GIVEN_UP_BY, source, entity, [key], routes=codec.dump_json(list(routes)))


def going_round(view: Transaction, route: str, source: str, entity: str, keys: Iterable[str]) -> set[str]:
    """Those who are of a circle."""
    return _keys(view, GOES_ROUND, source, entity, keys, routes=codec.dump_json([route]))


def moving(view: Transaction, routes: Iterable[str], source: str, entity: str, keys: Iterable[str]) -> set[str]:
    """Those behind their own."""
    return _keys(view, MOVING, source, entity, keys, routes=codec.dump_json(list(routes)))


def untold(
    view: Transaction, sink: str, source: str, entity: str, keys: Iterable[str], routes: Iterable[str] = ()
) -> set[str]:
    """Those with facts that are to be told first, or states on these routes."""
    return _keys(view, UNTOLD, source, entity, keys, sink=sink, routes=codec.dump_json(list(routes)))


def heirs(view: Transaction, route: str, source: str, entity: str, keys: Iterable[str]) -> dict[str, Heir]:
    """Whoever took the place of these."""
    at = {"route": route, "source": source, "entity": entity, "keys": codec.dump_json(list(keys))}
    return {row["key"]: Heir(row["remote_id"], bool(row["owed"])) for row in view.execute(HEIRS, at)}


def _keys(view: Transaction, statement: str, source: str, entity: str, keys: Iterable[str], **values: str) -> set[str]:
    at = {"source": source, "entity": entity, "keys": codec.dump_json(list(keys))}
    return {row["key"] for row in view.execute(statement, at | values)}
