"""Write-back: a source as the target of its own lane. Remote ids go back to the shop through the same outbox."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .._mapping.shape import changed_fields
from ..hookspecs import Source
from ..store import DirtyRule, Store, Work
from ..types import Limits, MapContext, Operation, Outcome, RouteSpec, Skip, Snapshot, WriteBack
from .prepare import Prepared, Preparer

#: WooCommerce takes 100 rows per batch; other sources cut as they like.
LIMITS = Limits(max_batch=100)


def route_name(source: str, entity: str) -> str:
    """The name under which write-backs of this entity are owed, logged and listed."""
    return f"{source}.write_back.{entity}"


def rule(source: str, entity: str) -> DirtyRule:
    """What a new link of this entity owes."""
    return DirtyRule(route=route_name(source, entity), sink=source, entity=entity)


class WriteBackSink:
    """A source seen as a sink."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Hand the remote ids to the source."""
        return self._source.write_back(
            [WriteBack(entity=o.entity, key=o.key, links=dict(o.fields), at=o.at) for o in operations]
        )


class _NoMapper:
    def map(self, snapshot: Snapshot, context: MapContext) -> Mapping[str, Any] | Skip:
        return {}


class WriteBackPreparer(Preparer):
    """Its fields are the record's links: sink -> remote id."""

    def __init__(self, source: str, entity: str, store: Store, sink_of: Mapping[str, str]) -> None:
        spec = RouteSpec(
            name=route_name(source, entity), source=source, entity=entity, sink=source, object=entity, fields={}
        )
        super().__init__(spec, _NoMapper())
        self._store = store
        self._sink_of = sink_of

    def prepare(self, work: Work, op_id: int, now: datetime | None = None) -> Prepared:
        """Skip what the source already has, and records that are gone."""
        delivery = work.delivery
        if work.snapshot is None or work.snapshot.deleted or delivery.key.startswith("guest:"):
            return Prepared(operation=None, skip="there is no record at the source to write to")
        links = self._store.links_of(delivery.source, delivery.entity, delivery.key)
        fields = {self._sink_of[x.route]: x.remote_id for x in links if x.route in self._sink_of}
        previous = work.link.fields if work.link else {}
        if not fields or (not changed_fields(fields, previous) and not delivery.maybe_applied):
            return Prepared(operation=None, skip="unchanged")
        return Prepared(operation=self._operation(work, op_id, fields, frozenset(fields)))
