"""What the file says before its settings are read."""

import os
import tomllib
from collections.abc import Mapping
from typing import Any

__all__ = ["database_in", "peek", "table"]


def peek(text: str) -> Mapping[str, Any]:
    """The file as it is; its mistakes are reported by the settings, not here."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}


def table(file: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table of it; empty where there is none."""
    found = file.get(name)
    return found if isinstance(found, dict) else {}


def database_in(file: Mapping[str, Any]) -> str:
    """The database it names, or the default."""
    value = table(file, "synccore").get("database")
    return os.path.expanduser(value) if isinstance(value, str) and value else "synccore.db"  # noqa: PTH111  also an URL
