"""Settling: how a claimed delivery ends, waits or comes back. Held by a lane, and by whoever rescues."""

from collections.abc import Collection, Sequence
from datetime import datetime

from . import sql
from ._convert import to_ms
from ._rules import returning, settle
from .engine import Engine
from .rows import Settlement

__all__ = ["Settling"]

#: Later than any lease.
_EVER = 1 << 62


class Settling(Engine):
    """A settle needs the lease token (or the job) its row was claimed with; whoever comes late writes nothing."""

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> frozenset[int]:
        """Settle in one transaction; gives the ids whose lease was lost (nothing is written for those).

        A row that goes back to ready while a newer ready row of the same route and key exists is folded into it.
        """
        with self.writing() as tx:
            return settle.settle(tx, settlements, to_ms(now))

    def release(self, token: str, now: datetime, *, sent: bool) -> int:
        """Give all running deliveries of a lease back unharmed (shutdown). `sent`: they may have been carried out."""
        with self.writing() as tx:
            rows = tx.execute(sql.LEASED, {"token": token}).fetchall()
            return returning.give_back(tx, rows, maybe_applied=sent)

    def rescue(self, now: datetime, *, all_running: bool = False, keep: Collection[str] = ()) -> int:
        """Give back deliveries whose lease is over (all of them at the start of the only daemon), maybe_applied set.

        `keep`: leases of calls that still run here, however late: their rows would be sent twice.
        """
        with self.reading() as view:
            overdue = {"now": _EVER if all_running else self.lease_clock(view, to_ms(now))}
            if view.execute(sql.OVERDUE, overdue).fetchone() is None:
                return 0
        with self.writing() as tx:
            rows = [row for row in tx.execute(sql.OVERDUE, overdue).fetchall() if row["lease_token"] not in keep]
            return returning.give_back(tx, rows, maybe_applied=True)
