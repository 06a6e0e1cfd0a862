"""Orders with their items, drafts and activation, and what stands in for them."""

from decimal import Decimal

import pytest

from synccore.entities import OrderLine
from synccore.errors import Rejected, Transient
from synccore.testing import Fault
from synccore.types import Delivered, Failed, Identity, Unchanged
from synccore.values import money
from synccore_salesforce.mapping.defaults import items
from synccore_salesforce.mapping.values import canonical_items

CUSTOMERS = "customers"


@pytest.fixture
def shop(org):
    """An org with two products in the standard price book."""
    (book,) = org.records("Pricebook2")
    for code, price in (("HAT", 10), ("MUG", 4)):
        product = org.org.insert("Product2", {"Name": code.title(), "ProductCode": code, "IsActive": True})
        entry = {"Pricebook2Id": book["Id"], "Product2Id": product, "UnitPrice": price, "IsActive": True}
        org.org.insert("PricebookEntry", entry)
    return org


@pytest.fixture
def crm(shop, bench, route):
    """An accounts route with one customer, and an orders route behind it."""

    def make(**settings):
        made = bench(
            route("orders", "Order", "order", after=CUSTOMERS, settings=settings),
            route(CUSTOMERS, "Account", match=("WooId__c",)),
        )
        made.one("7", {"Name": "Lee", "WooId__c": "shop:customer:7"}, route=CUSTOMERS)
        return made

    return make


def item(code, quantity=1, price="9.99"):
    return {"sku": code, "name": code.title(), "quantity": str(quantity), "price": price}


def order(*items, **fields):
    values = {"EffectiveDate": "2026-11-21", "Status": "Draft", "Name": "1001", "WooId__c": "shop:order:1001"}
    return {**values, "OrderReferenceNumber": "shop:order:1001", **fields, "items": list(items)}


def send(crm, fields, key="1001", **options):
    return crm.one(key, fields, parent=crm.links[CUSTOMERS, "7"], **options)


def lines(crm):
    entries = crm.org.org.objects["PricebookEntry"].records
    products = crm.org.org.objects["Product2"].records
    return sorted(
        (products[entries[i["PricebookEntryId"]]["Product2Id"]]["ProductCode"], i["Quantity"], i["UnitPrice"])
        for i in crm.org.records("OrderItem")
    )


def test_order_is_a_draft_of_its_customers_account_with_items(crm):
    crm = crm()
    assert isinstance(send(crm, order(item("HAT", 2), item("MUG", 1, "4"), Status="Activated")), Delivered)
    record = crm.found("Order")
    assert (record["Status"], record["AccountId"]) == ("Draft", crm.links[CUSTOMERS, "7"].remote_id)
    assert lines(crm) == [("HAT", 2, 9.99), ("MUG", 1, 4)]


def test_nothing_changed_nothing_sent(crm):
    crm = crm()
    send(crm, order(item("HAT")))
    before = crm.context.calls
    assert isinstance(send(crm, order(item("HAT"))), Unchanged)
    assert crm.context.calls == before


def test_items_are_changed_one_by_one(crm):
    crm = crm()
    send(crm, order(item("HAT", 2), item("MUG")))
    kept = crm.found("OrderItem", Quantity=2)["Id"]
    outcome = send(crm, order(item("HAT", 3), item("HAT", 1)))
    assert isinstance(outcome, Delivered)
    assert lines(crm) == [("HAT", 1, 9.99), ("HAT", 3, 9.99)]
    assert crm.found("OrderItem", Quantity=3)["Id"] == kept


def test_completed_orders_are_activated_where_asked(crm):
    crm = crm(activate=True)
    send(crm, order(item("HAT"), Status="Draft"))
    assert crm.found("Order")["Status"] == "Draft"
    send(crm, order(item("HAT"), Status="Activated"))
    assert crm.found("Order")["Status"] == "Activated"


def test_activated_order_is_opened_changed_and_activated_again(crm):
    crm = crm(activate=True)
    send(crm, order(item("HAT"), Status="Activated"))
    outcome = send(crm, order(item("HAT", 5), Status="Activated", Description="a gift"))
    assert isinstance(outcome, Delivered)
    record = crm.found("Order")
    assert (record["Status"], record["Description"]) == ("Activated", "a gift")
    assert lines(crm) == [("HAT", 5, 9.99)]


def test_order_that_is_no_longer_completed_becomes_a_draft(crm):
    crm = crm(activate=True)
    send(crm, order(item("HAT"), Status="Activated"))
    send(crm, order(item("HAT"), Status="Draft"))
    assert crm.found("Order")["Status"] == "Draft"


