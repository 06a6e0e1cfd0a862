"""Vendors whose answers leave out a part of what they name of everything that was asked for: they do not say thereby
that it is not there."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from attrs import evolve

from synccore.testing import Fault

from .orgs import Recreating, Typed
from .targets import Google, Held

__all__ = ["Forgetful", "Holey"]

#: How many parts of an answer may be missing, one at a time.
PARTS = 12


def _without(part: int) -> str:
    return f"without part {part}"


class Forgetful(Google):
    """An address book that says nothing of one of the contacts that are asked for by name; otherwise each is named,
    also who is gone."""

    name = "forgetful"
    can_go_wrong = tuple(map(_without, range(2)))

    def trouble_at(self, when: Callable[[Any], bool], trouble: str) -> None:
        part = self.can_go_wrong.index(trouble)

        def change(answer: Any) -> Any:
            there = answer["responses"]
            return {"responses": [one for place, one in enumerate(there) if place != part % len(there)]}

        asks = lambda request: request.path.endswith("people:batchGet") and when(request)  # noqa: E731
        self.server.fail_next(Fault.altered(change, when=asks))


class Holey(Typed):
    """An org whose answers lack a column. Sales had some of the people before the shop did, and keep what they wrote of
    them."""

    name = "holey"
    can_go_wrong = tuple(map(_without, range(PARTS)))
    by_hand: ClassVar = {"FirstName": "Hans", "Phone": "+4930111"}
    routes: ClassVar = {"kept": {**Recreating.routes["people"], "match": ["WooId__c", "Email"]}}

    def trouble_at(self, when: Callable[[Any], bool], trouble: str) -> None:
        part = self.can_go_wrong.index(trouble)

        def without(record: Mapping[str, Any]) -> Mapping[str, Any]:
            columns = sorted(record.keys() - {"attributes"})
            return {name: value for name, value in record.items() if name != columns[part % len(columns)]}

        def change(answer: Any) -> Any:
            return {**answer, "records": [without(record) for record in answer["records"]]}

        asks = lambda request: "/query" in request.path and when(request)  # noqa: E731
        self.server.fail_next(Fault.altered(change, when=asks))

    def as_typed(self, person: Held, wanted: Held) -> Held:
        first, phone = self.by_hand["FirstName"], self.by_hand["Phone"]
        return evolve(wanted, first=first, phone=Held.digits(phone)) if person.email in self.typed else wanted
