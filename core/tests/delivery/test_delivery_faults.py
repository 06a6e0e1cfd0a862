"""Whose fault it is: one record's, the target's, or a plugin's. What arrived is asked of the target."""

from asyncio import CancelledError
from datetime import UTC, datetime, timedelta

import pytest

from synccore._verbs.status import status
from synccore.errors import Conflict, RateLimited, Rejected, Transient
from synccore.hookspecs import MapperType
from synccore.http import Response, target_fault
from synccore.testing import Harness, customer
from synccore.types import Limits, Retry

FIELDS = {"email": "customer.email"}
TWO = {
    "people": {"entity": "customer", "fields": FIELDS},
    "others": {"entity": "customer", "object": "deal", "fields": FIELDS},
}


@pytest.fixture
def people(tmp_path):
    with Harness(tmp_path, {"people": TWO["people"]}, limits=Limits(max_batch=200)) as app:
        yield app


def emit(app, count, first=0):
    app.emit(*(customer(str(n), email=f"p{n}@shop.test") for n in range(first, first + count)))


def poisoned(app, error, key="42", *, writes_before=0):
    """The sink fails as a whole for one record, after it wrote some of the others."""
    real = app.sink.deliver

    def deliver(operations):
        if any(o.key == key for o in operations):
            for operation in operations[:writes_before]:
                if operation.key != key:
                    app.sink._apply(operation)
            raise error
        return real(operations)

    app.sink.deliver = deliver


class OtherTimeout(BaseException):
    """As libraries have it that cancel by raising."""


class Speechless(Exception):
    """As of a library whose `__str__` needs what is not there."""

    def __str__(self):
        return self.response.text


@pytest.mark.parametrize(
    "error",
    [
        UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates"),
        Rejected("no"),
        KeyError("x"),
        SystemExit(3),
        CancelledError(),
        OtherTimeout("5 s"),
        Speechless("x"),
    ],
)
def test_one_poison_record_among_200_leaves_its_mates_alone(people, error):
    poisoned(people, error)
    emit(people, 200)
    people.settle_down()
    assert len(people.sink.records) == 199
    assert people.states() == {"done": 199, "parked": 1}
    assert {d.attempts for d in people.deliveries(state="done")} == {0}


def test_what_a_bug_wrote_before_it_failed_is_looked_up_and_not_written_twice(people):
    poisoned(people, KeyError("x"), key="9", writes_before=5)
    emit(people, 10)
    people.settle_down()
    assert sorted(r["email"] for r in people.sink.records.values()) == [f"p{n}@shop.test" for n in range(9)]


def test_without_a_lookup_nothing_is_repeated_that_may_be_there(people):
    people.sink.lookup = None
    poisoned(people, KeyError("x"), key="9")
    emit(people, 10)
    people.drain()
    assert {d.attempts for d in people.deliveries()} == {0}
    assert people.sink.records == {}
    assert len(people.app.store.holds("crm")) == 1


def test_a_refusal_that_meets_everybody_is_the_targets(people):
    emit(people, 1)
    people.drain()
    people.sink.always(lambda o: Rejected("STORAGE_LIMIT_EXCEEDED: no room left"))
    emit(people, 300, first=1)
    for _ in range(12):
        people.advance(timedelta(minutes=5))
    assert people.states() == {"done": 1, "ready": 300}
    assert {d.attempts for d in people.deliveries()} == {0}
    (hold,) = people.app.store.holds("crm")
    assert "no room left" in hold.reason
    told = status(people.app)["sinks"]["crm"]
    assert told["state"] == "error"
    assert "route people waits until" in told["reason"]
    assert "no room left" in told["reason"]
    assert sum(len(c) for c in people.sink.calls) < 240, "after the first batch one record at a time"
    people.sink.always(None)
    people.settle_down()
    assert people.states() == {"done": 301}
    assert len(people.sink.records) == 301
    assert people.app.store.holds("crm") == []


