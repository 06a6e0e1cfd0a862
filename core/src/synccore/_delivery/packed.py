"""Long sequences in little memory."""

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar, overload

__all__ = ["PART", "Packed", "in_parts"]

T = TypeVar("T")

#: What is unpacked, mapped and settled at once: a transaction of this many rows keeps no other writer waiting for long.
PART = 250


class Packed(Sequence[T], Generic[T]):
    """Keeps what is added packed, all but the last part of it. Each look gives equal values, not the same objects.

    Ten thousand records on their way into a vendor's job are some 80 MB as objects, and packed a few.
    """

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._parts: list[bytes] = []
        self._last: list[T] = []
        #: The part that was looked into last, and its number.
        self._seen: tuple[int, list[T]] = (-1, [])
        self.extend(items)

    def extend(self, items: Iterable[T]) -> None:
        """Add to the end."""
        left = iter(items)
        while part := list(islice(left, PART - len(self._last) or PART)):
            if len(self._last) == PART:
                self._parts.append(zlib.compress(pickle.dumps(self._last, pickle.HIGHEST_PROTOCOL), 1))
                self._last = []
            self._last += part

    def _part(self, number: int) -> list[T]:
        if number == len(self._parts):
            return self._last
        if self._seen[0] != number:
            found = pickle.loads(zlib.decompress(self._parts[number]))  # noqa: S301  our own, from this very object
            self._seen = number, found
        return self._seen[1]

    def __len__(self) -> int:
        return len(self._parts) * PART + len(self._last)

    def __iter__(self) -> Iterator[T]:
        for number in range(len(self._parts) + 1):
            yield from self._part(number)

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> list[T]: ...

    def __getitem__(self, at: int | slice) -> T | list[T]:
        places = range(len(self))[at]
        if isinstance(places, range):
            return [self[place] for place in places]
        return self._part(places // PART)[places % PART]


def in_parts(items: Iterable[T]) -> Iterator[list[T]]:
    """Lists of at most so many, one at a time."""
    left = iter(items)
    while part := list(islice(left, PART)):
        yield part
