"""Sending events: singly, or many in one request."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import evolve

from synccore.errors import Rejected, SynccoreError, WaitFor
from synccore.types import Context, Delivered, Failed, Operation, Outcome, each

from .client import BULK_EVENTS, EVENT, MAX_BATCH, Client, dumps
from .config import Config
from .errors import ApiError
from .events import EARLIEST, LATEST, Event, plan

__all__ = ["Events"]

EVENTS_LIMIT = 1000
REQUEST_LIMIT = 4_900_000
_BEGAN, _HALF = "began:", "half told:"


class Events:
    """Sends the object `event`."""

    def __init__(self, client: Client, config: Config, context: Context) -> None:
        self._client = client
        self._commerce = config.commerce_events
        self._clock = context.clock
        self._state = context.state()

    def begin(self, route: str) -> None:
        """From now on this route has news, unless it had before."""
        if self._state.get(_BEGAN + route) is None:
            self._state.put({_BEGAN + route: self._clock.now().isoformat()})

    def deliver(self, operations: Sequence[Operation]) -> list[Outcome]:
        """One outcome per operation, in order."""
        outcomes: dict[int, Outcome] = {}
        planned: dict[int, list[Event]] = {}
        for op in operations:
            try:
                found = self._plan(op)
            except (Rejected, WaitFor) as error:
                outcomes[op.id] = Failed(error)
                continue
            if isinstance(found, str):
                outcomes[op.id] = _done(op, found)
            else:
                planned[op.id] = found
        wanted = [op for op in operations if op.id in planned]
        if len(wanted) > MAX_BATCH or (len(wanted) > 1 and wanted[0].bulk):
            outcomes |= self._send_many(wanted, planned)
        else:
            outcomes |= self._send_each(wanted, planned)
        return [outcomes[op.id] for op in operations]

    def foretell(self, operation: Operation) -> str:
        """What `deliver` would say of it."""
        try:
            found = self._plan(operation)
        except (Rejected, WaitFor) as error:
            return error.message
        return found if isinstance(found, str) else f"would send {_said(found)}"

    def _plan(self, operation: Operation) -> list[Event] | str:
        if operation.op in ("delete", "leave"):
            return "no event: the record was deleted in the shop, or the route no longer wants it"
        if operation.bulk and not operation.settings.get("backfill"):
            return "remembered only, as the state to compare with: the past sends no event"
        if operation.entity == "order" and not self._commerce and not operation.fields.get("metric"):
            return "no event: commerce_events is off"
        now = self._clock.now()
        began = self._state.get(_BEGAN + operation.route)
        events = plan(operation, now, began and datetime.fromisoformat(began))
        if not events:
            return "no event: this change is none"
        latest = now + LATEST
        return [evolve(e, time=min(max(e.time, EARLIEST), latest).replace(microsecond=0)) for e in events]

    def _send_each(self, operations: Sequence[Operation], planned: Mapping[int, list[Event]]) -> dict[int, Outcome]:
        outcomes = each(operations, lambda op: self._send(op, planned[op.id]))
        return {op.id: outcome for op, outcome in zip(operations, outcomes, strict=True)}

    def _send(self, operation: Operation, events: Sequence[Event]) -> Outcome:
        """What was taken of it before is not told again: Klaviyo would drop it of the same profile alone."""
        half = f"{_HALF}{operation.route}:{operation.uid}"
        before = frozenset[str](self._state.get(half) or ()) if len(events) > 1 else frozenset[str]()
        told = [event.unique_id for event in events if event.unique_id in before]
        try:
            for event in (one for one in events if one.unique_id not in before):
                attributes = event.attributes() | {"profile": event.profile()}
                if operation.bulk:
                    attributes["backfill"] = True
                self._client.call(EVENT, body={"data": {"type": "event", "attributes": attributes}})
                told.append(event.unique_id)
        except SynccoreError:
            if told:
                self._state.put({half: told})
            raise
        if before:
            self._state.put({half: None})
        return _done(operation, _said(events))

    def _send_many(self, operations: Sequence[Operation], planned: Mapping[int, list[Event]]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        for chunk in _chunks(operations, planned):
            members = [op for op, _ in chunk]
            entries = [entry for _, encoded in chunk for entry in encoded]
            # The first stands for all: what stops the request stops every one of them.
            result = each(members[:1], lambda op, entries=entries: self._post(op, entries))[0]  # type: ignore[misc]
            if isinstance(result, Failed) and isinstance(result.error, ApiError):
                # The request is refused as a whole; one by one the bad event alone stays behind.
                outcomes |= self._send_each(members, planned)
            else:
                failed = isinstance(result, Failed)
                outcomes |= {op.id: result if failed else _done(op, _said(planned[op.id])) for op in members}
        return outcomes

    def _post(self, operation: Operation, entries: Sequence[bytes]) -> Outcome:
        head = b'{"data":{"type":"event-bulk-create-job","attributes":{"events-bulk-create":{"data":['
        self._client.call(BULK_EVENTS, body=head + b",".join(entries) + b"]}}}}")
        return _done(operation, "")


def _chunks(
    operations: Sequence[Operation], planned: Mapping[int, list[Event]]
) -> Iterator[list[tuple[Operation, list[bytes]]]]:
    chunk: list[tuple[Operation, list[bytes]]] = []
    count = size = 0
    for op in operations:
        entries = [_entry(op, e) for e in planned[op.id]]
        length = sum(len(e) + 1 for e in entries)
        if chunk and (count + len(entries) > EVENTS_LIMIT or size + length > REQUEST_LIMIT):
            yield chunk
            chunk, count, size = [], 0, 0
        chunk.append((op, entries))
        count += len(entries)
        size += length
    if chunk:
        yield chunk


def _entry(operation: Operation, event: Event) -> bytes:
    one = {"type": "event", "attributes": event.attributes()}
    attributes: dict[str, Any] = {"profile": event.profile(), "events": {"data": [one]}}
    if operation.bulk:
        attributes["backfill"] = True
    return dumps({"type": "event-bulk-create", "attributes": attributes})


def _said(events: Sequence[Event]) -> str:
    return ", ".join(dict.fromkeys(event.said or event.metric for event in events))


def _done(operation: Operation, note: str) -> Delivered:
    """Delivered as a state, so that the next change has something to compare with."""
    return Delivered(remote_id=operation.uid if operation.op != "event" else None, note=note)
