"""Which routes a change of an entity dirties."""

from collections.abc import Iterable

from ..store import DirtyRule, Rules
from ..types import RouteSpec


def rules_of(routes: Iterable[RouteSpec], source: str) -> Rules:
    """Entity -> rules for one source: the entity's own routes, and its owner's routes that include it."""
    rules: dict[str, list[DirtyRule]] = {}
    for route in routes:
        if route.source != source:
            continue
        own = DirtyRule(route=route.name, sink=route.sink, entity=route.entity, delay=route.delay)
        rules.setdefault(route.entity, []).append(own)
        for included in route.include:
            if included != route.entity:
                rules.setdefault(included, []).append(
                    DirtyRule(route=route.name, sink=route.sink, entity=route.entity, target="owner", delay=route.delay)
                )
    return rules


def only(rules: Rules, route: str | None) -> frozenset[str]:
    """The routes a backfill owes: all that the rules name, or the one asked for."""
    return frozenset(r.route for some in rules.values() for r in some if route in (None, r.route))
