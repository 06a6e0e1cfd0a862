"""How fast something goes, and how long it will still take: from what was seen of it lately."""

import threading
from collections import deque
from datetime import datetime, timedelta

from .words import length

__all__ = ["Pace", "left_text", "pace_text"]

#: Looks further back say little of now.
LATELY = timedelta(minutes=5)
_MOST = 64


class Pace:
    """Counts of several things, each with its time. Safe from any thread."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[datetime, int]]] = {}
        self._lock = threading.Lock()

    def note(self, name: str, done: int, now: datetime) -> float | None:
        """So many are done by now; how many a second lately, None where that cannot be told yet."""
        with self._lock:
            looks = self._seen.setdefault(name, deque(maxlen=_MOST))
            if looks and (done < looks[-1][1] or now - looks[-1][0] > LATELY):
                looks.clear()  # begun anew, or not looked at for long
            while looks and now - looks[0][0] > LATELY:
                looks.popleft()
            if not looks or now > looks[-1][0]:
                looks.append((now, done))
            (first, before), (last, after) = looks[0], looks[-1]
        seconds = (last - first).total_seconds()
        return (after - before) / seconds if seconds >= 1 else None


def pace_text(rate: float | None) -> str:
    """ "35/s", "12/min"; nothing where it is not known."""
    if not rate:
        return ""
    return f"{rate:,.0f}/s" if rate >= 1 else f"{rate * 60:,.0f}/min" if rate * 60 >= 1 else "less than 1/min"


def left_text(rest: int | None, rate: float | None) -> str:
    """ "about 6 min left"; nothing where it is not known."""
    if rest is None or not rate or rest <= 0:
        return ""
    return f"about {length(max(round(rest / rate), 1))} left"
