"""What hangs on a record at a target (`after`): sent again once that has another twin than it was sent under."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from .. import codec
from ..engine import Row, Transaction
from ..rows import DirtyRule
from .owing import owe
from .pen import Pen

__all__ = ["hanging", "owe_hanging"]

_NEAR = "SELECT c.source, c.entity, c.key, c.owner_entity, c.owner_key FROM json_each(:keys) j CROSS JOIN snapshot c"
#: What these own, and themselves on further routes, where it hangs under a record that is no twin of theirs.
_HANGING = f"""
WITH near AS (
    {_NEAR} ON c.source = :source AND c.owner_entity = :entity AND c.owner_key = j.value AND c.deleted = 0
    UNION {_NEAR} ON c.source = :source AND c.entity = :entity AND c.key = j.value AND c.deleted = 0)
SELECT k.route, k.sink, k.entity, k.key FROM near c
CROSS JOIN link k ON k.source = c.source AND k.entity = c.entity AND k.key = c.key AND k.parent_id IS NOT NULL
    AND k.sink IN (SELECT value FROM json_each(:sinks))
WHERE NOT EXISTS (SELECT 1 FROM link p WHERE p.source = c.source AND p.entity = c.owner_entity AND p.key = c.owner_key
        AND p.sink = k.sink AND p.remote_id = k.parent_id)
    AND NOT EXISTS (SELECT 1 FROM link p WHERE p.source = c.source AND p.entity = c.entity AND p.key = c.key
        AND p.sink = k.sink AND p.remote_id = k.parent_id)
"""  # noqa: S608  own constants
#: Whether anything hangs under a record there at all.
_ANYTHING_HANGS = """
SELECT 1 FROM link WHERE parent_id IS NOT NULL AND sink IN (SELECT value FROM json_each(:sinks)) LIMIT 1
"""


def hanging(tx: Transaction, source: str, entity: str, keys: Iterable[str], sinks: Collection[str]) -> Sequence[Row]:
    """Route, sink, entity and key of all that hangs elsewhere than under these records' own twins."""
    at = {"keys": codec.dump_json(list(keys)), "sinks": codec.dump_json(list(sinks))}
    if tx.execute(_ANYTHING_HANGS, {"sinks": at["sinks"]}).fetchone() is None:
        return ()
    return tx.execute(_HANGING, {"source": source, "entity": entity, **at}).fetchall()


def owe_hanging(pen: Pen, linked: Iterable[Row | Mapping[str, Any]], now: int) -> None:
    """These records have other twins than they had: behind all else, what hangs on them is to hang under those."""
    together: dict[tuple[str, str, str], list[str]] = {}
    for row in linked:
        together.setdefault((row["sink"], row["source"], row["entity"]), []).append(row["key"])
    for (sink, source, entity), keys in together.items():
        for row in hanging(pen, source, entity, keys, [sink]):
            rule = DirtyRule(route=row["route"], sink=row["sink"], entity=row["entity"])
            owe(pen, rule, source, row["key"], "upsert", bulk=True, now=now, changed=False)
