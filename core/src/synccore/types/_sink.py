"""What a sink is asked, and answers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from attrs import field, frozen

from .._plain import Plain
from .._swift import swift
from ..errors import AuthError, ConfigError, RateLimited, SynccoreError, Transient
from ._mapping import FieldOptions
from ._source import Op, Uid

#: What a sink is asked to do; `leave`: the route no longer wants a record that was delivered.
SinkOp = Op | Literal["leave"]


@frozen(kw_only=True)
class Link(Plain):
    """What is known of the remote twin of one record on one route.

    `fields` are the values the target really holds of what was last delivered; empty for a twin that was found and
    never written, and for one that was left. `mapped` are the values the mapping asked for. `delivered_at` is None
    where nothing of this record was delivered to it: it was found, or exchanged (`ObjectType.by_address`) and holds the
    values of another.
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
    #: Instance name of the sink; empty for a link a sink made in `lookup`.
    sink: str = ""
    #: Field -> why the last delivery did not send it, for people.
    left_out: Mapping[str, str] = field(factory=dict)
    #: The mapped fields of that delivery where they were something else than `fields`.
    asked: Mapping[str, Any] | None = field(default=None, repr=False)
    #: Found at the target (by `adopt`, a lookup or the sink), not made by us.
    adopted: bool = False
    #: How many records (of any route and source that leads to this sink) are linked to this remote id, this one
    #: included. What is shared or adopted is nobody's to delete, rename or anonymise: it is only let go of.
    shared: int = 1
    #: Where something of a shared record is to be emptied (a deletion, `leave`, `erase`): the `fields` of all others
    #: that are linked to it, see `wanted`.
    others: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    #: Where a person is forgotten (`erase`): their addresses. An older link, of before a backup, may know another one
    #: than the one that stands there by us.
    addresses: Sequence[str] = field(default=(), repr=False)
    #: Further records a sink made for this one: a name of its own -> remote id (`Delivered.made`).
    made: Mapping[str, str] = field(factory=dict)
    #: The remote id of the parent (`after`) it was last delivered under; empty: it is known to hang on nothing.
    parent_id: str | None = None
    #: The route let go of it (`on_leave`); nothing is held there until it comes back.
    left: bool = False
    #: Said by `lookup`: the record carries our own marker (`operation.uid`). After a lost answer it then counts as
    #: made by us, any other twin as adopted.
    marked: bool = False
    #: Said by `lookup`: a record that many are meant to share (a company's), so others may find it as well.
    common: bool = False

    @property
    def uid(self) -> str:
        """As `Operation.uid`."""
        return str(Uid(self.source, self.entity, self.key))

    @property
    def mapped(self) -> Mapping[str, Any]:
        """The fields the mapping asked for at the last delivery: a new mapping is compared with these."""
        return self.fields if self.asked is None else self.asked

    @property
    def previous(self) -> Mapping[str, Any]:
        """The fields last asked for as far as anybody heard of it; none where a lookup found it just now.

        Then `mapped` is what tries without an answer asked for: what may stand there by us.
        """
        return {} if self.marked else self.mapped

    def wanted(self, name: str, value: Any) -> bool:
        """Whether another of those who share the record holds this value there: it stays when this one's go."""
        return any(name in fields and fields[name] == value for fields in self.others)

    @property
    def ours(self) -> bool:
        """Made by us for this record alone: only then may it be deleted or anonymised."""
        return not self.adopted and self.shared <= 1


class Successor(dict[str, Any]):
    """What `read` gives where another record took the linked one's place (merged, converted): that record's values.

    What it holds is its owners'; only where it holds nothing is something of ours missing. `remote_id` is the
    id of that record: it is the person's own, not somebody else's with the same address.
    """

    def __init__(self, values: Mapping[str, Any], *, remote_id: str) -> None:
        super().__init__(values)
        self.remote_id = remote_id


class Hanging(dict[str, Any]):
    """What `read` gives of a record that was delivered under another one (`operation.parent`): its values, and what it
    hangs on at the target now.

    `parent_id` is the remote id of that, empty where it hangs on nothing, and None where nothing is said of it: as
    where it is its owner's own choice. `reference` is what the target calls it, for people.
    """

    def __init__(self, values: Mapping[str, Any], *, parent_id: str | None, reference: str = "parent") -> None:
        super().__init__(values)
        self.parent_id = parent_id
        self.reference = reference


