"""From mapped values to what is owed, and what of it differs from what was delivered."""

from collections.abc import Mapping
from typing import Any

from ..types import FieldOptions
from .values import canonical, digest

__all__ = ["changed_fields", "digest", "shape"]


def shape(fields: Mapping[str, Any], options: Mapping[str, FieldOptions]) -> dict[str, Any]:
    """The fields to deliver: None and "" are left out, or arrive as None where the field has `clear`."""
    shaped: dict[str, Any] = {}
    for name, value in fields.items():
        if value is not None and value != "":
            shaped[name] = value
        elif name in options and options[name].clear:
            shaped[name] = None
    return shaped


def changed_fields(new: Mapping[str, Any], old: Mapping[str, Any]) -> frozenset[str]:
    """Names whose value differs, among them those that were there and are gone."""
    gone = old.keys() - new.keys()
    differing = {n for n, v in new.items() if n not in old or _differs(v, old[n])}
    return frozenset(differing | gone)


def _differs(new: Any, old: Any) -> bool:
    if isinstance(new, str) and isinstance(old, str):
        return new != old  # most values by far: no need for a comparable text
    return canonical({"": new}) != canonical({"": old})
