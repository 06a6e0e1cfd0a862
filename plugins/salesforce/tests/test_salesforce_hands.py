"""An order that changes hands, as the org's own records have it."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from synccore._verbs.preview import preview
from synccore._verbs.verify import verify
from synccore.entities import Order
from synccore.testing import AutoBrowser, Harness, customer, upsert
from synccore_salesforce.sink import SINK

PEOPLE = {"guest:1": "gus@shop.test", "1": "ada@shop.test", "2": "ben@shop.test"}


@pytest.fixture
def shop(tmp_path, org):
    """An app between a shop of three people and an org, with this object for its orders."""
    apps = []

    def make(order_object, **more):
        table = {"login_url": org.url, "client_id": org.client_id, "client_secret": org.client_secret}
        routes = {
            "people": {"sink": "sales", "entity": "customer", "object": "Contact"},
            "deals": {"sink": "sales", "entity": "order", "object": order_object, "after": "people", **more},
        }
        apps.append(Harness(tmp_path, routes, sink_types={"sales": (SINK, table)}, installed=True))
        apps[-1].app.sinks["sales"].instance.connect(AutoBrowser(org.approve))
        apps[-1].emit(*(customer(k, email=email, last_name=f"N{k[-1]}") for k, email in PEOPLE.items()))
        apps[-1].settle_down()
        return apps[-1]

    yield make
    for app in apps:
        app.close()


def order(owner):
    at = datetime(2026, 1, 5, 12, tzinfo=UTC)
    data = Order(key="9", number="1009", status="processing", currency="USD", total=Decimal(5), created_at=at)
    return upsert(data, owner=owner, version=7)


def email_of(org, contact):
    return next(r["Email"] for r in org.records("Contact") if r["Id"] == contact)


@pytest.mark.parametrize("hands", [("guest:1", "1", "2")])
def test_an_order_is_billed_to_its_new_owner(shop, org, hands):
    app = shop("Order")
    for owner in hands:
        app.emit(order(owner))
        if owner != hands[0]:  # the first one makes it
            assert preview(app.app, "deals", "9", live=True).action == "update"
            assert not verify(app.app, "deals").ok
        app.settle_down()
        (held,) = org.records("Order")
        assert email_of(org, held["BillToContactId"]) == PEOPLE[owner]
        (account,) = [r["AccountId"] for r in org.records("Contact") if r["Id"] == held["BillToContactId"]]
        assert held["AccountId"] == account
        assert verify(app.app, "deals").ok


def test_a_deal_keeps_its_first_contact_and_that_is_said(shop, org):
    """Salesforce fixes an opportunity's contact when it is made: nothing waits for that, and nobody is misled."""
    app = shop("Opportunity")
    for owner in ("guest:1", "1"):
        app.emit(order(owner))
        app.settle_down()
    (held,) = org.records("Opportunity")
    assert email_of(org, held["ContactId"]) == PEOPLE["guest:1"]
    assert {d.state for d in app.deliveries()} == {"done"}
    assert "ContactId stays as it was" in str(app.app.store.history(key="9"))
    said = [f.message for f in app.app.sinks["sales"].instance.check().findings]
    assert any("fixes Opportunity.ContactId when the record is made" in message for message in said)


# -- what the org's own people point elsewhere


def drawn(org, shop, order_object, lookup, **more):
    """An order of ada's, whose record is under her; the app, and the record itself."""
    if lookup == "Buyer__c":
        org.add_field(order_object, lookup, type="reference", refers_to=("Contact",), relationship="Buyer__r")
        more["parent_field"] = lookup
    app = shop(order_object, **more)
    app.emit(order("1"))
    app.settle_down()
    (record,) = org.records(order_object)
    assert email_of(org, record[lookup]) == PEOPLE["1"]
    assert verify(app.app, "deals").proved
    return app, org.org.objects[order_object].records[record["Id"]]


@pytest.mark.parametrize("wrong", ["", "2"], ids=["emptied", "anothers"])
@pytest.mark.parametrize(("kind", "lookup"), [("Order", "BillToContactId"), ("Opportunity", "Buyer__c")])
def test_a_lookup_that_somebody_spoilt_is_named_and_mended(shop, org, kind, lookup, wrong):
    app, record = drawn(org, shop, kind, lookup)
    record[lookup] = app.app.store.link("people", "shop", "customer", wrong).remote_id if wrong else None
    seen = verify(app.app, "deals")
    assert (seen.ok, seen.moved, seen.drift) == (False, ["9"], {})
    assert any(lookup in f.message for f in seen.findings)
    assert preview(app.app, "deals", "9", live=True).drift == (lookup,)
    assert verify(app.app, "deals", repair=True).repaired == ["9"]
    app.settle_down()
    assert email_of(org, record[lookup]) == PEOPLE["1"]
    assert verify(app.app, "deals").proved
    assert preview(app.app, "deals", "9", live=True).drift == ()


