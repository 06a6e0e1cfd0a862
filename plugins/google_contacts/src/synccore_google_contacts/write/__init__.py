"""Writing: what each operation needs (`plan`), sent as cheaply as Google counts (`send`)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attrs import frozen

from synccore.types import Operation, Outcome

from ..match.look import prepare, settle_doubts
from ..match.search import hold_back, search, sought, still, warm_up
from ..round import LANE, Round, Rounds
from .plan import plan
from .send import send

__all__ = ["Writer"]


@frozen
class Writer:
    """Creates, updates, labels and deletes contacts."""

    rounds: Rounds

    def deliver(self, operations: Sequence[Operation]) -> list[Outcome]:
        """One outcome for each operation, in their order."""
        with self.rounds.begin(operations) as round_:
            late, left = sought(round_, round_.operations)
            hold_back(round_, left)
            prepare(round_)
            late, pending = still(round_.index, late), round_.pending()
            while pending and round_.stopped is None:
                pending, late = _wave(round_, pending, late), []
            return round_.finish()


@contextmanager
def _stopping(round_: Round) -> Iterator[None]:
    """What concerns the account ends the round; what was written before keeps its outcomes."""
    try:
        yield
    except LANE as error:
        round_.stop(error)


def _wave(round_: Round, pending: Sequence[Operation], late: Sequence[Operation]) -> list[Operation]:
    """Plan and write as much as can go now, search for `late`; gives what is left."""
    deferred: list[Operation] = []
    with _stopping(round_):
        # Whose contact turned out to be gone since: what became of it may be hidden from the listing, too.
        gone, left = sought(round_, pending)
        hold_back(round_, left)
        late = [*late, *gone]
        warm = warm_up(round_) if late else None
        # Meanwhile: nobody else waits for a search.
        now = [op for op in pending if op not in late and op.id not in round_.outcomes]
        settle_doubts(round_, now)
        works, deferred = plan(round_, now)
        send(round_, works)
        if warm is not None and round_.stopped is None:
            search(round_, late, warm)
    if round_.stopped is not None:
        return []
    round_.pause()
    left, round_.again = [*late, *round_.again, *deferred], []
    return left
