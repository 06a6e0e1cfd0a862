"""Finding and reading profiles: a hundred per call."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from synccore.errors import Rejected
from synccore.types import Ambiguous, Link, LookupResult, Operation

from ._profile import ATTRIBUTES, CONSENT_FIELDS, check_email, plain, valid_phone
from .client import PROFILES, Client

__all__ = ["find", "find_by_email", "lookup", "read"]

#: Values of one `any(...)` filter: the API's page holds 100, and an address line must not grow without bound.
VALUES_LIMIT = 100
CHARACTERS_LIMIT = 5000
IDENTIFIERS = ("email", "external_id", "phone_number", "id")


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
                    found[value.lower() if name == "email" else value] = profile
    return found


def find_by_email(client: Client, email: str | None) -> str | None:
    """The id of the profile with this address."""
    if not email:
        return None
    found = find(client, "email", [email]).get(email)
    return str(found["id"]) if found else None


def lookup(client: Client, operations: Sequence[Operation]) -> list[LookupResult]:
    """The twins of operations by their match fields, e-mail by default; the first identifier that finds one wins.

    Two identifiers that name different profiles are ambiguous.
    """
    wanted: dict[int, list[tuple[str, str]]] = {op.id: _identifiers(op) for op in operations}
    found: dict[str, dict[str, Mapping[str, Any]]] = {
        name: find(client, name, {v for pairs in wanted.values() for n, v in pairs if n == name})
        for name in IDENTIFIERS
    }
    results: list[LookupResult] = []
    for op in operations:
        ids = list(dict.fromkeys(str(found[n][v]["id"]) for n, v in wanted[op.id] if v in found[n]))
        if len(ids) > 1:
            results.append(Ambiguous(tuple(ids)))
        else:
            results.append(Link(object=op.object, remote_id=ids[0]) if ids else None)
    return results


def read(client: Client, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
    """Per link the profile's fields, under the names and in the shape `deliver` takes; None where it is gone."""
    found = find(client, "id", {link.remote_id for link in links})
    return [_fields(found[link.remote_id], link) if link.remote_id in found else None for link in links]


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


def _fields(profile: Mapping[str, Any], link: Link) -> dict[str, Any]:
    attributes = profile["attributes"]
    properties = attributes.get("properties") or {}
    fields: dict[str, Any] = {n: attributes[n] for n in ATTRIBUTES if attributes.get(n) is not None}
    phone = link.fields.get("phone_number")
    if phone and "phone_number" not in fields and not valid_phone(str(phone)):
        # It was left out for not being a number, and what was never sent cannot have drifted.
        fields["phone_number"] = phone
    place = {k: v for k, v in (attributes.get("location") or {}).items() if v not in (None, "")}
    sent_place = link.fields.get("location")
    if isinstance(sent_place, Mapping):
        place = {k: v for k, v in place.items() if k in sent_place}
    if place:
        fields["location"] = _like(place, sent_place)
    block = link.fields.get("properties")
    ours = set(block) if isinstance(block, Mapping) else set()
    for name in link.fields:
        if name in CONSENT_FIELDS:
            # Consent lives in Klaviyo's own record of it and is not a field that could drift.
            fields[name] = link.fields[name]
        elif name not in (*ATTRIBUTES, "location", "properties") and properties.get(name) is not None:
            fields[name] = _like(properties[name], link.fields[name])
    known = {k: v for k, v in properties.items() if k in ours or (not link.fields and k not in fields)}
    if known or ours:
        fields["properties"] = _like(known, block)
    return fields


def _like(remote: Any, sent: Any) -> Any:
    """The remote value, in the form it was sent in where both mean the same (12.5 and Decimal("12.50"))."""
    if isinstance(remote, Mapping) and isinstance(sent, Mapping):
        return {k: _like(v, sent.get(k)) for k, v in remote.items()}
    if isinstance(remote, int | float) and not isinstance(remote, bool) and isinstance(sent, Decimal | str):
        try:
            return sent if Decimal(str(remote)) == Decimal(sent) else remote
        except InvalidOperation:
            return remote
    return sent if plain(sent) == remote else remote
