"""`synccore why`: where one person stands on every route, in sentences, with what to run next."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import asdict, field, frozen

from .._app.app import App
from .._plain import Plain
from ..entities import ENTITIES
from ..store import Delivery, HistoryEntry, email_digest, key_digest
from ..types import EntityRef, Link, RouteSpec, Snapshot
from .find import find
from .parts.waits import held_remedy, lane_state, moment, remedy, until_text

__all__ = [
    "Standing",
    "Why",
    "all_left_out",
    "record_for",
    "records_of",
    "standing_of",
    "why",
    "why_left_out",
    "with_owned",
]

#: Rows and lines of one record that are looked through, the newest first.
LOOK_BACK = 200
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_OPEN = ("parked", "running", "submitted", "ready")


@frozen(kw_only=True)
class Standing(Plain):
    """One record on one route. `state` is that of its newest delivery, or delivered, left, never."""

    source: str
    entity: str
    key: str
    route: str
    sink: str
    state: str
    sentence: str
    #: What to run next, or None where nothing needs to be done.
    next: str | None = None


@frozen(kw_only=True)
class Why(Plain):
    """The answer. `unknown` says, for somebody nobody has heard of, why as far as it can be known."""

    known: bool
    standing: tuple[Standing, ...] = ()
    unknown: tuple[str, ...] = ()
    next: tuple[str, ...] = field(factory=tuple)

    @property
    def ok(self) -> bool:
        """True where nothing waits for a person."""
        return self.known and all(s.next is None for s in self.standing)

    def document(self) -> dict[str, Any]:
        """The JSON of `why --json`."""
        return asdict(self)


def why(app: App, asked: str) -> Why:
    """Look up a person by address, or a record by its key, with all that belongs to them. Reads, asks nobody."""
    records = records_of(app, asked)
    if not records:
        return _unknown(app, asked)
    standing = [
        standing_of(app, route, snapshot)
        for snapshot in records
        for route in app.routes.values()
        if (route.source, route.entity) == (snapshot.source, snapshot.entity)
    ]
    steps = dict.fromkeys(s.next for s in standing if s.next)
    return Why(known=True, standing=tuple(standing), next=tuple(steps))


def records_of(app: App, asked: str) -> list[Snapshot]:
    """The records an address or a key means, customers first, each with what they own."""
    if "@" in asked:
        found = [EntityRef("customer", key) for _, key in app.store.keys_by_email(asked)]
        sources = [source for source, _ in app.store.keys_by_email(asked)]
        refs = list(zip(sources, found, strict=True))
    else:
        refs = [(source, EntityRef(entity, asked)) for source in app.sources for entity in ENTITIES]
    records: dict[tuple[str, str, str], Snapshot] = {}
    for source, ref in refs:
        for snapshot in with_owned(app, source, ref):
            records.setdefault((snapshot.source, snapshot.entity, snapshot.key), snapshot)
    return list(records.values())


def with_owned(app: App, source: str, ref: EntityRef) -> Iterator[Snapshot]:
    """A record and, for a customer, what belongs to them; nothing where it is not known."""
    snapshot = app.store.snapshot(source, ref.entity, ref.key)
    if snapshot is None:
        return
    yield snapshot
    if ref.entity == "customer":
        others = [entity for entity in ENTITIES if entity != "customer"]
        work = app.store.work_for("", source, "customer", [ref.key], include=others)[0]
        for owned in work.included.values():
            yield from owned


# -- one record on one route


def record_for(app: App, route: RouteSpec, who: str) -> Snapshot | None:
    """The record of a route's entity that a key means, or whatever finds a person; of several the newest."""
    asked = who.strip()
    if (direct := app.store.snapshot(route.source, route.entity, asked)) is not None:
        return direct
    for hit in find(app, asked):
        records = with_owned(app, hit.source, EntityRef(hit.entity, hit.key)) if hit.source == route.source else ()
        if own := [s for s in records if s.entity == route.entity]:
            return max(own, key=lambda s: (s.changed_at or _LONG_AGO, s.key))
    return None


def standing_of(app: App, route: RouteSpec, snapshot: Snapshot) -> Standing:
    """Where one record stands on one route of its entity."""
    rows = [
        row
        for row in app.store.deliveries(route=route.name, key=snapshot.key, limit=LOOK_BACK)
        if (row.source, row.entity) == (snapshot.source, snapshot.entity)
    ]
    link = app.store.link(route.name, snapshot.source, snapshot.entity, snapshot.key)
    row = next((r for state in _OPEN for r in rows if r.state == state), None)
    if row is not None:
        state, sentence, step = _open(app, route, row)
    elif link is not None:
        state, sentence, step = _linked(link, snapshot)
    else:
        state, sentence, step = _never(app, route, snapshot, rows)
    return Standing(
        source=snapshot.source,
        entity=snapshot.entity,
        key=snapshot.key,
        route=route.name,
        sink=route.sink,
        state=state,
        sentence=sentence,
        next=step,
    )


_Said = tuple[str, str, str | None]


