"""The stand-in's quotas, kept in every minute and every day wherever it begins, and Google's hidden one."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from .rules import Refused

#: As seen in two public repositories; the console shows the real ones. `full_sync` is the extra quota of the first
#: page of a full listing, whose size Google does not tell.
DEFAULTS = {
    "critical_read": 60, "critical_write": 30, "write": 30, "group_read": 90, "full_sync": 6, "daily": 100_000,
}  # fmt: skip
METRICS = {
    "critical_read": ("critical_read_requests", "CriticalReadsPerMinutePerProjectPerUser"),
    "critical_write": ("critical_write_requests", "CriticalWritesPerMinutePerProjectPerUser"),
    "write": ("write_requests", "WritesPerMinutePerProjectPerUser"),
    "group_read": ("contact_group_read_requests", "ContactGroupReadsPerMinutePerProjectPerUser"),
    "full_sync": ("connections_sync_requests", "FullSyncRequestsPerMinutePerUser"),
    "daily": ("daily_contact_write_requests", "DailyContactWritesPerDayPerProject"),
}


class Quota:
    """Counts units.

    Attributes:
        hidden: the hidden write quota of the account is exhausted: every write is refused.
        used: all units ever spent, by name.
        refused: how many requests met a window that was full.
    """

    def __init__(self, now: Callable[[], datetime], limits: Mapping[str, int]) -> None:
        self._now = now
        self.limits = {**DEFAULTS, **limits}
        self.hidden = False
        self.used = dict.fromkeys(DEFAULTS, 0)
        self.refused = 0
        self._spent: dict[str, list[tuple[datetime, int]]] = {}

    def spend(self, **units: int) -> None:
        """Take the units of one request. Raises Refused (429) and takes none where one window is full."""
        now = self._now()
        if self.hidden and (units.get("critical_write") or units.get("write")):
            failure = {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"subject": "user:1001", "description": "FBS quota limit exceeded"}],
            }
            raise Refused(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).", (failure,))
        for name, count in units.items():
            length = timedelta(days=1) if name == "daily" else timedelta(minutes=1)
            recent = self._spent[name] = [(at, n) for at, n in self._spent.get(name, ()) if now - at < length]
            if sum(n for _, n in recent) + count > self.limits[name]:
                self.refused += 1
                raise self._exhausted(name)
        for name, count in units.items():
            self._spent[name].append((now, count))
            self.used[name] += count

    @staticmethod
    def _exhausted(name: str) -> Refused:
        metric, limit = METRICS[name]
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
            "metadata": {"quota_metric": f"people.googleapis.com/{metric}", "quota_limit": limit},
        }
        text = f"Quota exceeded for quota metric '{metric}' and limit '{limit}' of service 'people.googleapis.com'."
        return Refused(429, "RESOURCE_EXHAUSTED", text, (info,))
