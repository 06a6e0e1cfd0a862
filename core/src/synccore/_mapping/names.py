"""Finds, before any record is there, names and attributes in an expression that no record can have."""

import types
import typing
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cache
from typing import Any

import attrs
from jinja2 import nodes

from ..config import suggest
from ..entities import PLURALS, Customer

_SAME_LIST = frozenset({"select", "reject", "selectattr", "rejectattr", "sort", "unique", "list", "reverse"})
_ONE_OF = frozenset({"first", "last", "min", "max"})
#: Attributes that core fills from a customer's orders.
_TOTALS = frozenset({"order_count", "total_spent", "last_order_at"})
#: Filters whose named (or first) argument is an attribute of the items.
_TAKES_ATTRIBUTE = {
    "map": "attribute",
    "sum": "attribute",
    "sort": "attribute",
    "unique": "attribute",
    "min": "attribute",
    "max": "attribute",
    "join": "attribute",
    "selectattr": 0,
    "rejectattr": 0,
    "groupby": 0,
}


def find_unknown(parts: Sequence[nodes.Node], named: Set[str], names: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with what a template names (`named`, in its `parts`); `names` as `scope.visible` gives them."""
    known = sorted(names)
    for name in sorted(named - names.keys()):
        singular = next((entity for entity, plural in PLURALS.items() if plural == name), None)
        if singular:
            yield f'{name!r} is not visible here; write include = ["{singular}"] on the route'
        else:
            yield f"nothing is called {name!r} here{suggest(name, known)} (visible: {', '.join(known)})"
    # A name that the template sets itself may stand for anything.
    bound = {n.name for n in parts if isinstance(n, nodes.Name) and n.ctx != "load"}
    typed = {n: t for n, t in names.items() if n not in bound}
    reported: set[str] = set()
    for message in _attributes(parts, typed):
        if message not in reported:
            reported.add(message)
            yield message


def _attributes(parts: Sequence[nodes.Node], names: Mapping[str, Any]) -> Iterator[str]:
    for node in parts:
        if not isinstance(node, nodes.Getattr):
            continue
        cls = _class(_infer(node.node, names))
        if cls and node.attr not in _members(cls):
            yield _no_attribute(cls, node.attr)
        if cls is Customer and node.attr in _TOTALS and PLURALS["order"] not in names:
            yield f'{node.attr} is known only where orders are included; write include = ["order"] on the route'
    for filtered in parts:
        if not isinstance(filtered, nodes.Filter):
            continue
        cls = _class(_element(_infer(filtered.node, names)))
        attribute = _attribute_argument(filtered)
        if cls and attribute is not None:
            first = attribute.split(".")[0].split(",")[0]
            if first not in _members(cls) and not first.isdigit():
                yield _no_attribute(cls, first)


def _no_attribute(cls: type, name: str) -> str:
    return f"{cls.__name__.lower()} has no {name!r}{suggest(name, sorted(_members(cls)))}"


def _attribute_argument(node: nodes.Filter) -> str | None:
    where = _TAKES_ATTRIBUTE.get(node.name)
    if where is None:
        return None
    found = node.args[0] if where == 0 and node.args else None
    found = next((k.value for k in node.kwargs if k.key == "attribute"), found)
    return found.value if isinstance(found, nodes.Const) and isinstance(found.value, str) else None


def _infer(node: nodes.Node | None, names: Mapping[str, Any]) -> Any:
    """The type of an expression, or None where it cannot be told."""
    if isinstance(node, nodes.Name):
        return names.get(node.name)
    if isinstance(node, nodes.Getattr):
        cls = _class(_infer(node.node, names))
        return _members(cls).get(node.attr) if cls else None
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, int):
        return _element(_infer(node.node, names))
    if isinstance(node, nodes.Filter):
        inner = _infer(node.node, names)
        if node.name in _SAME_LIST:
            return inner
        if node.name in _ONE_OF:
            return _element(inner)
    return None


def _class(kind: Any) -> type | None:
    """The attrs class that a type stands for, also where it may be None."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        parts = [p for p in typing.get_args(kind) if p is not type(None)]
        kind = parts[0] if len(parts) == 1 else None
    return kind if isinstance(kind, type) and attrs.has(kind) else None


def _element(kind: Any) -> Any:
    """The type of a list's items."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(origin, type) and issubclass(origin, Sequence) and arguments:
        return arguments[0]
    return None


@cache
def _members(cls: type) -> Mapping[str, Any]:
    """Public attributes, properties and methods of an entity's class, with their types where known."""
    attrs.resolve_types(cls)
    members: dict[str, Any] = {name: None for name in dir(cls) if not name.startswith("_")}
    return members | {a.name: a.type for a in attrs.fields(cls)}
