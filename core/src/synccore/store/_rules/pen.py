"""Statements that are alike, written together: what a page of records brings costs a few calls and not a few each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import codec, sql
from ..engine import Result, Row, Transaction

__all__ = ["OWE_LENT", "Pen"]

#: Keys of one route that nothing is known of but what is written now are born leased. Not so what is open at the sink,
#: waits for a hint, or may have been made by the create of a guest that was taken over. A case, and no plain condition:
#: that would be joined, and the keys lose their order.
OWE_LENT = """
INSERT INTO delivery (route, sink, source, entity, key, op, state, bulk, lease_token, lease_until, due_at,
                      first_change_at, last_change_at, created_at)
SELECT :route, :sink, :source, :entity, j.key, :op, 'running', :bulk, :token, :until, :due_at, :now, :now, :now
FROM json_each(:owed) j WHERE CASE WHEN EXISTS (SELECT 1 FROM delivery r WHERE r.source = :source
        AND r.entity = :entity AND r.key = j.key AND r.settled_at IS NULL AND r.sink = :sink)
    OR EXISTS (SELECT 1 FROM awaited a WHERE a.source = :source AND a.entity = :entity AND a.key = j.key)
    OR EXISTS (SELECT 1 FROM snapshot p WHERE p.source = :source AND p.entity = :entity AND p.replaced_by = j.key)
    THEN 1 ELSE 0 END = 0
RETURNING id, key
"""


class Pen:
    """A transaction in which some writes may wait. Whatever is executed finds them written.

    Statements that wait are carried out one statement after the other, each with all its rows in their order, and what
    is owed comes last: so only those may wait that do not read what another of them writes.
    """

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._waiting: dict[str, list[Mapping[str, Any]]] = {}
        #: Route and source -> the statement, what its keys have in common, and the keys.
        self._owed: dict[tuple[str, str], tuple[str, Mapping[str, Any], dict[str, str | None]]] = {}
        #: Statement -> rows that it touched, of those that waited.
        self.touched: Counter[str] = Counter()
        #: Token -> rows that were owed under its lease.
        self.lent: dict[str, list[Row]] = {}

    def later(self, statement: str, values: Mapping[str, Any]) -> None:
        """Write this before anything is executed, and at the latest when `flush` is called."""
        self._waiting.setdefault(statement, []).append(values)

    def owe(self, statement: str, alike: Mapping[str, Any], key: str, known: str | None) -> bool:
        """As `later`, for a statement of `:owed`: keys, each with what is known of it, written all at once.

        Whether the key is not among those that wait already. With a `token` the statement gives the rows that are
        leased now, and all others are owed without a lease.
        """
        place = alike["route"], alike["source"]
        group = self._owed.get(place)
        if group is not None and group[:2] != (statement, alike):
            self.flush()  # the same key may be owed otherwise: in the order it was said
            group = None
        if group is None:
            group = self._owed[place] = statement, alike, {}
        keys = group[2]
        new = key not in keys
        if keys.get(key) is None:
            keys[key] = known
        return new

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, {}
        for statement, rows in waiting.items():
            self.touched[statement] += self._tx.executemany(statement, rows).rowcount
        owed, self._owed = self._owed, {}
        for statement, alike, keys in owed.values():
            written = self._tx.execute(statement, {**alike, "owed": codec.dump_json(keys)})
            if "token" not in alike:
                self.touched[statement] += written.rowcount
                continue
            lent = written.fetchall()
            self.lent.setdefault(alike["token"], []).extend(lent)
            taken = {row["key"] for row in lent}
            if left := {key: known for key, known in keys.items() if key not in taken}:
                self._tx.execute(sql.OWE, {**alike, "owed": codec.dump_json(left)})

    def execute(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> Result:
        """Carry out one statement."""
        if self._waiting or self._owed:
            self.flush()
        return self._tx.execute(statement, values)

    def executemany(self, statement: str, values: Iterable[Any]) -> Result:
        """Carry it out once for each."""
        if self._waiting or self._owed:
            self.flush()
        return self._tx.executemany(statement, values)
