"""The first page: what needs a person, then the rest."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..._verbs.log import Wanted, trail
from ..._verbs.reload import reload
from ..._verbs.status import overview
from . import view
from .needs import card
from .site import Form, Site

__all__ = ["Home"]


class Home:
    """Where everything stands."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Sequence[BaseRoute]:
        """For those who are logged in."""
        return [
            Route("/", self._site.seen(self._look)),
            Route("/reload", self._site.done(self._reload), methods=["POST"]),
        ]

    def _look(self, request: Request) -> Response:
        app = self._site.app
        now = app.clock.now()
        found = overview(app)
        rows = view.rows(found.document, now)
        return self._site.page(
            request,
            "home.html",
            rows=rows,
            overall=view.overall(rows, found.needs),
            needs=[card(need) for need in found.needs],
            work=found.work,
            lines=view.lines(trail(app, Wanted(), 10)[::-1], now),
            now=now.strftime("%H:%M:%S"),
            not_ready=self._site.door.not_ready(),
        )

    def _reload(self, request: Request, _: Form) -> Response:
        told = reload(self._site.app)
        for text in told.mistakes():
            self._site.say(request, f"{text}. Everything goes on as before", well=False)
        for text in told.notes:
            self._site.say(request, text, well=False)
        if told.done:
            self._site.say(request, "the file is read: it is what works now")
        return self._site.to(request, "")
