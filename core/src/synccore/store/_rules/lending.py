"""Rows that are born leased: what a listing brings goes to lanes that wait for it, without being looked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from attrs import define

from ..._swift import swiftly
from .. import sql
from .._convert import from_ms
from ..codec import dump_json
from ..engine import Row, Transaction
from ..rows import Delivery, DirtyRule, Loan
from .returning import give_back

__all__ = ["Lending"]

_new_delivery = swiftly(Delivery)


@define
class _Open:
    """A loan on its way to be full."""

    loan: Loan
    left: int
    until: int
    rule: DirtyRule | None = None
    source: str = ""


class Lending:
    """The loans of one commit."""

    def __init__(self, tx: Transaction, loans: Iterable[Loan], now: int, leases_begin: Callable[[], int]) -> None:
        self._tx, self._now = tx, now
        distinct = {loan.token: loan for loan in loans}
        began = leases_begin() if distinct else 0
        self._open = {
            token: _Open(loan, loan.size, began + loan.lease // timedelta(milliseconds=1))
            for token, loan in distinct.items()
        }
        #: Route -> its loans that have room.
        self._rooms: dict[str, list[_Open]] = {}
        self._begun: set[str] = set()
        for one in self._open.values():
            self._rooms.setdefault(one.loan.route, []).append(one)

    def lease(self, rule: DirtyRule, source: str) -> Mapping[str, Any] | None:
        """Under which lease one more row of the rule is to be written; None: under none."""
        rooms = self._rooms.get(rule.route)
        if not rooms:
            return None
        if rule.route not in self._begun:
            self._begun.add(rule.route)
            if self._is_owed(rule):
                # Whoever waits already goes first, in the batch that it makes with these.
                del self._rooms[rule.route]
                return None
        one = rooms[0]
        one.rule, one.source = rule, source
        one.left -= 1
        if not one.left:
            rooms.pop(0)
        return {"token": one.loan.token, "until": one.until}

    def _is_owed(self, rule: DirtyRule) -> bool:
        at = {"sink": rule.sink, "route": rule.route, "now": self._now}
        heads = (self._tx.execute(sql.CLAIM_HEAD, at | {"bulk": bulk}).fetchone() for bulk in (False, True))
        return any(head is not None for head in heads)

    def close(self, lent: Mapping[str, Sequence[Row]]) -> tuple[dict[str, list[Delivery]], set[str]]:
        """Token -> its batch; and the sinks whose loans did not become full: their rows are ready as any others.
        `lent`: token -> the rows that are leased by it now."""
        full, short = {}, set()
        for token, one in self._open.items():
            if one.rule is None:
                continue
            rows = lent.get(token, ())
            if len(rows) == one.loan.size:
                full[token] = [self._delivery(one, one.rule, row) for row in rows]
            else:
                short.add(one.rule.sink)
                ids = {"ids": dump_json([row["id"] for row in rows])}
                give_back(self._tx, self._tx.execute(sql.WHOLE, ids).fetchall(), maybe_applied=False)
        return full, short

    def _delivery(self, one: _Open, rule: DirtyRule, row: Row) -> Delivery:
        now = from_ms(self._now)
        return _new_delivery(
            id=row["id"],
            route=rule.route,
            sink=rule.sink,
            source=one.source,
            entity=rule.entity,
            key=row["key"],
            op="upsert",
            state="running",
            bulk=True,
            due_at=now,
            first_change_at=now,
            last_change_at=now,
            lease_token=one.loan.token,
            lease_until=from_ms(one.until),
            created_at=now,
        )