class Roomier(Hanging):
    """What `read` gives where the target takes now what it did not when the record was delivered: its values.

    `lacking` are the mapped names that were left out then, because there was no such field, or no permission to write
    it.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        *,
        lacking: frozenset[str],
        parent_id: str | None = None,
        reference: str = "parent",
    ) -> None:
        super().__init__(values, parent_id=parent_id, reference=reference)
        self.lacking = lacking


def _worked_out(key: str | Callable[[], str]) -> str:
    return key if isinstance(key, str) else key()


@frozen(kw_only=True, weakref_slot=False)
class Operation(Plain):
    """One thing a sink is asked to do.

    `fields` is always the whole mapped state. `changed` names the fields that differ from what was last delivered
    (all of them where nothing was), so a sink that can write single fields sends only those; a field that
    was delivered before and is mapped no longer is in `changed` and not in `fields`. A field that is None is to be
    emptied (what others put beside it stays).

    A `leave` has no fields: `on_leave` says what to do with the record of `link`. Whatever it is, a link that is not
    `ours` is only let go of, and this person's own values emptied.
    """

    #: Unique among the operations of one call.
    id: int
    route: str
    object: str
    op: SinkOp
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
    #: Worked out when a sink asks for it: not all do.
    _idempotency_key: str | Callable[[], str] = field(alias="idempotency_key", repr=False, eq=_worked_out)
    event_id: str | None = None
    #: When the change happened.
    at: datetime
    #: When the first of the changes it brings was taken in, by our clock: what is older at the target no earlier try of
    #: it has made.
    since: datetime | None = None
    #: True for the past, not news: what a first listing brings, and what a backfill sends again. A sink fires no
    #: automation for it.
    bulk: bool = False
    #: True where an earlier try may have been carried out (lost answer, crash).
    maybe_applied: bool = False
    #: Values of `ObjectType.options` set on the route.
    settings: Mapping[str, Any] = field(factory=dict)
    #: For `leave`: "unlabel", "clear" or "delete".
    on_leave: str = "keep"
    #: For `leave`: the record was deleted at its source, and core asks for no deletion since the link is not `ours`.
    #: A sink with a policy of its own for deletions follows that instead of `on_leave`, short of deleting.
    gone: bool = False
    #: For a record nothing was delivered of yet: the fields as mapped from the oldest state the shop is known to have
    #: had since the record is owed, or since `adopt` found its twin, or as a try without an answer may have told them,
    #: whichever is not what they are now; None where no other is known. A consent that became a no before the first
    #: delivery shows here. To a `lookup` for a record that is gone: as a try without an answer sent it.
    before: Mapping[str, Any] | None = field(default=None, repr=False)

    #: Fields that changed and wait for further changes (`FieldOptions.delay`): here they are as last asked for.
    later: frozenset[str] = frozenset()

    @property
    def idempotency_key(self) -> str:
        """The same each time this very fact or state is sent."""
        return _worked_out(self._idempotency_key)

    @property
    def uid(self) -> str:
        """`source:entity:key` (see `Uid`), the natural external id of the record at a target."""
        return str(Uid(self.source, self.entity, self.key))

    @property
    def previous(self) -> Mapping[str, Any]:
        """The fields last asked for, empty where nothing was. As `Link.previous`."""
        return self.link.previous if self.link else {}


@frozen(kw_only=True)
class _There(Plain):
    remote_id: str | None = None
    etag: str | None = None
    fields: Mapping[str, Any] | None = field(default=None, repr=False)
    left_out: Mapping[str, str] = field(factory=dict)
    note: str | None = None
    adopted: bool | None = None


@swift
@frozen(kw_only=True)
class Delivered(_There):
    """It is there now.

    Attributes:
        fields: what the target now really holds of what was mapped: converted, cut and kept values as they are there,
            without what was left out. None: exactly the operation's fields. `read` must give these back.
        left_out: field -> why it was not sent, for people and without values: "not a valid number", "kept: the
            owner's own entry".
        note: a line for the audit trail (field names and facts, no values).
        adopted: True where the sink found the record and took it over, False where it made it; None: core decides
            (found by a lookup: adopted; else made by us).
        made: further records made for this one: a name of the sink's own -> remote id. They come back in `Link.made`.
        frees: uids of other records of this route, from which something was kept since it stood at this one's twin (a
            number of which the target takes one), and which can have it now: they are owed again in full.
    """

    made: Mapping[str, str] = field(factory=dict)
    frees: tuple[str, ...] = ()


@frozen(kw_only=True)
class Unchanged(_There):
    """The target already holds this; nothing was written. The attributes mean what they mean in `Delivered`."""


@frozen
class Submitted(Plain):
    """Handed to a vendor's bulk job. `job` is stored; core asks `collect` until the outcomes are there."""

    job: str


