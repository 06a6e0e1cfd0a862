"""What hangs on another record (`after`): under which one it is at the target, `verify` and `preview --live` say."""

from decimal import Decimal

import pytest

from synccore._verbs.again import send_again
from synccore._verbs.preview import preview
from synccore._verbs.verify import verify
from synccore.entities import Order
from synccore.store import LinkUpdate
from synccore.testing import Harness, customer, upsert
from synccore.types import Change, Roomier, Successor

ROUTES = {
    "people": {"entity": "customer", "fields": {"email": "customer.email"}},
    "orders": {"entity": "order", "object": "deal", "after": "people", "fields": {"total": "order.total"}},
}


def order(key, total=9):
    return Order(key=key, number=key, status="done", currency="EUR", total=Decimal(total))


@pytest.fixture
def app(tmp_path):
    """Two people, two orders of the first and one of the second."""
    with Harness(tmp_path, ROUTES) as harness:
        harness.emit(*(customer(n, email=f"p{n}@shop.test") for n in "12"))
        harness.emit(*(upsert(order(key), owner=owner) for key, owner in (("7", "1"), ("8", "1"), ("9", "2"))))
        harness.settle_down()
        yield harness


def twin(app, key, route="orders"):
    return app.app.store.link(route, "shop", "order" if route == "orders" else "customer", key).remote_id


@pytest.mark.parametrize("there", ["", "2"], ids=["emptied", "anothers"])
def test_who_is_hung_elsewhere_is_named_and_comes_back(app, there):
    wrong = there and twin(app, there, "people")
    app.sink.parents[twin(app, "7")] = wrong
    seen = verify(app.app, "orders")
    assert (seen.ok, seen.proved, seen.moved, seen.drift, seen.gone) == (False, False, ["7"], {}, [])
    (said,) = [f.message for f in seen.findings if f.level != "info"]
    assert "order 7" in said
    assert "parent" in said
    calls = len(app.sink.calls)
    assert verify(app.app, "orders", repair=True).repaired == ["7"]
    app.settle_down()
    assert len(app.sink.calls) == calls + 1
    assert app.sink.parents[twin(app, "7")] == twin(app, "1", "people")
    after = verify(app.app, "orders")
    assert (after.proved, after.moved) == (True, [])


def test_a_live_preview_shows_it(app):
    assert preview(app.app, "orders", "7", live=True).drift == ()
    app.sink.parents[twin(app, "7")] = ""
    found = preview(app.app, "orders", "7", live=True)
    assert found.drift == ("parent",)
    (line,) = [line for line in found.lines() if line.name == "parent"]
    assert (line.now, line.there, line.mark) == (twin(app, "1", "people"), "", "differs at the target")


def test_it_is_repaired_with_what_else_differs(app):
    app.sink.parents[twin(app, "7")] = ""
    app.sink.records[twin(app, "7")]["total"] = Decimal(1)
    seen = verify(app.app, "orders", repair=True)
    assert (seen.moved, seen.drift, seen.repaired) == (["7"], {"7": ["total"]}, ["7"])
    app.settle_down()
    assert app.sink.records[twin(app, "7")]["total"] == Decimal(9)
    assert app.sink.parents[twin(app, "7")] == twin(app, "1", "people")


def test_one_that_is_sent_again_alone_hangs_where_it_should(app):
    assert not send_again(app.app, "orders", "7").done
    app.sink.parents[twin(app, "7")] = twin(app, "2", "people")
    assert send_again(app.app, "orders", "7").done
    app.settle_down()
    assert app.sink.parents[twin(app, "7")] == twin(app, "1", "people")


def test_what_followed_a_parent_that_was_merged_is_where_it_should_be(app, monkeypatch):
    """A target hangs what a merged record had on the one that is left: the next delivery of the parent follows."""
    old, new = twin(app, "1", "people"), twin(app, "2", "people")
    read = app.sink._read
    monkeypatch.setattr(app.sink, "_read", lambda i: Successor(read(new), remote_id=new) if i == old else read(i))
    app.sink.parents |= dict.fromkeys((twin(app, "7"), twin(app, "8")), new)
    assert verify(app.app, "orders").proved
    assert preview(app.app, "orders", "7", live=True).drift == ()
    app.sink.parents[twin(app, "8")] = ""
    assert verify(app.app, "orders").moved == ["8"]


def test_what_hung_on_one_that_is_gone_waits_for_that_ones_repair(app):
    del app.sink.records[twin(app, "1", "people")]
    app.sink.parents |= dict.fromkeys((twin(app, "7"), twin(app, "8")), "")
    seen = verify(app.app, "orders", repair=True)
    assert (sorted(seen.moved), seen.repaired, seen.ok) == (["7", "8"], [], False)
    assert all("synccore verify people --repair" in f.message for f in seen.findings)


def test_what_nobody_has_any_more_hangs_where_its_owner_likes(app):
    """Who left the shop has no record there that it could hang on."""
    app.sink.parents[twin(app, "9")] = ""
    app.emit(Change(entity="customer", key="2", op="delete"))
    app.settle_down()
    assert verify(app.app, "orders").moved == []


def test_one_that_several_share_hangs_on_any_of_theirs(app):
    """Two orders are one record there: it hangs on the customer of either."""
    shared = LinkUpdate(object="deal", remote_id=twin(app, "7"), parent_id=twin(app, "2", "people"), sink="crm")
    app.app.store.put_link("orders", "shop", "order", "9", shared, app.clock.now())
    assert verify(app.app, "orders").moved == []


def test_what_the_target_takes_now_may_hang_elsewhere_too(app, monkeypatch):
    read = app.sink._read
    odd = twin(app, "7")
    monkeypatch.setattr(
        app.sink,
        "_read",
        lambda i: Roomier(read(i), lacking=frozenset({"total"}), parent_id="") if i == odd else read(i),
    )
    seen = verify(app.app, "orders", repair=True)
    assert (seen.moved, seen.drift, seen.repaired) == (["7"], {"7": ["total"]}, ["7"])


def test_a_target_that_does_not_say_what_hangs_where_proves_nothing_of_that(app):
    app.sink.parents.clear()
    seen = verify(app.app, "orders")
    assert (seen.ok, seen.proved) == (True, False)
    assert any("hangs" in word for word in seen.unproven)
