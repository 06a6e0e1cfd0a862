"""Through the whole app: a company that sales made and three customers of it, and an org in trouble."""

from datetime import timedelta
from decimal import Decimal

import pytest
from attrs import evolve
from click.testing import CliRunner

from synccore._cli.preview import _beside
from synccore._verbs.connect import connect
from synccore._verbs.forget import forget
from synccore._verbs.plan import plan
from synccore._verbs.preview import preview
from synccore._verbs.verify import verify
from synccore.entities import Address, Refund
from synccore.errors import SynccoreError
from synccore.testing import AutoBrowser, Fault, customer, upsert
from synccore.types import Change

from .test_salesforce_app import ann, only, purchase, shop, states  # noqa: F401  shop is a fixture

FIRMS = {"object": "Account", "match": ["Name"], "on_delete": "delete"}
PEOPLE = {"object": "Contact", "after": "firms", "on_delete": "delete"}


def vars_of(n):
    return {"email": f"ann{n}@shop.test", "first_name": "Ann", "last_name": f"Lee{n}", "phone": f"+1 212 555 100{n}"}


def person(n, company="acme inc"):
    return customer(str(n), company=company, **vars_of(n))


def account_of(org, n):
    (contact,) = (c for c in org.records("Contact") if c["LastName"] == f"Lee{n}")
    return contact["AccountId"]


def point_at(app, org, second):
    """What an operator writes into the configuration: another login_url."""
    text = app._path.read_text(encoding="utf-8")
    assert org.url in text
    app._path.write_text(text.replace(org.url, second.url), encoding="utf-8")


@pytest.fixture
def acme(shop, org):  # noqa: F811
    """Three customers of a company that sales made."""
    org.acme = org.org.insert("Account", {"Name": "ACME Inc", "Phone": "+1 800"})
    app = shop(org, firms=FIRMS, people=PEOPLE)
    app.emit(*(person(n) for n in (1, 2, 3)))
    app.settle_down()
    assert states(app) == {("done", None, None)}
    assert {account_of(org, n) for n in (1, 2, 3)} == {org.acme}
    return app


def untouched(org):
    record = org.org.objects["Account"].records[org.acme]
    assert (record["IsDeleted"], record["Name"], record["Phone"]) == (False, "ACME Inc", "+1 800")


def test_one_moves_one_is_forgotten_one_is_deleted(acme, org):
    acme.emit(person(1, "Beta Ltd"))
    acme.settle_down()
    third = dict(next(c for c in org.records("Contact") if c["LastName"] == "Lee3"))
    untouched(org)
    result = forget(acme.app, "ann2@shop.test")
    assert result.complete, result.failed
    assert "Lee2" not in str([r for name in org.org.objects for r in org.records(name)])
    untouched(org)
    assert next(c for c in org.records("Contact") if c["LastName"] == "Lee3") == third
    acme.emit(Change(entity="customer", key="3", op="delete"))
    acme.settle_down()
    assert {d.state for d in acme.deliveries()} <= {"done", "skipped"}
    untouched(org)
    (left,) = org.records("Contact")
    beta = next(a for a in org.records("Account") if a["Name"] == "Beta Ltd")
    assert (left["LastName"], left["AccountId"]) == ("Lee1", beta["Id"])


def test_nothing_that_we_made_keeps_the_name_of_whoever_left_a_company_named_after_them(acme, org):
    acme.emit(person(5, "Ann Lee5"))
    acme.settle_down()
    acme.emit(person(5, "Beta Ltd"))
    acme.settle_down()
    assert {"Ann Lee5", "Beta Ltd"} < {a["Name"] for a in org.records("Account")}
    assert forget(acme.app, "ann5@shop.test").complete
    assert "Lee5" not in str([r for name in org.org.objects for r in org.records(name)])
    untouched(org)


