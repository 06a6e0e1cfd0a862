"""Finding profiles: a hundred per call."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve, frozen

from synccore.entities import normalize_email
from synccore.errors import Rejected
from synccore.types import Ambiguous, Failed, Link, LookupResult, Operation

from .client import PROFILES, Client
from .errors import MissingScope
from .profile import build, check_email, refusal

__all__ = [
    "SKEW",
    "Finder",
    "Resource",
    "find",
    "find_by_email",
    "find_subscribed",
    "is_anothers",
    "is_named",
    "is_older",
]

#: A profile as the API gives it.
Resource = Mapping[str, Any]

#: Values of one `any(...)` filter: the API's page holds 100, and an address line must not grow without bound.
VALUES_LIMIT = 100
CHARACTERS_LIMIT = 5000
#: Clocks differ: what we asked for may seem to have been made a little before.
SKEW = timedelta(minutes=5)
IDENTIFIERS = ("email", "external_id", "phone_number", "id")
#: What tells more of a profile than its address.
_OF_A_PERSON = ("external_id", "phone_number", "first_name", "last_name", "organization", "title", "image")


def find(
    client: Client, name: str, values: Iterable[str], *, subscriptions: bool = False
) -> dict[str, Mapping[str, Any]]:
    """Profiles by one identifier: value (e-mail addresses lower case) -> the profile's resource object."""
    found: dict[str, Mapping[str, Any]] = {}
    for chunk in _chunks(values):
        quoted = ",".join(f'"{v}"' for v in chunk)
        params: dict[str, Any] = {"filter": f"any({name},[{quoted}])", "page[size]": VALUES_LIMIT}
        if subscriptions:
            params["additional-fields[profile]"] = "subscriptions"
        for page in client.pages(PROFILES, params=params):
            for profile in page:
                value = profile["id"] if name == "id" else profile["attributes"].get(name)
                if value:
                    found[normalize_email(value) if name == "email" else value] = profile
    return found


