"""A source in trouble, or in none: what its state says, and what a command's mistake does not do."""

from datetime import timedelta

import pytest

from synccore._daemon.sources import HEAL_EVERY, SourceWorker
from synccore._verbs.status import overview, status
from synccore._verbs.troubles import troubles
from synccore.errors import ConfigError, Transient
from synccore.testing import Harness, customer
from synccore.types import Account, WebhookRequest

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


@pytest.fixture
def shop(tmp_path):
    with Harness(tmp_path, PEOPLE, source_table={"entities": ["customer"]}) as harness:
        harness.source.put(customer("1", email="ada@shop.test"))
        yield harness


@pytest.fixture
def worker(shop):
    unit = shop.app.sources["shop"]
    worker = SourceWorker(shop.app, unit)
    worker.poll_due()
    return worker


def reason(shop):
    return status(shop.app)["sources"]["shop"]["reason"]


def sweeps(shop):
    jobs = 0
    while (job := shop.app.store.next_backfill("shop")) is not None:
        shop.app.store.update_backfill(job.id, state="done", now=shop.clock.now())
        jobs += 1
    return jobs


def look_again(shop, worker):
    shop.clock.advance(HEAL_EVERY)
    worker.poll_due()


def test_trouble_is_named_as_long_as_it_lasts_and_swept_after_once(shop, worker, monkeypatch):
    told = ["no word for an hour"]
    monkeypatch.setattr(shop.app.sources["shop"].context, "public_url", "https://sync.shop.test")
    monkeypatch.setattr(shop.source, "heal", lambda url: tuple(told), raising=False)
    look_again(shop, worker)
    assert reason(shop) == "no word for an hour"
    assert sweeps(shop) == 1
    look_again(shop, worker)
    assert reason(shop) == "no word for an hour"
    assert sweeps(shop) == 0
    [silent] = [t for t in troubles(shop.app) if t.kind == "silent" and t.cause]
    assert (silent.name, silent.sentence) == ("shop", "shop: no word for an hour")
    assert silent.measure == HEAL_EVERY.total_seconds()
    told[:] = ["a webhook was missing"]
    look_again(shop, worker)
    assert sweeps(shop) == 1
    told.clear()
    look_again(shop, worker)
    assert reason(shop) is None
    assert sweeps(shop) == 0
    assert not [t for t in troubles(shop.app) if t.kind == "silent" and t.cause]


def test_a_filter_that_nobody_knows_does_not_stop_the_polls(shop, worker, monkeypatch):
    def poll(entity, cursor, filters):
        if filters:
            raise ConfigError("no such filter: colour")
        return iter(())

    monkeypatch.setattr(shop.source, "poll", poll)
    now = shop.clock.now()
    job = shop.app.store.queue_backfill("backfill", "shop", "customer", {"colour": "red"}, None, now)
    assert worker.work_job()
    assert shop.app.store.get_backfill(job.id).error == "no such filter: colour"
    assert status(shop.app)["sources"]["shop"]["state"] == "ok"


def test_two_threads_let_go_of_what_another_daemon_has_listed(tmp_path, monkeypatch):
    """While another one leads both of a source's threads follow it, each in the middle of what the other does."""
    table = {"entities": ["customer", "order"]}
    with Harness(tmp_path, PEOPLE, source_table=table) as shop:
        worker, store = SourceWorker(shop.app, shop.app.sources["shop"]), shop.app.store
        worker.hold_first()
        for entity in table["entities"]:
            store.put_cursor("shop", f"listed:{entity}", "x", shop.clock.now())
        real, turns = store.get_cursor, iter([worker.follow])

        def looked_up(*words):
            for follow in turns:
                follow()
            return real(*words)

        monkeypatch.setattr(store, "get_cursor", looked_up)
        worker.follow()
        assert worker._holds == {}


@pytest.mark.parametrize(("poll", "asked"), [("1h", 1), (False, 0)])
def test_what_came_while_no_daemon_ran_is_asked_for_at_its_start(tmp_path, poll, asked):
    table = {"entities": ["customer"], "poll": poll}
    with Harness(tmp_path, PEOPLE, source_table=table) as shop:
        SourceWorker(shop.app, shop.app.sources["shop"]).poll_due()
        shop.source.put(customer("2", email="bob@shop.test"))
        before = shop.source.polls
        worker = SourceWorker(shop.app, shop.app.sources["shop"])
        worker.poll_due()
        worker.poll_due()
        assert shop.source.polls - before == asked
        assert len(shop.deliveries()) == asked


def fails(request):
    raise KeyError("ada@shop.test")


@pytest.mark.parametrize("error", [KeyError, RecursionError, SystemExit])
def test_a_webhook_that_meets_a_bug_is_counted_named_and_swept_after(shop, worker, monkeypatch, error):
    def fails(request):
        raise error("ada@shop.test")

    monkeypatch.setattr(shop.source, "receive", fails)
    for _ in range(3):
        worker.receive(WebhookRequest(method="POST", path="/hooks/shop", headers={}, body=b"{}", query={}))
    [kept] = shop.app.store.unreadable("shop")
    assert (kept.entity, kept.times) == ("webhook", 3)
    assert error.__name__ in kept.reason
    assert "ada@" not in str(kept)
    found = overview(shop.app)
    assert list(found.document["sources"]["shop"]["entities"]) == ["customer"], "a webhook is no entity"
    [note] = found.notes
    assert "1 x webhook could not be read, for instance one at test_daemon_source_trouble.py" in note
    worker.poll_due()
    assert sweeps(shop) == 1


def test_sweeps_after_bugs_keep_their_distance_and_none_is_lost_with_the_process(shop, worker, monkeypatch):
    monkeypatch.setattr(shop.source, "receive", fails)
    webhook = WebhookRequest(method="POST", path="/hooks/shop", headers={}, body=b"{}", query={})
    worker.receive(webhook)
    worker.poll_due()
    assert sweeps(shop) == 1
    worker.receive(webhook)
    worker.poll_due()
    assert sweeps(shop) == 0
    another = SourceWorker(shop.app, shop.app.sources["shop"])
    another.poll_due()
    assert sweeps(shop) == 1
    look_again(shop, another)
    assert sweeps(shop) == 0


@pytest.mark.parametrize("how", ["a comparison", "trouble", "time"])
def test_another_shop_behind_the_same_address_is_not_read(shop, monkeypatch, how):
    account = Account(id="1", label="Ours")
    monkeypatch.setattr(shop.source, "account", lambda: account, raising=False)
    worker = SourceWorker(shop.app, shop.app.sources["shop"])
    worker.poll_due()
    assert reason(shop) is None
    account = Account(id="2", label="Theirs")
    shop.source.put(customer("9", email="theirs@shop.test"))
    match how:
        case "a comparison":
            worker.queue_reconcile(shop.clock.now())
            worker.work_job()
        case "trouble":
            shop.source.fail_polls.append(Transient("away"))
            look_again(shop, worker)
            look_again(shop, worker)
        case "time":
            shop.clock.advance(timedelta(minutes=16))
            worker.poll_due()
    assert "(Theirs)" in reason(shop)
    assert "(Ours)" in reason(shop)
    assert shop.app.store.snapshot("shop", "customer", "9") is None
