"""The pages of what is parked: by cause, retried, dismissed, as a table."""

import csv
import io
from urllib.parse import urlencode

import pytest
from attrs import evolve

from synccore._verbs.parked import advice, cause_id
from synccore._web.dashboard.parked import as_csv
from synccore.errors import Rejected
from synccore.testing import customer

LONG = "name is too long: 300 characters"


@pytest.fixture
def site(open_site, full):
    """Customers 1 to 3 were refused for one reason, 4 for another; 5 arrived."""
    site = open_site(routes=full)
    why = dict.fromkeys("123", LONG) | {"4": "<b>no</b> such owner"}
    site.house.crm.always(lambda o: Rejected(why[o.key]) if o.key in why else None)
    site.house.emit(*(customer(k, email=f"{k}@shop.test", first_name=f"=Name{k}") for k in "12345"))
    site.house.drain()
    site.house.crm.always(None)
    return site


def cause(text=LONG, **more):
    return {"route": "people", "cause": cause_id("rejected", text), **more}


def test_causes_are_listed_most_first_with_words_and_help(site, words):
    answer = site.visitor().get("/parked")
    text = words(answer)
    assert "4 parked, 2 causes" in text
    assert text.index("3 x rejected people to crm") < text.index("1 x rejected people to crm")
    assert "Mend the record in the shop" in text
    assert "<b>no" not in answer.text
    assert "2 causes" in words(site.visitor().get("/parked?route=people"))
    assert "Nothing is parked." in words(site.visitor().get("/parked?route=orders"))


def test_each_record_has_its_key_and_name_and_page(site, words):
    answer = site.visitor().get("/parked/cause?" + urlencode(cause()))
    assert "customer 3 =Name3 upsert" in words(answer)
    assert 'href="../people/record?source=shop&amp;entity=customer&amp;key=3"' in answer.text


def test_one_or_all_of_a_cause_are_retried(site, words):
    visitor = site.visitor()
    [one] = [d.id for d in site.house.app.store.deliveries(state="parked", key="2")]
    assert "1 delivery owed again" in words(visitor.act("/parked/retry", **cause(id=str(one))))
    said = words(visitor.act("/parked/retry", **cause()))
    assert "2 deliveries owed again" in said
    assert "Parked Refused for good" in said, "nothing of the cause is left: back at the list"
    site.house.drain()
    assert set(site.house.crm.by_uid()) == {f"shop:customer:{k}" for k in "1235"}
    assert [d.key for d in site.house.app.store.deliveries(state="parked")] == ["4"]


def test_dismissing_asks_for_a_reason_and_keeps_it(site, words):
    visitor = site.visitor()
    assert "nothing was dismissed: say why" in words(visitor.act("/parked/dismiss", **cause(reason=" ")))
    assert "3 deliveries dismissed" in words(visitor.act("/parked/dismiss", **cause(reason="a test of x@shop.test")))
    [line] = [h for h in site.house.app.store.history(key="1") if h.outcome == "dismissed"]
    assert line.note.startswith("a test of")
    assert "x@shop.test" not in line.note
    text = words(visitor.get("/people/record?source=shop&entity=customer&key=1"))
    assert "dismissed a test of" in text


@pytest.mark.parametrize("form", [{"id": "x"}, {"id": "999999"}, {"cause": "none"}, {"route": "none"}, {"id": "-1"}])
def test_what_is_not_parked_is_left_alone(site, words, form):
    before = len(site.house.app.store.deliveries(state="parked"))
    text = words(site.visitor().act("/parked/retry", **{**cause(), **form}))
    assert "0 deliveries owed again" in text
    assert len(site.house.app.store.deliveries(state="parked")) == before


def test_a_long_list_has_pages(site, words, monkeypatch):
    monkeypatch.setattr("synccore._web.dashboard.parked.PAGE", 2)
    first = site.visitor().get("/parked/cause?" + urlencode(cause()))
    assert ("=Name3" in first.text, "=Name1" in first.text, "Further ones" in first.text) == (True, False, True)
    [two] = [d.id for d in site.house.app.store.deliveries(state="parked", key="2")]
    second = site.visitor().get("/parked/cause?" + urlencode(cause(before=two)))
    assert ("=Name3" in second.text, "=Name1" in second.text, "Further ones" in second.text) == (False, True, False)
    assert site.visitor().get("/parked/cause?" + urlencode(cause(before="9" * 400))).status == 200


def test_a_cause_that_is_gone_says_so(site, words):
    assert "No parked delivery has this cause" in words(site.visitor().get("/parked/cause?route=people&cause=x"))


def test_the_table_is_no_formula(site):
    answer = site.visitor().get("/parked/list.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sorted(row["key"] for row in rows) == ["1", "2", "3", "4"]
    assert all(row["name"].startswith("'=Name") for row in rows)
    one = site.visitor().get("/parked/list.csv?" + urlencode(cause()))
    assert len(one.text.splitlines()) == 4
    assert as_csv([]).startswith("id,route")


@pytest.mark.parametrize(("kind", "text", "helps"), [
    ("rejected", "VENDOR_SAYS_NO: {x} please", "Do as people says."),
    ("rejected", "2 records at the target could be this one: a, b", "merge them there"),
    ("rejected", "something else", "Mend the record"),
    ("mapping", "fields.x: no number", "mapping of route people"),
    ("bug", "bug in the plugin", "report it"),
    ("store", "whatever", None),
])  # fmt: skip
def test_advice_is_the_plugins_for_its_vendors_words_and_ours_for_the_rest(site, monkeypatch, kind, text, helps):
    app = site.house.app
    table = (("vendor_says_no", "Do as {route} says."),)
    known = evolve(app.settings.sinks["crm"], descriptor=evolve(app.settings.sinks["crm"].descriptor, advice=table))
    monkeypatch.setattr(app, "settings", evolve(app.settings, sinks={**app.settings.sinks, "crm": known}))
    said = advice(app, "crm", kind, text, "people")
    assert said is None if helps is None else helps in said
