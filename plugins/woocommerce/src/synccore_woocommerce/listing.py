"""Listing: how a list is read, and where it goes on after a kill.

Lists are paged by offset, so a row that goes away moves the others up and one is skipped. Lists with an order (id, or
modified time and id) are therefore read by position: each page must begin at or before the last row already read,
otherwise the reader steps back. Orders and subscriptions also move their window along, so that an offset stays small
and any number of rows in one second is read once. Members have no order at all: they are read over and over, with
another page size each time, until as many were met as the shop says there are.

A cursor is JSON. Between two polls it holds the marks of each stage (`{"marks": ...}`), in the middle of a listing
also the stage, its position and whether everything is asked for.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve, field, frozen

from synccore.errors import Transient
from synccore.types import BackfillFilters, Change, Clock, Context, Page

from .client import PER_PAGE, Record, Shop
from .errors import NoRoute
from .mapping import moment

__all__ = ["Cursor", "Pace", "Poller", "Position", "Stage"]

#: Rows that each page shares with the one before.
_SHARED = 5
#: Saves that were under way when the last poll read are found again: this much before its newest change.
_OVERLAP = timedelta(seconds=60)
#: How often a list without an order is read before what was met has to do, and how often without meeting anybody new.
_TURNS = 12
_BARREN = 2
#: A full sweep rests so many times as long as it took.
_REST = 9
Key = tuple[str, int]
Planner = Callable[[str, "Cursor", BackfillFilters], "list[Stage]"]


@frozen(kw_only=True)
class Position:
    """Where a list is read: rows modified after `after`, from `offset` on, those up to `last` known already."""

    after: str | None = None
    offset: int = 0
    last: Key | None = None
    total: int | None = None
    #: For lists without an order: which time they are read.
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
    #: Without any order.
    unordered: bool = False
    #: The stage whose mark to start from where there is none of its own yet.
    follows: str = ""
    #: A mark that gets the time when this stage has been read.
    stamps: str = ""
    #: Runs before the first page.
    before: Callable[[], None] | None = None


@frozen(kw_only=True)
class Cursor:
    """A poll's place."""

    marks: Mapping[str, str] = field(factory=dict)
    stage: str | None = None
    #: None: at the start of the stage.
    position: Position | None = None
    full: bool = False
    #: Rows of the stages before, so that the total is that of the whole poll.
    base: int = 0

    def to_json(self) -> str:
        """The text that core stores."""
        data: dict[str, Any] = {"marks": dict(self.marks)}
        if self.stage is not None:
            data |= {"stage": self.stage, "full": self.full, "base": self.base}
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
                base=int(data.get("base", 0)),
            )
        except (ValueError, TypeError, KeyError):
            return cls(full=True)


