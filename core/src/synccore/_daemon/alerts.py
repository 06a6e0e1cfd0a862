"""Tells somebody: one message for what is new, one for what is well again, grouped and not too often.

What was told is kept in the store, so that a restart tells nothing twice.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from .._app.app import App
from .._contained import contained
from .._delivery.policy import error_text
from .._set_back import lately
from .._settings import AlertSettings
from .._verbs.alerts import LAST, TOLD, WELL, close_channel, namespace, open_channel
from .._verbs.troubles import troubles
from ..hookspecs import AlertChannel
from ..types import Notice, Trouble

__all__ = ["AlertWatch"]

#: How often it is looked.
EVERY = timedelta(seconds=15)
#: A message that could not be sent is tried again this much later.
AGAIN = timedelta(minutes=1)
#: Longer lists end with how many more there are.
MOST = 20
#: Whatever stands still for one of these reasons brings others with it.
STANDS_STILL = frozenset({"needs_auth", "error", "circuit_open", "rate_limited", "paused"})
#: Kind -> the kinds of the same instance that explain it: a target that stands still owes more and more, a shop that
#: does is not listed and not heard of. That is no second cause.
BROUGHT: Mapping[str, Set[str]] = {
    "circuit_open": {"listing"},
    "listing": STANDS_STILL,
    "silent": STANDS_STILL | {"listing"},
    "backlog": STANDS_STILL,
}
#: Nor is what goes on for a while afterwards.
LINGERS = frozenset({"backlog", "listing", "silent"})
CATCHES_UP = timedelta(hours=1)


class AlertWatch:
    """The alerts of one configuration. `look` does one round; a thread only repeats it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._alerts = app.settings.alerts
        self._since = app.clock.now()
        self._channels: dict[str, AlertChannel] = {}
        self._not_before: dict[str, datetime] = {}

    def run(self) -> None:
        """Look until the process is asked to stop."""
        while not self._app.stopping.is_set():
            self.attend()
            self._app.clock.sleep(EVERY)

    def attend(self) -> None:
        """Look, where this is the daemon that tells; whatever goes wrong with it, deliveries go on."""
        try:
            if self._app.store.leads():
                self.look()
        except Exception as error:  # noqa: BLE001  a channel's bug
            self._app.log.warning("alerts failed", reason=error_text(error))

    def look(self) -> None:
        """Compare what is with what was told, and tell the difference."""
        if not self._alerts:
            return
        found = troubles(self._app, self._since)
        for name, alert in self._alerts.items():
            self._one(name, alert, [t for t in found if any(c.fits(t) for c in alert.when)])

    def _one(self, name: str, alert: AlertSettings, meant: Sequence[Trouble]) -> None:
        now = self._app.clock.now()
        state = self._app.store.state(namespace(name))
        told = {key.removeprefix(TOLD): value for key, value in state.scan(TOLD)}
        there = {t.id: t for t in meant}
        # What was parked waits behind a route that is held for the same refusal: the same cause, and not over.
        held = {id_: t for id_, value in told.items() for t in meant if _holds_back(t, value)}
        gone = {id_: value for id_, value in told.items() if id_ not in there and id_ not in held}
        known = {(value["name"], value["kind"]) for value in told.values()}
        new: list[Trouble] = []
        for trouble in sorted(meant, key=lambda t: t.kind in BROUGHT):
            explained = trouble in held.values() or self._explained(trouble, known, state.get(WELL + trouble.name))
            known.add((trouble.name, trouble.kind))
            if trouble.id not in told and not explained:
                new.append(trouble)
        if not new and not gone:
            return
        last = state.get(LAST)
        if last is not None and lately(datetime.fromisoformat(last), now, alert.every):
            return
        if now < self._not_before.get(name, now) <= now + AGAIN:
            return
        try:
            with contained():
                self._channel(name, alert).send(_notice(now, new, list(_recovered(gone))))
        except Exception as error:  # noqa: BLE001  a channel's failure is told in the log, and tried again
            self._not_before[name] = now + AGAIN
            self._app.log.warning("alert not sent", alert=name, reason=error_text(error))
            return
        self._app.log.info("alert sent", alert=name, troubles=len(new), recovered=len(gone))
        changes: dict[str, Any] = {TOLD + t.id: _remembered(t) for t in new}
        changes |= {TOLD + id_: None for id_ in gone}
        changes |= {WELL + v["name"]: now.isoformat() for v in gone.values() if v["kind"] in STANDS_STILL}
        state.put({**changes, LAST: now.isoformat()})

    def _explained(self, trouble: Trouble, known: Set[tuple[str, str]], well_since: str | None) -> bool:
        """Whether it is what another trouble of the same instance brings with it; `known`: name and kind of those."""
        if trouble.kind not in BROUGHT or (trouble.kind == "silent" and trouble.cause):
            return False  # webhooks that do not come are a cause of their own
        if any((trouble.name, kind) in known for kind in BROUGHT[trouble.kind]):
            return True
        if trouble.kind not in LINGERS or well_since is None:
            return False
        return self._app.clock.now() - datetime.fromisoformat(well_since) < CATCHES_UP

    def _channel(self, name: str, alert: AlertSettings) -> AlertChannel:
        if name not in self._channels:
            self._channels[name] = open_channel(self._app, alert)
        return self._channels[name]

    def close(self) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            close_channel(channel)


def _holds_back(trouble: Trouble, told: Mapping[str, str]) -> bool:
    """Whether a route is held for what was told of its parked deliveries."""
    parked = told["kind"] == "parked" and trouble.kind == "error" and trouble.cause == told["name"]
    return parked and trouble.sentence.endswith(told["sentence"].partition(" parked: ")[2])


def _remembered(trouble: Trouble) -> dict[str, str]:
    return {
        "kind": trouble.kind,
        "name": trouble.name,
        "cause": trouble.cause,
        "sentence": trouble.sentence,
        "since": trouble.since.isoformat(),
    }


def _recovered(gone: Mapping[str, Mapping[str, str]]) -> Iterator[Trouble]:
    for value in gone.values():
        yield Trouble(
            kind=value["kind"],
            name=value["name"],
            cause=value["cause"],
            sentence=value["sentence"],
            since=datetime.fromisoformat(value["since"]),
        )


def _notice(now: datetime, new: Sequence[Trouble], recovered: Sequence[Trouble]) -> Notice:
    lines = [*_lines(new)]
    if recovered:
        lines += ["", "Well again:"] if new else ["Well again:"]
        lines += _lines(recovered)
    if new:
        more = f" and {len(new) - 1} more" if len(new) > 1 else ""
        subject = f"synccore: {new[0].name}: {new[0].kind.replace('_', ' ')}{more}"
    else:
        more = f" and {len(recovered) - 1} more" if len(recovered) > 1 else ""
        subject = f"synccore: {recovered[0].name} is well again{more}"
    return Notice(at=now, subject=subject, text="\n".join(lines), troubles=tuple(new), recovered=tuple(recovered))


def _lines(those: Sequence[Trouble]) -> Iterator[str]:
    for trouble in those[:MOST]:
        yield f"- {trouble.sentence}"
        if trouble.next:
            yield f"    {trouble.next}"
    if len(those) > MOST:
        yield f"- and {len(those) - MOST} more"
