"""Live changes of records of which a first listing does not know all yet."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from ..errors import RateLimited
from ..store import Settlement, Store
from ..types import Delivered, Failed
from .calls import Caller
from .policy import Snooze
from .settle import Settler
from .steps import Item

__all__ = ["Unlisted"]

#: Between two looks at a record that waits: a quarter of the time it has waited so far, within these.
SOONEST, LATEST = timedelta(seconds=2), timedelta(minutes=2)
WAITS = "waits until all that belongs to it is listed for the first time"


class Unlisted:
    """Holds them back, so that a member is not first written as none; what must not wait goes at once (`overtake`).

    A record that was delivered before goes on, and so does one made since the listing began: the source tells what
    belongs to it as it comes.

    Args:
        held_since: route -> since when what its records include is listed; None where that is done.
    """

    def __init__(
        self, call: Caller, store: Store, settler: Settler, held_since: Callable[[str], datetime | None]
    ) -> None:
        self._call = call
        self._store = store
        self._settler = settler
        self._held_since = held_since
        #: Delivery -> the change of it that was handed to `overtake`.
        self._handed: dict[int, datetime] = {}

    def part(self, route: str, items: Sequence[Item], settlements: list[Settlement], now: datetime) -> list[Item]:
        """Those that may go; what becomes of the others is added to `settlements`."""
        since = self._held_since(route)
        if since is None:
            return list(items)
        waiting = [item for item in items if _waits(item, since)]
        if not waiting:
            return list(items)
        failed = self._overtake(waiting)
        for item in waiting:
            delivery = item.work.delivery
            age = now - delivery.first_change_at
            wait = SOONEST if delivery.id in failed else min(max(age / 4, SOONEST), LATEST)
            reason = RateLimited(WAITS, retry_after=wait, scope="operation")
            settlements.append(self._settler.failed(item.work, reason, Snooze(now + wait), None))
        held = {id(item) for item in waiting}
        return [item for item in items if id(item) not in held]

    def _overtake(self, items: Sequence[Item]) -> set[int]:
        """Hand over, once, what differs from the state known before; the deliveries it failed for."""
        news = [
            item
            for item in items
            if item.operation.before is not None
            and self._handed.get(item.work.delivery.id) != item.work.delivery.last_change_at
        ]
        if not news or not self._call.can("overtake"):
            return set()
        answers = self._call.overtake([item.operation for item in news])
        done = [(i.work, a.note or "") for i, a in zip(news, answers, strict=True) if isinstance(a, Delivered)]
        self._store.overtaken([], [self._settler.overtook(work, note) for work, note in done])
        failed = {i.work.delivery.id for i, a in zip(news, answers, strict=True) if isinstance(a, Failed)}
        for item in news:
            if item.work.delivery.id not in failed:
                self._handed[item.work.delivery.id] = item.work.delivery.last_change_at
        return failed


def _waits(item: Item, since: datetime) -> bool:
    work = item.work
    known = work.link is not None and bool(work.link.mapped)
    if item.operation.op != "upsert" or work.delivery.bulk or known or work.snapshot is None:
        return False
    made = work.snapshot.data.created_at
    return made is None or made < since
