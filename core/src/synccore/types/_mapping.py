"""Routes, and what a mapper may look at."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from attrs import field, frozen

from .._plain import Plain
from ._source import Snapshot


@frozen(kw_only=True)
class FieldOptions(Plain):
    """Per-field settings of a route: `{ value = "...", truncate = true, keep_existing = true, delay = "5m" }`."""

    #: Cut a text that is too long for the target instead of refusing the record.
    truncate: bool = False
    #: Never overwrite what the target already holds.
    keep_existing: bool = False
    #: What an empty value does. None: it empties the field where we had written one (it arrives as None). True: it
    #: always arrives as None. False: it is never sent, and what the target holds stays.
    clear: bool | None = None
    #: How long a change of this field waits for a further one, while other fields go at once: due at the last change
    #: + delay, at most the first + 4 x delay. The first delivery of a record sends all its fields at once.
    delay: timedelta = timedelta(0)


@frozen(kw_only=True)
class RouteSpec(Plain):
    """One `[routes.NAME]` after validation, defaults of the sink merged in."""

    name: str
    source: str
    entity: str
    sink: str
    object: str
    #: Target field -> expression, template or constant, as in the configuration file.
    fields: Mapping[str, Any]
    options: Mapping[str, FieldOptions] = field(factory=dict)
    match: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    when: str | None = None
    delay: timedelta = timedelta(0)
    #: Route whose link must exist first: of the same record where it maps the same entity, else of the owner.
    after: str | None = None
    mapper: str = "jinja"
    #: Fields whose change alone makes a delivery; empty means all.
    compare: tuple[str, ...] = ()
    #: The sink's own per-route settings (`on_delete`, `on_opt_out` ...), checked against `ObjectType.options`.
    settings: Mapping[str, Any] = field(factory=dict)
    #: What happens at the target to a record that was delivered and is no longer wanted (`when` turned false):
    #: "keep", "unlabel", "clear" or "delete", of these what `ObjectType.leaves` says the sink can do.
    on_leave: str = "keep"
    #: Names this route had before: their links and open rows are this route's now.
    formerly: tuple[str, ...] = ()
    #: Fields that are as the sink maps them by default. To them what the route does not include is None, and they say
    #: nothing of it; an expression of the route's own that names it is a mistake.
    defaulted: frozenset[str] = frozenset()


@frozen(kw_only=True, weakref_slot=False)
class MapContext(Plain):
    """What a mapper may look at beside the record itself."""

    route: RouteSpec
    owner: Snapshot | None = None
    #: Entity -> snapshots of that entity with the same owner (or owned by the record), oldest first.
    included: Mapping[str, Sequence[Snapshot]] = field(factory=dict)
    #: The fields last delivered on this route for this key.
    previous: Mapping[str, Any] = field(factory=dict)
    #: The shop's time zone (IANA name or "+02:00"), which dates are told in unless an expression says otherwise.
    zone: str | None = None


@frozen
class Skip(Plain):
    """A mapper's answer when nothing is owed; `reason` is shown in `log`."""

    reason: str
