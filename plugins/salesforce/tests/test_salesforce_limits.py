"""Limits, outages and odd answers: what core is told, and that nothing is lost or doubled."""

from datetime import timedelta

import pytest

from synccore.errors import ConfigError, RateLimited, Rejected, Transient
from synccore.testing import Fault
from synccore.types import Delivered


def writes(request):
    return request.method in ("PATCH", "POST") and "/data/" in request.path


@pytest.fixture
def crm(bench):
    made = bench()
    made.sink.describe()
    return made


def test_used_up_day_holds_the_lane_and_loses_nothing(crm, person, org):
    org.calls_used = org.call_limit
    with pytest.raises(RateLimited) as caught:
        crm.one("1", person(1))
    waits = [caught.value.retry_after]
    for _ in range(6):
        crm.context.clock.advance(waits[-1])
        with pytest.raises(RateLimited) as again:
            crm.one("1", person(1))
        waits.append(again.value.retry_after)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (timedelta(seconds=30), timedelta(minutes=15))
    org.calls_used = 0
    crm.context.clock.advance(caught.value.retry_after)
    assert isinstance(crm.one("1", person(1)), Delivered)


def test_limit_in_the_middle_keeps_what_was_written(bench, person, org):
    crm = bench(duplicate_rule="save")
    crm.sink.describe()
    org.call_limit = org.calls_used + 2
    outcomes = crm.deliver(*(crm.op(str(n), person(n)) for n in range(700)))
    assert len(org.records("Contact")) == 400
    assert all(isinstance(o, Delivered) for o in outcomes[:400])
    assert all(isinstance(o.error, RateLimited) for o in outcomes[400:])
    assert org.count("PATCH") == 3, "what stops one request stops the rest"


def test_too_many_requests_at_once_is_a_short_wait(crm, person, org):
    text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    body = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": text}]
    org.fail_next(Fault.status(403, body))
    with pytest.raises(RateLimited) as caught:
        crm.one("1", person(1))
    assert caught.value.retry_after <= timedelta(minutes=1)


class TestGovernor:
    """The share of the day's calls this sync may use."""

    def use(self, crm, org, share):
        org.calls_used = int(org.call_limit * share)
        crm.sink._client.limits()

    def test_backfills_wait_before_live_changes_do(self, crm, person, org):
        self.use(crm, org, 0.85)
        with pytest.raises(RateLimited, match="backfill"):
            crm.one("1", person(1), bulk=True)
        assert isinstance(crm.one("1", person(1)), Delivered)
        self.use(crm, org, 0.96)
        with pytest.raises(RateLimited, match="everything"):
            crm.one("2", person(2))

    def test_share_is_a_setting(self, bench, person, org):
        crm = bench(api_share=0.5)
        self.use(crm, org, 0.55)
        with pytest.raises(RateLimited):
            crm.one("1", person(1), bulk=True)

    def test_hold_ends_when_usage_falls(self, crm, person, org):
        self.use(crm, org, 0.97)
        with pytest.raises(RateLimited) as caught:
            crm.one("1", person(1))
        org.calls_used = 10
        crm.context.clock.advance(caught.value.retry_after)
        assert isinstance(crm.one("1", person(1)), Delivered)

    def test_small_batches_wait_for_company_while_calls_are_short(self, crm, person, org):
        self.use(crm, org, 0.7)
        assert isinstance(crm.one("1", person(1)), Delivered)
        with pytest.raises(RateLimited, match="company") as caught:
            crm.one("2", person(2))
        assert caught.value.retry_after <= timedelta(seconds=60)
        crm.context.clock.advance(caught.value.retry_after)
        assert isinstance(crm.one("2", person(2)), Delivered)

    def test_tighter_limit_of_the_app_counts(self, crm, person):
        crm.sink._client.governor.observe("api-usage=18/5000; per-app-api-usage=249/250(appName=sync)")
        with pytest.raises(RateLimited):
            crm.one("1", person(1))


@pytest.mark.parametrize("fault", [Fault.html(502), Fault.html(503), Fault.status(500), Fault.reset()])
def test_outage_is_never_the_records_fault(crm, person, org, fault):
    org.fail_next(fault)
    with pytest.raises(Transient) as caught:
        crm.one("1", person(1))
    assert caught.value.outage
    assert isinstance(crm.one("1", person(1)), Delivered)


def test_answer_lost_after_the_commit_leaves_one_record(crm, person, org):
    org.fail_next(Fault.commit_then_drop(when=writes))
    with pytest.raises(Transient) as caught:
        crm.one("1", person(1))
    assert caught.value.maybe_applied
    crm.one("1", person(1))
    assert len(org.records("Contact")) == 1


def test_answer_cut_off_is_ambiguous(crm, person, org):
    org.fail_next(Fault.truncated(when=writes))
    with pytest.raises(Transient) as caught:
        crm.one("1", person(1))
    assert caught.value.maybe_applied


def test_answer_with_a_row_too_few_is_ambiguous(crm, person, org):
    org.fail_next(Fault.commit_then_status(200, [], when=writes))
    with pytest.raises(Transient) as caught:
        crm.one("1", person(1))
    assert caught.value.maybe_applied


def test_no_route_to_the_org_ends_as_a_setting_to_check(crm, person, org):
    for _ in range(3):
        org.fail_next(Fault.status(420, "<html>Edge has no route</html>"))
        with pytest.raises(Transient):
            crm.one("1", person(1))
    org.fail_next(Fault.status(420))
    with pytest.raises(ConfigError, match="420"):
        crm.one("1", person(1))


def test_firewall_page_is_transient(crm, person, org):
    org.fail_next(Fault.html(403))
    with pytest.raises(Transient):
        crm.one("1", person(1))


def test_retired_version(bench, person):
    crm = bench()
    crm.sink._client._base = "/services/data/v30.0"
    with pytest.raises(ConfigError, match="retired"):
        crm.one("1", person(1))


def test_org_without_api(crm, person, org):
    org.api_enabled = False
    with pytest.raises(ConfigError, match="Enterprise"):
        crm.one("1", person(1))


def test_redirect_is_a_wrong_host(crm, person, org):
    org.fail_next(Fault.status(302, None, {"Location": "https://elsewhere.example"}))
    with pytest.raises(ConfigError, match="wrong host"):
        crm.one("1", person(1))


def test_key_for_an_empty_address_is_never_sent(crm):
    with pytest.raises(Rejected, match="empty"):
        crm.sink._client.save_one("Contact", ("WooId__c", ""), {}, {})
