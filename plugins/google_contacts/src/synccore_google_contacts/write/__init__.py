"""Writing: what each operation needs (`plan`), sent as cheaply as Google counts (`send`), kept track of (`round`).

`look` answers what would be written, `erase` forgets a person.
"""

from collections.abc import Sequence

from synccore.types import Operation, Outcome

from .erase import erased, erasing, find_person
from .look import lookup
from .plan import plan, prepare
from .round import LANE, Round
from .send import send

__all__ = ["Round", "deliver", "erased", "erasing", "find_person", "lookup"]


def deliver(round_: Round) -> list[Outcome]:
    """Carry out the round's operations; one outcome for each, in their order."""
    prepare(round_)
    pending = list(round_.operations)
    while pending and round_.stopped is None:
        pending = _wave(round_, pending)
    return round_.finish()


def _wave(round_: Round, pending: Sequence[Operation]) -> list[Operation]:
    """Plan and write as much as can go now; gives what is left."""
    try:
        works, deferred = plan(round_, pending)
        send(round_, works)
        round_.settle_doubts()
    except LANE as error:
        round_.stop(error)
        return []
    round_.pause()
    left, round_.again = [*round_.again, *deferred], []
    return left
