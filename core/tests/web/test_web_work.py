"""The pages of work under way and of what happened."""

import json
from datetime import timedelta

import pytest

from synccore._verbs.activity import SLOTS, STEP, last_day
from synccore._verbs.parts.pace import Pace, left_text, pace_text
from synccore._web.dashboard.chart import chart
from synccore.errors import Rejected
from synccore.testing import START, customer


@pytest.fixture
def site(open_site, full):
    site = open_site(routes=full)
    site.house.reached()
    return site


def test_a_listing_shows_how_far_how_fast_and_how_long(site, words):
    house, visitor = site.house, site.visitor()
    said = words(visitor.act("/work/begin", what="route people"))
    assert "listing customer of shop begins" in said
    [job] = house.app.store.backfills()
    assert (job.kind, job.route) == ("backfill", "people")
    for seen in (100, 400):
        house.app.store.update_backfill(job.id, state="running", seen=seen, total=1600, now=house.clock.now())
        text = words(visitor.get("/work"))
        house.clock.advance(timedelta(seconds=10))
    assert "backfill of shop customer for people 400 of 1 600 listed · 40/s · about 30 s left" in text


def test_a_listing_is_paused_with_its_shop_and_stopped(site, words):
    house, visitor = site.house, site.visitor()
    visitor.act("/work/begin", what="compare shop")
    first, second = house.app.store.backfills()
    assert "Resume shop" in words(visitor.act("/lanes/pause", name="shop")) or "Resume shop" in words(
        visitor.get("/work")
    )
    assert "is stopped; what it listed stays" in words(visitor.act("/work/stop", job=str(first.id)))
    assert [job.id for job in house.app.store.backfills()] == [second.id]
    assert "stopped by a person" in words(visitor.get("/work"))
    for nonsense in (str(first.id), "x", "-1", "9" * 30):
        assert visitor.act("/work/stop", job=nonsense).status == 400


def test_a_stopped_listing_ends_at_its_next_page(site):
    from synccore._daemon.sources import SourceWorker
    from synccore._verbs.work import stop_listing

    house = site.house
    house.shop._page = type(house.shop._page)(page_size=2)
    house.shop.put(*(customer(f"{n:03}", email=f"{n}@shop.test") for n in range(20)))
    worker = SourceWorker(house.app, house.app.sources["shop"])
    site.visitor().act("/work/begin", what="route people")
    [job] = house.app.store.backfills()
    original, pages = house.shop.poll, []

    def poll(*args):
        for page in original(*args):
            pages.append(page)
            if len(pages) == 3:
                stop_listing(house.app, job.id)
            yield page

    house.shop.poll = poll
    worker.work_job()
    assert len(pages) < 10
    ended = house.app.store.get_backfill(job.id)
    assert (ended.state, ended.error) == ("failed", "stopped by a person")
    assert not worker.work_job(), "nothing begins it again"


@pytest.mark.parametrize("work", ["a backfill", "the first listing"])
def test_a_paused_listing_asks_for_no_further_page_and_goes_on_from_there(site, work):
    from synccore._daemon.sources import SourceWorker

    house, visitor = site.house, site.visitor()
    house.shop._page = type(house.shop._page)(page_size=2)
    house.shop.put(*(customer(f"{n:03}", email=f"{n}@shop.test") for n in range(20)))
    worker = SourceWorker(house.app, house.app.sources["shop"])
    go_on = worker.work_job if work == "a backfill" else worker.poll_due
    if work == "a backfill":
        visitor.act("/work/begin", what="route people")
    original, seen = house.shop.poll, []

    def poll(entity, *args):
        for page in original(entity, *args):
            seen.extend(change.key for change in page.changes)
            if len(seen) == 6:
                visitor.act("/lanes/pause", name="shop")
            yield page

    house.shop.poll = poll
    for _ in range(3):
        go_on()
    assert len(seen) == 6
    visitor.act("/lanes/resume", name="shop")
    go_on()
    assert seen == [f"{n:03}" for n in range(20)]


def test_what_is_owed_says_what_it_waits_for(site, words):
    site.house.lane("paused", "an audit")
    site.house.owe(3)
    assert "crm : 3 owed · waits for a person (an audit): synccore lanes resume crm" in words(
        site.visitor().get("/work")
    )


def test_nothing_under_way_says_so(site, words):
    assert "Nothing is under way, and nothing is owed." in words(site.visitor().get("/work"))


@pytest.mark.parametrize("what", ["", "route nothing", "compare nothing", "<b>"])
def test_work_that_does_not_exist_cannot_begin(site, what):
    assert site.visitor().act("/work/begin", what=what).status == 400


# -- what happened


