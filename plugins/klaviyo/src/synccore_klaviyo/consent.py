"""Opt-ins and opt-outs: only a change that the shop has just recorded travels, never a resync."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from synccore.errors import SynccoreError
from synccore.types import Operation

from .client import SUBSCRIBE, SUPPRESS, UNSUBSCRIBE, Client, Endpoint
from .errors import ApiError
from .match import find
from .profile import check_email

__all__ = ["Consent", "change", "opt_in", "opt_out"]

SUBSCRIBE_LIMIT = 1000
OPT_OUT_LIMIT = 100
#: A consent this much older than the change that brought the customer here was not given just now.
FRESH = timedelta(days=1)

#: Per operation id: a note for the audit trail, or the error that kept the change from travelling.
Consent = dict[int, str | SynccoreError]


def change(operation: Operation) -> bool | None:
    """True for a fresh opt-in, False for a fresh opt-out, None where nothing is to be done.

    A shop that never asked is no opt-out: "no" counts only for a person we have delivered before.
    """
    now = operation.fields.get("accepts_marketing")
    if operation.bulk or operation.op != "upsert" or not isinstance(now, bool):
        return None
    if now == operation.previous.get("accepts_marketing") or (now is False and not operation.previous):
        return None
    return now


def opt_out(client: Client, operations: Sequence[Operation]) -> Consent:
    """Unsubscribe everywhere, or suppress, as the route's `on_opt_out` says."""
    how = operations[0].settings.get("on_opt_out", "unsubscribe") if operations else "nothing"
    if how == "nothing":
        return {op.id: "opt-out not sent: on_opt_out is nothing" for op in operations}
    if how == "suppress":
        return _send(
            client, SUPPRESS, "profile-suppression-bulk-create-job", operations, OPT_OUT_LIMIT, {}, "suppressed"
        )
    # No list is named: without one the opt-out counts everywhere, which is what a "no" in the shop means.
    channels = {"subscriptions": {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}}
    kind = "profile-subscription-bulk-delete-job"
    return _send(client, UNSUBSCRIBE, kind, operations, OPT_OUT_LIMIT, channels, "unsubscribed")


def opt_in(client: Client, operations: Sequence[Operation], list_id: str | None) -> Consent:
    """Subscribe those who may be: subscribing lifts an earlier unsubscribe, so what Klaviyo knows is asked first."""
    if not operations:
        return {}
    notes: Consent = {}
    unsure = [op for op in operations if op.previous.get("accepts_marketing") is not False]
    found = find(client, "email", {_email(op) for op in unsure}, subscriptions=True)
    for op in unsure:
        if reason := _held_back(op, found.get(_email(op))):
            notes[op.id] = reason
    wanted = [op for op in operations if op.id not in notes]
    channels = {"subscriptions": {"email": {"marketing": {"consent": "SUBSCRIBED"}}}}
    relationships = {"list": {"data": {"type": "list", "id": list_id}}} if list_id else None
    kind = "profile-subscription-bulk-create-job"
    sent = _send(client, SUBSCRIBE, kind, wanted, SUBSCRIBE_LIMIT, channels, "subscribed", relationships)
    return notes | sent


def _held_back(operation: Operation, profile: Mapping[str, Any] | None) -> str | None:
    given = operation.fields.get("consent_at")
    if not operation.previous and given and operation.at - _moment(given) > FRESH:
        return "not subscribed: first seen with a consent of long ago, which is the past and not news"
    subscriptions = ((profile or {}).get("attributes") or {}).get("subscriptions") or {}
    marketing = (subscriptions.get("email") or {}).get("marketing") or {}
    refused = [s.get("timestamp") for s in marketing.get("suppression") or []]
    if marketing.get("consent") == "UNSUBSCRIBED" and not refused:
        refused.append(marketing.get("consent_timestamp"))
    if refused:
        if given and all(t and _moment(t) < _moment(given) for t in refused):
            return None
        return "not subscribed: unsubscribed or suppressed in Klaviyo, and the shop's consent is not newer"
    return "subscribed already" if marketing.get("consent") == "SUBSCRIBED" else None


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def _email(operation: Operation) -> str:
    return check_email(str(operation.fields.get("email") or ""))


def _send(
    client: Client,
    endpoint: Endpoint,
    kind: str,
    operations: Sequence[Operation],
    limit: int,
    channels: Mapping[str, Any],
    done: str,
    relationships: Mapping[str, Any] | None = None,
) -> Consent:
    notes: Consent = {}
    for start in range(0, len(operations), limit):
        chunk = operations[start : start + limit]
        people = [{"type": "profile", "attributes": {"email": _email(op), **channels}} for op in chunk]
        attributes: dict[str, Any] = {"profiles": {"data": people}}
        if endpoint is SUBSCRIBE:
            attributes["custom_source"] = chunk[0].source
        data: dict[str, Any] = {"type": kind, "attributes": attributes}
        if relationships:
            data["relationships"] = relationships
        try:
            client.call(endpoint, body={"data": data})
        except ApiError as error:
            if len(chunk) == 1:
                notes[chunk[0].id] = error
                continue
            # One bad record refuses the whole job: send each alone, and only the bad one stays behind.
            for op in chunk:
                notes |= _send(client, endpoint, kind, [op], 1, channels, done, relationships)
        except SynccoreError as error:
            notes |= {op.id: error for op in chunk}
        else:
            notes |= {op.id: done for op in chunk}
    return notes
