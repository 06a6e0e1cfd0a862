"""From an outcome to a settlement: what is written to the outbox, the link and the audit trail."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from attrs import evolve

from .._mapping.shape import changed_fields
from .._swift import swiftly
from ..errors import SynccoreError, redact
from ..store import DirtyRule, HistoryEntry, LinkUpdate, Settlement, Store, Work, together
from ..types import Clock, Delivered, Link, Operation, Settled, SinkOp, Submitted, Uid, Unchanged
from .packed import PART
from .policy import Decision, Park, PauseLane, Retry, Snooze, error_kind, error_text
from .prepare import Preparer, settles_at

#: What needs no further try by itself.
_FINAL = ("done", "skipped", "parked")
_new_settlement, _new_entry = swiftly(Settlement), swiftly(HistoryEntry)
_new_update, _new_settled = swiftly(LinkUpdate), swiftly(Settled)


class Settler:
    """Writes what became of one lane's deliveries and tells the observers."""

    def __init__(
        self,
        sink: str,
        store: Store,
        clock: Clock,
        owes: Mapping[str, tuple[DirtyRule, ...]],
        observe: Callable[[Settled], None],
    ) -> None:
        self._sink = sink
        self._store = store
        self.clock = clock
        self._owes = owes
        self._observe = observe

    # -- building settlements

    def delivered(
        self,
        work: Work,
        operation: Operation,
        outcome: Delivered | Unchanged,
        elapsed: int | None,
        *,
        why: str | None = None,
        made_from: str | None = None,
    ) -> Settlement:
        """The target has it: link, history, and what else is owed because of it."""
        word = "delivered" if isinstance(outcome, Delivered) else "unchanged"
        remote_id = outcome.remote_id or (work.link.remote_id if work.link else None)
        link = self._link_update(work, operation, outcome, remote_id)
        return _new_settlement(
            delivery_id=work.delivery.id,
            token=work.delivery.lease_token or "",
            # Let go of without a link: what says that the route does not want it is the row, as with one skipped.
            to="skipped" if operation.op == "leave" and link is not None and link.remove else "done",
            link=link,
            owes=(*self._owed(work, remote_id), *self._again(work, operation)),
            frees=tuple(map(Uid.parse, outcome.frees)) if isinstance(outcome, Delivered) else (),
            made_from=made_from,
            history=self._entry(
                work,
                word,
                op=operation.op,
                remote_id=remote_id,
                fields=_sent(operation, outcome),
                note=_note(work, operation, outcome, why),
                duration_ms=elapsed,
            ),
        )

    def _link_update(
        self, work: Work, operation: Operation, outcome: Delivered | Unchanged, remote_id: str | None
    ) -> LinkUpdate | None:
        if operation.op == "event":
            return None
        emptied = isinstance(outcome, Delivered)
        if operation.op == "delete" or (operation.op == "leave" and (work.gone or operation.on_leave == "delete")):
            return LinkUpdate(object=operation.object, remote_id=remote_id, remove=True, emptied=emptied)
        if operation.op == "leave":
            return LinkUpdate(
                object=operation.object, remote_id=remote_id, etag=outcome.etag, fields={}, left=True, emptied=emptied
            )
        held = _held(operation, outcome)
        return _new_update(
            object=operation.object,
            remote_id=remote_id,
            etag=outcome.etag,
            fields=held,
            left_out=outcome.left_out,
            asked=operation.fields if held is not operation.fields and changed_fields(operation.fields, held) else None,
            adopted=_adopted(work, operation, outcome, remote_id),
            made=outcome.made if isinstance(outcome, Delivered) else {},
            parent_id=operation.parent.remote_id if operation.parent else None,
            moved=remote_id != (work.link.remote_id if work.link else None),
        )

    def _owed(self, work: Work, remote_id: str | None) -> tuple[DirtyRule, ...]:
        if remote_id is None or (work.link is not None and work.link.remote_id == remote_id and work.link.fields):
            return ()
        return self._owes.get(work.delivery.route, ())

    def _again(self, work: Work, operation: Operation) -> tuple[DirtyRule, ...]:
        """The fields that wait for further changes are owed still."""
        if not operation.later:
            return ()
        delays = [operation.options[n].delay for n in operation.later]
        wait = max(settles_at(work, delay) for delay in delays) - self.clock.now()
        route, entity = work.delivery.route, work.delivery.entity
        return (DirtyRule(route=route, sink=self._sink, entity=entity, delay=max(wait, timedelta(0))),)

    def submitted(self, work: Work, operation: Operation, outcome: Submitted, elapsed: int | None) -> Settlement:
        """Handed to a vendor's job: what was sent is kept until its outcome is known."""
        sent = {
            "op": operation.op,
            "on_leave": operation.on_leave,
            "fields": dict(operation.fields),
            "changed": sorted(operation.changed),
            "idempotency_key": operation.idempotency_key,
            "at": operation.at,
        }
        if work.unheard:
            sent["unheard"] = dict(work.unheard)
        return self._settlement(
            work,
            to="submitted",
            job=outcome.job,
            sent=sent,
            owes=self._again(work, operation),
            history=self._entry(work, "submitted", note=f"job {outcome.job}"[:200], duration_ms=elapsed),
        )

    def restored(self, work: Work, preparer: Preparer | None, op_id: int) -> Operation:
        """A submitted operation as it was sent."""
        delivery = work.delivery
        sent = work.sent or {}
        route = preparer.route if preparer else None
        return Operation(
            id=op_id,
            route=delivery.route,
            object=route.object if route else "",
            op=sent.get("op", delivery.op),
            on_leave=sent.get("on_leave", "keep"),
            source=delivery.source,
            entity=delivery.entity,
            key=delivery.key,
            fields=sent.get("fields", {}),
            changed=frozenset(sent.get("changed", ())),
            options=route.options if route else {},
            match=route.match if route else (),
            link=work.link,
            parent=work.parent,
            idempotency_key=sent.get("idempotency_key", ""),
            event_id=delivery.event_id,
            at=sent.get("at", delivery.last_change_at),
            bulk=delivery.bulk,
            settings=route.settings if route else {},
        )

    def skipped(self, work: Work, reason: str, made_from: str | None = None) -> Settlement:
        """Nothing is owed."""
        return self._settlement(
            work, to="skipped", made_from=made_from, history=self._entry(work, "skipped", note=reason)
        )

    def overtook(self, work: Work, note: str) -> HistoryEntry:
        """Something of it was done at once, ahead of the job that holds an older state."""
        return self._entry(work, "overtook", note=note)

    def let_go(self, work: Work, reason: str) -> Settlement:
        """A record that is not ours to delete, at a target that can do nothing less: the link ends, nothing is sent."""
        link = work.link
        assert link is not None  # noqa: S101  only links are let go of
        update = LinkUpdate(object=link.object, remote_id=link.remote_id, remove=work.gone, fields={}, left=True)
        return evolve(self.skipped(work, reason), link=update)

    def snoozed(self, work: Work, until: datetime, reason: str) -> Settlement:
        """Later, unharmed; the delivery says why while it waits."""
        return self._settlement(
            work,
            to="ready",
            due_at=until,
            maybe_applied=work.delivery.maybe_applied,
            error=reason,
            history=self._entry(work, "snoozed", note=reason),
        )

    def recognised(self, work: Work, found: Link | None, until: datetime, reason: str) -> Settlement:
        """Later, with the twin that an earlier try made, or the knowledge that it made none."""
        later = self.snoozed(work, until, reason)
        if found is None:
            return evolve(later, maybe_applied=False, not_applied=True)
        update = LinkUpdate(
            object=found.object,
            remote_id=found.remote_id,
            etag=found.etag,
            fields={},
            asked=work.unheard or None,
            adopted=found.adopted,
            made=found.made,
        )
        return evolve(later, link=update)

    def parked(self, work: Work, error: BaseException) -> Settlement:
        """Set aside for a person at once, whatever the policy would say."""
        return self.failed(work, error, Park(error_text(error)), None)

    def failed(
        self,
        work: Work,
        error: BaseException,
        decision: Decision,
        elapsed: int | None,
        *,
        maybe_applied: bool = False,
        wait: tuple[str, str, str] | None = None,
    ) -> Settlement:
        """As the policy decided."""
        kind, text = error_kind(error), error_text(error)
        now = self.clock.now()
        match decision:
            case Park(reason):
                to, due_at, word, text = "parked", None, "parked", reason
            case Retry(at):
                to, due_at, word = "ready", at, "retry"
            case Snooze(until):
                to, due_at, word = "ready", until, "snoozed"
            case PauseLane():
                to, due_at, word = "ready", now, "snoozed"
        return self._settlement(
            work,
            to=to,
            due_at=due_at,
            counted=isinstance(decision, Retry) or (isinstance(decision, Park) and _was_tried(error, elapsed)),
            maybe_applied=maybe_applied,
            error_kind=kind,
            error=text,
            wait=wait,
            history=self._entry(work, word, error_kind=kind, error=text, duration_ms=elapsed),
        )

    def unheard(self, work: Work, operation: Operation, settlement: Settlement) -> Settlement:
        """As it is, and, where the try may have been carried out, with what the record may hold besides."""
        link = work.link
        if not settlement.maybe_applied or operation.op != "upsert":
            return settlement
        if link is None:
            return evolve(settlement, unheard=together(work.unheard, operation.fields))
        if not link.mapped:
            return settlement
        sent = {n: value for n in operation.changed if (value := operation.fields.get(n)) is not None}
        held = together(sent, link.mapped)
        return settlement if held == link.mapped else evolve(settlement, may_hold=held)

    def _settlement(self, work: Work, **values: Any) -> Settlement:
        return _new_settlement(delivery_id=work.delivery.id, token=work.delivery.lease_token or "", **values)

    def _entry(
        self,
        work: Work,
        outcome: str,
        *,
        op: SinkOp | None = None,
        remote_id: str | None = None,
        fields: tuple[str, ...] = (),
        error_kind: str | None = None,
        error: str | None = None,
        note: str | None = None,
        duration_ms: int | None = None,
    ) -> HistoryEntry:
        delivery = work.delivery
        return _new_entry(
            at=self.clock.now(),
            route=delivery.route,
            sink=self._sink,
            source=delivery.source,
            entity=delivery.entity,
            key=delivery.key,
            op=op or delivery.op,
            outcome=outcome,
            remote_id=remote_id,
            fields=fields,
            error_kind=error_kind,
            error=error,
            note=note,
            duration_ms=duration_ms,
            delivery_id=delivery.id,
        )

    # -- writing them

    def book(self, token: str | None = None) -> "Book":
        """For what becomes of a step's rows; `token`: the job they are in, where they run no more."""
        return Book(self, token)

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> int:
        """Write all in one transaction; how many are final now. What lost its lease is left to whoever holds it."""
        if not settlements:
            return 0
        lost = self._store.settle(settlements, now)
        for settlement in settlements:
            if settlement.delivery_id not in lost and settlement.history is not None:
                entry = settlement.history
                self._observe(
                    _new_settled(
                        at=entry.at,
                        sink=self._sink,
                        route=entry.route,
                        entity=entry.entity,
                        key=entry.key,
                        outcome=entry.outcome,
                        error_kind=entry.error_kind,
                        reason=entry.error or entry.note,
                    )
                )
        return sum(s.to in _FINAL and s.delivery_id not in lost for s in settlements)


