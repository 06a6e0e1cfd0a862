"""Logging in and out."""

from collections.abc import Sequence
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ..sessions import COOKIE, DEVICE, DEVICE_LIFETIME, LIFETIME
from ..visitor import household
from .site import Site

__all__ = ["Access"]


class Access:
    """The password's page."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._sessions = site.sessions

    def routes(self) -> Sequence[BaseRoute]:
        """Seen by everybody."""
        return [
            Route("/login", self._ask, methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/logout", self._logout, methods=["POST"]),
        ]

    async def _ask(self, request: Request) -> Response:
        if self._sessions.allowed(request.cookies.get(COOKIE)):
            return RedirectResponse("./", 303)
        return self._site.page(request, "login.html", problem=None)

    async def _login(self, request: Request) -> Response:
        form = await self._site.form(request)
        if form is None:
            return self._site.refused(request)
        # A browser that knew the password before is counted by itself: nobody else's wrong tries make it wait.
        known = self._sessions.known_device(request.cookies.get(DEVICE))
        who = known or household(self._site.proxies.client(request))
        throttle = self._sessions.throttle
        if wait := throttle.wait(who):
            seconds = int(wait / timedelta(seconds=1)) + 1
            problem = f"Too many tries. Wait {seconds} s, then try again."
            page = self._site.page(request, "login.html", 429, problem=problem)
            page.headers["Retry-After"] = str(seconds)
            return page
        name = self._sessions.login(form.get("password", ""))
        if name is None:
            throttle.failed(who)
            return self._site.page(request, "login.html", 401, problem="That is not the password.")
        throttle.succeeded(who)
        self._sessions.logout(request.cookies.get(COOKIE))
        answer = RedirectResponse("./", 303)
        self._site.set_cookie(answer, COOKIE, name, LIFETIME)
        self._site.set_cookie(answer, DEVICE, self._sessions.new_device(), DEVICE_LIFETIME)
        return answer

    async def _logout(self, request: Request) -> Response:
        if await self._site.form(request) is None:
            return self._site.refused(request)
        self._sessions.logout(request.cookies.get(COOKIE))
        answer = RedirectResponse("login", 303)
        answer.delete_cookie(COOKIE, path="/")
        return answer
