"""Polls, backfills and comparisons over a source that fails, shrinks and is killed in the middle."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from synccore._app.units import lane_name
from synccore._daemon.backfill import backfill as run_backfill
from synccore._daemon.sources import SourceWorker
from synccore._floor import Floor
from synccore._ingest.listing import Lister
from synccore._verbs.again import read_now
from synccore._verbs.backfill import CONFIRMED
from synccore._verbs.status import status
from synccore.entities import Membership
from synccore.errors import Rejected, Transient
from synccore.store import DirtyRule
from synccore.testing import Harness, customer, upsert
from synccore.types import Change, Limits, Page

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=200)) as harness:
        harness.source.put(*(customer(f"{n:04}", email=f"p{n}@shop.test") for n in range(250)))
        yield harness


def worker_of(app):
    return SourceWorker(app.app, app.app.sources["shop"])


def backfill(app, **filters):
    store = app.app.store
    store.queue_backfill("backfill", "shop", "customer", filters, None, app.clock.now())
    worker = worker_of(app)
    while worker.work_job():
        pass


def reconcile(app):
    worker = worker_of(app)
    worker.queue_reconcile(app.clock.now())
    while worker.work_job():
        pass


def test_the_first_poll_is_the_past_and_later_changes_are_news(app):
    worker_of(app).poll_all()
    assert {d.bulk for d in app.deliveries()} == {True}
    app.drain()
    app.source.put(customer("0001", email="new@shop.test"))
    worker_of(app).poll_all()
    (row,) = app.deliveries(state="ready")
    assert (row.key, row.bulk) == ("0001", False)


def test_a_first_poll_that_was_interrupted_is_still_the_past_when_it_goes_on(app):
    app.source.fail_polls.extend([Transient("503")])
    stop_after_one_page(app)
    app.clock.advance(timedelta(hours=1))
    worker_of(app).poll_all()
    assert len(app.deliveries()) == 250
    assert {d.bulk for d in app.deliveries()} == {True}


def stop_after_one_page(app):
    app.source.fail_polls.clear()
    receive = app.app.intake.submit
    calls = []

    def submit(unit):
        if calls:
            raise Transient("shop down")
        calls.append(unit)
        return receive(unit)

    app.app.intake.submit = submit
    assert not worker_of(app).poll_all()
    app.app.intake.submit = receive


def test_a_backfill_resumes_at_the_page_where_the_shop_went_down(app):
    store = app.app.store
    job = store.queue_backfill("backfill", "shop", "customer", {}, None, app.clock.now())
    app.source.fail_polls.append(Transient("503"))
    worker = worker_of(app)
    worker.work_job()
    assert store.get_backfill(job.id).state == "running"
    assert store.lane(lane_name("shop")).state == "circuit_open"
    app.clock.advance(timedelta(minutes=10))
    worker.work_job()
    assert store.get_backfill(job.id).state == "done"
    app.drain()
    assert len(app.sink.records) == 250


def test_the_same_backfill_asked_twice_is_one_job(app):
    store = app.app.store
    first = store.queue_backfill("backfill", "shop", "customer", {}, None, app.clock.now())
    again = store.queue_backfill("backfill", "shop", "customer", {}, None, app.clock.now())
    assert first.id == again.id


def test_a_filter_reaches_the_source(app):
    backfill(app, email="p7@shop.test")
    app.drain()
    assert list(app.sink.by_uid()) == ["shop:customer:0007"]


def test_a_comparison_finds_what_webhooks_missed_and_what_is_gone(app):
    backfill(app)
    app.drain()
    app.source.put(customer("0003", email="moved@shop.test"), Change(entity="customer", key="0009", op="delete"))
    reconcile(app)
    app.drain()
    held = app.sink.by_uid()
    assert held["shop:customer:0003"]["email"] == "moved@shop.test"
    assert "shop:customer:0009" not in held
    assert len(held) == 249


def test_versions_that_do_not_grow_are_named_and_asked_about(app):
    app.source.put(customer("0003", email="p3@shop.test", version=9))
    backfill(app)
    app.source.put(customer("0003", email="moved@shop.test", version=8))
    with capture_logs() as logs:
        reconcile(app)
    (told,) = [line for line in logs if line["event"] == "older than what is known"]
    assert (told["source"], told["entity"], told["records"]) == ("shop", "customer", 1)
    assert "asked once more" in read_now(app.app, "shop", "customer", "0003").text
    app.clock.advance(timedelta(seconds=10))
    assert worker_of(app).follow_hints()
    assert app.app.store.snapshot("shop", "customer", "0003").data.email == "moved@shop.test"


def test_a_person_who_asks_for_a_record_is_told_what_the_shop_has_whatever_its_version(app):
    app.source.put(customer("0003", email="p3@shop.test", version=9))
    backfill(app)
    app.clock.advance(timedelta(minutes=1))
    app.source.put(customer("0003", email="moved@shop.test", version=8))
    assert "read from shop" in read_now(app.app, "shop", "customer", "0003").text


def test_a_record_that_a_listing_skipped_but_is_still_there_is_kept(app):
    backfill(app)
    app.drain()
    whole = dict(app.source.records)
    del app.source.records["customer", "0009"]
    app.source.fetch = lambda entity, key: whole.get((entity, key))
    reconcile(app)
    app.drain()
    assert len(app.sink.by_uid()) == 250


def test_one_record_that_cannot_be_asked_for_holds_up_no_comparison(app):
    backfill(app)
    app.drain()
    gone = {key: app.source.records.pop(("customer", key)) for key in ("0009", "0010")}

    def fetch(entity, key):
        if key == min(gone):
            raise Rejected("no request can be made of its key")
        return

    app.source.fetch = fetch
    reconcile(app)
    app.drain()
    assert "shop:customer:0009" in app.sink.by_uid(), "deleted without a word from the shop"
    assert "shop:customer:0010" not in app.sink.by_uid()
    assert [(r.place, r.reason) for r in app.app.store.unreadable("shop")] == [
        ("customer 0009", "no request can be made of its key")
    ]
    assert status(app.app)["sources"]["shop"]["state"] == "ok"


def test_a_listing_that_lost_more_than_a_tenth_deletes_nothing_until_confirmed(app):
    backfill(app)
    app.drain()
    for n in range(30):
        app.source.put(Change(entity="customer", key=f"{n:04}", op="delete"))
    reconcile(app)
    app.drain()
    assert len(app.sink.by_uid()) == 250
    worker_of(app).poll_all()  # a source that answers is well, and the doubt stays
    told = status(app.app)["sources"]["shop"]
    assert told["state"] == "error"
    assert "30 of 250" in told["reason"]
    store = app.app.store
    job = store.queue_backfill("reconcile", "shop", "customer", CONFIRMED, None, app.clock.now())
    worker_of(app).run_job(job)
    app.drain()
    assert len(app.sink.by_uid()) == 220
    assert status(app.app)["sources"]["shop"]["state"] == "ok"


def test_a_failing_source_is_named_and_forgiven(app):
    worker = worker_of(app)
    app.source.fail_polls.append(ValueError("plugin bug"))
    assert not worker.poll_all()
    assert "ValueError" in app.app.store.lane(lane_name("shop")).reason
    assert worker.poll_all()
    assert app.app.store.lane(lane_name("shop")).state == "ok"


def test_while_a_listing_fills_the_outbox_its_batches_go_full(tmp_path):
    limits = Limits(max_batch=20, bulk_batch=120, bulk_threshold=100)
    with Harness(tmp_path, PEOPLE, limits=limits) as app:
        app.source.put(*(customer(f"{n:04}", email=f"p{n}@shop.test") for n in range(250)))
        lane = app.app.engine.lanes["crm"]
        submit = app.app.intake.submit

        def submit_and_deliver(unit):
            taken = submit(unit)
            while lane.step().idle_until is None:
                pass
            return taken

        app.app.intake.submit = submit_and_deliver
        backfill(app)
        assert [len(call) for call in app.sink.calls] == [120, 120]
        app.drain()
        assert [len(call) for call in app.sink.calls] == [120, 120, 10]


def test_a_live_change_does_not_wait_for_a_listing(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=20)) as app, app.app.engine.filling({"people"}):
        app.emit(customer("past", email="past@shop.test"), bulk=True)
        app.emit(customer("news", email="news@shop.test"))
        app.drain()
        assert list(app.sink.by_uid()) == ["shop:customer:news"]


def test_a_first_listing_delivers_a_customer_once_with_all_that_is_listed_later(tmp_path):
    routes = {
        "profiles": {
            "entity": "customer",
            "include": ["membership"],
            "fields": {"plans": "memberships | map(attribute='plan_key') | list"},
        }
    }
    with Harness(tmp_path, routes) as app:
        app.source.put(*(customer(f"{n}", email=f"p{n}@shop.test") for n in range(5)))
        app.source.put(
            *(upsert(Membership(key=f"m{n}", status="active", plan_key="g"), owner=f"{n}") for n in range(5))
        )
        worker = worker_of(app)
        poll = worker._poll
        # The lanes' threads use every moment between two listings.
        worker._poll = lambda entity: (poll(entity), app.drain())[0]
        worker.poll_all()
        app.drain()
        assert [len(call) for call in app.sink.calls] == [5]
        assert {tuple(fields["plans"]) for fields in app.sink.by_uid().values()} == {("g",)}


MEMBERS = {
    "profiles": {
        "entity": "customer",
        "include": ["membership"],
        "fields": {"email": "customer.email", "plans": "memberships | map(attribute='plan_key') | list"},
    }
}


def members(app, count):
    app.source.put(*(customer(f"{n:03}", email=f"p{n}@shop.test") for n in range(count)))
    owned = ((f"m{n}", f"{n:03}") for n in range(count))
    app.source.put(*(upsert(Membership(key=k, status="active", plan_key="g"), owner=o) for k, o in owned))


def delivering_between_pages(app, worker):
    """The lanes' threads use every moment between two pages."""
    submit = app.app.intake.submit

    def submit_and_deliver(unit):
        taken = submit(unit)
        app.drain()
        return taken

    app.app.intake.submit = submit_and_deliver
    return worker


