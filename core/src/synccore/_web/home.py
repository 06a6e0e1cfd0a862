"""The first page: what needs a person, then the rest."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from .._verbs.reload import reload
from .._verbs.status import overview
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
        store, now = app.store, app.clock.now()
        found = overview(app)
        rows = view.rows(found.document, store.last_activity(), now)
        return self._site.page(
            request,
            "home.html",
            rows=rows,
            overall=view.overall(rows),
            needs=[card(need) for need in found.needs],
            work=found.work,
            lines=view.lines(store.history(limit=10)[::-1], now),
            now=now.strftime("%H:%M:%S"),
            not_ready=self._site.door.not_ready(),
        )

    def _reload(self, request: Request, _: Form) -> Response:
        answer = reload(self._site.app)
        if answer is None:
            self._site.say(request, "the daemon did not answer: its log says why", well=False)
        for path, text in answer.problems if answer else ():
            self._site.say(request, f"{path}: {text}. Everything goes on as before", well=False)
        if answer and not answer.problems:
            self._site.say(request, "the file is read: it is what works now")
            for note in answer.notes:
                self._site.say(request, note, well=False)
        return self._site.to(request, "")
