"""An org with companies: people of the shop are contacts of the account that bears their company's name, alone there or
with others. They come to a company, go to another one, and leave it."""

from collections import defaultdict
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, ClassVar

from synccore.testing import FakeClock

from .orgs import Recreating
from .targets import Held, Salesforce

if TYPE_CHECKING:
    from .world import World

__all__ = ["Firms", "in_firms"]

LINKED = "SELECT 1 FROM link WHERE route = 'firms' AND remote_id = :id"


class Firms(Salesforce):
    """Companies are found by name. What nobody has any more, no account has either."""

    name = "firms"
    keyed: ClassVar = ("Contact", "Account")
    routes: ClassVar = {
        "firms": {
            "entity": "customer",
            "object": "Account",
            "match": ["Name"],
            "on_delete": "delete",
            "recreate": True,
        },
        "staff": {**Recreating.routes["people"], "after": "firms"},
    }

    def __init__(self, clock: FakeClock, luck: Random) -> None:
        super().__init__(clock, luck)
        #: Made by a create without an answer, and left by who was there before the next try: a known limit.
        self.unheard: set[str] = set()

    def unlinked(self, world: "World", firm: str) -> bool:
        """Whether there is an account of that name that nobody is known to be in."""
        ids = [a["Id"] for a in self.server.records("Account") if a["Name"] == firm]
        with world.store.asked_by_a_stranger(), world.store.reading() as view:
            return any(view.execute(LINKED, {"id": i}).fetchone() is None for i in ids)


def in_firms(world: "World", target: Firms) -> Iterator[str]:
    """Who is in which account, and whose telephone and place it bears: of nobody who is not in it."""
    contacts, accounts = defaultdict(list), {a["Id"]: a for a in target.server.records("Account")}
    for contact in target.server.records("Contact"):
        contacts[contact.get("AccountId")].append(contact["Email"])
    of = {contact["Email"]: accounts.get(contact.get("AccountId"), {}) for contact in target.server.records("Contact")}
    people = {c["email"]: c for c in world.accounts().values()}
    for email, person in people.items():
        firm, name = person["billing"]["company"], (of.get(email) or {}).get("Name", "")
        if email not in world.forgotten and firm and name != firm:
            yield f"{target.name}: {email} of {firm} is in {name or 'no account'}"
    for number, account in accounts.items():
        if account["Name"] in target.unheard:
            continue
        mine = [people[email]["billing"] for email in contacts[number] if email in people]
        if account.get("Phone") and Held.digits(account["Phone"]) not in {Held.digits(b["phone"]) for b in mine}:
            yield f"{target.name}: {account['Name']} has {account['Phone']}, of nobody who is there"
        place = Held.at(account, "BillingStreet", "BillingCity", "BillingPostalCode")
        if any(place) and place not in {Held.at(b, "address_1", "city", "postcode") for b in mine}:
            yield f"{target.name}: {account['Name']} is at {place}, where nobody of it is"
        if not contacts[number] and not account["Name"].startswith("Firm"):
            yield f"{target.name}: nobody is in {account['Name']}"
