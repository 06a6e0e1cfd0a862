"""From mapped values to what is owed, and what of it differs from what was asked for before."""

from collections.abc import Collection, Mapping
from typing import Any

from ..types import FieldOptions, Link
from .values import canonical, digest

__all__ = ["changed_fields", "digest", "shape"]


def shape(fields: Mapping[str, Any], options: Mapping[str, FieldOptions], link: Link | None = None) -> dict[str, Any]:
    """The fields to deliver: a blank one is left out, or None where it is to be emptied.

    A blank value is a change like any other where we wrote the field before. Where an owner's own value was kept or
    ours was left out, we did not.
    """
    shaped: dict[str, Any] = {}
    for name, value in fields.items():
        if value is not None and value != "":
            shaped[name] = value
            continue
        clear = options[name].clear if name in options else None
        if clear is None:
            clear = link is not None and name in link.mapped and name not in link.left_out
        if clear:
            shaped[name] = None
    return shaped


def changed_fields(new: Mapping[str, Any], old: Mapping[str, Any], keep: Collection[str] = ()) -> frozenset[str]:
    """Names whose value differs, among them those that were there and are gone, but for those in `keep`."""
    gone = old.keys() - new.keys() - set(keep)
    differing = {n for n, v in new.items() if n not in old or _differs(v, old[n])}
    return frozenset(differing | gone)


def _differs(new: Any, old: Any) -> bool:
    if isinstance(new, str) and isinstance(old, str):
        return new != old  # most values by far: no need for a comparable text
    return canonical({"": new}) != canonical({"": old})
