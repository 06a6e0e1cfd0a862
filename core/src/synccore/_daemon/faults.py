"""Webhooks that a plugin's bug kept from being taken, as records that could not be read."""

from .._delivery.policy import where
from ..errors import SynccoreError
from ..types import Unreadable

__all__ = ["not_taken"]


def not_taken(error: Exception) -> Unreadable:
    """A webhook met a bug, once per place of it. A bug's own words may quote the body, a SynccoreError's do not."""
    why = error.message if isinstance(error, SynccoreError) else type(error).__name__
    place, reason = where(error).rpartition("/")[2], f"the plugin failed on it: {why}"
    return Unreadable(where=f"one at {place}", reason=reason, entity="webhook")