def _was_tried(error: BaseException, elapsed: int | None) -> bool:
    """Whether it was sent, or a plugin's bug kept it: what was only looked at (no expression fits) used no attempt."""
    return elapsed is not None or not isinstance(error, SynccoreError)


class Book:
    """Settles a part at a time: a large step keeps no other writer waiting, and what is written is done.

    Whatever ends it in between, a row that is not written is still running or in its job: it is delivered again (a job
    that holds it knows it), or its outcome is asked for again.
    """

    def __init__(self, settler: Settler, token: str | None) -> None:
        self._settler = settler
        self._token = token
        self._waiting: list[Settlement] = []
        #: How many are final now.
        self.settled = 0

    def add(self, settlements: Iterable[Settlement]) -> None:
        """Write these, once there are enough for a transaction."""
        for settlement in settlements:
            self._waiting.append(evolve(settlement, token=self._token) if self._token else settlement)
            if len(self._waiting) == PART:
                self.close()

    def close(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        self.settled += self._settler.settle(waiting, self._settler.clock.now())


def _held(operation: Operation, outcome: Delivered | Unchanged) -> Mapping[str, Any]:
    """What the target now holds of what was mapped."""
    if outcome.fields is not None:
        return outcome.fields
    if not outcome.left_out:
        return operation.fields
    return {name: value for name, value in operation.fields.items() if name not in outcome.left_out}


@lru_cache(maxsize=64)
def _in_order(names: frozenset[str]) -> tuple[str, ...]:
    """Most records of a listing have the same."""
    return tuple(sorted(names))


def _sent(operation: Operation, outcome: Delivered | Unchanged) -> tuple[str, ...]:
    """The names that really went to the target: changed, not left out, and there (or emptied) now."""
    if not isinstance(outcome, Delivered):
        return ()
    if operation.op == "event":
        return tuple(sorted(operation.changed - outcome.left_out.keys()))
    held = _held(operation, outcome)
    if held is operation.fields and held.keys() >= operation.changed:
        return _in_order(operation.changed)
    emptied = {name for name in operation.changed if operation.fields.get(name) is None}
    return tuple(sorted(n for n in operation.changed - outcome.left_out.keys() if n in held or n in emptied))


def _note(work: Work, operation: Operation, outcome: Delivered | Unchanged, why: str | None) -> str | None:
    """Everything worth a word, for the trail: what the sink says, what was left out, what the record was let go for."""
    if not (why or outcome.note or outcome.left_out or operation.op == "leave"):
        return None  # most of them
    told = [why] if why else []
    # What was asked for is what was done, unless the sink says otherwise: it did nothing, or follows its own setting.
    otherwise = outcome.note and (operation.gone or isinstance(outcome, Unchanged))
    if operation.op == "leave" and not otherwise:
        told.insert(0, operation.on_leave)
    if outcome.note:
        told.append(outcome.note)
    known = work.link.left_out if work.link else {}
    told += [
        f"{name} left out: {reason}" if not reason.startswith("kept") else f"{name} {reason}"
        for name, reason in sorted(outcome.left_out.items())
        # Said once: a field that is left out for ever is no news in every line.
        if known.get(name) != reason or name in operation.changed
    ]
    return redact("; ".join(told)) if told else None


def _adopted(work: Work, operation: Operation, outcome: Delivered | Unchanged, remote_id: str | None) -> bool | None:
    """Whose the twin is; None leaves it as it is known."""
    if outcome.adopted is not None:
        return outcome.adopted
    known, asked = work.link, operation.link
    if known is not None:
        return None if known.remote_id == remote_id else False
    # Made just now, unless a lookup found it.
    return asked is not None and asked.remote_id == remote_id and asked.adopted
