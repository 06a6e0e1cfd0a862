"""One record with all that is known of it: what the shop said, where it stands on every route, what happened to it."""

from collections.abc import Callable

from attrs import frozen

from .._app.app import App
from .._app.base import Base
from .._plain import Plain
from ..errors import SynccoreError
from ..store import Delivery, HistoryEntry
from ..types import EntityRef, Link, RouteSpec, Snapshot
from .find import name_of
from .preview import Preview, preview
from .why import Standing, standing_of, with_owned

__all__ = ["OnRoute", "Owned", "Person", "email_of", "pages_at", "person"]

#: Lines of the trail, and records that are owned.
LINES, OWNED = 60, 100


@frozen(kw_only=True)
class OnRoute(Plain):
    """The record on one route. `preview` is None where the target of an event knows no state of it."""

    standing: Standing
    object: str
    link: Link | None
    #: Rows that wait for a person or for their time, the newest first.
    open: tuple[Delivery, ...]
    preview: Preview | None
    #: The record's page at the vendor's, for people.
    page: str | None


@frozen(kw_only=True)
class Owned(Plain):
    """A record that belongs to the person."""

    snapshot: Snapshot
    name: str
    standing: tuple[Standing, ...]


@frozen(kw_only=True)
class Person(Plain):
    """A record, a person or something that belongs to one."""

    snapshot: Snapshot
    name: str
    owner: EntityRef | None
    routes: tuple[OnRoute, ...]
    owned: tuple[Owned, ...]
    trail: tuple[HistoryEntry, ...]
    page: str | None

    @property
    def email(self) -> str | None:
        """The address a person is forgotten by."""
        return _email(self.snapshot)


def _email(snapshot: Snapshot) -> str | None:
    found: str | None = getattr(snapshot.data, "email", None)
    return found if snapshot.entity == "customer" else None


def email_of(app: Base, source: str, entity: str, key: str) -> str | None:
    """The address that a person of this key is forgotten and exported by; None where nobody of the key has one."""
    known = app.store.snapshot(source, entity, key)
    return None if known is None else _email(known)


def person(app: App, source: str, entity: str, key: str, *, live: str = "") -> Person | None:
    """All of it; None where nothing of that key is known. `live`: the route whose target is asked for its record.

    Asks nobody else outside this machine.
    """
    records = list(with_owned(app, source, EntityRef(entity, key)))
    if not records:
        return None
    snapshot, owned = records[0], records[1:]
    return Person(
        snapshot=snapshot,
        name=name_of(snapshot) or f"{entity} {key}",
        owner=snapshot.owner,
        routes=tuple(_on_route(app, route, snapshot, live == route.name) for route in _routes(app, snapshot)),
        owned=tuple(_owned(app, record) for record in owned[:OWNED]),
        trail=_trail(app, snapshot),
        page=getattr(snapshot.data, "admin_url", None),
    )


def _routes(app: App, snapshot: Snapshot) -> list[RouteSpec]:
    wanted = (snapshot.source, snapshot.entity)
    return [route for route in app.routes.values() if (route.source, route.entity) == wanted]


def _owned(app: App, snapshot: Snapshot) -> Owned:
    return Owned(
        snapshot=snapshot,
        name=name_of(snapshot) or f"{snapshot.entity} {snapshot.key}",
        standing=tuple(standing_of(app, route, snapshot) for route in _routes(app, snapshot)),
    )


def _on_route(app: App, route: RouteSpec, snapshot: Snapshot, live: bool) -> OnRoute:
    rows = app.store.deliveries(route=route.name, key=snapshot.key, limit=50)
    link = app.store.link(route.name, snapshot.source, snapshot.entity, snapshot.key)
    return OnRoute(
        standing=standing_of(app, route, snapshot),
        object=route.object,
        link=link,
        open=tuple(r for r in rows if r.source == snapshot.source and r.settled_at is None),
        preview=_preview(app, route, snapshot, live and link is not None),
        page=pages_at(app, link, route.sink) if link is not None else None,
    )


def _preview(app: App, route: RouteSpec, snapshot: Snapshot, live: bool) -> Preview | None:
    if app.sinks[route.sink].instance is None:
        return None
    try:
        return preview(app, route.name, snapshot.key, live=live)
    except SynccoreError:
        if live:  # the target did not answer, and the person asked for that answer
            raise
        return None  # its standing says what is wrong


def _trail(app: App, snapshot: Snapshot) -> tuple[HistoryEntry, ...]:
    if snapshot.entity == "customer":
        lines = app.store.history(keys=[(snapshot.source, snapshot.key)], limit=LINES)
    else:
        found = app.store.history(key=snapshot.key, limit=LINES)
        lines = [x for x in found if (x.source, x.entity) == (snapshot.source, snapshot.entity)]
    return tuple(reversed(lines))


def pages_at(app: App, link: Link, sink: str) -> str | None:
    """Where people see a linked record at the vendor's, where the sink says so; only addresses of the web."""
    tell: Callable[[Link], str | None] | None = getattr(app.sinks[sink].instance, "page_of", None)
    if tell is None:
        return None
    try:
        found = tell(link)
    except Exception:  # noqa: BLE001  a missing link takes nothing from the page
        return None
    return found if found and found.startswith("https://") else None
