"""What the words mean."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..._verbs.parts.words import GLOSSARY
from .site import Site

__all__ = ["Glossary"]


class Glossary:
    """The page of what the words mean."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Sequence[BaseRoute]:
        """For those who are logged in."""
        return [Route("/glossary", self._site.seen(self._look))]

    def _look(self, request: Request) -> Response:
        return self._site.page(request, "glossary.html", glossary=GLOSSARY)
