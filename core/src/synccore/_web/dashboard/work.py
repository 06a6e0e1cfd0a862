"""Work under way: how far it is, how fast, what it waits for; held, stopped, begun."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..._verbs.backfill import ask_backfill, ask_reconcile
from ..._verbs.parts.pace import Pace, left_text, pace_text
from ..._verbs.work import stop_listing, work
from ...errors import ConfigError
from .site import Form, Site

__all__ = ["Work"]


class Work:
    """Listings and deliveries."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pace = Pace()

    def routes(self) -> Sequence[BaseRoute]:
        """For those who are logged in."""
        seen, done = self._site.seen, self._site.done
        return [
            Route("/work", seen(self._look)),
            Route("/work/begin", done(self._begin), methods=["POST"]),
            Route("/work/stop", done(self._stop), methods=["POST"]),
        ]

    def _look(self, request: Request) -> Response:
        app = self._site.app
        return self._site.page(
            request,
            "work.html",
            work=work(app, self._pace),
            all_routes=list(app.routes.values()),
            sources=[name for name, unit in app.sources.items() if unit.instance is not None],
            rate=pace_text,
            left=left_text,
        )

    def _begin(self, request: Request, form: Form) -> Response:
        """`what` is "route NAME" or "compare SOURCE"."""
        app = self._site.app
        word, _, name = form.get("what", "").partition(" ")
        if word == "compare":
            asked = ask_reconcile(app, name)
        else:
            route = app.route(name)
            asked = ask_backfill(app, route.source, route.entity, {}, route.name)
        self._site.say(request, f"listing {', '.join(asked.entities)} of {asked.unit.name} begins")
        return self._back(request, form)

    def _stop(self, request: Request, form: Form) -> Response:
        number = form.get("job", "")
        if not (number.isascii() and number.isdecimal() and len(number) < 19):
            raise ConfigError("no listing has this number")
        job = stop_listing(self._site.app, int(number))
        self._site.say(request, f"listing {job.entity} of {job.source} is stopped; what it listed stays")
        return self._site.to(request, "work")

    def _back(self, request: Request, form: Form) -> Response:
        return self._site.to(request, "" if form.get("to") == "home" else "work")
