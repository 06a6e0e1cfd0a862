"""The pages of a person: found by whatever is known of them, looked at, read again, sent again, forgotten."""

import json
from decimal import Decimal
from urllib.parse import urlencode

import pytest

from synccore._web.dashboard import record_view, view
from synccore.entities import Address, Customer, Order, OrderLine
from synccore.errors import Rejected
from synccore.testing import START, customer, upsert

HOSTILE = "<script>alert(1)</script>\"'>&amp;"


def order(key, number, owner):
    lines = (OrderLine(key="1", name="Tea", quantity=Decimal(2), sku="T1"),)
    data = Order(key=key, number=number, status="completed", currency="EUR", total=Decimal("12.50"), lines=lines)
    return upsert(data, owner=owner)


@pytest.fixture
def site(open_site, full):
    site = open_site(routes=full)
    site.house.emit(
        customer("1", email="ada@shop.test", first_name="Ada", last_name="Lovelace"),
        customer("2", email="juergen@shop.test", first_name="Jürgen", last_name="ÖZGÜR"),
        order("7", "W-1007", "1"),
    )
    site.house.drain()
    return site


def page(site, key="1", entity="customer", **more):
    return site.visitor().get("/people/record?" + urlencode({"source": "shop", "entity": entity, "key": key, **more}))


def test_a_person_is_found_by_what_is_known_of_them(site, words):
    """Order 7 and its number lead to whom it belongs to; r1 is Ada's remote id."""
    visitor = site.visitor()
    for asked in ("ada@shop.test", " ADA@shop.test", "1", "7", "W-1007", "#w-1007", "lovelace", "ada love", "r1"):
        found = words(visitor.act("/people", q=asked))
        assert "Ada Lovelace" in found, asked
        assert "At the targets" in found, asked


def test_letters_beyond_ascii_are_found_whatever_their_case(site, words):
    visitor = site.visitor()
    for asked in ("jürgen", "özgür", "JÜRGEN Özgür"):
        assert "Jürgen ÖZGÜR" in words(visitor.act("/people", q=asked)), asked


def test_several_are_listed_and_an_address_stands_in_no_url(site, words):
    answer = site.visitor().post("/people", "")
    assert answer.status == 403, "a form of ours has a token"
    visitor = site.visitor()
    found = visitor.post("/people", urlencode({"token": visitor.token("/people"), "q": "shop.test ada"}))
    assert found.status == 200
    site.house.emit(customer("3", email="b@shop.test", first_name="Bo", last_name="Lovelace"))
    text = words(site.visitor().act("/people", q="lovelace"))
    assert "2 may be meant" in text


def test_odd_questions_find_nobody_and_break_nothing(site, words):
    visitor = site.visitor()
    for asked in ("%", "_", "a%", "' OR 1=1 --", "\\", "\x00", "ü", "é" * 200):
        assert "Nobody here has heard of them" in words(visitor.act("/people", q=asked)), asked


def test_the_page_shows_what_was_sent_beside_what_is_mapped(site, words):
    assert "If it were sent now: nothing, unchanged" in words(page(site))
    site.house.emit(customer("1", email="ada@shop.test", first_name="Augusta", last_name="King"))
    text = words(page(site))
    assert "name Augusta King Ada Lovelace changed" in text
    assert "If it were sent now: update of name" in text
    assert "owed no daemon is running" in text
    assert "order W-1007" in text
    assert "12.50" not in text
    order_page = words(page(site, "7", "order"))
    assert "2 x Tea (T1)" in order_page
    assert "People / customer 1 / order 7" in order_page


def test_the_targets_own_record_is_read_on_demand(site, words):
    site.house.crm.records["r1"]["name"] = "Somebody Else"
    assert "Somebody Else" not in words(page(site))
    text = words(page(site, live="people"))
    assert "name Ada Lovelace Ada Lovelace Somebody Else differs at the target" in text
    del site.house.crm.records["r1"]
    assert "The target has no such record any more." in words(page(site, live="people"))


def test_sending_again_mends_what_was_changed_at_the_target(site, words):
    visitor, named = site.visitor(), {"source": "shop", "entity": "customer", "key": "1", "route": "people"}
    assert "holds exactly this already" in words(visitor.act("/people/send", **named))
    site.house.crm.records["r1"]["name"] = "Somebody Else"
    assert "owed to crm again" in words(visitor.act("/people/send", **named))
    site.house.drain()
    assert site.house.crm.records["r1"]["name"] == "Ada Lovelace"


def test_sending_again_retries_what_is_parked(site, words):
    site.house.crm.always(lambda _: Rejected("the owner is inactive"))
    site.house.emit(customer("5", email="eve@shop.test", first_name="Eve"))
    site.house.drain()
    text = words(page(site, "5"))
    assert "parked the owner is inactive" in text
    site.house.crm.always(None)
    visitor = site.visitor()
    said = words(visitor.act("/people/send", source="shop", entity="customer", key="5", route="people"))
    assert "1 parked one is owed again" in said
    site.house.drain()
    assert site.house.crm.by_uid()["shop:customer:5"]["email"] == "eve@shop.test"


