"""A record in lines: what the shop said, and each field beside what was last sent. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import fields, frozen, has

from .._verbs.person import OnRoute
from .._verbs.preview import Preview
from ..entities import Address, OrderLine
from ..types import Snapshot
from . import view

__all__ = ["Field", "facts_of", "fields_of"]

#: Attributes that people find elsewhere on the page, or that say nothing to them.
_LEFT_OUT = frozenset({"meta", "raw", "admin_url"})


@frozen(kw_only=True)
class Field:
    """One mapped field: today's value, what the target was left with, what it holds (where it was asked)."""

    name: str
    now: str
    sent: str
    there: str | None
    #: changed, left out, drift, or nothing to say.
    mark: str = ""
    why: str = ""


def facts_of(snapshot: Snapshot) -> list[tuple[str, str]]:
    """Label and text of everything the shop said that is not empty."""
    return list(_facts(snapshot.data))


def _facts(data: Any) -> Iterator[tuple[str, str]]:
    for attribute in fields(type(data)):
        value = getattr(data, attribute.name)
        if attribute.name in _LEFT_OUT or value is None or value == () or value == attribute.default:
            continue
        label = attribute.name.replace("_", " ")
        if isinstance(value, Address):
            if text := _address(value):
                yield label, text
        elif isinstance(value, tuple):
            yield label, "\n".join(_part(one) for one in value)
        else:
            yield label, view.value(value)
    yield from ((f"meta {name}", view.value(value)) for name, value in data.meta.items())


def _address(address: Address) -> str:
    name = " ".join(filter(None, (address.first_name, address.last_name)))
    town = " ".join(filter(None, (address.postcode, address.city)))
    place = ", ".join(filter(None, (town, address.state, address.country)))
    lines = (name, address.company, address.line1, address.line2, place, address.email, address.phone)
    return "\n".join(filter(None, lines))


def _part(one: Any) -> str:
    if isinstance(one, OrderLine):
        return f"{one.quantity.normalize():f} x {one.name}" + (f" ({one.sku})" if one.sku else "")
    if has(type(one)):
        said = (getattr(one, a.name) for a in fields(type(one)) if a.name not in ("key", "meta"))
        return " ".join(view.value(v) for v in said if v is not None)
    return view.value(one)


def fields_of(on_route: OnRoute) -> list[Field]:
    """Every field that is mapped, or that the target was left with."""
    found = on_route.preview
    if found is None:
        return []
    names = dict.fromkeys((*found.fields, *found.previous, *found.left_out))
    return [_field(found, name, linked=on_route.link is not None) for name in names]


def _field(found: Preview, name: str, *, linked: bool) -> Field:
    live = found.live
    mark, why = "", found.left_out.get(name, "")
    if why:
        mark = "left out"
    elif name in found.changed and linked:
        mark = "changed"
    elif live and found.remote is not None and name in found.drift:
        mark = "differs at the target"
    return Field(
        name=name,
        now=_shown(found.fields, name),
        sent=_shown(found.previous, name),
        there=_shown(found.remote, name) if live and found.remote is not None else None,
        mark=mark,
        why=why,
    )


def _shown(values: Mapping[str, Any], name: str) -> str:
    return view.value(values[name]) if values.get(name) is not None else ""
