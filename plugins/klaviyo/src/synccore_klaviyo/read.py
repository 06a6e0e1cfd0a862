"""Reading profiles back, a hundred per call, in the shape they were sent in."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from synccore.types import Link, Operation, Roomier

from .client import Client
from .consent import gets_mail, is_by_us
from .match import Finder, Resource, find, find_subscribed
from .profile import ATTRIBUTES, CONSENT_FIELDS, EXTRA_IDENTIFIERS, FOREIGN

__all__ = ["Reader"]


@frozen
class Reader:
    """Reads what stands at Klaviyo.

    Attributes:
        deaf: routes that tell no opt-out.
    """

    client: Client
    deaf: frozenset[str] = frozenset()

    def read(self, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
        """Per link the profile's fields, under the names that `deliver` takes; None where it is gone.

        Nothing comes from what is remembered: the link only says which properties are asked about, and which numbers
        and ids were left out because another profile had them: `Roomier` where none has them any more. Consent is no
        field: it lives in Klaviyo's own record of it, which people change there too. But whom we subscribed though the
        shop says no lacks that no.
        """
        people = find_subscribed(self.client, {link.remote_id for link in links})
        held, freed = _all_fields(people, links), self._freed(links)
        found: list[Mapping[str, Any] | None] = []
        for link, fields, lacking in zip(links, held, freed, strict=True):
            if fields is not None and self._lacks_no(link, people[link.remote_id]):
                fields["accepts_marketing"] = True
                lacking |= {"accepts_marketing"}
            found.append(Roomier(fields, lacking=lacking) if fields is not None and lacking else fields)
        return found

    def _lacks_no(self, link: Link, profile: Resource) -> bool:
        refused = link.mapped.get("accepts_marketing") is False and link.route not in self.deaf
        return refused and gets_mail(profile) and is_by_us(profile, link.source)

    def _freed(self, links: Sequence[Link]) -> list[frozenset[str]]:
        """Per link the identifiers that were left out as another profile's and are nobody's now."""
        wanted = [
            {
                n: str(link.mapped[n])
                for n in EXTRA_IDENTIFIERS
                if link.left_out.get(n) == FOREIGN and link.mapped.get(n)
            }
            for link in links
        ]
        taken = {n: find(self.client, n, {one[n] for one in wanted if n in one}) for n in EXTRA_IDENTIFIERS}
        return [frozenset(n for n, value in one.items() if value not in taken[n]) for one in wanted]

    def kept(self, operations: Sequence[Operation]) -> Mapping[int, Mapping[str, Any]]:
        """Operation id -> what the target holds now, for operations with a field that must not be overwritten."""
        asking = [op for op in operations if any(o.keep_existing for o in op.options.values())]
        if not asking:
            return {}
        links: dict[int, Link] = {}
        for op, twin in zip(asking, Finder(self.client).twins(asking), strict=True):
            found = op.link or twin
            if isinstance(found, Link):
                # With the fields as names, so that the very ones at stake are read.
                links[op.id] = evolve(found, fields=op.fields)
        people = find(self.client, "id", {link.remote_id for link in links.values()})
        held = _all_fields(people, list(links.values()))
        return {number: fields or {} for number, fields in zip(links, held, strict=True)}


def _all_fields(people: Mapping[str, Resource], links: Sequence[Link]) -> list[dict[str, Any] | None]:
    return [_fields(people[link.remote_id], link) if link.remote_id in people else None for link in links]


def _fields(profile: Mapping[str, Any], link: Link) -> dict[str, Any]:
    attributes = profile["attributes"]
    properties = attributes.get("properties") or {}
    fields: dict[str, Any] = {n: attributes[n] for n in ATTRIBUTES if attributes.get(n) is not None}
    place = {k: v for k, v in (attributes.get("location") or {}).items() if v not in (None, "")}
    sent_place = link.fields.get("location")
    if isinstance(sent_place, Mapping):
        place = {k: v for k, v in place.items() if k in sent_place}
    if place and not ("location" in link.fields and sent_place is None):
        # What is there beside an address of ours that was emptied is the owner's or Klaviyo's own.
        fields["location"] = place
    block = link.fields.get("properties")
    ours = set(block) if isinstance(block, Mapping) else set()
    for name in link.fields:
        if name not in (*ATTRIBUTES, *CONSENT_FIELDS, "location", "properties") and properties.get(name) is not None:
            fields[name] = properties[name]
    known = {k: v for k, v in properties.items() if k in ours or (not link.fields and k not in fields)}
    if known or ours:
        fields["properties"] = known
    return fields | {n: None for n, v in link.fields.items() if v is None and n not in fields}
