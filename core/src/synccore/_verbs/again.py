"""One record again: read from the shop now, or sent to a target again."""

from attrs import evolve, frozen

from .._app.app import App
from .._app.records import ability, cannot_read, read_back, readable
from .._ingest.hints import parted
from .._ingest.rules import rules_of
from .._plain import Plain
from ..errors import SynccoreError
from ..store import DirtyRule, Ingest, LinkUpdate
from ..types import Change, Link, RouteSpec
from .deliveries import retry
from .find import Hit, find
from .parts.compare import differing
from .parts.hanging import elsewhere, hung_back
from .parts.words import plural
from .preview import preview
from .why import why_left_out

__all__ = ["Asked", "fetch", "read_now", "search_now", "send_again"]


@frozen(kw_only=True)
class Asked(Plain):
    """What came of it, in a sentence. `done` False: nothing had to be done, or could be. `found`: what is known now."""

    text: str
    done: bool = True
    found: Hit | None = None


def fetch(app: App, source: str, entity: str, asked: str) -> Asked:
    """Ask a source for a record by its key, or for a person by an address. Raises as `read_now` and `search_now`."""
    if "@" in asked:
        said, hits = search_now(app, source, asked), find(app, asked)
        there = hits[0] if hits else None
    else:
        said = read_now(app, source, entity, asked)
        known = app.store.snapshot(source, entity, asked) is not None
        there = Hit(source=source, entity=entity, key=asked) if known else None
    return evolve(said, found=there)


def read_now(app: App, source: str, entity: str, key: str) -> Asked:
    """Ask the source for one record and take in what it says, as a webhook would bring it.

    Raises ConfigError for a source that cannot be asked, and what the source raises.
    """
    unit = app.opened(source)
    read_at = app.clock.now()
    found = unit.instance.fetch(entity, key)
    if found is None and app.store.snapshot(source, entity, key) is None:
        said = why_left_out(app, source, key) if entity == "customer" else None
        return Asked(text=said or f"{source} has no {entity} with the key {key}", done=False)
    told = [Change(entity=entity, key=key, op="delete")] if found is None else found
    changes, unreadable = parted([told] if isinstance(told, Change) else told)
    rules = rules_of(app.routes.values(), source)
    taken = app.intake.submit(
        Ingest(
            source=source,
            changes=changes,
            unreadable=unreadable,
            rules=rules,
            read_at=read_at,
            asked=frozenset({(entity, key)}),
        )
    )
    if unreadable:
        return Asked(text=f"{source} gave it, and it cannot be read: {unreadable[0].reason}", done=False)
    if found is None:
        return Asked(text=f"{source} does not have it any more: the targets are told")
    if taken.forgotten:
        return Asked(text="this person was forgotten: nothing of them is taken in", done=False)
    if taken.stale:
        return Asked(
            text=f"{source} gives an older version than the one it told a moment ago; its answer may lag behind that:"
            " it is asked once more in ten seconds, and believed then",
            done=False,
        )
    if not taken.accepted:
        return Asked(text=f"{source} says what was known already", done=False)
    return Asked(text=f"read from {source}; {_owed(taken.dirtied)} because of it")


def _owed(count: int) -> str:
    return f"{plural(count, 'delivery is', 'deliveries are')} owed"


def search_now(app: App, source: str, email: str) -> Asked:
    """Ask a source that can search for the person with this address, and take them in.

    Raises as `read_now`, and SynccoreError for a source that cannot.
    """
    unit = app.opened(source)
    search = getattr(unit.instance, "search", None)
    if not callable(search):
        raise SynccoreError(f"{source} cannot be searched by address: give the record's key, or compare everything")
    read_at = app.clock.now()
    changes, unreadable = parted(search(email))
    if not changes:
        return Asked(text=why_left_out(app, source, email) or f"{source} has nobody with this address", done=False)
    rules = rules_of(app.routes.values(), source)
    found = frozenset((change.entity, change.key) for change in changes)
    taken = app.intake.submit(
        Ingest(source=source, changes=changes, unreadable=unreadable, rules=rules, read_at=read_at, asked=found)
    )
    if taken.forgotten:
        return Asked(text="this person was forgotten: nothing of them is taken in", done=False)
    return Asked(text=f"found at {source} and taken in; {_owed(taken.dirtied)} because of it")


