"""A record that a plugin made wrongly is told, and holds up neither the webhook nor the page it came in."""

from functools import reduce

import pytest

from synccore.entities import Customer
from synccore.testing import Harness, customer, upsert
from synccore.types import Change

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


@pytest.mark.parametrize(
    "bad",
    [
        upsert(Customer(key="2", email=5)),
        Change(entity="customer", key="2", op="upsert"),
        Change(entity="payment", key="2", op="event"),
        upsert(Customer(key="2", meta={"x": object()})),
        upsert(Customer(key="2", raw={"x": reduce(lambda inner, _: [inner], range(5_000), 0)})),
    ],
    ids=["a number for an address", "no data", "no event id", "an object", "nested deeply"],
)
def test_the_others_are_taken_and_the_bad_one_is_named(tmp_path, bad):
    with Harness(tmp_path, PEOPLE) as app:
        taken = app.emit(customer("1", email="a@shop.test"), bad, customer("3", email="c@shop.test"))
        app.drain()
        assert (taken.accepted, taken.unreadable) == (2, 1)
        assert sorted(app.sink.by_uid()) == ["shop:customer:1", "shop:customer:3"]
        [kept] = app.app.store.unreadable("shop")
        assert (kept.entity, kept.place, kept.key) == (bad.entity, f"{bad.entity} 2", None)
        assert "cannot be kept" in kept.reason


def test_a_listing_goes_on_past_it(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.source.put(customer("1", email="a@shop.test"), upsert(Customer(key="2", email=5)), customer("3"))
        listed = app.app.lister("shop").backfill("customer", {}, frozenset(), "backfill:1", lambda _: None)
        assert listed.seen == 3
        assert {s.key for s in app.app.store.snapshots("shop", "customer")} == {"1", "3"}


def test_a_store_that_fails_acknowledges_nothing(tmp_path, monkeypatch):
    with Harness(tmp_path, PEOPLE) as app:
        store, sound = app.app.store, app.app.store.ingest

        def fails(units, now):
            if len(units[0].changes) == 2:
                raise ValueError("one of them")
            if units[0].changes and units[0].changes[0].key == "2":
                raise OSError("no space")
            return sound(units, now)

        monkeypatch.setattr(store, "ingest", fails)
        with pytest.raises(OSError, match="no space"):
            app.emit(customer("1"), customer("2"))
        assert app.app.store.unreadable("shop") == []
