"""What each vendor holds, as somebody with a login of their own sees it, and the trouble it can be in."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from synccore.testing import AutoBrowser, FakeClock
from synccore_google_contacts.testing import AutoBrowser as Owner
from synccore_google_contacts.testing import FakePeople
from synccore_google_contacts.testing.demo import settings as google_settings
from synccore_klaviyo.testing import FakeKlaviyo
from synccore_salesforce.testing import FakeSalesforce

from .held import Held
from .target import Target
from .troubles import CUT, TROUBLES

if TYPE_CHECKING:
    from .world import World

__all__ = ["CUT", "TARGETS", "TROUBLES", "Adopting", "Google", "Held", "Klaviyo", "Salesforce", "Target"]

#: Statuses of orders that are won or lost; all others are open.
WON, LOST = ("processing", "completed"), ("cancelled", "failed", "refunded")


class Klaviyo(Target):
    """Profiles, and an event for every payment. Who gets an address that has a profile has theirs merged into it."""

    name = "marketing"
    #: Whether a number that one gave up may be on nobody's, and `verify` says so.
    frees_numbers: ClassVar[bool] = True
    routes: ClassVar = {
        "profiles": {"entity": "customer", "object": "profile", "on_delete": "erase", "on_conflict": "merge"},
        "payments": {"entity": "payment", "object": "event"},
    }

    def __init__(self, clock: FakeClock, luck: Random) -> None:
        self.server = FakeKlaviyo(
            clock=clock.now,
            job_time=timedelta(seconds=luck.choice((5, 600, 7200))),
            # After what is told in the same moment: by an address that is theirs no more then, one makes somebody.
            opt_out_time=timedelta(milliseconds=500),
            # Others may get the address meanwhile.
            merge_time=timedelta(seconds=5),
        )
        #: Addresses that were refused at any time.
        self.refused: set[str] = set()
        #: Profiles of people who signed up there by themselves; with which addresses, and when; and who wants mail.
        self._signed: set[str] = set()
        self.came: dict[str, datetime] = {}
        self.asked_for_mail: set[str] = set()
        #: Who unsubscribed by a link in a mail, and when.
        self.unsubscribed: dict[str, datetime] = {}

    def config(self) -> Mapping[str, Any]:
        return {
            "type": "klaviyo",
            "api_key": self.server.key,
            "api_url": self.server.url,
            "bulk_threshold": 20,
        }

    def people(self) -> list[Held]:
        found = [(p.attributes, p.location) for p in self._profiles().values()]
        return [
            Held(
                email=a.get("email") or "",
                first=a.get("first_name") or "",
                last=a.get("last_name") or "",
                phone=Held.digits(a.get("phone_number")),
                place=Held.at(location, "address1", "city", "zip"),
            )
            for a, location in found
        ]

    def _profiles(self) -> Mapping[str, Any]:
        """As they are once all is carried out that is due."""
        self.server.advance()
        return self.server.store.people

    def owner(self, luck: Random) -> None:
        """Somebody signs up with an address of which the shop may hear later, and may want mail; or has enough."""
        known = [int(digits) for write in self.server.store.writes if (digits := Held.digits(write.email))]
        email = f"p{max(known, default=0) + luck.randrange(1, 4)}@shop.test"
        self.signs_up(email, wants_mail=luck.random() < 0.5)
        if (mailed := sorted(self.mailed())) and luck.random() < 0.5:
            self.unsubscribes(luck.choice(mailed))

    def signs_up(self, email: str, *, wants_mail: bool) -> None:
        """Somebody who is not there yet does, by themselves."""
        if self.types(email):
            person = self.server.store.owner("email", email)
            self._signed.add(person.id)
            self.came[email] = self.server.now()
            if wants_mail:
                self.asked_for_mail.add(email)
                self.server.store.subscribe(person, "")

    def beside(self, world: "World") -> set[str]:
        """The addresses of profiles that may be there though nobody in the shop has them: somebody signed up."""
        people = [p.attributes for number, p in self._profiles().items() if number in self._signed]
        return {a.get("email", "") for a in people if not a.get("first_name") and not a.get("phone_number")}

    def refuse(self, email: str) -> None:
        self.refused.add(email)
        self.server.refuse[email] = ("invalid", "this address is not taken")

    def come_back(self) -> None:
        super().come_back()
        self.server.refuse.clear()

    def unsubscribes(self, email: str) -> bool:
        """By the link in a mail, where they get any."""
        person = self.server.person(email) if email in self.mailed() else None
        if person is not None:
            self.server.store.unsubscribe(person, "")
            self.asked_for_mail.discard(email)
            self.unsubscribed[email] = self.server.now()
        return person is not None

    def deletes(self, email: str) -> bool:
        """What was told of them was told, though it goes with them."""
        if (person := self.server.person(email)) is not None:
            told = list(self.server.store.events)
            self.server.store.delete(person)
            self.server.store.events = told
        return person is not None

    def types(self, email: str) -> bool:
        known = self.server.person(email)
        if known is None:
            self.server.store.upsert({"type": "profile", "attributes": {"email": email}}, how="hand")
        return known is None

    def joins(self, email: str, other: str) -> bool:
        source, into = (self.server.person(one) for one in (email, other))
        if source is not None and into is not None:
            said = into.consent, into.source
            self.server.store.merge(source, into)
            into.consent, into.source = said
        return source is not None and into is not None

    def payments(self) -> list[str]:
        """The order of every payment it was told of, as often as it was told."""
        return [str(e["properties"].get("OrderId")) + "/" + e["metric"] for e in self.server.store.events]

    def told(self) -> list[tuple[str, datetime]]:
        """Whom it was told something of, and when that happened."""
        return [(event["profile"], event["time"]) for event in self.server.store.events]

    def made_by_facts(self) -> set[str]:
        """Addresses with which nobody was delivered, for they were refused: a fact of theirs alone made the profile."""
        told = {whose for whose, _ in self.told()}
        people = [p.attributes for number, p in self._profiles().items() if number in told]
        return self.refused & {a.get("email") for a in people if not (a.get("first_name") or a.get("phone_number"))}

    def mailed(self) -> set[str]:
        people = self._profiles().values()
        return {p.attributes.get("email", "") for p in people if p.consent == "SUBSCRIBED" and not p.opted_out}


class Adopting(Klaviyo):
    """The way that is taken where nobody says another: they go on with that one, and theirs stays."""

    name = "adopting"
    routes: ClassVar = {**Klaviyo.routes, "profiles": {**Klaviyo.routes["profiles"], "on_conflict": "adopt"}}

    def beside(self, world: "World") -> set[str]:
        """And those of profiles that somebody left behind."""
        with world.store.asked_by_a_stranger():
            left = [p for p in self._profiles().values() if not world.store.links_to(p.id, 1)]
        bare = {p.attributes.get("email", "") for p in left if p.attributes.keys() <= {"email"} and not p.location}
        return super().beside(world) | (bare & world.given_up.keys())


class Google(Target):
    """An address book whose owner merges, and which renames."""

    name = "contacts"
    routes: ClassVar = {"book": {"entity": "customer", "object": "contact", "on_delete": "delete"}}

    def __init__(self, clock: FakeClock, luck: Random) -> None:
        plenty = {"critical_read": 10**6, "critical_write": 10**6, "write": 10**6, "group_read": 10**6}
        self.lag = timedelta(seconds=luck.choice((0, 0, 20, 120)))
        #: Whether the owner has made one of two contacts.
        self.merged = False
        #: Who stood on one that lost our marks thereby, and was not known to be there.
        self.unmarked: set[str] = set()
        #: Contact -> where the owner wrote that they work; empty where ours may have stood since.
        self.works_at: dict[str, str] = {}
        #: Addresses that the owner typed in: what stands there is their own, though it be a second one.
        self.typed: set[str] = set()
        #: What was written of nobody but who was forgotten since.
        self.traces: set[str] = set()
        #: Contact -> what the owner calls whom they typed in.
        self.names: dict[str, tuple[str, str]] = {}
        self.server = FakePeople(clock=clock.now, quota=plenty, sync_lag=self.lag)
        self.browser = Owner()

    def config(self) -> Mapping[str, Any]:
        return google_settings(self.server)

    def people(self) -> list[Held]:
        return [held for contact in self.server.contacts() for held in self._held(contact)]

    def _held(self, contact: Mapping[str, Any]) -> list[Held]:
        name = (contact.get("names") or [{}])[0]
        first, last = name.get("givenName", ""), name.get("familyName", "")
        addresses = self._ours(contact)
        phone = Held.digits((contact.get("phoneNumbers") or [{}])[0].get("value"))
        place = Held.at((contact.get("addresses") or [{}])[0], "streetAddress", "city", "postalCode")
        return [Held(email=address, first=first, last=last, phone=phone, place=place) for address in addresses]

    def written(self, contact: Mapping[str, Any]) -> list[str]:
        """Whose addresses are on it, where anything was written there by us."""
        return [email for email in self._ours(contact) if email and contact.get("names")]

    def _ours(self, contact: Mapping[str, Any]) -> list[str]:
        """The addresses on it without those that the owner typed there, also where it is somebody's who moved on."""
        there, typed = _addresses(contact), self.typed if contact.get("nicknames") else ()
        ours = [address for address in there if address not in typed]
        written = any(contact.get(name) for name in ("names", "biographies", "phoneNumbers", "addresses", "urls"))
        nothing = [] if contact.get("nicknames") or contact["resourceName"] in self.works_at else [""]
        return ours or (there if written else []) or (nothing if not there else [])

    def addresses(self) -> list[list[str]]:
        """Of each contact."""
        return [_addresses(contact) for contact in self.server.contacts()]

    def addresses_of(self, name: str) -> list[str]:
        """Of one contact."""
        return _addresses(self.server.contact(name))

    def owner(self, luck: Random) -> None:
        """Google renames one; and the owner types in somebody who comes to the shop later, or where people work."""
        contacts = self.server.contacts()
        if contacts:
            self._rename(luck.choice(contacts)["resourceName"])
        if luck.random() < 0.3:
            known = [
                int(digits) for contact in contacts for email in _addresses(contact) if (digits := Held.digits(email))
            ]
            self.types(f"p{max(known, default=0) + luck.randrange(1, 4)}@shop.test")
        for contact in self.server.contacts():
            if not contact.get("organizations") and luck.random() < 0.3:
                self.works_at[contact["resourceName"]] = company = f"Own {len(self.works_at)} and Co"
                self.server.edit(contact["resourceName"], organizations=[{"name": company, "title": "Boss"}])

    def _rename(self, name: str) -> None:
        new = self.server.rename(name)
        if name in self.works_at:
            self.works_at[new] = self.works_at.pop(name)

    def named(self, email: str) -> list[str]:
        """The contacts with that address."""
        return [c["resourceName"] for c in self.server.contacts() if email in _addresses(c)]

    def renames(self, email: str) -> bool:
        names = self.named(email)
        for name in names:
            self._rename(name)
        return bool(names)

    def deletes(self, email: str) -> bool:
        names = self.named(email)
        for name in names:
            self.server.remove(name)
        return bool(names)

    def types(self, email: str) -> bool:
        known = self.named(email)
        if not known:
            self.server.add(emailAddresses=[{"value": email}], nicknames=[{"value": "typed"}])
            self.typed.add(email)
        return not known

    def refuse(self, email: str) -> None:
        before = self.server.refuse

        def refuse(person: Mapping[str, Any]) -> str | None:
            held = {entry.get("value") for entry in person.get("emailAddresses") or ()}
            return "Request contains an invalid argument." if email in held else before(person)

        self.server.refuse = refuse

    def fill(self) -> None:
        self.server.capacity = len(self.server.contacts())

    def come_back(self) -> None:
        super().come_back()
        self.server.refuse = lambda person: None
        self.server.capacity = 25_000


