"""Whether a value that was delivered and one read back mean the same."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ...values import amount, moment

__all__ = ["differing", "same"]


def differing(delivered: Mapping[str, Any], remote: Mapping[str, Any]) -> list[str]:
    """The names of `delivered` whose value differs at the target, sorted."""
    return sorted(n for n, value in delivered.items() if not same(value, remote.get(n)))


def same(mine: Any, theirs: Any) -> bool:
    """Equal, or equal once both are written the way vendors write them: "12.50" is 12.5, "" is nothing."""
    if mine == theirs:
        return True
    if _empty(mine) or _empty(theirs):
        return _empty(mine) and _empty(theirs)
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        return all(same(mine.get(k), theirs.get(k)) for k in mine.keys() | theirs.keys())
    if isinstance(mine, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(mine) == len(theirs) and all(same(a, b) for a, b in zip(mine, theirs, strict=True))
    if isinstance(mine, bool) or isinstance(theirs, bool):
        return str(mine).lower() == str(theirs).lower()
    return _numbers(mine, theirs) or _times(mine, theirs) or _text(mine) == _text(theirs)


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, (list, tuple, Mapping)) and not value)


def _text(value: Any) -> str:
    return str(value).strip()


def _numbers(mine: Any, theirs: Any) -> bool:
    """Only where one side is a number: two texts of digits may be a postcode and keep their zeros."""
    if not any(isinstance(v, (int, float, Decimal)) for v in (mine, theirs)):
        return False
    number = amount(mine)
    return number is not None and number == amount(theirs)


def _times(mine: Any, theirs: Any) -> bool:
    if not any(isinstance(v, date) for v in (mine, theirs)):
        return False
    first, second = moment(mine), moment(theirs)
    if first is None or second is None:
        return False
    if isinstance(first, datetime) and isinstance(second, datetime):
        # Vendors keep whole seconds or milliseconds.
        return abs((first - second).total_seconds()) < 1
    return first == second
