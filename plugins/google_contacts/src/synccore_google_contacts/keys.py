"""What a contact is found by: markers, addresses, numbers."""

from attrs import define

from synccore.entities import normalize_email

from .mapping import phone_key
from .merge import markers
from .schema import Person


@define
class Keys:
    """In the form they are compared in."""

    markers: set[str]
    emails: set[str]
    phones: set[str]


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