def _open(app: App, route: RouteSpec, row: Delivery) -> _Said:
    match row.state:
        case "parked":
            step = f"synccore deliveries show {row.id}; when it is mended: synccore deliveries retry {row.id}"
            return "parked", row.error or "for a reason that was not kept", step
        case "running":
            return "running", f"is being sent to {route.sink} now", None
        case "submitted":
            return "submitted", f"waits for job {row.job} at {route.sink}, which holds it", None
    now = app.clock.now()
    state, reason = lane_state(app, route.sink)
    if state != "ok":
        again = f"; at once: {remedy('paused', route.sink)}" if state in ("circuit_open", "rate_limited") else ""
        return "ready", f"owed; {_standing_still(route.sink, state, reason)}{again}", remedy(state, route.sink)
    hold = next((h for h in app.store.holds(route.sink) if h.route == route.name), None)
    if hold is not None and hold.kind == "refused":
        held = f"{route.name} is held {until_text(hold.until, now)}: {hold.reason}"
        return "ready", f"owed; {held}", held_remedy(route.sink)
    if row.due_at > now:
        why = f" ({row.error})" if row.error else ""
        return "ready", f"owed; waits {until_text(row.due_at, now)}{why}", None
    if not app.store.daemon_running():
        return "ready", "owed; no daemon is running", "synccore run"
    return "ready", "owed; its turn is next", None


def _standing_still(name: str, state: str, reason: str | None) -> str:
    return f"{name} is {state.replace('_', ' ')}" + (f": {reason}" if reason else "")


def _linked(link: Link, snapshot: Snapshot) -> _Said:
    when = f" at {moment(link.delivered_at)}" if link.delivered_at else ""
    if link.left:
        return "left", f"the route no longer wants it; {link.remote_id} was let go of{when}", None
    if link.delivered_at is None:
        return "linked", f"found at the target as {link.remote_id}, and nothing was sent yet", None
    gone = ", and is deleted in the shop since" if snapshot.deleted else ""
    left_out = "".join(f"; {name} left out: {reason}" for name, reason in sorted(link.left_out.items()))
    return "delivered", f"delivered as {link.remote_id}{when}{gone}{left_out}", None


def _never(app: App, route: RouteSpec, snapshot: Snapshot, rows: Sequence[Delivery]) -> _Said:
    last = _last_line(app, route, snapshot)
    again = f"synccore backfill {route.source} {route.entity} --route {route.name}"
    if last is not None and last.outcome in ("skipped", "dismissed"):
        reason = last.note or last.error or "no reason was given"
        # Nothing has to be done; who wants it otherwise is told where.
        filtered = f" (routes.{route.name}.when; another one: edit it, synccore reload, {again})"
        return last.outcome, f"{last.outcome}: {reason}{filtered if reason.startswith('when: ') else ''}", None
    left = app.store.archived_links(snapshot.source, snapshot.entity, snapshot.key)
    if any(sink == route.sink for sink, _, _ in left):
        return "never", f"delivered to an account of {route.sink} that was left, and not to the one it has now", again
    if last is not None and last.outcome == "delivered":
        return "delivered", f"delivered at {moment(last.at)}", None
    if rows:
        return rows[0].state, f"{rows[0].state} at {moment(rows[0].settled_at or rows[0].last_change_at)}", None
    if snapshot.deleted:
        return "never", "deleted in the shop before it was ever sent", None
    return "never", "known here, and never owed on this route (it is newer than the record)", again


def _last_line(app: App, route: RouteSpec, snapshot: Snapshot) -> HistoryEntry | None:
    lines = app.store.history(key=snapshot.key, sink=route.sink, limit=LOOK_BACK)
    of_route = [x for x in lines if (x.route, x.source, x.entity) == (route.name, snapshot.source, snapshot.entity)]
    return of_route[-1] if of_route else None


# -- somebody nobody has heard of


def why_left_out(app: App, source: str, asked: str) -> str | None:
    """Why the source leaves somebody out, where it says so."""
    ask = getattr(app.sources[source].instance, "left_out", None)
    said = ask(asked) if callable(ask) else None
    return None if said is None else str(said)


def all_left_out(app: App, asked: str) -> list[str]:
    """What every source that leaves somebody out says of it."""
    return [said for source in app.sources if (said := why_left_out(app, source, asked))]


def forgotten(app: App, *digests: str) -> str | None:
    """That who is known by one of these was forgotten."""
    at = app.store.forgotten_at(*digests) if digests else None
    return None if at is None else f"they were forgotten at {moment(at)}, and are not taken in again"


def _unknown(app: App, asked: str) -> Why:
    keys = (key_digest(source, "customer", asked) for source in app.sources)
    if said := forgotten(app, email_digest(asked), *keys):
        return Why(known=False, unknown=(said,))
    reasons: list[str] = []
    steps: dict[str, None] = {}
    for name, unit in app.sources.items():
        if said := why_left_out(app, name, asked):
            reasons.append(said)
            steps["synccore check"] = None
            continue
        cursors = app.store.cursors(name)
        unlisted = [e for e in unit.settings.config.entities if f"listed:{e}" not in cursors]
        if unlisted:
            reasons.append(f"{name} was not listed yet ({', '.join(unlisted)})")
            steps["synccore run"] = None
            continue
        state, reason = lane_state(app, name)
        if state != "ok":
            reasons.append(_standing_still(name, state, reason))
            steps[remedy(state, name) or "synccore check"] = None
            continue
        polled = max((at for mark, (_, at) in cursors.items() if mark.startswith("polled:")), default=None)
        heard = f", last asked at {moment(polled)}" if polled else ""
        reasons.append(
            f"{name} is well{heard}, and never told of them: another address, a role that is not listed, "
            "or a webhook that was lost"
        )
        steps[f"synccore reconcile {name}"] = None
    return Why(known=False, unknown=tuple(reasons), next=tuple(steps))
