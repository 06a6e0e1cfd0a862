"""Descriptions of targets and accounts, findings, limits."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from attrs import field, frozen

from .._plain import Plain
from ._mapping import FieldOptions


@frozen(kw_only=True)
class FieldInfo(Plain):
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
class Defaults(Plain):
    """How an entity becomes an object unless the route says otherwise.

    Attributes:
        fields: target field -> expression, template or constant, as in `[routes.NAME.fields]`.
        compare: fields whose change alone makes a delivery; empty means all.
        options: target field -> its options; a route overrides them one by one.
    """

    fields: Mapping[str, Any]
    options: Mapping[str, FieldOptions] = field(factory=dict)
    match: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    when: str | None = None
    delay: timedelta = timedelta(0)


@frozen(kw_only=True)
class ObjectType(Plain):
    """An object a sink can write.

    Attributes:
        defaults: entity -> default mapping; an entity that is not here can still be routed with `fields`.
        options: the sink's own per-route settings: name -> (type, default, help).
        leaves: what a route's `on_leave` may be for this object; "keep" makes no call, the others arrive as
            `Operation(op="leave", on_leave=...)`.
        readable: whether `read` can say what the target holds of it. An event that was taken is gone from sight at
            many a target: then nobody is told that it was looked at.
        sayable: fields whose values are words of the shop and its operator and never a person's (a status, a plan):
            notes and errors may say them. All other values are taken out of what the sink says.
        by_address: the target has one record for an e-mail address: one that gets the address of another becomes one
            with it, or is refused. Where addresses go round among records (two people exchange theirs), core then
            exchanges their links before anything is sent: each is delivered to the record that has its new address.
        helpers: mapped names that are no fields of the object: what the sink works with itself (a stand-in for a
            name). They are not shown as if they were sent.
    """

    name: str
    summary: str
    defaults: Mapping[str, Defaults] = field(factory=dict)
    options: Mapping[str, tuple[type, Any, str]] = field(factory=dict)
    leaves: tuple[str, ...] = ("keep",)
    readable: bool = True
    sayable: frozenset[str] = frozenset()
    by_address: bool = False
    helpers: frozenset[str] = frozenset()


@frozen(kw_only=True)
class ObjectInfo(Plain):
    """An object as the target describes it now."""

    name: str
    label: str = ""
    fields: tuple[FieldInfo, ...] = ()
    createable: bool = True
    updateable: bool = True


@frozen(kw_only=True)
class Limits(Plain):
    """How much a sink takes at once.

    Attributes:
        max_batch: operations per `deliver`.
        max_in_flight: `deliver` calls at the same time; 1 means one writer.
        bulk_batch: operations per `deliver` when more than `bulk_threshold` deliveries of one route wait; None
            means max_batch.
        calls: `deliver` calls per `per` that core makes at most, counted in the outbox for all hosts; None where
            the vendor states none. A batch that fails as a whole and is halved counts once.
        linger: how long a change may wait for others that go in the same call. While changes come one after the other,
            a call that is not full begins no sooner than this after the route's last one; a change that comes alone
            waits for nothing. The operator may say otherwise (`linger` of the sink).
        deadline: how long one `deliver` may take, its lookups included. Calls of `synccore.http.Client` end by then;
            what was not sent yet goes with the next batch, no attempt used.
        look_within: how long at most until a target that is away is looked for again (one call with one record): short
            where something of it must not wait once the target is back.
        seen_within: how long at most a new record stays invisible to `lookup`. What the outbox sent the sink knows; but
            for so long after a restored backup nothing new is made that `lookup` does not find: the lost outbox may
            have made it a moment before.
    """

    max_batch: int = 1
    max_in_flight: int = 1
    bulk_batch: int | None = None
    bulk_threshold: int = 1000
    calls: int | None = None
    per: timedelta = timedelta(minutes=1)
    linger: timedelta = timedelta(milliseconds=200)
    deadline: timedelta = timedelta(seconds=120)
    look_within: timedelta = timedelta(minutes=5)
    seen_within: timedelta = timedelta(0)


@frozen(kw_only=True)
class Finding(Plain):
    """Something `check` has to say. `path` is where in the configuration, dotted."""

    level: Literal["error", "warning", "info"]
    path: str
    message: str


@frozen(kw_only=True)
class Account(Plain):
    """Whom an instance is connected to. `id` is stable and never shown; `label` and `detail` are for people.

    The id is part of the instance: where another one answers, core stops the instance until a person says
    `synccore connect NAME --switch-account`, and keeps the links of both apart.
    """

    id: str
    label: str
    detail: str = ""


@frozen(kw_only=True)
class Allowance(Plain):
    """A quota of an instance, for people: what of it is used, and when it begins anew. `limit` None: not known."""

    label: str
    used: int
    limit: int | None = None
    resets_at: datetime | None = None

    @property
    def left(self) -> int | None:
        """What may still be used."""
        return None if self.limit is None else max(self.limit - self.used, 0)


@frozen(kw_only=True)
class Check(Plain):
    """What a connection check found."""

    account: Account | None = None
    detail: str = ""
    findings: tuple[Finding, ...] = ()
    #: For sinks: what is written whole into this account, in words for people, and of which sources. Where another sink
    #: of the type writes the same there for other sources, the last writer wins, and core says so.
    claims: Mapping[str, Sequence[str]] = field(factory=dict)


@frozen(kw_only=True, weakref_slot=False)
class Settled(Plain):
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


@frozen(kw_only=True)
class Trouble(Plain):
    """Something a person should know of: what alerts are about.

    Attributes:
        kind: needs_auth, error, circuit_open, rate_limited, paused, parked, backlog, silent, listing, stale, disk.
        name: what it concerns: an instance, or a route.
        cause: parts troubles of one kind and name; without values.
        measure: how much of it: seconds it lasts, a count, bytes that are left.
        next: what to run.
    """

    kind: str
    name: str
    cause: str = ""
    measure: float = 0
    sentence: str
    next: str | None = None
    since: datetime

    @property
    def id(self) -> str:
        """The same as long as it is the same trouble."""
        return f"{self.kind}/{self.name}/{self.cause}"


@frozen(kw_only=True)
class Notice(Plain):
    """What an alert's channel sends: everything new since the last one, and what is well again. No personal value."""

    at: datetime
    subject: str
    text: str
    troubles: tuple[Trouble, ...] = ()
    recovered: tuple[Trouble, ...] = ()
