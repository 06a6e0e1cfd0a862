"""`synccore preview`: what would be sent for one record, beside what was last sent, or why nothing would be."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from attrs import asdict, evolve, field, frozen

from .._app.app import App
from .._app.records import read_back
from .._plain import Plain
from ..errors import MappingError, SynccoreError, WaitFor
from ..store import Delivery, Work, email_digest, email_of, key_digest
from ..types import Change, Operation, RouteSpec, Skip, Snapshot, Unreadable
from .parts.changed import file_notes
from .parts.compare import differing, same
from .parts.hanging import Elsewhere, elsewhere
from .why import Standing, forgotten, record_for, standing_of, why_left_out

__all__ = ["Answer", "FieldLine", "Preview", "answer", "preview"]

Fields = Mapping[str, Any]
Mark = Literal["new", "changed", "differs at the target", "left out"]
Action = Literal["create", "update", "delete", "event", "leave", "none", "refused", "wait"]


@frozen(kw_only=True)
class FieldLine(Plain):
    """One field, with its place where it holds others (`location.city`).

    Attributes:
        now: what would be there; `mapped` says whether it is mapped at all.
        sent: what the target was left with at the last delivery.
        there: what it holds, where it was asked.
        mark: `new` and `changed` would be written; `differs at the target` was changed there; `left out` was not sent.
        why: for `left out`.
    """

    name: str
    mapped: bool
    now: Any = field(repr=False)
    sent: Any = field(repr=False)
    there: Any = field(repr=False)
    mark: Mark | None = None
    why: str | None = None


@frozen(kw_only=True)
class Preview(Plain):
    """What a delivery of this record would do now.

    Attributes:
        action: `none` nothing would be sent, `refused` the mapping fails, `wait` its parent comes first.
        reason: why, for those three.
        fields: what the mapping gives, whether it would be sent or not.
        previous: what the target was left with at the last delivery, of what is mapped.
        left_out: field -> why it was not sent then, for fields that have not changed since.
        changed: names that differ from what was asked for then.
        on_leave: for `leave`, what is done to the record at the target.
        waits: an earlier state of the record that is in a vendor's job: "waits for import job X, submitted 12:04".
        remote: the target's own record (`--live`); None where it was not asked for or is gone.
        drift: names whose value at the target differs from `fields`.
        expected: what would come of it where that is something else: an event that is only remembered (the sink says
            so), a record that is let go of and that others share.
        fetched: the record was unknown here and was read from the source; it was not stored.
    """

    route: str
    sink: str
    object: str
    source: str
    entity: str
    key: str
    action: Action
    reason: str | None = None
    remote_id: str | None = None
    fields: Mapping[str, Any] = field(factory=dict, repr=False)
    previous: Mapping[str, Any] = field(factory=dict, repr=False)
    left_out: Mapping[str, str] = field(factory=dict)
    changed: tuple[str, ...] = ()
    on_leave: str | None = None
    waits: str | None = None
    delivered_at: datetime | None = None
    live: bool = False
    remote: Mapping[str, Any] | None = field(default=None, repr=False)
    drift: tuple[str, ...] = ()
    expected: str | None = None
    fetched: bool = False

    @property
    def unwanted(self) -> bool:
        """Whether the record is not, or no longer, for the target: nothing of it is mapped."""
        return not self.fields and self.action in ("leave", "none")

    def lines(self) -> list[FieldLine]:
        """Field by field, in the order of their names, what is mapped and what was; terminal and page show these."""
        now, sent, there = flat(self.fields), flat(self.previous), flat(self.remote or {})
        # The target holds more than is mapped; only what is mapped is compared.
        return [self._line(name, now, sent, there) for name in sorted({*now, *sent})]

    def _line(self, name: str, now: Fields, sent: Fields, there: Fields) -> FieldLine:
        names = (name, name.partition(".")[0])
        value, why = now.get(name), next((self.left_out[n] for n in names if n in self.left_out), None)
        changed = any(n in self.changed for n in names) and not same(value, sent.get(name))
        mark: Mark | None = None
        if why is not None:
            mark = "left out"
        elif self.remote is None:
            mark = "new" if changed and self.remote_id is None else "changed" if changed else None
        elif (changed or any(n in self.drift for n in names)) and not same(value, there.get(name)):
            mark = "changed" if changed else "differs at the target"
        return FieldLine(
            name=name,
            mapped=name in now,
            now=value,
            sent=sent.get(name),
            there=there.get(name),
            mark=mark,
            why=why,
        )


@frozen(kw_only=True)
class Answer(Plain):
    """What `synccore preview` says of a record.

    Attributes:
        standing: where the record stands on the route; None for one that is not stored here.
        notes: what has to be known of the file.
    """

    preview: Preview
    standing: Standing | None
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The JSON of `preview --json`."""
        standing = None if self.standing is None else asdict(self.standing)
        return {**asdict(self.preview, recurse=False), "standing": standing, "notes": list(self.notes)}


