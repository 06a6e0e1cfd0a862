"""`synccore connect`: reach an account, remember which, and let the lane go on."""

from datetime import timedelta
from typing import Any

from attrs import asdict, evolve, frozen

from .._app.accounts import known_account, remember_account
from .._app.app import App
from .._app.units import Unit
from .._delivery.gate import open_by_hand
from .._plain import Plain
from ..errors import AnotherAccount, SynccoreError, Transient
from ..oauth import Browser, credentials_lock
from ..types import Account, Check, Finding
from .check import problem_of
from .disconnect import hold, scrub

__all__ = ["AnotherAccount", "Connected", "connect", "hook_url"]

#: How long a change of accounts waits for the deliveries that were sent to the old one.
_ON_ITS_WAY = timedelta(minutes=2)


@frozen(kw_only=True)
class Connected(Plain):
    """What a connect reached. `notes` are sentences for the operator, in the order things happened."""

    name: str
    account: Account | None
    detail: str = ""
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def document(self) -> dict[str, Any]:
        """The JSON of `connect --json`."""
        return asdict(self)

    @property
    def label(self) -> str:
        """Whom it reached, in the account's own words where it has some."""
        return self.account.label if self.account else self.detail or self.name


def hook_url(app: App, name: str) -> str | None:
    """Where a source's webhooks are to arrive; None without `[server] public_url`."""
    base = app.settings.server.public_url
    return f"{base.rstrip('/')}/hooks/{name}" if base else None


def connect(app: App, name: str, browser: Browser, *, switch_account: bool = False) -> Connected:
    """Connect a source or sink through its own flow, or check its keys where it has none.

    Another account than the last one is refused, and what was stored before stays, unless `switch_account`: then
    the sink is let go of first (its grant at the vendor stays), with nothing on its way, and the links to the old
    account's records are kept apart until that account returns, so that nothing is written to ids that mean nothing
    there. A flow that fails leaves everything as it was.

    Raises AuthError, ConfigError, Transient.
    """
    unit = app.opened(name)
    known = known_account(app.store, name)
    # As they are when the flow replaces them, under the lock of whoever refreshes: a token that was rotated while the
    # person signed in must not come back as what it was before.
    unit.context.vault.keep()
    flow = getattr(unit.instance, "connect", None)
    notes: list[str] = []
    if callable(flow):
        lane = app.lane_of(name)
        leaving = switch_account and known is not None and name in app.sinks
        try:
            if leaving:
                notes += _leave(app, name, unit)
            account = flow(browser)
        except BaseException:
            if leaving:
                _restore(unit)
                app.store.put_lane(lane)
            raise
        checked = _checked_after(app, name, unit)
    else:
        checked = unit.instance.check()
        account = checked.account
    switched = known is not None and account is not None and known.id != account.id
    if known is not None and account is not None and switched and not switch_account:
        word = _give_back(unit) if callable(flow) and name in app.sinks else ""
        _restore(unit)
        raise AnotherAccount(
            f"this is another account ({account.label}) than the one {name} was connected to ({known.label}). "
            f"Sign in there, or leave the old account for good: synccore connect {name} --switch-account{word}"
        )
    if known is not None and account is not None and switched and name in app.sinks:
        notes += _exchange_links(app, name, known, account)
    if account is not None:
        remember_account(app.store, name, account)
    if name in app.sources:
        notes.append(_subscribe(app, name, unit))
    _reopen(app, name, switched=switched)
    if switched:
        notes += scrub(app)
    return Connected(name=name, account=account, detail=checked.detail, notes=tuple(notes), findings=checked.findings)


def _leave(app: App, name: str, unit: Unit) -> list[str]:
    """Hold the lane, let what is on its way arrive, then let go of the account."""
    if app.lane_of(name).state != "paused":
        hold(app, name)
    patience = app.clock.now() + _ON_ITS_WAY
    while app.store.daemon_running() and (counts := app.store.counts_by_sink().get(name)) and counts.running:
        if app.clock.now() > patience:
            raise Transient(f"deliveries to {name} are still on their way: try again in a minute")
        app.clock.sleep(timedelta(milliseconds=200))
    ending = getattr(unit.instance, "disconnect", None)
    said = ending(keep_grant=True) if callable(ending) else None
    with credentials_lock(unit.context):
        unit.context.vault.wipe()
    return [str(said)] if said else []


def _checked_after(app: App, name: str, unit: Unit) -> Check:
    """The grant is there; what a check has to say beside it is a finding, not a failure."""
    try:
        checked: Check = unit.instance.check()
    except SynccoreError as error:
        return Check(findings=(problem_of(error, name, app.path_of(name))[0],))
    return checked


def _give_back(unit: Unit) -> str:
    """End a grant that is not kept; what the person has to know of it."""
    ending = getattr(unit.instance, "disconnect", None)
    try:
        if callable(ending):
            ending()
    except SynccoreError as error:
        return f". The permission just given could not be ended, take it back at the vendor: {error}"
    return ""


def _restore(unit: Unit) -> None:
    """Put back what was there before a flow that must not count."""
    with credentials_lock(unit.context):
        unit.context.vault.put_back()


def _exchange_links(app: App, name: str, old: Account, new: Account) -> list[str]:
    """The old account's links go apart, those this one had come back; and what is to be done about the rest."""
    routes = [route for route in app.routes.values() if route.sink == name]
    kept = app.store.archive_links(name, old.id, [route.name for route in routes])
    back = app.store.restore_links(name, new.id)
    notes = [f"{kept} links to records of {old.label} are kept apart: they come back with that account"]
    left = f"its job is of the account {old.label}, which was left"
    if again := app.store.abandon_jobs(name, left, app.clock.now()):
        notes.append(f"{again} deliveries in jobs of {old.label} are owed to {new.label} instead")
    if back:
        notes.append(f"{back} links to records of {new.label} are back")
    notes += (
        f"what changed before is not sent to {new.label} by itself: "
        f"synccore backfill {route.source} {route.entity} --route {route.name}"
        for route in routes
    )
    return notes


def _subscribe(app: App, name: str, unit: Unit) -> str:
    url = hook_url(app, name)
    if url is None:
        return "no webhooks: [server] public_url is not set, so changes are found by polling"
    return str(unit.instance.subscribe(url))


def _reopen(app: App, name: str, *, switched: bool) -> None:
    """A lane that waits for credentials goes on by itself; one that a person paused stays paused.

    A daemon that still has the old account's keys sees by `changed_at` that it has to ask again whose they are.
    """
    lane = app.lane_of(name)
    if lane.state not in ("ok", "paused") or lane.changed_at is None or (switched and lane.state == "ok"):
        now = app.clock.now()
        open_by_hand(app.store, evolve(lane, state="ok", reason=None, until=None, changed_at=now, failures=0), now)
