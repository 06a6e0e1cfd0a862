"""Values as Salesforce takes them, by the type describe gives the field."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from synccore.entities import normalize_email
from synccore.errors import Rejected
from synccore.values import amount, encodable, instant, json_number, money

from ..schema import Field

__all__ = ["can_cut", "canonical", "canonical_items", "convert", "csv_cell", "full_id", "same", "too_long"]

_NUMBERS = ("double", "currency", "percent", "int", "long")
#: Never cut: half an address reaches nobody, half a key finds nobody.
_WHOLE = ("email", "id", "reference", "picklist", "multipicklist")


def convert(target: Field, value: Any) -> Any:
    """A mapped value as JSON for the field. Raises Rejected where it cannot be one."""
    if value is None:
        # A checkbox knows no blank.
        return False if target.type == "boolean" else None
    try:
        if target.type == "boolean":
            return _boolean(value)
        if target.type in _NUMBERS:
            number = amount(value)
            if number is None:
                raise ValueError(value)
            return json_number(number)
        if target.type == "date":
            return _date(value)
        if target.type == "datetime":
            return _datetime(value)
        if target.type == "multipicklist":
            return ";".join(str(v) for v in value) if isinstance(value, list | tuple | set) else str(value)
        return encodable(_text(value))
    except ValueError as error:
        raise Rejected(f"the value for {target.name} is no {target.type}", fields=[target.name]) from error


def _text(value: Any) -> str:
    if isinstance(value, list | tuple | set):
        return ", ".join(_text(v) for v in value)
    if isinstance(value, datetime):
        return _datetime(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        raise ValueError("a mapping is no field value")  # noqa: TRY004  it ends as Rejected
    return str(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("true", "1", "yes"):
        return True
    if word in ("false", "0", "no", ""):
        return False
    raise ValueError(word)


def _date(value: Any) -> str:
    return _instant(value).date().isoformat()


def _datetime(value: Any) -> str:
    at = _instant(value)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _instant(value: Any) -> datetime:
    # Salesforce's own "+0000" has no colon, which is read all the same.
    if (found := instant(value)) is None:
        raise ValueError(value)
    return found


def too_long(target: Field, value: Any) -> bool:
    """True for a text longer than the field."""
    return isinstance(value, str) and 0 < target.length < len(value) and target.type not in ("date", "datetime")


def can_cut(target: Field) -> bool:
    """True for a text that still means something when its end is missing."""
    return target.type not in _WHOLE and not target.external_id


def csv_cell(value: Any) -> str:
    """A JSON value as a cell of a Bulk API file: an empty cell is ignored, #N/A empties the field."""
    if value is None:
        return "#N/A"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def canonical(target: Field, value: Any) -> Any:
    """A value as this sync remembers and shows it, whether it was sent or read back.

    Salesforce gives back what it keeps: addresses in lower case, ids of 18 characters, lines ended by CR LF, times
    with "+0000", the values of a multi-select picklist in its own order.
    """
    if value in (None, ""):
        return None
    try:
        found = convert(target, value)
    except Rejected:
        return value
    if not isinstance(found, str):
        return found
    if target.type in ("reference", "id"):
        return full_id(found)
    if target.type == "email":
        return normalize_email(found)
    if target.type == "multipicklist":
        return ";".join(sorted(found.split(";")))
    return found.replace("\r\n", "\n").strip() or None


def canonical_items(items: Any) -> list[dict[str, str]]:
    """An order's items as they are remembered and compared: by SKU (by name without one), without regard to order."""
    found = []
    for item in items or ():
        named = str(item.get("sku") or item.get("name") or "").strip().casefold()
        numbers = {n: money(item.get(n)) or "0.00" for n in ("quantity", "price")}
        found.append({"item": named, **numbers})
    return sorted(found, key=lambda i: tuple(i.values()))


def same(target: Field, ours: Any, theirs: Any) -> bool:
    """True where two values say the same."""
    return bool(canonical(target, ours) == canonical(target, theirs))


_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def full_id(value: str) -> str:
    """A record id with 18 characters: the last three tell the case of the first fifteen."""
    if len(value) != 15 or not value.isalnum():
        return value
    parts = (value[start : start + 5] for start in (0, 5, 10))
    return value + "".join(_SUFFIX[sum(1 << n for n, c in enumerate(part) if c.isupper())] for part in parts)