def flat(fields: Fields) -> dict[str, Any]:
    """Fields that hold fields as rows of their own: `location.city`."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{below}": inner for below, inner in value.items()}
        else:
            found[name] = value
    return found


def answer(app: App, route_name: str, who: str, *, live: bool = False) -> Answer:
    """The preview of the record that a key, or whatever finds a person, means. Raises as `preview`."""
    route = app.route(route_name)
    known = record_for(app, route, who)
    return Answer(
        preview=preview(app, route_name, who if known is None else known.key, live=live),
        standing=None if known is None else standing_of(app, route, known),
        notes=file_notes(app, (route_name,)),
    )


def preview(app: App, route_name: str, key: str, *, live: bool = False) -> Preview:
    """Prepare one record as a delivery would. Writes nothing.

    Raises ConfigError for an unknown route, SynccoreError for a key that is known neither here nor at the source.
    """
    route = app.route(route_name)
    [work] = app.work(route, [key])
    fetched = work.snapshot is None
    if fetched:
        work = _fetch(app, route, work)
    found = evolve(_prepared(app, route, work), fetched=fetched)
    return _with_remote(app, route, work, found) if live else found


def _fetch(app: App, route: RouteSpec, work: Work) -> Work:
    """Ask the source; what the record owns is known only as far as it is stored."""
    change = _own(app.opened(route.source).instance.fetch(route.entity, work.delivery.key), work.delivery)
    if change is None or change.data is None:
        said = why_left_out(app, route.source, work.delivery.key) if route.entity == "customer" else None
        raise SynccoreError(
            said
            or f"neither here nor at {route.source} is there a {route.entity} with the key {work.delivery.key}: "
            "synccore why says where an address was lost"
        )
    owner = app.store.snapshot(route.source, change.owner.entity, change.owner.key) if change.owner else None
    if gone := forgotten(app, *_whose(route.source, change, owner)):
        raise SynccoreError(gone)
    snapshot = Snapshot(
        source=route.source,
        entity=route.entity,
        key=change.key,
        data=change.data,
        version=change.version,
        owner=change.owner,
        changed_at=change.at,
    )
    parent_ref, parent = work.parent_ref, work.parent
    if route.after and app.after_entity(route.name) != route.entity and change.owner:
        parent_ref = change.owner
        parent = app.store.link(route.after, route.source, change.owner.entity, change.owner.key)
    return evolve(work, snapshot=snapshot, owner=owner, parent_ref=parent_ref, parent=parent)


def _whose(source: str, change: Change, owner: Snapshot | None) -> Iterator[str]:
    """By what a person is known who was forgotten, as where records are taken in."""
    if email := email_of(change.data):
        yield email_digest(email)
    if change.owner is not None and owner is None:
        yield key_digest(source, change.owner.entity, change.owner.key)


def _own(found: Change | Sequence[Change | Unreadable] | None, delivery: Delivery) -> Change | None:
    """The record itself among what the source told; some of it may be unreadable."""
    told = [found] if isinstance(found, Change) else [c for c in found or () if isinstance(c, Change)]
    return next((c for c in told if (c.entity, c.key) == (delivery.entity, delivery.key)), None)


def _prepared(app: App, route: RouteSpec, work: Work) -> Preview:
    delivery: Delivery = work.delivery
    base = Preview(
        route=route.name,
        sink=route.sink,
        object=route.object,
        source=route.source,
        entity=route.entity,
        key=delivery.key,
        action="none",
        remote_id=work.link.remote_id if work.link else None,
        delivered_at=work.link.delivered_at if work.link else None,
        waits=waits_for_job(app, route, delivery.key),
    )
    preparer = app.preparer(route.name)
    deleted = work.snapshot is not None and work.snapshot.deleted
    try:
        mapped = Skip("") if deleted else preparer.map(work)
        prepared = preparer.prepare(work, 1)
    except MappingError as error:
        return evolve(base, action="refused", reason=error.message)
    except WaitFor as error:
        mapped = preparer.map(work)
        fields = {} if isinstance(mapped, Skip) else _without(app, route, mapped)
        return evolve(_beside(base, work, fields), action="wait", reason=error.message)
    base = _beside(base, work, {} if isinstance(mapped, Skip) else _without(app, route, mapped))
    if prepared.operation is None:
        return evolve(base, reason=prepared.skip)
    operation = prepared.operation
    if operation.op == "leave":
        spared = _spared(operation)
        return evolve(base, action="leave", on_leave=operation.on_leave, reason=prepared.why, expected=spared)
    action: Action = "update" if operation.link else "create"
    if operation.op != "upsert":
        action = operation.op
    reason = "it hangs under another record at the target now" if preparer.moved(work) else None
    left_out = {n: why for n, why in base.left_out.items() if n not in operation.changed}
    changed, foretold = tuple(sorted(operation.changed - _helpers(app, route))), _foretold(app, route, operation)
    return evolve(base, action=action, reason=reason, changed=changed, left_out=left_out, expected=foretold)


def _spared(operation: Operation) -> str | None:
    """What the rule of all sinks leaves standing there."""
    shared = operation.link is not None and operation.link.shared > 1
    return "others share the record: what is theirs too stays" if shared else None


def _beside(base: Preview, work: Work, fields: Mapping[str, Any]) -> Preview:
    """What is mapped, beside what is there. Fields a sink keeps for itself are nobody's business."""
    if work.link is None:
        return evolve(base, fields=fields)
    mapped = {*fields, *work.link.mapped}
    previous = {name: value for name, value in work.link.fields.items() if name in mapped}
    left_out = {name: why for name, why in work.link.left_out.items() if name in fields}
    return evolve(base, fields=fields, previous=previous, left_out=left_out)


