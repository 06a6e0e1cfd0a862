"""Values to text and back, without loss.

Fields and anything else that may hold Python values go through *tagged JSON*: what JSON cannot say is an object whose
only telling key is "$".

    Decimal("1.50")            {"$": "decimal", "v": "1.50"}
    datetime, date             {"$": "datetime", "v": "2026-01-01T12:00:00+00:00"}
    a number beyond 64 bits    {"$": "int", "v": "36893488147419103232"}
    a mapping JSON cannot say  {"$": "dict", "v": [[key, value], ...]}     keys that are no text, or a key "$"

Tuples and sets become lists, numbers that are none (infinity) become null. Of entities only what differs from the
default is written; they are read strictly.

What is JSON as it stands (nearly everything) is written and read by orjson, which is fast and strict; the rest by the
standard library, in the same format.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson

from ..entities import ENTITIES, Entity
from ..values import mended
from ._alike import comes_back
from ._reading import NotShort, read
from ._writing import written

__all__ = [
    "Written",
    "dump_entity",
    "dump_fields",
    "dump_json",
    "fingerprint",
    "load_entity",
    "load_fields",
    "load_json",
    "stable_json",
]

_TAG = "$"


def _encode(value: Any) -> Any:
    """The value in what JSON can say."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -(1 << 63) <= value < 1 << 64 else {_TAG: "int", "v": str(value)}
        case float():
            return value if math.isfinite(value) else None
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
        case "int":
            return int(value["v"])
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
#: What orjson would write in a form of its own is left to `_encode`.
_STRICT = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
_DOLLAR, _KEY_OF_TAGS = ord("$"), b'"$":'


def _as_it_stands(value: Any, option: int = _STRICT) -> bytes | None:
    """The value as JSON; None where it needs tags, or holds what orjson refuses (half characters, huge numbers)."""
    try:
        text = orjson.dumps(value, option=option)
    except TypeError:
        return None
    # A single character is found ten times as fast, and hardly any text has it. As a number: of bytes Python asks first
    # whether they are one, and its "no" is an exception.
    return None if _DOLLAR in text and _KEY_OF_TAGS in text else text


def stable_json(value: Any) -> bytes | None:
    """JSON to be hashed: whatever the order of mappings, and the same in every release. None as `_as_it_stands`."""
    text = _as_it_stands(value, _STRICT | orjson.OPT_SORT_KEYS)
    if text is None or (text.isascii() and 0x7F not in text):
        return text
    return _sorted(value).encode()


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


def dump_json(value: Any) -> str:
    """A value that is JSON (texts, lists, mappings of texts) as text."""
    text = _as_it_stands(value)
    return _text(value) if text is None else text.decode()


def load_json(text: str) -> Any:
    """JSON as it was written by this or an earlier release."""
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)  # halves of characters, numbers that are none


def dump_fields(fields: Any) -> str:
    """Tagged JSON of a value or mapping. Raises TypeError for a type it cannot keep."""
    text = _as_it_stands(fields)
    return _text(_encode(fields)) if text is None else text.decode()


def load_fields(text: str) -> Any:
    """The value again."""
    value = load_json(text)
    return _decode(value) if '"$":' in text else value


def _as_it_came(value: Any) -> Any:
    return value


#: Text -> the entity it was written of, where it is about to be read here and gives just that one. What nobody came for
#: is forgotten, and read as any other.
_expected: dict[str, Entity] = {}
_MOST_EXPECTED = 1000

#: Attributes that are no part of what a record means.
_ASIDE = ("raw", "updated_at")


class Written:
    """An entity on its way into the outbox, walked through once."""

    def __init__(self, data: Entity) -> None:
        self._data = data
        self._stands = False
        self._meant = written(data)
        self._aside = {name: self._meant.pop(name) for name in _ASIDE if name in self._meant}

    @property
    def fingerprint(self) -> str:
        """Equal for two states that mean the same: `raw` and `updated_at` do not count, nor does dict order."""
        text = stable_json(self._meant)
        if text is None:
            text = _sorted_text(_encode(self._meant)).encode()
        return hashlib.sha256(f"{self._data.entity}:".encode() + text).hexdigest()

    @property
    def text(self) -> str:
        """The entity as JSON, `raw` and all; half a character (a cut emoji) becomes U+FFFD: nobody can send it."""
        values = self._meant | self._aside
        if (text := _as_it_stands(values)) is not None:
            self._stands = True
            return text.decode()
        tagged = _text(_encode(values))
        return _text(mended(json.loads(tagged))) if "\\ud" in tagged else tagged

    def expect(self, text: str) -> None:
        """This text of it is about to be read by this process, once: then it need not be taken apart again."""
        data = self._data
        if self._stands and type(data) is ENTITIES.get(data.entity) and comes_back(data):
            if len(_expected) >= _MOST_EXPECTED:
                _expected.clear()
            _expected[text] = data


def dump_entity(data: Entity) -> str:
    """`Written.text`."""
    return Written(data).text


def fingerprint(data: Entity) -> str:
    """`Written.fingerprint`."""
    return Written(data).fingerprint


def load_entity(entity: str, text: str) -> Entity:
    """The entity again. Raises ValueError where the text is not one."""
    if _expected and (known := _expected.pop(text, None)) is not None and known.entity == entity:
        return known
    try:
        tagged = '"$":' in text
        if not tagged:
            with suppress(NotShort):
                short: Entity = read(ENTITIES[entity], load_json(text))
                return short
        return _read_strictly(entity, text, _decode if tagged else _as_it_came)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The type of the error only: its text may quote the record.
        raise ValueError(f"the stored {entity} cannot be read: {type(error).__name__}") from None


def _read_strictly(entity: str, text: str, free: Callable[[Any], Any]) -> Entity:
    from ._strict import read_strictly  # hardly ever needed, and long to import

    found: Entity = read_strictly(ENTITIES[entity], load_json(text), free)
    return found
