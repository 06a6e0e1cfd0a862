"""What is between a shop and the process: deliveries are lost, late, twice, answered or not."""

from collections.abc import Callable, Mapping
from random import Random

from synccore.types import WebhookRequest

__all__ = ["HOOK", "Network"]

HOOK = "https://hooks.shop.test"


class Network:
    """Hands deliveries on. `receive`: lets the process take one, and gives its answer."""

    def __init__(self, luck: Random, receive: Callable[[WebhookRequest], int]) -> None:
        self._luck = luck
        self._receive = receive
        self._losing = 0.0
        #: Nothing is ever lost.
        self.sure = False
        #: Whether every webhook came at once.
        self.heard_all = True
        self._late: list[WebhookRequest] = []
        #: All that came once.
        self.known: list[WebhookRequest] = []
        #: Where deliveries are put instead of being made.
        self.withheld: list[WebhookRequest] | None = None

    def arrive(self, url: str, body: bytes, headers: Mapping[str, str]) -> int | None:
        """A delivery of the shop's."""
        if body.startswith(b"webhook_id="):
            return 200  # a ping, while the process waits for the webhook to be made
        request = WebhookRequest(
            method="POST", path=url.removeprefix(HOOK), headers={k.lower(): v for k, v in headers.items()}, body=body
        )
        if self.withheld is not None:
            self.withheld.append(request)
            return 200
        fate = self._luck.random()
        if fate < self._losing:
            return None
        self.known.append(request)
        if fate < self._losing * 1.5:
            self._late.append(request)
            return 200  # a proxy took it and hands it on later
        answer = self._receive(request)
        if fate > 1 - self._losing / 2:
            self._receive(request)
            return None  # it came, and came again; the answer did not
        return answer

    def lose(self, share: float) -> None:
        """From now on so many are lost."""
        if self.sure:
            return
        self._losing = share
        self.heard_all = self.heard_all and not share

    def replay(self, luck: Random) -> None:
        """One that is late comes now, or any that came before once more."""
        if waiting := self._late or self.known:
            request = luck.choice(waiting)
            if request in self._late:
                self._late.remove(request)
            self._receive(request)

    def rest(self) -> None:
        """Everything gets through, and what is late comes now."""
        self._losing = 0.0
        late, self._late = self._late, []
        for request in late:
            self._receive(request)
