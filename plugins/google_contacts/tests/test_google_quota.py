"""Quotas: what a write costs, how long to wait, and one writer at a time."""

import threading
from datetime import timedelta

import pytest
from google_help import Rig, person_fields

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
        operation = rig.op(n, **person_fields(n))
        while wait := waits([outcome := sinks[n % 2].deliver([operation])[0]]):
            rig.clock.advance(max(wait))
        assert isinstance(outcome, Delivered), outcome
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


@pytest.mark.parametrize(("new", "known", "longest"), [(10, 2, 4), (30, 12, 35)])
def test_searching_for_new_customers_takes_no_quota_from_what_is_to_be_written(rigs, new, known, longest):
    """Customers come one after another; whoever is refused goes with the next call, as a lane does it."""
    rig = rigs(quota=LIMITS)
    for start in range(1000, 1000 + known, 60):
        rig.deliver(*[rig.op(n, bulk=True, **person_fields(n)) for n in range(start, min(start + 60, 1000 + known))])
    rig.clock.advance(timedelta(minutes=2))
    began = rig.clock.now()
    coming = [(began + timedelta(seconds=60) / new * n, n, person_fields(n)) for n in range(new)]
    coming += [
        (began + timedelta(seconds=60) / known * n, 1000 + n, person_fields(n, company="Acme")) for n in range(known)
    ]
    coming.sort(key=lambda one: one[0])
    waited, owed = [], []
    while coming or owed:
        owed += [one for one in coming if one[0] <= rig.clock.now()]
        coming = coming[len([one for one in coming if one[0] <= rig.clock.now()]) :]
        if not owed:
            rig.clock.advance(coming[0][0] - rig.clock.now())
            continue
        outcomes = rig.deliver(*[rig.op(n, **fields) for _, n, fields in owed])
        if wait := waits(outcomes):
            rig.clock.advance(max(wait))
        waited += [rig.clock.now() - at for (at, *_), o in zip(owed, outcomes, strict=True) if isinstance(o, Delivered)]
        owed = [one for one, o in zip(owed, outcomes, strict=True) if not isinstance(o, Delivered)]
    assert len(rig.google.contacts()) == new + known
    assert max(waited) < timedelta(seconds=longest)


def test_a_new_customer_in_a_quiet_shop_costs_five_reads_and_the_next_ones_of_a_busy_minute_two(rigs):
    rig = rigs(quota=LIMITS)
    reads = []
    for n in range(6):
        before = rig.google.quota.used["critical_read"]
        rig.put(n, **person_fields(n))
        reads.append(rig.google.quota.used["critical_read"] - before)
    assert (reads[1], reads[-1]) == (5, 2)
    rig.clock.advance(timedelta(minutes=2))
    before = rig.google.quota.used["critical_read"]
    rig.put(7, **person_fields(7))
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
            (outcome,) = sink.deliver([rig.op(n, **person_fields(n))])
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
