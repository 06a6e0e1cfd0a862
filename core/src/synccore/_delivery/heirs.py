"""What becomes of a record at the target whose place another one took that has its own there."""

from collections.abc import Sequence
from datetime import datetime

from ..store import Heir, Settlement, Store
from .namesakes import hold_back
from .settle import Settler
from .steps import Item

__all__ = ["SHARED", "Heirs"]

WAITS = "waits until the record that took its place, and what hung on it, is delivered"
SHARED = "the record that took its place is the same one at the target"


class Heirs:
    """An account that is at the target already gets the address of a guest who is there as well: one person, twice.

    The guest's record goes as a deletion would, but only after the account is delivered: a target that finds people by
    their address may make one record of both, and then nothing is to be taken away.
    """

    def __init__(self, store: Store, settler: Settler) -> None:
        self._store = store
        self._settler = settler

    def part(self, route: str, items: Sequence[Item], settlements: list[Settlement], now: datetime) -> list[Item]:
        """Those that may go; what becomes of the others is added to `settlements`."""
        gone = [item.work.delivery for item in items if item.work.gone]
        if not gone:
            return list(items)
        keys = [delivery.key for delivery in gone]
        heirs = self._store.heirs(route, gone[0].source, gone[0].entity, keys)
        going = []
        for item in items:
            heir = heirs.get(item.work.delivery.key) if item.work.gone else None
            if heir is not None and heir.owed:
                settlements.append(hold_back(self._settler, item, WAITS, now))
            elif _is_same(item, heir):
                settlements.append(self._settler.let_go(item.work, SHARED))
            else:
                going.append(item)
        return going


def _is_same(item: Item, heir: Heir | None) -> bool:
    link = item.work.link
    return link is not None and heir is not None and link.remote_id == heir.remote_id
