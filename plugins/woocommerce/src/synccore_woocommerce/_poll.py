"""Listing: what a poll reads, in which order, and where it goes on after a kill.

Lists are paged by offset, so a row that goes away moves the others up and one is skipped. Lists with an order (id, or
modified time and id) are therefore read by position: each page must begin at or before the last row already read,
otherwise the reader steps back. Orders and subscriptions also move their window along, so that an offset stays small
and any number of rows in one second is read once.

A cursor is JSON. Between two polls it holds the marks of each stage (`{"marks": ...}`), in the middle of a listing
also the stage, its position and whether everything is asked for.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve, field, frozen

from synccore.errors import ConfigError
from synccore.types import BackfillFilters, Change, Context, Page

from ._changes import OVERLAP, TRASH, Translator
from .client import PER_PAGE, NoRoute, Record, Shop
from .config import Config
from .mapping import FIELDS, moment

__all__ = ["Poller"]

#: Rows that each page shares with the one before.
_SHARED = 5
_REFRESH = timedelta(hours=1)
Key = tuple[str, int]


@frozen(kw_only=True)
class Position:
    """Where a list is read: rows modified after `after`, from `offset` on, those up to `last` known already."""

    after: str | None = None
    offset: int = 0
    last: Key | None = None
    total: int | None = None
    #: For lists without an order: which pass over them it is.
    turn: int = 1

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the start."""
        values = {"after": self.after, "offset": self.offset, "last": self.last, "total": self.total, "turn": self.turn}
        return {name: value for name, value in values.items() if value not in (None, 0)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Position":
        """What `to_json` gave."""
        last = data.get("last")
        return cls(**{**data, "last": None if last is None else (str(last[0]), int(last[1]))})


@frozen(kw_only=True)
class Stage:
    """One list that a poll reads. `read` turns its rows into changes."""

    name: str
    path: str
    read: Callable[[Sequence[Record]], list[Change]]
    params: Mapping[str, str] = field(factory=dict)
    #: Ordered by modified time (and read from the last mark on) instead of by id.
    by_modified: bool = False
    #: The stage whose mark to start from where there is none of its own yet.
    follows: str = ""
    #: Without any order: read over and over until every row was met.
    unordered: bool = False


@frozen(kw_only=True)
class Cursor:
    """A poll's place."""

    marks: Mapping[str, str] = field(factory=dict)
    stage: str | None = None
    #: None: at the start of the stage.
    position: Position | None = None
    full: bool = False

    def to_json(self) -> str:
        """The text that core stores."""
        data: dict[str, Any] = {"marks": dict(self.marks)}
        if self.stage is not None:
            data |= {"stage": self.stage, "full": self.full}
            if self.position is not None:
                data["position"] = self.position.to_json()
        return json.dumps(data, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> "Cursor":
        """None, or a text that is not ours, means everything from the start."""
        try:
            data = json.loads(text) if text else None
            if not isinstance(data, dict):
                return cls(full=True)
            return cls(
                marks=data.get("marks", {}),
                stage=data.get("stage"),
                position=Position.from_json(data["position"]) if "position" in data else None,
                full=bool(data.get("full", False)),
            )
        except (ValueError, TypeError, KeyError):
            return cls(full=True)


class Poller:
    """Reads the shop's lists."""

    def __init__(self, shop: Shop, translator: Translator, config: Config, context: Context) -> None:
        self._shop = shop
        self._translate = translator
        self._config = config
        self._context = context

    def poll(self, entity: str, cursor: str | None, filters: BackfillFilters) -> Iterator[Page]:
        """The pages of one entity; an entity that the shop lacks is empty."""
        place = Cursor.from_json(cursor)
        stages = self._stages(entity, place, filters)
        names = [stage.name for stage in stages]
        first = names.index(place.stage) if place.stage in names else 0
        if place.stage not in names:
            place = evolve(place, stage=None, position=None)
        try:
            for index in range(first, len(stages)):
                following = names[index + 1] if index + 1 < len(names) else None
                for page, place in self._read(stages[index], following, place):
                    yield page
                    if self._context.stopping():
                        return
        except NoRoute:
            if entity in ("customer", "order"):
                raise
            yield Page(changes=(), cursor=Cursor(marks=place.marks).to_json(), total=0)
            return
        if not stages:
            yield Page(changes=(), cursor=Cursor(marks=place.marks).to_json(), total=0)

    # -- what is read

    def _stages(self, entity: str, place: Cursor, filters: BackfillFilters) -> list[Stage]:
        build = {
            "customer": self._customer_stages,
            "order": self._order_stages,
            "subscription": self._subscription_stages,
            "membership": self._membership_stages,
            "payment": self._payment_stages,
        }.get(entity)
        if build is None:
            raise ConfigError(f"a WooCommerce shop has no {entity}")
        return build(place.full, place, filters)

    def _customer_stages(self, full: bool, place: Cursor, filters: BackfillFilters) -> list[Stage]:
        accounts = Stage(
            name="accounts",
            path="wc/v3/customers",
            params={"role": "all", "orderby": "id", "order": "asc", "_fields": FIELDS["customer"]},
            read=self._translate.customers,
        )
        guests = self._orders_stage("guests", {"customer": "0"}, only=("customer",))
        wanted = self._translate.guests and (full or "order" not in self._config.entities)
        return [accounts, guests] if wanted else [accounts]

    def _order_stages(self, full: bool, place: Cursor, filters: BackfillFilters) -> list[Stage]:
        orders = self._orders_stage("orders", {})
        return [orders] if full else [self._trash_stage("orders"), orders]

    def _payment_stages(self, full: bool, place: Cursor, filters: BackfillFilters) -> list[Stage]:
        return [self._orders_stage("payments", {}, only=("payment",))]

    def _subscription_stages(self, full: bool, place: Cursor, filters: BackfillFilters) -> list[Stage]:
        return []

    def _membership_stages(self, full: bool, place: Cursor, filters: BackfillFilters) -> list[Stage]:
        return []

    def _orders_stage(self, name: str, params: Mapping[str, str], only: tuple[str, ...] = ()) -> Stage:
        def read(rows: Sequence[Record]) -> list[Change]:
            changes = [change for row in rows for change in self._translate.order(row)]
            return _newest([c for c in changes if not only or c.entity in only])

        ordered = {"orderby": "modified", "order": "asc", "_fields": FIELDS["order"]}
        return Stage(name=name, path="wc/v3/orders", params={**ordered, **params}, read=read, by_modified=True)

    def _trash_stage(self, path: str) -> Stage:
        """What was put into the trash: lists leave it out unless it is asked for by name."""
        read = self._translate.order if path == "orders" else self._translate.subscription
        return Stage(
            name="trash",
            path=f"wc/v3/{path}",
            params={
                "status": TRASH,
                "orderby": "modified",
                "order": "asc",
                "_fields": "id,status,date_modified_gmt",
            },
            read=lambda rows: [change for row in rows for change in read(row)],
            by_modified=True,
            follows=path,
        )

    # -- how it is read

    def _read(self, stage: Stage, following: str | None, place: Cursor) -> Iterator[tuple[Page, Cursor]]:
        here = place.position if place.stage == stage.name else None
        position: Position | None = here or self._start(stage, place)
        top = place.marks.get(stage.name)
        while position is not None:
            fresh, position, total = self._step(stage, position)
            if stage.by_modified and fresh:
                top = max(top or "", _modified(fresh[-1])) or None
            marks = {**place.marks, stage.name: top} if stage.by_modified and top else place.marks
            if position is not None:
                place = evolve(place, marks=marks, stage=stage.name, position=position)
            elif following is not None:
                place = evolve(place, marks=marks, stage=following, position=None)
            else:
                place = Cursor(marks=marks)
            yield Page(changes=stage.read(fresh), cursor=place.to_json(), total=total), place
            if self._config.pause:
                self._context.clock.sleep(self._config.pause)

    def _start(self, stage: Stage, place: Cursor) -> Position:
        mark = place.marks.get(stage.name) or place.marks.get(stage.follows)
        if place.full or not stage.by_modified or mark is None:
            return Position()
        return Position(after=_shift(mark, -OVERLAP))

    def _step(self, stage: Stage, position: Position) -> tuple[list[Record], Position | None, int | None]:
        """The rows of one page that are new, where to go on (None: all read), and how many there are."""
        key, last = _by_modified if stage.by_modified else _by_id, position.last
        while True:
            params = dict(stage.params) | {"per_page": str(PER_PAGE), "offset": str(position.offset)}
            if position.after is not None:
                # Only this form is right on every shop: UTC without a suffix, and saying so.
                params |= {"modified_after": position.after, "dates_are_gmt": "true"}
            listing = self._shop.list(stage.path, params)
            if last is None or not position.offset or (listing.rows and key(listing.rows[0]) <= last):
                break
            # Rows before this page went away, and what moved up was not read yet: step back.
            position = evolve(position, offset=max(0, position.offset - PER_PAGE))
        fresh = [row for row in listing.rows if last is None or key(row) > last]
        total = position.total if position.total is not None else listing.total
        short = len(listing.rows) < PER_PAGE
        if short and (not fresh or listing.total is None or position.offset + len(listing.rows) >= listing.total):
            return fresh, None, total
        newest = key(fresh[-1]) if fresh else last
        ahead = evolve(position, offset=position.offset + PER_PAGE - _SHARED, last=newest, total=total)
        if stage.by_modified and newest is not None and newest[0]:
            floor = _shift(newest[0], -timedelta(seconds=1))
            if floor > (position.after or ""):
                ahead = evolve(ahead, after=floor, offset=0)
        return fresh, ahead, total


def _by_id(row: Record) -> Key:
    return ("", int(row["id"]))


def _by_modified(row: Record) -> Key:
    return (_modified(row), int(row["id"]))


def _modified(row: Record) -> str:
    return str(row.get("date_modified_gmt") or "")


def _shift(mark: str, by: timedelta) -> str:
    at = moment(mark) or datetime(1970, 1, 2, tzinfo=UTC)
    return (at + by).strftime("%Y-%m-%dT%H:%M:%S")


def _newest(changes: Sequence[Change]) -> list[Change]:
    """One change per guest and page: of several orders the newest knows the person best."""
    best: dict[str, Change] = {}
    for change in changes:
        known = best.get(change.key) if change.entity == "customer" else None
        if change.entity == "customer" and (known is None or (change.version or 0) >= (known.version or 0)):
            best[change.key] = change
    seen: set[str] = set()
    out = []
    for change in changes:
        if change.entity != "customer":
            out.append(change)
        elif change.key not in seen:
            seen.add(change.key)
            out.append(best[change.key])
    return out
