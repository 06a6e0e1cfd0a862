"""What synccore wrote, told on the contact itself by fingerprints.

The index remembers the values. Where it is older than the contact (a restored backup, a lost answer) these say which
of the values that stand there are ours, and so give way to newer ones; all others are the owner's.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from .known import Own, keys_of
from .mapping import MAX_LENGTH, Entries, Part, field_named, plain
from .merge import Merge, print_of
from .schema import Person

#: `clientData` key of the fingerprints, separated by blanks.
WROTE = "synccore.wrote"


def tell(merge: Merge) -> None:
    """Put the fingerprints of what is ours on the contact, in place of those that stand there."""
    entries = merge.entries("clientData")
    entries[:] = [e for e in entries if e.get("key") != WROTE]
    if prints := sorted(prints_of(merge.own)):
        entries.append({"key": WROTE, "value": " ".join(prints)[:MAX_LENGTH]})


def recalled(own: Mapping[str, Any], person: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """What is ours on the contact: what the index knows, and what stands there of these fields as it was written."""
    found, missing = dict(own), unknown(own, person)
    for name in names if missing else ():
        spec = field_named(name)
        entries = person.get(spec.person_field, ()) if spec is not None else ()
        if isinstance(spec, Part):
            ours = [e[spec.key] for e in entries if e.get(spec.key) and print_of(name, e[spec.key]) in missing]
            found |= {name: ours[0]} if ours else {}
        elif spec is not None:
            ours = [plain(e) for e in entries if spec.owns(e) and print_of(name, spec.identity(e)) in missing]
            found |= {name: [*found.get(name, ()), *ours]} if ours else {}
    return found


def unknown(own: Mapping[str, Any], person: Mapping[str, Any]) -> set[str]:
    """The fingerprints on the contact of which the index knows nothing."""
    return told(person) - prints_of(own)


def told(person: Mapping[str, Any]) -> set[str]:
    """The fingerprints on the contact: what we wrote there, for whomever."""
    return {p for e in person.get("clientData", ()) if e.get("key") == WROTE for p in str(e.get("value")).split()}


def prints_of(own: Mapping[str, Any]) -> set[str]:
    """The fingerprints of fields as they are written."""
    found: set[str] = set()
    for name, value in own.items():
        spec = field_named(name)
        found |= (
            {print_of(name, spec.identity(e)) for e in value} if isinstance(spec, Entries) else {print_of(name, value)}
        )
    return found


def standing(person: Person) -> set[str]:
    """The fingerprints of the addresses and numbers on the contact, whoever wrote them."""
    keys = keys_of(person)
    return {print_of("email", e) for e in keys.emails} | {print_of("phone", p) for p in keys.phones}


def built(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Mapped fields as the index keeps what was written."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        spec = field_named(name)
        if spec is not None and value is not None:
            found[name] = spec.text(value) if isinstance(spec, Part) else spec.build(value)
    return found


def alone(own: Own, uid: str) -> set[str]:
    """The fields in which something of ours stands that no other record wants there."""
    theirs = {p for other, prints in own.wants.items() if other != uid for p in prints}
    return {name for name, value in own.fields.items() if prints_of({name: value}) - theirs}
