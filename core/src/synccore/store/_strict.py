"""Entities from stored JSON, strictly: for what `_reading` does not read, and to refuse what is none."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from cattrs import Converter
from cattrs.errors import ForbiddenExtraKeysError

__all__ = ["read_strictly"]


def read_strictly(kind: type, values: Any, free: Callable[[Any], Any]) -> Any:
    """An object of that class; `free` reads mappings of anything. Raises ValueError, TypeError and the like."""
    try:
        return _converter(free).structure(values, kind)
    except ForbiddenExtraKeysError:
        raise LookupError from None


@cache
def _converter(free: Callable[[Any], Any]) -> Converter:
    made = Converter(forbid_extra_keys=True, detailed_validation=False)
    readers = {**dict.fromkeys((str, int, bool), _checked), Decimal: _decimal, datetime: _datetime}
    for kind, reader in readers.items():
        made.register_structure_hook(kind, reader)
        made.register_structure_hook_func(_is(kind | None), _or_none(reader, kind))
    made.register_structure_hook_func(_is(Mapping[str, Any]), lambda value, _: free(value))
    return made


def _checked(value: Any, kind: type) -> Any:
    if type(value) is kind:
        return value
    # bool is an int to Python and not to us.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"expected {kind.__name__}, not {type(value).__name__}")
    return value


def _decimal(value: Any, _: type) -> Decimal:
    return Decimal(_checked(value, str))


def _datetime(value: Any, _: type) -> datetime:
    return datetime.fromisoformat(_checked(value, str))


def _is(wanted: Any) -> Callable[[Any], bool]:
    return lambda kind: bool(kind == wanted)


def _or_none(read: Callable[[Any, type], Any], kind: type) -> Callable[[Any, type], Any]:
    return lambda value, _: None if value is None else read(value, kind)
