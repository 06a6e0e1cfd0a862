"""Values as Salesforce takes them, by the type describe gives the field."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from synccore.errors import Rejected

from ..schema import Field

__all__ = ["convert", "csv_cell", "same", "too_long"]

_NUMBERS = ("double", "currency", "percent", "int", "long")
#: Never cut: half an address reaches nobody, half a key finds nobody.
_WHOLE = ("email", "id", "reference", "picklist", "multipicklist")


def convert(target: Field, value: Any) -> Any:
    """A mapped value as JSON for the field. Raises Rejected where it cannot be one."""
    if value is None:
        return None
    try:
        if target.type == "boolean":
            return _boolean(value)
        if target.type in _NUMBERS:
            number = Decimal(str(value).strip())
            return int(number) if number == number.to_integral_value() else float(number)
        if target.type == "date":
            return _date(value)
        if target.type == "datetime":
            return _datetime(value)
        if target.type == "multipicklist":
            return ";".join(str(v) for v in value) if isinstance(value, list | tuple | set) else str(value)
        return _text(value)
    except (ValueError, InvalidOperation) as error:
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


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    else:
        # Salesforce's own "+0000" has no colon, which Python reads from 3.11 on.
        moment = datetime.fromisoformat(str(value).strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _date(value: Any) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return _moment(value).date().isoformat()


def _datetime(value: Any) -> str:
    return _moment(value).strftime("%Y-%m-%dT%H:%M:%S.") + f"{_moment(value).microsecond // 1000:03d}Z"


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


def same(target: Field | None, ours: Any, theirs: Any) -> bool:
    """True where a value we delivered and the value read back say the same."""
    if ours in (None, "") or theirs in (None, ""):
        return ours in (None, "") and theirs in (None, "")
    if target is None:
        return str(ours).casefold() == str(theirs).casefold()
    try:
        mine, found = convert(target, ours), convert(target, theirs)
    except Rejected:
        return False
    if target.type == "multipicklist":
        return set(str(mine).split(";")) == set(str(found).split(";"))
    if target.type == "email":
        return str(mine).lower() == str(found).lower()
    if target.type in ("reference", "id"):
        return str(mine)[:15] == str(found)[:15]
    return bool(mine == found)
