"""Through the whole app: default mappings as an operator gets them, from a shop's records to the org's."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from attrs import evolve

from synccore._verbs.forget import forget
from synccore.entities import Address, Order, OrderLine
from synccore.testing import AutoBrowser, Fault, Harness, customer, upsert
from synccore_salesforce.sink import SINK

SINCE = datetime(2024, 5, 6, 7, 8, tzinfo=UTC)
HOME = Address(
    first_name="Ann",
    last_name="Lee",
    company="Lee Ltd",
    line1="1 Main St",
    line2="Unit 2",
    city="New York",
    postcode="10001",
    state="NY",
    country="US",
)


@pytest.fixture
def shop(tmp_path):
    """Makes an app between a shop and an org."""
    apps = []

    def make(org, connect=True, **routes):
        table = {"login_url": org.url, "client_id": org.client_id, "client_secret": org.client_secret}
        table["bulk_threshold"] = 250
        spec = {n: {"sink": "sales", "entity": "customer", **r} for n, r in routes.items()}
        apps.append(Harness(tmp_path, spec, sink_types={"sales": (SINK, table)}, installed=True))
        if connect:
            apps[-1].app.sinks["sales"].instance.connect(AutoBrowser(org.approve))
        return apps[-1]

    yield make
    for app in apps:
        app.close()


def ann(key="12", **values):
    data = {"email": "ann@shop.test", "first_name": "A", "last_name": "L", "phone": "+1 212 555 1000", "billing": HOME}
    return customer(key, **{**data, "company": "Lee Ltd", "created_at": SINCE, **values})


def states(app):
    return {(d.state, d.error_kind, d.error) for d in app.deliveries()}


def only(org, name):
    (record,) = org.records(name)
    return record


def test_customer_becomes_a_contact_word_for_word(shop, org):
    org.add_field("Contact", "Customer_Since__c", type="date")
    app = shop(org, people={"object": "Contact"})
    app.emit(ann(accepts_marketing=False))
    app.settle_down()
    assert states(app) == {("done", None, None)}
    record = only(org, "Contact")
    expected = {
        "FirstName": "Ann",
        "LastName": "Lee",
        "Email": "ann@shop.test",
        "Phone": "+1 212 555 1000",
        "MailingStreet": "1 Main St\nUnit 2",
        "MailingCity": "New York",
        "MailingPostalCode": "10001",
        "MailingState": "NY",
        "MailingCountry": "United States",
        "Customer_Since__c": "2024-05-06",
        "HasOptedOutOfEmail": True,
        "WooId__c": "shop:customer:12",
    }
    assert {n: record.get(n) for n in expected} == expected


def test_a_name_is_no_mix_of_two_places(shop, org):
    app = shop(org, people={"object": "Contact"})
    app.emit(ann(first_name="Ada", last_name="Lovelace", billing=Address(last_name="Byron")))
    app.settle_down()
    record = only(org, "Contact")
    assert (record.get("FirstName"), record["LastName"]) == (None, "Byron")


def test_with_picklists_codes_are_sent(shop, make_org):
    org = make_org(picklists=True)
    app = shop(org, people={"object": "Contact"})
    app.emit(ann())
    app.settle_down()
    record = only(org, "Contact")
    assert (record["MailingStateCode"], record["MailingCountryCode"]) == ("NY", "US")


def test_company_and_its_contact(shop, org):
    app = shop(org, firms={"object": "Account"}, people={"object": "Contact", "after": "firms"})
    app.emit(ann())
    app.settle_down()
    account, contact = only(org, "Account"), only(org, "Contact")
    assert (account["Name"], account["BillingCity"]) == ("Lee Ltd", "New York")
    assert contact["AccountId"] == account["Id"]


def test_person_account_with_its_order(shop, make_org):
    org = make_org(person_accounts=True)
    app = shop(
        org,
        people={"object": "PersonAccount"},
        orders={"entity": "order", "object": "Order", "after": "people", "create_products": True, "activate": True},
    )
    app.emit(ann(), upsert(purchase(), owner="12"))
    app.settle_down()
    assert states(app) == {("done", None, None)}
    account, order = only(org, "Account"), only(org, "Order")
    assert (account["PersonEmail"], account["IsPersonAccount"]) == ("ann@shop.test", True)
    assert (order["AccountId"], order["Status"], order["EffectiveDate"]) == (account["Id"], "Activated", "2024-05-06")
    assert order["BillToContactId"] == account["PersonContactId"]
    assert (order["Name"], order["BillingCity"]) == ("1001", "New York")
    items = sorted((i["Quantity"], i["UnitPrice"]) for i in org.records("OrderItem"))
    assert items == [(1, 4.5), (2, 9.99)]


def test_lead_and_opportunity(shop, org):
    app = shop(org, leads={"object": "Lead"}, deals={"entity": "order", "object": "Opportunity"})
    app.emit(ann(company=None, billing=Address()), upsert(purchase(), owner="12"))
    app.settle_down()
    assert states(app) == {("done", None, None)}
    lead, deal = only(org, "Lead"), only(org, "Opportunity")
    assert (lead["Company"], lead["LastName"]) == ("A L", "L")
    assert (deal["Name"], deal["StageName"], deal["Amount"]) == ("Order 1001", "Closed Won", 24.48)


def test_contact_with_its_order(shop, org):
    app = shop(
        org,
        people={"object": "Contact", "match": ["WooId__c", "Email"]},
        orders={"entity": "order", "object": "Order", "after": "people", "create_products": True},
    )
    app.emit(ann(), upsert(purchase(), owner="12"))
    app.settle_down()
    assert states(app) == {("done", None, None)}
    contact, order = only(org, "Contact"), only(org, "Order")
    assert (order["BillToContactId"], order["AccountId"]) == (contact["Id"], contact["AccountId"])
    assert order["Status"] == "Draft"


def test_nothing_but_an_address_is_enough(shop, org):
    app = shop(org, people={"object": "Contact"}, firms={"object": "Account"}, leads={"object": "Lead"})
    app.emit(customer("guest:1", email="sam@shop.test"))
    app.settle_down()
    assert states(app) == {("done", None, None)}
    assert only(org, "Contact")["LastName"] == "sam"


def purchase(**values):
    lines = (
        OrderLine(key="1", name="Hat", sku="HAT", quantity=Decimal(2), price=Decimal("9.99")),
        OrderLine(key="2", name="Wrap", quantity=Decimal(1), total=Decimal("4.50")),
    )
    data = {"key": "1001", "number": "1001", "status": "completed", "currency": "USD", "total": Decimal("24.48")}
    return Order(**{**data, "created_at": SINCE, "customer_key": "12", "billing": HOME, "lines": lines, **values})


def test_order_before_its_customer_waits(shop, org):
    app = shop(
        org,
        people={"object": "Contact"},
        deals={"entity": "order", "object": "Opportunity", "after": "people"},
    )
    app.emit(upsert(purchase(), owner="12"))
    app.drain()
    assert org.records("Opportunity") == []
    app.emit(ann())
    app.settle_down()
    assert only(org, "Opportunity")["ContactId"] == only(org, "Contact")["Id"]


def test_backlog_goes_through_one_job_and_survives_a_crash(shop, org):
    app = shop(org, people={"object": "Contact", "match": ["WooId__c"]})
    app.emit(*(ann(str(n), email=f"ann{n}@shop.test") for n in range(300)), bulk=True)
    app.drain()
    app.crash()
    org.sign_in.expire()
    app.settle_down()
    assert states(app) == {("done", None, None)}
    assert len(org.records("Contact")) == 300
    assert [j["numberRecordsProcessed"] for j in org.jobs.jobs.values()] == [300]
    before = org.calls_used
    app.emit(*(ann(str(n), email=f"ann{n}@shop.test") for n in range(300)), bulk=True)
    app.settle_down()
    assert org.calls_used == before, "equal state costs no call"


def test_who_is_forgotten_while_a_job_runs_is_gone_when_it_has_ended(shop, org):
    app = shop(org, people={"object": "Contact", "match": ["WooId__c"]})
    app.emit(*(ann(str(n), email=f"ann{n}@shop.test") for n in range(300)), bulk=True)
    app.app.engine.lanes["sales"].step()
    assert {d.state for d in app.deliveries()} == {"submitted"}
    (job,) = org.jobs.jobs.values()
    there = {r["Email"] for r in org.records("Contact")}
    first = forget(app.app, "ann7@shop.test")
    assert not first.complete, (job["state"], len(there))
    (told,) = first.erased
    assert (told.key, told.outcome) == ("7", "pending")
    app.settle_down()
    assert forget(app.app, "ann7@shop.test").complete
    app.settle_down()
    assert {r["Email"] for r in org.records("Contact")} == {f"ann{n}@shop.test" for n in range(300) if n != 7}


@pytest.mark.parametrize("recreate", [False, True])
def test_what_a_job_could_not_write_of_the_forgotten_advises_nobody_to_make_them_again(shop, org, recreate):
    app = shop(org, people={"object": "Contact", "match": ["WooId__c"], "recreate": recreate})
    app.emit(*(ann(str(n), email=f"ann{n}@shop.test") for n in range(300)), bulk=True)
    app.settle_down()
    org.job_polls = 3
    app.emit(*(ann(str(n), email=f"ann{n}@shop.test", phone="+1 212 555 2000") for n in range(300)), bulk=True)
    app.app.engine.lanes["sales"].step()
    assert not forget(app.app, "ann7@shop.test").complete
    app.settle_down()
    (parked,) = app.deliveries(state="parked")
    assert "forget" in parked.error
    assert "recreate" not in parked.error
    app.app.store.retry([parked.id], app.clock.now())
    app.settle_down()
    assert "ann7@shop.test" not in {r["Email"] for r in org.records("Contact")}
    assert forget(app.app, "ann7@shop.test").complete
    assert app.deliveries(state="parked") == []
    assert len(org.records("Contact")) == 299


def test_kill_between_submitting_and_remembering(shop, org):
    app = shop(org, people={"object": "Contact", "match": ["WooId__c"]})
    app.emit(*(ann(str(n), email=f"ann{n}@shop.test") for n in range(300)), bulk=True)

    def die(*_, **__):
        raise KeyboardInterrupt

    app.app.store.settle = app.app.store.release = die
    with pytest.raises(KeyboardInterrupt):
        app.drain()
    del app.app.store.settle, app.app.store.release
    app.crash()
    app.settle_down()
    assert states(app) == {("done", None, None)}
    assert len(org.jobs.jobs) == 1
    assert len(org.records("Contact")) == 300


def test_used_up_day_resumes_by_itself(shop, org):
    app = shop(org, people={"object": "Contact"})
    org.calls_used = org.call_limit
    app.emit(*(ann(str(n), email=f"ann{n}@shop.test") for n in range(20)))
    for _ in range(20):
        app.advance(timedelta(minutes=10))
    assert {(d.state, d.attempts) for d in app.deliveries()} == {("ready", 0)}
    org.calls_used = 0
    app.settle_down()
    assert states(app) == {("done", None, None)}


def test_revoked_grant_pauses_and_connecting_resumes(shop, org):
    app = shop(org, people={"object": "Contact"})
    org.sign_in.expire()
    org.sign_in.refresh_tokens.clear()
    app.emit(ann())
    app.drain()
    assert app.app.store.lane("sales").state == "needs_auth"
    assert {d.state for d in app.deliveries()} == {"ready"}


def test_guest_who_registers_stays_one_contact_with_the_accounts_key(shop, org):
    app = shop(org, people={"object": "Contact"})
    app.emit(customer("guest:ab", email="ann@shop.test", last_name="Lee"))
    app.settle_down()
    app.emit(evolve(ann(), replaces=("guest:ab",)))
    app.settle_down()
    assert only(org, "Contact")["WooId__c"] == "shop:customer:12"


def test_check_of_default_routes_finds_no_error(shop, org):
    from synccore._verbs.parts.check_mapping import check_mapping

    app = shop(
        org,
        people={"object": "Contact", "after": "firms"},
        firms={"object": "Account"},
        leads={"object": "Lead"},
        orders={"entity": "order", "object": "Order", "after": "firms"},
        deals={"entity": "order", "object": "Opportunity", "after": "people"},
    )
    instance = app.app.sinks["sales"].instance
    objects = {i.name: i for i in instance.describe()}
    found = [f for r in app.app.routes.values() for f in check_mapping(r, objects)]
    assert [f.message for f in found if f.level == "error"] == []
    assert [f.message for f in instance.check().findings if f.level == "error"] == []


def test_outage_in_the_middle_of_items(shop, org):
    app = shop(
        org,
        firms={"object": "Account"},
        orders={"entity": "order", "object": "Order", "after": "firms", "create_products": True},
    )
    app.emit(ann())
    app.settle_down()
    org.fail_next(Fault.commit_then_drop(when=lambda r: b"OrderItem" in r.body))
    app.emit(upsert(purchase(), owner="12"))
    app.settle_down()
    assert states(app) == {("done", None, None)}
    assert len(org.records("Order")) == 1
    assert len(org.records("OrderItem")) == 2