def test_nothing_is_left_of_a_buyer_whose_order_made_an_account(shop, org):  # noqa: F811
    app = shop(
        org,
        people={"object": "Contact", "on_delete": "delete"},
        orders={"entity": "order", "object": "Order", "after": "people", "create_products": True},
    )
    app.emit(ann(), upsert(purchase(), owner="12"))
    app.settle_down()
    assert only(org, "Account")["Name"] == "Ann Lee"
    assert forget(app.app, "ann@shop.test").complete
    left = [r for name in ("Account", "Contact", "Order", "Lead") for r in org.records(name)]
    assert not [r for r in left if "Lee" in str(r)], left


@pytest.mark.parametrize("sold", [False, True])
def test_an_account_made_for_orders_goes_with_the_deleted_contact_unless_something_hangs_on_it(shop, org, sold):  # noqa: F811
    app = shop(
        org,
        people={"object": "Contact", "on_delete": "delete"},
        orders={
            "entity": "order",
            "object": "Order",
            "after": "people",
            "create_products": True,
            "on_delete": "delete",
        },
    )
    app.emit(ann(), upsert(purchase(), owner="12"))
    app.settle_down()
    account = only(org, "Account")["Id"]
    if sold:
        deal = {"Name": "Big", "StageName": "Prospecting", "CloseDate": "2026-11-21", "AccountId": account}
        org.org.insert("Opportunity", deal)
    app.emit(Change(entity="order", key=purchase().key, op="delete"))
    app.settle_down()
    app.emit(Change(entity="customer", key="12", op="delete"))
    app.settle_down()
    assert (org.records("Contact"), org.records("Order")) == ([], [])
    assert [a["Id"] for a in org.records("Account")] == ([account] if sold else [])
    assert {d.state for d in app.deliveries()} <= {"done", "skipped"}, states(app)


def test_a_full_org_parks_nothing_and_goes_on_by_itself(shop, org):  # noqa: F811
    app = shop(org, people={"object": "Contact", "match": ["WooId__c"]})
    app.emit(person(0, None))
    app.settle_down()
    org.org.storage_full = True
    app.emit(*(person(n, None) for n in range(60)))
    for _ in range(12):
        app.advance(timedelta(minutes=5))
    assert {d.state for d in app.deliveries()} <= {"ready", "done", "skipped"}, states(app)
    assert {d.attempts for d in app.deliveries(state="ready")} == {0}
    assert len(org.records("Contact")) == 1
    org.org.storage_full = False
    app.settle_down()
    assert len(org.records("Contact")) == 60
    assert {d.state for d in app.deliveries()} <= {"done", "skipped"}


@pytest.mark.parametrize("trouble", ["object", "field"])
def test_permissions_lost_hold_the_route_alone(shop, org, trouble):  # noqa: F811
    org.add_field("Contact", "Shoe__c")
    app = shop(
        org,
        people={"object": "Contact", "match": ["WooId__c"], "fields": {"Shoe__c": "'44'"}},
        firms={"object": "Account"},
    )
    app.emit(person(0))
    app.settle_down()
    contacts = org.org.objects["Contact"]

    def lose(lost):
        if trouble == "object":
            contacts.hidden = lost
        else:
            contacts.fields["Shoe__c"].hidden = lost

    lose(True)
    app.emit(*(person(n) for n in range(1, 20)))
    for _ in range(6):
        app.advance(timedelta(minutes=10))
    waiting = app.deliveries(route="people", state="ready")
    assert (len(waiting), {d.attempts for d in waiting}) == (19, {0})
    assert not app.deliveries(state="parked")
    assert len(org.records("Account")) == 20, "the other route goes on"
    lose(False)
    app.settle_down()
    assert len(org.records("Contact")) == 20