def test_a_lookup_is_the_owners_on_a_record_that_they_made(shop, org):
    """Sales had it, with a buyer of their own: found by its key, it keeps whom they chose, and gets one where it has
    none."""
    org.add_field("Opportunity", "Buyer__c", type="reference", refers_to=("Contact",), relationship="Buyer__r")
    org.add_field("Opportunity", "WooId__c", length=100, external_id=True, unique=True)
    app = shop("Opportunity", parent_field="Buyer__c", match=["Name"])
    theirs = org.org.insert("Contact", {"LastName": "Partner", "Email": "partner@shop.test"}, raw=True)
    values = {"Name": "Order 1009", "StageName": "Prospecting", "CloseDate": "2026-01-05", "Buyer__c": theirs}
    deal = org.org.objects["Opportunity"].records[org.org.insert("Opportunity", values, raw=True)]
    app.emit(order("1"))
    app.settle_down()
    assert deal["WooId__c"] == "shop:order:9"
    assert (deal["Buyer__c"], verify(app.app, "deals").moved) == (theirs, [])
    assert preview(app.app, "deals", "9", live=True).drift == ()
    deal["Buyer__c"] = None
    assert verify(app.app, "deals", repair=True).moved == ["9"]
    app.settle_down()
    assert email_of(org, deal["Buyer__c"]) == PEOPLE["1"]


def test_a_lookup_that_can_be_set_once_only_is_left_alone(shop, org):
    app, record = drawn(org, shop, "Opportunity", "ContactId")
    record["ContactId"] = None
    assert verify(app.app, "deals").moved == []


def test_a_lookup_that_the_mapping_fills_is_a_field_like_any_other(shop, org):
    org.add_field("Contact", "WooId__c", length=100, external_id=True, unique=True)
    org.add_field("Opportunity", "Buyer__c", type="reference", refers_to=("Contact",), relationship="Buyer__r")
    by_key = {"Buyer__r.WooId__c": "'shop:customer:' ~ customer.key"}
    app = shop("Opportunity", parent_field="Buyer__c", fields=by_key)
    app.emit(order("1"))
    app.settle_down()
    (record,) = org.org.objects["Opportunity"].records.values()
    record["Buyer__c"] = None
    seen = verify(app.app, "deals", repair=True)
    assert (seen.moved, seen.drift) == ([], {"9": ["Buyer__r.WooId__c"]})
    app.settle_down()
    assert email_of(org, record["Buyer__c"]) == PEOPLE["1"]


def test_a_contact_that_was_put_into_another_account_is_named_and_put_back(tmp_path, org):
    table = {"login_url": org.url, "client_id": org.client_id, "client_secret": org.client_secret}
    routes = {
        "firms": {"sink": "sales", "entity": "customer", "object": "Account"},
        "people": {"sink": "sales", "entity": "customer", "object": "Contact", "after": "firms"},
    }
    with Harness(tmp_path, routes, sink_types={"sales": (SINK, table)}, installed=True) as app:
        app.app.sinks["sales"].instance.connect(AutoBrowser(org.approve))
        app.emit(*(customer(k, email=PEOPLE[k], last_name=f"N{k}", company=f"Firm {k}") for k in "12"))
        app.settle_down()
        contact = next(r for r in org.org.objects["Contact"].records.values() if r["Email"] == PEOPLE["1"])
        due = contact["AccountId"]
        contact["AccountId"] = org.org.insert("Account", {"Name": "Elsewhere"}, raw=True)
        assert verify(app.app, "people", repair=True).moved == ["1"]
        app.settle_down()
        assert contact["AccountId"] == due
        assert verify(app.app, "people").proved


def test_what_hangs_on_a_contact_that_was_merged_follows_it(shop, org):
    """Before the shop's next change of the contact, and of the order, is known."""
    app, record = drawn(org, shop, "Opportunity", "Buyer__c")
    left = org.org.insert("Contact", {"LastName": "Left", "Email": PEOPLE["1"]}, raw=True)
    org.org.merge("Contact", record["Buyer__c"], left)
    assert record["Buyer__c"] == left, "the platform takes along what hung on it"
    assert verify(app.app, "deals").moved == []
    record["Buyer__c"] = None
    assert verify(app.app, "deals", repair=True).moved == ["9"]
    app.settle_down()
    assert record["Buyer__c"] == left
