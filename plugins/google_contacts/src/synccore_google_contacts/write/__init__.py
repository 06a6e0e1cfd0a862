"""Writing: what each operation needs (`plan`), sent as cheaply as Google counts (`send`), kept track of (`round`).

`look` answers what would be written, `erase` forgets a person.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from synccore.types import Operation, Outcome

from .erase import erased, erasing, find_person
from .look import lookup
from .plan import plan, prepare
from .round import LANE, Round
from .search import hold_back, search, sought, still, warm_up
from .send import send

__all__ = ["Round", "deliver", "erased", "erasing", "find_person", "lookup"]


def deliver(round_: Round) -> list[Outcome]:
    """Carry out the round's operations; one outcome for each, in their order."""
    late, left = sought(round_)
    hold_back(round_, left)
    prepare(round_)
    late = still(round_.index, late)
    if not late:
        _write(round_, round_.pending())
        return round_.finish()
    warm = warm_up(round_)
    # Meanwhile: nobody else waits for a search.
    _write(round_, [op for op in round_.pending() if op not in late])
    with _stopping(round_):
        if round_.stopped is None:
            search(round_, late, warm)
    _write(round_, late)
    return round_.finish()


def _write(round_: Round, operations: Sequence[Operation]) -> None:
    pending = list(operations)
    while pending and round_.stopped is None:
        pending = _wave(round_, pending)


@contextmanager
def _stopping(round_: Round) -> Iterator[None]:
    """What concerns the account ends the round; what was written before keeps its outcomes."""
    try:
        yield
    except LANE as error:
        round_.stop(error)


def _wave(round_: Round, pending: Sequence[Operation]) -> list[Operation]:
    """Plan and write as much as can go now; gives what is left."""
    deferred: list[Operation] = []
    with _stopping(round_):
        works, deferred = plan(round_, pending)
        send(round_, works)
        round_.settle_doubts()
    if round_.stopped is not None:
        return []
    round_.pause()
    left, round_.again = [*round_.again, *deferred], []
    return left
