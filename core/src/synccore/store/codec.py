"""Values to text and back, without loss.

Fields and anything else that may hold Python values go through *tagged JSON*: what JSON cannot say is an object whose
only telling key is "$".

    Decimal("1.50")            {"$": "decimal", "v": "1.50"}
    datetime, date             {"$": "datetime", "v": "2026-01-01T12:00:00+00:00"}
    a mapping JSON cannot say  {"$": "dict", "v": [[key, value], ...]}     keys that are no text, or a key "$"

Tuples and sets become lists. Entities are written by cattrs, strictly, and only what differs from the default.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from attrs import evolve
from cattrs import Converter
from cattrs.errors import ForbiddenExtraKeysError

from ..entities import ENTITIES, Entity
from ..values import mended

__all__ = ["canonical", "dump_entity", "dump_fields", "fingerprint", "load_entity", "load_fields"]

_TAG = "$"


def _encode(value: Any) -> Any:
    """The value in what JSON can say."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return {_TAG: "decimal", "v": str(value)}
        case datetime():
            return {_TAG: "datetime", "v": value.isoformat()}
        case date():
            return {_TAG: "date", "v": value.isoformat()}
        case Mapping():
            if all(isinstance(k, str) and k != _TAG for k in value):
                return {k: _encode(v) for k, v in value.items()}
            return {_TAG: "dict", "v": [[_encode(k), _encode(v)] for k, v in value.items()]}
        case AbstractSet():
            return sorted((_encode(v) for v in value), key=_sorted_text)
        case bytes() | bytearray():
            pass
        case Sequence():
            return [_encode(v) for v in value]
    raise TypeError(f"a value of type {type(value).__name__} cannot be stored")


def _decode(value: Any) -> Any:
    """What `_encode` was given."""
    if isinstance(value, list):
        return [_decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    match value.get(_TAG):
        case None:
            return {k: _decode(v) for k, v in value.items()}
        case "decimal":
            return Decimal(value["v"])
        case "datetime":
            return datetime.fromisoformat(value["v"])
        case "date":
            return date.fromisoformat(value["v"])
        case "dict":
            return {_decode(k): _decode(v) for k, v in value["v"]}
        case tag:
            raise ValueError(f"unknown tag {tag!r} in a stored value")


# Made once: `json.dumps` with separators makes an encoder for each call.
# ASCII only: a lone surrogate in a shop's text must not make its record unstorable.
_text = json.JSONEncoder(separators=(",", ":")).encode
_sorted = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


def _sorted_text(value: Any) -> str:
    return _sorted(_order(value))


def _order(value: Any) -> Any:
    """The same JSON whatever the order of the mappings it came from."""
    if isinstance(value, list):
        return [_order(v) for v in value]
    if isinstance(value, dict):
        if value.get(_TAG) == "dict":
            return {_TAG: "dict", "v": sorted((_order(pair) for pair in value["v"]), key=_text)}
        return {k: _order(v) for k, v in value.items()}
    return value


def dump_fields(fields: Any) -> str:
    """Tagged JSON of a value or mapping. Raises TypeError for a type it cannot keep."""
    return _text(_encode(fields))


def load_fields(text: str) -> Any:
    """The value again."""
    return _decode(json.loads(text))


def canonical(fields: Any) -> str:
    """One text per value, whatever the order of its mappings: equal texts mean equal values."""
    return _sorted_text(_encode(fields))


def _structure_strict(value: Any, kind: type) -> Any:
    # bool is an int to Python and not to us.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"expected {kind.__name__}, not {type(value).__name__}")
    return value


def _structure_decimal(value: Any, _: type) -> Decimal:
    return Decimal(_structure_strict(value, str))


def _structure_datetime(value: Any, _: type) -> datetime:
    return datetime.fromisoformat(_structure_strict(value, str))


def _is_free(kind: Any) -> bool:
    return bool(kind == Mapping[str, Any])


def _make_converter() -> Converter:
    made = Converter(forbid_extra_keys=True, omit_if_default=True, detailed_validation=False)
    for kind in (str, int, bool):
        made.register_structure_hook(kind, _structure_strict)
    made.register_structure_hook(Decimal, _structure_decimal)
    made.register_structure_hook(datetime, _structure_datetime)
    made.register_unstructure_hook(Decimal, str)
    made.register_unstructure_hook(datetime, datetime.isoformat)
    made.register_unstructure_hook_func(_is_free, _encode)
    made.register_structure_hook_func(_is_free, lambda value, _: _decode(value))
    return made


_CONVERTER = _make_converter()


def dump_entity(data: Entity) -> str:
    """An entity as JSON, `raw` and all; half a character (a cut emoji) becomes U+FFFD, since nobody can send it."""
    text = _text(_CONVERTER.unstructure(data))
    return _text(mended(json.loads(text))) if "\\ud" in text else text


def load_entity(entity: str, text: str) -> Entity:
    """The entity again. Raises ValueError where the text is not one."""
    try:
        return _CONVERTER.structure(json.loads(text), ENTITIES[entity])
    except (ArithmeticError, AttributeError, ForbiddenExtraKeysError, LookupError, TypeError, ValueError) as error:
        # The type of the error only: its text may quote the record.
        raise ValueError(f"the stored {entity} cannot be read: {type(error).__name__}") from None


def fingerprint(data: Entity) -> str:
    """Equal for two states of a record that mean the same: `raw` and `updated_at` do not count, nor does dict order."""
    # Defaults are left out; taken away first, the shop's own record need not be walked through.
    values = _CONVERTER.unstructure(evolve(data, raw={}, updated_at=None))
    return hashlib.sha256(f"{data.entity}:{_sorted_text(values)}".encode()).hexdigest()
