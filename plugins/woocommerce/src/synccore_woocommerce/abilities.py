"""What this shop has: subscriptions and memberships come with plugins that may be missing."""

from datetime import datetime, timedelta

from synccore.types import Clock

from .client import Client
from .errors import NoRoute

__all__ = ["Abilities"]

_PROBES = {
    "subscription": "wc/v3/subscriptions",
    "membership": "wc/v3/memberships/plans",
    "payment": "wc/v3/subscriptions",
}
#: A plugin may be installed or switched off any time.
_BELIEVED = timedelta(minutes=10)


class Abilities:
    """Answers `known`, asking the shop at most every ten minutes."""

    def __init__(self, shop: Client, clock: Clock) -> None:
        self._shop = shop
        self._clock = clock
        self._answers: dict[str, tuple[datetime, bool]] = {}

    def known(self, entity: str) -> bool:
        """Whether the shop has that entity at all. Raises as `Client.get`."""
        path = _PROBES.get(entity)
        if path is None:
            return entity in ("customer", "order")
        now = self._clock.now()
        told = self._answers.get(path)
        if told is None or now - told[0] > _BELIEVED:
            try:
                self._shop.count(path)
                told = (now, True)
            except NoRoute:
                told = (now, False)
            self._answers[path] = told
        return told[1]

    def forget(self) -> None:
        """Ask again next time."""
        self._answers.clear()
