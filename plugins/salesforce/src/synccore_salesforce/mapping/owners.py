"""Companies that are named after their owner: the name is a person's, wherever the person has gone since."""

import hashlib
from collections.abc import Mapping
from typing import Any

from synccore.types import Link

from .defaults import NAME_FALLBACK

__all__ = ["left_behind", "mark_of", "named_after"]

#: Before the digest of a name, in `Link.made`: an account under that name that its owner left.
_LEFT = "left:"


def named_after(name: Any, values: Mapping[str, Any]) -> bool:
    """Whether a company's name holds the whole name of the person whose mapped `values` these are."""
    person = str(values.get(NAME_FALLBACK) or "").casefold().split()
    return bool(person) and set(person) <= set(str(name or "").casefold().replace(",", " ").split())


def mark_of(name: Any) -> str:
    """What a link remembers a left account by, without saying its name: who renames it makes it theirs."""
    return _LEFT + hashlib.sha256(str(name or "").strip().casefold().encode()).hexdigest()[:16]


def left_behind(link: Link) -> dict[str, str]:
    """The accounts named after the person that they left: mark -> record id."""
    return {name: i for name, i in link.made.items() if name.startswith(_LEFT)}