def test_the_trail_is_filtered_and_paged(site, words, monkeypatch):
    monkeypatch.setattr("synccore._web.dashboard.activity.PAGE", 3)
    site.house.deliver(2)
    site.house.park(2, "no")
    text = words(site.visitor().get("/activity?outcome=parked"))
    assert text.count("parked no") == 2
    assert "Nothing fits." in words(site.visitor().get("/activity?route=orders"))
    site.house.clock.advance(timedelta(hours=2))
    assert "Nothing fits." in words(site.visitor().get("/activity?since=1h"))
    first = site.visitor().get("/activity")
    assert first.text.count('class="word ') == 3
    older = first.text.split('href="./activity?before=')[1].split('"')[0]
    second = site.visitor().get(f"/activity?before={older}")
    assert "To the newest" in second.text
    assert words(first).split("Fields, or why")[1] != words(second).split("Fields, or why")[1]
    for nonsense in ("x", "9" * 50, "-1", "%00"):
        assert site.visitor().get(f"/activity?before={nonsense}&outcome={nonsense}&since={nonsense}").status == 200


def test_the_trail_is_exported_without_values(site):
    site.house.crm.always(lambda _: Rejected("=cmd()"))
    site.house.deliver(1)
    lines = json.loads(site.visitor().get("/activity/trail.json").text)
    assert {line["outcome"] for line in lines} == {"received", "parked"}
    [parked] = [line for line in lines if line["outcome"] == "parked"]
    assert parked["at"].endswith("Z"), "as the terminal writes it"
    assert [d.id for d in site.house.app.store.deliveries(state="parked")] == [parked["delivery"]]
    assert site.visitor().get("/activity/trail.csv?outcome=overtook").text.startswith("at,route,sink")
    table = site.visitor().get("/activity/trail.csv?outcome=parked")
    assert table.text.splitlines()[0].startswith("at,route,sink,entity,key,op,outcome")
    assert ",'=cmd()," in table.text
    assert "shop.test" not in table.text


def test_the_day_is_counted_as_it_was(site):
    """The chart against a count of one's own: what was delivered, parked and owed at the end of each stretch."""
    house = site.house
    begun = house.clock.now()
    house.owe(5)
    house.clock.advance(timedelta(hours=2))
    house.drain()
    house.clock.advance(timedelta(hours=1))
    house.park(1)
    house.owe(2)
    slots = {slot.at: slot for slot in last_day(house.app).slots}
    now = house.clock.now()
    owed = [slots[now - STEP * n].owed for n in range(1, 9)]
    assert owed == [2, 0, 5, 5, 5, 5, 0, 0]
    day = last_day(house.app)
    assert (day.delivered, day.wrong) == (5, 1)
    assert max(slot.owed for slot in day.slots) == 5
    before = [slot for slot in day.slots if slot.at + STEP <= begun]
    assert all((s.delivered, s.wrong, s.owed) == (0, 0, 0) for s in before)


def test_the_picture_says_itself_in_words(site, words):
    site.house.deliver(3)
    answer = site.visitor().get("/activity")
    assert "Last 24 hours: 3 delivered, 0 did not work, at most 0 owed at a time, 0 now." in answer.text
    empty = chart(last_day(site.house.app, "nothing"))
    assert len(empty.bars) == SLOTS
    assert all(bar.height == 0 for bar in empty.bars)


# -- rates


def test_a_pace_is_what_was_seen_lately():
    pace, at = Pace(), START
    assert pace.note("a", 0, at) is None
    assert pace.note("a", 50, at + timedelta(seconds=10)) == 5
    assert pace.note("b", 1, at) is None
    assert pace.note("a", 10, at + timedelta(seconds=20)) is None, "begun anew"
    assert pace.note("a", 400, at + timedelta(hours=1)) is None, "nobody looked for long"


@pytest.mark.parametrize(("rate", "rest", "shown"), [
    (None, 10, ("", "")), (0, 10, ("", "")), (35.4, 12_000, ("35/s", "about 5 min left")),
    (0.5, 5, ("30/min", "about 10 s left")), (0.001, 10_000, ("less than 1/min", "about 115 days left")),
    (2, None, ("2/s", "")), (2, 0, ("2/s", "")),
])  # fmt: skip
def test_rates_in_words(rate, rest, shown):
    assert (pace_text(rate), left_text(rest, rate)) == shown


def test_what_stands_still_has_no_time_that_is_left(site, words):
    house, visitor = site.house, site.visitor()
    house.owe(3)
    visitor.get("/work")
    house.clock.advance(timedelta(seconds=10))
    house.drain()
    house.owe(2)
    assert "crm : 2 owed · 18/min · about 7 s left" in words(visitor.get("/work"))
    visitor.act("/lanes/pause", name="crm", reason="stocktaking")
    assert "crm : 2 owed · waits for a person (stocktaking)" in words(visitor.get("/work"))


def test_a_route_of_facts_is_listed_by_a_button_as_by_the_command(open_site, words):
    """A fact that a route has not had is owed to it once (the outbox's contract): no face has a rule of its own."""
    site = open_site(routes={"pays": {"entity": "payment", "fields": {"amount": "payment.amount"}}})
    site.house.reached()
    assert "list all payment records of shop for pays" in words(site.visitor().get("/work"))
    site.visitor().act("/work/begin", what="route pays")
    [job] = site.house.app.store.backfills()
    assert (job.entity, job.route) == ("payment", "pays")
