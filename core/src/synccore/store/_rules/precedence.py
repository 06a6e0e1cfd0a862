"""What came before what. A version says it of what overtakes each other; the word of a source that was asked just now
is its newest one, whatever version it bears: its clock may have been set back."""

from collections.abc import Collection
from datetime import timedelta

from ...entities import Customer
from ...types import Change
from .._convert import to_ms
from ..engine import Row
from ..rows import Ingest

__all__ = ["Precedence", "kept", "older"]

#: A shop that answers from a copy may lag so far behind what it told by itself.
LAG = timedelta(seconds=10) // timedelta(milliseconds=1)


def older(version: int | None, known: int | None) -> bool:
    """Whether a version says that it is the earlier one."""
    return version is not None and known is not None and version < known


def kept(change: Change, known: Row | None) -> int | None:
    """The version that a state is known under from now on. One that is believed though its version is older comes after
    what was known under that one: else whatever was sent before, and is sent again, would be newer than it."""
    last = None if known is None else known["version"]
    return int(last) + 1 if last is not None and older(change.version, last) else change.version


class Precedence:
    """Of what one unit brings, and what is known."""

    def __init__(self, unit: Ingest, now: int) -> None:
        self._now = now
        #: As of when what comes is true: of a listing or a fetch, when the source was asked.
        self.read_at = None if unit.read_at is None else to_ms(unit.read_at)
        self.known_at = now if self.read_at is None else self.read_at
        self.answered = {(hint.entity, hint.key) for hint in unit.answers if hint.op == "touch"}
        self._asked: Collection[tuple[str, str]] = self.answered | unit.asked

    def is_outdated(self, change: Change, known: Row) -> bool:
        """Whether what is known is newer than this state."""
        version, last = change.version, known["version"]
        if version is not None and last is not None and version != last:
            return older(version, last) and not self._is_newest_word(change, known)
        if (
            change.op != "delete"
            and self.read_at is None
            and known["deleted"]
            and version is not None
            and version == last
        ):
            # The last update, sent again after the deletion. A listing that shows the record once more is believed.
            return True
        return self._was_read_before(known)

    def asks_at(self, change: Change, known: Row) -> int | None:
        """When to ask for the record alone, where its version says that it is older and nothing else does.

        Not of a guest: that is what orders say of one, and most of them are older than the last.
        """
        guest = isinstance(change.data, Customer) and change.data.guest
        if guest or not older(change.version, known["version"]) or self._was_read_before(known):
            return None
        return max(self._now, self._settled_at(known))

    def _was_read_before(self, known: Row) -> bool:
        """Whether the source was asked before it told what is known. What it told at a time that is yet to come says
        nothing of that: the clock was set back since."""
        return self.read_at is not None and self.read_at < int(known["known_at"]) <= self._now

    def _is_newest_word(self, change: Change, known: Row) -> bool:
        """Whether the source said this when it was asked for that record alone, well after it told what is known."""
        asked = self.read_at is not None and (change.entity, change.key) in self._asked
        return asked and self._settled_at(known) <= self.known_at

    def _settled_at(self, known: Row) -> int:
        """From when on no answer is older than what is known."""
        taken = max(int(known["known_at"]), int(known["stored_at"]))
        return taken + LAG if taken <= self._now else 0  # the clock was set back since: nobody knows how long ago
