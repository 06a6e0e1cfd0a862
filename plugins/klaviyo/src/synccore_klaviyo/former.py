"""Profiles that people left behind for another one: known as theirs until somebody else has them.

Whoever is to be gone from Klaviyo is to be gone from these as well, and nothing else leads there.
"""

import hashlib
from collections.abc import Iterable

from synccore.types import Context, Operation

__all__ = ["Former"]

_LEFT = "left:"


class Former:
    """Remembers them, by a digest of who had them."""

    def __init__(self, context: Context) -> None:
        self._state = context.state()

    def leave(self, operation: Operation) -> None:
        """The profile that it is linked to is left."""
        if (link := operation.link) is not None and link.shared <= 1:
            self._state.put({_LEFT + link.remote_id: {"whose": _digest(operation.uid), "ours": link.ours}})

    def take(self, ids: Iterable[str]) -> None:
        """Somebody has these; or nobody ever again."""
        known = {name for name, _ in self._state.scan(_LEFT)}
        if taken := known & {_LEFT + remote_id for remote_id in ids}:
            self._state.put(dict.fromkeys(taken))

    def of(self, uids: Iterable[str], *, ours: bool = False) -> list[str]:
        """The profiles that these people left; `ours`: those that we had made."""
        people = {_digest(uid) for uid in uids}
        found = [(name.removeprefix(_LEFT), one) for name, one in self._state.scan(_LEFT)]
        return [remote_id for remote_id, one in found if one["whose"] in people and (one["ours"] or not ours)]


def _digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:24]