class Pace:
    """Keeps full sweeps polite: a list that takes a minute to read is read again after ten, however short `poll` is.

    It lasts as long as the process: one that was just started reads everything, since it may have missed something.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._took: dict[str, tuple[datetime, timedelta]] = {}

    def finished(self, name: str, started: datetime) -> None:
        """A sweep was read to its end."""
        now = self._clock.now()
        self._took[name] = (now, now - started)

    def due(self, name: str) -> bool:
        """Whether it is time to sweep again."""
        ended, took = self._took.get(name, (None, timedelta(0)))
        return ended is None or self._clock.now() - ended >= _REST * took


class Poller:
    """Reads the shop's lists, one stage after the other. `plan` says which stages an entity has."""

    def __init__(self, shop: Shop, plan: Planner, pace: Pace, pause: timedelta, context: Context) -> None:
        self._shop = shop
        self._plan = plan
        self._pace = pace
        self._pause = pause
        self._context = context

    def poll(self, entity: str, cursor: str | None, filters: BackfillFilters) -> Iterator[Page]:
        """The pages of one entity; an entity that the shop lacks is empty. Raises as `Shop.list`."""
        place = Cursor.from_json(cursor)
        stages = self._plan(entity, place, filters)
        names = [stage.name for stage in stages]
        if place.stage not in names:
            place = evolve(place, stage=None, position=None)
        first = names.index(place.stage) if place.stage is not None else 0
        try:
            for stage, following in list(zip(stages, [*names[1:], None], strict=False))[first:]:
                for page, reached in self._read(stage, following, place):
                    place = reached
                    yield page
                    if self._context.stopping():
                        return
        except NoRoute:
            if entity in ("customer", "order"):
                raise
            yield Page(changes=(), cursor=Cursor(marks=place.marks).to_json(), total=0)

    def _read(self, stage: Stage, following: str | None, place: Cursor) -> Iterator[tuple[Page, Cursor]]:
        here = place.position if place.stage == stage.name else None
        started = self._context.clock.now()
        if stage.before is not None:
            stage.before()
        steps = self._unordered(stage, here or Position()) if stage.unordered else self._ordered(stage, here, place)
        for rows, ahead, total in steps:
            marks = dict(place.marks)
            whole = None if total is None else place.base + total
            if stage.by_modified and rows:
                marks[stage.name] = max(marks.get(stage.name, ""), _modified(rows[-1]))
            if ahead is None and stage.stamps:
                marks[stage.stamps] = self._context.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
            if ahead is not None:
                place = evolve(place, marks=marks, stage=stage.name, position=ahead)
            elif following is not None:
                place = evolve(place, marks=marks, stage=following, position=None, base=whole or 0)
            else:
                place = Cursor(marks=marks)
            yield Page(changes=stage.read(rows), cursor=place.to_json(), total=whole), place
            if ahead is None:
                self._pace.finished(stage.name, started)
            if self._pause:
                self._context.clock.sleep(self._pause)

    # -- lists with an order

    def _ordered(
        self, stage: Stage, here: Position | None, place: Cursor
    ) -> Iterator[tuple[Sequence[Record], Position | None, int | None]]:
        position: Position | None = here or self._start(stage, place)
        while position is not None:
            rows, position, total = self._step(stage, position)
            yield rows, position, total

    def _start(self, stage: Stage, place: Cursor) -> Position:
        mark = place.marks.get(stage.name) or place.marks.get(stage.follows)
        if place.full or not stage.by_modified or not mark:
            return Position()
        return Position(after=_shift(mark, -_OVERLAP))

    def _step(self, stage: Stage, position: Position) -> tuple[Sequence[Record], Position | None, int | None]:
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
        end = position.offset + len(listing.rows)
        if len(listing.rows) < PER_PAGE and (not fresh or listing.total is None or end >= listing.total):
            return fresh, None, total
        if not fresh and listing.total is not None and position.offset >= listing.total:
            raise Transient(f"{stage.path} gives the same page again and again: is there a cache in front of the shop?")
        newest = key(fresh[-1]) if fresh else last
        ahead = evolve(position, offset=position.offset + PER_PAGE - _SHARED, last=newest, total=total)
        if stage.by_modified and newest is not None and newest[0]:
            floor = _shift(newest[0], -timedelta(seconds=1))
            if floor > (position.after or ""):
                ahead = evolve(ahead, after=floor, offset=0)
        return fresh, ahead, total

    # -- lists without an order

    def _unordered(
        self, stage: Stage, position: Position
    ) -> Iterator[tuple[Sequence[Record], Position | None, int | None]]:
        """`offset` counts pages here. What was met before a kill is met again: a resumed turn proves nothing."""
        met: set[int] = set()
        before, barren = 0, 0
        while True:
            size = PER_PAGE - 3 * (position.turn - 1)
            params = {**stage.params, "per_page": str(size), "page": str(position.offset + 1)}
            listing = self._shop.list(stage.path, params)
            fresh = [row for row in listing.rows if int(row["id"]) not in met]
            met.update(int(row["id"]) for row in listing.rows)
            short = len(listing.rows) < size or not fresh
            end = position.offset * size + len(listing.rows)
            ended = not listing.rows or (short and (listing.total is None or end >= listing.total))
            ahead: Position | None = evolve(position, offset=position.offset + 1)
            if ended:
                barren = barren + 1 if len(met) == before else 0
                before = len(met)
                enough = listing.total is None or len(met) >= listing.total
                tired = position.turn >= _TURNS or barren == _BARREN
                if tired and not enough:
                    self._context.log.warning("list_incomplete", path=stage.path, met=len(met), total=listing.total)
                ahead = None if enough or tired else Position(turn=position.turn + 1)
            yield fresh, ahead, listing.total
            if ahead is None:
                return
            position = ahead


def _by_id(row: Record) -> Key:
    return ("", int(row["id"]))


def _by_modified(row: Record) -> Key:
    return (_modified(row), int(row["id"]))


def _modified(row: Record) -> str:
    return str(row.get("date_modified_gmt") or "")


def _shift(mark: str, by: timedelta) -> str:
    at = moment(mark) or datetime(1970, 1, 2, tzinfo=UTC)
    return (at + by).strftime("%Y-%m-%dT%H:%M:%S")
