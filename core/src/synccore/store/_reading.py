"""Entities from their stored JSON, the short way: as it was written by this release, which is nearly always.

What is not exactly so (a null, a number of another kind, a name nobody knows) is left to the strict reader, which says
what is wrong with it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, get_args

import attrs

from .._plain import Plain
from .._swift import swiftly

__all__ = ["NotShort", "read"]


class NotShort(Exception):
    """This text needs the strict reader."""


class _Never:
    """What no value is."""


@attrs.frozen
class _Plan(Plain):
    """How values of one class are read.

    Attributes:
        kinds: attribute -> the type its value has in JSON where it is taken as it is.
        turns: attribute -> what makes the value of the others.
        make: makes an object of them.
    """

    kinds: Mapping[str, type]
    turns: Mapping[str, Callable[[Any], Any]]
    make: Callable[..., Any]


def read(kind: type, values: dict[str, Any]) -> Any:
    """An object of that class; `values` is used up. Raises NotShort."""
    plan = _plan(kind)
    kinds = plan.kinds
    try:
        for name, value in values.items():
            if type(value) is not kinds[name]:
                values[name] = plan.turns[name](value)
        return plan.make(**values)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise NotShort from None


@cache
def _plan(kind: type) -> _Plan:
    kinds: dict[str, type] = {}
    turns: dict[str, Callable[[Any], Any]] = {}
    for one in attrs.fields(attrs.resolve_types(kind)):
        parts = [part for part in get_args(one.type) if part is not type(None)]
        # `str | None` is read as `str`: what is None is not written.
        wanted = parts[0] if type(None) in get_args(one.type) and len(parts) == 1 else one.type
        if wanted in (str, int, bool):
            kinds[one.name] = wanted
        elif wanted == Mapping[str, Any]:
            kinds[one.name] = dict
        else:
            kinds[one.name] = _Never
            if (turn := _turn(wanted)) is not None:
                turns[one.name] = turn
    return _Plan(kinds, turns, swiftly(kind))


def _turn(wanted: Any) -> Callable[[Any], Any] | None:
    """None: only the strict reader knows."""
    if wanted is datetime:
        return datetime.fromisoformat
    if wanted is Decimal:
        return _decimal
    if isinstance(wanted, type) and attrs.has(wanted):
        return lambda value: read(wanted, value)
    inner = get_args(wanted)
    if len(inner) == 2 and inner[1] is ... and attrs.has(inner[0]):
        return lambda values: tuple([read(inner[0], value) for value in values])
    return None


def _decimal(text: Any) -> Decimal:
    if type(text) is not str:
        raise TypeError
    return Decimal(text)