@pytest.mark.parametrize("first", ["poll", "backfill"])
def test_a_full_batch_is_no_reason_to_send_a_customer_before_what_is_theirs(tmp_path, first):
    limits = Limits(max_batch=5, bulk_batch=20, bulk_threshold=10)
    with Harness(tmp_path, MEMBERS, limits=limits) as app:
        members(app, 50)
        app.source._page = type(app.source._page)(10)
        worker = delivering_between_pages(app, worker_of(app))
        worker.poll_all() if first == "poll" else run_backfill(app.app, "shop", None, {}, None)
        app.drain()
        assert [len(call) for call in app.sink.calls] == [20, 20, 10]
        assert {tuple(fields["plans"]) for fields in app.sink.by_uid().values()} == {("g",)}


def test_nor_is_a_listing_that_failed(tmp_path):
    with Harness(tmp_path, MEMBERS) as app:
        members(app, 5)
        worker = delivering_between_pages(app, worker_of(app))
        listed = app.source.poll

        def failing(entity, cursor, filters):
            if entity == "membership":
                raise Transient("away")
            return listed(entity, cursor, filters)

        app.source.poll = failing
        assert not worker.poll_all()
        app.drain()
        assert app.sink.calls == []
        app.source.poll = listed
        assert worker.poll_all()
        app.drain()
        assert [len(call) for call in app.sink.calls] == [5]


