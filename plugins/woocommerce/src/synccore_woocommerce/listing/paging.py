"""Reading a list to its end, whatever host, cache or plugin stands between.

Lists are paged by offset, so a row that goes away moves the others up and one is skipped. Lists with an order (id, or
modified time and id) are therefore read by position: each page must begin at or before the last row already read,
otherwise the reader steps back. Orders and subscriptions also move their window along, so that an offset stays small
and any number of rows in one second is read once. Members have no order at all: they are read over and over, with
another page size each time, until as many were met as the shop says there are.

Hosts and plugins cap a page, ignore its size, its offset or the whole query, and take the totals away. So a reader goes
on by the rows that came, not by those it asked for; it ends at an empty page, or where the total says so; and it fails
with its reason where a list can only have been read in part: who was not seen is neither synced nor gone.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from attrs import evolve, field, frozen

from synccore.errors import Transient

from ..client import OLDEST, PER_PAGE, QUERY_LOST, Client, Listing, Record
from ..mapping.dates import moment
from ..php import key, text

__all__ = ["Order", "Part", "Position", "Unbelievable", "modified", "only", "ordered", "shift", "unordered", "whole"]

#: Rows that each page shares with the one before.
_SHARED = 5
#: How often a list without an order is read before it is given up, and how often without meeting anybody new.
_TURNS = 12
_BARREN = 2
#: A page of one row may be the one before once more, where rows change places; not so often.
_ALIKE = 5
#: Local times go back an hour once a year.
_TOLERANCE = timedelta(hours=1)

Mark = tuple[str, int]


class Unbelievable(Transient):
    """A list is no whole one. What a shop does not answer is another matter."""


@frozen(kw_only=True)
class Position:
    """Where a list is read: rows modified after `after`, from `offset` on, those up to `last` known already."""

    after: str | None = None
    offset: int = 0
    last: Mark | None = None
    #: How long the list was said to be at first (for people), and on the page before.
    total: int | None = None
    latest: int | None = None
    #: Known rows that the next page must begin with, and how many rows came at a time.
    shared: int = 0
    size: int = 0
    #: Set where the shop ignores `offset`: the page to ask for instead.
    page: int = 0
    #: For lists without an order: which time they are read.
    turn: int = 1

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the start."""
        names = ("after", "offset", "last", "total", "latest", "shared", "size", "page", "turn")
        return {name: value for name in names if (value := getattr(self, name)) not in (None, 0)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Position":
        """What `to_json` gave."""
        last = data.get("last")
        return cls(**{**data, "last": None if last is None else (str(last[0]), int(last[1]))})


@frozen(kw_only=True)
class Order:
    """Which list, and how it is sorted."""

    path: str
    params: Mapping[str, str] = field(factory=dict)
    #: Ordered by modified time instead of by id.
    by_modified: bool = False

    def mark(self, row: Record) -> Mark:
        """Where a row stands in the list."""
        return (modified(row) if self.by_modified else "", int(key(row.get("id")) or 0))


@frozen(kw_only=True)
class Part:
    """A page: its rows that are new, those that are no records (by place), where to go on (None: all read)."""

    rows: Sequence[Record]
    odd: Sequence[tuple[str, str]]
    ahead: Position | None
    total: int | None


# -- lists with an order


def ordered(shop: Client, order: Order, position: Position) -> Iterator[Part]:
    """The pages from a position on. Raises as `Client.page`, and Unbelievable where the list ends short."""
    here: Position | None = position
    while here is not None:
        part = _step(shop, order, here)
        here = part.ahead
        yield part


def whole(shop: Client, path: str, params: Mapping[str, str], fields: str) -> Iterator[Record]:
    """All rows of a list that can be sorted by id. Raises as `ordered`."""
    order = Order(path=path, params={**params, "orderby": "id", "order": "asc", "_fields": fields})
    for part in ordered(shop, order, Position()):
        yield from part.rows


def only(path: str, rows: Iterable[Record], column: str, wanted: Collection[str]) -> None:
    """Raises Transient where a row is another than was asked for: its filter was lost on the way.

    A row that does not say is believed; account 0 is nobody.
    """
    for row in rows:
        if column in row and (text(row[column]) or "0").lower() not in wanted:
            raise _short(Order(path=path), f"it holds rows of another {column} than was asked for")


def _step(shop: Client, order: Order, position: Position) -> Part:
    last = position.last
    while True:
        listing = shop.page(order.path, _params(order, position))
        rows, odd = _split(listing, order.path, position.offset)
        moved = _moved_up(order, position, rows) or _moved_behind(shop, order, position, listing)
        if not position.offset or not moved:
            break
        # Rows before this page went away, and what moved up was not read yet: step back over rows that are known.
        back = min(position.offset, position.size or PER_PAGE)
        shared = position.shared + back
        position = evolve(position, offset=position.offset - back, shared=shared, latest=listing.total)
    _believe(order, position, listing, rows)
    fresh = [row for row in rows if last is None or order.mark(row) > last]
    total = position.total if position.total is not None else listing.total
    came = len(listing.rows)
    end = (position.page - 1) * position.size + came if position.page else position.offset + came
    if not came:
        if position.latest is not None and end < position.latest:
            raise _short(order, f"it ends after {end} of {position.latest} rows")
        return Part(rows=fresh, odd=odd, ahead=None, total=total)
    known = bool(rows) and not fresh
    if listing.total is not None and end == listing.total and not (known and _is_repeated(position, came)):
        return Part(rows=fresh, odd=odd, ahead=None, total=total)
    here = evolve(position, total=total, latest=listing.total)
    return Part(rows=fresh, odd=odd, ahead=_ahead(order, here, rows, fresh, came), total=total)


def _moved_up(order: Order, position: Position, rows: Sequence[Record]) -> bool:
    """Whether rows went away before this page: it begins behind what it shares."""
    return position.shared > 0 and (not rows or position.last is None or order.mark(rows[0]) > position.last)


def _moved_behind(shop: Client, order: Order, position: Position, listing: Listing) -> bool:
    """Pages of one row share nothing: the row before it, looked at afterwards, says whether it still stood there."""
    if not position.offset or position.size != 1 or position.shared or len(listing.rows) > 1:
        return False
    before = shop.page(order.path, _params(order, evolve(position, offset=position.offset - 1)))
    rows, odd = _split(before, order.path, position.offset - 1)
    return not odd and (not rows or position.last is None or order.mark(rows[0]) > position.last)


def _params(order: Order, position: Position) -> dict[str, str]:
    params = {**order.params, "per_page": str(PER_PAGE)}
    params |= {"page": str(position.page)} if position.page else {"offset": str(position.offset)}
    if position.after is not None:
        # Only this form is right on every shop: UTC without a suffix, and saying so.
        params |= {"modified_after": position.after, "dates_are_gmt": "true"}
    return params


def _split(listing: Listing, path: str, offset: int) -> tuple[list[Record], list[tuple[str, str]]]:
    """Rows that are records, and the places of those that are none."""
    rows: list[Record] = []
    odd: list[tuple[str, str]] = []
    for place, row in enumerate(listing.rows, offset + 1):
        if isinstance(row, dict) and key(row.get("id")) is not None:
            rows.append(row)
        else:
            reason = "it has no id" if isinstance(row, dict) else f"it is no record but {_kind(row)}"
            odd.append((f"row {place} of {path}", reason))
    return rows, odd


def _kind(value: Any) -> str:
    names = {type(None): "null", list: "a list", str: "a text", bool: "a truth value"}
    return names.get(type(value), "a number")


def _believe(order: Order, position: Position, listing: Listing, rows: Sequence[Record]) -> None:
    """Raises where the page cannot be what was asked for. Stores with orders as posts sort by their local time."""
    marks = [order.mark(row) for row in rows]
    if _descends(marks) and (not order.by_modified or _descends([str(row.get("date_modified") or "") for row in rows])):
        raise _short(order, "it is not in the order that was asked for")
    if position.after is not None and marks and marks[0][0] and shift(marks[0][0], _TOLERANCE) < position.after:
        raise _short(order, f"it holds what did not change since the last poll ({OLDEST} or newer is needed for that)")
    if not listing.rows and listing.total and not position.offset and not position.page:
        raise _short(order, f"it is empty, and said to have {listing.total} rows")


def _descends(marks: Sequence[Any]) -> bool:
    return any(one > other for one, other in pairwise(marks))


def _ahead(order: Order, position: Position, rows: Sequence[Record], fresh: Sequence[Record], came: int) -> Position:
    newest = order.mark(fresh[-1]) if fresh else position.last
    ahead = evolve(position, last=newest, size=came)
    if position.page:
        if not fresh:
            raise _short(order, "it gives the same page again and again")
        return evolve(ahead, page=position.page + 1, size=position.size)
    if not fresh and rows and position.offset:
        if _is_repeated(position, came):
            # Pages by number may not be ignored.
            return evolve(ahead, page=2, offset=0, shared=0, size=position.size or came)
        return evolve(ahead, offset=position.offset + came, shared=0)
    # Where a window begins all rows of a page may be known: the next one shares some of them as well.
    shared = min(_SHARED, came - 1)
    ahead = evolve(ahead, offset=position.offset + came - shared, shared=shared)
    if order.by_modified and newest is not None and newest[0]:
        floor = shift(newest[0], -timedelta(seconds=1))
        if floor > (position.after or ""):
            ahead = evolve(ahead, after=floor, offset=0, shared=0, latest=None)
    return ahead


def _is_repeated(position: Position, came: int) -> bool:
    """Whether a page of known rows is the one before it once more: `offset` is ignored, and where it ends unknown."""
    return position.offset > 0 and came > position.shared


def _short(order: Order, what: str) -> Unbelievable:
    return Unbelievable(f"the list {order.path} cannot be believed: {what}; {QUERY_LOST}", outage=False)


# -- lists without an order


def unordered(shop: Client, path: str, params: Mapping[str, str], position: Position) -> Iterator[Part]:
    """The pages of a list without an order, over and over until all were met.

    `offset` counts pages or rows, see `_window`. What was met before a kill is met again: a resumed turn proves
    nothing. Raises as `ordered`.
    """
    order = Order(path=path, params=params)
    told: set[int] = set()
    #: Since when nobody went away: whoever did stands in nobody's place.
    met: set[int] = set()
    length: int | None = None
    turn = _Turn(resumed=position.offset > 0)
    barren = 0
    while True:
        listing = shop.page(path, {**params, **_window(position)})
        rows, odd = _split(listing, path, turn.got)
        marks = [order.mark(row)[1] for row in rows]
        again = bool(marks) and marks == turn.previous and (len(marks) > 1 or turn.alike >= _ALIKE)
        if again and position.turn % 2:
            raise _short(order, "it gives the same page again and again")
        if listing.total is not None and listing.rows:
            if length is not None and listing.total < length:
                met.clear()
            length = listing.total
        fresh = [row for row, mark in zip(rows, marks, strict=True) if mark not in told]
        turn = turn.with_page(len(listing.rows), marks, len(odd), len(set(marks) - met))
        told.update(marks)
        met.update(marks)
        total = listing.total if listing.rows else position.latest
        ahead: Position | None = _next_window(position, len(listing.rows), total)
        counted = listing.total is not None and position.turn % 2 == 1 and turn.got == listing.total
        # In a turn by rows, the same page again means that `offset` is ignored: there is no more in this turn.
        if not listing.rows or again or counted:
            barren = 0 if turn.fresh else barren + 1
            alone = turn.pages <= 2 and position.turn == 1 and not turn.resumed
            enough = len(met) + turn.odd >= total if total is not None else (alone or barren >= _BARREN)
            if not enough and (position.turn >= _TURNS or (total is not None and barren > _BARREN)):
                raise _short(order, f"{len(met)} of {total} rows were met" if total else "it is another each time")
            turn = _Turn()
            ahead = None if enough else Position(turn=position.turn + 1)
        yield Part(rows=fresh, odd=odd, ahead=ahead, total=total)
        if ahead is None:
            return
        position = ahead


@frozen(kw_only=True)
class _Turn:
    """What one reading of a list without an order has brought so far."""

    resumed: bool = False
    pages: int = 0
    got: int = 0
    odd: int = 0
    fresh: int = 0
    previous: list[int] | None = None
    #: How many pages in a row were the one before once more.
    alike: int = 0

    def with_page(self, came: int, marks: list[int], odd: int, fresh: int) -> "_Turn":
        return evolve(
            self,
            pages=self.pages + 1,
            got=self.got + came,
            odd=self.odd + odd,
            fresh=self.fresh + fresh,
            previous=marks,
            alike=self.alike + 1 if marks == self.previous else 0,
        )


def _window(position: Position) -> dict[str, str]:
    """Rows of one second change places with the slice that is looked at: each turn looks at other slices."""
    size = PER_PAGE - 3 * (position.turn - 1)
    if position.turn % 2:
        return {"per_page": str(size), "page": str(position.offset + 1)}
    return {"per_page": str(size), "offset": str(position.offset)}


def _next_window(position: Position, came: int, total: int | None) -> Position:
    """Pages in odd turns; in even ones rows, each slice beginning a few before the last one ended."""
    step = 1 if position.turn % 2 else max(1, came - position.turn)
    return evolve(position, offset=position.offset + step, latest=total)


# -- modified times


def modified(row: Record) -> str:
    """A row's modified time, UTC, in the form the shop takes; "" where it has none."""
    return str(row.get("date_modified_gmt") or "")


def shift(mark: str, by: timedelta) -> str:
    """Another time in the same form."""
    at = moment(mark) or datetime(1970, 1, 2, tzinfo=UTC)
    with suppress(OverflowError):  # at either end of what a date can be
        at += by
    return at.replace(tzinfo=None).isoformat(timespec="seconds")