@pytest.mark.parametrize("how", ["hidden", "read-only"])
def test_what_a_permission_kept_out_is_told_and_sent_once_it_is_given(shop, org, how):  # noqa: F811
    phone = org.org.objects["Contact"].fields["Phone"]

    def permit(given):
        if how == "hidden":
            phone.hidden = not given
        else:
            phone.createable = phone.updateable = given

    permit(False)
    app = shop(org, people={"object": "Contact", "match": ["WooId__c"]})
    app.emit(person(1), person(2))
    app.settle_down()
    assert verify(app.app, "people").ok
    permit(True)
    app.advance(timedelta(hours=2))
    proof = verify(app.app, "people")
    assert not proof.ok
    assert proof.drift == {"1": ["Phone"], "2": ["Phone"]}
    # The next delivery takes it along; the others are asked for.
    app.emit(customer("1", **{**vars_of(1), "first_name": "Anna"}))
    app.settle_down()
    assert verify(app.app, "people", repair=True).repaired == ["2"]
    app.settle_down()
    assert {c.get("Phone") for c in org.records("Contact")} == {"+1 212 555 1001", "+1 212 555 1002"}
    assert verify(app.app, "people").ok


def test_another_login_url_gets_nothing_until_connect(shop, org, make_org):  # noqa: F811
    app = shop(org, people={"object": "Contact", "match": ["WooId__c"]})
    app.emit(person(1))
    app.settle_down()
    second = make_org()
    point_at(app, org, second)
    app.crash()
    before = len(org.requests)
    app.emit(person(1, "Beta"), person(2))
    for _ in range(3):
        app.advance(timedelta(minutes=30))
    assert (len(org.requests), second.requests) == (before, [])
    assert app.app.store.lane("sales").state == "needs_auth"
    assert "other settings" in app.app.store.lane("sales").reason
    assert {d.state for d in app.deliveries(state="ready")} == {"ready"}


@pytest.mark.parametrize("calls", [0, 1])
def test_another_org_behind_the_login_gets_nothing_while_the_process_runs(shop, org, calls):  # noqa: F811
    """The session ends (at once, or between the look and the write), and the new one is for another org."""
    app = shop(org, people={"object": "Contact", "match": ["WooId__c", "Email"]})
    app.emit(person(1))
    app.settle_down()
    was = org.org.id
    org.org.id = was[:-3] + "99" + was[-1]
    if calls:
        org.fail_next(Fault.status(401, [{"errorCode": "INVALID_SESSION_ID"}], when=lambda r: r.method != "GET"))
    else:
        org.sign_in.expire()
    held, seen = org.records("Contact"), len(org.requests)
    app.emit(customer("1", **{**vars_of(1), "phone": "+1 212 555 9999"}), *(person(n) for n in range(2, 9)))
    for _ in range(3):
        app.advance(timedelta(minutes=30))
    assert org.records("Contact") == held
    written = [r for r in org.requests[seen:] if r.method != "GET" and "/services/data/" in r.path]
    assert len(written) == calls, "the one that was refused"
    lane = app.app.store.lane("sales")
    assert lane.state in ("error", "needs_auth")
    assert was in lane.reason
    assert org.org.id in lane.reason
    assert {d.state for d in app.deliveries(state="ready")} == {"ready"}
    connect(app.app, "sales", AutoBrowser(org.approve), switch_account=True)
    app.settle_down()
    assert len(org.records("Contact")) > len(held)


@pytest.mark.parametrize("how", ["keep", "clear", "delete"])
def test_a_route_that_wants_somebody_no_more_does_as_it_says(shop, org, how):  # noqa: F811
    app = shop(org, people={"object": "Contact", "when": "customer.company != 'Gone'", "on_leave": how})
    app.emit(person(1), person(2))
    app.settle_down()
    app.emit(person(1, "Gone"))
    app.settle_down()
    there = {c["LastName"]: c for c in org.records("Contact")}
    assert there["Lee2"]["Email"] == "ann2@shop.test"
    if how == "delete":
        assert there.keys() == {"Lee2"}
    else:
        assert there["Lee1"]["Email"] == (None if how == "clear" else "ann1@shop.test")
    app.emit(person(1))
    app.settle_down()
    assert {c["Email"] for c in org.records("Contact")} == {"ann1@shop.test", "ann2@shop.test"}
    assert {d.state for d in app.deliveries()} <= {"done", "skipped"}, states(app)


