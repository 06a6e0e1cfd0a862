"""Quotas: what a write costs, how long to wait, and one writer at a time."""

import threading
from datetime import timedelta

import httpx
import pytest
from google_help import Rig, near, person_fields

from synccore.errors import RateLimited
from synccore.testing import FakeContext
from synccore.types import Delivered, Failed
from synccore_google_contacts.client import BATCH_COST
from synccore_google_contacts.testing.rules import Refused

LIMITS = {"critical_read": 60, "critical_write": 30, "write": 30, "group_read": 90}


def waits(outcomes):
    return [o.error.retry_after for o in outcomes if isinstance(o, Failed) and isinstance(o.error, RateLimited)]


@pytest.mark.parametrize(("count", "singles"), [(1, 1), (BATCH_COST, BATCH_COST), (BATCH_COST + 1, 0)])
def test_a_batch_is_used_from_where_it_costs_less(rig, count, singles):
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(count)])
    assert rig.google.count("POST", "/v1/people:createContact") == singles
    assert rig.google.count("POST", "/v1/people:batchCreateContacts") == (0 if singles else 1)
    assert rig.google.quota.used["critical_write"] == min(count, BATCH_COST)
    rig.deliver(*[rig.op(n, **person_fields(n, company="Acme")) for n in range(count)])
    assert rig.google.count("PATCH") == singles
    assert rig.google.quota.used["critical_write"] == 2 * min(count, BATCH_COST)


def test_updates_are_grouped_by_mask_and_put_together_where_that_costs_less(rig):
    changes = [{"company": "Acme"}, {"nickname": "A"}, {"given_name": "Zoe"}, {"phone": "+14155559999"}]
    rig.deliver(*[rig.op(n, **person_fields(n, notes="n")) for n in range(40)])
    before = rig.writes()
    rig.deliver(*[rig.op(n, **person_fields(n, notes="n", **changes[n % 2])) for n in range(8)])
    assert rig.writes() - before == 1
    before = rig.writes()
    rig.deliver(*[rig.op(n, **person_fields(n, notes="n", **changes[n % 4])) for n in range(8, 14)])
    assert rig.writes() - before == 6
    people = {p["clientData"][0]["value"]: p for p in rig.google.contacts()}
    assert people["shop:customer:0"]["organizations"][0]["name"] == "Acme"
    assert people["shop:customer:1"]["nicknames"][0]["value"] == "A"
    assert all(p["biographies"][0]["value"] == "n" for p in people.values())


def test_the_minute_is_respected_without_meeting_googles_refusal(rigs):
    rig = rigs(quota=LIMITS)
    refused = 0
    started = rig.clock.now()
    for start in range(0, 49, 7):
        operations = [rig.op(n, **person_fields(n)) for n in range(start, start + 7)]
        while True:
            outcomes = rig.deliver(*operations)
            wait = waits(outcomes)
            if not wait:
                break
            refused += 1
            rig.clock.advance(max(wait))
    assert len(rig.google.contacts()) == 49
    assert rig.writes() == 7
    assert refused == 1
    assert rig.clock.now() - started < timedelta(minutes=2)


def test_two_processes_use_one_minute_of_the_account_together(rigs):
    """Each counted for itself: what both used up met Google's refusal."""
    rig = rigs(quota=LIMITS)
    sinks = [rig.sink, rig.open()]
    for n in range(50):
        rig.sink = sinks[n % 2]
        lived(rig, [(timedelta(0), n, person_fields(n))])
    assert rig.google.quota.refused == 0
    assert len(rig.google.contacts()) == 50


def test_the_next_minute_does_not_begin_before_googles(rigs):
    rig = rigs(quota=LIMITS)
    for batch in range(10):
        operations = [rig.op(n, **person_fields(n)) for n in range(batch * 7, batch * 7 + 7)]
        while wait := waits(rig.deliver(*operations)):
            rig.clock.advance(max(wait))
        rig.clock.advance(timedelta(seconds=12 if batch < 5 else 0))
    sent = [r for r in rig.google.requests if r.path == "/v1/people:batchCreateContacts"]
    assert len(sent) == 10
    assert len(rig.google.contacts()) == 70


MINUTE, AT_ONCE = timedelta(minutes=1), timedelta(0)


def lived(rig, coming):
    """Records come (when, key, fields) and are delivered as a lane does it: who has to wait alone is due again then, a
    refusal of the account holds everybody. Gives how long each waited."""
    began, waited = rig.clock.now(), {}
    due = [(began + at, began + at, key, fields) for at, key, fields in coming]
    while due:
        rig.clock.advance(max(min(due)[0] - rig.clock.now(), timedelta(0)))
        now = rig.clock.now()
        batch = sorted((one for one in due if one[0] <= now), key=lambda one: one[1])[:200]
        due = [one for one in due if one not in batch]
        try:
            outcomes = rig.deliver(*[rig.op(key, age=now - at, **fields) for _, at, key, fields in batch])
        except RateLimited as error:
            outcomes = [Failed(error)] * len(batch)
        for (_, at, key, fields), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Delivered):
                waited[key] = rig.clock.now() - at
            else:
                due.append((now + outcome.error.retry_after, at, key, fields))
        if held := [o.error.retry_after for o in outcomes if isinstance(o, Failed) and o.error.scope == "lane"]:
            rig.clock.advance(max(held))
    return waited


