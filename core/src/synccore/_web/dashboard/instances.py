"""Shops and targets: who they are connected to, what state they are in, what can be done about it."""

from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..._verbs.connect import connect
from ..._verbs.disconnect import disconnect
from ..._verbs.instance import instance
from ..._verbs.lanes import pause, resume
from ..._verbs.plugins import Shown, show
from ..._verbs.status import status
from ..sessions import COOKIE
from . import view
from .connecting import Connects, Done
from .described import plays, settings_of
from .site import Form, Site

__all__ = ["Instances"]


class Instances:
    """Pages of sources and sinks, and the way to a vendor's consent and back."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.connects = Connects(lambda name, browser, switch: connect(site.app, name, browser, switch_account=switch))

    def routes(self) -> Sequence[BaseRoute]:
        """For those who are logged in, but the vendor's answer."""
        seen, done = self._site.seen, self._site.done
        return [
            Route("/plugins", seen(self._all)),
            Route("/plugins/{name}", seen(self._look)),
            Route("/lanes/pause", done(self._pause), methods=["POST"]),
            Route("/lanes/resume", done(self._resume), methods=["POST"]),
            Route("/disconnect", done(self._disconnect), methods=["POST"]),
            Route("/connect/{name}", self._connect, methods=["POST"]),
            Route("/oauth/callback", self._callback),
        ]

    def _all(self, request: Request) -> Response:
        app = self._site.app
        rows = view.rows(status(app), app.clock.now())
        return self._site.page(request, "instances.html", rows=rows)

    def _look(self, request: Request) -> Response:
        app, name = self._site.app, request.path_params["name"]
        shown = show(app.plugins, app, name)
        if shown is None:
            return self._site.missing(request, f"Nothing is called {name}.")
        if shown.instance is not None:
            return self._one(request, shown.instance, shown)
        summary = shown.about["summary"]
        return self._site.page(request, "type.html", name=name, summary=summary, instances=shown.instances)

    def _one(self, request: Request, name: str, shown: Shown) -> Response:
        app = self._site.app
        unit, now = app.unit(name), app.clock.now()
        found = view.rows(status(app), now)
        videos = [video for video in shown.instances[name].videos if plays(video)]
        play = request.query_params.get("play", "")
        playing = next((video for number, video in enumerate(videos) if play == str(number)), None)
        about = instance(app, name)
        return self._site.page(
            request,
            "instance.html",
            frames=playing is not None,
            row=next((row for row in found if row.name == name), None),
            name=name,
            about=about,
            summary=shown.about["summary"],
            error=shown.instances[name].error,
            connectable=unit.instance is not None,
            callback=self._back_from_vendor(request) if callable(getattr(unit.instance, "connect", None)) else None,
            wrong=view.lines(about.wrong, now),
            routes=[r for r in app.routes.values() if name in (r.source, r.sink)],
            settings=settings_of(unit.settings.config),
            videos=videos,
            playing=playing,
        )

    # -- holding

    def _pause(self, request: Request, form: Form) -> Response:
        app, name = self._site.app, form.get("name", "")
        app.unit(name)
        pause(app, name, form.get("reason", "").strip() or "paused in the dashboard")
        self._site.say(request, f"{name} is paused: nothing is lost while it waits")
        return self._back(request, form)

    def _resume(self, request: Request, form: Form) -> Response:
        app, name = self._site.app, form.get("name", "")
        app.unit(name)
        resumed = resume(app, name)
        later = f"; {resumed.later:,} of it later" if resumed.later else ""
        owed = f" with {resumed.ready:,} owed{later}" if name in app.sinks else ""
        self._site.say(request, f"{name} goes on{owed}")
        return self._back(request, form)

    def _disconnect(self, request: Request, form: Form) -> Response:
        ended = disconnect(self._site.app, form.get("name", ""))
        self._site.say(request, f"{ended.name} is disconnected: {'; '.join(ended.done)}")
        for failed in ended.failed:
            self._site.say(request, failed, well=False)
        return self._back(request, form)

    def _back(self, request: Request, form: Form) -> Response:
        """To the instance, or to the first page where the button was there."""
        return self._site.to(request, "" if form.get("to") == "home" else f"plugins/{quote(form.get('name', ''))}")

    # -- connecting

    async def _connect(self, request: Request) -> Response:
        if not self._site.sessions.allowed(request.cookies.get(COOKIE)):
            return self._site.to(request, "login")
        form = await self._site.form(request)
        if form is None:
            return self._site.refused(request)
        name = request.path_params["name"]
        settings = self._site.app.settings
        if name not in settings.sources and name not in settings.sinks:
            return self._site.missing(request, f"Nothing is called {name}.")
        switch = form.get("switch") == "yes"
        step = await run_in_threadpool(self.connects.start, name, self._back_from_vendor(request), switch)
        if isinstance(step, Done):
            return self._ended(request, step)
        # Not a redirect: browsers apply form-action to those as well, and it allows this site only.
        return self._site.page(request, "go.html", url=step.url, host=urlsplit(step.url).hostname, name=name)

    def _back_from_vendor(self, request: Request) -> str:
        base = self._site.app.settings.server.public_url or str(request.base_url)
        return base.rstrip("/") + "/oauth/callback"

    async def _callback(self, request: Request) -> Response:
        # No session is asked for: coming from the vendor's site the browser holds a SameSite=Strict cookie back. The
        # unguessable `state` is what lets this request in.
        done = await run_in_threadpool(self.connects.finish, dict(request.query_params))
        if done is None:
            text = "Nobody waits for this answer: it came twice, too late, or from somewhere else. Connect again."
            return self._site.message(request, 400, "Not connected", text)
        return self._ended(request, done)

    def _ended(self, request: Request, done: Done) -> Response:
        if done.connected:
            return self._site.message(request, 200, "Connected", done.text)
        return self._site.message(request, 400, "Not connected", done.text)
