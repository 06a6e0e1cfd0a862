"""Events: what a change of state means to Klaviyo, and by what each is known so that it is kept once. Pure.

An event's `unique_id` is made of what happened, never of when it is sent, so that Klaviyo drops what arrives twice. A
change of state is named by its two states and by the moment the older one was delivered: that stays the same until this
change is delivered too, however often it is tried.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve, field, frozen

from synccore.errors import Rejected, WaitFor
from synccore.types import Operation
from synccore.values import instant

from .profile import check_email, iso, plain

__all__ = ["EARLIEST", "LATEST", "METRICS", "STEERING", "Event", "plan"]

#: Fields that steer an event; all others are its properties.
STEERING: Mapping[str, str] = {
    "metric": "name of the event; left out, the sink names the change",
    "email": "whose event it is",
    "phone_number": "whose event it is, E.164",
    "external_id": "whose event it is",
    "time": "when it happened; the change's own time otherwise",
    "value": "money, a number",
    "value_currency": "ISO 4217",
    "unique_id": "what makes it this event; made by the sink otherwise",
    "status": "the state whose changes are events",
    "is_member": "whether any plan lets the customer in; its changes are events",
    "since": "since when it is so: what was so before the route was there, and is first seen now, is no news",
    "customer_key": "the customer to wait for where the e-mail address is not known yet",
    "placed_at": "when the order was placed",
    "completed_at": "when the order was completed",
    "refunds": "the order's refunds: id, amount, reason",
    "properties": "further properties: name -> value",
}
_MEMBER = {True: "Became Member", False: "Lost Membership"}
_SUBSCRIPTION = {
    "active": "Started Subscription",
    "on-hold": "Paused Subscription",
    "pending-cancel": "Scheduled Subscription Cancellation",
    "cancelled": "Cancelled Subscription",
    "expired": "Expired Subscription",
    "switched": "Switched Subscription",
}
_REACTIVATED = "Reactivated Subscription"
#: Every metric the default mappings use; an account has room for 200.
METRICS: Mapping[str, tuple[str, ...]] = {
    "membership": ("Changed Membership Status",),
    "customer": tuple(_MEMBER.values()),
    "subscription": (*_SUBSCRIPTION.values(), _REACTIVATED),
    "payment": ("Renewed Subscription", "Failed Subscription Renewal"),
    "order": ("Placed Order", "Ordered Product", "Fulfilled Order", "Cancelled Order", "Refunded Order"),
}
_PLACED = ("processing", "on-hold", "completed", "refunded")

METRIC_LIMIT = 127
UNIQUE_LIMIT = 255
PROPERTIES_LIMIT = 400
STRING_LIMIT = 100_000
ITEMS_LIMIT = 4000
#: A membership that began this much before the change is not what the change is about.
FRESH = timedelta(days=1)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = timedelta(days=365)


@frozen(kw_only=True)
class Event:
    """One event as it will be sent. `said` is what the audit trail says of it: the change, free of personal values."""

    metric: str
    unique_id: str
    time: datetime
    person: Mapping[str, str] = field(repr=False)
    properties: Mapping[str, Any] = field(repr=False)
    value: Any = None
    currency: str | None = None
    said: str = ""

    def attributes(self) -> dict[str, Any]:
        """What single and bulk requests have in common."""
        found: dict[str, Any] = {
            "properties": dict(self.properties),
            "time": iso(self.time),
            "unique_id": self.unique_id,
            "metric": {"data": {"type": "metric", "attributes": {"name": self.metric}}},
        }
        if self.value is not None:
            found["value"] = self.value
            if self.currency:
                found["value_currency"] = self.currency
        return found

    def profile(self) -> dict[str, Any]:
        """Identifiers only: properties in a late event would overwrite newer ones."""
        return {"data": {"type": "profile", "attributes": dict(self.person)}}


def plan(operation: Operation, now: datetime, began: datetime | None = None) -> list[Event]:
    """The events an operation means; empty where its change is none. Raises Rejected, WaitFor.

    `began`: since when the route is at work, if that is known.
    """
    if operation.op == "event":
        return [_event(operation, operation.fields.get("metric"), f"{operation.entity}:{operation.event_id}")]
    if operation.entity == "order" and not operation.fields.get("metric"):
        return list(_order(operation, began))
    before, after = _states(operation)
    if _is_past(operation, began):
        return []
    metric = operation.fields.get("metric") or _metric(operation, before, after)
    if metric is None or before == after:
        return []
    extra: dict[str, Any] = {}
    if "status" in operation.fields:
        extra = {"NewStatus": after, "Transition": f"{before or 'new'}>{after}"}
        extra |= {"OldStatus": before} if before else {}
    what = f"{operation.entity}:{operation.key}:{_word(before)}>{_word(after)}:{_anchor(operation)}"
    event = _event(operation, metric, what, extra)
    said = " ".join(str(w) for w in (metric, operation.fields.get("PlanKey"), extra.get("Transition")) if w)
    return [evolve(event, time=_after_the_last(operation, event.time, now), said=said)]


def _states(operation: Operation) -> tuple[Any, Any]:
    """The state to compare with and the one now; without a state of its own, the whole record is the state.

    Where nothing was delivered yet it is the oldest state the shop is known to have had: a route that is added to a
    running configuration, or a record edited during the first listing, begins from there, silently.
    """
    known = _known(operation)
    if "status" in operation.fields:
        return known.get("status"), operation.fields["status"]
    if "is_member" in operation.fields:
        # The customer's older state says nothing of the memberships there were then.
        return operation.previous.get("is_member"), operation.fields["is_member"]
    if not operation.previous and operation.before == operation.fields:
        return operation.idempotency_key, operation.idempotency_key
    return known and "known", operation.idempotency_key


def _is_past(operation: Operation, began: datetime | None) -> bool:
    """What was so before the route was there, and is first seen now, did not happen now.

    The customer's older state says nothing of the memberships there were then, so a member is one by the date alone.
    """
    since = operation.fields.get("since")
    member = operation.fields.get("is_member")
    if since is None or operation.previous or member is False or (member is None and operation.before is not None):
        return False
    moment = instant(since) or operation.at
    return (began is not None and moment < began) or (bool(member) and operation.at - moment > FRESH)


def _since(since: Any, began: datetime | None) -> bool:
    """Whether something is from after that."""
    moment = instant(since)
    return began is not None and moment is not None and moment >= began


def _known(operation: Operation) -> Mapping[str, Any]:
    return operation.previous or operation.before or {}


def _metric(operation: Operation, before: Any, after: Any) -> str | None:
    if "is_member" in operation.fields:
        # Whoever was never a member has lost nothing.
        return None if after is None or (before is None and not after) else _MEMBER[bool(after)]
    if operation.entity == "subscription":
        if after == "active" and before not in (None, "pending"):
            return _REACTIVATED
        return _SUBSCRIPTION.get(str(after))
    raise Rejected("the route maps no metric: say which event this is", ["metric"])


def _after_the_last(operation: Operation, moment: datetime, now: datetime) -> datetime:
    """A change happened after the state before it was delivered; a date that says otherwise is not the change's.

    Memberships tell no date of their last change, and a customer's own date moves with none of them. Taking the present
    instead is wrong by the delay at most.
    """
    delivered = operation.link.delivered_at if operation.link and operation.link.fields else None
    return now if delivered and moment < delivered else moment


def _anchor(operation: Operation) -> str:
    link = operation.link
    if link is None or not link.fields:
        return "first"
    return str(int((link.delivered_at or operation.at).timestamp()))


def _word(state: Any) -> str:
    if isinstance(state, bool):
        return "yes" if state else "no"
    return "" if state is None else str(state)


def _order(operation: Operation, began: datetime | None) -> Iterator[Event]:
    """Placed once, with its products; then fulfilled, cancelled or refunded. One that was placed since the route is at
    work, and became something else before anything could be told of it, was placed all the same."""
    fields, known = operation.fields, _known(operation)
    before = known.get("status")
    now = fields.get("status")
    base = f"order:{operation.key}"
    untold = before not in _PLACED or (not operation.previous and _since(fields.get("placed_at"), began))
    if untold and not {before, now}.isdisjoint(_PLACED):
        yield _event(operation, "Placed Order", base, at=fields.get("placed_at"))
        for number, item in enumerate(fields.get("Items") or ()):
            yield _product(operation, item, number)
    if now == "completed" and before != "completed":
        yield _event(operation, "Fulfilled Order", f"{base}:fulfilled", at=fields.get("completed_at"))
    if now == "cancelled" and before in _PLACED:
        yield _event(operation, "Cancelled Order", f"{base}:cancelled:{_anchor(operation)}")
    refunded = {str(r.get("id")) for r in known.get("refunds") or ()}
    for refund in fields.get("refunds") or ():
        if str(refund["id"]) not in refunded:
            extra = {"Reason": refund.get("reason")}
            event = _event(operation, "Refunded Order", f"refund:{refund['id']}", extra)
            yield evolve(event, value=refund.get("amount"))


def _product(operation: Operation, item: Mapping[str, Any], number: int) -> Event:
    line = item.get("LineID") or number
    event = _event(operation, "Ordered Product", f"order:{operation.key}:{line}", at=operation.fields.get("placed_at"))
    shared = {k: v for k, v in event.properties.items() if k in ("OrderId", "OrderNumber", "Store")}
    return evolve(
        event, properties=shared | {k: v for k, v in item.items() if k != "LineID"}, value=item.get("RowTotal")
    )


def _event(
    operation: Operation, metric: Any, what: str, extra: Mapping[str, Any] | None = None, at: Any = None
) -> Event:
    fields = {k: plain(v) for k, v in operation.fields.items()}
    if not metric:
        raise Rejected("the route maps no metric: say which event this is", ["metric"])
    if len(str(metric)) > METRIC_LIMIT:
        raise Rejected(f"a metric's name has at most {METRIC_LIMIT} characters", ["metric"])
    properties = {
        **fields.get("properties", {}),
        **{k: v for k, v in fields.items() if k not in STEERING},
        **(extra or {}),
    }
    return Event(
        metric=str(metric),
        unique_id=_unique(fields.get("unique_id") or f"{operation.source}:{what}"),
        time=instant(at or operation.fields.get("time")) or operation.at,
        person=_person(operation, fields),
        properties=_checked(properties),
        value=fields.get("value"),
        currency=fields.get("value_currency"),
    )


def _unique(text: str) -> str:
    return text if len(text) <= UNIQUE_LIMIT else hashlib.sha256(text.encode()).hexdigest()


def _person(operation: Operation, fields: Mapping[str, Any]) -> dict[str, str]:
    if fields.get("email"):
        return {"email": check_email(str(fields["email"]))}
    others = {n: str(fields[n]) for n in ("phone_number", "external_id") if fields.get(n)}
    if others:
        return others
    key = fields.get("customer_key")
    if key and operation.entity != "customer":
        raise WaitFor("customer", str(key), "waits for the customer's e-mail address")
    raise Rejected("no e-mail address: nobody knows whose event this is", ["email"])


def _checked(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Klaviyo takes an empty value for one never set, so it is left out. Raises Rejected for what is too much."""
    found = {k: v[:ITEMS_LIMIT] if isinstance(v, list) else v for k, v in properties.items() if v not in (None, "")}
    if len(found) > PROPERTIES_LIMIT:
        raise Rejected(f"an event has at most {PROPERTIES_LIMIT} properties")
    if wrong := sorted(k for k in found if k.startswith("$") and k != "$extra"):
        raise Rejected(f"names that begin with $ are Klaviyo's own: {', '.join(wrong)}", wrong)
    if long := sorted(k for k, v in found.items() if isinstance(v, str) and len(v.encode()) > STRING_LIMIT):
        raise Rejected(f"longer than 100 KB: {', '.join(long)}", long)
    return found
