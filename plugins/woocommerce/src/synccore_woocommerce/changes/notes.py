"""The instance's state as a page of records needs it: read at once, written at once."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from synccore.types import State

__all__ = ["Notes"]


class _Page(threading.local):
    """What the page that this thread reads has met: None where it reads none."""

    known: dict[str, Any] | None = None
    new: dict[str, Any]


class Notes:
    """A `State`. Within `page` what is known is read once, and what is put is written when the page ends."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._page = _Page()

    @contextmanager
    def page(self, names: Iterable[str]) -> Iterator[None]:
        """Read these at once; a page within a page is part of it. What was put is lost where the block raises: the
        page is read again."""
        page = self._page
        if page.known is not None:
            yield
            return
        wanted = list(dict.fromkeys(names))
        page.known, page.new = dict.fromkeys(wanted) | dict(self._state.get_all(wanted)), {}
        try:
            yield
            if page.new:
                self._state.put(page.new)
        finally:
            page.known = None

    def get(self, key: str) -> Any:
        """The value, or None."""
        known = self._page.known
        if known is None:
            return self._state.get(key)
        if key not in known:
            known[key] = self._state.get(key)
        return known[key]

    def get_all(self, keys: Iterable[str]) -> Mapping[str, Any]:
        """The values of several keys; those without one are left out."""
        return {key: value for key in keys if (value := self.get(key)) is not None}

    def put(self, items: Mapping[str, Any]) -> None:
        """Store all items; None deletes."""
        if self._page.known is None:
            self._state.put(items)
            return
        self._page.known.update(items)
        self._page.new.update(items)

    def change(self, key: str, now: datetime, make: Callable[[Any, datetime], Any]) -> Any:
        """Replace a value by what `make` gives for it. Not within a page."""
        return self._state.change(key, now, make)

    def scan(self, prefix: str = "") -> Iterable[tuple[str, Any]]:
        """All items below `prefix` as they were when the page began, by key."""
        return self._state.scan(prefix)

    def clear(self, prefix: str = "") -> None:
        """Delete all items below `prefix`. Not within a page."""
        self._state.clear(prefix)
