"""Creates that were sent and whose answer is not known, by the marker that their contacts are to bear; and contacts
that were there before, and are about to get one.

They live in the account's durable state, as `intent:UID` and `aim:UID`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from synccore.types import Clock, State

from .client import LONGEST_LAG
from .known import age_of

#: A request that was cut off may still be carried out for so long.
SHORTEST_LAG = timedelta(seconds=30)


class Intents:
    """Use it only while holding the account's lock."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def note(self, uids: Iterable[str]) -> None:
        """Before it is sent: a contact with this marker may come into being."""
        now = self._clock.now().isoformat()
        self._state.put({f"intent:{uid}": {"at": now} for uid in uids})

    def doubt(self, uids: Iterable[str]) -> None:
        """Google refused the batch and very likely made none of it: a short look is enough."""
        now = self._clock.now().isoformat()
        self._state.put({f"intent:{uid}": {"at": now, "refused": True} for uid in uids})

    def withdraw(self, uids: Iterable[str]) -> None:
        """Google said for certain that it made none of these."""
        self._state.put({f"intent:{uid}": None for uid in uids})

    def aim(self, names: Mapping[str, str]) -> None:
        """Before it is sent: these (uid -> name) are to be the records', which nothing tells yet."""
        self._state.put({f"aim:{uid}": name for uid, name in names.items()})

    def aimed_at(self, uids: Iterable[str]) -> set[str]:
        """The contacts on which something was to be written for these, where no answer came."""
        return {str(name) for name in self._state.get_all(f"aim:{uid}" for uid in uids).values()}

    def open(self, uid: str) -> bool:
        """Whether a create of this marker was sent whose answer is not known."""
        return self._get(uid) is not None

    def left(self, uid: str) -> tuple[timedelta, timedelta] | None:
        """How long ago such a create was sent, and how long it may still take to show up; None where none was."""
        record = self._get(uid)
        if record is None:
            return None
        age = age_of(self._state, f"intent:{uid}", record, self._clock.now())
        patience = SHORTEST_LAG if record.get("refused") else self._patience()
        return age, patience - age

    def _get(self, uid: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self._state.get(f"intent:{uid}")
        return found

    def _patience(self) -> timedelta:
        """How long a create may stay invisible before it counts as not carried out.

        Ten minutes, unless the account's own listing was just seen to be faster: then three times what it took for
        our last write to show up, and at least half a minute for a request that was cut off on its way.
        """
        lag = self._state.get("lag")
        if lag is None or self._clock.now() - datetime.fromisoformat(lag["at"]) > timedelta(hours=1):
            return LONGEST_LAG
        return min(max(timedelta(seconds=3 * lag["seconds"]), SHORTEST_LAG), LONGEST_LAG)
