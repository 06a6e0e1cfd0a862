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
