"""Opt-ins and opt-outs: what the shop has recorded as a change travels, a mere state never does.

A "no" is urgent: nothing of the same record may hold it up, neither an import job nor the quota of another endpoint. So
consent is told by calls of its own, and what was told of a record that is not delivered yet is remembered, lest it be
told twice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve

from synccore.errors import RateLimited, Rejected, SynccoreError
from synccore.types import Context, Delivered, Operation, Outcome
from synccore.values import instant

from .client import SUBSCRIBE, SUPPRESS, UNSUBSCRIBE, Client, Endpoint
from .digest import digest
from .errors import ApiError, MissingScope
from .match import Resource, find, find_subscribed, is_anothers
from .profile import CONSENT, check_email, refusal

__all__ = ["Consent", "Said", "address_of", "gets_mail", "is_by_us", "keep_word", "old_email"]

SUBSCRIBE_LIMIT = 1000
OPT_OUT_LIMIT = 100
#: A consent this much older than the change that brought the customer here was not given just now.
FRESH = timedelta(days=1)
#: Klaviyo takes one opt-in of a person in this time and drops a further one without a word.
SUBSCRIBE_EVERY = timedelta(minutes=30)
#: A record that was never delivered after its consent was told is forgotten after this long.
REMEMBERED = timedelta(days=30)
#: An opt-out that Klaviyo took is carried out within this.
OPT_OUT_TAKES = timedelta(minutes=15)
_REFUSED = "not subscribed: unsubscribed or suppressed in Klaviyo, and the shop's consent is not newer"
_TOLD = "told:"
_SUBSCRIBED = "subscribed:"

#: Per operation id: a note for the audit trail, or the error that kept the change from travelling.
Said = dict[int, str | SynccoreError]


class Consent:
    """Tells Klaviyo what the shop recorded.

    Args:
        list_id: the list that people who opt in are subscribed to.
    """

    def __init__(self, client: Client, context: Context, list_id: str | None) -> None:
        self._client = client
        self._clock = context.clock
        self._state = context.state()
        self._list = list_id

    def changes(self, operations: Sequence[Operation]) -> dict[int, bool]:
        """Operation id -> True for an opt-in, False for an opt-out; only those that have to be told.

        A shop that never asked is no opt-out: at the first sight of a customer a "no" is none, and a "yes" of a
        backfill is the past. Whatever the shop's own history shows as a change is one, also before anything was
        delivered. An opt-out found by a comparison is told too, an opt-in is not: importing is not subscribing. Whom we
        subscribed in between without anybody's knowing of it any more (a restored backup) is told as well; and so is
        who is found, with no word of theirs, at a profile that we subscribed for another record.
        """
        told = {name: one["accepts"] for name, one in self._state.scan(_TOLD)}
        found, unsure = {}, []
        for op in operations:
            now = op.fields.get("accepts_marketing")
            anothers = _is_anothers(op)
            if anothers and now is None and op.previous.get("accepts_marketing"):
                now = False  # of the former owner's word nothing may stay
            if op.op != "upsert" or not isinstance(now, bool):
                if op.op == "upsert" and op.maybe_applied and not op.previous and refusal(op) is None:
                    unsure.append(op)
                continue
            known, before = _known(op)
            if (name := _name(op)) in told and not anothers:
                known, before = True, told[name]
            news = now != before and (known or now)
            if news and not (now and op.bulk):
                found[op.id] = now
            elif op.maybe_applied and not now and before is not True:
                unsure.append(op)
        return found | dict.fromkeys(self._subscribed_since(unsure), False)

    def _subscribed_since(self, operations: Sequence[Operation]) -> list[int]:
        """Those whom we subscribed after what their link says was delivered, or nobody knows when; of those without a
        word who came to another one's profile."""
        links = {op.id: op.link for op in operations if op.link is not None and op.link.remote_id}
        try:
            people = find(self._client, "id", {link.remote_id for link in links.values()}, subscriptions=True)
        except MissingScope:
            return []  # `check` names the scope
        found = [
            (op, people[link.remote_id]) for op in operations if (link := links.get(op.id)) and link.remote_id in people
        ]
        return [op.id for op, there in found if _is_since(op, there) and (_says(op) or is_anothers(op, there))]

    def unwanted(self, arrived: Sequence[tuple[Operation, str]]) -> list[Operation]:
        """Of those who came to a profile that was there before: who gets mail by it against the shop's word of them.

        Who had another one brings a no along. Where it was us who subscribed this one, that was said for somebody else,
        or is not said any more. Who is first seen, and subscribed by themselves, is left alone.
        """
        asked = [(op, remote_id) for op, remote_id in arrived if _may_be_unwanted(op)]
        people = find_subscribed(self._client, {remote_id for _, remote_id in asked}) if asked else {}
        return [
            op
            for op, remote_id in asked
            if (there := people.get(remote_id)) is not None
            and gets_mail(there)
            and (is_by_us(there, op.source) or (op.previous and op.fields.get("accepts_marketing") is False))
        ]

    def settle(self, operations: Iterable[Operation]) -> None:
        """These are delivered: their links hold from now on what was told."""
        told = {name for name, _ in self._state.scan(_TOLD)}
        if done := {name for op in operations if (name := _name(op)) in told}:
            self._state.put(dict.fromkeys(done))

    # -- telling

    def opt_out(
        self, operations: Sequence[Operation], *, address: Callable[[Operation], str | None] | None = None
    ) -> Said:
        """Unsubscribe everywhere, or suppress, as the route's `on_opt_out` says.

        `address`: by another one than they have now: they leave while they get one that Klaviyo does not know yet, or
        leave a profile behind.
        """
        how = operations[0].settings.get("on_opt_out", "unsubscribe") if operations else "nothing"
        if how == "nothing":
            return {op.id: "opt-out not sent: on_opt_out is nothing" for op in operations}
        if how == "suppress":
            kind = "profile-suppression-bulk-create-job"
            said = self._send(SUPPRESS, kind, operations, {}, "suppressed", address=address)
        else:
            # No list is named: without one the opt-out counts everywhere, which is what a "no" in the shop means.
            channels = {"subscriptions": {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}}
            kind = "profile-subscription-bulk-delete-job"
            said = self._send(UNSUBSCRIBE, kind, operations, channels, "unsubscribed", address=address)
        if address is None:
            self._remember(operations, said, accepts=False)
        return said

    def opt_in(self, operations: Sequence[Operation]) -> Said:
        """Subscribe those who may be: subscribing lifts an earlier unsubscribe, so Klaviyo is asked first.

        Whoever was subscribed within the last half hour waits for the rest of it: `RateLimited` for that record.
        """
        if not operations:
            return {}
        said = self._too_soon(operations)
        asked = [op for op in operations if op.id not in said]
        ours = {op.id: at for op in asked if (at := self._said_no(op)) is not None}
        # After a lost answer they may have had mail since, and said no to that.
        unsure = [op for op in asked if op.id not in ours or op.maybe_applied]
        found = find(self._client, "email", {_email(op) for op in unsure}, subscriptions=True)
        for op in unsure:
            if reason := _held_back(op, found.get(_email(op)), ours.get(op.id)):
                said[op.id] = reason
        wanted = [op for op in asked if op.id not in said]
        channels = {"subscriptions": {"email": {"marketing": {"consent": "SUBSCRIBED"}}}}
        relationships = {"list": {"data": {"type": "list", "id": self._list}}} if self._list else None
        kind = "profile-subscription-bulk-create-job"
        sent = self._send(SUBSCRIBE, kind, wanted, channels, "subscribed", relationships)
        self._remember(wanted, sent, accepts=True)
        return said | sent

    def _said_no(self, operation: Operation) -> datetime | None:
        """When this sink told the no that stands in Klaviyo; None where the last word it told is none."""
        told = self._state.get(_name(operation))
        if told is not None and told["accepts"] is False:
            return datetime.fromisoformat(told["at"])
        if operation.previous.get("accepts_marketing") is not False or operation.link is None:
            return None
        return operation.link.delivered_at or operation.at

    # -- memory

    def _too_soon(self, operations: Sequence[Operation]) -> Said:
        now = self._clock.now()
        recent = {name: datetime.fromisoformat(at) for name, at in self._state.scan(_SUBSCRIBED)}
        if stale := [name for name, at in recent.items() if now - at >= SUBSCRIBE_EVERY]:
            self._state.put(dict.fromkeys(stale))
        said: Said = {}
        for op in operations:
            at = recent.get(_SUBSCRIBED + digest(_email(op)))
            if at is not None and (rest := at + SUBSCRIBE_EVERY - now) > timedelta(0):
                text = "opt-in waits: Klaviyo takes one of a person within 30 minutes"
                said[op.id] = RateLimited(text, retry_after=rest, scope="operation")
        return said

    def _remember(self, operations: Sequence[Operation], said: Said, *, accepts: bool) -> None:
        now = self._clock.now()
        done = [op for op in operations if isinstance(said.get(op.id), str)]
        items: dict[str, Any] = {_name(op): {"accepts": accepts, "at": now.isoformat()} for op in done}
        if accepts:
            items |= {_SUBSCRIBED + digest(_email(op)): now.isoformat() for op in done}
        for name, one in self._state.scan(_TOLD):
            if name not in items and now - datetime.fromisoformat(one["at"]) > REMEMBERED:
                items[name] = None
        if items:
            self._state.put(items)

    # -- the call

    def _send(
        self,
        endpoint: Endpoint,
        kind: str,
        operations: Sequence[Operation],
        channels: Mapping[str, Any],
        done: str,
        relationships: Mapping[str, Any] | None = None,
        *,
        address: Callable[[Operation], str | None] | None = None,
        alone: bool = False,
    ) -> Said:
        said: Said = {}
        limit = 1 if alone else SUBSCRIBE_LIMIT if endpoint is SUBSCRIBE else OPT_OUT_LIMIT
        for start in range(0, len(operations), limit):
            chunk = operations[start : start + limit]
            emails = dict.fromkeys((address or _email)(op) for op in chunk)
            people = [{"type": "profile", "attributes": {"email": email, **channels}} for email in emails]
            attributes: dict[str, Any] = {"profiles": {"data": people}}
            if endpoint is SUBSCRIBE:
                attributes["custom_source"] = chunk[0].source
            data: dict[str, Any] = {"type": kind, "attributes": attributes}
            if relationships:
                data["relationships"] = relationships
            try:
                self._client.call(endpoint, body={"data": data})
            except ApiError as error:
                if len(chunk) == 1:
                    said[chunk[0].id] = error
                    continue
                # One bad record refuses the whole job: send each alone, and only the bad one stays behind.
                for op in chunk:
                    said |= self._send(endpoint, kind, [op], channels, done, relationships, address=address, alone=True)
            except SynccoreError as error:
                said |= {op.id: error for op in chunk}
            else:
                said |= {op.id: done for op in chunk}
        return said


