"""A clock that was set back by an hour: nobody waits longer for that."""

from datetime import timedelta

import pytest

from synccore.errors import RateLimited
from synccore.testing import Harness, customer

BACK = timedelta(hours=-1)


def people(tmp_path, **field):
    fields = {"email": "customer.email", "name": {"value": "customer.first_name", **field}}
    return Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}})


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("scope", ["operation", "route", "lane"])
def test_what_a_target_asked_to_wait_for_is_waited_for_as_long_as_it_asked(tmp_path, scope, dies):
    with people(tmp_path) as app:
        slow = RateLimited("slow down", retry_after=timedelta(minutes=10), scope=scope)
        app.sink.then(lambda _: slow)
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        app.clock.advance(BACK)
        if dies:
            app.crash()
        app.drain()
        assert app.sink.records == {}
        app.advance(timedelta(minutes=9))
        assert app.sink.records == {}
        app.advance(timedelta(minutes=2))
        assert len(app.sink.records) == 1


def test_a_field_with_a_delay_waits_no_longer_than_that(tmp_path):
    with people(tmp_path, delay="5m") as app:
        app.emit(customer("1", email="a@shop.test", first_name="A"))
        app.drain()
        app.emit(customer("1", email="a@shop.test", first_name="B"))
        app.drain()
        app.advance(BACK)
        app.advance(timedelta(minutes=6))
        assert app.sink.by_uid()["shop:customer:1"]["name"] == "B"


def test_a_moment_is_no_clock_that_was_set(tmp_path):
    with people(tmp_path) as app:
        slow = RateLimited("slow down", retry_after=timedelta(minutes=10), scope="operation")
        app.sink.then(lambda _: slow)
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        due = app.deliveries()[0].due_at
        app.advance(timedelta(seconds=-5))
        assert app.deliveries()[0].due_at == due
