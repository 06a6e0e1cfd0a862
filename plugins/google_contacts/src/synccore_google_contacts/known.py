"""What is known of one contact: what it is found by (markers, addresses, numbers), and what we did to it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field

from synccore.entities import normalize_email
from synccore.types import State

from .mapping import phone_key
from .merge import markers
from .schema import Person


@define
class Keys:
    """In the form they are compared in."""

    markers: set[str]
    emails: set[str]
    phones: set[str]


@define
class Own:
    """What we did to a contact: the values we wrote, whether we made it, the label we gave it, and the fingerprints of
    what each record (uid) wants there, by which two who were merged are told apart."""

    fields: dict[str, Any] = field(factory=dict)
    made: bool = False
    label: str | None = None
    wants: dict[str, list[str]] = field(factory=dict)


def keys_of(person: Person) -> Keys:
    """What this contact is found by."""
    return Keys(
        markers=markers(person),
        emails={normalize_email(str(e["value"])) for e in person.get("emailAddresses", ()) if e.get("value")},
        phones={
            key
            for p in person.get("phoneNumbers", ())
            if p.get("value") and (key := phone_key(str(p["value"]), p.get("canonicalForm")))
        },
    )


def age_of(state: State, key: str, record: Mapping[str, Any], now: datetime) -> timedelta:
    """How long ago something was noted (`at`); from now on where the clock was set back since, lest anybody wait longer
    for that."""
    age = now - datetime.fromisoformat(record["at"])
    if age < timedelta(0):
        state.put({key: {**record, "at": now.isoformat()}})
    return max(age, timedelta(0))
