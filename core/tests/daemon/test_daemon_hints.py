"""What a source only names is asked for, in the background and before anything of it is delivered."""

import json
from datetime import timedelta

import pytest

from synccore._daemon.sources import SourceWorker
from synccore._daemon.standing import LOOK
from synccore.entities import Payment
from synccore.errors import RateLimited, Transient
from synccore.testing import Harness, customer
from synccore.types import Change, Unreadable, WebhookRequest

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email", "name": "customer.first_name"}}}


class Thin:
    """Makes the harness's source one whose webhooks carry an id, or whatever the test says."""

    def __init__(self, shop, monkeypatch):
        self.source = shop.source
        self.fetched = []
        self.trouble = None
        self.told = []
        real = self.source.fetch

        def fetch(entity, key):
            self.fetched.append(key)
            if self.trouble is not None:
                raise self.trouble
            return real(entity, key)

        monkeypatch.setattr(self.source, "fetch", fetch)
        monkeypatch.setattr(self.source, "receive", lambda request: list(self.told))


@pytest.fixture
def shop(tmp_path):
    with Harness(tmp_path, PEOPLE, source_table={"entities": ["customer"]}) as harness:
        harness.source.put(customer("1", email="ada@shop.test", first_name="Ada"))
        yield harness


@pytest.fixture
def worker(shop):
    worker = SourceWorker(shop.app, shop.app.sources["shop"])
    worker.poll_all()
    shop.drain()
    return worker


@pytest.fixture
def thin(shop, worker, monkeypatch):
    return Thin(shop, monkeypatch)


def post(worker, thin, *told):
    thin.told = told
    return worker.receive(WebhookRequest(method="POST", path="/hooks/shop", headers={}, body=json.dumps("x").encode()))


def touch(key, op="touch"):
    return Change(entity="customer", key=key, op=op)


def held(shop):
    return {uid.rpartition(":")[2]: fields["name"] for uid, fields in shop.sink.by_uid().items()}


def test_a_webhook_with_nothing_but_an_id_ends_in_what_the_shop_has(shop, worker, thin):
    shop.source.put(customer("1", email="ada@shop.test", first_name="Augusta"))
    assert post(worker, thin, touch("1")).hinted == 1
    shop.drain()
    assert held(shop) == {"1": "Ada"}
    assert worker.follow_hints()
    shop.drain()
    assert held(shop) == {"1": "Augusta"}
    assert not worker.follow_hints()
    assert thin.fetched == ["1"]


def test_two_that_overtake_each_other_end_in_the_same(shop, worker, thin):
    for name in ("First", "Second"):
        shop.source.put(customer("1", email="ada@shop.test", first_name=name))
    post(worker, thin, touch("1"))
    post(worker, thin, touch("1"))
    worker.follow_hints()
    shop.drain()
    assert held(shop) == {"1": "Second"}
    assert thin.fetched == ["1"]


def test_what_is_gone_is_deleted(shop, worker, thin):
    shop.source.put(touch("1", op="delete"))
    post(worker, thin, touch("1"))
    worker.follow_hints()
    assert shop.app.store.snapshot("shop", "customer", "1").deleted


def test_a_kill_between_the_commit_and_the_fetch_loses_nothing(shop, worker, thin):
    shop.source.put(customer("1", email="ada@shop.test", first_name="Augusta"))
    post(worker, thin, touch("1"))
    shop.crash()
    again = SourceWorker(shop.app, shop.app.sources["shop"])
    again.follow_hints()
    shop.drain()
    assert held(shop) == {"1": "Augusta"}


def test_a_source_that_is_away_is_asked_again_and_nothing_is_delivered_meanwhile(shop, worker, thin):
    thin.trouble = Transient("HTTP 503")
    shop.source.put(customer("1", email="ada@shop.test", first_name="Augusta"))
    post(worker, thin, touch("1"))
    worker.follow_hints()
    shop.drain()
    assert held(shop) == {"1": "Ada"}
    assert not worker.follow_hints()
    thin.trouble = None
    shop.clock.advance(LOOK)
    worker.follow_hints()
    shop.drain()
    assert held(shop) == {"1": "Augusta"}


@pytest.mark.parametrize("trouble", [Transient("HTTP 503"), Transient("locked", outage=False)])
def test_nobody_waits_longer_for_a_clock_that_was_set_back(shop, worker, thin, trouble):
    thin.trouble = trouble
    shop.source.put(customer("1", email="ada@shop.test", first_name="Augusta"))
    post(worker, thin, touch("1"))
    worker.follow_hints()
    shop.clock.advance(timedelta(hours=-1))
    worker.follow_hints()
    thin.trouble = None
    shop.clock.advance(timedelta(minutes=3))
    worker.follow_hints()
    shop.drain()
    assert held(shop) == {"1": "Augusta"}


def test_a_shop_is_asked_in_time_though_the_clock_was_set_back(shop, worker):
    shop.source.put(customer("1", email="ada@shop.test", first_name="Augusta"))
    shop.clock.advance(timedelta(hours=-5))
    worker.poll_due()
    shop.drain()
    assert held(shop) == {"1": "Augusta"}


