"""What waits for a person, by cause: looked at, retried, dismissed."""

import csv
import io
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..._verbs.deliveries import Acted, dismiss, retry
from ..._verbs.parked import Cause, Record, cause_of, causes, ids_of, records
from ..._verbs.parts.words import length, plural
from .site import Form, Site, attachment
from .view import harmless, record_path

__all__ = ["Parked", "as_csv"]

#: Records on a page.
PAGE = 50
_COLUMNS = ("id", "route", "sink", "entity", "key", "name", "tries", "since", "kind", "error")


class Parked:
    """The pages of what is parked."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Sequence[BaseRoute]:
        """For those who are logged in."""
        seen, done = self._site.seen, self._site.done
        return [
            Route("/parked", seen(self._causes)),
            Route("/parked/cause", seen(self._cause)),
            Route("/parked/list.csv", seen(self._csv)),
            Route("/parked/retry", done(self._retry), methods=["POST"]),
            Route("/parked/dismiss", done(self._dismiss), methods=["POST"]),
        ]

    def _causes(self, request: Request) -> Response:
        app, asked = self._site.app, _filter(request.query_params)
        found = causes(app, sink=asked["sink"] or None, route=asked["route"] or None)
        return self._site.page(
            request,
            "parked.html",
            causes=found,
            total=sum(cause.count for cause in found),
            asked=asked,
            sinks=list(app.sinks),
            all_routes=list(app.routes),
            path=cause_path,
        )

    def _cause(self, request: Request) -> Response:
        app, asked = self._site.app, request.query_params
        cause = cause_of(app, asked.get("route", ""), asked.get("cause", ""))
        if cause is None:
            return self._site.message(request, 200, "Nothing is left", "No parked delivery has this cause any more.")
        before = asked.get("before", "")
        found = records(app, cause, before=int(before) if _is_number(before) else None, limit=PAGE + 1)
        more = cause_path(cause, before=found[PAGE - 1].delivery.id) if len(found) > PAGE else None
        now = app.clock.now()
        return self._site.page(
            request,
            "cause.html",
            cause=cause,
            records=found[:PAGE],
            more=more,
            later=_is_number(before),
            since=lambda d: length((now - d.last_change_at).total_seconds()),
            path=cause_path,
            record_path=record_path,
        )

    def _csv(self, request: Request) -> Response:
        app, asked = self._site.app, request.query_params
        one = cause_of(app, asked.get("route", ""), asked.get("cause", "")) if asked.get("cause") else None
        wanted = _filter(asked)
        found = [one] if one else causes(app, sink=wanted["sink"] or None, route=wanted["route"] or None)
        body = as_csv((cause, record) for cause in found for record in records(app, cause, limit=100_000))
        return attachment(body, "text/csv; charset=utf-8", "parked.csv")

    # -- doing

    def _retry(self, request: Request, form: Form) -> Response:
        return self._act(request, form, lambda ids: retry(self._site.app, ids, None), "owed again")

    def _dismiss(self, request: Request, form: Form) -> Response:
        reason = form.get("reason", "").strip()
        if not reason:
            self._site.say(request, "nothing was dismissed: say why", well=False)
            return self._back(request, form)
        return self._act(request, form, lambda ids: dismiss(self._site.app, ids, None, reason), "dismissed")

    def _act(self, request: Request, form: Form, act: Any, word: str) -> Response:
        """One delivery (`id`), or all of a cause."""
        one = form.get("id", "")
        cause = cause_of(self._site.app, form.get("route", ""), form.get("cause", ""))
        ids = [int(one)] if _is_number(one) else ids_of(self._site.app, cause) if cause and not one else []
        acted: Acted | None = act(ids) if ids else None
        count = acted.count if acted else 0
        self._site.say(request, f"{plural(count, 'delivery', 'deliveries')} {word}", well=count > 0)
        for text in acted.notes if acted else ():
            self._site.say(request, text, well=False)
        return self._back(request, form)

    def _back(self, request: Request, form: Form) -> Response:
        cause = cause_of(self._site.app, form.get("route", ""), form.get("cause", ""))
        return self._site.to(request, cause_path(cause) if cause else "parked")


def cause_path(cause: Cause, **more: Any) -> str:
    """The address of a cause's page, from the first page on."""
    return "parked/cause?" + urlencode({"route": cause.route, "cause": cause.id, **more})


def _filter(values: Any) -> dict[str, str]:
    return {name: values.get(name, "") for name in ("sink", "route")}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def as_csv(found: Any) -> str:
    """A table for a spreadsheet; a cell that a spreadsheet would take for a formula is told to be text."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for cause, record in found:
        writer.writerow([harmless(cell) for cell in _cells(cause, record)])
    return out.getvalue()


def _cells(cause: Cause, record: Record) -> Sequence[Any]:
    d = record.delivery
    since = d.last_change_at.isoformat(timespec="seconds")
    return (d.id, d.route, d.sink, d.entity, d.key, record.name or "", d.attempts, since, cause.kind, cause.text)
