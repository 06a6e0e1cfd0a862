"""From a claimed row to an operation: mapping, comparison with what was last delivered, parents."""

import hashlib
from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from .._mapping.shape import changed_fields, digest, shape
from .._mapping.totals import with_totals
from ..entities import Customer, Order
from ..errors import WaitFor
from ..hookspecs import Mapper
from ..store import Work
from ..types import MapContext, Operation, RouteSpec, Skip, Snapshot


@frozen(kw_only=True)
class Prepared:
    """An operation to carry out, or (`operation` None) the reason why nothing is owed."""

    operation: Operation | None
    skip: str | None = None


class Preparer:
    """Prepares one route's work. Pure: the same work gives the same operation."""

    def __init__(self, route: RouteSpec, mapper: Mapper) -> None:
        self.route = route
        self._mapper = mapper

    def prepare(self, work: Work, op_id: int) -> Prepared:
        """Map and compare. Raises MappingError, WaitFor (the parent of `after` has no link yet)."""
        if work.delivery.op == "delete" or (work.snapshot is not None and work.snapshot.deleted):
            return self._delete(work, op_id)
        if work.snapshot is None:
            return Prepared(operation=None, skip=f"no {work.delivery.entity} with this key is known")
        fields = self.map(work)
        if isinstance(fields, Skip):
            return Prepared(operation=None, skip=fields.reason)
        changed = self._changed(work, fields)
        if work.delivery.op != "event" and self._unchanged(work, fields, changed):
            return Prepared(operation=None, skip="unchanged")
        if self.route.after and work.parent is None:
            self._wait(work)
        return Prepared(operation=self._operation(work, op_id, fields, changed))

    def map(self, work: Work) -> dict[str, Any] | Skip:
        """The fields alone: what the mapper makes of the record, empties left out."""
        if work.snapshot is None:
            return Skip("unknown record")
        context = MapContext(
            route=self.route,
            owner=self._with_totals(work.owner, work),
            included=work.included,
            previous=work.link.fields if work.link else {},
        )
        mapped = self._mapper.map(self._with_totals(work.snapshot, work) or work.snapshot, context)
        return mapped if isinstance(mapped, Skip) else shape(mapped, self.route.options)

    def _with_totals(self, snapshot: Snapshot | None, work: Work) -> Snapshot | None:
        """A customer's totals are known only where the route includes orders."""
        if snapshot is None or "order" not in self.route.include or not isinstance(snapshot.data, Customer):
            return snapshot
        orders = [s.data for s in work.included.get("order", ()) if isinstance(s.data, Order) and not s.deleted]
        return evolve(snapshot, data=with_totals(snapshot.data, orders))

    def _changed(self, work: Work, fields: Mapping[str, Any]) -> frozenset[str]:
        if work.link is None:
            return frozenset(fields)
        different = changed_fields(fields, work.link.fields)
        # After a lost answer the target holds either state: everything is sent again.
        return different | frozenset(fields) if work.delivery.maybe_applied else different

    def _unchanged(self, work: Work, fields: Mapping[str, Any], changed: frozenset[str]) -> bool:
        if work.link is None or work.delivery.maybe_applied:
            return False
        if not work.link.fields:
            return False  # found at the target, never written by us
        if self.route.compare:
            return not changed & frozenset(self.route.compare)
        return not changed

    def _wait(self, work: Work) -> None:
        if work.parent_ref is None:
            return  # nobody owns it: there is no parent to wait for
        raise WaitFor(
            work.parent_ref.entity,
            work.parent_ref.key,
            f"waits for {work.parent_ref.entity} {work.parent_ref.key} on route {self.route.after}",
        )

    def _delete(self, work: Work, op_id: int) -> Prepared:
        if work.link is None:
            return Prepared(operation=None, skip="deleted before it was ever delivered")
        return Prepared(operation=self._operation(work, op_id, {}, frozenset(), op="delete"))

    def _operation(
        self, work: Work, op_id: int, fields: Mapping[str, Any], changed: frozenset[str], op: str | None = None
    ) -> Operation:
        delivery = work.delivery
        return Operation(
            id=op_id,
            route=self.route.name,
            object=self.route.object,
            op=op or ("upsert" if delivery.op == "delete" else delivery.op),  # type: ignore[arg-type]
            source=delivery.source,
            entity=delivery.entity,
            key=delivery.key,
            fields=fields,
            changed=changed,
            options=self.route.options,
            match=self.route.match,
            link=work.link if delivery.op != "event" else None,
            parent=work.parent,
            idempotency_key=self._idempotency_key(work, fields),
            event_id=delivery.event_id,
            at=self._happened_at(work),
            bulk=delivery.bulk,
            maybe_applied=delivery.maybe_applied,
            settings=self.route.settings,
        )

    def _idempotency_key(self, work: Work, fields: Mapping[str, Any]) -> str:
        delivery = work.delivery
        last = delivery.event_id if delivery.op == "event" else f"{delivery.op}:{digest(fields)}"
        text = f"{self.route.name}\n{delivery.source}\n{delivery.entity}\n{delivery.key}\n{last}"
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    def _happened_at(self, work: Work) -> Any:
        if work.snapshot is not None and work.snapshot.changed_at is not None:
            return work.snapshot.changed_at
        return work.delivery.last_change_at
