"""The dashboard: looking, logging in, connecting. Rendered here, no script needed."""

import importlib.resources
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jinja2
from attrs import fields, frozen, has
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from .._app.accounts import known_account
from .._app.app import App
from .._verbs.connect import connect
from .._verbs.status import overview, status
from ..secrets import Secret
from . import view
from .connecting import Connects, Done
from .hooks import Door, TooLarge, read_body
from .sessions import COOKIE, DEVICE, DEVICE_LIFETIME, LIFETIME, Sessions
from .visitor import Origins, Proxies, household

__all__ = ["Pages"]

#: The one place videos come from; nothing else may be framed.
VIDEO_HOST = "https://drive.google.com"
_FORM_LIMIT = 10_000
_CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_STATIC = {
    "style.css": "text/css; charset=utf-8",
    "refresh.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

Endpoint = Callable[[Request], Awaitable[Response]]


@frozen(kw_only=True)
class Setting:
    """A line of an instance's configuration, secrets masked."""

    name: str
    value: str
    help: str


class Pages:
    """The pages and what is behind them."""

    def __init__(self, door: Door, sessions: Sessions) -> None:
        self._door = door
        self._sessions = sessions
        server = door.app.settings.server
        self._proxies, self._origins = Proxies(server.trusted_proxies), Origins(server.public_url)
        self.connects = Connects(lambda name, browser: connect(self._app, name, browser))
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("synccore._web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["number"] = view.number

    @property
    def _app(self) -> App:
        return self._door.app

    def routes(self) -> Sequence[BaseRoute]:
        """All routes of the dashboard."""
        return [
            Route("/", self._seen(self._home)),
            Route("/plugins/{name}", self._seen(self._plugin)),
            Route("/connect/{name}", self._connect, methods=["POST"]),
            Route("/oauth/callback", self._callback),
            Route("/login", self._login_form, methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/static/{name}", self._static),
        ]

    # -- looking

    def _seen(self, endpoint: Endpoint) -> Endpoint:
        """Only for those who are logged in."""

        async def guarded(request: Request) -> Response:
            if not self._sessions.allowed(request.cookies.get(COOKIE)):
                depth = request.url.path.count("/") - 1
                return RedirectResponse("../" * depth + "login", 303)
            return await endpoint(request)

        return guarded

    async def _home(self, request: Request) -> Response:
        def look() -> dict[str, Any]:
            store, now = self._app.store, self._app.clock.now()
            found = overview(self._app, causes=20)
            rows = view.rows(found.document, store.last_activity(), now)
            return {
                "rows": rows,
                "overall": view.overall(rows),
                "notes": (*found.notes, *found.work),
                "causes": view.causes(found.causes),
                "lines": view.lines(store.history(limit=15), now),
                "now": now.strftime("%H:%M:%S"),
                "not_ready": self._door.not_ready(),
            }

        return self._page(request, "home.html", **await run_in_threadpool(look))

    async def _plugin(self, request: Request) -> Response:
        name = request.path_params["name"]
        settings, plugins = self._app.settings, self._app.plugins
        instances = {**settings.sources, **settings.sinks}
        if name not in instances:
            named = [i for i in instances if instances[i].type == name]
            if len(named) == 1:
                name = named[0]
            elif named or name in plugins.sinks or name in plugins.sources:
                descriptor = plugins.sinks.get(name) or plugins.sources.get(name)
                summary = descriptor.summary if descriptor else ""
                return self._page(request, "type.html", name=name, summary=summary, instances=named)
            else:
                return self._page(request, "message.html", 404, title="Not here", text=f"Nothing is called {name}.")
        return await run_in_threadpool(self._instance_page, request, name)

    def _instance_page(self, request: Request, name: str) -> Response:
        app = self._app
        unit = app.unit(name)
        found = view.rows(status(app), app.store.last_activity(), app.clock.now())
        videos = _videos(unit.instance)
        play = request.query_params.get("play", "")
        playing = next((video for number, video in enumerate(videos) if play == str(number)), None)
        return self._page(
            request,
            "instance.html",
            frames=playing is not None,
            row=next((row for row in found if row.name == name), None),
            name=name,
            summary=unit.settings.descriptor.summary,
            account=known_account(app.store, name),
            error=unit.error,
            connectable=callable(getattr(unit.instance, "connect", None)),
            routes=[r for r in app.routes.values() if name in (r.source, r.sink)],
            settings=_settings(unit.settings.config),
            videos=videos,
            playing=playing,
        )

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            return PlainTextResponse("not here", 404)
        content = importlib.resources.files("synccore._web").joinpath("static", name).read_bytes()
        return Response(content, media_type=_STATIC[name], headers={"Cache-Control": "max-age=300"})

    # -- connecting

    async def _connect(self, request: Request) -> Response:
        cookie = request.cookies.get(COOKIE)
        if not self._sessions.allowed(cookie):
            return RedirectResponse("../login", 303)
        if await self._form(request) is None:
            return self._refused(request)
        name = request.path_params["name"]
        settings = self._app.settings
        if name not in settings.sources and name not in settings.sinks:
            return self._page(request, "message.html", 404, title="Not here", text=f"Nothing is called {name}.")
        base = settings.server.public_url or str(request.base_url)
        step = await run_in_threadpool(self.connects.start, name, base.rstrip("/") + "/oauth/callback")
        if isinstance(step, Done):
            return self._ended(request, step)
        # Not a redirect: browsers apply form-action to those as well, and it allows this site only.
        return self._page(request, "go.html", url=step.url, host=urlsplit(step.url).hostname, name=name)

    async def _callback(self, request: Request) -> Response:
        # No session is asked for: coming from the vendor's site the browser holds a SameSite=Strict cookie back. The
        # unguessable `state` is what lets this request in.
        done = await run_in_threadpool(self.connects.finish, dict(request.query_params))
        if done is None:
            text = "Nobody waits for this answer: it came twice, too late, or from somewhere else. Connect again."
            return self._page(request, "message.html", 400, title="Not connected", text=text)
        return self._ended(request, done)

    def _ended(self, request: Request, done: Done) -> Response:
        title = "Connected" if done.connected else "Not connected"
        return self._page(request, "message.html", 200 if done.connected else 400, title=title, text=done.text)

    # -- logging in

    async def _login_form(self, request: Request) -> Response:
        if self._sessions.allowed(request.cookies.get(COOKIE)):
            return RedirectResponse("./", 303)
        return self._page(request, "login.html", problem=None)

    async def _login(self, request: Request) -> Response:
        form = await self._form(request)
        if form is None:
            return self._refused(request)
        # A browser that knew the password before is counted by itself: nobody else's wrong tries make it wait.
        known = self._sessions.known_device(request.cookies.get(DEVICE))
        who = known or household(self._proxies.client(request))
        throttle = self._sessions.throttle
        if wait := throttle.wait(who):
            seconds = int(wait / timedelta(seconds=1)) + 1
            page = self._page(request, "login.html", 429, problem=f"Too many tries. Wait {seconds} s, then try again.")
            page.headers["Retry-After"] = str(seconds)
            return page
        name = self._sessions.login(form.get("password", ""))
        if name is None:
            throttle.failed(who)
            return self._page(request, "login.html", 401, problem="That is not the password.")
        throttle.succeeded(who)
        self._sessions.logout(request.cookies.get(COOKIE))
        answer = RedirectResponse("./", 303)
        self._set_cookie(answer, COOKIE, name, LIFETIME)
        self._set_cookie(answer, DEVICE, self._sessions.new_device(), DEVICE_LIFETIME)
        return answer

    async def _logout(self, request: Request) -> Response:
        if await self._form(request) is None:
            return self._refused(request)
        self._sessions.logout(request.cookies.get(COOKIE))
        answer = RedirectResponse("login", 303)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    # -- helpers

    async def _form(self, request: Request) -> dict[str, str] | None:
        """The form's fields, or None where it was not made for this visitor by this site."""
        if not self._origins.ours(request):
            return None
        try:
            body = await read_body(request, _FORM_LIMIT)
        except TooLarge:
            return None
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        return form if self._sessions.token_fits(request.cookies.get(COOKIE), form.get("token", "")) else None

    def _refused(self, request: Request) -> Response:
        text = "This form is out of date or was not made here. Go back, reload the page and try again."
        return self._page(request, "message.html", 403, title="Not accepted", text=text)

    def _set_cookie(self, answer: Response, name: str, value: str, lifetime: timedelta) -> None:
        """Secure where the public address is: browsers keep such a cookie on http://localhost, too."""
        answer.set_cookie(
            name,
            value,
            max_age=int(lifetime.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=urlsplit(self._app.settings.server.public_url or "").scheme == "https",
            path="/",
        )

    def _page(
        self, request: Request, template: str, status: int = 200, *, frames: bool = False, **values: Any
    ) -> HTMLResponse:
        cookie = request.cookies.get(COOKIE)
        name = cookie or self._sessions.new_name()
        html = self._templates.get_template(template).render(
            root="../" * (request.url.path.count("/") - 1) or "./",
            token=self._sessions.token(name),
            can_log_out=self._sessions.needed and self._sessions.allowed(cookie),
            **values,
        )
        csp = f"{_CSP}; frame-src {VIDEO_HOST}" if frames else _CSP
        answer = HTMLResponse(html, status, {"Content-Security-Policy": csp})
        # Back from a vendor the browser holds its cookie back: a new one would take the place of the session's.
        if cookie is None and request.url.path != "/oauth/callback":
            self._set_cookie(answer, COOKIE, name, LIFETIME)
        return answer


def _videos(plugin: Any) -> tuple[Any, ...]:
    """The videos of an instance: objects with `title`, `preview_url` (framed) and `view_url` (opened)."""
    found = getattr(plugin, "videos", None) or ()
    return tuple(v for v in found if v.preview_url.startswith(VIDEO_HOST + "/"))


def _settings(config: Any) -> list[Setting]:
    """The lines of an instance's configuration."""
    lines = []
    for attribute in fields(type(config)):
        value = getattr(config, attribute.name)
        if value is None or value == ():
            continue
        lines.append(Setting(name=attribute.name, value=_text(value), help=attribute.metadata.get("help", "")))
    return lines


def _text(value: Any) -> str:
    """A setting as people write it, never as Python does."""
    from ..config import Schedule, format_duration

    if isinstance(value, Secret):
        return f"set ({value.origin})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Schedule):
        return value.text
    if isinstance(value, tuple | list):
        return ("; " if any(has(type(v)) for v in value) else ", ").join(_text(v) for v in value)
    if has(type(value)):
        value = {f.name: v for f in fields(type(value)) if (v := getattr(value, f.name)) is not None}
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_text(v)}" for name, v in value.items())
    return str(value)
