"""Salesforce's error codes, turned into what core does with them.

Codes and meanings: Salesforce REST API Developer Guide, "Status Codes and Error Responses", and SOAP API status codes.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from attrs import field, frozen

from synccore.errors import (
    AuthError,
    ConfigError,
    RateLimited,
    Rejected,
    SynccoreError,
    Transient,
    WaitFor,
    redact,
)
from synccore.types import Failed, Outcome

__all__ = [
    "ADVICE",
    "GONE_CODES",
    "Problem",
    "Refused",
    "RouteHeld",
    "error_of",
    "failed_alike",
    "held",
    "problems_of",
    "unsent",
    "waits_for",
]

_FOREIGN_KEY = re.compile(r"(.+?) not found for field (\S++) in entity (\S++)")
_RECORD_ID = re.compile(r"\b([a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?)\b")
_NEIGHBOUR = ("PROCESSING_HALTED", "ALL_OR_NONE_OPERATION_ROLLED_BACK")

LOCKED = "UNABLE_TO_LOCK_ROW"
#: Codes that speak of the connection, not of one record.
_LIMITS = ("REQUEST_LIMIT_EXCEEDED", "EXCEEDED_QUOTA", "ExceededQuota")
_API_OFF = ("API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED")
_RETRY = ("SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "QUERY_TIMEOUT", "TXN_SECURITY_RUNTIME_EXCEPTION")
#: The object or a field of it is gone or hidden: the route's trouble, not one record's.
_ROUTE = ("INVALID_TYPE", "INVALID_FIELD", "INVALID_TYPE_FOR_OPERATION")
_SETUP = (
    "INSUFFICIENT_ACCESS",
    "INVALID_TYPE",
    "INVALID_FIELD",
    "NOT_FOUND",
    "STORAGE_LIMIT_EXCEEDED",
    "UNSUPPORTED_API_VERSION",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
)

#: The record is not where it was: merged, deleted, converted, or never there.
GONE_CODES = ("ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND", "CANNOT_UPDATE_CONVERTED_LEAD")

#: What helps a person against a code.
ADVICE = (
    (
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "A rule of the org refuses it: mend the record in the shop, map the field the rule asks for, or relax it.",
    ),
    (
        "REQUIRED_FIELD_MISSING",
        "The org asks for a field that is empty: map it, or give it a default in the mapping of {route}.",
    ),
    ("STRING_TOO_LONG", "Write truncate = true for that field of {route}, or shorten it in the expression."),
    (
        "RESTRICTED_PICKLIST",
        "The field takes only values of its own list: map it to one of those in {route}, or add the value in the org.",
    ),
    (
        "DUPLICATE",
        "The org has such a record already: merge the two there, or link what exists with synccore adopt {route}.",
    ),
    ("INVALID_EMAIL_ADDRESS", "The org does not take that address: correct it in the shop."),
    (
        "INSUFFICIENT_ACCESS",
        "The user that synccore signs in as may not do this: give it the permission in the org.",
    ),
    ("INACTIVE_OWNER_OR_USER", "The owner that is mapped or inherited is inactive in the org: choose another one."),
)

#: How long to wait where the client knows no better.
LIMIT_PAUSE = timedelta(seconds=30)
#: How long a route waits until one of its records is tried again.
ROUTE_PAUSE = timedelta(minutes=5)


@frozen
class Problem:
    """One error as Salesforce words it, for one record or a whole request."""

    code: str
    message: str = field(repr=False, default="")
    fields: tuple[str, ...] = ()
    #: Ids that a duplicate rule named.
    duplicates: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Code and message for people, free of personal values."""
        if self.code == "INVALID_EMAIL_ADDRESS":
            # The message repeats the address, which redaction cannot know: it is none.
            return f"{self.code}: {', '.join(self.fields) or 'the address'} is not valid"
        return redact(f"{self.code}: {self.message}" if self.message else self.code)

    @property
    def foreign_key(self) -> tuple[str, str, str] | None:
        """Value, key field and entity of a parent that is not there yet, where that is the problem."""
        _, _, rest = self.message.partition("Foreign key external ID: ")
        found = _FOREIGN_KEY.match(rest)
        return (found[1], found[2], found[3]) if found else None

    @property
    def record_id(self) -> str | None:
        """The record id at the end of a `DUPLICATE_VALUE` message."""
        _, marker, rest = self.message.rpartition("id:")
        found = _RECORD_ID.search(rest) if marker else None
        return found[1] if found else None

    @property
    def is_lock(self) -> bool:
        """True where another transaction held the row (also inside a trigger): it was not written."""
        return LOCKED in self.code or LOCKED in self.message

    @property
    def column(self) -> str | None:
        """The field an `INVALID_FIELD` message names."""
        found = re.search(r"No such column '([^']+)'", self.message)
        return found[1] if found else (self.fields[0] if self.fields else None)


def problems_of(body: Any) -> tuple[Problem, ...]:
    """The errors in an answer's body: a list or one object; `errorCode` for requests, `statusCode` for rows.

    What only says that a neighbour failed comes last.
    """
    items = body if isinstance(body, Sequence) and not isinstance(body, str) else [body]
    found = [_problem(item) for item in items if isinstance(item, Mapping)]
    return tuple(sorted((p for p in found if p.code), key=lambda p: p.code in _NEIGHBOUR))


