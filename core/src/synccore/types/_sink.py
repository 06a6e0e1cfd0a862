"""What a sink is asked, and answers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen

from ..errors import AuthError, ConfigError, RateLimited, SynccoreError, Transient
from ._mapping import FieldOptions
from ._source import Op


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
                stop = Transient(error.message) if isinstance(error, Transient) else error
    return outcomes


def _is_the_targets(error: SynccoreError) -> bool:
    if isinstance(error, Transient):
        return error.outage
    if isinstance(error, RateLimited):
        return error.scope == "lane"
    return isinstance(error, AuthError | ConfigError)