def _is_anothers(operation: Operation) -> bool:
    """Whether somebody else had the profile before: people exchanged their addresses, and so their profiles."""
    return bool(operation.previous) and operation.link is not None and operation.link.delivered_at is None


def _known(operation: Operation) -> tuple[bool, bool | None]:
    """Whether anything is known to compare with, and the consent it holds."""
    if operation.previous:
        return True, _word(operation)
    if operation.before is not None:
        return True, operation.before.get("accepts_marketing")
    return False, None


def _word(operation: Operation) -> bool | None:
    """The last word that was told at the profile that they have, though the shop may have said nothing since."""
    word, link = operation.previous.get("accepts_marketing"), operation.link
    if word is None and link is not None and link.delivered_at is not None and not link.marked:
        word = link.fields.get("accepts_marketing")
    return word if isinstance(word, bool) else None


def keep_word(operation: Operation, outcome: Outcome) -> Outcome:
    """A state that says nothing takes nothing back: the last word is still what is known at the profile, lest the same
    word, said once more, be taken for news (a guest said yes, registers, and buys again)."""
    word, link = _word(operation), operation.link
    silent = operation.op == "upsert" and operation.fields.get("accepts_marketing") is None
    if word is None or link is None or not silent or not isinstance(outcome, Delivered):
        return outcome
    if link.delivered_at is None or outcome.remote_id != link.remote_id:
        return outcome  # that was said of another profile, or by somebody else
    fields = operation.fields if outcome.fields is None else outcome.fields
    left_out = {**outcome.left_out, "accepts_marketing": CONSENT}
    return evolve(outcome, fields={**fields, "accepts_marketing": word}, left_out=left_out)


