"""What a CRM or an address book holds beside its people: whose key or label a contact carries, what its owner wrote
there, whom an order is billed to, and accounts with who is in them."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from .firms import Firms, in_firms
from .orgs import Selling
from .targets import Google, Klaviyo, Salesforce
from .world import World

__all__ = ["belongings", "in_book", "in_profiles"]


def belongings(world: World, target: Salesforce) -> Iterator[str]:
    """What is not where, or under whose name, it should be."""
    if "Contact" in target.keyed and not target.merged:
        yield from _marked(world, target)
    if isinstance(target, Selling):
        yield from _billed(world, target)
        yield from _accounts(target)
    if isinstance(target, Firms):
        yield from in_firms(world, target)


def in_book(world: World, target: Google) -> Iterator[str]:
    """Of who was forgotten nothing is there. Each of ours bears the label, and what its owner wrote there stays,
    whatever the shop has for it."""
    streets = {one.get("streetAddress") for contact in target.server.contacts() for one in contact.get("addresses", ())}
    yield from (f"{target.name}: {street} is there of who was forgotten" for street in streets & target.traces)
    if target.merged:
        return
    label = next((name for name, group in target.server.groups.items() if group.name == "Customers"), "")
    known = {account["email"] for account in world.accounts().values()} - world.gone
    for contact in target.server.contacts():
        name, whose = contact["resourceName"], target.written(contact)
        groups = [member.get("contactGroupMembership") for member in contact["memberships"]]
        if known.intersection(whose) and {"contactGroupResourceName": label} not in groups:
            yield f"{target.name}: {name} of {whose} has not our label"
        called = [(one.get("givenName", ""), one.get("familyName", "")) for one in contact.get("names") or ()]
        if (typed := target.names.get(name)) and typed not in called:
            yield f"{target.name}: {name} of {whose} was called {typed}, and now {called}"
        companies = [one.get("name") for one in contact.get("organizations") or ()]
        if (firm := target.works_at.get(name)) and firm not in companies:
            yield f"{target.name}: {name} of {whose} worked at {firm}, and now at {companies}"


def in_profiles(world: World, target: Klaviyo) -> Iterator[str]:
    """What waits until it settles came as well: in which states somebody's subscriptions are, but for those that are
    billed to an address that was forgotten."""
    states = defaultdict[str, set[str]](set)
    for box in [box for box in world.shop.subscriptions.values() if box["billing"]["email"] not in world.gone]:
        if (account := world.accounts().get(box["customer_id"])) is not None:
            states[account["email"]].add(box["status"])
    apart = world.gone | world.excuses.lost | world.excuses.between
    for person in target.server.store.people.values():
        email, told = person.attributes.get("email"), person.properties.get("woo_subscription_states")
        if email in states.keys() - apart and told != sorted(states[email]):
            yield f"{target.name}: the subscriptions of {email} are {told} and not {sorted(states[email])}"


def _marked(world: World, target: Salesforce) -> Iterator[str]:
    """By our key a contact is found wherever its address goes."""
    wanted = {account["email"]: f"shop:customer:{number}" for number, account in world.accounts().items()}
    for contact in target.server.records("Contact"):
        email, key = contact.get("Email"), contact.get("WooId__c")
        strays = {f"shop:customer:{one}" for one in world.excuses.strays(email or "")}
        if email in wanted and key != wanted[email] and key not in strays:
            yield f"{target.name}: {email} bears the key {key} and not {wanted[email]}"


def _billed(world: World, target: Selling) -> Iterator[str]:
    """An order is billed to whom it is of in the shop, and to the account that they are in."""
    contacts, accounts = {c["Id"]: c for c in target.server.records("Contact")}, world.accounts()
    for bill in target.server.records("Order"):
        number, contact = int(bill["WooId__c"].rsplit(":", 1)[1]), contacts.get(bill.get("BillToContactId"), {})
        order = world.shop.orders.get(number)
        if bill["AccountId"] != contact.get("AccountId"):
            yield f"{target.name}: the bill of {number} is not in its contact's account"
        if order is None or number in world.left or order["billing"]["email"] in world.forgotten:
            continue
        owner = accounts.get(order["customer_id"], order["billing"])["email"]
        if contact.get("Email") != owner:
            yield f"{target.name}: the bill of {number} is {contact.get('Email') or 'nobody'}'s and not {owner}'s"


def _accounts(target: Salesforce) -> Iterator[str]:
    """One contact is in each, or it was made for one that is in none yet: a try broke off before, and the next order of
    theirs finds it. What is kept for its orders alone bears no name."""
    homes = Counter(contact.get("AccountId") for contact in target.server.records("Contact"))
    kept = {bill["AccountId"] for bill in target.server.records("Order")}
    homeless = Counter(c["LastName"] for c in target.server.records("Contact") if not c.get("AccountId"))
    for account in target.server.records("Account"):
        family = account["Name"].rpartition(" ")[2]
        if homes[account["Id"]] > 1:
            yield f"{target.name}: {homes[account['Id']]} are in the account {account['Name']}"
        elif not homes[account["Id"]] and account["Id"] not in kept:
            homeless[family] -= 1
            if homeless[family] < 0:
                yield f"{target.name}: nobody is in the account {account['Name']}"
