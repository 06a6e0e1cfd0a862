"""A JSON document as the terminal prints it and the dashboard hands it out."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from ...values import timestamp

__all__ = ["json_text"]


def json_text(document: Any, *, line: bool = False) -> str:
    """The document; `line` for a stream of them, one a line."""
    return json.dumps(document, ensure_ascii=False, indent=None if line else 2, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, tuple):
        return list(value)
    return str(value)