def test_what_is_known_already_holds_nothing(tmp_path):
    with Harness(tmp_path, MEMBERS, limits=Limits(max_batch=5, bulk_batch=20, bulk_threshold=10)) as app:
        members(app, 50)
        worker = worker_of(app)
        worker.poll_all()
        app.drain()
        app.sink.calls.clear()
        with worker.listing(["customer", "membership"]):
            long_ago = [evolve(customer(f"{n:03}", email=f"q{n}@shop.test", version=9), at=LONG_AGO) for n in range(50)]
            app.emit(*long_ago, bulk=True)
            app.drain()
            assert [len(call) for call in app.sink.calls] == [20, 20]


def test_a_route_waits_only_for_what_concerns_it(tmp_path):
    routes = {**PEOPLE, "plans": {"entity": "membership", "object": "plan", "fields": {"p": "membership.plan_key"}}}
    with Harness(tmp_path, routes) as app:
        app.source.put(customer("1", email="p@shop.test"))
        app.source.put(upsert(Membership(key="m", status="active", plan_key="g"), owner="1"))
        worker = worker_of(app)
        with worker.listing(["customer", "membership"]) as listed:
            worker._poll("customer")
            listed("customer")
            app.drain()
            assert [o.route for call in app.sink.calls for o in call] == ["people"]
            worker._poll("membership")
            app.drain()
            assert len(app.sink.calls) == 1
        app.drain()
        assert [o.route for call in app.sink.calls for o in call] == ["people", "plans"]


