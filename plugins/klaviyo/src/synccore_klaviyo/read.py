"""Reading profiles back, a hundred per call, in the shape they were sent in."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from synccore.types import Link

from .client import Client
from .match import find
from .profile import ATTRIBUTES, CONSENT_FIELDS, plain, valid_phone

__all__ = ["read"]


def read(client: Client, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
    """Per link the profile's fields, under the names and in the shape `deliver` takes; None where it is gone."""
    found = find(client, "id", {link.remote_id for link in links})
    return [_fields(found[link.remote_id], link) if link.remote_id in found else None for link in links]


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