def find_subscribed(client: Client, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Profiles by their ids, with what they consent to where the key may see that: `check` names the scope."""
    wanted = set(ids)
    try:
        return find(client, "id", wanted, subscriptions=True)
    except MissingScope:
        return find(client, "id", wanted)


def find_by_email(client: Client, email: str | None) -> str | None:
    """The id of the profile with this address."""
    if not email:
        return None
    found = find(client, "email", [email]).get(email)
    return str(found["id"]) if found else None


@frozen
class Finder:
    """Finds the twins of what is to be delivered."""

    client: Client

    def lookup(self, operations: Sequence[Operation]) -> list[LookupResult]:
        """The twins of operations; of one that could not be sent: why."""
        refused = {op.id: Failed(error) for op in operations if (error := refusal(op))}
        found = iter(self.twins([op for op in operations if op.id not in refused]))
        return [refused[op.id] if op.id in refused else next(found) for op in operations]

    def twins(self, operations: Sequence[Operation]) -> list[LookupResult]:
        """By their match fields, e-mail by default; the first identifier that finds one wins.

        Two identifiers that name different profiles are ambiguous. After a lost answer, a profile that came into being
        since and holds a property of ours as we would send it (the one that names the record, if one does), or nothing
        but a refusal, counts as made by us.
        """
        results = self._found(operations)
        # A create whose answer was lost may have been carried out under the address that the person had then: what is
        # there goes before what has their new one, which may look like theirs and be another one's.
        asked = [before for op in operations if (before := _as_before(op)) is not None]
        former = dict(zip([op.id for op in asked], self._found(asked), strict=True)) if asked else {}
        ours = {number: twin for number, twin in former.items() if isinstance(twin, Link) and twin.marked}
        return [ours.get(op.id, twin) for op, twin in zip(operations, results, strict=True)]

    def _found(self, operations: Sequence[Operation]) -> list[LookupResult]:
        wanted: dict[int, list[tuple[str, str]]] = {op.id: _identifiers(op) for op in operations}
        refused = any(op.maybe_applied and op.fields.get("accepts_marketing") is False for op in operations)
        found: dict[str, dict[str, Mapping[str, Any]]] = {
            name: find(
                self.client,
                name,
                {v for pairs in wanted.values() for n, v in pairs if n == name},
                subscriptions=refused,
            )
            for name in IDENTIFIERS
        }
        results: list[LookupResult] = []
        for op in operations:
            twins = {str(twin["id"]): twin for n, v in wanted[op.id] if (twin := found[n].get(v))}
            if len(twins) > 1:
                results.append(Ambiguous(tuple(twins)))
            else:
                made = [Link(object=op.object, remote_id=i, marked=_is_ours(op, twin)) for i, twin in twins.items()]
                results.append(made[0] if made else None)
        return results


def _as_before(operation: Operation) -> Operation | None:
    """The operation under the address it had before, where one under that address may have been carried out."""
    email = (operation.before or {}).get("email")
    if not operation.maybe_applied or not email or email == operation.fields.get("email"):
        return None
    return evolve(operation, fields={**operation.fields, "email": email}, match=("email",))


def is_older(profile: Mapping[str, Any], moment: datetime) -> bool | None:
    """Whether a profile was there before a moment of our clock; None where Klaviyo does not say since when it is."""
    created = profile["attributes"].get("created")
    return datetime.fromisoformat(created) < moment - SKEW if created else None


def _is_ours(operation: Operation, profile: Mapping[str, Any]) -> bool:
    if not operation.maybe_applied or operation.since is None or is_older(profile, operation.since) is not False:
        return False
    held = profile["attributes"].get("properties") or {}
    sent = build(operation).attributes.get("properties") or {}
    # What names the record decides where there is such a thing: all else another one of ours may hold as well.
    marks = {n: v for n, v in sent.items() if v == operation.key} or {n: v for n, v in sent.items() if v is not None}
    if any(held.get(name) == value for name, value in marks.items()):
        return True
    return operation.fields.get("accepts_marketing") is False and _is_mere_refusal(profile["attributes"])


def is_named(operation: Operation, profile: Resource) -> bool:
    """Whether a property of the profile names the record of the operation, as it would be sent."""
    return operation.key in _named(operation, profile)


def is_anothers(operation: Operation, profile: Resource) -> bool:
    """Whether a property of the profile that would name the record of the operation names another one."""
    return any(name and name != operation.key for name in _named(operation, profile))


def _named(operation: Operation, profile: Resource) -> list[Any]:
    """What the profile has in the properties that would name the record of the operation."""
    held = profile["attributes"].get("properties") or {}
    sent = build(operation).attributes.get("properties") or {}
    return [held.get(name) for name, value in sent.items() if value == operation.key]


def _is_mere_refusal(held: Mapping[str, Any]) -> bool:
    """Whether it is what an opt-out makes where nobody has the address: it goes ahead of all else of its record."""
    marketing = ((held.get("subscriptions") or {}).get("email") or {}).get("marketing") or {}
    location = held.get("location") or {}
    values = [held.get(name) for name in _OF_A_PERSON], (held.get("properties") or {}), location.values()
    return marketing.get("consent") != "SUBSCRIBED" and not any(value for group in values for value in group)


def _identifiers(operation: Operation) -> list[tuple[str, str]]:
    pairs = []
    for name in operation.match or ("email",):
        value = operation.fields.get(name)
        if name not in IDENTIFIERS or not value:
            continue
        if name == "email":
            try:
                value = check_email(str(value))
            except Rejected:
                continue  # `deliver` says why; here it only means that there is no twin
        pairs.append((name, str(value)))
    return pairs


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    length = 0
    # A quote or backslash would end the filter's text; no identifier that we accept holds one.
    for value in sorted({v for v in values if v and not set(v) & {'"', "\\"}}):
        if chunk and (len(chunk) >= VALUES_LIMIT or length + len(value) > CHARACTERS_LIMIT):
            yield chunk
            chunk, length = [], 0
        chunk.append(value)
        length += len(value) + 3
    if chunk:
        yield chunk
