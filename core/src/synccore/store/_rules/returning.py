"""Running rows go back to ready: a process died, is asked to end, or lost its store in the middle of a step."""

from collections.abc import Sequence

from .. import sql
from ..codec import dump_json
from ..engine import Row, Transaction
from .owing import fold_or_ready, refresh, slot_of

__all__ = ["BEHIND_NEWER", "GIVE_BACK", "give_back"]

#: Of these rows those whose route owes a newer state of the key by now.
BEHIND_NEWER = """
SELECT d.* FROM json_each(:ids) j CROSS JOIN delivery d ON d.id = j.value
CROSS JOIN delivery n ON n.route = d.route AND n.source = d.source AND n.entity = d.entity AND n.key = d.key
    AND n.state = 'ready' AND n.event IS NULL
WHERE d.event IS NULL
"""

#: The others are due as they were.
GIVE_BACK = """
UPDATE delivery SET state = 'ready', lease_token = NULL, lease_until = NULL,
    maybe_applied = max(maybe_applied, :maybe_applied)
WHERE id IN (SELECT value FROM json_each(:ids))
"""


def give_back(tx: Transaction, rows: Sequence[Row], *, maybe_applied: bool) -> int:
    """Running rows to ready, no attempt used; how many. Ten thousand take as many statements as one."""
    every = dump_json([row["id"] for row in rows])
    folded = tx.execute(BEHIND_NEWER, {"ids": every}).fetchall()
    for row in folded:
        fold_or_ready(tx, row, maybe_applied=bool(maybe_applied or row["maybe_applied"]))
    gone = {row["id"] for row in folded}
    back = {"ids": dump_json([row["id"] for row in rows if row["id"] not in gone])}
    tx.execute(GIVE_BACK, back | {"maybe_applied": maybe_applied})
    tx.execute(sql.REFRESH_BEHIND, back)
    refresh(tx, (slot_of(row) for row in rows if row["id"] in gone or row["owner_key"] is not None))
    return len(rows)
