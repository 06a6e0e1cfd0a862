"""A contact as flat fields, for people and for proof."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .mapping import FLAT, Entries, Part, address_value, cut_fields, field_named, plain


def flat(
    person: Mapping[str, Any], delivered: Mapping[str, Any], alone: Collection[str], used: Iterable[str] = ()
) -> dict[str, Any]:
    """The contact under the names and in the shape `deliver` takes.

    Where it holds what was delivered, beside whatever else, the value is the delivered one; otherwise it is what
    stands there. A field that was emptied is None as long as nothing of this record alone (`alone`) stands in it:
    what the owner put there, and what is another customer's, is no remains. Fields of `delivered` that are not there
    are None, others are left out.
    """
    found: dict[str, Any] = dict.fromkeys(delivered)
    for name in (*FLAT, *used, *delivered):
        if name in delivered and delivered[name] in (None, "") and name not in alone:
            continue
        value = _value(person, name, delivered.get(name))
        if value is not None:
            found[name] = value
    return found


def held(
    person: Mapping[str, Any], asked: Mapping[str, Any], alone: Collection[str], kept: Iterable[str]
) -> dict[str, Any]:
    """What the contact now holds of the fields that were asked for; what was kept as it was is left out."""
    cut = cut_fields(asked)
    wanted = {name: value for name, value in asked.items() if name not in kept}
    there = flat(person, {name: None if name in cut else value for name, value in wanted.items()}, alone)
    return {name: there.get(name) for name in wanted}


def _value(person: Mapping[str, Any], name: str, expected: Any) -> Any:
    spec = field_named(name)
    if spec is None:
        return None
    entries = person.get(spec.person_field, ())
    if isinstance(spec, Part):
        texts = [str(e[spec.key]) for e in entries if e.get(spec.key)]
        wanted = spec.text(expected) if expected is not None else ""
        return expected if wanted in texts else (texts[0] if texts else None)
    return _entries(spec, [e for e in entries if spec.owns(e)], expected)


def _entries(spec: Entries, entries: list[Mapping[str, Any]], expected: Any) -> Any:
    there = {spec.identity(e) for e in entries}
    wanted = {spec.identity(e) for e in spec.build(expected)} if expected is not None else set()
    if wanted and wanted <= there:
        return expected
    values = [_plain_value(spec, e) for e in entries]
    return None if not values else values[0] if len(values) == 1 else values


def _plain_value(spec: Entries, entry: Mapping[str, Any]) -> Any:
    if spec.kind == "address":
        return address_value(entry)
    if spec.kind == "list":
        return plain(entry)
    if "date" in entry:
        day = entry["date"]
        return "-".join(str(day.get(part) or 0).zfill(width) for part, width in (("year", 4), ("month", 2), ("day", 2)))
    return entry.get("value")
