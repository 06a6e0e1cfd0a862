"""What the stand-in holds: profiles, events, metrics, consent, and every state a profile was ever in."""

import itertools
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field, frozen

from .strict import IDENTIFIERS, VANISHING

__all__ = ["Clash", "Person", "Store", "Write"]

#: At most one subscribe job per profile in this time; what comes sooner is taken and dropped.
SUBSCRIBE_EVERY = timedelta(minutes=30)
#: Suppressions that subscribing lifts. A hard bounce or an invalid address stays.
LIFTED = ("UNSUBSCRIBE", "SPAM_COMPLAINT", "USER_SUPPRESSED")


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
    created_at: datetime
    attributes: dict[str, Any] = field(factory=dict)
    properties: dict[str, Any] = field(factory=dict)
    location: dict[str, Any] = field(factory=dict)
    #: NEVER_SUBSCRIBED, SUBSCRIBED or UNSUBSCRIBED, as the read side says it.
    consent: str = "NEVER_SUBSCRIBED"
    consented_at: datetime | None = None
    suppressions: list[tuple[str, datetime]] = field(factory=list)
    lists: set[str] = field(factory=set)
    subscribed_at: datetime | None = None
    #: The `custom_source` it was subscribed with.
    source: str | None = None

    @property
    def opted_out(self) -> bool:
        """True where no marketing mail may go out."""
        return self.consent == "UNSUBSCRIBED" or bool(self.suppressions)


@frozen(kw_only=True)
class Write:
    """One write to a profile, with the state it left behind. `how`: import, patch, job, event, consent, merge, hand."""

    at: datetime
    how: str
    profile: str
    email: str | None
    attributes: Mapping[str, Any]
    properties: Mapping[str, Any]


class Store:
    """Profiles found by identifier, events kept once."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.people: dict[str, Person] = {}
        #: Whether an upsert with a known number changes that number's profile, whatever its address; else it is a 409.
        self.phones_win = False
        #: Every write, oldest first; a deletion takes nothing away here.
        self.writes: list[Write] = []
        #: Subscribe requests that Klaviyo took and dropped: profile ids.
        self.dropped_opt_ins: list[str] = []
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

    def upsert(self, data: Mapping[str, Any], *, how: str = "import") -> tuple[Person, bool]:
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
            self.write(person, data, how=how)
            return person, False
        ids = {p.id for p in owners.values()}
        if ids and self.phones_win and "phone_number" in owners:
            # The reference leaves it open; then a number that is somebody else's hits their profile.
            person = owners["phone_number"]
            self.write(person, data, how=how)
            return person, False
        if len(ids) > 1 or (ids and attributes.get("email") and "email" not in owners):
            raise Clash(409, next(p.id for n, p in owners.items() if n != "email"))
        if ids:
            person = self.people[ids.pop()]
            self.write(person, data, how=how)
            return person, False
        person = Person(id=self.new_id("P"), created_at=self._now())
        self.people[person.id] = person
        self.write(person, data, how=how)
        return person, True

    def write(self, person: Person, data: Mapping[str, Any], *, how: str = "import") -> None:
        """Apply attributes: absent stays, null clears (a job ignores it), properties merge key by key.

        A property that is sent as null stays, holding null; only `unset` takes it away.
        """
        bulk = how == "job"
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
        self._note(person, how)

    def _note(self, person: Person, how: str) -> None:
        write = Write(
            at=self._now(),
            how=how,
            profile=person.id,
            email=person.attributes.get("email"),
            attributes=dict(person.attributes),
            properties=dict(person.properties),
        )
        self.writes.append(write)

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

    # -- consent

    def addressed(self, attributes: Mapping[str, Any]) -> Person:
        """Whom a consent or suppression entry means; somebody unknown is created."""
        identifiers = {k: v for k, v in attributes.items() if k in IDENTIFIERS}
        owner = self.owner("email", identifiers["email"]) if identifiers.get("email") else None
        return owner or self.upsert({"type": "profile", "attributes": identifiers}, how="consent")[0]

    def subscribe(self, person: Person, wanted: str, source: str | None = None) -> None:
        """Opt in; lifts an earlier unsubscribe. Twice within 30 minutes the second is taken and dropped."""
        now = self._now()
        if person.subscribed_at is not None and now - person.subscribed_at < SUBSCRIBE_EVERY:
            self.dropped_opt_ins.append(person.id)
            return
        person.consent, person.consented_at, person.subscribed_at, person.source = "SUBSCRIBED", now, now, source
        person.suppressions = [s for s in person.suppressions if s[0] not in LIFTED]
        if wanted:
            person.lists.add(wanted)

    def unsubscribe(self, person: Person, wanted: str) -> None:
        """Opt out of a list, or of everything where the person is not on it or none is named."""
        if wanted and wanted in person.lists:
            person.lists.discard(wanted)
            return
        person.consent = "UNSUBSCRIBED"
        person.lists.clear()
        self.suppress(person, "UNSUBSCRIBE")

    def suppress(self, person: Person, reason: str = "USER_SUPPRESSED") -> None:
        """No mail goes out any more; each reason is kept once, with its first moment."""
        if reason not in [r for r, _ in person.suppressions]:
            person.suppressions.append((reason, self._now()))

    def delete(self, person: Person) -> None:
        """Take a profile away with its events."""
        for name in IDENTIFIERS:
            self._identify(person, name, None)
        del self.people[person.id]
        self.events = [e for e in self.events if e["profile"] != person.id]

    def merge(self, source: Person, into: Person) -> None:
        """What the source has fills gaps, also where that was never asked about mail; its events move; it is gone."""
        for event in self.events:
            if event["profile"] == source.id:
                event["profile"] = into.id
        self.delete(source)
        gaps = {n: v for n, v in source.attributes.items() if n not in into.attributes}
        self.write(into, {"attributes": gaps}, how="merge")
        into.properties = {**source.properties, **into.properties}
        into.location = {**source.location, **into.location}
        if into.consent == "NEVER_SUBSCRIBED":
            into.consent, into.consented_at, into.source = source.consent, source.consented_at, source.source
            into.subscribed_at = source.subscribed_at
        for reason, at in source.suppressions:
            if reason not in [r for r, _ in into.suppressions]:
                into.suppressions.append((reason, at))

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
            who, _ = self.upsert(person, how="event")
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
