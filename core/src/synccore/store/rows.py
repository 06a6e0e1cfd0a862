"""The rows an outbox engine speaks in."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from attrs import field, frozen

from .._plain import Plain
from ..entities import Entity, normalize_email
from ..types import Change, ChangeOp, EntityRef, Link, Op, SinkOp, Snapshot, Uid, Unreadable

DeliveryState = Literal["ready", "running", "submitted", "done", "skipped", "parked", "dismissed"]


#: With an entity behind it, the cursor that keeps when all of it had been listed for the first time: what is dated
#: later is news, whoever finds it.
NEWS_SINCE = "news_since:"


@frozen(kw_only=True)
class DirtyRule(Plain):
    """What a change of one entity owes one route.

    `target` "owner": the route maps the owner and includes this entity.
    """

    route: str
    sink: str
    #: The route's own entity: the entity of the rows it gets.
    entity: str
    target: Literal["self", "owner"] = "self"
    delay: timedelta = timedelta(0)
    #: What the route's mapper is, for `made_from`; None: its records are always mapped again when they are asked for.
    made_by: str | None = None


#: Entity of a change -> the routes it dirties.
Rules = Mapping[str, Sequence[DirtyRule]]


@frozen(kw_only=True)
class Loan(Plain):
    """A batch that a lane waits for: what a listing owes anew is leased to it as it is written.

    Attributes:
        size: so many rows of the route, or none.
    """

    route: str
    token: str
    size: int
    lease: timedelta


@frozen(kw_only=True)
class Ingest(Plain):
    """One accepted unit: a webhook's changes, or one page of a listing with the cursor that follows it.

    Attributes:
        bulk: a listing (backfill, reconcile, first listing). What it brings is the past, and comes after live ones; but
            for what changed since all was listed for the first time, which is news that nobody told.
        force: routes that get a delivery even where the snapshot did not change (backfill).
        cursor: (name, value) stored in the same transaction; see `get_cursor`.
        sweep: mark the keys as seen in this running full comparison.
        unreadable: what could not be read; a `fetch` is owed where there is a key.
        read_at: when the source was asked (a listing, a fetch); None for what the source sent by itself.
        answers: hints that these changes answer; they end in the same transaction.
        asked: records, (entity, key), that the source was asked for alone at `read_at`, as for a hint: what it says of
            them is its newest word, whatever version that bears.
        loans: batches that may be made of what this and other units of the same commit owe.
    """

    source: str
    changes: Sequence[Change]
    rules: Rules
    bulk: bool = False
    force: frozenset[str] = frozenset()
    cursor: tuple[str, str | None] | None = None
    sweep: str | None = None
    unreadable: Sequence[Unreadable] = ()
    read_at: datetime | None = None
    answers: Sequence["Hint"] = ()
    asked: frozenset[tuple[str, str]] = frozenset()
    loans: Sequence[Loan] = ()


@frozen(kw_only=True, weakref_slot=False)
class Hint(Plain):
    """A record the source named without its data (`touch`), or a person to be forgotten (`forget`)."""

    source: str
    op: Literal["touch", "forget"]
    entity: str
    key: str
    #: Grows each time it is given.
    mark: int
    bulk: bool
    due_at: datetime
    attempts: int = 0
    error: str | None = None
    given_at: datetime


@frozen(kw_only=True, weakref_slot=False)
class UnreadableRecord(Plain):
    """A record that a source could not make sense of, by the place where it was met."""

    source: str
    entity: str
    place: str
    key: str | None
    reason: str
    times: int
    first_at: datetime
    last_at: datetime


@frozen(kw_only=True)
class Ingested(Plain):
    """What became of an `Ingest`: changes taken, equal to the snapshot, older than it, of forgotten people, hints
    to follow, records that could not be read."""

    accepted: int = 0
    unchanged: int = 0
    stale: int = 0
    forgotten: int = 0
    hinted: int = 0
    unreadable: int = 0
    #: Rows made or refreshed in the outbox.
    dirtied: int = 0
    #: Sinks that got work.
    sinks: frozenset[str] = frozenset()
    #: Token of a loan -> the batch that was made of it.
    lent: Mapping[str, Sequence["Delivery"]] = field(factory=dict)


@frozen(kw_only=True, weakref_slot=False)
class Delivery(Plain):
    """One row of the outbox: this route owes the sink this key."""

    id: int
    route: str
    sink: str
    source: str
    entity: str
    key: str
    op: Op
    state: DeliveryState
    bulk: bool
    event_id: str | None = None
    due_at: datetime
    #: Attempts that count against the record; outages, rate limits and shutdowns do not.
    attempts: int = 0
    #: When the first counted attempt failed.
    first_failed_at: datetime | None = None
    first_change_at: datetime
    last_change_at: datetime
    #: An earlier try may have been carried out.
    maybe_applied: bool = False
    lease_token: str | None = None
    lease_until: datetime | None = None
    job: str | None = None
    error_kind: str | None = None
    error: str | None = None
    created_at: datetime
    settled_at: datetime | None = None
    #: When it began to wait for a parent (WaitFor), for the one-day limit.
    waiting_since: datetime | None = None
    #: The job of an earlier state of this key that it waits for, and when that was submitted.
    behind_job: str | None = None
    behind_since: datetime | None = None
    submitted_at: datetime | None = None

    @property
    def waits(self) -> str | None:
        """The vendor's job it is in, or an earlier state of its key is in, for people."""
        if self.job is not None and self.submitted_at is not None:
            return f"is in import job {self.job}, submitted {self.submitted_at:%H:%M} UTC"
        if self.behind_job is not None and self.behind_since is not None:
            return f"waits for import job {self.behind_job}, submitted {self.behind_since:%H:%M} UTC"
        return None


