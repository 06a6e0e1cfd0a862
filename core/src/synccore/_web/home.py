"""The first page: what needs a person, then the rest."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from .._verbs.status import overview
from . import view
from .site import Site

__all__ = ["Home"]


class Home:
    """Where everything stands."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Sequence[BaseRoute]:
        """For those who are logged in."""
        return [Route("/", self._site.seen(self._look))]

    def _look(self, request: Request) -> Response:
        app = self._site.app
        store, now = app.store, app.clock.now()
        found = overview(app, causes=20)
        rows = view.rows(found.document, store.last_activity(), now)
        return self._site.page(
            request,
            "home.html",
            rows=rows,
            overall=view.overall(rows),
            notes=(*found.notes, *found.work),
            causes=view.causes(found.causes),
            lines=view.lines(store.history(limit=15)[::-1], now),
            now=now.strftime("%H:%M:%S"),
            not_ready=self._site.door.not_ready(),
        )
