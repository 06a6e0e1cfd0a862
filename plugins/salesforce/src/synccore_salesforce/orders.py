"""Orders and their items: made as drafts, given their items, activated on their own.

Salesforce locks an activated order, so a change takes it back to draft first (Salesforce Help, "Order Limitations").
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, evolve, field

from synccore.errors import Rejected, SynccoreError, Transient
from synccore.types import Failed, Outcome, Unchanged
from synccore.values import amount, json_number

from .client import COLLECTION, Client, chunked
from .errors import Problem, Refused, error_of, problems_of
from .mapping.defaults import ITEMS
from .mapping.row import Row
from .match import Finder, fold
from .products import Line, Products, entry_of
from .rows.save import Saver, delivered

__all__ = ["Orders"]

ACTIVATED, DRAFT = "Activated", "Draft"


@define
class _Plan:
    """One order on its way."""

    row: Row
    lines: list[Line] | None
    activate: bool
    reopen: bool
    entries: list[str] = field(factory=list)


class Orders:
    """Writes the orders of one route."""

    def __init__(self, client: Client, saver: Saver, finder: Finder, products: Products) -> None:
        self._client = client
        self._saver = saver
        self._finder = finder
        self._products = products

    def write(self, rows: Sequence[Row]) -> dict[int, Outcome]:
        """Write the orders with their items; an outcome for each, by operation id."""
        outcomes: dict[int, Outcome] = {}
        plans: list[_Plan] = []
        for row in rows:
            try:
                plans.append(self._plan(row))
            except SynccoreError as error:
                outcomes[row.op.id] = Failed(error)
        # An order with a line that has no price is left alone as a whole.
        plans = self._price(plans, outcomes)
        reopened = self._set_status([p for p in plans if p.reopen], DRAFT, outcomes)
        written = self._write_orders(reopened + [p for p in plans if not p.reopen], outcomes)
        plans = self._write_items(written, outcomes)
        self._set_status([p for p in plans if p.activate], ACTIVATED, outcomes)
        _begun((*reopened, *written), outcomes)
        return outcomes

    # -- what is to be done

    def _plan(self, row: Row) -> _Plan:
        op = row.op
        changed = ITEMS in op.changed or not op.previous
        lines = None
        if changed and ITEMS in op.fields:
            lines = [Line.parse(item) for item in op.fields[ITEMS] or ()]
        wanted = str(op.fields.get("Status") or DRAFT)
        allowed = bool(op.settings.get("activate", False))
        if not allowed or wanted in (ACTIVATED, DRAFT):
            row.drop("Status", None if allowed or wanted == DRAFT else "orders stay drafts: activate = false")
        if row.id is None:
            row.fields["Status"] = DRAFT
            if not row.fields.get("AccountId") and not any(n.startswith("Account.") for n in row.fields):
                raise Rejected(
                    "an order needs an account, and the customer's contact has none: give the contacts one "
                    "(AccountId on their route), or name an accounts route in after",
                    fields=["AccountId"],
                )
        if lines and (row.id is None or row.guarded):
            row.fields.setdefault("Pricebook2Id", self._products.book(op))
        was_active = allowed and op.previous.get("Status") == ACTIVATED
        more = bool(set(row.fields) - {"Status"}) or lines is not None
        back = allowed and wanted == DRAFT and "Status" in op.changed
        active = allowed and wanted == ACTIVATED
        return _Plan(
            row=row,
            lines=lines,
            activate=active and (more or "Status" in op.changed or row.id is None),
            reopen=row.id is not None and was_active and (more or back),
        )

    def _price(self, plans: Sequence[_Plan], outcomes: dict[int, Outcome]) -> list[_Plan]:
        """Give every line its price book entry; plans with a line that has none end as Rejected."""
        passed = [p for p in plans if not p.lines]
        by_currency: dict[str, list[_Plan]] = defaultdict(list)
        for plan in plans:
            if plan.lines:
                by_currency[str(plan.row.op.fields.get("CurrencyIsoCode") or "")].append(plan)
        for currency, group in by_currency.items():
            try:
                lines = [line for plan in group for line in plan.lines or ()]
                entries = self._products.entries(group[0].row.op, lines, currency)
            except SynccoreError as error:
                outcomes.update({p.row.op.id: Failed(error) for p in group})
                continue
            for plan in group:
                try:
                    plan.entries = [entry_of(line, entries) for line in plan.lines or ()]
                except Rejected as error:
                    outcomes[plan.row.op.id] = Failed(error)
                else:
                    passed.append(plan)
        return passed

    # -- the orders themselves

    def _write_orders(self, plans: Sequence[_Plan], outcomes: dict[int, Outcome]) -> list[_Plan]:
        by_id = {p.row.op.id: p for p in plans}
        found = self._saver.write([p.row for p in plans])
        locked = [by_id[i] for i, o in found.items() if isinstance(o, Failed) and _is_locked(o.error)]
        if locked:
            found.update(self._unlock(locked))
        outcomes.update(found)
        return [p for p in plans if not isinstance(found[p.row.op.id], Failed)]

    def _unlock(self, plans: Sequence[_Plan]) -> dict[int, Outcome]:
        """Orders somebody activated in Salesforce: back to draft, edit, and activate again at the end."""
        outcomes: dict[int, Outcome] = {}
        self._finder.resolve([p.row for p in plans], by_key=True)
        open_again = self._set_status([p for p in plans if p.row.id], DRAFT, outcomes)
        for plan in open_again:
            plan.activate = True
            plan.row.drop("Status")
        outcomes |= self._saver.write([p.row for p in open_again])
        _begun(open_again, outcomes)
        return outcomes

    def _set_status(self, plans: Sequence[_Plan], status: str, outcomes: dict[int, Outcome]) -> list[_Plan]:
        """Status has to be the only field of its update."""
        passed = []
        rows = [
            Row(op=p.row.op, schema=p.row.schema, fields={"Status": status}, id=p.row.id, before=p.row.before)
            for p in plans
        ]
        found = self._saver.write(rows)
        for plan in plans:
            outcome = found[plan.row.op.id]
            if isinstance(outcome, Failed):
                outcomes[plan.row.op.id] = outcome
            else:
                passed.append(plan)
                outcomes[plan.row.op.id] = _with_status(plan.row, status)
        return passed

    # -- items

    def _write_items(self, plans: Sequence[_Plan], outcomes: dict[int, Outcome]) -> list[_Plan]:
        """Make the items of each order what they should be: change, add and take away single ones."""
        failed: dict[int, SynccoreError] = {}
        touched: set[int] = set()
        try:
            self._send_items([p for p in plans if p.lines is not None], failed, touched)
        except SynccoreError as error:
            # An order is found again by its key, and its items by the order: the next try goes on from here.
            plain = Transient(error.message) if isinstance(error, Transient) else error
            failed.update({p.row.op.id: plain for p in plans if p.lines is not None})
        for plan in plans:
            op = plan.row.op
            if op.id in failed:
                outcomes[op.id] = Failed(failed[op.id])
            elif op.id in touched and isinstance(outcomes.get(op.id), Unchanged):
                outcomes[op.id] = delivered(plan.row)
        return [p for p in plans if p.row.op.id not in failed]

    def _send_items(self, wanted: Sequence[_Plan], failed: dict[int, SynccoreError], touched: set[int]) -> None:
        creates: list[tuple[_Plan, dict[str, Any]]] = []
        updates: list[tuple[_Plan, dict[str, Any]]] = []
        deletes: list[tuple[_Plan, str]] = []
        held = self._held([p for p in wanted if not p.row.created])
        for plan in wanted:
            _compare(plan, held[str(plan.row.id)], creates, updates, deletes)
        for gone in chunked(deletes, COLLECTION):
            self._note(gone, self._client.delete([i for _, i in gone]), failed)
        for write, records in ((self._client.update, updates), (self._client.create, creates)):
            for part in chunked(records, COLLECTION):
                self._note(part, write([r for _, r in part], {}), failed)
        touched.update(plan.row.op.id for plan, _ in (*creates, *updates, *deletes))

    def _held(self, plans: Sequence[_Plan]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        columns = ["Id", "OrderId", "PricebookEntryId", "Quantity", "UnitPrice"]
        for item in self._client.select(columns, "OrderItem", "OrderId", [str(p.row.id) for p in plans]):
            found[str(item["OrderId"])].append(item)
        return found

    @staticmethod
    def _note(
        part: Sequence[tuple[_Plan, Any]], results: Sequence[Mapping[str, Any]], failed: dict[int, SynccoreError]
    ) -> None:
        """The first thing that went wrong is the order's error."""
        for (plan, _), result in zip(part, results, strict=True):
            if not result.get("success"):
                problem = (*problems_of(result.get("errors")), Problem("UNKNOWN_EXCEPTION"))[0]
                failed.setdefault(plan.row.op.id, error_of(problem))