@frozen(kw_only=True, weakref_slot=False)
class Work(Plain):
    """A claimed delivery with all that mapping and delivering needs."""

    delivery: Delivery
    #: For state: the newest snapshot (deleted ones too). For events: the event's own data. None where unknown.
    snapshot: Snapshot | None
    owner: Snapshot | None = None
    included: Mapping[str, Sequence[Snapshot]] = field(factory=dict)
    link: Link | None = None
    #: With `after`: the record whose link is needed, and that link.
    parent_ref: EntityRef | None = None
    parent: Link | None = None
    #: For submitted rows: the fields and idempotency key as they were sent.
    sent: Mapping[str, Any] | None = None
    #: Where no link is known: what tries without an answer may have written, all of them together.
    unheard: Mapping[str, Any] = field(factory=dict, repr=False)
    #: The oldest state the record is known to have had since it is owed, where it is another one.
    before: Snapshot | None = None
    #: Fingerprints of the record and of its owner.
    inputs: tuple[str, str] = ("", "")

    @property
    def gone(self) -> bool:
        """The record is deleted at its source, or that is what is owed."""
        return self.delivery.op == "delete" or (self.snapshot is not None and self.snapshot.deleted)


def together(known: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """What may stand somewhere by either of two tries: the second one's values, and what the first one had besides.

    Groups count by their parts; a blank takes nothing away, for nobody heard of it.
    """
    found = dict(known)
    for name, value in more.items():
        there = found.get(name)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            found[name] = {**there, **{part: v for part, v in value.items() if v is not None}}
        elif value is not None or name not in found:
            found[name] = value
    return found


@frozen
class Heir(Plain):
    """The record that took another one's place, on one route."""

    #: Its own twin; None where it has none.
    remote_id: str | None
    #: Whether it, or what hung on the former one's twin, is still to be delivered.
    owed: bool


@frozen
class Round(Plain):
    """Records among whom addresses go round, on one route."""

    keys: frozenset[str]
    #: Whether they have exchanged their twins; else something of them is under way.
    exchanged: bool = field(kw_only=True)


@frozen(kw_only=True)
class ClaimRule(Plain):
    """How much of one route a claim takes; order of the rules is the order of preference among equals."""

    route: str
    max_batch: int
    bulk_batch: int
    bulk_threshold: int
    #: Bulk rows are left alone until this many are due: while a listing still fills the outbox, batches go full.
    bulk_at_least: int = 1


@frozen(kw_only=True, weakref_slot=False)
class LinkUpdate(Plain):
    """What a settle writes to the link: set it, or remove it. See `Link` for what the attributes mean.

    Attributes:
        remote_id: None keeps the one that is known; where none is, nothing is written.
        fields: None keeps the old ones, with what was left out and asked for.
        adopted: None keeps what is known (False where nothing is).
        made: empty keeps what is known.
        parent_id: None keeps what is known.
        emptied: what was written was taken out of the twin, or the twin itself away: every other record that is linked
            to it is owed again in full.
        moved: no such twin of it was known: what hangs on it at the target, under another one, is owed again.
        sink: empty keeps what is known; a settle fills it in.
        seen: the record as it was when its twin was found (adopt). Whatever of it was known by then, and is older,
            takes its place; it stays until fields are delivered.
    """

    object: str
    remote_id: str | None
    etag: str | None = None
    fields: Mapping[str, Any] | None = None
    remove: bool = False
    left_out: Mapping[str, str] = field(factory=dict)
    asked: Mapping[str, Any] | None = None
    adopted: bool | None = None
    made: Mapping[str, str] = field(factory=dict)
    parent_id: str | None = None
    left: bool = False
    emptied: bool = False
    moved: bool = False
    sink: str = ""
    seen: Entity | None = field(default=None, repr=False)


@frozen(kw_only=True, weakref_slot=False)
class HistoryEntry(Plain):
    """A line of the audit trail: names, never values."""

    at: datetime
    route: str
    sink: str
    source: str
    entity: str
    key: str
    op: SinkOp | ChangeOp
    #: delivered, unchanged, skipped, failed, parked, retry, snoozed, submitted, dismissed, retried, linked, received,
    #: overtook (something of it was done ahead of a job that holds an older state)
    outcome: str
    remote_id: str | None = None
    fields: tuple[str, ...] = ()
    error_kind: str | None = None
    error: str | None = None
    note: str | None = None
    duration_ms: int | None = None
    delivery_id: int | None = None
    id: int | None = None


@frozen(kw_only=True, weakref_slot=False)
class Settlement(Plain):
    """How one claimed delivery leaves `running` (or `submitted`)."""

    delivery_id: int
    #: The lease token it was claimed with (for submitted rows: the job).
    token: str
    to: Literal["done", "skipped", "ready", "submitted", "parked"]
    due_at: datetime | None = None
    #: Whether the try counts against the record.
    counted: bool = False
    maybe_applied: bool = False
    #: It was asked for, and nothing that was tried before has been carried out.
    not_applied: bool = False
    error_kind: str | None = None
    error: str | None = None
    #: Waits for a parent: (route, entity, key) whose link, once written, makes this row due at once.
    wait: tuple[str, str, str] | None = None
    link: LinkUpdate | None = None
    #: A try without an answer: what the linked record may hold besides, field by field; the next state is compared with
    #: that too, so that what was blank before is emptied again.
    may_hold: Mapping[str, Any] | None = None
    job: str | None = None
    #: Fields and idempotency key as sent, kept for `submitted`.
    sent: Mapping[str, Any] | None = None
    #: The same as `may_hold` of a record without a link: kept with the row until it ends.
    unheard: Mapping[str, Any] | None = None
    #: Routes that owe a delivery of the same source, entity and key because of this one (write-back), live or bulk as
    #: the settled row was.
    owes: tuple[DirtyRule, ...] = ()
    #: Records of the same route that are owed again in full: what kept something from them is gone.
    frees: tuple[Uid, ...] = ()
    history: HistoryEntry | None = None
    #: What the link holds now was made from this (`made_from`); None where that is not the newest state.
    made_from: str | None = None


@frozen(kw_only=True)
class JobWork(Plain):
    """A submitted job and the ids of its rows, in the order they were submitted."""

    sink: str
    job: str
    submitted_at: datetime
    ids: tuple[int, ...]


@frozen(kw_only=True, weakref_slot=False)
class LaneRecord(Plain):
    """A lane's durable state: ok, paused (by a person), rate_limited, needs_auth, circuit_open, error."""

    sink: str
    state: str = "ok"
    reason: str | None = None
    until: datetime | None = None
    changed_at: datetime | None = None
    #: Consecutive outages, for the circuit.
    failures: int = 0


@frozen(kw_only=True, weakref_slot=False)
class Hold(Plain):
    """A route that is not tried before `until`: `refused` (then one record is the probe) or `rate_limited`."""

    route: str
    sink: str
    kind: str
    reason: str
    until: datetime
    since: datetime
    #: Probes that were refused.
    failures: int = 0


@frozen(kw_only=True, weakref_slot=False)
class BackfillJob(Plain):
    """A listing handed to the daemon: backfill or reconcile, resumable at its cursor."""

    id: int
    kind: Literal["backfill", "reconcile"]
    source: str
    entity: str
    filters: Mapping[str, str]
    route: str | None
    state: Literal["queued", "running", "done", "failed"]
    cursor: str | None
    seen: int
    total: int | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


@frozen(kw_only=True)
class RunningJob(Plain):
    """A vendor's job that was not collected yet: how many records it holds, and how many newer states wait for it."""

    sink: str
    job: str
    since: datetime
    records: int
    waiting: int

    @property
    def named(self) -> str:
        """The job as a sentence names it."""
        return f"import job {self.job}, submitted {self.since:%H:%M} UTC"


@frozen(kw_only=True)
class RouteCounts(Plain):
    """Rows per state of one route or sink."""

    ready: int = 0
    running: int = 0
    submitted: int = 0
    parked: int = 0
    done: int = 0
    skipped: int = 0
    oldest_ready_at: datetime | None = None

    @property
    def owed(self) -> int:
        """What did not come to its end: ready, under way, or in a vendor's job."""
        return self.ready + self.running + self.submitted


@frozen(kw_only=True)
class ParkedCause(Plain):
    """Parked deliveries with one cause."""

    sink: str
    route: str
    error_kind: str
    error: str
    count: int
    first_id: int


def email_of(data: Entity | None) -> str | None:
    """The address a record is found by, normalised; None where it has none."""
    email = getattr(data, "email", None)
    return normalize_email(email) if email else None


def made_from(made_by: str, inputs: tuple[str, str]) -> str:
    """A digest of all that a record's fields depend on, but for what dirties the record when it changes."""
    return hashlib.sha256("\n".join((made_by, *inputs)).encode()).hexdigest()[:32]


def email_digest(email: str) -> str:
    """The tombstone of an address: a hash, nothing else."""
    return hashlib.sha256(b"synccore:" + normalize_email(email).encode()).hexdigest()
