"""Settings as they are written in synccore.toml."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..config import Schedule, format_duration
from ..secrets import Secret

__all__ = ["shown", "toml"]


def toml(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return json.dumps(format_duration(value))
    if isinstance(value, Schedule):
        return json.dumps(value.text, ensure_ascii=False)
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }" if value else "{}"
    return json.dumps(str(value), ensure_ascii=False)


def shown(value: Any) -> str:
    """A default for people; empty where nothing is set."""
    if value is None or value in ((), [], {}):
        return ""
    return "****" if isinstance(value, Secret) else toml(value)
