"""What all pages share: who may see them, forms that are ours, templates, and the headers of an answer."""

import threading
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ..._app.app import App
from ...errors import SynccoreError
from ..hooks import Door, TooLarge, read_body
from ..sessions import COOKIE, LIFETIME, Sessions
from ..visitor import Origins, Proxies
from . import view

__all__ = ["VIDEO_HOST", "Endpoint", "Form", "Site", "attachment"]

#: The one place videos come from; nothing else may be framed.
VIDEO_HOST = "https://drive.google.com"
#: Bytes of a form: an expression and what stands beside it.
_FORM_LIMIT = 20_000
_CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: Visitors for whom words are kept until their next page.
_MOST_SAID = 1000
_PLACES = (
    ("", "Overview"),
    ("people", "People"),
    ("parked", "Parked"),
    ("activity", "Activity"),
    ("work", "Work"),
    ("routes", "Routes"),
    ("plugins", "Instances"),
)

Endpoint = Callable[[Request], Awaitable[Response]]
Form = Mapping[str, str]


class Site:
    """The dashboard, whatever page of it."""

    def __init__(self, door: Door, sessions: Sessions) -> None:
        self.door = door
        self.sessions = sessions
        server = door.app.settings.server
        self.proxies, self._origins = Proxies(server.trusted_proxies), Origins(server.public_url)
        #: Cookie -> what to tell its bearer on the next page.
        self._said: dict[str, list[tuple[str, bool]]] = {}
        self._guard = threading.Lock()
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("synccore._web.dashboard"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "number": view.number,
            "value": view.value,
            "moment": view.short_moment,
            "rest": view.rest,
        }

    @property
    def app(self) -> App:
        """What works now; another one after a reload."""
        return self.door.app

    # -- who may

    def seen(self, look: Callable[[Request], Response]) -> Endpoint:
        """A page for those who are logged in."""

        async def guarded(request: Request) -> Response:
            if not self.sessions.allowed(request.cookies.get(COOKIE)):
                return self.to(request, "login")
            return await run_in_threadpool(self._told, request, lambda: look(request))

        return guarded

    def done(self, act: Callable[[Request, Form], Response]) -> Endpoint:
        """A form's action, for those who are logged in and whose form is ours."""

        async def guarded(request: Request) -> Response:
            if not self.sessions.allowed(request.cookies.get(COOKIE)):
                return self.to(request, "login")
            form = await self.form(request)
            if form is None:
                return self.refused(request)
            return await run_in_threadpool(self._told, request, lambda: act(request, form))

        return guarded

    def _told(self, request: Request, make: Callable[[], Response]) -> Response:
        """What a verb raises is told in its own words."""
        try:
            return make()
        except SynccoreError as error:
            return self.message(request, 400, "That did not work", error.message)

    async def form(self, request: Request) -> Form | None:
        """The form's fields, or None where it was not made for this visitor by this site."""
        if not self._origins.ours(request):
            return None
        try:
            body = await read_body(request, _FORM_LIMIT)
        except TooLarge:
            return None
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        return form if self.sessions.token_fits(request.cookies.get(COOKIE), form.get("token", "")) else None

    # -- answers

    def to(self, request: Request, path: str) -> RedirectResponse:
        """Go on to another page of ours, by GET."""
        return RedirectResponse(_root(request) + path, 303)

    def say(self, request: Request, text: str, *, well: bool = True) -> None:
        """Tell the visitor on the next page they see."""
        cookie = request.cookies.get(COOKIE, "")
        with self._guard:
            self._said.setdefault(cookie, []).append((text, well))
            while len(self._said) > _MOST_SAID:
                del self._said[next(iter(self._said))]

    def refused(self, request: Request) -> Response:
        """The form is not one of ours."""
        text = "This form is out of date or was not made here. Go back, reload the page and try again."
        return self.message(request, 403, "Not accepted", text)

    def missing(self, request: Request, text: str) -> Response:
        """There is no such page."""
        return self.message(request, 404, "Not here", text)

    def message(self, request: Request, status: int, title: str, text: str) -> Response:
        """A page of one sentence."""
        return self.page(request, "message.html", status, title=title, text=text)

    def page(
        self, request: Request, template: str, status: int = 200, *, frames: bool = False, **values: Any
    ) -> HTMLResponse:
        """Render a template. `frames`: it plays a video."""
        cookie = request.cookies.get(COOKIE)
        name = cookie or self.sessions.new_name()
        allowed = self.sessions.allowed(cookie)
        html = self._templates.get_template(template).render(
            root=_root(request),
            token=self.sessions.token(name),
            allowed=allowed,
            can_log_out=self.sessions.needed and allowed,
            places=_PLACES,
            here=request.url.path.strip("/").partition("/")[0],
            said=self._heard(request, cookie or ""),
            **values,
        )
        csp = f"{_CSP}; frame-src {VIDEO_HOST}" if frames else _CSP
        answer = HTMLResponse(html, status, {"Content-Security-Policy": csp})
        # Back from a vendor the browser holds its cookie back: a new one would take the place of the session's.
        if cookie is None and request.url.path != "/oauth/callback":
            self.set_cookie(answer, COOKIE, name, LIFETIME)
        return answer

    def _heard(self, request: Request, cookie: str) -> list[tuple[str, bool]]:
        """What was to be told; a page that only brings itself up to date leaves it for one that is looked at."""
        if "x-live" in request.headers:
            return []
        with self._guard:
            return self._said.pop(cookie, [])

    def set_cookie(self, answer: Response, name: str, value: str, lifetime: timedelta) -> None:
        """Secure where the public address is: browsers keep such a cookie on http://localhost, too."""
        answer.set_cookie(
            name,
            value,
            max_age=int(lifetime.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=urlsplit(self.app.settings.server.public_url or "").scheme == "https",
            path="/",
        )


def attachment(body: str, kind: str, name: str) -> Response:
    """A file to keep."""
    return Response(body, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _root(request: Request) -> str:
    """The way from this page to the first one: a proxy may serve all of it below a path."""
    return "../" * (request.url.path.count("/") - 1) or "./"
