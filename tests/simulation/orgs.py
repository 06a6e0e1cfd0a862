"""Orgs that are not as the one of `targets` is: what has a key there, what hangs on what, and who was there before."""

from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any, ClassVar

from synccore.testing import FakeClock
from synccore_salesforce.testing import FakeSalesforce

from .targets import Held, Salesforce

__all__ = ["Busy", "Keyless", "Known", "Recreating", "Selling", "Typed", "Unkeyed"]


class Recreating(Salesforce):
    """An org in which whoever its owner deletes comes back with their next change."""

    routes: ClassVar = {name: {**route, "recreate": True} for name, route in Salesforce.routes.items()}


class Busy(Salesforce):
    """An org that comes to its import jobs after a while."""

    @staticmethod
    def _org(clock: FakeClock) -> FakeSalesforce:
        server = FakeSalesforce(now=clock.now)
        server.job_time = timedelta(minutes=10)
        return server

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "bulk_threshold": 2}


class Selling(Salesforce):
    """An org with orders, which need an account, and which keep the contact that they hang on."""

    name = "selling"
    keyed: ClassVar = ("Contact", "Account", "Order")
    routes: ClassVar = {
        "buyers": {**Recreating.routes["people"]},
        "orders": {
            "entity": "order",
            "object": "Order",
            "match": ["WooId__c"],
            "after": "buyers",
            "on_delete": "delete",
            "recreate": True,
            "create_products": True,
            "activate": True,
        },
    }

    def people(self) -> list[Held]:
        kept = {order.get("BillToContactId") for order in self.server.records("Order")}
        nameless = sum(1 for r in self.server.records("Contact") if r["Id"] in kept and not r.get("Email"))
        people = super().people()
        for held in [one for one in people if not one.email][:nameless]:
            people.remove(held)
        return people

    def deals(self) -> list[tuple[int, str]]:
        return [(int(r["WooId__c"].rsplit(":", 1)[1]), r["Status"]) for r in self.server.records("Order")]

    def deletes(self, email: str) -> bool:
        """Nobody can delete a contact with orders."""
        kept = {order.get("BillToContactId") for order in self.server.records("Order")}
        return not kept.intersection(self.named(email)) and super().deletes(email)

    @staticmethod
    def stage(status: str) -> str:
        return "Activated" if status == "completed" else "Draft"


class Unkeyed(Selling):
    """Its accounts have no field for our key: one that was made is known by what was remembered before."""

    name = "unkeyed"
    keyed: ClassVar = ("Contact", "Order")


class Typed(Salesforce):
    """Its owner types contacts in."""

    #: What else of them.
    by_hand: ClassVar[Mapping[str, str]] = {}

    def __init__(self, clock: FakeClock, luck: Random) -> None:
        super().__init__(clock, luck)
        #: Their addresses.
        self.typed: set[str] = set()

    def types(self, email: str) -> bool:
        known = self.named(email)
        if not known:
            self.server.org.insert("Contact", {"Email": email, **self.by_hand}, raw=True)
            self.typed.add(email)
        return not known


class Keyless(Typed):
    """An org without a field for our key: who is there is found by address. What its owner deletes comes back."""

    name = "keyless"
    keyed: ClassVar = ()
    routes: ClassVar = {
        "found": {
            "entity": "customer",
            "object": "Contact",
            "match": ["Email"],
            "on_delete": "delete",
            "recreate": True,
            # Who is found is taken for the org's own, also whom we made before a backup came back.
            "existing": "overwrite",
        },
    }


class Known(Typed):
    """Sales had some of the people before the shop did: they are found by address, get our key, and what the shop says
    of them goes over what is there."""

    name = "known"
    routes: ClassVar = {
        "known": {**Recreating.routes["people"], "match": ["WooId__c", "Email"], "existing": "overwrite"},
    }
