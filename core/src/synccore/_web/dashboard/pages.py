"""The dashboard, put together: one class for each place in it."""

import importlib.resources
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ..hooks import Door
from ..sessions import Sessions
from .access import Access
from .activity import Activity
from .glossary import Glossary
from .home import Home
from .instances import Instances
from .parked import Parked
from .people import People
from .routes import Routes
from .site import Site
from .work import Work

__all__ = ["Pages"]

_STATIC = {
    "style.css": "text/css; charset=utf-8",
    "refresh.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Pages:
    """All pages."""

    def __init__(self, door: Door, sessions: Sessions) -> None:
        site = Site(door, sessions)
        self._instances = Instances(site)
        self._rooms = (
            Home(site),
            People(site),
            Parked(site),
            Activity(site),
            Work(site),
            Routes(site),
            self._instances,
            Glossary(site),
            Access(site),
        )

    def routes(self) -> Sequence[BaseRoute]:
        """All routes of the dashboard."""
        return [*(route for room in self._rooms for route in room.routes()), Route("/static/{name}", _static)]

    def close(self) -> None:
        """Call off what waits for a person."""
        self._instances.connects.close()


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC:
        return PlainTextResponse("not here", 404)
    content = importlib.resources.files("synccore._web.dashboard").joinpath("static", name).read_bytes()
    return Response(content, media_type=_STATIC[name], headers={"Cache-Control": "max-age=300"})
