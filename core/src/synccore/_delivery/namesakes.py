"""What is not sent yet for another record's sake: who comes after one that is going, who goes before their facts."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..errors import RateLimited
from ..store import Settlement, Store
from .policy import Snooze
from .settle import Settler
from .steps import Item

__all__ = ["Namesakes"]

#: Between two looks at a record that waits: a quarter of the time it has waited so far, within these.
SOONEST, LATEST = timedelta(seconds=1), timedelta(minutes=1)
WAITS = "waits until what became of the record that had this address before is known and delivered"
UNTOLD = "waits until the facts of this record that came before are told"


class Namesakes:
    """Holds back what would undo, or be undone by, what is owed beside it. What is parked holds up nobody.

    A first delivery waits while the deletion of a record with the same address is open: who is deleted and registers
    again comes under a new number, often before the word of the deletion. Written first, they would not find what the
    former record leaves behind, and stand there twice. A deletion waits while facts of that record are: told after it,
    they would make the person anew at a target that makes people of facts.
    """

    def __init__(self, store: Store, settler: Settler) -> None:
        self._store = store
        self._settler = settler

    def part(self, route: str, items: Sequence[Item], settlements: list[Settlement], now: datetime) -> list[Item]:
        """Those that may go; what becomes of the others is added to `settlements`."""
        waiting: dict[int, str] = {}
        if first := [item for item in items if _is_first(item)]:
            one = first[0].work.delivery
            behind = self._store.behind_namesakes(route, one.source, one.entity, _keys(first))
            waiting |= {id(item): WAITS for item in first if item.work.delivery.key in behind}
        if going := [item for item in items if item.operation.op == "delete"]:
            one = going[0].work.delivery
            untold = self._store.untold(one.sink, one.source, one.entity, _keys(going))
            waiting |= {id(item): UNTOLD for item in going if item.work.delivery.key in untold}
        for item in items:
            if (why := waiting.get(id(item))) is not None:
                wait = min(max((now - item.work.delivery.first_change_at) / 4, SOONEST), LATEST)
                reason = RateLimited(why, retry_after=wait, scope="operation")
                settlements.append(self._settler.failed(item.work, reason, Snooze(now + wait), None))
        return [item for item in items if id(item) not in waiting]


def _keys(items: Sequence[Item]) -> list[str]:
    return [item.work.delivery.key for item in items]


def _is_first(item: Item) -> bool:
    link = item.work.link
    return item.operation.op == "upsert" and (link is None or not link.mapped)
