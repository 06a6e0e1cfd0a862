"""What is read for each entity: which lists, in which order, under which filters."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from attrs import evolve

from synccore.errors import ConfigError, UnknownFilter
from synccore.types import BackfillFilters, Change, Clock
from synccore.values import instant

from ..changes import TRASH, Odd, Translator
from ..client import Client, Record
from ..config import Config
from ..listing import Cursor, Pace, Stage
from ..lookups import Lookups
from ..mapping import FIELDS
from ..mapping.dates import moment
from ..php import key, rows
from .paging import Position, only, unordered

__all__ = ["Stages"]

#: Moving the next payment date does not move a subscription's modified date: active ones are read this often anyway.
_REFRESHED = timedelta(hours=1)
_BY_MODIFIED = {"orderby": "modified", "order": "asc"}
_BY_ID = {"orderby": "id", "order": "asc"}

#: Parameter -> what a row says of it, by entity.
_OF_PURCHASES = {"customer": "customer_id", "status": "status"}
_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "customer": {"email": "email", "include": "id", "plan": "plan_id"},
    "order": _OF_PURCHASES,
    "payment": _OF_PURCHASES,
    "subscription": _OF_PURCHASES,
    "membership": {**_OF_PURCHASES, "plan": "plan_id"},
}

#: What `backfill --filter` may name, per entity.
FILTERS: Mapping[str, tuple[str, ...]] = {
    "customer": ("email", "role", "customer", "plan"),
    "order": ("status", "customer", "email", "after", "before"),
    "payment": ("status", "customer", "email", "after", "before"),
    "subscription": ("status", "customer", "email", "after", "before"),
    "membership": ("plan", "status", "customer", "email"),
}


class Stages:
    """Plans a poll."""

    def __init__(
        self, shop: Client, translator: Translator, lookups: Lookups, pace: Pace, config: Config, clock: Clock
    ) -> None:
        self._shop = shop
        self._translate = translator
        self._lookups = lookups
        self._pace = pace
        self._config = config
        self._clock = clock
        #: Slugs of the plans by number, as last read.
        self._plans: dict[str, str] = {}
        #: Orders (id, modified) of the last page: polls overlap, and their buyers need not be read twice.
        self._asked: frozenset[tuple[str, str]] = frozenset()

    def plan(self, entity: str, place: Cursor, filters: BackfillFilters) -> list[Stage]:
        """The stages of one poll. Raises ConfigError for an entity or a filter that there is not."""
        known = FILTERS.get(entity)
        if known is None:
            raise ConfigError(f"a WooCommerce shop has no {entity}")
        for name in filters:
            if name not in known:
                raise ConfigError(f"{entity} cannot be filtered by {name}: use {', '.join(known)}")
        if self._translate.zone() is None or (place.full and place.stage is None):
            self._lookups.zone()
        if filters:
            return [self._held(stage) for stage in self._filtered(entity, filters)]
        if entity == "customer":
            return self._customers(place)
        if entity == "membership":
            return [self._members({}, owners=False)] if self._sweeps("members", place) else []
        if entity == "payment":
            return [self._orders("payments", {}, only=("payment",), ask=not place.full)]
        if entity == "order":
            orders = self._orders("orders", {}, ask=not place.full)
            return [orders] if place.full else [self._trashed("orders"), orders]
        return self._subscriptions(place)

    # -- customers

    def _sweeps(self, name: str, place: Cursor) -> bool:
        """Whether a list without a modified filter is read: when asked for, under way, or rested enough."""
        return place.full or place.stage is not None or self._pace.due(name)

    def _customers(self, place: Cursor) -> list[Stage]:
        """Accounts, then the guests; between full listings guests come with the orders where these are read anyway."""
        stages = [self._accounts({"role": "all"})] if self._sweeps("accounts", place) else []
        if self._translate.guests and (place.full or "order" not in self._config.entities):
            stages.append(self._orders("guests", {"customer": "0"}, only=("customer",)))
        return stages

    def _accounts(self, params: Mapping[str, str]) -> Stage:
        """All of WordPress's users: the list for customers alone leaves out those with an active subscription."""
        return Stage(
            name="accounts",
            path="wc/v3/customers",
            entity="customer",
            params={**_BY_ID, **params, "_fields": FIELDS["customer"]},
            read=self._translate.customers,
        )

    # -- orders

    def _orders(self, name: str, params: Mapping[str, str], *, only: tuple[str, ...] = (), ask: bool = False) -> Stage:
        """`ask`: what changed just now is asked about further: its buyers, and the notes of a renewal that failed."""
        refreshed = ask and not only and "customer" in self._translate.emits

        def read(rows: Sequence[Record], odd: Odd) -> list[Change]:
            # Whose orders they are is known first: staff never come as customers, and nobody waits for them.
            buyers = self._lookups.buyers(rows)
            asked = self._lookups.renewals(rows, reasons=ask) if "payment" in self._translate.emits else None
            changes = self._translate.orders(rows, asked, odd)
            news = _newest_guest([c for c in changes if not only or c.entity in only])
            # Read after the orders, which tell of consent; reported before them, since an order follows its buyer.
            return (self._buyers(rows) if refreshed else [] if only else buyers) + news

        return Stage(
            name=name,
            path="wc/v3/orders",
            entity="order",
            params={**_BY_MODIFIED, **params, "_fields": FIELDS["order"]},
            read=read,
            by_modified=True,
        )

    def _buyers(self, rows: Sequence[Record]) -> list[Change]:
        """The accounts behind orders that changed: their own list cannot be asked for changes."""
        saved = {(str(key(row["id"])), str(row.get("date_modified_gmt"))): row for row in rows}
        news = [row for state, row in saved.items() if state not in self._asked]
        self._asked = frozenset(saved)
        return self._lookups.accounts(_owners(news))

    def _trashed(self, path: str) -> Stage:
        """What was put into the trash: lists leave it out unless it is asked for by name."""

        def read(rows: Sequence[Record], odd: Odd) -> list[Change]:
            if path == "orders":
                return self._translate.orders(rows, None, odd)
            return self._translate.subscriptions(rows, odd)

        return Stage(
            name="trash",
            path=f"wc/v3/{path}",
            entity=path.removesuffix("s"),
            params={**_BY_MODIFIED, "status": TRASH, "_fields": "id,status,date_modified,date_modified_gmt"},
            read=read,
            by_modified=True,
            follows=path,
        )

    # -- subscriptions and memberships

    def _subscriptions(self, place: Cursor) -> list[Stage]:
        stages = [self._subscription_list("subscriptions", _BY_MODIFIED, stamps="refreshed" if place.full else "")]
        if not place.full:
            stages.insert(0, self._trashed("subscriptions"))
            refreshed = moment(place.marks.get("refreshed"))
            due = refreshed is None or self._clock.now() - refreshed >= _REFRESHED
            if due or place.stage == "active":
                stages.append(self._subscription_list("active", {**_BY_ID, "status": "active"}, stamps="refreshed"))
        if not {"order", "payment"} & set(self._config.entities):
            stages.append(self._orders("payments", {}, only=("payment",), ask=not place.full))
        return stages

    def _subscription_list(self, name: str, params: Mapping[str, str], stamps: str = "") -> Stage:
        def read(rows: Sequence[Record], odd: Odd) -> list[Change]:
            self._lookups.buyers(rows)
            return self._translate.subscriptions(rows, odd)

        return Stage(
            name=name,
            path="wc/v3/subscriptions",
            entity="subscription",
            params={**params, "_fields": FIELDS["subscription"]},
            read=read,
            by_modified=params.get("orderby") == "modified",
            stamps=stamps,
        )

    def _members(self, params: Mapping[str, str], *, owners: bool, members: bool = True) -> Stage:
        """`owners`: the members' customers too, so that one plan can be synced on its own."""
        named: set[str] = set()

        def read(rows: Sequence[Record], odd: Odd) -> list[Change]:
            changes = self._lookups.accounts(_owners(rows)) if owners else []
            if not members:
                return changes
            self._lookups.buyers(rows)
            self._lookups.names([row for row in rows if key(row.get("product_id")) not in named], anew=True)
            named.update(number for row in rows if (number := key(row.get("product_id"))))
            return changes + self._translate.memberships(rows, odd)

        return Stage(
            name="members",
            path="wc/v3/memberships/members",
            entity="membership",
            params={**params, "_fields": FIELDS["membership"]},
            read=read,
            unordered=True,
            before=partial(self._read_plans, params.get("plan")),
        )

    def _read_plans(self, wanted: str | None = None) -> None:
        """Read all plans. Raises UnknownFilter where `wanted` is the id or slug of none, saying which there are."""
        slugs: dict[str, str] = {}
        for part in unordered(self._shop, "wc/v3/memberships/plans", {"_fields": "id,slug,name"}, Position()):
            self._translate.plans(part.rows)
            slugs |= {number: str(row.get("slug") or "") for row in part.rows if (number := key(row.get("id")))}
        self._plans = slugs
        if wanted is not None and wanted not in (*slugs, *slugs.values()):
            there = ", ".join(f"{number} ({slug})" for number, slug in slugs.items()) or "none"
            raise UnknownFilter(f"the shop has no membership plan {wanted}; there are: {there}")

    # -- filters

    def _filtered(self, entity: str, filters: BackfillFilters) -> list[Stage]:
        if entity == "membership":
            params = {name: filters[name] for name in ("plan", "status", "customer") if name in filters}
            if "email" in filters:
                params["customer"] = filters["email"]
            return [self._members(params, owners="customer" in self._translate.emits)]
        if entity == "customer":
            if "plan" in filters:
                return [self._members({"plan": filters["plan"]}, owners=True, members=False)]
            params = {"role": filters.get("role", "all")}
            params |= {"email": filters["email"]} if "email" in filters else {}
            params |= {"include": filters["customer"]} if "customer" in filters else {}
            return [self._accounts(params)]
        params = self._purchase_filters(filters)
        if entity == "subscription":
            return [self._subscription_list("subscriptions", {**_BY_ID, **params})]
        stage = self._orders(entity, params, only=("payment",) if entity == "payment" else ())
        return [stage]

    def _held(self, stage: Stage) -> Stage:
        """The stage with its rows held to its filters: one that is lost on the way would send everybody."""

        def read(rows: Sequence[Record], odd: Odd) -> list[Change]:
            for name, column in _COLUMNS[stage.entity].items():
                wanted = self._wanted(name, stage.params.get(name, ""))
                if wanted:
                    only(stage.path, rows, column, wanted)
            return stage.read(rows, odd)

        return evolve(stage, read=read)

    def _wanted(self, name: str, given: str) -> set[str]:
        """What a row may say where `name` is filtered by `given`; nothing where that cannot be told from the row."""
        values = {value.strip().lower().removeprefix("wc-") for value in given.split(",") if value.strip()}
        if name == "plan":
            return {number for number, slug in self._plans.items() if {number, slug.lower()} & values}
        if name == "status":
            return set() if "any" in values else values
        return values if name == "email" or all(value.isdecimal() for value in values) else set()

    def _purchase_filters(self, filters: BackfillFilters) -> dict[str, str]:
        params = {name: filters[name] for name in ("status", "customer") if name in filters}
        if "email" in filters:
            found = self._shop.page(
                "wc/v3/customers", {"role": "all", "email": filters["email"], "per_page": 1, "_fields": "id"}
            )
            numbers = [number for row in rows(found.rows) if (number := key(row.get("id")))]
            if not numbers:
                raise ConfigError("no account of the shop has that e-mail address")
            params["customer"] = numbers[0]
        for name in ("after", "before"):
            if name in filters:
                params |= {name: _moment_of(name, filters[name]), "dates_are_gmt": "true"}
        return params


def _moment_of(name: str, text: str) -> str:
    """A date or time as the shop takes it: UTC, whole seconds, no suffix."""
    if (at := instant(text)) is None:
        raise ConfigError(f"{name}={text} is no date: write for instance 2026-01-31")
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def _newest_guest(changes: Sequence[Change]) -> list[Change]:
    """One change per guest and page: of several orders the newest knows the person best."""
    best: dict[str, Change] = {}
    for change in changes:
        if change.entity == "customer":
            known = best.get(change.key)
            if known is None or (change.version or 0) >= (known.version or 0):
                best[change.key] = change
    return [c for c in changes if c.entity != "customer" or best[c.key] is c]


def _owners(rows: Sequence[Record]) -> list[str]:
    """The accounts these rows belong to."""
    return list(dict.fromkeys(number for row in rows if (number := key(row.get("customer_id")))))
