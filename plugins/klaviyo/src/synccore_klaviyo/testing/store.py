"""What the stand-in holds: profiles, events, metrics, consent; and how writes find their profile."""

import itertools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import define, field

from .strict import IDENTIFIERS, VANISHING

__all__ = ["Clash", "Person", "Store"]


class Clash(Exception):
    """The identifiers belong to different profiles."""

    def __init__(self, status: int, other: str) -> None:
        super().__init__(other)
        self.status = status
        self.other = other


@define(kw_only=True)
class Person:
    """A stored profile."""

    id: str
    attributes: dict[str, Any] = field(factory=dict)
    properties: dict[str, Any] = field(factory=dict)
    location: dict[str, Any] = field(factory=dict)
    #: NEVER_SUBSCRIBED, SUBSCRIBED or UNSUBSCRIBED, as the read side says it.
    consent: str = "NEVER_SUBSCRIBED"
    consented_at: datetime | None = None
    suppressions: list[tuple[str, datetime]] = field(factory=list)
    lists: set[str] = field(factory=set)


class Store:
    """Profiles found by identifier, events kept once."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.events: list[dict[str, Any]] = []
        self.metrics: dict[str, dict[str, Any]] = {}
        self._index: dict[tuple[str, str], str] = {}
        self._seen: set[tuple[str, str, str]] = set()
        self._numbers = itertools.count(1)

    def new_id(self, kind: str) -> str:
        """An opaque id in the style of Klaviyo's."""
        return f"01{kind}{next(self._numbers):022d}"

    def owner(self, name: str, value: Any) -> Person | None:
        """The profile with this identifier."""
        found = self._index.get((name, str(value).lower() if name == "email" else str(value)))
        return self.people.get(found) if found else None

    def upsert(self, data: Mapping[str, Any], *, bulk: bool = False) -> tuple[Person, bool]:
        """Create or update by id and identifiers; (profile, created). Raises Clash."""
        attributes = data["attributes"]
        owners = {n: p for n in IDENTIFIERS if attributes.get(n) and (p := self.owner(n, attributes[n]))}
        if data.get("id"):
            person = self.people.get(data["id"])
            # Klaviyo answers 404 for an id it knows when the e-mail address is somebody else's.
            if person is None or any(p.id != person.id for n, p in owners.items() if n == "email"):
                raise Clash(404, data["id"])
            for name in ("phone_number", "external_id"):
                if name in owners and owners[name].id != person.id:
                    raise Clash(409, owners[name].id)
            self.write(person, data, bulk=bulk)
            return person, False
        ids = {p.id for p in owners.values()}
        if len(ids) > 1 or (ids and attributes.get("email") and "email" not in owners):
            raise Clash(409, next(p.id for n, p in owners.items() if n != "email"))
        if ids:
            person = self.people[ids.pop()]
            self.write(person, data, bulk=bulk)
            return person, False
        person = Person(id=self.new_id("P"))
        self.people[person.id] = person
        self.write(person, data, bulk=bulk)
        return person, True

    def write(self, person: Person, data: Mapping[str, Any], *, bulk: bool = False) -> None:
        """Apply attributes: absent stays, null clears (not in bulk), properties merge key by key."""
        for name, value in data["attributes"].items():
            if name == "properties":
                person.properties.update({k: v for k, v in (value or {}).items() if v is not None or not bulk})
            elif name == "location":
                self._place(person, value, bulk=bulk)
            elif value is not None:
                self._identify(person, name, value)
                person.attributes[name] = value
            elif not bulk:
                self._identify(person, name, None)
                person.attributes.pop(name, None)
        if not bulk:
            unset = ((data.get("meta") or {}).get("patch_properties") or {}).get("unset") or []
            for name in [unset] if isinstance(unset, str) else unset:
                person.properties.pop(name, None)

    def _place(self, person: Person, value: Mapping[str, Any] | None, *, bulk: bool) -> None:
        if value is None:
            if not bulk:
                person.location.clear()
            return
        for part, text in value.items():
            if text is not None:
                person.location[part] = text
            elif not bulk:
                person.location.pop(part, None)

    def _identify(self, person: Person, name: str, value: Any) -> None:
        if name not in IDENTIFIERS:
            return
        old = person.attributes.get(name)
        if old is not None:
            self._index.pop((name, old.lower() if name == "email" else old), None)
        if value is not None:
            self._index[(name, value.lower() if name == "email" else value)] = person.id

    def delete(self, person: Person) -> None:
        """Take a profile away with its events."""
        for name in IDENTIFIERS:
            self._identify(person, name, None)
        del self.people[person.id]
        self.events = [e for e in self.events if e["profile"] != person.id]

    def merge(self, source: Person, into: Person) -> None:
        """The source's properties fill gaps, its events move, and it is gone."""
        into.properties = {**source.properties, **into.properties}
        for event in self.events:
            if event["profile"] == source.id:
                event["profile"] = into.id
        self.delete(source)

    def record(
        self, attributes: Mapping[str, Any], person: Mapping[str, Any], now: datetime, *, backfill: bool
    ) -> bool:
        """Keep an event; False where it vanishes: a test address, seen before, or one metric too many."""
        if VANISHING.fullmatch(str(person["attributes"].get("email") or "")):
            return False
        name = attributes["metric"]["data"]["attributes"]["name"]
        if name not in self.metrics and len(self.metrics) >= 200:
            return False
        try:
            who, _ = self.upsert(person)
        except Clash as clash:
            who = self.people[clash.other]
        moment = datetime.fromisoformat(attributes["time"]) if attributes.get("time") else now
        unique = attributes.get("unique_id") or str(int(moment.timestamp()))
        if (who.id, name, unique) in self._seen:
            return False
        self._seen.add((who.id, name, unique))
        self.metric(name)
        self.events.append(
            {
                "id": self.new_id("E"),
                "profile": who.id,
                "email": who.attributes.get("email"),
                "metric": name,
                "time": moment.replace(microsecond=0),
                "properties": dict(attributes["properties"]),
                "value": attributes.get("value"),
                "value_currency": attributes.get("value_currency"),
                "unique_id": unique,
                "backfill": backfill,
            }
        )
        return True

    def metric(self, name: str, integration: str = "API") -> None:
        """A metric comes into being by its first event; the same name of another integration is another metric."""
        key = name if integration == "API" else f"{integration}:{name}"
        if key not in self.metrics:
            self.metrics[key] = {"id": self.new_id("M"), "name": name, "integration": integration}
