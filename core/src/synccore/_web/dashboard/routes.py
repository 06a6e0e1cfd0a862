"""The ways from a shop's records to a target's: filter, mapping, counts, and an expression tried out."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..._verbs.check import findings_of
from ..._verbs.routes import about, routes
from ..._verbs.trial import WHEN, Trial, trial
from ...errors import SynccoreError
from ...types import FieldOptions, RouteSpec
from . import view
from .described import as_written
from .site import Form, Site

__all__ = ["Routes"]

#: What a trial is asked with.
_ASKED: Mapping[str, str] = {"who": "", "field": "", "expression": ""}


@frozen(kw_only=True)
class Mapped:
    """A line of a route's mapping."""

    name: str
    expression: str
    default: bool
    options: str


class Routes:
    """Each route on a page of its own."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Sequence[BaseRoute]:
        """For those who are logged in."""
        seen, done = self._site.seen, self._site.done
        return [
            Route("/routes", seen(self._all)),
            Route("/routes/{name}", seen(self._one), methods=["GET"]),
            Route("/routes/{name}", done(self._try), methods=["POST"]),
        ]

    def _all(self, request: Request) -> Response:
        return self._site.page(request, "routes.html", rows=routes(self._site.app))

    def _one(self, request: Request) -> Response:
        return self._page(request, None, checked="check" in request.query_params)

    def _try(self, request: Request, form: Form) -> Response:
        asked = {name: form.get(name, "").strip() for name in _ASKED}
        try:
            tried, lost = trial(self._site.app, request.path_params["name"], **asked), ""
        except SynccoreError as error:
            tried, lost = None, error.message
        return self._page(request, tried, asked=asked, lost=lost)

    def _page(
        self,
        request: Request,
        tried: Trial | None,
        *,
        asked: Mapping[str, str] = _ASKED,
        lost: str = "",
        checked: bool = False,
    ) -> Response:
        app, name = self._site.app, request.path_params["name"]
        if name not in app.routes:
            return self._site.missing(request, f"No route is called {name}.")
        found = about(app, name)
        return self._site.page(
            request,
            "route.html",
            about=found,
            route=found.spec,
            mapping=_mapping(found.spec),
            facts=_facts(found.spec),
            findings=findings_of(app, name) if checked else None,
            lines=view.lines(found.trail[::-1], app.clock.now()),
            tried=tried,
            asked=asked,
            lost=lost,
            when=WHEN,
        )


def _mapping(route: RouteSpec) -> list[Mapped]:
    return [
        Mapped(
            name=name,
            expression=value if isinstance(value, str) else as_written(value),
            default=name in route.defaulted,
            options=_options(route.options.get(name)),
        )
        for name, value in route.fields.items()
    ]


def _options(options: FieldOptions | None) -> str:
    if options is None:
        return ""
    given = {
        "truncate": options.truncate,
        "keep_existing": options.keep_existing,
        "clear": options.clear,
        "delay": options.delay,
    }
    return ", ".join(f"{name} = {as_written(value)}" for name, value in given.items() if value)


def _facts(route: RouteSpec) -> list[tuple[str, str]]:
    given: dict[str, Any] = {
        "found by": route.match,
        "includes": route.include,
        "after": route.after,
        "delay": route.delay,
        "compares": route.compare,
        "on leave": route.on_leave,
        "mapper": route.mapper if route.mapper != "jinja" else None,
        **dict(route.settings),
    }
    return [(name, as_written(value)) for name, value in given.items() if value or value is False]
