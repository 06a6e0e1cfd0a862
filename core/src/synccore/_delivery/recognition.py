"""Whether a lane's target is still the account its links belong to."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from .._set_back import lately
from ..errors import SynccoreError, Transient
from .policy import CONFIG_RECHECK, PauseLane, Retry, Snooze, Tried, decide, describe_bug
from .steps import Closing

__all__ = ["Recognition"]

#: Credentials are exchanged, and a sandbox is made anew, while a process runs: what was seen holds no longer than this.
EVERY = timedelta(minutes=15)


class Recognition:
    """Asked before a process's first work, after every pause, and now and then as long as there is work.

    Args:
        another_account: why nothing may be written, None where all is well; may raise what the sink raises.
        look_within: how long at most until a target that is away is looked for again.
    """

    def __init__(
        self, another_account: Callable[[], str | None], look_within: timedelta, random_: random.Random
    ) -> None:
        self._another_account = another_account
        self._look_within = look_within
        self._random = random_
        self._seen: datetime | None = None

    def forget(self) -> None:
        """It may be another one by now."""
        self._seen = None

    def fresh(self, now: datetime) -> bool:
        """Whether it was seen so lately that nobody has to ask."""
        return self._seen is not None and lately(self._seen, now, EVERY)

    def ask(self, now: datetime, failures: int) -> Closing | None:
        """Ask; the pause the lane has to make, if any. Nothing is written before it is known to whom."""
        try:
            another = self._another_account()
        except Exception as error:  # noqa: BLE001  the policy decides
            pause = self._unknown(error, now, failures)
            # Where it cannot say, the delivery itself will.
            return None if pause is None else Closing(pause, isinstance(error, Transient))
        if another is not None:
            return Closing(PauseLane(None, "error", another), outage=False)
        self._seen = now
        return None

    def _unknown(self, error: Exception, now: datetime, failures: int) -> PauseLane | None:
        if not isinstance(error, SynccoreError):
            return PauseLane(now + CONFIG_RECHECK, "error", f"who it reaches cannot be told: {describe_bug(error)}")
        match decide(error, Tried(lane_failures=failures, look_within=self._look_within), now, self._random):
            case PauseLane() as decision:
                return decision
            case Snooze(until) | Retry(until):
                return PauseLane(until, "ok", error.message)
        return None
