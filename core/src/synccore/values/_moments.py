"""Times and days, as texts and from texts."""

from datetime import UTC, date, datetime, tzinfo
from typing import Any


def moment(value: Any, zone: tzinfo = UTC) -> datetime | date | None:
    """A time in its own zone (in `zone` where it names none) or a day, also from ISO 8601 text; None for neither."""
    if isinstance(value, str):
        value = _read(value.strip())
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=zone)
    return value if isinstance(value, date) else None


def _read(text: str) -> date | None:
    for kind in (date, datetime):
        try:
            return kind.fromisoformat(text)
        except ValueError:
            continue
    return None


def instant(value: Any, zone: tzinfo = UTC) -> datetime | None:
    """As `moment`, but always a time in UTC: a day begins at midnight of `zone`."""
    found = moment(value, zone)
    if found is not None and not isinstance(found, datetime):
        found = datetime(found.year, found.month, found.day, tzinfo=zone)
    try:
        return found and found.astimezone(UTC)
    except OverflowError:
        return None


def day(value: Any) -> date | None:
    """As `moment`, but always a day: that of a time in UTC."""
    found = instant(value)
    return found and found.date()


def timestamp(value: datetime | None) -> str | None:
    """A time as every JSON document of synccore has it: "2024-05-31T14:05:00Z"."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
