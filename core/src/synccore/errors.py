"""Errors grouped by what core does with them.

A plugin states a fact about the other side by raising one of these (or by returning it in `Failed`); one pure
policy function in core turns the fact into retry, snooze, park or pause. The class docstring is the default
message. `kind` is the word shown as `error_kind` in `synccore deliveries list --json`.

    SynccoreError
    |- ConfigError      that instance stops with its reason, the rest runs
    |- AuthError        lane paused as needs_auth, no attempt used
    |- RateLimited      lane or operation snoozed, no attempt used
    |- Transient        backoff with jitter; repeated: the circuit opens
    |- Conflict         one immediate re-read and retry, then as Transient
    |- Rejected         that record alone is parked, with the vendor's own words
    |- WaitFor          the parent is not there yet: parked only after a day
    |- BatchRejected    the batch is bisected until the poison record stands alone
    |- MappingError     parked, naming route, field and expression
    `- SignatureError   401 to the caller, counted, nothing stored
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar

from ._redact import redact

__all__ = [
    "AnotherAccount",
    "AuthError",
    "BatchRejected",
    "ConfigError",
    "Conflict",
    "MappingError",
    "RateLimited",
    "Rejected",
    "SignatureError",
    "SynccoreError",
    "Transient",
    "WaitFor",
    "redact",
]


#: No wait that the other side asks for is longer: a date in 2099 may be a mistake, and tomorrow we know.
LONGEST_WAIT = timedelta(days=1)


class SynccoreError(Exception):
    """Something went wrong that a person or core can act on."""

    kind: ClassVar[str] = "error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])

    @property
    def message(self) -> str:
        """The message, free of personal values and secrets."""
        return redact(str(self.args[0]))


class ConfigError(SynccoreError):
    """The configuration cannot work.

    Core stops the instance it names, shows the reason in `status`, and runs the rest.
    """

    kind = "config"

    def __init__(self, message: str | None = None, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class UnknownFilter(ConfigError):
    """A filter names what the source does not have, such as a plan's id. Says what there is; nothing is listed."""


class AuthError(SynccoreError):
    """The other side does not accept our credentials.

    Core pauses the lane as `needs_auth`, uses no attempt, and tells the operator to run `synccore connect NAME`.
    """

    kind = "auth"


class AnotherAccount(AuthError):
    """Somebody signed in to another account than before; both are named in full, to whoever signed in.

    Core leaves everything as it was until a person says `connect NAME --switch-account`.
    """

    @property
    def message(self) -> str:
        """As it was raised: the names are the operator's own."""
        return str(self.args[0])


class RateLimited(SynccoreError):
    """The other side asks us to slow down.

    Core snoozes the lane or the operation and uses no attempt.

    Args:
        retry_after: how long to wait, at most `LONGEST_WAIT`: nobody may stop us for longer. None lets core choose.
        scope: `lane` holds everything to that sink, `route` this route (the lane's others go on), `operation` only
            this record.
    """

    kind = "rate_limited"

    def __init__(
        self, message: str | None = None, *, retry_after: timedelta | None = None, scope: str = "lane"
    ) -> None:
        if retry_after is not None and retry_after > LONGEST_WAIT:
            message = f"{message or 'The other side asks us to slow down'} (asked for longer: tried again in a day)"
            retry_after = LONGEST_WAIT
        super().__init__(message)
        if scope not in ("lane", "route", "operation"):
            raise ValueError(f"scope must be 'lane', 'route' or 'operation', not {scope!r}")
        self.retry_after = retry_after
        self.scope = scope


class Transient(SynccoreError):
    """The other side did not do it this time.

    Core retries with backoff and full jitter. Repeated, it opens the lane's circuit: the lane waits and no attempt
    is used.

    Args:
        maybe_applied: the request was sent and the answer lost, so it may have been carried out. Core then calls
            the sink's `lookup` before a create is sent again.
        outage: nothing was reached at all (refused connection, 5xx, maintenance). Never the record's fault: no
            attempt is used. False for a failure that concerns one record only, such as a locked row.
        sent: False where this record's request was never made, because one before it failed. It uses no attempt then
            even where others got through.
    """

    kind = "transient"

    def __init__(
        self, message: str | None = None, *, maybe_applied: bool = False, outage: bool = True, sent: bool = True
    ) -> None:
        super().__init__(message)
        self.maybe_applied = maybe_applied
        self.outage = outage
        self.sent = sent

    def unsent(self) -> "Transient":
        """The same failure for those of the batch that come after it and were not tried."""
        return Transient(self.args[0], outage=self.outage, sent=False)


class Conflict(SynccoreError):
    """The remote record changed under us.

    Core drops the link's etag and sends the operation once more at once; a second conflict counts as Transient.
    """

    kind = "conflict"


class Rejected(SynccoreError):
    """The other side refuses this record for good.

    Core parks this record alone, with the vendor's own words.

    Args:
        fields: names of the target fields at fault, where the vendor says so.
    """

    kind = "rejected"

    def __init__(self, message: str | None = None, fields: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.fields = tuple(fields)


class WaitFor(SynccoreError):
    """A record this one depends on is not at the target yet.

    Core sets the delivery aside until that record is delivered, and parks it only after a day; then too it goes on by
    itself once that record is there.

    Args:
        entity: the entity of the parent, for instance `customer`.
        key: its key.
    """

    kind = "wait_for"

    def __init__(self, entity: str, key: str, message: str | None = None) -> None:
        super().__init__(message or f"waits for {entity} {key}")
        self.entity = entity
        self.key = key


class BatchRejected(SynccoreError):
    """The other side refuses the batch as a whole without saying which record is at fault.

    Core cuts the batch in halves until the poison record stands alone; alone, it is treated as Rejected.
    Only raise it when nothing of the batch was written, or when writing again is harmless.
    """

    kind = "batch_rejected"


class MappingError(SynccoreError):
    """A field's expression failed on this record.

    Core parks the delivery. The message names route, field and expression, never the record's values.
    """

    kind = "mapping"

    def __init__(self, message: str | None = None, *, route: str = "", field: str = "", expression: str = "") -> None:
        super().__init__(message)
        self.route = route
        self.field = field
        self.expression = expression


class SignatureError(SynccoreError):
    """The webhook's signature does not match.

    Core answers 401, counts it, and stores nothing.
    """

    kind = "signature"
