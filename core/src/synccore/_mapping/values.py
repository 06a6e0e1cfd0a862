"""Field values: which types may leave a mapper, and one comparable text form for them."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from jinja2 import StrictUndefined, Undefined

from ..store.codec import stable_json

_MAX_DEPTH = 20
_MAX_BITS = 4096


class ValueFault(ValueError):
    """Why a value cannot be a field's; the message holds types, never the value."""


def plain(value: Any, depth: int = 0) -> Any:
    """The value as field values are: tuples, sets and generators become lists. Raises ValueFault, UndefinedError."""
    if (value is None or type(value) is str) and depth <= _MAX_DEPTH:
        return value  # most of them by far
    if depth > _MAX_DEPTH:
        raise ValueFault("the value is nested too deeply")
    if isinstance(value, Undefined):
        _undefined(value)
        return None
    if isinstance(value, str):
        return str(value)  # Markup and other kinds of text become plain text
    if isinstance(value, bool | int | float | Decimal | date):
        return _checked(value)
    if isinstance(value, Mapping):
        return {_key(k): plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(v, depth + 1) for v in value), key=_canonical)
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return [plain(v, depth + 1) for v in value]
    if callable(value):
        raise ValueFault("the result is a function: write () behind its name")
    raise ValueFault(f"the result is of type {type(value).__name__}: name one of its parts")


def _checked(value: Any) -> Any:
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise ValueFault("the result is no finite number")
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ValueFault("the result is a number of more than a thousand digits")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueFault("the result is a time without time zone")
    return value


def _undefined(value: Undefined) -> None:
    """None for an inline `if` without `else`; anything else that is not there raises UndefinedError."""
    if isinstance(value, StrictUndefined):
        str(value)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str(key)
    raise ValueFault(f"a mapping's key is a {type(key).__name__}, not text")


def canonical(fields: Mapping[str, Any]) -> str:
    """One text for equal fields: whatever their order, and whether a number is 1, 1.0 or Decimal("1.00")."""
    return _canonical(fields).decode()


def digest(fields: Mapping[str, Any]) -> str:
    """A hash of fields that is equal where they are."""
    return hashlib.sha256(_canonical(fields)).hexdigest()


# Made once: `json.dumps` with options makes an encoder for each call.
_text = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _canonical(value: Any) -> bytes:
    tagged = _tagged(value)
    text = stable_json(tagged)
    return _text(tagged).encode() if text is None else text


def _tagged(value: Any) -> Any:
    if type(value) is str or value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return {"number": str(value)}
    if isinstance(value, float | Decimal):
        return {"number": _number(value)}
    if isinstance(value, datetime):
        return {"time": (value.astimezone(UTC) if value.tzinfo else value).isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, Mapping):
        return {"map": {k if type(k) is str else str(k): v if type(v) is str else _tagged(v) for k, v in value.items()}}
    if isinstance(value, set | frozenset):
        return {"list": sorted((_tagged(v) for v in value), key=json.dumps)}
    if isinstance(value, Iterable):
        return {"list": [_tagged(v) for v in value]}
    return {"other": repr(value)}


def _number(value: float | Decimal) -> str:
    exact = Decimal(repr(value)) if isinstance(value, float) else value
    if not exact.is_finite():
        return str(exact)
    if exact == exact.to_integral_value():
        return str(int(exact)) if exact.adjusted() < 1000 else str(exact)
    sign, digits, exponent = exact.as_tuple()
    assert isinstance(exponent, int)  # noqa: S101  finite
    while digits and digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    return str(Decimal((sign, digits, exponent)))
