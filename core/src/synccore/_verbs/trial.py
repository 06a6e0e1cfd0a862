"""An expression tried against a person before it is written into the file. Nothing is stored, nobody is asked."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from .._app.app import App
from .._plain import Plain
from ..errors import ConfigError, MappingError, SynccoreError
from ..store import Work
from ..types import RouteSpec, Skip
from .find import name_of
from .why import record_for

__all__ = ["WHEN", "Trial", "trial"]

#: The field's name that stands for the route's filter.
WHEN = "when"


@frozen(kw_only=True)
class Trial(Plain):
    """What the route makes of the record today, and what it would make of it.

    `before` and `after` are the value of the field, None with a reason in `skipped`; for the filter they are None.
    """

    route: str
    field: str
    expression: str
    key: str
    name: str
    before: Any = None
    after: Any = None
    #: Why today, and then, nothing would be sent; None: something would.
    skipped_before: str | None = None
    skipped_after: str | None = None
    #: What is wrong with the expression, or with its value for this record.
    mistake: str | None = None

    @property
    def changed(self) -> bool:
        """Whether it makes a difference for this record."""
        return (self.before, self.skipped_before) != (self.after, self.skipped_after)


def trial(app: App, route_name: str, who: str, field: str, expression: str) -> Trial:
    """Map one record with another expression for one field (or `when`).

    `who` is a key, or whatever finds a person; an order's route then takes their newest order. Raises ConfigError for
    an unknown route, SynccoreError where nobody is found.
    """
    route = app.route(route_name)
    snapshot = record_for(app, route, who)
    if snapshot is None:
        raise SynccoreError(f"no {route.entity} of {route.source} is found by {who!r}")
    [work] = app.work(route, [snapshot.key])
    found = Trial(
        route=route.name,
        field=field,
        expression=expression,
        key=snapshot.key,
        name=name_of(snapshot) or snapshot.key,
    )
    try:
        before, skipped = _mapped(app, route, work, field)
        found = evolve(found, before=before, skipped_before=skipped)
    except MappingError as error:
        found = evolve(found, skipped_before=error.message)
    try:
        after, skipped = _mapped(app, _edited(route, field, expression), work, field)
    except (ConfigError, MappingError) as error:
        return evolve(found, mistake=_words(error))
    return evolve(found, after=after, skipped_after=skipped)


def _edited(route: RouteSpec, field: str, expression: str) -> RouteSpec:
    if field == WHEN:
        return evolve(route, when=expression or None)
    return evolve(route, fields={**route.fields, field: expression}, defaulted=route.defaulted - {field})


def _mapped(app: App, route: RouteSpec, work: Work, field: str) -> tuple[Any, str | None]:
    mapped: Mapping[str, Any] | Skip = app.preparer_of(route).map(work)
    return (None, mapped.reason) if isinstance(mapped, Skip) else (mapped.get(field), None)


def _words(error: ConfigError | MappingError) -> str:
    problems = getattr(error, "problems", None)
    return "; ".join(p.message for p in problems) if problems else error.message
