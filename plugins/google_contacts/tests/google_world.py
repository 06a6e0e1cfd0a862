"""Customers of two shops, the one owner of the address book they all are in, and what holds of it in the end."""

from datetime import timedelta
from typing import Any

from attrs import define, field
from google_help import marks_on, values

from synccore._verbs.connect import connect
from synccore._verbs.verify import verify
from synccore.testing import Harness, customer
from synccore.types import Change
from synccore_google_contacts.sink import SINK
from synccore_google_contacts.testing import AutoBrowser, settings

NAMES = [{"givenName": "Annie", "familyName": "Owner"}]
#: Who buys where. The first is a customer of both shops; the fourth buys as a guest before there is an account.
PEOPLE = (("shop", 1), ("shop", 2), ("shop", 3), ("shop", 4), ("other", 1), ("other", 5))
GUEST = 4


@define
class Life:
    """One customer of one shop: their number there, another one each time they register, and what is known."""

    source: str
    person: int
    key: str
    fields: dict[str, Any] = field(factory=dict)
    alive: bool = False

    @property
    def uid(self) -> str:
        return f"{self.source}:customer:{self.key}"


class World:
    """Two shops, one owner. Everything the owner typed and the shops said is written down here, apart from the sink."""

    def __init__(self, folder, google, clock, *, told=True, lag=0, policy="keep", sinks=1):
        self.google, self.clock = google, clock
        book = google.book()
        book.told = book.forwards = told
        book.feed.lag = timedelta(seconds=lag)
        # What Google's listing and search both hide cannot be found by anybody.
        book.search_lag = timedelta(0)
        table = {k: v for k, v in settings(google).items() if k != "type"}
        second = "contacts" if sinks == 1 else "second"
        route = {"entity": "customer", "object": "contact", "on_delete": policy}
        self.routes = {"shop": "one", "other": "two"}
        self.app = Harness(
            folder,
            {"one": {**route, "sink": "contacts"}, "two": {**route, "source": "other", "sink": second}},
            sink_types={"contacts": (SINK, table), **({"second": (SINK, table)} if sinks > 1 else {})},
            clock=self.clock, installed=True, sources=("shop", "other"),
        )  # fmt: skip
        for name in {"contacts", second}:
            connect(self.app.app, name, AutoBrowser())
        self.policy, self.lag = policy, timedelta(seconds=lag)
        self.count = 0
        #: All addresses that a customer ever had.
        self.addresses: set[str] = set()
        self.lives = {who: Life(who[0], who[1], f"{who[1]}") for who in PEOPLE}
        self.lives["shop", GUEST].key = "guest:4"
        #: Name of a contact -> what it is called since the owner merged it or Google renamed it.
        self.became: dict[str, str] = {}
        #: What the owner typed: value -> the field it is in.
        self.typed: dict[str, str] = {}

    def close(self):
        self.app.close()

    # -- the shops

    def says(self, *who):
        """The shop changes these customers, who register where they are not there; all at once."""
        for source in ("shop", "other"):
            changes = [self._said(self.lives[w]) for w in dict.fromkeys(who) if w[0] == source]
            if changes:
                self.app.emit(*changes, source=source)

    def _said(self, life):
        self.count += 1
        n = life.person
        fresh = {"first_name": f"{life.source}{self.count}", "last_name": "Test", "company": f"Firm {self.count}"}
        if not life.alive or self.count % 3 == 0:
            fresh["phone"] = f"+1415{5550000 + self.count}"
        life.fields = {"email": f"ann{n}@shop.test", **life.fields, **fresh}
        self.addresses.add(life.fields["email"])
        life.alive = True
        return customer(life.key, version=self.count, **life.fields)

    def moves(self, who):
        """A customer has another address from now on."""
        life = self.lives[who]
        if life.alive:
            self.count += 1
            life.fields["email"] = f"ann{life.person}-{self.count}@shop.test"
            self.says(who)

    def empties(self, who):
        """A customer takes phone and company out."""
        life = self.lives[who]
        if life.alive:
            self.count += 1
            life.fields |= {"phone": "", "company": ""}
            self.app.emit(customer(life.key, version=self.count, **life.fields), source=life.source)

    def leaves(self, who):
        """A customer is deleted; who comes again has another number."""
        life = self.lives[who]
        if not life.alive:
            return
        self.app.emit(Change(entity="customer", key=life.key, op="delete"), source=life.source)
        life.alive = False
        life.fields = {"email": life.fields["email"]}
        if not life.key.startswith("guest"):
            life.key = f"{int(life.key) + 100}"

    def registers(self, _=None):
        """A guest makes an account, whose key takes the guest's place."""
        life = self.lives["shop", GUEST]
        if life.alive and life.key.startswith("guest"):
            former, life.key = life.key, "4"
            change = self._said(life)
            self.app.emit(Change(**{**{n: getattr(change, n) for n in ("entity", "key", "op", "data", "version")},
                                    "replaces": (former,)}))  # fmt: skip

    # -- the owner

    def contact_of(self, who):
        """The contact that has the customer's address."""
        email = self.lives[who].fields.get("email")
        found = [p["resourceName"] for p in self.google.contacts() if email in values(p, "emailAddresses")]
        return found[0] if found else None

    def marries(self, who, whom, under, markers):
        """The owner merges two customers' contacts."""
        one, two = self.contact_of(who), self.contact_of(whom)
        if one and two and one != two:
            self._merge(one, two, under, markers)

    def _merge(self, one, two, under, markers):
        name = self.google.merge(one, two, under=under, markers=markers)
        self.became |= {former: name for former in (one, two) if former != name}

    def _now(self, name):
        while name in self.became:
            name = self.became[name]
        return name

    def merges(self, who, under, markers, keep):
        """The owner merges a customer's contact with one of their own."""
        ours = self.contact_of(who)
        if ours:
            mine = self.types()
            one, two = (mine, ours) if keep else (ours, mine)
            self._merge(one, two, under, markers)

    def types(self, email=None):
        self.count += 1
        own = f"own{self.count}@home.test"
        self.typed[own] = "emailAddresses"
        return self.google.add(names=NAMES, emailAddresses=[{"value": e} for e in (own, email) if e])

    def types_in(self, who):
        """The owner types a customer in whom they do not find."""
        email = self.lives[who].fields.get("email") or f"ann{who[1]}@shop.test"
        if not [p for p in self.google.contacts() if email in values(p, "emailAddresses")]:
            self.types(email)

    def renames(self, who):
        if name := self.contact_of(who):
            self.became[name] = self.google.rename(name)

    def deletes(self, who):
        if name := self.contact_of(who):
            for field_name in ("emailAddresses", "phoneNumbers"):
                for value in values(self.google.contact(name), field_name):
                    self.typed.pop(value, None)
            self.google.remove(name)

    def adds(self, who):
        """The owner adds a number of their own to a contact."""
        if name := self.contact_of(who):
            self.count += 1
            number = f"+1212{5550000 + self.count}"
            there = self.google.contact(name).get("phoneNumbers", [])
            self.google.edit(name, phoneNumbers=[*there, {"value": number}])
            if self.policy != "delete":  # which takes a contact that we made with all that is on it
                self.typed[number] = "phoneNumbers"

    # -- time

    def passes(self, seconds):
        self.clock.advance(timedelta(seconds=seconds))

    def now(self):
        """Deliver what can be delivered now."""
        self.app.follow()
        self.app.drain()

    def settle(self):
        self.app.settle_down()

    def restarts(self):
        self.app.crash()

    # -- what holds

    def living(self):
        return [life for life in self.lives.values() if life.alive]

    def faults(self, life):
        """What is wrong with one customer, by Google's own record."""
        people = self.google.contacts()
        link = self.app.app.store.link(self.routes[life.source], life.source, "customer", life.key)
        if link is None:
            return [f"{life.uid} is not linked"]
        there = [p for p in people if p["resourceName"] == self._now(link.remote_id)]
        if not there:
            return [f"{life.uid}: {link.remote_id} is not there"]
        (person,) = there
        found = []
        if life.fields["email"] not in values(person, "emailAddresses"):
            found.append(f"{life.uid}: its address is not on its contact")
        if (
            life.fields.get("phone")
            and "phone" not in link.left_out
            and life.fields["phone"] not in values(person, "phoneNumbers")
        ):
            found.append(f"{life.uid}: its number is not on its contact")
        company = life.fields.get("company")
        if company and "company" not in link.left_out and company not in values(person, "organizations", "name"):
            found.append(f"{life.uid}: its company is not on its contact")
        having = [p["resourceName"] for p in people if life.fields["email"] in values(p, "emailAddresses")]
        if len(having) > 1:
            found.append(f"{life.uid}: its address is on {having}")
        marked = [p["resourceName"] for p in people if life.uid in marks_on(p)]
        if len(marked) > 1:
            found.append(f"{life.uid}: its marker is on {marked}")
        return found

    def lost(self):
        """What the owner typed and has no more."""
        people = self.google.contacts()
        return [v for v, name in self.typed.items() if not any(v in values(p, name) for p in people)]

    def doubled(self):
        """Markers that stand twice on one contact."""
        return [p["resourceName"] for p in self.google.contacts() if len(marks_on(p)) != len(set(marks_on(p)))]

    def strange(self):
        """Contacts of nobody: no living customer's, none that one who is gone left, none of the owner's."""
        known = {link for life in self.living() for link in [self._link_of(life)]}
        return [
            p["resourceName"]
            for p in self.google.contacts()
            if p["resourceName"] not in known
            and not {*values(p, "emailAddresses"), *values(p, "phoneNumbers")} & {*self.addresses, *self.typed}
        ]

    def _link_of(self, life):
        link = self.app.app.store.link(self.routes[life.source], life.source, "customer", life.key)
        return self._now(link.remote_id) if link else None

    def check(self, *, final):
        """Whatever `verify` proves is so; after a change of everybody, it is so and proved."""
        assert self.lost() == []
        assert self.doubled() == []
        for source, route in self.routes.items():
            faults = [f for life in self.living() if life.source == source for f in self.faults(life)]
            proof = verify(self.app.app, route, sample=100)
            assert not (proof.proved and faults), (route, faults)
            if final:
                assert faults == []
                assert proof.proved, (route, proof.unproven, [f.message for f in proof.findings])
        if final:
            assert self.strange() == []

    def ends(self):
        self.settle()
        self.passes(660)
        self.settle()
        self.check(final=False)
        self.says(*[who for who, life in self.lives.items() if life.alive])
        self.settle()
        self.passes(660)
        self.check(final=True)


def play(world, steps):
    """Carry the steps out, and look what became of everybody."""
    for name, *how in steps:
        getattr(world, name)(*how)
    world.ends()
