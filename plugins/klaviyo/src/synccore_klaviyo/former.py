"""Profiles that people left behind for another one, and such as they were about to have: nothing else leads there.

Whoever is to be gone from Klaviyo is to be gone from what they left as well, until somebody else has it. And who was
written to a profile without an answer, and goes elsewhere or leaves before the next try, is to be taken out of it.
"""

import hashlib
from collections.abc import Iterable

from synccore.types import Context, Operation

__all__ = ["Former"]

_LEFT, _GOING = "left:", "going:"


class Former:
    """Remembers them, by a digest of who had them."""

    def __init__(self, context: Context) -> None:
        self._state = context.state()

    def leave(self, operation: Operation) -> None:
        """The profile that it is linked to is left."""
        if (link := operation.link) is not None and link.shared <= 1:
            self._state.put({_LEFT + link.remote_id: {"whose": _digest(operation.uid), "ours": link.ours}})

    def go(self, operation: Operation, remote_id: str) -> None:
        """It is about to be written to a profile that it is not linked to."""
        self._state.put({_GOING + remote_id: {"whose": _digest(operation.uid)}})

    def strays(self, operation: Operation) -> list[str]:
        """Profiles that it may have been written to."""
        whose = _digest(operation.uid)
        return [name.removeprefix(_GOING) for name, one in self._state.scan(_GOING) if one["whose"] == whose]

    def take(self, ids: Iterable[str]) -> None:
        """Somebody has these; or nobody ever again."""
        known = {name for kind in (_LEFT, _GOING) for name, _ in self._state.scan(kind)}
        if taken := known & {kind + remote_id for remote_id in ids for kind in (_LEFT, _GOING)}:
            self._state.put(dict.fromkeys(taken))

    def of(self, uids: Iterable[str], *, ours: bool = False) -> list[str]:
        """The profiles that these people left; `ours`: those that we had made."""
        people = {_digest(uid) for uid in uids}
        found = [(name.removeprefix(_LEFT), one) for name, one in self._state.scan(_LEFT)]
        return [remote_id for remote_id, one in found if one["whose"] in people and (one["ours"] or not ours)]


def _digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:24]
