"""Addresses that go round, at a target that has one record for an address.

Whoever is written first would get the record that somebody else of the circle is known by, and take it away from them.
So all of them exchange their links at once: each has the record then that has their new address at the target, knows
what its former owner wrote there, and is delivered like any other change.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...entities import normalize_email
from .. import codec
from ..engine import Row, Transaction
from ..rows import DirtyRule, Round
from .hanging import owe_hanging
from .namesakes import given_up_by
from .owing import owe
from .pen import Pen

__all__ = ["exchange"]

#: What is under way of these: nobody knows what becomes of the record that it is about.
UNDER_WAY = """
SELECT 1 FROM json_each(:keys) j CROSS JOIN delivery d ON d.source = :source AND d.entity = :entity AND d.key = j.value
    AND d.settled_at IS NULL AND d.route = :route AND d.event IS NULL
    AND (d.state = 'submitted' OR d.state = 'running' AND d.lease_token <> :token) LIMIT 1
"""

#: Whether what stands at the target may be another state than a link of theirs says.
IN_DOUBT = """
SELECT 1 FROM json_each(:keys) j CROSS JOIN delivery d ON d.source = :source AND d.entity = :entity AND d.key = j.value
    AND d.settled_at IS NULL AND d.route = :route AND d.event IS NULL AND d.maybe_applied = 1 LIMIT 1
"""

LINKS = """
SELECT l.*, s.email FROM json_each(:keys) j
CROSS JOIN link l ON l.route = :route AND l.source = :source AND l.entity = :entity AND l.key = j.value
CROSS JOIN snapshot s ON s.source = l.source AND s.entity = l.entity AND s.key = l.key
"""

#: In two steps, for no two may have one key meanwhile. What `adopt` saw, what it was made from and when it was
#: delivered was its owner's.
GIVE = "UPDATE link SET key = :between, made_from = NULL, seen = NULL, delivered_at = NULL WHERE id = :id"
TAKE = "UPDATE link SET key = :key WHERE id = :id"

#: They are known by the address that they have now, and go together: what one of them gives up another one gets. Where
#: it is in doubt what one of them wrote, the one who has that record now writes all of it.
ARRIVED = """
UPDATE delivery SET former_email = NULL, maybe_applied = max(maybe_applied, :doubt),
    due_at = CASE WHEN state = 'ready' THEN min(due_at, :now) ELSE due_at END
WHERE source = :source AND entity = :entity AND key = :key AND route = :route AND settled_at IS NULL AND event IS NULL
"""


def exchange(
    tx: Transaction, route: str, source: str, entity: str, key: str, *,
    token: str, owes: Sequence[DirtyRule], now: int,
) -> Round | None:  # fmt: skip
    """Where the address of `key` goes round: exchange the links, unless something of them is under way.

    Args:
        token: of whoever asks; what runs under it is not sent yet.
        owes: what is owed once a record has another twin.
    """
    if (keys := _round(tx, route, source, entity, key)) is None:
        return None
    at: dict[str, Any] = {"route": route, "source": source, "entity": entity}
    at |= {"keys": codec.dump_json(keys), "token": token}
    links = {row["key"]: row for row in tx.execute(LINKS, at)}
    takes = dict(zip(keys, keys[1:] + keys[:1], strict=True))
    if links.keys() != set(keys) or len({row["remote_id"] for row in links.values()}) < len(keys):
        return None
    if not all(_is_known_by(links[taken], links[one]["email"]) for one, taken in takes.items()):
        return None
    if tx.execute(UNDER_WAY, at).fetchone() is not None:
        return Round(frozenset(keys), exchanged=False)
    doubt = int(tx.execute(IN_DOUBT, at).fetchone() is not None)
    pen = Pen(tx)
    pen.executemany(GIVE, [{"id": row["id"], "between": f"\x1f{name}"} for name, row in links.items()])
    pen.executemany(TAKE, [{"id": links[taken]["id"], "key": one} for one, taken in takes.items()])
    for one in keys:
        pen.execute(ARRIVED, at | {"key": one, "doubt": doubt, "now": now})
        for rule in owes:
            owe(pen, rule, source, one, "upsert", bulk=False, now=now)
    owe_hanging(pen, links.values(), now)
    pen.flush()
    return Round(frozenset(keys), exchanged=True)


def _round(tx: Transaction, route: str, source: str, entity: str, key: str) -> list[str] | None:
    """Those among whom addresses go round: each has now what the next one gives up, and the last what `key` does."""
    keys = [key]
    while len(givers := given_up_by(tx, [route], source, entity, keys[-1])) == 1:
        (giver,) = givers
        if giver == key:
            return keys
        if giver in keys:
            return None
        keys.append(giver)
    return None


def _is_known_by(link: Row | Mapping[str, Any], email: str) -> bool:
    """Whether the address is one that a twin was written with; one that was never written was found by it."""
    mapped = codec.load_fields(link["asked"] or link["fields"])
    texts = (value for value in mapped.values() if isinstance(value, str))
    return not mapped or email in map(normalize_email, texts)
