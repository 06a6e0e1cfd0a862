"""A record in lines: what the shop said. Pure."""

from collections.abc import Iterator
from typing import Any

from attrs import fields, has

from ...entities import Address, OrderLine, PersonName
from ...types import Snapshot
from . import view

__all__ = ["facts_of"]

#: Attributes that people find elsewhere on the page, or that say nothing to them.
_LEFT_OUT = frozenset({"meta", "raw", "admin_url"})


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
    name = PersonName(first=address.first_name, last=address.last_name).full
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
