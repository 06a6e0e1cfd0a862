"""What happened, as it happens: filtered, followed, exported, drawn."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..._verbs.activity import Day, last_day
from ..._verbs.log import COLUMNS, Wanted, document, trail
from ..._verbs.parts.documents import json_text
from ...store import HistoryEntry
from . import view
from .chart import chart
from .site import Site, attachment

__all__ = ["Activity"]

PAGE = 50
#: Lines of an export.
MOST = 50_000
_SINCE = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
_OUTCOMES = (
    *("delivered", "unchanged", "skipped", "parked", "retry", "snoozed", "submitted", "failed"),
    *("retried", "dismissed", "linked", "received", "overtook"),
)
#: What is counted of a day changes slowly; a page that follows asks every five seconds.
_KEEP = timedelta(seconds=30)


class Activity:
    """The page of what happened, with its chart, and its downloads."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._days: dict[str | None, tuple[datetime, Day]] = {}

    def routes(self) -> Sequence[BaseRoute]:
        """For those who are logged in."""
        seen = self._site.seen
        return [
            Route("/activity", seen(self._look)),
            Route("/activity/trail.csv", seen(self._csv)),
            Route("/activity/trail.json", seen(self._json)),
        ]

    def _look(self, request: Request) -> Response:
        app, asked = self._site.app, _asked(request.query_params)
        before = request.query_params.get("before", "")
        older = int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None
        lines = self._lines(asked, before_id=older, limit=PAGE)[::-1]
        given = {name: value for name, value in asked.items() if value}
        more = {**given, "before": lines[-1].id} if len(lines) == PAGE else None
        return self._site.page(
            request,
            "activity.html",
            lines=view.lines(lines, app.clock.now()),
            asked=asked,
            choices={"sink": list(app.sinks), "route": list(app.routes), "outcome": _OUTCOMES, "since": list(_SINCE)},
            query=urlencode(given),
            more=urlencode(more) if more else None,
            older=older is not None,
            chart=chart(self._day(asked["sink"] or None)),
        )

    def _lines(self, asked: Mapping[str, str], *, before_id: int | None = None, limit: int) -> list[HistoryEntry]:
        app, since = self._site.app, _SINCE.get(asked["since"])
        wanted = Wanted(
            sink=asked["sink"] or None,
            route=asked["route"] or None,
            outcome=asked["outcome"] or None,
            since=app.clock.now() - since if since else None,
        )
        return trail(app, wanted, limit, before_id=before_id)

    def _day(self, sink: str | None) -> Day:
        now = self._site.app.clock.now()
        sink = sink if sink in self._site.app.sinks else None
        at, day = self._days.get(sink, (None, None))
        if at is None or day is None or now - at > _KEEP:
            day = last_day(self._site.app, sink)
            self._days[sink] = (now, day)
        return day

    def _json(self, request: Request) -> Response:
        lines = [document(line) for line in self._lines(_asked(request.query_params), limit=MOST)]
        return attachment(json_text(lines), "application/json", "trail.json")

    def _csv(self, request: Request) -> Response:
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        for line in self._lines(_asked(request.query_params), limit=MOST):
            told = document(line) | {"fields": " ".join(line.fields)}
            writer.writerow({name: view.harmless(cell) for name, cell in told.items()})
        return attachment(out.getvalue(), "text/csv; charset=utf-8", "trail.csv")


def _asked(values: Any) -> dict[str, str]:
    return {name: values.get(name, "") for name in ("sink", "route", "outcome", "since")}