def spread(count, over, first=0, **more):
    return [(over / count * n, first + n, person_fields(first + n, **more)) for n in range(count)]


@pytest.fixture
def close_by(rigs, monkeypatch):
    """Rigs whose calls reach the stand-in without a socket."""

    def make(**options):
        rig = rigs(**options)
        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: near(rig.google, request))
        return rig

    return make


@pytest.mark.parametrize(
    ("new", "over", "known", "at_once", "longest"),
    [
        (4, MINUTE, 12, 4, timedelta(seconds=5)),
        (6, MINUTE, 0, 6, timedelta(seconds=5)),
        (10, MINUTE, 2, 6, timedelta(seconds=45)),
        (10, AT_ONCE, 0, 6, MINUTE),
        (30, MINUTE, 12, 4, 4 * MINUTE),
        (100, MINUTE, 12, 3, 11 * MINUTE),
    ],
)
def test_about_ten_new_customers_a_minute_are_looked_for_and_no_change_waits_for_them(
    close_by, new, over, known, at_once, longest
):
    rig = close_by(quota=LIMITS)
    rig.deliver(*[rig.op(n, bulk=True, **person_fields(n)) for n in range(1000, 1000 + known)])
    rig.clock.advance(timedelta(minutes=2))
    waited = lived(rig, sorted([*spread(new, over), *spread(known, MINUTE, 1000, company="Acme")], key=str))
    assert len(rig.google.contacts()) == new + known
    quick = [w for key, w in waited.items() if key < 1000 and w <= timedelta(seconds=5)]
    assert len(quick) >= at_once
    assert max(waited.values()) <= longest
    assert max((w for key, w in waited.items() if key >= 1000), default=AT_ONCE) <= timedelta(seconds=5)


@pytest.mark.parametrize("count", [12, 40])
def test_many_who_were_typed_in_a_minute_before_are_found_whatever_the_listing_hides(close_by, count):
    rig = close_by(quota=LIMITS, lag=timedelta(minutes=9))
    rig.google.book().search_lag = timedelta(0)
    rig.deliver(rig.op(1000, bulk=True, **person_fields(1000)))
    typed = {n: rig.google.add(emailAddresses=[{"value": f"ann{n}@shop.test"}]) for n in range(count)}
    rig.clock.advance(MINUTE)
    lived(rig, spread(count, AT_ONCE))
    assert {n: rig.links[f"shop:{n}"].remote_id for n in range(count)} == typed
    assert len(rig.google.contacts()) == count + 1


def test_who_has_to_wait_is_told_until_when_and_asks_nothing_of_google(rigs):
    rig = rigs(quota=LIMITS)
    first = rig.deliver(*[rig.op(n, age=AT_ONCE, **person_fields(n)) for n in range(20)])
    assert [isinstance(o, Delivered) for o in first] == [True] * 6 + [False] * 14
    until = f"until {rig.clock.now() + timedelta(minutes=11):%H:%M} UTC at the latest"  # full minutes
    assert {o.error.scope for o in first[6:]} == {"operation"}
    assert all(until in o.error.message and o.error.retry_after <= 2 * MINUTE for o in first[6:])
    rig.deliver(*[rig.op(n, age=AT_ONCE, **person_fields(n)) for n in range(6, 20)])
    calls, made = rig.calls(), len(rig.google.contacts())
    assert 6 < made < 20  # a few more: then half of the minute is read
    rig.deliver(*[rig.op(n, age=AT_ONCE, **person_fields(n)) for n in range(made, 20)])
    assert rig.calls() == calls


def test_those_owed_for_longer_than_the_listing_lags_go_in_one_batch(rigs):
    rig = rigs(quota=LIMITS)
    outcomes = rig.deliver(*[rig.op(n, age=timedelta(minutes=10), **person_fields(n)) for n in range(60)])
    assert all(isinstance(o, Delivered) for o in outcomes)
    assert rig.writes() == 1


def test_a_new_customer_costs_five_reads(rigs):
    rig = rigs(quota=LIMITS)
    rig.put(1, **person_fields(1))
    before = rig.google.quota.used["critical_read"]
    rig.put(2, **person_fields(2))
    assert rig.google.quota.used["critical_read"] - before == 5


def test_a_change_does_not_wait_for_the_search_for_another(rig):
    rig.put(1, **person_fields(1))
    before = len(rig.google.requests)
    rig.deliver(rig.op(2, **person_fields(2)), rig.op(1, **person_fields(1, company="Acme")))
    sent = [r.path.rsplit(":")[-1] for r in rig.google.requests[before:]]
    assert sent.index("updateContact") < [n for n, name in enumerate(sent) if name == "searchContacts"][1]
    assert sent[-1] == "createContact"