def _held_back(operation: Operation, profile: Mapping[str, Any] | None, ours: datetime | None) -> str | None:
    """Why somebody must not be subscribed; `ours`: since when Klaviyo has a no that we told it."""
    if ours is not None:
        said = [at for t in _refusals(_marketing(profile)) if (at := instant(t)) is not None]
        return _REFUSED if any(at > _theirs_since(operation, ours) for at in said) else None
    told = operation.fields.get("consent_at")
    given = instant(told)
    if told and given is None:
        return "not subscribed: when the consent was given cannot be read"
    known, _ = _known(operation)
    if not known and given and operation.at - given > FRESH:
        return "not subscribed: first seen with a consent of long ago, which is the past and not news"
    marketing = _marketing(profile)
    if refused := _refusals(marketing):
        if given and all((at := instant(t)) is not None and at < given for t in refused):
            return None
        return _REFUSED
    return "subscribed already" if marketing.get("consent") == "SUBSCRIBED" else None


def _refusals(marketing: Mapping[str, Any]) -> list[str | None]:
    """When each no that stands there was said."""
    found = [s.get("timestamp") for s in marketing.get("suppression") or []]
    if marketing.get("consent") == "UNSUBSCRIBED" and not found:
        found.append(marketing.get("consent_timestamp"))
    return found


