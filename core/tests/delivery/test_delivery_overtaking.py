"""What must not wait for a job that its record is in."""

from datetime import timedelta

import pytest

from synccore.errors import Transient
from synccore.testing import Harness, customer
from synccore.types import Delivered, Failed, Limits

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email", "name": "customer.first_name"}}}


@pytest.fixture
def submitted(tmp_path):
    """Three people in a job that runs; `email` must not wait."""
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=10)) as app:
        app.sink.job_from, app.sink.urgent = 3, frozenset({"email"})
        app.emit(*(customer(str(n), email=f"p{n}@shop.test", first_name="A") for n in range(3)))
        app.drain()
        assert app.states() == {"submitted": 3}
        app.clock.advance(timedelta(minutes=1))
        yield app


def test_a_newer_state_overtakes_its_job_once(submitted):
    submitted.emit(
        customer("1", email="new@shop.test", first_name="A"), customer("2", email="p2@shop.test", first_name="B")
    )
    for _ in range(3):
        submitted.drain()
    assert submitted.sink.overtaken == [("shop:customer:1", {"email": "new@shop.test"})]
    assert len(submitted.sink.calls) == 1
    assert [(e.key, e.note) for e in submitted.history() if e.outcome == "overtook"] == [("1", "at once: email")]
    submitted.clock.advance(timedelta(minutes=1))
    submitted.emit(customer("1", email="newer@shop.test", first_name="A"))
    submitted.drain()
    assert [fields["email"] for _, fields in submitted.sink.overtaken] == ["new@shop.test", "newer@shop.test"]
    submitted.sink.finish_jobs()
    submitted.settle_down()
    held = submitted.sink.by_uid()
    assert (held["shop:customer:1"]["email"], held["shop:customer:2"]["name"]) == ("newer@shop.test", "B")


def test_what_was_done_at_once_is_undone_when_the_shop_takes_it_back_before_the_job_ends(submitted):
    submitted.emit(customer("1", email="new@shop.test", first_name="A"))
    submitted.drain()
    submitted.clock.advance(timedelta(minutes=1))
    submitted.emit(customer("1", email="p1@shop.test", first_name="A"))
    submitted.drain()
    submitted.sink.job_from = None
    submitted.sink.finish_jobs()
    submitted.settle_down()
    assert [[(o.key, o.fields["email"]) for o in call] for call in submitted.sink.calls[1:]] == [
        [("1", "p1@shop.test")]
    ]


def test_what_could_not_be_done_at_once_is_tried_again(submitted):
    answers = [[Failed(Transient("away"))], [Delivered(note="at once")]]
    submitted.sink.overtake = lambda operations: answers.pop(0)
    submitted.emit(customer("1", email="new@shop.test", first_name="A"))
    submitted.drain()
    assert len(answers) == 1
    submitted.advance(timedelta(seconds=6))
    assert answers == []


def test_a_sink_whose_overtake_is_wrong_harms_nobody(submitted):
    submitted.sink.overtake = lambda operations: ["?"]
    submitted.emit(customer("1", email="new@shop.test", first_name="A"))
    submitted.drain()
    submitted.sink.finish_jobs()
    submitted.settle_down()
    assert submitted.sink.by_uid()["shop:customer:1"]["email"] == "new@shop.test"
