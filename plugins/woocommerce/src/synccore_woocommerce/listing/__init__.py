"""Listing: which pages a poll consists of, and where it goes on after a kill. How one list is read: see `paging`.

A cursor is JSON. Between two polls it holds the marks of each stage (`{"marks": ...}`), in the middle of a listing
also the stage, its position and whether everything is asked for.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve, field, frozen

from synccore.types import BackfillFilters, Change, Clock, Context, Page, Unreadable

from ..changes import Odd
from ..client import Client, Record
from ..errors import NoRoute
from .paging import Order, Part, Position, Unbelievable, modified, ordered, shift, unordered

__all__ = ["Cursor", "Pace", "Poller", "Stage"]

#: Saves that were under way when the last poll read are found again: this much before its newest change.
_OVERLAP = timedelta(seconds=60)
#: A full sweep rests so many times as long as it took.
_REST = 9
Planner = Callable[[str, "Cursor", BackfillFilters], "list[Stage]"]


@frozen(kw_only=True)
class Stage:
    """One list that a poll reads. `read` turns its rows into changes."""

    name: str
    path: str
    entity: str
    read: Callable[[Sequence[Record], Odd], list[Change]]
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
    #: Rows so far that are no customers.
    left_out: int = 0

    def to_json(self) -> str:
        """The text that core stores."""
        data: dict[str, Any] = {"marks": dict(self.marks)}
        if self.stage is not None:
            data |= {"stage": self.stage, "full": self.full, "base": self.base}
            data |= {"left_out": self.left_out} if self.left_out else {}
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
                left_out=int(data.get("left_out", 0)),
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

    def __init__(self, shop: Client, plan: Planner, pace: Pace, pause: timedelta, context: Context) -> None:
        self._shop = shop
        self._plan = plan
        self._pace = pace
        self._pause = pause
        self._context = context

    def poll(self, entity: str, cursor: str | None, filters: BackfillFilters) -> Iterator[Page]:
        """The pages of one entity; an entity that the shop lacks is empty. Raises as `Client.list`."""
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
        left_out = place.left_out
        for part, read_at in self._timed(self._parts(stage, here, self._start(stage, place))):
            ahead, marks = part.ahead, dict(place.marks)
            whole = None if part.total is None else place.base + part.total
            if stage.by_modified and part.rows:
                newest = max(marks.get(stage.name, ""), *(modified(row) for row in part.rows))
                # A shop's clock that is ahead is set right some day: what changes then is dated before what came.
                marks[stage.name] = min(newest, _gmt(read_at))
            if ahead is None and stage.stamps:
                marks[stage.stamps] = _gmt(self._context.clock.now())
            unreadable = [Unreadable(where=where, reason=why, entity=stage.entity) for where, why in part.odd]
            changes = stage.read(part.rows, unreadable.append)
            told = len(changes) + len(unreadable) - len(part.odd)
            others = max(0, len(part.rows) - told) if stage.entity == "customer" else 0
            left_out += others
            if ahead is not None:
                place = evolve(place, marks=marks, stage=stage.name, position=ahead, left_out=left_out)
            elif following is not None:
                place = evolve(place, marks=marks, stage=following, position=None, base=whole or 0, left_out=left_out)
            else:
                place = Cursor(marks=marks)
            yield (
                Page(
                    changes=changes,
                    cursor=place.to_json(),
                    # Who is listed and no customer (staff) is no part of what there is to do.
                    total=None if whole is None else whole - left_out,
                    rows=len(part.rows) + len(part.odd) - others,
                    unreadable=tuple(unreadable),
                    read_at=read_at,
                ),
                place,
            )
            if ahead is None:
                self._pace.finished(stage.name, started)
            if self._pause:
                self._context.clock.sleep(self._pause)

    def _parts(self, stage: Stage, here: Position | None, start: Position) -> Iterator[Part]:
        """The pages from here on; from the start where nobody can go on from here any more, whatever moved since."""
        parts = self._from(stage, here or start)
        try:
            first = next(parts, None)
        except Unbelievable:
            if here is None:
                raise
            parts = self._from(stage, start)
            first = next(parts, None)
        if first is not None:
            yield first
            yield from parts

    def _from(self, stage: Stage, position: Position) -> Iterator[Part]:
        if stage.unordered:
            return unordered(self._shop, stage.path, stage.params, position)
        order = Order(path=stage.path, params=stage.params, by_modified=stage.by_modified)
        return ordered(self._shop, order, position)

    def _timed(self, parts: Iterator[Part]) -> Iterator[tuple[Part, datetime]]:
        """Each page with the time when it was asked for: what webhooks brought since is newer."""
        while True:
            asked_at = self._context.clock.now()
            part = next(parts, None)
            if part is None:
                return
            yield part, asked_at

    def _start(self, stage: Stage, place: Cursor) -> Position:
        mark = place.marks.get(stage.name) or place.marks.get(stage.follows)
        if place.full or not stage.by_modified or not mark:
            return Position()
        return Position(after=shift(min(mark, _gmt(self._context.clock.now())), -_OVERLAP))


def _gmt(at: datetime) -> str:
    """A moment as the shop writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
