"""While what belongs to a record is listed for the first time, nothing is told of it that may be half the truth."""

from datetime import timedelta

import pytest

from synccore.errors import Transient
from synccore.testing import Harness, customer
from synccore.types import Limits

FIELDS = {"email": "customer.email", "name": "customer.first_name", "accepts": "customer.accepts_marketing"}
PEOPLE = {"people": {"entity": "customer", "fields": FIELDS}}


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=10)) as app:
        app.sink.urgent = frozenset({"accepts"})
        yield app


def anna(app, **values):
    known = {"email": "anna@shop.test", "accepts_marketing": True, "created_at": app.clock.now() - timedelta(days=9)}
    return customer("1", **{**known, **values})


def test_a_record_edited_meanwhile_waits_like_the_others(app):
    with app.app.engine.holding({"people"}):
        app.emit(anna(app), bulk=True)
        app.emit(anna(app, first_name="Ann"))
        app.drain()
        assert app.sink.calls == []
        (row,) = app.deliveries()
        assert "waits until all that belongs to it is listed" in row.error
        assert (row.state, row.attempts) == ("ready", 0)
    app.advance(timedelta(seconds=10))
    assert [r["name"] for r in app.sink.records.values()] == ["Ann"]


def test_what_must_not_wait_goes_at_once_and_once(app):
    with app.app.engine.holding({"people"}):
        app.emit(anna(app), bulk=True)
        app.emit(anna(app, accepts_marketing=False))
        for _ in range(5):
            app.advance(timedelta(seconds=5))
        assert app.sink.overtaken == [("shop:customer:1", {"accepts": False})]
        assert app.sink.calls == []
    assert [e.note for e in app.history() if e.outcome == "overtook"] == ["at once: accepts"]


def test_what_could_not_go_is_tried_again_soon(app):
    answers = [Transient("away"), None]
    real = app.sink.overtake

    def overtake(operations):
        if (error := answers.pop(0)) is not None:
            raise error
        return real(operations)

    app.sink.overtake = overtake
    with app.app.engine.holding({"people"}):
        app.emit(anna(app), bulk=True)
        app.emit(anna(app, accepts_marketing=False))
        app.drain()
        assert app.sink.overtaken == []
        app.advance(timedelta(seconds=3))
        assert [fields["accepts"] for _, fields in app.sink.overtaken] == [False]


def test_who_came_since_and_who_was_delivered_before_go_on(app):
    app.emit(anna(app))
    app.drain()
    with app.app.engine.holding({"people"}):
        app.advance(timedelta(seconds=1))
        app.emit(anna(app, first_name="Ann"), customer("2", email="new@shop.test", created_at=app.clock.now()))
        app.drain()
    assert {r["email"]: r.get("name") for r in app.sink.records.values()} == {
        "anna@shop.test": "Ann",
        "new@shop.test": None,
    }


def test_the_first_call_after_an_outage_takes_none_of_what_is_held(app):
    with app.app.engine.holding({"people"}):
        app.emit(anna(app), bulk=True)
        app.emit(customer("2", email="new@shop.test", created_at=app.clock.now()))
        app.sink.then(Transient("away", maybe_applied=False))
        app.drain()
        for _ in range(3):
            app.advance(timedelta(minutes=1))
        assert [op.key for call in app.sink.calls for op in call] == ["2", "2"]
