"""Routes of news that begin: what was known before such a route was there is the state its news are compared with."""

from collections.abc import Iterator

from .._app.app import App
from ..errors import MappingError, WaitFor
from ..store import LinkUpdate, RouteCounts
from ..types import RouteSpec, Snapshot

__all__ = ["Beginning"]

#: Records remembered in one transaction.
PAGE = 500
_MARK = "began:"
_UNDER_WAY, _DONE = "under way", "done"


class Beginning:
    """Remembers, as if it had been told, what is known of a source's records on routes that are new.

    Only on routes whose sink says so (`remembers`): elsewhere what is known is owed by a backfill, which a person
    starts. A route that was at work before, also under a version that kept no such mark, is not new.
    """

    def __init__(self, app: App, source: str) -> None:
        self._app = app
        self._source = source
        self._routes = [r for r in app.routes.values() if r.source == source and self._is_new(r)]

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes that are new."""
        return tuple(route.name for route in self._routes)

    def run(self) -> None:
        """Remember all of it; what a process that ends leaves undone the next one does."""
        for route in self._routes:
            self._put(route, _UNDER_WAY)
            known = 0
            for page in self._pages(route):
                if self._app.stopping.is_set():
                    return
                known += self._remember(route, page)
            self._put(route, _DONE)
            if known:
                self._app.log.info("route begins", route=route.name, known=known)
        self._routes = []

    def _is_new(self, route: RouteSpec) -> bool:
        # A sink that could not be opened holds up nothing here: its routes begin once it is.
        remembers = getattr(self._app.sinks[route.sink].instance, "remembers", None)
        if not callable(remembers) or not remembers(route):
            return False
        mark = self._app.store.get_cursor(self._source, _MARK + route.name)
        if mark is not None:
            return mark != _DONE
        counts = self._app.store.counts_by_route().get(route.name, RouteCounts())
        worked = counts != RouteCounts() or bool(self._app.store.links(route.name, limit=1))
        if worked or not self._app.store.snapshots(self._source, route.entity, limit=1):
            self._put(route, _DONE)
            return False
        return True

    def _put(self, route: RouteSpec, mark: str) -> None:
        self._app.store.put_cursor(self._source, _MARK + route.name, mark, self._app.clock.now())

    def _pages(self, route: RouteSpec) -> Iterator[list[Snapshot]]:
        after = ""
        while page := self._app.store.snapshots(self._source, route.entity, after, PAGE):
            after = page[-1].key
            yield page

    def _remember(self, route: RouteSpec, page: list[Snapshot]) -> int:
        app, preparer = self._app, self._app.preparer(route.name)
        works = app.work(route, [snapshot.key for snapshot in page])
        found = {}
        for number, work in enumerate(works):
            if work.link is not None:
                continue
            try:
                operation = preparer.prepare(work, number).operation
            except (MappingError, WaitFor):
                continue  # it says so when it is owed
            if operation is not None and operation.op == "upsert":
                found[operation.key] = LinkUpdate(
                    object=route.object, remote_id=operation.uid, fields=operation.fields, sink=route.sink
                )
        return app.store.remember(route.name, self._source, route.entity, found, app.clock.now())