@frozen
class Failed(Plain):
    """It did not work, for the reason the error states (one of `synccore.errors`; anything else counts as a bug).

    Attributes:
        partly: something of it is at the target, by an earlier call for the same operation. The next state is sent
            whole then, even where it is what was delivered last; a create is looked up first.
    """

    error: Exception
    partly: bool = field(default=False, kw_only=True)


Outcome = Delivered | Unchanged | Submitted | Failed


@frozen(kw_only=True)
class Job(Plain):
    """A submitted bulk job and those of its operations whose outcomes are not told yet, as sent and in the order they
    were submitted (also after a restart)."""

    id: str
    operations: Sequence[Operation]
    submitted_at: datetime


@frozen(kw_only=True)
class Identity(Plain):
    """Who a person is, for `find`: what the shop knew them by.

    Attributes:
        emails: addresses as the shop wrote them.
        phones: numbers in E.164 where they could be read, else as written.
        uids: `source:entity:key` of the person and of every record they own.
    """

    emails: tuple[str, ...] = field(default=(), repr=False)
    phones: tuple[str, ...] = field(default=(), repr=False)
    uids: tuple[str, ...] = ()


@frozen
class Erased(Plain):
    """What an `erase` came to.

    Attributes:
        outcome: `deleted`; `anonymised` (what must stay holds nothing of the person); `released` (shared or adopted:
            let go of, the person's own values emptied); `pending` (cannot be proven yet, such as a record in a job:
            `forget` ends with exit code 1 and says "run again").
        note: for people, without values.
    """

    outcome: Literal["deleted", "anonymised", "released", "pending"]
    note: str = ""


@frozen
class Ambiguous(Plain):
    """More than one remote record could be the twin; none is touched."""

    candidates: tuple[str, ...]


@frozen(kw_only=True)
class Retry(Plain):
    """Cannot be said yet (an index that lags behind): ask again after this time, no attempt used."""

    after: timedelta
    reason: str


#: `Failed` where the sink would refuse to write the record at all: `plan` and `adopt` say so beforehand.
LookupResult = Link | Ambiguous | Retry | Failed | None


def each(operations: Sequence[Operation], write: Callable[[Operation], Outcome]) -> list[Outcome]:
    """Carry out operations one at a time, for targets without a batch call.

    A record's own error (Rejected, Conflict, WaitFor ...) is its outcome. An error of the whole target (AuthError,
    RateLimited, ConfigError, an outage) is the outcome of all that follow too, and they are not tried.
    """
    outcomes: list[Outcome] = []
    stop: SynccoreError | None = None
    for operation in operations:
        if stop is not None:
            outcomes.append(Failed(stop))
            continue
        try:
            outcomes.append(write(operation))
        except SynccoreError as error:
            outcomes.append(Failed(error))
            if _is_the_targets(error):
                # Those that follow were never sent, whatever became of this one.
                stop = error.unsent() if isinstance(error, Transient) else error
    return outcomes


def _is_the_targets(error: SynccoreError) -> bool:
    if isinstance(error, Transient):
        return error.outage
    if isinstance(error, RateLimited):
        return error.scope != "operation"
    return isinstance(error, AuthError | ConfigError)
