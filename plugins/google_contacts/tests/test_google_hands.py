"""An order that changes hands, on contacts that say what their owners bought; asked of Google's own records."""

from synccore._verbs.preview import preview
from synccore._verbs.verify import verify
from synccore.entities import Order
from synccore.testing import FakeClock, Harness, customer, upsert
from synccore_google_contacts.sink import SINK
from synccore_google_contacts.testing import AutoBrowser, FakePeople, settings

ROUTE = {
    "contacts": {
        "entity": "customer",
        "sink": "contacts",
        "object": "contact",
        "include": ["order"],
        "fields": {"email": "customer.email", "custom.Orders": "orders | map(attribute='number') | join(', ')"},
    }
}


def order(owner):
    return upsert(Order(key="9", number="1009", status="completed", currency="EUR", total=5), owner=owner, version=7)


def bought(google):
    """Address -> orders, as the contacts at Google have it."""
    return {
        person["emailAddresses"][0]["value"]: [
            d["value"] for d in person.get("userDefined", ()) if d["key"] == "Orders"
        ]
        for person in google.contacts()
    }


def test_both_owners_contacts_follow_an_order_that_changes_hands(tmp_path):
    """From a guest to an account and on to another, with nothing changed in the order itself."""
    clock = FakeClock()
    with FakePeople(clock=clock.now) as google:
        table = {k: v for k, v in settings(google).items() if k != "type"}
        source = {"entities": ["customer", "order"]}
        with Harness(
            tmp_path, ROUTE, sink_types={"contacts": (SINK, table)}, source_table=source, clock=clock, installed=True
        ) as app:
            app.app.sinks["contacts"].instance.connect(AutoBrowser())
            people = {"guest:1": "gus@shop.test", "1": "ada@shop.test", "2": "ben@shop.test"}
            app.emit(*(customer(key, email=email) for key, email in people.items()), order("guest:1"))
            app.settle_down()
            assert bought(google) == {"gus@shop.test": ["1009"], "ada@shop.test": [], "ben@shop.test": []}
            for old, new in (("guest:1", "1"), ("1", "2")):
                app.emit(order(new))
                assert preview(app.app, "contacts", new, live=True).fields["custom.Orders"] == "1009"
                assert not verify(app.app, "contacts").ok
                app.settle_down()
                held = bought(google)
                assert held[people[new]] == ["1009"]
                assert held[people[old]] == []
                assert verify(app.app, "contacts").ok
