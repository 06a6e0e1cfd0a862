"""The words of the plugin contract.

entity     a kind of thing at the source (see `synccore.entities`)
change     one observation: entity + key + op, with the source's own version and time
snapshot   the last known state of one entity and its owner
operation  what a sink is asked to do: object, op, fields, match keys, link, idempotency key
outcome    what came of it: Delivered, Unchanged, Submitted or Failed
link       what is known of the remote twin: remote id, etag, the fields last delivered
lane       everything core owes one sink instance: its limiter, circuit, pause state and workers
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from attrs import field, frozen

from .entities import Entity

__all__ = [
    "Account",
    "Ambiguous",
    "BackfillFilters",
    "Change",
    "Check",
    "Clock",
    "Context",
    "Defaults",
    "Delivered",
    "EntityRef",
    "Failed",
    "FieldInfo",
    "FieldOptions",
    "Finding",
    "Job",
    "Limits",
    "Link",
    "Log",
    "LookupResult",
    "MapContext",
    "ObjectInfo",
    "ObjectType",
    "Operation",
    "Outcome",
    "Page",
    "Retry",
    "RouteSpec",
    "Settled",
    "Skip",
    "Snapshot",
    "State",
    "Submitted",
    "Unchanged",
    "Vault",
    "WebhookRequest",
    "WriteBack",
]

Op = Literal["upsert", "delete", "event"]
BackfillFilters = Mapping[str, str]


# -- what a source tells ---------------------------------------------------------------------------------------------


@frozen
class EntityRef:
    """Names one record of a source."""

    entity: str
    key: str

    def __str__(self) -> str:
        return f"{self.entity} {self.key}"


@frozen(kw_only=True)
class Change:
    """One observation by a source.

    `upsert` and `delete` are state: core keeps the newest and owes each route one delivery of it. `event` is a fact:
    every one is delivered, in order, once per `event_id`.
    """

    entity: str
    key: str
    op: Op
    #: The record; None only for `delete`.
    data: Entity | None = None
    #: Grows with every change of this record (usually its modified time in ms). An older version is dropped;
    #: None means unknown: the later observation wins.
    version: int | None = None
    #: When it happened by the source's clock, if known.
    at: datetime | None = None
    #: Required for events: unique per source and entity, the same each time the same fact is observed.
    event_id: str | None = None
    #: Whom it belongs to (an order's customer).
    owner: EntityRef | None = None
    #: Keys this record takes the place of (a guest who registered): their links move here and nothing is deleted
    #: at the targets.
    replaces: tuple[str, ...] = ()


@frozen(kw_only=True)
class Page:
    """One page of a listing.

    Attributes:
        cursor: where to go on. Core stores it with the page's commit, so a listing resumes after a kill. After the
            last page it is what the next `poll` starts from.
        total: how many records the whole listing has, if known.
    """

    changes: Sequence[Change]
    cursor: str | None = None
    total: int | None = None


@frozen(kw_only=True)
class WebhookRequest:
    """A request to `POST /hooks/{source}`, body as raw bytes. Header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class WriteBack:
    """Remote ids to store at the source beside a record: `links` is sink instance -> remote id."""

    entity: str
    key: str
    links: Mapping[str, str]
    at: datetime


@frozen(kw_only=True)
class Snapshot:
    """The last known state of one record."""

    source: str
    entity: str
    key: str
    data: Entity
    version: int | None = None
    owner: EntityRef | None = None
    deleted: bool = False
    changed_at: datetime | None = None


# -- mapping ---------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class FieldOptions:
    """Per-field settings of a route: `{ value = "...", truncate = true, keep_existing = true, clear = true }`."""

    #: Cut a text that is too long for the target instead of refusing the record.
    truncate: bool = False
    #: Never overwrite what the target already holds.
    keep_existing: bool = False
    #: An empty value empties the field at the target; without it empty values are not sent.
    clear: bool = False


@frozen(kw_only=True)
class RouteSpec:
    """One `[routes.NAME]` after validation, defaults of the sink merged in."""

    name: str
    source: str
    entity: str
    sink: str
    object: str
    #: Target field -> expression, template or constant, as in the configuration file.
    fields: Mapping[str, Any]
    options: Mapping[str, FieldOptions] = field(factory=dict)
    match: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    when: str | None = None
    delay: timedelta = timedelta(0)
    #: Route whose link must exist first: of the same record where it maps the same entity, else of the owner.
    after: str | None = None
    mapper: str = "jinja"
    #: Fields whose change alone makes a delivery; empty means all.
    compare: tuple[str, ...] = ()
    #: The sink's own per-route settings (`on_delete`, `on_opt_out` ...), checked against `ObjectType.options`.
    settings: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class MapContext:
    """What a mapper may look at beside the record itself."""

    route: RouteSpec
    owner: Snapshot | None = None
    #: Entity -> snapshots of that entity with the same owner (or owned by the record), oldest first.
    included: Mapping[str, Sequence[Snapshot]] = field(factory=dict)
    #: The fields last delivered on this route for this key.
    previous: Mapping[str, Any] = field(factory=dict)