def send_again(app: App, route_name: str, key: str) -> Asked:
    """Owe one record to its target again: a parked one is retried; else what the target really holds is looked at.

    Where the target cannot be asked, everything is sent once more. Raises ConfigError for an unknown route, and what
    the sink raises.
    """
    route = app.route(route_name)
    rows = [d for d in app.store.deliveries(route=route.name, key=key, state="parked") if d.source == route.source]
    if rows:
        acted = retry(app, [row.id for row in rows], None)
        return Asked(text=f"{plural(acted.count, 'parked one is', 'parked ones are')} owed again")
    link = app.store.link(route.name, route.source, route.entity, key)
    if link is None or link.left:
        return _owe(app, route, key)
    update = _as_it_is(app, route, link)
    if update is None and preview(app, route.name, key).action == "none":
        if not readable(app, route):
            # An event sent once more would be told twice.
            return Asked(text=f"nothing changed since it was told; {cannot_read(app, route)}", done=False)
        return Asked(text=f"{route.sink} holds exactly this already: nothing has to be sent", done=False)
    known = update or LinkUpdate(object=link.object, remote_id=link.remote_id, etag=link.etag)
    rule = DirtyRule(route=route.name, sink=route.sink, entity=route.entity)
    app.store.repair(rule, route.source, {key: known}, app.clock.now())
    _wake(app, route)
    return Asked(text=f"owed to {route.sink} again")


def _as_it_is(app: App, route: RouteSpec, link: Link) -> LinkUpdate | None:
    """What the target really holds, where that is something else than what was delivered; None: it is the same."""
    if not readable(app, route):
        return None
    if ability(app, route.sink, "read") is None:
        return LinkUpdate(object=link.object, remote_id=link.remote_id, fields={})
    [(_, remote)] = read_back(app, route, [link])
    if remote is None:
        return LinkUpdate(object=link.object, remote_id=link.remote_id, fields={})
    ours = {name: value for name, value in link.fields.items() if name not in link.left_out}
    there = {name: remote.get(name) for name in differing(ours, remote)}
    odd = elsewhere(app, route, [(link, remote)], app.work(route, [link.key])).get(link.key)
    if not there and odd is None:
        return None
    update = LinkUpdate(
        object=link.object,
        remote_id=link.remote_id,
        fields={**link.fields, **there},
        left_out=link.left_out,
        asked={**link.mapped, **there},
    )
    return update if odd is None else hung_back(update, odd)


def _owe(app: App, route: RouteSpec, key: str) -> Asked:
    snapshot = app.store.snapshot(route.source, route.entity, key)
    if snapshot is None or snapshot.deleted:
        raise SynccoreError(f"{route.source} has no {route.entity} {key}: there is nothing to send")
    change = Change(
        entity=snapshot.entity,
        key=key,
        op="upsert",
        data=snapshot.data,
        version=snapshot.version,
        owner=snapshot.owner,
        at=snapshot.changed_at,
    )
    rule = DirtyRule(route=route.name, sink=route.sink, entity=route.entity)
    unit = Ingest(
        source=route.source, changes=[change], rules={route.entity: [rule]}, bulk=True, force=frozenset({route.name})
    )
    owed = app.intake.submit(unit).dirtied
    return Asked(text=f"owed to {route.sink}" if owed else f"it is owed to {route.sink} already", done=bool(owed))


def _wake(app: App, route: RouteSpec) -> None:
    if "engine" in app.__dict__:
        app.engine.wake([route.sink])