def _begun(plans: Sequence[_Plan], outcomes: dict[int, Outcome]) -> None:
    """Something of these is done; what failed since is known to be partly there."""
    for plan in plans:
        if isinstance(failed := outcomes[plan.row.op.id], Failed):
            outcomes[plan.row.op.id] = evolve(failed, partly=True)


def _with_status(row: Row, status: str) -> Outcome:
    outcome = delivered(row)
    if name := row.mapped_name("Status"):
        return evolve(outcome, fields={**(outcome.fields or {}), name: status})
    return outcome


def _compare(
    plan: _Plan,
    held: Sequence[Mapping[str, Any]],
    creates: list[tuple[_Plan, dict[str, Any]]],
    updates: list[tuple[_Plan, dict[str, Any]]],
    deletes: list[tuple[_Plan, str]],
) -> None:
    left: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for item in held:
        left[fold(item["PricebookEntryId"])[:15]].append(item)
    for line, entry in zip(plan.lines or (), plan.entries, strict=True):
        values = {"Quantity": json_number(line.quantity), "UnitPrice": json_number(line.price)}
        same = left[fold(entry)[:15]]
        if not same:
            record = {"OrderId": plan.row.id, "PricebookEntryId": entry, **values}
            creates.append((plan, {"attributes": {"type": "OrderItem"}, **record}))
            continue
        item = same.pop(0)
        if any((amount(item.get(n)) or 0) != amount(v) for n, v in values.items()):
            updates.append((plan, {"attributes": {"type": "OrderItem"}, "id": item["Id"], **values}))
    deletes += [(plan, str(item["Id"])) for items in left.values() for item in items]


def _is_locked(error: Exception) -> bool:
    return isinstance(error, Refused) and error.problem.code == "ENTITY_IS_LOCKED"