def test_a_way_of_leaving_that_salesforce_has_not_is_a_mistake(shop, org):  # noqa: F811
    with pytest.raises(SynccoreError, match="unlabel"):
        shop(org, people={"object": "Contact", "when": "customer.company != 'Gone'", "on_leave": "unlabel"})


def test_a_refund_lowers_the_amount_of_a_deal_and_shows_on_an_order(shop, org):  # noqa: F811
    org.add_field("Order", "Refunded__c", type="currency")
    app = shop(
        org,
        firms={"object": "Account"},
        deals={"entity": "order", "object": "Opportunity"},
        orders={"entity": "order", "object": "Order", "after": "firms", "create_products": True},
    )
    app.emit(ann(), upsert(purchase(), owner="12"))
    app.settle_down()
    items = sorted((i["Quantity"], i["UnitPrice"]) for i in org.records("OrderItem"))
    refund = Refund(key="9", amount=Decimal("10.00"), reason="too small")
    app.emit(upsert(purchase(refunds=(refund,)), owner="12"))
    app.settle_down()
    assert states(app) == {("done", None, None)}
    assert only(org, "Opportunity")["Amount"] == 14.48
    assert only(org, "Order")["Refunded__c"] == 10
    assert sorted((i["Quantity"], i["UnitPrice"]) for i in org.records("OrderItem")) == items


def test_what_the_shop_emptied_is_emptied_and_an_opt_out_stays(shop, org):  # noqa: F811
    app = shop(org, people={"object": "Contact"})
    app.emit(ann(accepts_marketing=False))
    app.settle_down()
    app.emit(evolve(ann(phone=None, accepts_marketing=None)))
    app.settle_down()
    record = only(org, "Contact")
    assert (record["Phone"], record["HasOptedOutOfEmail"], record["FirstName"]) == (None, True, "Ann")


def test_verify_is_green_after_all_that_people_do(shop, make_org):  # noqa: F811
    org = make_org(picklists=True)
    app = shop(org, people={"object": "Contact", "match": ["Email"]}, leads={"object": "Lead"})
    theirs = {"LastName": "Owner", "Email": "ann1@shop.test", "WooId__c": "outlet:customer:9", "Phone": "42"}
    org.org.insert("Contact", theirs)
    home = Address(line1="1 Main St", city="Bonn", state="NW", country="DE")
    app.emit(*(evolve_billing(person(n), home) for n in range(4)))
    app.settle_down()
    contacts = {c["Email"]: c for c in org.records("Contact")}
    survivor = org.org.insert("Contact", {"LastName": "Survivor", "Phone": "7", "Email": "ann2@shop.test"})
    org.org.merge("Contact", contacts["ann2@shop.test"]["Id"], survivor)
    (lead,) = (x for x in org.records("Lead") if x["LastName"] == "Lee3")
    org.org.convert(lead["Id"])
    lacking = sorted(contacts["ann2@shop.test"].keys() & {"FirstName", "MailingCity"})
    for route in ("people", "leads"):
        proof = verify(app.app, route)
        assert (proof.drift, proof.gone, proof.ok) == ({}, [], True), proof.findings
        assert survivor not in proof.namesakes, "it is the person's own, with the next delivery it is linked"
        (told,) = (f.message for f in proof.findings if "merged or converted" in f.message)
        assert route == "leads" or all(name in told for name in lacking), told
    app.emit(*(evolve_billing(person(n, "Moved Ltd"), evolve(home, city="Köln")) for n in range(4)))
    app.settle_down()
    assert {d.state for d in app.deliveries()} <= {"done", "skipped"}, states(app)
    for route in ("people", "leads"):
        proof = verify(app.app, route)
        assert (proof.drift, proof.gone, proof.ok) == ({}, [], True), proof.findings
    org.org.objects["Contact"].records[survivor]["MailingCity"] = "Elsewhere"
    assert verify(app.app, "people").drift == {"2": ["MailingCity"]}, "and red for what is not so"


