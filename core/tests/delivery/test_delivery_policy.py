"""The retry policy: what each error means."""

import random
from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from synccore import errors
from synccore._delivery.policy import (
    CAP,
    OUTAGE_CAP,
    PARENT_PATIENCE,
    PATIENCE,
    Park,
    PauseLane,
    Retry,
    Snooze,
    Tried,
    backoff,
    decide,
)
from synccore.testing import START

ERRORS = st.sampled_from(
    [
        errors.ConfigError("x"),
        errors.AuthError("x"),
        errors.RateLimited("x"),
        errors.RateLimited("x", retry_after=timedelta(seconds=7)),
        errors.RateLimited("x", scope="operation"),
        errors.Transient("x"),
        errors.Transient("x", maybe_applied=True, outage=False),
        errors.Conflict("x"),
        errors.Rejected("x", ["Email"]),
        errors.WaitFor("customer", "1"),
        errors.BatchRejected("x"),
        errors.MappingError("x"),
        ValueError("x"),
    ]
)
TRIED = st.builds(
    Tried,
    attempts=st.integers(0, 10_000),
    first_failed_at=st.none() | st.timedeltas(timedelta(0), timedelta(days=30)).map(lambda d: START - d),
    waiting_since=st.none() | st.timedeltas(timedelta(0), timedelta(days=30)).map(lambda d: START - d),
    lane_failures=st.integers(0, 10_000),
    outage=st.booleans(),
)


@given(error=ERRORS, tried=TRIED, seed=st.integers())
def test_every_error_has_an_answer_and_waiting_is_bounded(error, tried, seed):
    decision = decide(error, tried, START, random.Random(seed))
    at = getattr(decision, "at", None) or getattr(decision, "until", None)
    assert at is None or START < at <= START + timedelta(hours=1, minutes=1)


@given(error=ERRORS, tried=TRIED, seed=st.integers())
def test_the_same_question_has_the_same_answer(error, tried, seed):
    first = decide(error, tried, START, random.Random(seed))
    assert first == decide(error, tried, START, random.Random(seed))


@given(tries=st.integers(-5, 100_000), seed=st.integers())
def test_backoff_is_jittered_and_capped(tries, seed):
    assert timedelta(0) < backoff(tries, random.Random(seed)) <= CAP


@given(failures=st.integers(0, 100_000), seed=st.integers())
def test_an_outage_never_parks_and_never_uses_an_attempt(failures, seed):
    tried = Tried(first_failed_at=START - timedelta(days=365), lane_failures=failures)
    decision = decide(errors.Transient("down"), tried, START, random.Random(seed))
    assert isinstance(decision, PauseLane)
    assert decision.until is not None
    assert decision.until - START <= OUTAGE_CAP


def test_the_circuit_opens_after_repeated_outages():
    states = [decide(errors.Transient("down"), Tried(lane_failures=n), START, random.Random(0)).state for n in range(4)]
    assert states == ["ok", "ok", "circuit_open", "circuit_open"]


def test_a_record_that_fails_while_others_get_through_is_parked_after_three_days_of_attempts():
    error = errors.Transient("locked", outage=False)
    early = Tried(attempts=50, first_failed_at=START - PATIENCE + timedelta(seconds=1))
    late = Tried(attempts=50, first_failed_at=START - PATIENCE, outage=False)
    assert isinstance(decide(error, evolve(early, outage=False), START, random.Random(0)), Retry)
    assert isinstance(decide(error, late, START, random.Random(0)), Park)
    assert isinstance(decide(error, evolve(late, outage=True), START, random.Random(0)), Retry)


def test_a_parent_is_waited_for_one_day():
    error = errors.WaitFor("customer", "1")
    early = Tried(waiting_since=START - PARENT_PATIENCE + timedelta(seconds=1))
    late = Tried(waiting_since=START - PARENT_PATIENCE)
    assert isinstance(decide(error, early, START, random.Random(0)), Snooze)
    assert isinstance(decide(error, late, START, random.Random(0)), Park)


def test_lost_credentials_wait_for_a_person():
    decision = decide(errors.AuthError("gone"), Tried(), START, random.Random(0))
    assert decision == PauseLane(None, "needs_auth", "gone")


def test_a_rate_limit_holds_as_long_as_the_vendor_says():
    error = errors.RateLimited("slow", retry_after=timedelta(seconds=42))
    decision = decide(error, Tried(), START, random.Random(0))
    assert decision == PauseLane(START + timedelta(seconds=42), "rate_limited", "slow")


def test_a_bug_gets_three_tries_and_its_traceback_holds_no_address():
    error = ValueError("cannot do anna@shop.test")
    assert isinstance(decide(error, Tried(attempts=1), START, random.Random(0)), Retry)
    parked = decide(error, Tried(attempts=2), START, random.Random(0))
    assert isinstance(parked, Park)
    assert "ValueError" in parked.reason
    assert "anna@" not in parked.reason


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n not in ("SynccoreError", "redact")])
def test_every_public_error_says_what_core_does(name):
    assert "Core " in (getattr(errors, name).__doc__ or "")