@pytest.mark.parametrize("linked", [True, False])
def test_order_somebody_activated_is_opened_and_activated_again(crm, linked):
    crm = crm()
    send(crm, order(item("HAT")))
    crm.org.org.save("Order", {"Status": "Activated"}, record_id=crm.found("Order")["Id"])
    if not linked:
        del crm.links["orders", "1001"]
    assert isinstance(send(crm, order(item("HAT", 4), Description="late")), Delivered)
    record = crm.found("Order")
    assert (record["Status"], record["Description"]) == ("Activated", "late")
    assert lines(crm) == [("HAT", 4, 9.99)]


def test_unknown_sku_is_the_orders_own_fault(crm):
    crm = crm()
    outcomes = crm.deliver(
        crm.op("1", order(item("SOCK"), WooId__c="1", OrderReferenceNumber="1"), parent=crm.links[CUSTOMERS, "7"]),
        crm.op("2", order(item("HAT"), WooId__c="2", OrderReferenceNumber="2"), parent=crm.links[CUSTOMERS, "7"]),
    )
    assert isinstance(outcomes[0].error, Rejected)
    assert "SOCK" in outcomes[0].error.message
    assert isinstance(outcomes[1], Delivered)
    assert len(crm.org.records("Order")) == 1, "no order without its items"


def test_products_are_made_where_asked_and_once(crm):
    crm = crm(create_products=True)
    no_sku = {"sku": "", "name": "Gift wrap", "quantity": "1", "price": "2"}
    send(crm, order(item("SOCK"), no_sku))
    send(crm, order(item("SOCK"), no_sku, WooId__c="shop:order:2", OrderReferenceNumber="2"), key="2")
    names = sorted(p["Name"] for p in crm.org.records("Product2"))
    assert names == ["Gift wrap", "Hat", "Mug", "Sock"]
    assert len(crm.org.records("PricebookEntry")) == 4


def test_other_price_book(crm):
    crm = crm(create_products=True, price_book="Shop")
    book = crm.org.org.insert("Pricebook2", {"Name": "Shop", "IsActive": True})
    send(crm, order(item("HAT")))
    assert crm.found("Order")["Pricebook2Id"] == book
    assert len(crm.org.records("PricebookEntry")) == 3


def test_missing_price_book_is_named(crm):
    crm = crm(price_book="Nowhere")
    assert "Nowhere" in send(crm, order(item("HAT"))).error.message


def test_items_that_failed_are_made_up_for_without_a_second_order(crm):
    crm = crm()
    crm.org.fail_next(Fault.html(502, when=lambda r: r.method == "POST" and b"OrderItem" in r.body))
    outcome = send(crm, order(item("HAT")))
    assert isinstance(outcome.error, Transient)
    assert outcome.partly, "the order is there: where the shop deletes it before the next try it has to go"
    assert isinstance(send(crm, order(item("HAT"))), Delivered)
    assert len(crm.org.records("Order")) == 1
    assert lines(crm) == [("HAT", 1, 9.99)]


def test_answer_lost_after_items_were_made_does_not_double_them(crm):
    crm = crm()
    crm.org.fail_next(Fault.commit_then_drop(when=lambda r: r.method == "POST" and b"OrderItem" in r.body))
    assert send(crm, order(item("HAT"), item("MUG"))).partly
    send(crm, order(item("HAT"), item("MUG")))
    assert len(crm.org.records("OrderItem")) == 2


def test_without_a_key_field_orders_match_by_reference_number(make_org, shop, bench, route):
    del shop.org.objects["Order"].fields["WooId__c"]
    crm = bench(route("orders", "Order", "order", after=CUSTOMERS), route(CUSTOMERS, "Account", match=("WooId__c",)))
    crm.one("7", {"Name": "Lee", "WooId__c": "shop:customer:7"}, route=CUSTOMERS)
    send(crm, order(item("HAT")))
    crm.links.pop(("orders", "1001"))
    send(crm, order(item("HAT", 2)))
    assert len(crm.org.records("Order")) == 1
    assert lines(crm) == [("HAT", 2, 9.99)]


