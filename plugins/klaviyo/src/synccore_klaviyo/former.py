"""Profiles that people left behind for another one, and such as they were about to have: nothing else leads there.

Whoever is to be gone from Klaviyo is to be gone from what they left as well, until somebody else has it. And who was
written to a profile without an answer, and goes elsewhere or leaves before the next try, is to be taken out of it.
"""

from collections.abc import Iterable

from synccore.types import Context, Operation

from .digest import digest

__all__ = ["Former"]

_LEFT, _GOING = "left:", "going:"


class Former:
    """Remembers them, by a digest of who had them."""

    def __init__(self, context: Context) -> None:
        self._state = context.state()

    def leave(self, operation: Operation) -> None:
        """The profile that it is linked to is left."""
        if (link := operation.link) is not None and link.shared <= 1:
            self._state.put({_LEFT + link.remote_id: {"whose": digest(operation.uid), "ours": link.ours}})

    def go(self, operation: Operation, remote_id: str) -> None:
        """It is about to be written to a profile that it is not linked to."""
        self._state.put({_GOING + remote_id: {"whose": digest(operation.uid)}})

    def strays(self, operations: Iterable[Operation]) -> dict[int, list[str]]:
        """Operation id -> profiles that it may have been written to; of those that have any."""
        going: dict[str, list[str]] = {}
        for name, one in self._state.scan(_GOING):
            going.setdefault(one["whose"], []).append(name.removeprefix(_GOING))
        return {op.id: going[whose] for op in operations if (whose := digest(op.uid)) in going} if going else {}

    def take(self, ids: Iterable[str]) -> None:
        """Somebody has these; or nobody ever again."""
        names = {kind + remote_id for remote_id in ids for kind in (_LEFT, _GOING)}
        known = {name for kind in (_LEFT, _GOING) for name, _ in self._state.scan(kind)} if names else set()
        if taken := known & names:
            self._state.put(dict.fromkeys(taken))

    def of(self, uids: Iterable[str], *, ours: bool = False) -> list[str]:
        """The profiles that these people left; `ours`: those that we had made."""
        people = {digest(uid) for uid in uids}
        found = [(name.removeprefix(_LEFT), one) for name, one in self._state.scan(_LEFT)]
        return [remote_id for remote_id, one in found if one["whose"] in people and (one["ours"] or not ours)]
