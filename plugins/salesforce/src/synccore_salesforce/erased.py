"""Which records were erased for good, so that what was under way for them meanwhile makes nobody anew."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from synccore.errors import Rejected
from synccore.types import Clock, State

__all__ = ["Erasures", "Forgotten"]

#: In the sink's state, before the first 15 characters of a record's id: when it was erased.
_ERASED = "erased:"
#: By then `synccore forget` has long been run again, and with it all is gone that may ask.
_KEPT = timedelta(days=365)


class Forgotten(Rejected):
    """What was under way for a person who is being forgotten."""

    def __init__(self) -> None:
        super().__init__("the record was erased by synccore forget, and nothing makes it anew: run forget again")


class Erasures:
    """The records that `erase` took away."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def note(self, record_id: str) -> None:
        """Remember one; what is too old to be asked for goes."""
        now = self._clock.now()
        old = [name for name, at in self._state.scan(_ERASED) if now - datetime.fromisoformat(at) > _KEPT]
        self._state.put({**dict.fromkeys(old), _ERASED + record_id[:15]: now.isoformat()})

    def of(self, record_ids: Iterable[str]) -> set[str]:
        """Of these records those that were erased."""
        return {i for i in record_ids if self._state.get(_ERASED + i[:15]) is not None}