def test_refusals_one_by_one_are_the_targets_too_and_what_was_parked_comes_back(tmp_path):
    with Harness(tmp_path, {"people": TWO["people"]}, limits=Limits(max_batch=1)) as app:
        app.sink.always(lambda o: Rejected("no room left"))
        emit(app, 20)
        app.drain()
        assert app.states() == {"ready": 20}
        app.sink.always(None)
        app.settle_down()
        assert len(app.sink.records) == 20


def test_a_few_refusals_are_the_records_own(people):
    people.sink.always(lambda o: Rejected("no such country"))
    emit(people, 5)
    people.drain()
    assert people.states() == {"parked": 5}


def test_a_held_route_survives_a_restart_and_holds_up_no_other(tmp_path):
    with Harness(tmp_path, TWO, limits=Limits(max_batch=50)) as app:
        app.sink.always(lambda o: Rejected("no such object") if o.route == "others" else None)
        emit(app, 20)
        app.drain()
        app.crash()
        calls = len(app.sink.calls)
        emit(app, 5, first=20)
        app.drain()
        assert [o.route for c in app.sink.calls[calls:] for o in c] == ["people"] * 5
        assert app.app.store.counts_by_route()["people"].done == 25


def test_one_routes_rate_limit_holds_that_route_alone(tmp_path):
    with Harness(tmp_path, TWO, limits=Limits(max_batch=50)) as app:
        limit = RateLimited("events: 100 an hour", retry_after=timedelta(minutes=10), scope="route")
        app.sink.always(lambda o: limit if o.route == "others" else None)
        emit(app, 3)
        app.drain()
        emit(app, 3, first=3)
        app.drain()
        assert app.app.store.counts_by_route()["people"].done == 6
        assert sum(len(c) for c in app.sink.calls if c[0].route == "others") == 3
        assert app.app.store.lane("crm").state == "ok"
        app.sink.always(None)
        app.settle_down()
        assert app.states() == {"done": 12}


def test_news_of_a_record_do_not_wait_for_its_own_rate_limit(people):
    limit = RateLimited("this profile", retry_after=timedelta(hours=1), scope="operation")
    people.sink.then(limit)
    people.sink.always(None)
    emit(people, 1)
    people.sink._script.clear()
    people.sink.then(lambda o: limit)
    people.drain()
    people.emit(customer("0", email="no@shop.test"))
    people.drain()
    assert people.sink.by_uid()["shop:customer:0"]["email"] == "no@shop.test"


def test_an_outage_is_not_halved(people):
    people.sink.then(Transient("away"))
    emit(people, 200)
    people.drain()
    assert [len(c) for c in people.sink.calls] == [200]


def too_large(*keys):
    answer = target_fault(
        Response(status=413, headers={}, body=b"<html>nginx</html>"), datetime(2026, 1, 1, tzinfo=UTC)
    )
    return lambda operation: answer if not keys or operation.key in keys else None


def test_a_request_that_is_too_large_for_what_is_in_between_parks_nothing_while_nobody_gets_through(people):
    people.sink.always(too_large())
    emit(people, 3)
    people.settle_down(timedelta(days=5))
    assert people.states() == {"ready": 3}
    people.sink.always(None)
    people.settle_down()
    assert people.states() == {"done": 3}


def test_the_one_record_that_is_too_large_while_others_get_through_is_a_persons_after_three_days(people):
    people.sink.always(too_large("2"))
    emit(people, 3)
    people.settle_down(timedelta(days=2))
    assert people.states() == {"done": 2, "ready": 1}
    people.settle_down(timedelta(days=2))
    (parked,) = people.deliveries(state="parked")
    assert parked.key == "2"
    assert "413" in parked.error


def written_then(people, error):
    """A sink that carries everything out and stumbles over the answer."""
    for_real = people.sink.deliver

    def deliver(operations):
        for operation in operations:
            people.sink._apply(operation)
        raise error

    people.sink.deliver = deliver
    return for_real


def made(people):
    return sorted(record["email"] for record in people.sink.records.values())