class TestCustomersAreContacts:
    """The order's customer is a contact: its account is found through it."""

    @pytest.fixture
    def crm(self, shop, bench, route):
        return bench(
            route("orders", "Order", "order", after=CUSTOMERS), route(CUSTOMERS, "Contact", match=("WooId__c",))
        )

    def test_order_has_both(self, crm, person):
        account = crm.org.org.insert("Account", {"Name": "Lee Ltd"})
        crm.one("7", person(7), route=CUSTOMERS)
        crm.found("Contact")["AccountId"] = account
        send(crm, order(item("HAT")))
        record = crm.found("Order")
        assert (record["BillToContactId"], record["AccountId"]) == (crm.links[CUSTOMERS, "7"].remote_id, account)

    def test_contact_without_account_gets_one_of_its_own_once(self, crm, person):
        crm.one("7", person(7), route=CUSTOMERS)
        assert isinstance(send(crm, order(item("HAT"))), Delivered)
        other = order(item("HAT"), WooId__c="shop:order:2", OrderReferenceNumber="2")
        assert isinstance(send(crm, other, key="2"), Delivered)
        account = crm.found("Account")
        assert (account["Name"], account["WooId__c"]) == ("Ann7 Lee7", "shop:customer:7")
        assert crm.found("Contact")["AccountId"] == account["Id"]
        assert {o["AccountId"] for o in crm.org.records("Order")} == {account["Id"]}

    @pytest.fixture(params=["keyed", "bare"])
    def either(self, request, shop, bench, route, person):
        """In an org whose accounts have the key field, and in one where they have none; one contact is there."""
        if request.param == "bare":
            del shop.org.objects["Account"].fields["WooId__c"]
        crm = bench(
            route("orders", "Order", "order", after=CUSTOMERS),
            route(CUSTOMERS, "Contact", match=("WooId__c",), settings={"on_delete": "delete"}),
        )
        crm.one("7", person(7), route=CUSTOMERS)
        return crm

    @pytest.mark.parametrize(
        "lost",
        [
            Fault.reset(when=lambda r: b"AccountId" in r.body and b"Contact" in r.body),
            Fault.commit_then_drop(when=lambda r: b'"Account"' in r.body),
        ],
        ids=["before the move", "answer of the create"],
    )
    @pytest.mark.parametrize("end", ["goes on", "is forgotten", "is deleted"])
    def test_account_made_before_a_kill_is_made_once_and_goes_with_the_person(self, either, person, lost, end):
        namesake = either.org.org.insert("Account", {"Name": "Ann7 Lee7"})
        either.org.fail_next(lost)
        with pytest.raises(Transient):
            send(either, order(item("HAT")))
        either.restart()
        assert len(either.org.records("Account")) == 2
        theirs = either.org.org.insert("Account", {"Name": "Ann7 Lee7"})
        if end == "goes on":
            assert isinstance(send(either, order(item("HAT"))), Delivered)
            assert len(either.org.records("Account")) == 3
            assert either.found("Contact")["AccountId"] not in (namesake, theirs)
            either.sink.erase(either.link("orders", "1001"))
        if end == "is deleted":
            assert isinstance(either.one("7", kind="delete", route=CUSTOMERS), Delivered)
        else:
            for link in (either.link(CUSTOMERS, "7"), *either.sink.find(Identity(uids=("shop:customer:7",)))):
                either.sink.erase(link)
        assert {a["Id"] for a in either.org.records("Account")} == {namesake, theirs}
        assert not list(either.context.state().scan("account:"))

    def test_two_of_one_name_do_not_take_each_others_account(self, either, person):
        either.one("8", person(8, FirstName="Ann7", LastName="Lee7"), route=CUSTOMERS)
        second = order(item("HAT"), WooId__c="shop:order:2", OrderReferenceNumber="2")
        both = [
            either.op(k, v, route="orders", parent=either.links[CUSTOMERS, c])
            for k, v, c in (("1001", order(item("HAT")), "7"), ("2", second, "8"))
        ]
        either.org.fail_next(Fault.commit_then_drop(when=lambda r: b'"Account"' in r.body))
        with pytest.raises(Transient):
            either.deliver(*both)
        assert all(isinstance(o, Delivered) for o in either.deliver(*both))
        assert len(either.org.records("Account")) == 2
        assert len({c["AccountId"] for c in either.org.records("Contact")}) == 2

    @pytest.mark.parametrize("active", [False, True])
    def test_a_contact_deleted_before_its_order_leaves_no_name(self, shop, bench, route, person, active):
        gone = {"on_delete": "delete"}
        crm = bench(
            route("orders", "Order", "order", after=CUSTOMERS, settings={**gone, "activate": True}),
            route(CUSTOMERS, "Contact", match=("WooId__c",), settings=gone),
        )
        crm.one("7", person(7), route=CUSTOMERS)
        send(crm, order(item("HAT"), Status="Activated" if active else "Draft"))
        outcome = crm.one("7", kind="delete", route=CUSTOMERS)
        assert isinstance(outcome, Delivered)
        assert "its name is erased" in outcome.note
        assert "not deleted" in outcome.note
        everybody = [r for n in ("Account", "Contact", "Order") for r in crm.org.records(n)]
        assert "Lee7" not in str(everybody)
        assert [r["Name"] for r in crm.org.records("Account")] == ["Erased"]
        assert len(crm.org.records("Order")) == 1
        assert isinstance(crm.one("1001", kind="delete", route="orders"), Delivered)
        assert [r for n in ("Account", "Contact", "Order") for r in crm.org.records(n)] == []
        assert not [*crm.context.state().scan("account:"), *crm.context.state().scan("nameless:")]

    @pytest.mark.parametrize("keyed", [True, False])
    def test_account_made_for_an_order_that_was_refused_is_the_persons_all_the_same(
        self, shop, bench, route, person, keyed
    ):
        if not keyed:
            del shop.org.objects["Account"].fields["WooId__c"]
        crm = bench(
            route("orders", "Order", "order", after=CUSTOMERS), route(CUSTOMERS, "Contact", match=("WooId__c",))
        )
        crm.one("7", person(7), route=CUSTOMERS)
        assert isinstance(send(crm, order(item("NONE"))), Failed)
        assert crm.org.records("Order") == []
        assert crm.found("Account", Name="Ann7 Lee7")
        crm.restart()
        crm.sink.erase(crm.link(CUSTOMERS, "7"))
        assert crm.org.records("Account") == []
        assert crm.org.records("Contact") == []
        assert not list(crm.context.state().scan("account:"))

    def test_account_that_sales_works_on_loses_the_name_and_no_more(self, crm, person):
        crm.one("7", person(7), route=CUSTOMERS)
        send(crm, order(item("HAT")))
        account = crm.found("Account")
        deal = {"Name": "Big", "StageName": "Prospecting", "CloseDate": "2026-11-21", "AccountId": account["Id"]}
        crm.org.org.insert("Opportunity", deal)
        for name, key in (("orders", "1001"), (CUSTOMERS, "7")):
            crm.sink.erase(crm.link(name, key))
        assert [d["Name"] for d in crm.org.records("Opportunity")] == ["Big"]
        (left,) = crm.org.records("Account")
        assert (left["Name"], left["WooId__c"]) == ("Erased", None)

    def test_contact_without_account_is_explained_where_none_may_be_made(self, shop, bench, route, person):
        crm = bench(
            route("orders", "Order", "order", after=CUSTOMERS, settings={"make_accounts": False}),
            route(CUSTOMERS, "Contact", match=("WooId__c",)),
        )
        crm.one("7", person(7), route=CUSTOMERS)
        assert "needs an account" in send(crm, order(item("HAT"))).error.message


