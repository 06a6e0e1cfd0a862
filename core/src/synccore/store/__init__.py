"""The contract of an outbox engine: what core asks of the store, in the roles of those who hold it.

    Taking      changes in, cursors, full comparisons        whoever brings news from a source
    Owing       what is due, claims, all that they need      a lane
    Settling    how a claimed delivery ends or comes back    a lane, and whoever rescues
    Records     links and snapshots                          adopt, plan, preview, verify
    Moving      routes renamed, accounts left                the start of a process, connect
    Trail       rows, history, counts, causes                what looks
    Keeping     lanes, backfills, secrets, plugin state      whoever needs one
    People      retry, dismiss, forget                       the verbs of that name
    Copying     whole tables, and their digests              db copy

The rules that must hold whatever dies when are in the roles, once for all engines: at most one ready state-delivery per
route and key, at most one running (or submitted) delivery per sink and key, settles fenced by lease tokens, snapshot
and dirty rows in one transaction. Everything above may crash at any line.

    ready      owed, not before due_at            -> running
    running    leased to a worker                 -> done, skipped, submitted, ready, parked
    submitted  in a vendor's bulk job             -> done, skipped, ready, parked
    parked     needs a person                     -> ready (retry), dismissed
    done, skipped, dismissed                      final, pruned after retention

A database brings an `Engine`: its transactions, its locks, its schema. `synccore_stores()` hands over a `StoreType`
whose `open` gives a `Store`; `synccore.testing.contracts.StoreContract` holds it to the rules.
"""

from collections.abc import Mapping
from datetime import datetime

from . import looks
from ._convert import to_ms
from ._rules.people import key_digest
from .copying import Copying
from .engine import DiskFull, Engine, Result, Row, RunningDaemon, StoreError, Transaction, UnderWay
from .keeping import Keeping
from .moving import Moving
from .owing import Owing
from .people import People
from .records import Records
from .rows import (
    NEWS_SINCE,
    BackfillJob,
    ClaimRule,
    Delivery,
    DeliveryState,
    DirtyRule,
    Heir,
    Hint,
    HistoryEntry,
    Hold,
    Ingest,
    Ingested,
    JobWork,
    LaneRecord,
    LinkUpdate,
    Loan,
    ParkedCause,
    Round,
    RouteCounts,
    Rules,
    RunningJob,
    Settlement,
    UnreadableRecord,
    Work,
    email_digest,
    email_of,
    made_from,
    together,
)
from .settling import Settling
from .taking import Taking
from .trail import Trail

__all__ = [
    "NEWS_SINCE",
    "BackfillJob",
    "ClaimRule",
    "Copying",
    "Delivery",
    "DeliveryState",
    "DirtyRule",
    "DiskFull",
    "Engine",
    "Heir",
    "Hint",
    "HistoryEntry",
    "Hold",
    "Ingest",
    "Ingested",
    "JobWork",
    "Keeping",
    "LaneRecord",
    "LinkUpdate",
    "Loan",
    "Moving",
    "Owing",
    "ParkedCause",
    "People",
    "Records",
    "Result",
    "Round",
    "RouteCounts",
    "Row",
    "Rules",
    "RunningDaemon",
    "RunningJob",
    "Settlement",
    "Settling",
    "Store",
    "StoreError",
    "Taking",
    "Trail",
    "Transaction",
    "UnderWay",
    "UnreadableRecord",
    "Work",
    "email_digest",
    "email_of",
    "key_digest",
    "made_from",
    "together",
]

#: Rows deleted per transaction by `prune`, so that it never holds up a webhook for long.
_PRUNE = 500
#: Lists that grow beside the outbox itself, and the column that says how old a row is.
_PRUNED = (("history", "at"), ("backfill", "finished_at"))


class Store(Taking, Owing, Settling, Records, Moving, Trail, Keeping, People, Copying):
    """An outbox: every role over one engine."""

    def prune(self, before: datetime) -> Mapping[str, int]:
        """Delete final deliveries and history older than `before`, in small transactions; rows per table."""
        gone = {"delivery": self._prune_deliveries(to_ms(before)), **dict.fromkeys((t for t, _ in _PRUNED), 0)}
        for table, column in _PRUNED:
            count = _PRUNE
            while count == _PRUNE:
                with self.writing() as tx:
                    count = tx.execute(
                        f"DELETE FROM {table} WHERE id IN "  # noqa: S608  own names
                        f"(SELECT id FROM {table} WHERE {column} < ? LIMIT ?)",
                        (to_ms(before), _PRUNE),
                    ).rowcount
                gone[table] += count
        with self.writing() as tx:
            # Comparisons that never came to their end.
            tx.execute("DELETE FROM sweep WHERE started_at < ?", (to_ms(before),))
            # Records that were unreadable once and were not met again.
            tx.execute("DELETE FROM unreadable WHERE last_at < ?", (to_ms(before),))
        return gone

    def _prune_deliveries(self, before: int) -> int:
        """Page by page from the oldest, so that rows that stay are looked at once."""
        page = {"from_time": 0, "from_id": 0, "before": before, "limit": _PRUNE}
        gone, full = 0, True
        while full:
            with self.writing() as tx:
                rows = tx.execute(looks.PRUNABLE, page).fetchall()
                ids = [row["id"] for row in rows if not row["stays"]]
                tx.executemany("DELETE FROM delivery WHERE id = ?", [(i,) for i in ids])
            gone, full = gone + len(ids), len(rows) == _PRUNE
            if rows:
                page |= {"from_time": rows[-1]["settled_at"], "from_id": rows[-1]["id"]}
        return gone