def _theirs_since(operation: Operation, ours: datetime) -> datetime:
    """From when on a no is their own: ours was carried out by then."""
    carried_out, since = ours + OPT_OUT_TAKES, operation.since
    return min(since, carried_out) if since is not None and since > ours else carried_out


def _says(operation: Operation) -> bool:
    return isinstance(operation.fields.get("accepts_marketing"), bool)


def _is_since(operation: Operation, profile: Mapping[str, Any] | None) -> bool:
    marketing = _marketing(profile)
    if marketing.get("consent") != "SUBSCRIBED" or not is_by_us(profile, operation.source):
        return False
    at, known = instant(marketing.get("consent_timestamp")), operation.link.delivered_at if operation.link else None
    return known is None or (at is not None and at > known)


def _may_be_unwanted(operation: Operation) -> bool:
    """Who is first seen, and of whom the shop says nothing, takes nothing back."""
    word = operation.fields.get("accepts_marketing")
    return word is False or (word is None and bool(operation.previous))


def gets_mail(profile: Resource | None) -> bool:
    """Whether marketing mail goes to a profile."""
    marketing = _marketing(profile)
    return marketing.get("consent") == "SUBSCRIBED" and not marketing.get("suppression")


def is_by_us(profile: Resource | None, source: str) -> bool:
    """Whether it was subscribed on a shop's word."""
    return bool(source) and _marketing(profile).get("custom_method_detail") == source


def _marketing(profile: Mapping[str, Any] | None) -> Mapping[str, Any]:
    subscriptions = ((profile or {}).get("attributes") or {}).get("subscriptions") or {}
    return (subscriptions.get("email") or {}).get("marketing") or {}


def old_email(operation: Operation) -> str | None:
    """The address Klaviyo knows the person by, where it differs from the one they have now."""
    before = operation.previous.get("email") or (operation.before or {}).get("email")
    old = _checked(before)
    return old if old != _checked(operation.fields.get("email")) else None


def address_of(operation: Operation) -> str | None:
    """The address consent can be told of; None where there is none that Klaviyo takes."""
    return _checked(operation.fields.get("email"))


def _checked(email: Any) -> str | None:
    try:
        return check_email(str(email or ""))
    except Rejected:
        return None


def _email(operation: Operation) -> str:
    return check_email(str(operation.fields.get("email") or ""))


def _name(operation: Operation) -> str:
    return _TOLD + digest(f"{operation.route} {operation.uid}")