def test_a_bug_behind_every_write_doubles_nobody(people):
    """All are refused alike, the route is held, one record at a time probes: each is asked for before it is made."""
    for_real = written_then(people, KeyError("id"))
    emit(people, 10)
    people.settle_down(timedelta(hours=1))
    people.sink.deliver = for_real
    people.settle_down(timedelta(days=1))
    assert made(people) == sorted(f"p{n}@shop.test" for n in range(10))
    assert people.states() == {"done": 10}


@pytest.mark.parametrize(
    "away",
    [
        Transient("away"),
        RateLimited("slow down", retry_after=timedelta(minutes=1)),
        Retry(after=timedelta(minutes=1), reason="not listed yet"),
    ],
)
def test_what_may_be_there_stays_in_doubt_while_it_cannot_be_looked_up(people, away):
    for_real, look = written_then(people, KeyError("id")), people.sink.lookup

    def lookup(operations):
        if isinstance(away, Retry):
            return [away] * len(operations)
        raise away

    people.sink.lookup = lookup
    emit(people, 10)
    people.drain()
    assert len(people.sink.records) == 10
    people.sink.deliver, people.sink.lookup = for_real, look
    people.settle_down(timedelta(hours=1))
    assert made(people) == sorted(f"p{n}@shop.test" for n in range(10))
    assert people.states() == {"done": 10}


@pytest.mark.parametrize(
    "then",
    [RateLimited("slow", retry_after=timedelta(minutes=1)), Rejected("no"), Conflict("changed"), Transient("away")],
)
def test_what_was_found_and_could_not_be_finished_stays_in_doubt(people, then):
    """Its link was found for this call only: the next one has to look it up again."""
    for_real = people.sink.deliver

    def deliver(operations):
        if any(o.link is not None for o in operations):
            raise then
        for operation in operations:
            people.sink._apply(operation)
        raise KeyError("id")

    people.sink.deliver = deliver
    emit(people, 4)
    people.drain()
    people.sink.deliver = for_real
    people.app.store.retry([d.id for d in people.deliveries(state="parked")], people.clock.now())
    people.settle_down(timedelta(hours=1))
    assert made(people) == sorted(f"p{n}@shop.test" for n in range(4))
    assert people.states() == {"done": 4}


@pytest.mark.parametrize(
    "then",
    [RateLimited("slow", retry_after=timedelta(minutes=1)), Rejected("no"), Conflict("changed"), Transient("away")],
)
def test_what_a_bug_behind_a_change_wrote_is_undone_though_its_second_try_wrote_nothing(people, then):
    emit(people, 2)
    people.drain()
    for_real, calls = people.sink.deliver, []

    def deliver(operations):
        calls.append(operations)
        if len(calls) > 1:
            raise then
        for operation in operations:
            people.sink._apply(operation)
        raise KeyError("id")

    people.sink.deliver = deliver
    people.emit(*(customer(str(n), email=f"new{n}@shop.test") for n in range(2)))
    people.drain()
    assert made(people) == ["new0@shop.test", "new1@shop.test"]
    people.sink.deliver = for_real
    emit(people, 2)
    people.settle_down(timedelta(hours=1))
    assert made(people) == ["p0@shop.test", "p1@shop.test"]


def test_a_mapper_that_wants_to_end_the_process_parks_its_record_and_no_other(tmp_path):
    class Mapper:
        def map(self, snapshot, context):
            if snapshot.key == "1":
                raise SystemExit(2)
            return {"email": snapshot.data.email}

    kind = MapperType(name="exits", summary="", open=lambda spec, filters: Mapper())
    routes = {"people": {"entity": "customer", "mapper": "exits", "fields": FIELDS}}
    with Harness(tmp_path, routes, mappers=[kind]) as app:
        emit(app, 3)
        app.settle_down()
        assert made(app) == ["p0@shop.test", "p2@shop.test"]
        (parked,) = app.deliveries(state="parked")
        assert (parked.key, parked.attempts) == ("1", 3)
        assert "SystemExit: 2" in parked.error
