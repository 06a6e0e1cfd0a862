"""Entities to what JSON can say: only what differs from the default, as `_reading` and `_strict` read it.

Each class has a function of its own, written at first use: all records of a listing go through it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, get_args

import attrs
import orjson

__all__ = ["written"]

_Turn = Callable[[Any], Any]


def written(data: Any) -> dict[str, Any]:
    """The values of an entity, or of a part of one, by their names."""
    kind: type = type(data)
    return _writer(kind)(data)


@cache
def _writer(kind: type) -> Callable[[Any], dict[str, Any]]:
    known: dict[str, Any] = {}
    lines = ["def write(data):", "    found = {}"]
    for one in attrs.fields(attrs.resolve_types(kind)):
        lines += (f"    {line}" for line in _lines(one.name, one.type, one.default, known))
    exec("\n".join([*lines, "    return found"]), known)  # noqa: S102  written here, of the names of attributes
    return known["write"]  # type: ignore[no-any-return]


def _lines(name: str, kind: Any, default: Any, known: dict[str, Any]) -> list[str]:
    """What puts a value among those that are found, unless it is the default."""
    value, turn = f"data.{name}", _turn(kind)
    if turn is not None:
        known[f"turn_{name}"] = turn
    put = f"found[{name!r}] = " + ("value" if turn is None else f"turn_{name}(value)")
    if default is attrs.NOTHING:
        return [f"value = {value}", put]
    if default is None:
        return [f"if (value := {value}) is not None:", f"    {put}"]
    known[f"usual_{name}"] = usual = default.factory() if hasattr(default, "takes_self") else default
    if attrs.has(type(usual)):
        # To write it is less work than to compare it, and nothing is what the usual one would be written as.
        return [
            f"if (value := {value}) is not usual_{name} and (value := turn_{name}(value)):",
            f"    found[{name!r}] = value",
        ]
    return [f"if (value := {value}) != usual_{name}:", f"    {put}"]


def _turn(wanted: Any) -> _Turn | None:
    """What makes JSON of a value; None where it stands as it is."""
    inner = get_args(wanted)
    if type(None) in inner:
        return _or_none(_turn(*(part for part in inner if part is not type(None))))
    if wanted in (str, int, bool) or wanted in (Mapping[str, Any], tuple[str, ...]):
        return None
    if wanted is Decimal:
        return str
    if wanted is datetime:
        return _moment
    if len(inner) == 2 and inner[1] is ...:
        write = _writer(inner[0])
        return lambda values: [write(value) for value in values]
    return _writer(wanted)


def _moment(at: datetime) -> str:
    """As `isoformat` writes it, which takes three times as long where a time has a zone."""
    return orjson.dumps(at)[1:-1].decode() if at.tzinfo is UTC else at.isoformat()


def _or_none(turn: _Turn | None) -> _Turn | None:
    return None if turn is None else lambda value: None if value is None else turn(value)
