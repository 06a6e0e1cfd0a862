"""The HTTP client: what a failure leaves unsure, and quotas that several threads share."""

import gc
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synccore.errors import ConfigError, RateLimited, Transient
from synccore.http import Budget, Client, parse_retry_after
from synccore.testing import START, FakeClock, FakeContext, Fault, LoopbackServer, MemoryState, Reply


class Echo(LoopbackServer):
    def handle(self, request):
        if request.path == "/moved":
            return Reply(301, None, {"Location": "/elsewhere"})
        return Reply(200, {"method": request.method, "headers": dict(request.headers), "body": request.body.decode()})


@pytest.fixture
def echo():
    with Echo() as server:
        yield server


@pytest.fixture
def context():
    return FakeContext()


@pytest.fixture
def client(echo, context):
    with Client(context, echo.url, headers={"X-Own": "1"}) as opened:
        yield opened


def test_every_call_is_counted_and_carries_the_clients_headers(client, context):
    told = client.get("/x").json()
    assert told["headers"]["x-own"] == "1"
    assert told["headers"]["user-agent"].startswith("synccore/")
    client.post("/x", json={"a": "ü"})
    assert context.calls == 2


def test_a_content_type_of_the_callers_wins_over_json(client):
    told = client.post("/x", json={}, headers={"Content-Type": "application/vnd.api+json"}).json()
    assert told["headers"]["content-type"] == "application/vnd.api+json"


@pytest.mark.parametrize(
    "value",
    [
        {"name": "Zoë\u2028", "tags": ("a", "b"), "spent": 1.5, "none": None},
        {"large": 2**70, 1: True},
        [float("nan"), float("-inf")],
        "text",
    ],
)
def test_a_body_says_what_the_standard_library_says(client, echo, value):
    client.post("/a", json=value)
    assert echo.requests[-1].body.decode() == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("value", [START, {"at": START}, [object()], {b"key": 1}])
def test_what_json_cannot_say_is_not_sent(client, echo, value):
    with pytest.raises(TypeError):
        client.post("/a", json=value)
    assert echo.requests == []


def test_half_a_character_in_a_body_is_mended(client, echo):
    client.post("/a", json={"name": "cut \ud83d"})
    assert echo.requests[-1].body.decode() == '{"name":"cut \N{REPLACEMENT CHARACTER}"}'


def test_redirects_are_told_and_not_followed(client, echo):
    answer = client.get("/moved")
    assert (answer.status, answer.headers["location"]) == (301, "/elsewhere")
    assert len(echo.requests) == 1


@pytest.mark.parametrize("faults", [[], [Fault.reset()], [Fault.truncated()]])
def test_what_was_sent_goes_with_its_answer_and_does_not_wait_for_a_collector(client, echo, faults):
    client.post("/x", content="opened")
    gc.collect()
    gc.disable()
    try:
        for fault in faults:
            echo.fail_next(fault)
        with suppress(Transient):
            client.post("/x", content="a batch of many records")
        left = sum(type(found) in (httpx.Request, httpx.Response) for found in gc.get_objects())
    finally:
        gc.enable()
    assert left == 0


@pytest.mark.parametrize("fault", [Fault.commit_then_drop(), Fault.reset(), Fault.truncated()])
def test_a_lost_answer_may_have_been_carried_out(client, echo, fault):
    echo.fail_next(fault)
    with pytest.raises(Transient) as lost:
        client.post("/x")
    assert lost.value.maybe_applied


def test_what_was_never_sent_was_not_carried_out(context):
    with Echo() as gone:
        url = gone.url
    for base, target in ((url, "/x"), ("", f"{url}/x")):
        with Client(context, base) as client, pytest.raises(Transient, match=r"cannot reach 127\.0\.0\.1") as unsent:
            client.post(target)
        assert not unsent.value.maybe_applied


@pytest.mark.parametrize("url", ["ftp://shop.test/x", "http://shop.test:notaport/"])
def test_an_address_that_cannot_be_is_a_mistake_in_the_configuration(context, url):
    with Client(context) as client, pytest.raises(ConfigError):
        client.get(url)


