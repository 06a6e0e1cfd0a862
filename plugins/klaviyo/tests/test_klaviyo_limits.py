"""Quotas: what Klaviyo allows is never exceeded, wherever its windows begin."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore.errors import RateLimited
from synccore.http import Budget
from synccore.testing import FakeClock
from synccore.types import Delivered, Failed
from synccore_klaviyo import client as api
from synccore_klaviyo.client import XL, XS, L, M, S


@settings(max_examples=40, deadline=None)
@given(
    tier=st.sampled_from([XS, S, M, L, XL]),
    pauses=st.lists(st.integers(0, 700), min_size=20, max_size=120),
    offset=st.integers(0, 59_999),
)
def test_no_second_of_the_servers_holds_more_than_the_burst(tier, pauses, offset):
    clock = FakeClock()
    budget = Budget(clock, tier.windows(), 0.4)
    start = clock.now()
    sent = []
    for pause in pauses:
        clock.advance(timedelta(milliseconds=pause % 7))
        for _ in range(3):
            budget.acquire(max_wait=timedelta(minutes=2))
            sent.append(round((clock.now() - start) / timedelta(milliseconds=1)))
    seconds = [(moment + offset) // 1000 for moment in sent]
    assert max(seconds.count(s) for s in set(seconds)) <= tier.burst


def test_a_thousand_single_writes_meet_no_refusal(open_sink, klaviyo, operation, clock):
    sink = open_sink()
    done = 0
    began = clock.now()
    while done < 1000:
        batch = [operation(key=str(n), fields={"email": f"a{n}@shop.test"}) for n in range(done, done + 50)]
        outcomes = sink.deliver(batch)
        delivered = sum(isinstance(o, Delivered) for o in outcomes)
        done += delivered
        if delivered < 50:
            error = next(o.error for o in outcomes if not isinstance(o, Delivered))
            assert isinstance(error, RateLimited)
            clock.advance(error.retry_after)
    assert klaviyo.throttled == 0
    took = clock.now() - began
    assert timedelta(minutes=2) <= took <= timedelta(minutes=4)


def test_the_share_of_others_stays_free(open_sink, klaviyo, operation, clock):
    sink = open_sink(headroom=0.5)
    outcomes = []
    for start in range(0, 1000, 50):
        outcomes += sink.deliver(
            [operation(key=str(n), fields={"email": f"a{n}@shop.test"}) for n in range(start, start + 50)]
        )
    assert klaviyo.count("POST", "/api/profile-import") == 375
    assert isinstance(outcomes[-1].error, RateLimited)


def test_two_processes_use_one_quota_together(open_sink, klaviyo, operation, clock):
    sinks = [open_sink(), open_sink()]
    for n in range(200):
        while not isinstance(
            outcome := sinks[n % 2].deliver([operation(key=str(n), fields={"email": f"a{n}@shop.test"})])[0], Delivered
        ):
            clock.advance(outcome.error.retry_after)
    assert klaviyo.throttled == 0


def test_what_others_use_counts_too(open_sink, klaviyo, operation, clock):
    sink = open_sink()
    sink.deliver([operation(fields={"email": "a@shop.test"})])
    _, steady = next(w for name, w in klaviyo._windows.items() if "profile-import" in name)
    steady.used += 500
    sink.deliver([operation(fields={"email": "a@shop.test"})])
    (outcome,) = sink.deliver([operation(fields={"email": "a@shop.test"})])
    assert isinstance(outcome.error, RateLimited)
    assert klaviyo.throttled == 0


def test_a_person_who_resumes_voids_what_was_counted(open_sink, klaviyo, operation):
    sink = open_sink()
    person = operation(fields={"email": "a@shop.test"})
    sink.deliver([person])
    for budget in sink._client._budgets.values():
        budget.block(timedelta(hours=5))  # as a Retry-After does
    asked = klaviyo.count("POST")
    (outcome,) = sink.deliver([person])
    assert isinstance(outcome.error, RateLimited)
    assert klaviyo.count("POST") == asked
    sink.resume()
    (outcome,) = sink.deliver([person])
    assert not isinstance(outcome, Failed)
    assert klaviyo.count("POST") > asked


def test_a_process_that_stops_waits_for_no_quota(open_sink, klaviyo, operation, context, clock):
    sink = open_sink()
    context.stop = True
    outcomes = sink.deliver([operation(key=str(n), fields={"email": f"a{n}@shop.test"}) for n in range(50)])
    assert klaviyo.count("POST") == 10
    assert isinstance(outcomes[-1].error, RateLimited)
    assert clock.slept == []


def test_endpoints_have_windows_of_their_own(open_sink, klaviyo, operation):
    sink = open_sink()
    for start in range(0, 500, 50):
        sink.deliver([operation(key=str(n), fields={"email": f"a{n}@shop.test"}) for n in range(start, start + 50)])
    fields = {"metric": "Something", "email": "a1@shop.test"}
    (outcome,) = sink.deliver([operation("event", op="event", event_id="1", fields=fields)])
    assert isinstance(outcome, Delivered)


@pytest.mark.parametrize("tier", [XS, S, M, L, XL])
def test_the_published_limits_are_the_ones_in_use(tier):
    assert (tier.burst, tier.steady) in {(1, 15), (3, 60), (10, 150), (75, 750), (350, 3500)}


def test_every_endpoint_has_its_published_tier_and_scopes(request):
    import json

    schema = request.getfixturevalue("schema")
    document = json.loads(schema.read_text())
    endpoints = [e for e in vars(api).values() if isinstance(e, api.Endpoint)]
    assert len(endpoints) > 15
    for endpoint in endpoints:
        path = next(p for p in document["paths"] if _same(p, endpoint.path))
        published = document["paths"][path][endpoint.method.lower()]
        limit = published["x-klaviyo-ratelimit"]
        assert (f"{endpoint.tier.burst}/s", f"{endpoint.tier.steady}/m") == (limit["burst"], limit["steady"]), endpoint
        assert set(endpoint.scopes) == set(published["x-klaviyo-scopes"]), endpoint


def _same(published, ours):
    import re

    return re.sub(r"\{\w*\}", "{}", published) == ours


def test_a_retry_after_outlives_the_process_until_a_person_resumes(open_sink, klaviyo, operation, clock):
    person = operation(fields={"email": "a@shop.test"})
    klaviyo.throttle("POST", "/api/profile-import", timedelta(hours=1))
    open_sink().deliver([person])
    assert klaviyo.throttled == 1
    clock.advance(timedelta(minutes=40))
    (outcome,) = open_sink().deliver([person])
    assert timedelta(minutes=19) < outcome.error.retry_after < timedelta(minutes=21)
    assert klaviyo.throttled == 1
    clock.advance(timedelta(minutes=21))
    assert isinstance(open_sink().deliver([person])[0], Delivered)
    klaviyo.throttle("POST", "/api/profile-import", timedelta(hours=1))
    open_sink().deliver([person])
    klaviyo.throttle("POST", "/api/profile-import", timedelta(0))
    open_sink().resume()
    assert isinstance(open_sink().deliver([person])[0], Delivered)


def test_another_key_does_not_wait_for_what_this_one_was_told(open_sink, klaviyo, operation):
    person = operation(fields={"email": "a@shop.test"})
    klaviyo.throttle("POST", "/api/profile-import", timedelta(hours=1))
    open_sink().deliver([person])
    asked = klaviyo.count("POST")
    open_sink(key="pk_other").deliver([person])
    assert klaviyo.count("POST") > asked


def test_another_process_that_never_called_shows_what_is_used(open_sink, operation):
    one, other = open_sink(), open_sink()
    one.deliver([operation(fields={"email": "a@shop.test"})])
    shown = [(a.label, a.used) for a in one.budgets()]
    assert ("POST /api/profile-import, a minute", 1) in shown
    assert [(a.label, a.used) for a in other.budgets()] == shown