def test_progress_counts_rows_of_the_list_and_nothing_they_tell_beside(app):
    """ "20 of 10 listed" was said where each order told of its buyer too."""
    told = [upsert(customer(key, email=f"{key}@shop.test")) for key in ("x", "y", "z")]
    other = Change(entity="order", key="1", op="delete")
    pages = [Page(changes=[*told, other], total=9), Page(changes=[other], total=9, rows=6)]
    app.source.poll = lambda *_: iter(pages)
    said = []
    listed = app.app.lister("shop").poll("customer", said.append)
    assert [step.seen for step in said] == [3, 9]
    assert (listed.seen, listed.total) == (9, 9)


class Paged:
    """A page of three for each entry: how long it takes, or what is raised in its place."""

    def __init__(self, clock, *pages):
        self.clock, self.pages = clock, pages

    def poll(self, entity, cursor, filters):
        for number, page in enumerate(self.pages):
            if isinstance(page, Exception):
                raise page
            self.clock.advance(page)
            yield Page(changes=[customer(f"{number}{n}") for n in range(3)], cursor=str(number))


AT_ONCE, LATE = timedelta(0), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("pages", "wanted", "commits"),
    [
        ([AT_ONCE] * 5, 6, ["01", "23", "4"]),
        ([AT_ONCE] * 3, 0, ["0", "1", "2"]),
        ([AT_ONCE] * 3, 1000, ["0", "1", "2"]),
        ([LATE, LATE, AT_ONCE, AT_ONCE], 6, ["0", "1", "23"]),
        ([AT_ONCE, AT_ONCE, AT_ONCE, Transient("away")], 6, ["01", "2"]),
    ],
    ids=["at once", "nobody waits", "more than a commit holds", "as they come", "then it fails"],
)
def test_pages_that_come_at_once_share_a_commit_where_a_lane_waits_for_them(tmp_path, pages, wanted, commits):
    with Harness(tmp_path, PEOPLE) as app:
        store, taken = app.app.store, []
        ingest = store.ingest
        store.ingest = lambda batch, now: taken.append("".join(u.cursor[1] for u in batch)) or ingest(batch, now)
        rules = {"customer": [DirtyRule(route="people", sink="crm", entity="customer")]}
        lister = Lister(
            "shop",
            Paged(app.clock, *pages),
            rules,
            store=store,
            intake=app.app.intake,
            clock=app.clock,
            floor=Floor(),
            stopping=lambda: False,
            wanted=lambda routes: wanted if routes == {"people"} else 0,
        )
        with suppress(Transient):
            lister.poll("customer")
        assert taken == commits
        assert store.get_cursor("shop", "poll:customer") == commits[-1][-1]