def test_html_where_json_was_due_is_transient_and_quotes_no_address(client, echo):
    echo.fail_next(Fault.status(200, "<html>blocked, write to admin@shop.test</html>"))
    with pytest.raises(Transient) as found:
        client.get("/x").json()
    assert "admin@" not in str(found.value)


def test_a_ca_file_that_is_none_is_named(context, tmp_path):
    with pytest.raises(ConfigError, match="ca_file"):
        Client(context, "https://shop.test", ca_file=tmp_path / "missing.pem")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        (" 120 ", 120),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    wait = parse_retry_after(text, START)
    assert wait == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(max_size=40))
@example("\u00b2")
def test_retry_after_never_fails(text):
    wait = parse_retry_after(text, datetime(2026, 1, 1, tzinfo=UTC))
    assert wait is None or wait >= timedelta(0)


@given(costs=st.lists(st.integers(1, 5), max_size=60), limit=st.integers(5, 12), burst=st.integers(5, 6))
def test_no_window_ever_holds_more_than_its_limit(costs, limit, burst):
    clock = FakeClock()
    budget = Budget(clock, [(burst, timedelta(seconds=1)), (limit, timedelta(minutes=1))])
    taken = []
    for cost in costs:
        budget.acquire(cost, max_wait=timedelta(hours=1))
        taken.append((clock.now(), cost))
    minutes: dict[datetime, int] = {}
    window = None
    for at, cost in taken:
        if window is None or at >= window + timedelta(minutes=1):
            window = at
        minutes[window] = minutes.get(window, 0) + cost
    assert all(used <= limit for used in minutes.values())


@given(costs=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 40)), max_size=40), limit=st.integers(6, 30))
def test_a_sliding_budget_keeps_the_limit_in_every_minute_and_waits_no_longer_than_needed(costs, limit):
    clock, minute = FakeClock(), timedelta(minutes=1)
    budget = Budget(clock, [(limit, minute)], sliding=True)
    taken = []
    for cost, pause in costs:
        clock.sleep(timedelta(seconds=pause))
        asked = clock.now()
        budget.acquire(cost, max_wait=timedelta(hours=1))
        recent = [c for at, c in taken if at + minute > clock.now()]
        assert sum(recent) + cost <= limit
        just_before = clock.now() - timedelta(milliseconds=1)
        assert clock.now() == asked or sum(c for at, c in taken if at + minute > just_before) + cost > limit
        taken.append((clock.now(), cost))


@given(
    takes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, 9)), max_size=40),
    sliding=st.booleans(),
    blocked=st.booleans(),
)
def test_one_quota_is_kept_by_all_who_share_it(takes, sliding, blocked):
    """Three processes over one state: together they use no more than the limit in any minute that is counted."""
    clock, minute, state = FakeClock(), timedelta(minutes=1), MemoryState()
    budgets = [Budget(clock, [(12, minute)], sliding=sliding, state=state, name="calls") for _ in range(3)]
    taken = []
    for who, cost, pause in takes:
        clock.sleep(timedelta(seconds=pause))
        budgets[who].acquire(cost, max_wait=timedelta(hours=1))
        taken.append((clock.now(), cost))
    if sliding:
        for at, _ in taken:
            assert sum(cost for other, cost in taken if at <= other < at + minute) <= 12
    windows, began = [], None
    for at, cost in taken:
        if began is None or at >= began + minute:
            began, windows = at, [*windows, 0]
        windows[-1] += cost
    assert max(windows, default=0) <= 12
    used = [budget.allowances("calls")[0].used for budget in budgets]
    assert len(set(used)) == 1
    if blocked:
        budgets[0].block(timedelta(minutes=5))
        assert budgets[1].free_at(clock.now()) == clock.now() + timedelta(minutes=5)
        assert budgets[1].take(clock.now()) > clock.now()
        budgets[2].clear()
        assert budgets[1].take(clock.now()) == clock.now()


def test_a_shared_quota_goes_by_the_clock_of_what_it_is_counted_in():
    """A host whose clock is minutes ahead would begin the next minute before it comes."""
    state = MemoryState()
    right, ahead = FakeClock(), FakeClock(START + timedelta(minutes=3))
    change = state.change
    state.change = lambda key, now, make: change(key, right.now(), make)
    one, two = (Budget(clock, [(1, timedelta(minutes=1))], state=state) for clock in (right, ahead))
    one.acquire()
    with pytest.raises(RateLimited) as refused:
        two.acquire(max_wait=timedelta(0))
    assert refused.value.retry_after == timedelta(minutes=1)
    assert two.free_at(ahead.now()) == ahead.now() + timedelta(minutes=1)
    assert two.allowances("calls")[0].resets_at == ahead.now() + timedelta(minutes=1)


