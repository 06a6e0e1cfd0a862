"""One source or sink as it is now: account, quotas, jobs, what waits, what went wrong last. Asks nobody outside."""

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from .._app.accounts import known_account
from .._app.app import App
from .._app.units import Unit
from .._plain import Plain
from ..store import HistoryEntry, Hold, RunningJob, UnreadableRecord
from ..types import Account, Allowance

__all__ = ["Instance", "instance"]

#: Lines shown of what went wrong, and of records that could not be read.
LAST = 12
#: What the trail calls a thing that did not work.
WRONG = ("parked", "retry", "failed")


@frozen(kw_only=True)
class Instance(Plain):
    """What there is to know of one."""

    name: str
    type: str
    kind: str
    distribution: str
    version: str
    account: Account | None
    until: datetime | None
    #: HTTP calls since this process opened it.
    calls: int
    budgets: tuple[Allowance, ...]
    jobs: tuple[RunningJob, ...]
    holds: tuple[Hold, ...]
    wrong: tuple[HistoryEntry, ...]
    unreadable: tuple[UnreadableRecord, ...]


def instance(app: App, name: str) -> Instance:
    """Raises ConfigError for a name that is not configured."""
    unit = app.unit(name)
    source = name in app.sources
    word = f"{'source' if source else 'sink'} {unit.settings.type}"
    plugin = next((status for status in app.plugins.statuses if word in status.provides), None)
    lane, now = app.lane_of(name), app.clock.now()
    return Instance(
        name=name,
        type=unit.settings.type,
        kind="source" if source else "sink",
        distribution=plugin.distribution if plugin else "",
        version=plugin.version if plugin else "",
        account=known_account(app.store, name),
        until=lane.until if lane.until is not None and lane.until > now else None,
        calls=app.calls(name),
        budgets=tuple(_budgets(unit)),
        jobs=() if source else tuple(job for job in app.store.running_jobs() if job.sink == name),
        holds=() if source else tuple(app.store.holds(name)),
        wrong=() if source else tuple(reversed(app.store.history(sink=name, outcomes=WRONG, limit=LAST))),
        unreadable=tuple(app.store.unreadable(name, limit=LAST)) if source else (),
    )


def _budgets(unit: Unit) -> Sequence[Allowance]:
    tell = getattr(unit.instance, "budgets", None)
    try:
        return list(tell()) if callable(tell) else ()
    except Exception:  # noqa: BLE001  what a plugin cannot say of itself takes nothing from the rest
        return ()