def test_reading_from_the_shop_takes_in_what_a_lost_webhook_would_have_brought(site, words):
    site.house.shop.put(customer("9", email="lost@shop.test", first_name="Lost"))
    visitor = site.visitor()
    text = words(visitor.act("/people", q="lost@shop.test"))
    assert "Nobody here has heard of them" in text
    assert "Compare everything with shop" in text
    said = words(visitor.act("/people/read", source="shop", entity="customer", key="9"))
    assert "read from shop; 1 delivery is owed because of it" in said
    assert "Lost" in said
    assert site.house.app.store.snapshot("shop", "customer", "9") is not None
    assert "shop has no customer with the key 404" in words(
        visitor.act("/people/read", source="shop", entity="customer", key="404")
    )


def test_a_source_that_can_be_searched_is_asked_by_address(site, words):
    lost = customer("9", email="lost@shop.test", first_name="Lost")
    site.house.shop.search = lambda email: [lost] if email == "lost@shop.test" else []
    visitor = site.visitor()
    assert "Look for this address at shop" in words(visitor.act("/people", q="lost@shop.test"))
    named = {"source": "shop", "entity": "customer"}
    assert "found at shop and taken in" in words(visitor.act("/people/read", **named, key="lost@shop.test"))
    assert "shop has nobody with this address" in words(visitor.act("/people/read", **named, key="no@shop.test"))


def test_a_shop_that_does_not_answer_says_so(site, words):
    def away(*_):
        raise Rejected("the shop is closed")

    site.house.shop.fetch = away
    answer = site.visitor().act("/people/read", source="shop", entity="customer", key="1")
    assert (answer.status, "the shop is closed" in words(answer)) == (400, True)


def test_a_comparison_is_asked_for(site, words):
    visitor = site.visitor()
    visitor.act("/people/compare", source="shop")
    assert [job.kind for job in site.house.app.store.backfills()] == ["reconcile", "reconcile"]


def test_all_that_is_held_is_exported_as_the_terminal_does(site):
    visitor = site.visitor()
    answer = visitor.get("/people/export?source=shop&entity=customer&key=1")
    assert answer.headers["content-disposition"] == 'attachment; filename="person.json"'
    document = json.loads(answer.text)
    assert [(r["entity"], r["key"]) for r in document["records"]] == [("customer", "1"), ("order", "7")]
    assert "juergen" not in answer.text
    assert visitor.get("/people/export?source=shop&entity=customer&key=99").status == 404
    assert 'people/export?source=shop&amp;entity=customer&amp;key=1"' in page(site).text


def test_forgetting_asks_for_the_address_and_erases_everywhere(site, words):
    visitor, named = site.visitor(), {"source": "shop", "entity": "customer", "key": "1"}
    assert "nothing was erased" in words(visitor.act("/people/forget", **named, email="other@shop.test"))
    assert "r1" in site.house.crm.records
    assert "Nothing of this person is left" in words(visitor.act("/people/forget", **named, email="Ada@shop.test "))
    assert "r1" not in site.house.crm.records
    assert page(site).status == 404


def test_names_cannot_write_markup(site):
    site.house.emit(
        customer("x&y=1", email="x@shop.test", first_name=HOSTILE, billing=Address(company=HOSTILE, line1=HOSTILE))
    )
    site.house.drain()
    for answer in (page(site, "x&y=1"), site.visitor().act("/people", q="x@shop.test")):
        assert answer.status == 200
        assert "<script>alert" not in answer.text
        assert "&lt;script&gt;alert(1)" in answer.text
    hostile = site.visitor().act("/people", q=HOSTILE)
    assert "<script>alert" not in hostile.text


def test_a_link_to_the_vendor_is_an_address_of_the_web(site):
    site.house.crm.page_of = lambda link: f"https://crm.test/{link.remote_id}"
    assert 'href="https://crm.test/r1"' in page(site).text
    site.house.crm.page_of = lambda link: "javascript:alert(1)"
    assert "javascript:" not in page(site).text


def test_every_fact_has_a_text():
    data = Customer(key="1", paying=True, total_spent=Decimal("10.50"), created_at=START, meta={"a": [1, {"b": None}]})
    facts = dict(record_view._facts(data))
    assert facts["paying"] == "yes"
    assert facts["total spent"] == "10.50"
    assert facts["created at"].endswith("UTC")
    assert facts["meta a"] == "1, b: "
    assert view.value("x" * 1000).endswith("…")


def test_old_records_are_read_for_a_name_only_when_somebody_asks(site, words, monkeypatch):
    """What no index leads to costs the same in a shop of a million."""
    monkeypatch.setattr("synccore._web.dashboard.people.AMONG", 1)
    monkeypatch.setattr("synccore._verbs.find.AMONG", 1)
    text = words(site.visitor().act("/people", q="lovelace"))
    assert "among the newest records only; 2 are older" in text
    assert "Look through the older ones too" in text
    assert "At the targets" in words(site.visitor().act("/people", q="lovelace", all="1"))
    for indexed in ("ada@shop.test", "1", "r1"):
        assert "At the targets" in words(site.visitor().act("/people", q=indexed)), indexed
    assert "are older" not in words(site.visitor().act("/people", q="nobody@shop.test"))