def _addresses(contact: Mapping[str, Any]) -> list[str]:
    return [entry["value"] for entry in contact.get("emailAddresses") or ()]


class Salesforce(Target):
    """Contacts, found by the store's key, and a deal for every order."""

    name = "crm"
    #: What has a field for the key.
    keyed: ClassVar = ("Contact", "Opportunity")
    routes: ClassVar = {
        "people": {"entity": "customer", "object": "Contact", "match": ["WooId__c"], "on_delete": "delete"},
        "deals": {
            "entity": "order",
            "object": "Opportunity",
            "match": ["WooId__c"],
            "after": "people",
            "parent_field": "Buyer__c",
            "on_delete": "delete",
        },
    }

    def __init__(self, clock: FakeClock, luck: Random) -> None:
        self.server = self._org(clock)
        #: More than one at a time go as a job, or never.
        self._bulk = luck.choice((2, 1000))
        #: Contact that went into another -> that one; and whose they were, by our key and by their address.
        self.merged: dict[str, str] = {}
        self.joined: set[str] = set()
        self.browser = AutoBrowser(self.server.approve)
        for kind in self.keyed:
            self.server.add_field(kind, "WooId__c", length=100, external_id=True, unique=True)
        self.server.add_field(
            "Opportunity", "Buyer__c", type="reference", refers_to=("Contact",), relationship="Buyer__r"
        )

    @staticmethod
    def _org(clock: FakeClock) -> FakeSalesforce:
        return FakeSalesforce()

    def config(self) -> Mapping[str, Any]:
        server = self.server
        return {
            "type": "salesforce",
            "login_url": server.url,
            "client_id": server.client_id,
            "client_secret": server.client_secret,
            "bulk_threshold": self._bulk,
        }

    def people(self) -> list[Held]:
        return [
            Held(
                email=r.get("Email") or "",
                first=r.get("FirstName") or "",
                last=r.get("LastName") or "",
                phone=Held.digits(r.get("Phone")),
                place=Held.at(r, "MailingStreet", "MailingCity", "MailingPostalCode"),
            )
            for r in self.server.records("Contact")
        ]

    def deals(self) -> list[tuple[int, str]]:
        """Order and stage of every deal."""
        return [(int(r["WooId__c"].rsplit(":", 1)[1]), r["StageName"]) for r in self.server.records("Opportunity")]

    @staticmethod
    def stage(status: str) -> str:
        """Of the deal of an order with that status."""
        return "Closed Won" if status in WON else "Closed Lost" if status in LOST else "Prospecting"

    def merge(self, luck: Random) -> None:
        """The owner takes one contact for a double of another: it goes to the bin, and that one stays as it is."""
        contacts = sorted(r["Id"] for r in self.server.records("Contact"))
        if len(contacts) > 1:
            survivor, double = luck.sample(contacts, 2)
            self._join(double, survivor)

    def _join(self, double: str, survivor: str) -> None:
        self.server.org.merge("Contact", double, survivor)
        self.merged[double] = survivor
        records = self.server.org.objects["Contact"].records
        self.joined |= {v for r in (double, survivor) for n in ("WooId__c", "Email") if (v := records[r].get(n))}

    def named(self, email: str) -> list[str]:
        """The contacts with that address."""
        return [r["Id"] for r in self.server.records("Contact") if r.get("Email") == email]

    def deletes(self, email: str) -> bool:
        found = self.named(email)
        for record in found:
            self.server.org.remove("Contact", record)
        return bool(found)

    def joins(self, email: str, other: str) -> bool:
        doubles, survivors = self.named(email), self.named(other)
        if doubles and survivors:
            self._join(doubles[0], survivors[0])
        return bool(doubles and survivors)

    def swallowed(self) -> list[str]:
        """Our keys of those whose contact went into one that is there no more."""
        records, found = self.server.org.objects["Contact"].records, []
        for double, survivor in self.merged.items():
            while survivor in self.merged:
                survivor = self.merged[survivor]
            if records[survivor]["IsDeleted"]:
                found.append(records[double].get("WooId__c") or "")
        return found

    def refuse(self, email: str) -> None:
        rule = ("Contact", lambda record: record.get("Email") == email, "this address is not taken")
        self.server.org.validation_rules.append(rule)

    def fill(self) -> None:
        self.server.org.storage_full = True

    def come_back(self) -> None:
        super().come_back()
        self.server.org.validation_rules.clear()
        self.server.org.storage_full = False


TARGETS: tuple[type[Target], ...] = (Klaviyo, Google, Salesforce)