@frozen
class Skip:
    """A mapper's answer when nothing is owed; `reason` is shown in `log`."""

    reason: str


# -- what a sink is asked, and answers -------------------------------------------------------------------------------


@frozen(kw_only=True)
class Link:
    """What is known of the remote twin of one record on one route.

    `fields` are the values last delivered; empty for a twin that was found and never written.
    """

    object: str
    remote_id: str
    etag: str | None = None
    fields: Mapping[str, Any] = field(factory=dict, repr=False)
    delivered_at: datetime | None = None
    #: Instance name of the source and the record's entity and key; empty for a link a sink made in `lookup`.
    source: str = ""
    entity: str = ""
    key: str = ""
    route: str = ""


@frozen(kw_only=True)
class Operation:
    """One thing a sink is asked to do.

    `fields` is always the whole mapped state. `changed` names the fields that differ from what was last delivered
    (all of them where nothing was), so a sink that can write single fields sends only those; a field that
    was delivered before and is mapped no longer is in `changed` and not in `fields`.
    """

    #: Unique among the operations of one call.
    id: int
    route: str
    object: str
    op: Op
    source: str
    entity: str
    key: str
    fields: Mapping[str, Any] = field(factory=dict, repr=False)
    changed: frozenset[str] = frozenset()
    options: Mapping[str, FieldOptions] = field(factory=dict)
    #: Target fields to find an existing record by, in order.
    match: tuple[str, ...] = ()
    link: Link | None = None
    #: The link of the record this one belongs to, on the route named by `after`.
    parent: Link | None = None
    #: The same each time this very fact or state is sent.
    idempotency_key: str
    event_id: str | None = None
    #: When the change happened.
    at: datetime
    #: True for backfills and reconciles: the past, not news. A sink fires no automation for it.
    bulk: bool = False
    #: True where an earlier try may have been carried out (lost answer, crash).
    maybe_applied: bool = False
    #: Values of `ObjectType.options` set on the route.
    settings: Mapping[str, Any] = field(factory=dict)

    @property
    def uid(self) -> str:
        """`source:entity:key`, the natural external id of the record at a target that several shops may share."""
        return f"{self.source}:{self.entity}:{self.key}"

    @property
    def previous(self) -> Mapping[str, Any]:
        """The fields last delivered, empty where nothing was."""
        return self.link.fields if self.link else {}


@frozen(kw_only=True)
class Delivered:
    """It is there now.

    Attributes:
        fields: what to remember as delivered instead of the operation's fields, where the sink sent something else.
        note: a line for the audit trail (field names and facts, no values): "phone left out: not valid".
    """

    remote_id: str | None = None
    etag: str | None = None
    fields: Mapping[str, Any] | None = field(default=None, repr=False)
    note: str | None = None


@frozen(kw_only=True)
class Unchanged:
    """The target already holds this; nothing was written."""

    remote_id: str | None = None
    etag: str | None = None
    note: str | None = None


@frozen
class Submitted:
    """Handed to a vendor's bulk job. `job` is stored; core asks `collect` until the outcomes are there."""

    job: str


@frozen
class Failed:
    """It did not work, for the reason the error states (one of `synccore.errors`; anything else counts as a bug)."""

    error: Exception


Outcome = Delivered | Unchanged | Submitted | Failed


@frozen(kw_only=True)
class Job:
    """A submitted bulk job and its operations in the order they were submitted (as sent, also after a restart)."""

    id: str
    operations: tuple[Operation, ...]
    submitted_at: datetime


@frozen
class Ambiguous:
    """More than one remote record could be the twin; none is touched."""

    candidates: tuple[str, ...]


@frozen(kw_only=True)
class Retry:
    """Cannot be said yet (an index that lags behind): ask again after this time, no attempt used."""

    after: timedelta
    reason: str


LookupResult = Link | Ambiguous | Retry | None


# -- descriptors and checks ------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class FieldInfo:
    """A field of a target object."""

    name: str
    label: str = ""
    type: str = "string"
    length: int | None = None
    required: bool = False
    createable: bool = True
    updateable: bool = True
    #: Usable as a match key.
    unique: bool = False
    picklist: tuple[str, ...] = ()
    help: str = ""


@frozen(kw_only=True)
class Defaults:
    """How an entity becomes an object unless the route says otherwise.

    Attributes:
        fields: target field -> expression, template or constant, as in `[routes.NAME.fields]`.
        compare: fields whose change alone makes a delivery; empty means all.
    """

    fields: Mapping[str, Any]
    match: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    when: str | None = None
    delay: timedelta = timedelta(0)


