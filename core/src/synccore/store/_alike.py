"""Whether an entity is just what is read of its text again: then who wrote the text need not read it.

Each class has an expression of its own, written at first use. An object that holds something else than it declares (a
number for a text, another mapping than a dict, a time of another zone than UTC) comes back as another one, or not at
all.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from math import isfinite
from typing import Any, get_args

import attrs

__all__ = ["comes_back"]

_Look = Callable[[Any], bool]

#: Of values that orjson takes, those that it gives again whatever they are.
_KEPT = frozenset((str, int, bool, type(None)))


def comes_back(data: Any) -> bool:
    """Whether it, or a part of an entity, is read as it is where its text needs no tags."""
    kind: type = type(data)
    return _look(kind)(data)


def _free(values: Collection[Any]) -> bool:
    """The same of values of no declared kind."""
    for value in values:
        if (kind := type(value)) not in _KEPT and not (kind in _INTO and _INTO[kind](value)):
            return False
    return True


#: The same of what has to be looked into.
_INTO: Mapping[type, _Look] = {dict: lambda value: _free(value.values()), list: _free, float: isfinite}


@cache
def _look(kind: type) -> _Look:
    known: dict[str, Any] = {"datetime": datetime, "Decimal": Decimal, "UTC": UTC, "free": _free}
    parts = [_part(one.name, one.type, one.default, known) for one in attrs.fields(attrs.resolve_types(kind))]
    exec(f"def look(data):\n    return {' and '.join(parts)}", known)  # noqa: S102  written here, of the names of attributes
    look: _Look = known["look"]
    return look


def _part(name: str, kind: Any, default: Any, known: dict[str, Any]) -> str:
    """What is to be true of one attribute."""
    if type(None) in get_args(kind):
        (kind,) = (part for part in get_args(kind) if part is not type(None))
        return f"((value := data.{name}) is None or {_of_kind(name, kind, known)})"
    if kind is Decimal and default is not attrs.NOTHING:
        # 1.00 is not written where 1 is usual.
        known[f"usual_{name}"] = default
        return f"((value := data.{name}) is usual_{name} or {_of_kind(name, kind, known)} and value != usual_{name})"
    return _of_kind(name, kind, known, f"(value := data.{name})")


def _of_kind(name: str, kind: Any, known: dict[str, Any], value: str = "value") -> str:
    inner = get_args(kind)
    if kind in (str, int, bool, Decimal):
        return f"type({value}) is {kind.__name__}"
    if kind is datetime:
        return f"type({value}) is datetime and value.tzinfo is UTC and not value.fold"
    if kind == Mapping[str, Any]:
        return f"type({value}) is dict and free(value.values())"
    if kind == tuple[str, ...]:
        return f"type({value}) is tuple and all(type(one) is str for one in value)"
    if len(inner) == 2 and inner[1] is ...:
        known |= {f"look_{name}": _look(inner[0]), f"kind_{name}": inner[0]}
        return f"type({value}) is tuple and all(type(one) is kind_{name} and look_{name}(one) for one in value)"
    known |= {f"look_{name}": _look(kind), f"kind_{name}": kind}
    return f"type({value}) is kind_{name} and look_{name}(value)"
