"""What an outbox engine does, and the rows it speaks in.

The engine owns every rule that must hold whatever dies when: at most one ready state-delivery per route and key, at
most one running (or submitted) delivery per sink and key, settles fenced by lease tokens, snapshot and dirty rows in
one transaction. Everything above it (mapping, lanes, policy) may crash at any line.

    ready      owed, not before due_at            -> running
    running    leased to a worker                 -> done, skipped, submitted, ready, parked
    submitted  in a vendor's bulk job             -> done, skipped, ready, parked
    parked     needs a person                     -> ready (retry), dismissed
    done, skipped, dismissed                      final, pruned after retention
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from ..errors import SynccoreError
from ..types import Link, Snapshot, State
from .rows import (
    BackfillJob,
    ClaimRule,
    Delivery,
    HistoryEntry,
    Ingest,
    Ingested,
    JobWork,
    LaneRecord,
    LinkUpdate,
    ParkedCause,
    RouteCounts,
    Settlement,
    Work,
)


class StoreError(SynccoreError):
    """The database cannot be used just now (full disk, locked file).

    Nothing of the call was stored, and nothing stored before is lost: the caller may try again.
    """

    kind = "store"


class Store(Protocol):
    """An outbox engine. All methods are safe to call from any thread; times come in, none is read."""

    # -- life

    def migrate(self) -> tuple[str, ...]:
        """Bring the schema up to date; names of the migrations applied. Called by the opener as well."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...

    def daemon_lock(self) -> AbstractContextManager[None]:
        """Be the one daemon of this database. Raises ConfigError naming the other one's process id."""
        ...

    def daemon_running(self) -> bool:
        """Whether some process holds the daemon lock now."""
        ...

    def lock(self, name: str) -> AbstractContextManager[None]:
        """A named lock among all threads and processes of this database (re-entrant in one thread)."""
        ...

    def backup(self, target: Path) -> None:
        """A consistent copy while others write."""
        ...

    def prune(self, before: datetime) -> Mapping[str, int]:
        """Delete final deliveries and history older than `before`, in small transactions; rows per table."""
        ...

    # -- ingest

    def ingest(self, batch: Sequence[Ingest], now: datetime) -> list[Ingested]:
        """Take several units in one transaction (group commit): all durable when this returns, or none."""
        ...

    def get_cursor(self, source: str, name: str) -> str | None:
        """A stored cursor; `name` is for instance "poll:customer"."""
        ...

    def put_cursor(self, source: str, name: str, value: str | None, now: datetime) -> None:
        """Store (None: delete) a cursor outside an ingest."""
        ...

    def cursors(self, source: str) -> Mapping[str, tuple[str | None, datetime]]:
        """All cursors of a source with the time they were stored."""
        ...

    def missing(self, source: str, entity: str, sweep: str, after: str, limit: int) -> list[str]:
        """Keys > `after` of live snapshots that the sweep has not seen (guests are listed like others)."""
        ...

    def sweep_counts(self, source: str, entity: str, sweep: str) -> tuple[int, int]:
        """(known live keys that existed when the sweep began, of these not seen)."""
        ...

    def end_sweep(self, source: str, entity: str, sweep: str) -> None:
        """Forget the sweep's marks."""
        ...

    # -- delivery

    def due(self, sink: str, now: datetime, limit: int, *, routes: Sequence[str] | None = None) -> int:
        """How many deliveries could be claimed, counted up to `limit`.

        `routes` counts only these: rows of a route that left the configuration are never claimed.
        """
        ...

    def next_due(self, sink: str, *, routes: Sequence[str] | None = None) -> datetime | None:
        """When the next delivery can be claimed; None where none is ready, or all that are wait for their key."""
        ...

    def claim(
        self, sink: str, rules: Sequence[ClaimRule], now: datetime, lease: timedelta, token: str
    ) -> list[Delivery]:
        """Lease due deliveries of one route, all live or all bulk: live first, then the earliest due, then rule order.

        Skips keys of which a delivery to this sink runs or is submitted, and events behind an earlier open
        (not parked) event of the same sink, source, entity and key. Costs the same
        with ten rows open as with a million.
        """
        ...

    def load(
        self,
        deliveries: Sequence[Delivery],
        *,
        include: Sequence[str] = (),
        after: str | None = None,
        after_entity: str | None = None,
    ) -> list[Work]:
        """All that mapping and delivering these (one route's) deliveries needs, in the same order.

        `after_entity` is the entity of the `after` route: the record's own link where it equals the delivery's entity,
        else the owner's.
        """
        ...

    def work_for(
        self,
        route: str,
        source: str,
        entity: str,
        keys: Sequence[str],
        *,
        include: Sequence[str] = (),
        after: str | None = None,
        after_entity: str | None = None,
    ) -> list[Work]:
        """As `load`, for keys without a delivery (preview, plan, adopt, verify): made-up deliveries with id 0."""
        ...

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> frozenset[int]:
        """Settle in one transaction; gives the ids whose lease was lost (nothing is written for those).

        A row that goes back to ready while a newer ready row of the same route and key exists is folded into it.
        """
        ...

    def release(self, token: str, now: datetime, *, sent: bool) -> int:
        """Give all running deliveries of a lease back unharmed (shutdown). `sent`: they may have been carried out."""
        ...

    def rescue(self, now: datetime, *, all_running: bool = False) -> int:
        """Give back deliveries whose lease is over (all of them at the start of the only daemon), maybe_applied set."""
        ...

    def jobs(self, sink: str, *, skip: Collection[str] = ()) -> list[JobWork]:
        """Submitted jobs of a sink, the oldest first; `skip` leaves out jobs whose rows are not wanted now."""
        ...

    # -- lanes

    def lane(self, sink: str) -> LaneRecord:
        """A lane's durable state; the default where none is stored."""
        ...

    def put_lane(self, record: LaneRecord) -> None:
        """Store it."""
        ...

    # -- links and snapshots

    def link(self, route: str, source: str, entity: str, key: str) -> Link | None:
        """One link."""
        ...

    def put_link(
        self,
        route: str,
        source: str,
        entity: str,
        key: str,
        update: LinkUpdate,
        now: datetime,
        history: HistoryEntry | None = None,
    ) -> None:
        """Write a link outside a settle (adopt), with its history line."""
        ...

    def links(self, route: str, after: str = "", limit: int = 500) -> list[Link]:
        """Links of a route by key, paged by `after` (a key)."""
        ...

    def links_of(self, source: str, entity: str, key: str) -> list[Link]:
        """All links of one record, on every route."""
        ...

    def sample_links(self, route: str, count: int, seed: int) -> list[Link]:
        """A repeatable sample."""
        ...

    def snapshot(self, source: str, entity: str, key: str) -> Snapshot | None:
        """The last known state, deleted ones too."""
        ...

    def snapshots(self, source: str, entity: str, after: str = "", limit: int = 500) -> list[Snapshot]:
        """Live snapshots by key, paged."""
        ...

    def keys_by_email(self, email: str) -> list[tuple[str, str]]:
        """(source, customer key) of people with this address (normalised by the store)."""
        ...

    # -- looking

    def deliveries(
        self,
        *,
        state: str | None = None,
        sink: str | None = None,
        route: str | None = None,
        key: str | None = None,
        ids: Sequence[int] | None = None,
        limit: int | None = 100,
    ) -> list[Delivery]:
        """Rows of the outbox, newest first."""
        ...

    def retry(self, ids: Sequence[int], now: datetime) -> int:
        """Parked -> ready, attempts reset; folded where a newer ready row exists. How many."""
        ...

    def dismiss(self, ids: Sequence[int], now: datetime) -> int:
        """Parked -> dismissed. How many."""
        ...

    def history(
        self,
        *,
        keys: Sequence[tuple[str, str]] | None = None,
        key: str | None = None,
        sink: str | None = None,
        since: datetime | None = None,
        after_id: int | None = None,
        limit: int | None = 200,
    ) -> list[HistoryEntry]:
        """The audit trail, oldest first (the newest `limit` lines). `keys` are (source, customer key) with
        all they own."""
        ...

    def add_history(self, entries: Sequence[HistoryEntry]) -> None:
        """Write lines outside a settle."""
        ...

    def counts_by_sink(self) -> Mapping[str, RouteCounts]:
        """Rows per state of every sink."""
        ...

    def counts_by_route(self) -> Mapping[str, RouteCounts]:
        """Rows per state of every route."""
        ...

    def snapshot_counts(self, source: str) -> Mapping[str, int]:
        """Live snapshots per entity."""
        ...

    def route_balance(self, route: str, source: str, entity: str) -> Mapping[str, int]:
        """For `verify`: {"in", "linked", "parked", "skipped", "open", "missing"} over the live snapshots of the
        route's entity, each key counted once: parked before open (ready, running, submitted) before linked before
        skipped, since a newer state that did not arrive counts more than an older one that did; missing has none."""
        ...

    def parked_causes(self, limit: int = 50) -> list[ParkedCause]:
        """Parked deliveries grouped by cause, most first."""
        ...

    def last_activity(self) -> Mapping[str, datetime]:
        """Sink -> time of its last history line."""
        ...

    # -- backfills

    def queue_backfill(
        self, kind: str, source: str, entity: str, filters: Mapping[str, str], route: str | None, now: datetime
    ) -> BackfillJob:
        """Hand a listing over; an unfinished one of the same kind and words is resumed, not doubled."""
        ...

    def next_backfill(self, source: str | None = None) -> BackfillJob | None:
        """The oldest queued or running one."""
        ...

    def get_backfill(self, job_id: int) -> BackfillJob | None:
        """One."""
        ...

    def update_backfill(
        self,
        job_id: int,
        *,
        state: str | None = None,
        cursor: str | None = None,
        seen: int | None = None,
        total: int | None = None,
        error: str | None = None,
        now: datetime,
    ) -> None:
        """Change what is given."""
        ...

    # -- secrets, plugin state, people

    def get_secret(self, name: str) -> str | None:
        """The encrypted text."""
        ...

    def put_secret(self, name: str, ciphertext: str, now: datetime) -> None:
        """Store an encrypted text, durable when this returns."""
        ...

    def delete_secret(self, name: str) -> bool:
        """Forget it; whether there was one."""
        ...

    def secret_names(self, prefix: str = "") -> list[tuple[str, datetime]]:
        """Names and times."""
        ...

    def state(self, namespace: str) -> State:
        """A plugin's key-value store."""
        ...

    def forget(self, email: str, digest: str, now: datetime) -> list[Link]:
        """Erase a person here: snapshots, events, open deliveries, history of their keys, and their links, which are
        given back; `digest` stays as a tombstone, and `ingest` drops changes of people whose address has one."""
        ...