def test_a_wait_that_is_too_long_is_cores_to_make():
    clock = FakeClock()
    budget = Budget(clock, [(1, timedelta(hours=1))])
    budget.acquire()
    with pytest.raises(RateLimited) as limited:
        budget.acquire(max_wait=timedelta(minutes=1))
    assert limited.value.retry_after == timedelta(hours=1)


def test_headroom_leaves_a_share_to_others():
    clock = FakeClock()
    budget = Budget(clock, [(10, timedelta(minutes=1))], headroom=0.4)
    for _ in range(6):
        budget.acquire()
    assert clock.now() == START
    budget.acquire()
    assert clock.now() >= START + timedelta(minutes=1)


def test_the_vendors_headers_correct_the_count():
    clock = FakeClock()
    budget = Budget(clock, [(100, timedelta(minutes=1))])
    budget.acquire()
    budget.observe(limit=50, remaining=0, reset=timedelta(seconds=20))
    assert budget.free_at(clock.now()) == START + timedelta(seconds=20)


def test_a_block_holds_everybody():
    clock = FakeClock()
    budget = Budget(clock, [])
    budget.block(timedelta(seconds=30))
    budget.block(timedelta(seconds=10))
    assert budget.free_at(clock.now()) == START + timedelta(seconds=30)


@pytest.mark.parametrize("state", [None, MemoryState()])
@pytest.mark.parametrize("sliding", [False, True])
def test_a_clock_that_was_set_back_makes_nobody_wait_longer(state, sliding):
    clock = FakeClock()
    budget = Budget(clock, [(1, timedelta(minutes=1))], sliding=sliding, state=state, name=f"calls {sliding}")
    budget.acquire()
    clock.advance(timedelta(seconds=20) - timedelta(hours=1))
    assert budget.free_at(clock.now()) <= clock.now() + timedelta(minutes=1)
    assert budget.allowances("calls")[0].used == 1
    with pytest.raises(RateLimited) as refused:
        budget.acquire(max_wait=timedelta(0))
    assert refused.value.retry_after <= timedelta(minutes=1)
    budget.block(timedelta(minutes=5))
    clock.advance(timedelta(hours=-1))
    assert budget.take(clock.now()) == clock.now() + timedelta(minutes=5)


def test_who_waited_a_moment_for_its_turn_shortens_no_wait_of_others():
    right, behind, state = FakeClock(), FakeClock(START - timedelta(seconds=5)), MemoryState()
    one, two = (Budget(clock, [(1, timedelta(minutes=1))], state=state) for clock in (right, behind))
    one.acquire()
    assert two.take(behind.now()) == behind.now() + timedelta(seconds=65)
    assert one.free_at(right.now()) == right.now() + timedelta(minutes=1)


def test_a_wait_for_quota_ends_when_the_process_stops():
    class Stopping(FakeClock):
        def sleep(self, duration):
            self.slept.append(duration)

    clock = Stopping()
    budget = Budget(clock, [(1, timedelta(seconds=30))])
    budget.acquire()
    with pytest.raises(RateLimited):
        budget.acquire()
    assert len(clock.slept) == 1


def test_a_budget_says_what_is_used_and_left_of_it():
    from datetime import timedelta

    from synccore.http import Budget
    from synccore.testing import FakeClock

    clock = FakeClock()
    for sliding in (False, True):
        budget = Budget(clock, [(10, timedelta(minutes=1)), (1000, timedelta(days=1))], headroom=0.1, sliding=sliding)
        budget.acquire(3)
        minute, day = budget.allowances("calls")
        assert (minute.label, minute.used, minute.limit, minute.left) == ("calls, a minute", 3, 9, 6)
        assert (day.label, day.used) == ("calls, a day", 3)
        clock.advance(timedelta(minutes=2))
        assert [a.used for a in budget.allowances("calls")] == [0, 3]
