"""The shop's dates: UTC without a suffix where the shop gives that (`..._gmt`), else its own time."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from synccore.values import instant

__all__ = ["date_of", "moment", "zone_name", "zone_of"]


def moment(value: Any, zone: tzinfo | None = None) -> datetime | None:
    """A date in UTC; one without an offset is meant in `zone` (None: in UTC). None where it is unset or unreadable."""
    return instant(value, zone or UTC) if isinstance(value, str) else None


def date_of(record: Mapping[str, Any], name: str, zone: tzinfo | None = None) -> datetime | None:
    """A record's date from its `..._gmt` twin, or, where a shop gives none, from the local one."""
    return moment(record.get(f"{name}_gmt")) or moment(record.get(name), zone)


def zone_name(index: Mapping[str, Any]) -> str:
    """The shop's time zone by what its index says: an IANA name, or a fixed offset ("+05:30")."""
    named = str(index.get("timezone_string") or "")
    if named and zone_of(named) is not None:
        return named
    try:
        minutes = round(float(index.get("gmt_offset") or 0) * 60)
    except (TypeError, ValueError, OverflowError):
        minutes = 0
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def zone_of(name: str | None) -> tzinfo | None:
    """What `zone_name` gave, to reckon with; None for what is no time zone."""
    if not name:
        return None
    if name[0] in "+-":
        try:
            hours, _, minutes = name[1:].partition(":")
            ahead = timedelta(hours=int(hours), minutes=int(minutes or 0))
            return timezone(-ahead if name[0] == "-" else ahead)
        except (ValueError, OverflowError):
            return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