def _helpers(app: App, route: RouteSpec) -> frozenset[str]:
    """Mapped names that the sink works with itself and that are no fields of the object."""
    unit = app.sinks[route.sink]
    kinds = getattr(unit.settings.descriptor, "objects", None) or ()
    return next((kind.helpers for kind in kinds if kind.name == route.object), frozenset())


def _without(app: App, route: RouteSpec, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    helpers = _helpers(app, route)
    return {name: value for name, value in fields.items() if name not in helpers} if helpers else fields


def waits_for_job(app: App, route: RouteSpec, key: str) -> str | None:
    """The job at the vendor that a record of this route is in or waits for, in words."""
    for row in app.store.deliveries(route=route.name, key=key, limit=20):
        if row.source == route.source and row.waits:
            return row.waits
    return None


def _foretold(app: App, route: RouteSpec, operation: Operation) -> str | None:
    """In the sink's words what a delivery would come to: as news, and as the past where that is something else."""
    foretell = getattr(app.sinks[route.sink].instance, "foretell", None)
    if foretell is None:
        return None
    news: str | None
    past: str | None
    news, past = foretell([operation, evolve(operation, bulk=True)])
    if news == past or operation.bulk or past is None:
        return past if operation.bulk else news
    return f"{news or 'delivered'}; in a backfill: {past}"


def _with_remote(app: App, route: RouteSpec, work: Work, found: Preview) -> Preview:
    if work.link is None:
        return evolve(found, live=True)
    [(_, remote)] = read_back(app, route, [work.link])
    drift = differing(_expected(work, found, remote), remote) if remote is not None else ()
    seen = evolve(found, live=True, remote=remote, drift=tuple(drift))
    odd = elsewhere(app, route, [(work.link, remote)], [work]).get(work.link.key)
    return seen if odd is None or found.unwanted else _with_reference(seen, odd)


def _with_reference(found: Preview, odd: Elsewhere) -> Preview:
    """What it should hang on, beside what it hangs on: nothing that is mapped, and written all the same."""
    name = odd.reference
    return evolve(
        found,
        fields={**found.fields, name: odd.due},
        previous={**found.previous, name: odd.due},
        remote={**(found.remote or {}), name: odd.there},
        drift=(*found.drift, name),
    )


def _expected(work: Work, found: Preview, remote: Mapping[str, Any]) -> Mapping[str, Any]:
    """What should be there: as it was taken then where nothing changed since, without what is kept or left out.

    What the target neither holds nor gives back is a sink's own help (a stand-in for a missing name), not its field.
    """
    held = work.link.fields if work.link else {}
    return {
        name: value if name in found.changed else found.previous.get(name, value)
        for name, value in found.fields.items()
        if name not in found.left_out and (name in held or name in remote)
    }