def test_facts_that_are_asked_for_together_are_told_in_the_order_in_which_they_happened(
    shop, worker, thin, monkeypatch
):
    """Whatever their records are called."""
    at = {"99": shop.clock.now(), "100": shop.clock.now() + timedelta(seconds=1)}

    def fetch(entity, key):
        paid = Payment(key=key, succeeded=True, amount=5, currency="EUR", at=at[key])
        fact = Change(entity="payment", key=key, op="event", data=paid, event_id=key, at=at[key])
        return [fact, customer("1", email="ada@shop.test")]

    monkeypatch.setattr(
        shop.source, "fetch_many", lambda entity, keys: {key: fetch(entity, key) for key in keys}, False
    )
    post(worker, thin, touch("100"), touch("99"))
    worker.follow_hints()
    with shop.app.store.reading() as view:
        assert [row["key"] for row in view.execute("SELECT key FROM event ORDER BY id")] == ["99", "100"]


def test_one_record_that_cannot_be_fetched_holds_up_no_other(shop, worker, thin, monkeypatch):
    real = shop.source.fetch

    def fetch(entity, key):
        if key == "1":
            raise Transient("locked", outage=False)
        return real(entity, key)

    monkeypatch.setattr(shop.source, "fetch", fetch)
    shop.source.put(customer("2", email="bea@shop.test", first_name="Bea"))
    post(worker, thin, touch("1"), touch("2"))
    worker.follow_hints()
    shop.drain()
    assert held(shop) == {"1": "Ada", "2": "Bea"}


def test_many_are_asked_for_together_where_the_source_can(shop, worker, thin, monkeypatch):
    calls = []

    def fetch_many(entity, keys):
        calls.append(sorted(keys))
        return {key: shop.source.records.get((entity, key)) for key in keys}

    monkeypatch.setattr(shop.source, "fetch_many", fetch_many, raising=False)
    for key in "234":
        shop.source.put(customer(key, email=f"p{key}@shop.test", first_name=f"P{key}"))
    post(worker, thin, *(touch(key) for key in "234"))
    worker.follow_hints()
    shop.drain()
    assert calls == [["2", "3", "4"]]
    assert held(shop) == {"1": "Ada", "2": "P2", "3": "P3", "4": "P4"}


def test_what_cannot_be_read_is_recorded_and_its_fetch_owed(shop, worker, thin):
    shop.source.put(customer("1", email="ada@shop.test", first_name="Augusta"))
    odd = Unreadable(where="webhook customer.updated", reason="the address is a number", entity="customer", key="1")
    assert post(worker, thin, odd).unreadable == 1
    [record] = shop.app.store.unreadable("shop")
    assert (record.key, record.reason) == ("1", "the address is a number")
    worker.follow_hints()
    shop.drain()
    assert held(shop) == {"1": "Augusta"}
    assert shop.app.store.unreadable("shop") == []


def test_a_replayed_webhook_of_somebody_deleted_brings_nobody_back(shop, worker, thin):
    last = customer("1", email="ada@shop.test", first_name="Ada", version=5)
    shop.source.put(last)
    worker.poll_all()
    shop.source.put(touch("1", op="delete"))
    post(worker, thin, Change(entity="customer", key="1", op="delete", version=9))
    post(worker, thin, last)
    shop.drain()
    assert shop.app.store.snapshot("shop", "customer", "1").deleted


def test_whom_the_shop_erased_is_forgotten_where_that_is_wanted(shop, worker, thin):
    post(worker, thin, touch("1", op="forget"))
    worker.follow_hints()
    assert [link.key for link in shop.sink.erased] == ["1"]
    assert shop.app.store.snapshot("shop", "customer", "1") is None
    assert not worker.follow_hints()


def test_a_page_that_was_read_before_a_webhook_and_taken_in_after_it_loses(shop, worker, thin, monkeypatch):
    real = shop.source.poll

    def overtaken(entity, cursor, filters):
        pages = list(real(entity, None, filters))
        shop.clock.advance(timedelta(seconds=1))
        post(worker, thin, customer("1", email="ada@shop.test", first_name="Augusta"))
        shop.clock.advance(timedelta(seconds=1))
        yield from pages

    monkeypatch.setattr(shop.source, "poll", overtaken)
    worker.poll_all()
    shop.drain()
    assert held(shop) == {"1": "Augusta"}


def test_an_answer_is_as_old_as_its_question(shop, worker, thin, monkeypatch):
    """A webhook with the record as it is now comes while the shop still prepares what it was."""

    def slowly(entity, key):
        shop.clock.advance(timedelta(seconds=1))
        post(worker, thin, newest)
        shop.clock.advance(timedelta(seconds=1))
        return older

    newest, older = (customer("1", email="ada@shop.test", first_name=name) for name in ("Newest", "Older"))
    monkeypatch.setattr(thin.source, "fetch", slowly)
    post(worker, thin, touch("1"))
    worker.follow_hints()
    shop.drain()
    assert held(shop) == {"1": "Newest"}


def test_maintenance_is_looked_at_again_soon_whatever_it_says_and_a_limit_is_obeyed(shop, worker, thin, monkeypatch):
    def until():
        worker.poll_due()
        return shop.app.store.lane("source:shop").until - shop.clock.now()

    errors = [Transient("in maintenance"), RateLimited("slow down", retry_after=timedelta(minutes=3))]

    def poll(entity, cursor, filters):
        raise errors[0]

    monkeypatch.setattr(shop.source, "poll", poll)
    for _ in range(6):
        shop.clock.advance(timedelta(minutes=10))
        assert until() <= LOOK
    errors.pop(0)
    shop.clock.advance(timedelta(minutes=10))
    assert until() == timedelta(minutes=3)
