"""New records of people whose former record is going: deleted in the shop, and not yet at the target."""

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


class Namesakes:
    """Holds a first delivery back while the deletion of a record with the same address is open.

    Who is deleted and registers again comes under a new number, often before the word of the deletion. Written first,
    they would not find what the former record leaves behind, and stand there twice. A parked deletion holds up nobody.
    """

    def __init__(self, store: Store, settler: Settler) -> None:
        self._store = store
        self._settler = settler

    def part(self, route: str, items: Sequence[Item], settlements: list[Settlement], now: datetime) -> list[Item]:
        """Those that may go; what becomes of the others is added to `settlements`."""
        first = [item for item in items if _is_first(item)]
        if not first:
            return list(items)
        delivery = first[0].work.delivery
        keys = [item.work.delivery.key for item in first]
        behind = self._store.behind_namesakes(route, delivery.source, delivery.entity, keys)
        waiting = [item for item in first if item.work.delivery.key in behind]
        for item in waiting:
            wait = min(max((now - item.work.delivery.first_change_at) / 4, SOONEST), LATEST)
            reason = RateLimited(WAITS, retry_after=wait, scope="operation")
            settlements.append(self._settler.failed(item.work, reason, Snooze(now + wait), None))
        held = {id(item) for item in waiting}
        return [item for item in items if id(item) not in held]


def _is_first(item: Item) -> bool:
    link = item.work.link
    return item.operation.op == "upsert" and (link is None or not link.mapped)
