"""Which routes a change of an entity dirties."""

from collections.abc import Callable, Iterable

from attrs import evolve

from ..store import DirtyRule, Rules
from ..types import RouteSpec


def rules_of(
    routes: Iterable[RouteSpec], source: str, made_by: Callable[[RouteSpec], str | None] = lambda _: None
) -> Rules:
    """Entity -> rules for one source: the entity's own routes, and its owner's routes that include it.

    `made_by`: route -> `DirtyRule.made_by`, for listings that ask for records that did not change.
    """
    rules: dict[str, list[DirtyRule]] = {}
    for route in routes:
        if route.source != source:
            continue
        own = DirtyRule(
            route=route.name, sink=route.sink, entity=route.entity, delay=route.delay, made_by=made_by(route)
        )
        rules.setdefault(route.entity, []).append(own)
        for included in route.include:
            if included != route.entity:
                rules.setdefault(included, []).append(evolve(own, target="owner"))
    return rules


def only(rules: Rules, route: str | None) -> frozenset[str]:
    """The routes a backfill owes: all that the rules name, or the one asked for."""
    return frozenset(r.route for some in rules.values() for r in some if route in (None, r.route))
