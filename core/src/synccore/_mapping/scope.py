"""What an expression sees."""

from collections.abc import Mapping
from types import GenericAlias
from typing import Any

from ..entities import ENTITIES, PLURALS, Customer
from ..types import MapContext, RouteSpec, Snapshot, Uid
from .filters import ZONE_NAME


def visible(route: RouteSpec) -> dict[str, Any]:
    """Name -> what it stands for: an entity class, a list of one, or a plain type; for checks before any record."""
    names: dict[str, Any] = {"previous": Mapping[str, Any], "source": str, "key": str, "uid": str}
    names |= {PLURALS[e]: GenericAlias(list, ENTITIES[e]) for e in route.include if e in ENTITIES}
    return names | {"customer": Customer, route.entity: ENTITIES[route.entity]}


def absent(route: RouteSpec) -> dict[str, None]:
    """What the route could include and does not, for the sink's default fields: None, which says nothing."""
    return {plural: None for entity, plural in PLURALS.items() if entity not in route.include}


def scope(snapshot: Snapshot, context: MapContext, beside: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The names of one record: the entity, its owner as `customer` (None without one), and what is included.

    `beside`: what is `absent`, where it is known already.
    """
    names: dict[str, Any] = {
        **(absent(context.route) if beside is None else beside),
        "previous": context.previous,
        "source": snapshot.source,
        "key": snapshot.key,
        "uid": Uid.text(snapshot.source, snapshot.entity, snapshot.key),
        "customer": context.owner.data if context.owner else None,
        ZONE_NAME: context.zone,
        snapshot.entity: snapshot.data,
    }
    for entity in context.route.include:
        included = context.included.get(entity, ())
        names[PLURALS[entity]] = [s.data for s in included if not s.deleted]
    return names
