"""The one door into the outbox. Concurrent webhooks share one commit: whoever comes first commits for all who wait."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from attrs import evolve, fields

from ..store import Ingest, Ingested, Store, StoreError
from ..types import Change, Clock, Unreadable
from ..values import encodable

#: What a value of the wrong kind ends in, wherever it is met first.
_MALFORMED = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)
_COUNTS = tuple(field.name for field in fields(Ingested) if field.name not in ("sinks", "lent"))

#: What share of the last commit's time the next one waits for those who shared it, and how many seconds at most.
PATIENCE, MOST_PATIENCE = 0.5, 0.001


class _Ticket:
    def __init__(self, unit: Ingest, before: "_Ticket | None" = None) -> None:
        self.unit = unit
        #: What has to be taken before it.
        self.before = before
        self.result: Ingested | None = None
        self.error: Exception | None = None
        #: Whether it is this one's turn to commit for all who wait; whoever says so opens `turn`.
        self.leads = False
        self.turn = threading.Lock()
        self.turn.acquire()


def _name(text: str) -> str:
    """Without the zero character too: it ends a text for SQLite's JSON, and PostgreSQL has none."""
    return encodable(text).replace("\0", "\N{REPLACEMENT CHARACTER}")


def _storable(change: Any) -> Any:
    """A change whose names can be stored and sent; what its record holds is mended where it is written."""
    key = change.key
    if change.event_id is change.owner is None and not change.replaces and key.isascii() and "\0" not in key:
        return change  # most of them
    names = (change.key, change.event_id, change.owner.key if change.owner else None, *change.replaces)
    if all(name is None or name == _name(name) for name in names):
        return change
    return evolve(
        change,
        key=_name(change.key),
        event_id=change.event_id and _name(change.event_id),
        owner=change.owner and evolve(change.owner, key=_name(change.owner.key)),
        replaces=tuple(map(_name, change.replaces)),
    )


def _told(change: Change, error: Exception) -> Unreadable:
    """A change that cannot be kept. Without its key: asking for the record again would bring the same."""
    reason = f"the plugin gave it in a form that cannot be kept: {type(error).__name__}"
    return Unreadable(where=f"{change.entity} {change.key}", reason=reason, entity=change.entity)


def _sum(results: Iterable[Ingested]) -> Ingested:
    whole = Ingested()
    for one in results:
        counts = {name: getattr(whole, name) + getattr(one, name) for name in _COUNTS}
        whole = Ingested(**counts, sinks=whole.sinks | one.sinks, lent={**whole.lent, **one.lent})
    return whole


class Intake:
    """`submit` returns after the commit, never before."""

    def __init__(self, store: Store, clock: Clock, wake: Callable[[Iterable[str]], None]) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._guard = threading.Lock()
        self._waiting: list[_Ticket] = []
        #: Whether somebody commits, or was told that it is their turn.
        self._led = False
        #: How many may share the next commit (those of the last one, and who came during it), and for how many seconds
        #: they are waited for: a share of what that one took.
        self._expected, self._patience = 1, 0.0
        self._all_here = threading.Condition(self._guard)

    def submit(self, *units: Ingest) -> Ingested:
        """Take units in their order; durable when this returns. Raises what kept one from being taken: then nothing of
        it was, and nothing of what came after it."""
        tickets: list[_Ticket] = []
        for unit in units:
            storable = evolve(unit, changes=tuple(map(_storable, unit.changes)))
            tickets.append(_Ticket(storable, tickets[-1] if tickets else None))
        # They wait as one: whoever takes the first takes all.
        ticket = tickets[0]
        with self._guard:
            self._waiting += tickets
            ticket.leads, self._led = not self._led, True
            if len(self._waiting) >= self._expected:
                self._all_here.notify()
        try:
            if not ticket.leads:
                ticket.turn.acquire()
            group = self._gathered() if ticket.leads else []
        except BaseException:
            self._leave(*tickets)
            raise
        if group:
            self._lead(group)
        results = []
        for one in tickets:
            if one.result is None:
                raise one.error or RuntimeError("an intake ticket was lost")
            results.append(one.result)
        return results[0] if len(results) == 1 else _sum(results)

    def _gathered(self) -> list[_Ticket]:
        """All who wait. Where several came side by side they are let come again: to share a commit costs a third."""
        with self._guard:
            self._all_here.wait_for(lambda: len(self._waiting) >= self._expected, self._patience)
            group, self._waiting = self._waiting, []
        return group

    def _leave(self, *tickets: _Ticket) -> None:
        """Interrupted while they waited: the turn is left to whoever is behind."""
        with self._guard:
            if tickets[0] in self._waiting:
                self._waiting = [one for one in self._waiting if one not in tickets]
                if tickets[0].leads:
                    self._pass_on()

    def _lead(self, group: list[_Ticket]) -> None:
        """Commit for all, then wake each of them alone, and who commits next first."""
        began = time.perf_counter()
        try:
            self._commit(group)
        finally:
            with self._guard:
                self._expected = len(group) + len(self._waiting)
                self._patience = min(PATIENCE * (time.perf_counter() - began), MOST_PATIENCE)
                self._pass_on()
            for ticket in group:
                ticket.turn.release()

    def _pass_on(self) -> None:
        self._led = bool(self._waiting)
        if self._led:
            self._waiting[0].leads = True
            self._waiting[0].turn.release()

    def _commit(self, group: list[_Ticket]) -> None:
        if (first := group[0]).before is not None and first.before.error is not None:
            first.error = first.before.error  # it stands alone by now
            return
        try:
            self._write(group)
        except StoreError as error:
            # Nobody's fault: taken alone, each would wait as long for a database that is away, one after the other.
            for ticket in group:
                ticket.error = error
        except Exception as error:  # noqa: BLE001  whose fault it is shows when each is taken alone
            if len(group) > 1:
                for ticket in group:
                    self._commit([ticket])
            elif isinstance(error, _MALFORMED) and group[0].unit.changes:
                self._commit_apart(group[0])
            else:
                group[0].error = error

    def _commit_apart(self, ticket: _Ticket) -> None:
        """Change by change: one that a plugin made wrongly is told, and holds up none of those beside it."""
        unit = ticket.unit
        flawed = []
        tickets = []
        for change in unit.changes:
            tickets.append(
                alone := _Ticket(evolve(unit, changes=(change,), unreadable=(), cursor=None, answers=(), loans=()))
            )
            try:
                self._write([alone])
            except _MALFORMED as error:
                flawed.append(_told(change, error))
            except Exception as error:  # noqa: BLE001  the store's: nothing of the unit is acknowledged
                ticket.error = error
                return
        # The cursor comes last, when what it leaves behind is durable.
        rest = _Ticket(evolve(unit, changes=(), unreadable=(*unit.unreadable, *flawed)))
        try:
            self._write([rest])
        except Exception as error:  # noqa: BLE001  as above
            ticket.error = error
            return
        ticket.result = _sum(t.result for t in (*tickets, rest) if t.result is not None)

    def _write(self, group: list[_Ticket]) -> None:
        results = self._store.ingest([t.unit for t in group], self._clock.now())
        sinks: set[str] = set()
        for ticket, result in zip(group, results, strict=True):
            ticket.result = result
            sinks |= result.sinks
        self._wake(sinks)