def test_opportunity_instead_of_an_order(shop, bench, route, person):
    crm = bench(
        route("deals", "Opportunity", "order", match=("WooId__c",), after=CUSTOMERS),
        route(CUSTOMERS, "Contact", match=("WooId__c",)),
    )
    crm.one("7", person(7), route=CUSTOMERS)
    deal = {"Name": "Order 1001", "StageName": "Closed Won", "CloseDate": "2026-11-21", "Amount": "12.50"}
    crm.one("1001", {**deal, "WooId__c": "shop:order:1001"}, parent=crm.links[CUSTOMERS, "7"])
    record = crm.found("Opportunity")
    assert (record["Amount"], record["ContactId"]) == (12.5, crm.links[CUSTOMERS, "7"].remote_id)
    crm.one("1001", {**deal, "StageName": "Closed Lost"}, parent=crm.links[CUSTOMERS, "7"])
    assert crm.found("Opportunity")["StageName"] == "Closed Lost"


def test_deleted_activated_order_is_opened_first(crm):
    crm = crm(activate=True, on_delete="delete")
    send(crm, order(item("HAT"), Status="Activated"))
    assert isinstance(crm.one("1001", kind="delete"), Delivered)
    assert crm.org.records("Order") == []


def test_orders_of_a_backlog_are_written_whole(crm):
    crm = crm()
    operations = [
        crm.op(
            str(n),
            order(item("HAT"), WooId__c=f"shop:order:{n}", OrderReferenceNumber=f"shop:order:{n}"),
            parent=crm.links[CUSTOMERS, "7"],
            bulk=True,
        )
        for n in range(450)
    ]
    before = crm.context.calls
    assert all(isinstance(o, Delivered) for o in crm.deliver(*operations))
    assert len(crm.org.records("OrderItem")) == 450
    assert crm.context.calls - before < 40


def test_a_price_is_rounded_as_every_amount_is():
    """Half up, as core's `money` and Salesforce itself: half to even would send another price, and find it changed."""
    bought = OrderLine(key="1", name="Tea", sku="TEA", quantity=Decimal(2), total=Decimal("5.33"))
    assert [i["price"] for i in items([bought])] == [money("2.665")] == ["2.67"]
    typed, kept = item("TEA", price="2.665"), item("TEA", price=2.67)
    assert canonical_items([typed]) == canonical_items([kept])
