"""The routes, and one of them: what it maps, what is owed on it, what is parked, skipped and changed."""

from collections.abc import Mapping
from datetime import timedelta

from attrs import frozen

from .._app.app import App
from .._plain import Plain
from ..store import HistoryEntry, RouteCounts
from ..types import RouteSpec
from .log import Wanted, trail
from .parked import Cause, causes
from .parts.changed import Changed, changed_routes

__all__ = ["About", "RouteLine", "about", "routes"]

#: Over which the reasons of skips are counted.
LATELY = timedelta(days=7)
#: Lines shown of what happened last.
LAST = 15


@frozen(kw_only=True)
class RouteLine(Plain):
    """A route and what is owed on it."""

    spec: RouteSpec
    counts: RouteCounts


@frozen(kw_only=True)
class About(Plain):
    """One route. `skips`: reason -> how many records in the last week; `trail`: the newest lines, the oldest first."""

    spec: RouteSpec
    counts: RouteCounts
    skips: Mapping[str, int]
    causes: tuple[Cause, ...]
    changed: tuple[Changed, ...]
    trail: tuple[HistoryEntry, ...]


def routes(app: App) -> list[RouteLine]:
    """All of them, in the order of the file."""
    counts = app.store.counts_by_route()
    return [RouteLine(spec=route, counts=counts.get(name, RouteCounts())) for name, route in app.routes.items()]


def about(app: App, name: str) -> About:
    """Raises ConfigError for a name that is not configured."""
    return About(
        spec=app.route(name),
        counts=app.store.counts_by_route().get(name, RouteCounts()),
        skips=app.store.skips(name, app.clock.now() - LATELY),
        causes=tuple(causes(app, route=name)),
        changed=tuple(changed for changed in changed_routes(app) if changed.route == name),
        trail=tuple(trail(app, Wanted(route=name), LAST)),
    )
