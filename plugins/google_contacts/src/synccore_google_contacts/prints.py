"""What synccore wrote, told on the contact itself by fingerprints.

The index remembers the values. Where it is older than the contact (a restored backup, a lost answer) these say which
of the values that stand there are ours, and so give way to newer ones; all others are the owner's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .known import Own, keys_of
from .mapping import FLAT, MAX_LENGTH, Entries, Part, field_named, plain, whole
from .merge import Merge, grown, looks_merged, markers, print_of, same
from .schema import RESERVED, WRITABLE, Person

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


def still(before: Person, after: Person) -> bool:
    """Whether it is one contact under two names, maybe with a write of ours whose answer was lost."""
    return same(before, after) or _written_unheard(before, after)


def grew(before: Sequence[Person], after: Person) -> bool:
    """Whether something came to what was known under other names, and that is no write of ours without an answer."""
    return grown(before, after) and not (len(before) == 1 and _written_unheard(before[0], after))


def went_in(before: Person, after: Person) -> bool:
    """Whether another contact went into this one, and what is new on it is no write of ours without an answer."""
    return looks_merged(before, after) and not _written_unheard(before, after)


def _written_unheard(before: Person, after: Person) -> bool:
    """The fingerprints are other ones, and tell all that is new; a merge brings a second set of them, or a marker."""
    sets = sum(e.get("key") == WROTE for e in after.get("clientData", ()))
    if sets != 1 or told(after) == told(before) or markers(after) - markers(before):
        return False
    fields = [name for name in WRITABLE if name not in RESERVED and name != "externalIds"]
    known = {name: {whole(e) for e in before.get(name, ())} for name in fields}
    new = [(name, e) for name in fields for e in after.get(name, ()) if whole(e) not in known[name]]
    return all(_is_told(name, entry, told(after)) for name, entry in new)


def _is_told(person_field: str, entry: Mapping[str, Any], prints: set[str]) -> bool:
    """Whether the fingerprints tell the entry, with all that flat fields hold of it."""
    names = (*FLAT, f"custom.{entry.get('key')}") if person_field == "userDefined" else FLAT
    specs = [spec for n in names if (spec := field_named(n)) is not None and spec.person_field == person_field]
    parts = {print_of(s.name, entry[s.key]) for s in specs if isinstance(s, Part) and entry.get(s.key)}
    wholes = {print_of(s.name, s.identity(entry)) for s in specs if isinstance(s, Entries) and s.owns(entry)}
    return bool(parts | wholes) and parts <= prints and (not wholes or bool(wholes & prints))