def test_preview_shows_the_orgs_values_and_not_ours(shop, org):  # noqa: F811
    app = shop(org, people={"object": "Contact", "match": ["Email"]})
    org.org.insert("Contact", {"LastName": "Owner", "Email": "ann1@shop.test", "HasOptedOutOfEmail": True})
    app.emit(person(1))
    app.settle_down()
    shown = preview(app.app, "people", "1", live=True)
    assert shown.remote["LastName"] == "Owner"
    assert shown.remote.get("HasOptedOutOfEmail", True) is True
    assert "LastNameFallback" not in {*shown.remote, *shown.drift}


def evolve_billing(change, home):
    return evolve(change, data=evolve(change.data, billing=home))


def test_a_person_may_switch_to_the_other_org(shop, org, make_org):  # noqa: F811
    app = shop(org, connect=False, people={"object": "Contact", "match": ["WooId__c"]})
    connect(app.app, "sales", AutoBrowser(org.approve))
    app.emit(person(1))
    app.settle_down()
    second = make_org()
    point_at(app, org, second)
    app.crash()
    with pytest.raises(SynccoreError, match="--switch-account"):
        connect(app.app, "sales", AutoBrowser(second.approve))
    app.emit(person(1, "Beta"))
    app.settle_down(timedelta(hours=1))
    assert second.records("Contact") == []
    assert not second.sign_in.refresh_tokens, "the grant that must not count was given back"
    connect(app.app, "sales", AutoBrowser(second.approve), switch_account=True)
    before = len(org.requests)
    app.emit(person(1, "Gamma"), person(2))
    app.settle_down()
    assert sorted(c["LastName"] for c in second.records("Contact")) == ["Lee1", "Lee2"]
    assert (len(org.requests), len(org.records("Contact"))) == (before, 1)


def test_a_plan_promises_a_company_to_all_who_share_it_as_deliveries_do(shop, org):  # noqa: F811
    acme = org.org.insert("Account", {"Name": "ACME Inc"})
    app = shop(org, firms=FIRMS, people=PEOPLE)
    app.source.put(*(person(n) for n in (1, 2, 3)))
    found = plan(app.app, "firms")
    assert (found.counts["refused"], found.counts["create"]) == (0, 0), found.reasons
    assert found.counts["update"] + found.counts["unchanged"] == 3
    app.emit(*(person(n) for n in (1, 2, 3)))
    app.settle_down()
    assert {account_of(org, n) for n in (1, 2, 3)} == {acme}


def test_a_preview_shows_fields_of_the_object_and_no_emptying_of_nothing(shop, org):  # noqa: F811
    app = shop(org, people={"object": "Contact"})
    app.emit(person(1, None))
    app.drain()
    found = preview(app.app, "people", "1")
    assert "LastNameFallback" not in {*found.fields, *found.changed, *found.previous}
    runner = CliRunner()
    with runner.isolation() as (out, *_):
        _beside(found)
        said = out.getvalue().decode()
    assert "LastName" in said
    assert "(emptied)" not in said


def test_a_full_org_first_met_inside_a_job_parks_nothing(shop, org):  # noqa: F811
    app = shop(org, people={"object": "Contact", "match": ["WooId__c"]})
    org.org.storage_full = True
    app.emit(*(person(n, None) for n in range(300)), bulk=True)
    for _ in range(6):
        app.advance(timedelta(minutes=5))
    assert org.jobs.jobs
    assert {(d.state, d.attempts) for d in app.deliveries()} == {("ready", 0)}, states(app)
    org.org.storage_full = False
    app.settle_down()
    assert len(org.records("Contact")) == 300
    assert states(app) == {("done", None, None)}