def _problem(item: Mapping[str, Any]) -> Problem:
    duplicates = [
        str(match["record"]["Id"])
        for result in (_duplicates(item).get("matchResults") or ())
        for match in result.get("matchRecords") or ()
        if isinstance(match.get("record"), Mapping) and match["record"].get("Id")
    ]
    return Problem(
        code=str(item.get("errorCode") or item.get("statusCode") or item.get("error") or ""),
        message=str(item.get("message") or item.get("error_description") or ""),
        fields=tuple(str(f) for f in item.get("fields") or ()),
        duplicates=tuple(dict.fromkeys(duplicates)),
    )


def _duplicates(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a duplicate rule found. Orgs answer `duplicateResut`; clients and samples know the other spelling too."""
    found = item.get("duplicateResut") or item.get("duplicateResult")
    return found if isinstance(found, Mapping) else {}


class Refused(Rejected):
    """Salesforce refuses a record, or a request as a whole, and wrote nothing of it."""

    def __init__(self, problem: Problem, status: int = 400) -> None:
        hint = ""
        if problem.code.startswith(_SETUP):
            hint = " (setup of the org or of this route: see synccore check; field-level security hides fields too)"
        super().__init__(problem.text + hint, fields=problem.fields)
        self.problem = problem
        self.status = status


class RouteHeld(RateLimited):
    """What would meet every record of the route: it waits with this reason, and goes on by itself once that is over."""

    def __init__(self, message: str, *, wait: timedelta | None = None) -> None:
        super().__init__(message, retry_after=wait or ROUTE_PAUSE, scope="route")


def error_of(problem: Problem, status: int = 400, *, write: bool = False) -> SynccoreError:
    """What a problem means to core.

    Args:
        status: HTTP status of the answer (400 for a row's error).
        write: True where the request may have been carried out before a 5xx.
    """
    code = problem.code
    if code in ("INVALID_SESSION_ID", "InvalidSessionId") or status == 401:
        return AuthError(
            f"{problem.text}. A new session is refused as well: see the user's login IP ranges and API access control"
        )
    if code in _LIMITS:
        return RateLimited(problem.text, retry_after=LIMIT_PAUSE)
    if code in _API_OFF:
        return ConfigError(
            f"{problem.text}. This edition or user has no API: Enterprise, Unlimited, Performance and Developer have "
            "it, Professional by add-on; the user needs the permission API Enabled"
        )
    if problem.is_lock:
        return Transient(problem.text, outage=False)
    if code == "STORAGE_LIMIT_EXCEEDED":
        return RouteHeld(f"{problem.text}: the org has no room for new records (its Recycle Bin counts)")
    if status >= 500 or code in _RETRY:
        return Transient(problem.text or f"HTTP {status}", maybe_applied=write)
    if status == 410 or code == "UNSUPPORTED_API_VERSION":
        return ConfigError(f"this version of the API is retired: {problem.text}", path="api_version")
    return Refused(problem, status)


def held(problem: Problem, status: int = 400) -> RouteHeld | None:
    """The hold a refusal means for its whole route: the object or a field of it is gone, or hidden from the user.

    `status` is that of a whole request: 404 there speaks of the object or its key field, not of a record.
    """
    hidden = problem.code == "INVALID_FIELD_FOR_INSERT_UPDATE" and "security settings" in problem.message
    gone = status == 404 and problem.code == "NOT_FOUND"
    if (problem.code in _ROUTE or hidden or gone) and problem.foreign_key is None:
        return RouteHeld(
            f"{problem.text} (the connected user's permissions and field-level security, or this route: "
            "see synccore check)"
        )
    return None


def waits_for(problem: Problem, source: str, parent: tuple[str, str] | None) -> WaitFor | None:
    """The parent a foreign-key problem waits for.

    A key value made by synccore is `source:entity:key` and names its record; any other value is laid to the
    operation's own parent (entity, key), or to a customer with that value as key.
    """
    found = problem.foreign_key
    if found is None:
        return None
    value, key_field, entity = found
    text = f"{entity} with this {key_field} is not in Salesforce yet"
    owner, _, rest = value.partition(":")
    kind, _, key = rest.partition(":")
    if owner.lower() == source.lower() and key:
        return WaitFor(kind, key, text)
    if parent is not None:
        return WaitFor(*parent, text)
    return WaitFor("customer", value, text)


def is_outage(error: Exception) -> bool:
    """True for what concerns the connection and will meet the next request as well."""
    if isinstance(error, RateLimited):
        return error.scope != "operation"
    return isinstance(error, AuthError | ConfigError) or (isinstance(error, Transient) and error.outage)


def unsent(outcomes: Sequence[Outcome]) -> SynccoreError | None:
    """The error that would meet the next request too, in the words of a request that was never sent."""
    for outcome in outcomes:
        error = outcome.error if isinstance(outcome, Failed) else None
        if isinstance(error, SynccoreError) and is_outage(error):
            return error.unsent() if isinstance(error, Transient) else error
    return None


def failed_alike(outcomes: Sequence[Outcome]) -> Exception | None:
    """The one error all outcomes share, where it concerns the connection and not the records.

    What is partly done each record has to say of itself.
    """
    errors = {id(o.error): o.error for o in outcomes if isinstance(o, Failed) and not o.partly}
    if len(errors) != 1 or not all(isinstance(o, Failed) and not o.partly for o in outcomes):
        return None
    (error,) = errors.values()
    return error if is_outage(error) else None
