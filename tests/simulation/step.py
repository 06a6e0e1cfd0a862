"""One step of a life, and its luck."""

from random import Random
from typing import TypeVar

from attrs import frozen

__all__ = ["Step", "one"]

_Thing = TypeVar("_Thing")


@frozen
class Step:
    """One thing that happens; `luck` decides its details."""

    name: str
    luck: int


def one(luck: Random, things: list[_Thing]) -> _Thing | None:
    """Any of them, where there are some."""
    return luck.choice(things) if things else None