def test_a_minute_quota_of_googles_holds_the_account_and_loses_nothing(rigs):
    rig = rigs(quota={"critical_write": 13})
    operations = [rig.op(n, **person_fields(n)) for n in range(60)]
    first = rig.deliver(*operations[:20])
    second = rig.deliver(*operations[20:40])
    third = rig.deliver(*operations[40:])
    assert all(isinstance(o, Delivered) for o in (*first, *second))
    assert {timedelta(seconds=60) <= w <= timedelta(seconds=70) for w in waits(third)} == {True}
    calls = rig.calls()
    with pytest.raises(RateLimited) as caught:
        rig.open().deliver(operations[40:])
    assert timedelta(0) < caught.value.retry_after <= timedelta(seconds=70)
    assert rig.calls() == calls
    rig.clock.advance(timedelta(seconds=71))
    assert all(isinstance(o, Delivered) for o in rig.deliver(*operations[40:]))
    assert len(rig.google.contacts()) == 60


def test_googles_hidden_quota_is_waited_for_longer_and_longer(rig):
    rig.put(0, **person_fields(0))
    rig.google.quota.hidden = True
    seen = []
    for _ in range(9):
        (wait,) = waits(rig.deliver(rig.op(1, **person_fields(1))))
        seen.append(int(wait.total_seconds() // 60))
        rig.clock.advance(wait)
    assert seen == [5, 10, 20, 40, 80, 160, 320, 360, 360]
    rig.google.quota.hidden = False
    assert isinstance(rig.put(1, **person_fields(1)), Delivered)
    rig.google.quota.hidden = True
    (wait,) = waits(rig.deliver(rig.op(1, **person_fields(1, company="Acme"))))
    assert wait < timedelta(minutes=6)


def test_a_person_who_resumes_need_not_wait_for_what_was_remembered(rig):
    rig.put(0, **person_fields(0))
    rig.google.quota.hidden = True
    assert waits(rig.deliver(rig.op(1, **person_fields(1))))
    rig.google.quota.hidden = False
    with pytest.raises(RateLimited):
        rig.deliver(rig.op(1, **person_fields(1)))
    rig.sink.resume()
    assert isinstance(rig.put(1, **person_fields(1)), Delivered)


def test_the_days_quota_is_waited_for_until_it_starts_anew(rigs):
    rig = rigs(quota={"daily": 1})
    rig.put(1, **person_fields(1))
    (wait,) = waits(rig.deliver(rig.op(2, **person_fields(2))))
    assert timedelta(hours=20) <= wait < timedelta(hours=20, minutes=1)


def test_a_quota_met_in_the_middle_keeps_what_was_done(rigs):
    rig = rigs(quota={"critical_write": 3})
    outcomes = rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(5)])
    assert [type(o) for o in outcomes] == [Delivered] * 3 + [Failed] * 2
    assert len(waits(outcomes)) == 2
    rig.clock.advance(timedelta(seconds=71))
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(5)])
    assert len(rig.google.contacts()) == 5


def test_writers_of_one_account_take_turns(rig):
    """Two sinks on one account: the stand-in refuses mutations that overlap. One minute's quota is enough for both."""
    other = rig.open()
    aborted = []
    route = rig.google._route

    def watched(request, path, user):
        try:
            return route(request, path, user)
        except Refused as refused:
            aborted.append(refused)
            raise

    rig.google._route = watched

    def work(sink, first):
        for n in range(first, first + 12):
            (outcome,) = sink.deliver([rig.op(n, bulk=True, **person_fields(n))])
            assert isinstance(outcome, Delivered)

    threads = [threading.Thread(target=work, args=(s, f)) for s, f in ((rig.sink, 0), (other, 100))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not aborted
    assert len(rig.google.contacts()) == 24


def test_what_another_process_wrote_is_caught_up_with_and_not_all_read_anew(rig, monkeypatch):
    other = rig.open()
    rig.put(1, **person_fields(1))
    other.lookup([rig.op(3, **person_fields(3))])
    state = rig.context.state("1001")
    scan = state.scan
    monkeypatch.setattr(state, "scan", lambda prefix: scan(prefix) if prefix != "person:" else None)
    (made,) = other.deliver([rig.op("guest:2", **person_fields(2))])
    assert rig.put(2, **person_fields(2, company="Acme")).remote_id == made.remote_id
    (outcome,) = other.deliver([rig.op("guest:1", **person_fields(1))])
    assert outcome.remote_id == rig.links["shop:1"].remote_id
    assert len(rig.google.contacts()) == 2


def test_the_stand_in_refuses_two_mutations_at_once():
    rig = Rig(connect=False)
    try:
        rig.google._writers = 2
        with pytest.raises(Refused) as caught:
            rig.google._route(type("R", (), {"method": "POST"})(), "/v1/people:createContact", "1001")
        assert caught.value.status == "ABORTED"
    finally:
        rig.close()


def test_a_context_of_its_own_sees_the_same_account(rig):
    """Two instances by name share index and pause, because both belong to the account."""
    context = FakeContext("second", "google_contacts", clock=rig.clock)
    context.vault, context._states = rig.context.vault, rig.context._states
    rig.put(1, **person_fields(1))
    (found,) = rig.open(context).lookup([rig.op(1, **person_fields(1))])
    assert found.remote_id == rig.links["shop:1"].remote_id