@frozen(kw_only=True)
class ObjectType:
    """An object a sink can write.

    Attributes:
        defaults: entity -> default mapping; an entity that is not here can still be routed with `fields`.
        options: the sink's own per-route settings: name -> (type, default, help).
    """

    name: str
    summary: str
    defaults: Mapping[str, Defaults] = field(factory=dict)
    options: Mapping[str, tuple[type, Any, str]] = field(factory=dict)


@frozen(kw_only=True)
class ObjectInfo:
    """An object as the target describes it now."""

    name: str
    label: str = ""
    fields: tuple[FieldInfo, ...] = ()
    createable: bool = True
    updateable: bool = True


@frozen(kw_only=True)
class Limits:
    """How much a sink takes at once.

    Attributes:
        max_batch: operations per `deliver`.
        max_in_flight: `deliver` calls at the same time; 1 means one writer.
        bulk_batch: operations per `deliver` when more than `bulk_threshold` deliveries of one route wait; None
            means max_batch.
        calls: calls per `per` that core may make, None where the vendor states none; headers correct it.
        linger: how long a batch that is not full may wait for more while the lane is busy.
        deadline: how long one `deliver` may take.
    """

    max_batch: int = 1
    max_in_flight: int = 1
    bulk_batch: int | None = None
    bulk_threshold: int = 1000
    calls: int | None = None
    per: timedelta = timedelta(minutes=1)
    linger: timedelta = timedelta(milliseconds=200)
    deadline: timedelta = timedelta(seconds=120)


@frozen(kw_only=True)
class Finding:
    """Something `check` has to say. `path` is where in the configuration, dotted."""

    level: Literal["error", "warning", "info"]
    path: str
    message: str


@frozen(kw_only=True)
class Account:
    """Whom an instance is connected to, for people. `id` is stable; a reconnect with another id is refused."""

    id: str
    label: str
    detail: str = ""


@frozen(kw_only=True)
class Check:
    """What a connection check found."""

    account: Account | None = None
    detail: str = ""
    findings: tuple[Finding, ...] = ()


@frozen(kw_only=True)
class Settled:
    """What observers (`synccore_settled`) are told: a settled delivery, or a lane that changed state."""

    at: datetime
    sink: str
    route: str | None = None
    entity: str | None = None
    key: str | None = None
    #: delivered, unchanged, skipped, parked, retry, snoozed, submitted; or `lane` for a change of lane state.
    outcome: str
    error_kind: str | None = None
    lane_state: str | None = None
    reason: str | None = None


# -- what core hands to an instance ----------------------------------------------------------------------------------


class Clock(Protocol):
    """Time, injected. Plugins never call `time.sleep` or `datetime.now`."""

    def now(self) -> datetime:
        """The time, aware UTC."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Wait; returns early when the process is stopping."""
        ...


class State(Protocol):
    """A plugin's own durable key-value store; values are JSON."""

    def get(self, key: str) -> Any:
        """The value, or None."""
        ...

    def put(self, items: Mapping[str, Any]) -> None:
        """Store all items in one transaction; a value of None deletes its key."""
        ...

    def scan(self, prefix: str = "") -> Iterable[tuple[str, Any]]:
        """All items whose key begins with `prefix`, by key; flat memory."""
        ...

    def clear(self, prefix: str = "") -> None:
        """Delete all items whose key begins with `prefix`."""
        ...


class Vault(Protocol):
    """Secrets of one instance, encrypted at rest."""

    def get(self, name: str) -> str | None:
        """The secret's text, or None."""
        ...

    def put(self, name: str, value: str) -> None:
        """Store it; durable when this returns."""
        ...

    def delete(self, name: str) -> None:
        """Forget it; nothing happens where there is none."""
        ...


class Log(Protocol):
    """A structured logger. Events are constant texts; keyword values are facts and ids, never personal data."""

    def info(self, event: str, **values: Any) -> Any:
        """Something a person may want to know."""
        ...

    def warning(self, event: str, **values: Any) -> Any:
        """Something a person should look at."""
        ...


class Context(Protocol):
    """What `open(config, context)` receives: everything an instance may use of the world besides HTTP."""

    #: Name in the configuration (`shop`, `crm`) and type of the instance.
    name: str
    type: str
    clock: Clock
    random: random.Random
    vault: Vault
    log: Log
    #: `[server] public_url`, if set.
    public_url: str | None
    #: The routes that lead to this sink (or from this source).
    routes: Sequence[RouteSpec]

    def state(self, account: str = "") -> State:
        """Durable state of this instance, or, with `account`, state shared by all instances of this type on it."""
        ...

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock that is exclusive among the threads and processes of this database."""
        ...

    def count_call(self) -> None:
        """Count one HTTP call; `synccore.http.Client` does it by itself."""
        ...

    def stopping(self) -> bool:
        """True once the process has been asked to stop: long listings should return at the next page."""
        ...


Opener = Callable[[Any, Context], Any]
