"""A person: looked for, looked at, read again, sent again, forgotten."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..._verbs.again import fetch, send_again
from ..._verbs.backfill import ask_reconcile
from ..._verbs.export import export
from ..._verbs.find import AMONG, find, older_than_searched, sources_to_ask
from ..._verbs.forget import forget
from ..._verbs.parts.documents import json_text
from ..._verbs.person import email_of, person
from ..._verbs.why import why
from ...entities import normalize_email
from . import record_view, view
from .site import Form, Site, attachment
from .view import record_path

__all__ = ["People"]


class People:
    """The night's question: where is customer X?"""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Sequence[BaseRoute]:
        """For those who are logged in."""
        seen, done = self._site.seen, self._site.done
        return [
            Route("/people", seen(self._ask), methods=["GET"]),
            # An address asked for stands in no log of a proxy: it is in the form's body.
            Route("/people", done(self._find), methods=["POST"]),
            Route("/people/record", seen(self._record), methods=["GET"]),
            Route("/people/export", seen(self._export), methods=["GET"]),
            Route("/people/read", done(self._read), methods=["POST"]),
            Route("/people/compare", done(self._compare), methods=["POST"]),
            Route("/people/send", done(self._send), methods=["POST"]),
            Route("/people/forget", done(self._forget), methods=["POST"]),
        ]

    def _ask(self, request: Request) -> Response:
        return self._site.page(
            request, "people.html", asked="", hits=(), lost=None, older=0, ask=sources_to_ask(self._site.app, "")
        )

    def _find(self, request: Request, form: Form) -> Response:
        asked = form.get("q", "").strip()[:200]
        if not asked:
            return self._site.to(request, "people")
        everything = bool(form.get("all"))
        hits = find(self._site.app, asked, None if everything else AMONG)
        if len(hits) == 1:
            return self._site.to(request, record_path(hits[0].source, hits[0].entity, hits[0].key))
        lost = None if hits else why(self._site.app, asked)
        older = 0 if everything or hits else older_than_searched(self._site.app, asked)
        values: dict[str, Any] = {"asked": asked, "hits": hits, "lost": lost, "older": older}
        return self._site.page(request, "people.html", **values, ask=sources_to_ask(self._site.app, asked))

    def _record(self, request: Request) -> Response:
        source, entity, key = _named(request.query_params)
        live = request.query_params.get("live", "")
        found = person(self._site.app, source, entity, key, live=live)
        if found is None:
            return self._site.missing(request, "No such record is known here.")
        now = self._site.app.clock.now()
        return self._site.page(
            request,
            "record.html",
            person=found,
            facts=record_view.facts_of(found.snapshot),
            tables={r.standing.route: r.preview.lines() if r.preview else () for r in found.routes},
            lines=view.lines(found.trail, now),
            live=live,
            path=record_path,
        )

    def _export(self, request: Request) -> Response:
        email = email_of(self._site.app, *_named(request.query_params))
        if not email:
            return self._site.missing(request, "No such person is known here.")
        return attachment(json_text(export(self._site.app, email)), "application/json", "person.json")

    # -- doing

    def _read(self, request: Request, form: Form) -> Response:
        said = fetch(self._site.app, *_named(form))
        self._site.say(request, said.text, well=said.done)
        there = said.found
        return self._site.to(request, record_path(there.source, there.entity, there.key) if there else "people")

    def _compare(self, request: Request, form: Form) -> Response:
        asked = ask_reconcile(self._site.app, form.get("source", ""))
        self._site.say(request, f"a comparison of {asked.unit.name} ({', '.join(asked.entities)}) begins")
        return self._site.to(request, "work")

    def _send(self, request: Request, form: Form) -> Response:
        source, entity, key = _named(form)
        said = send_again(self._site.app, form.get("route", ""), key)
        self._site.say(request, f"{form.get('route', '')}: {said.text}", well=said.done)
        return self._site.to(request, record_path(source, entity, key))

    def _forget(self, request: Request, form: Form) -> Response:
        app, (source, entity, key) = self._site.app, _named(form)
        email = email_of(app, source, entity, key)
        if not email:
            return self._site.missing(request, "No such person is known here.")
        if normalize_email(form.get("email", "")) != normalize_email(email):
            self._site.say(request, "nothing was erased: the address typed is another one", well=False)
            return self._site.to(request, record_path(source, entity, key))
        return self._site.page(request, "forgotten.html", result=forget(app, email))


def _named(values: Form | Any) -> tuple[str, str, str]:
    return values.get("source", ""), values.get("entity", ""), values.get("key", "").strip()
