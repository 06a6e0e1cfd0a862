"""A large step is settled in parts: whatever ends it between two, nothing is lost and nothing is sent twice."""

from collections import Counter
from datetime import timedelta

import pytest

from synccore._delivery.packed import PART, Packed, in_parts
from synccore.testing import Harness, customer
from synccore.types import Limits

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}
COUNT = PART + 10


class Killed(BaseException):
    """The process is gone; no statement gets through any more."""


@pytest.fixture
def people(tmp_path):
    limits = Limits(max_batch=COUNT, bulk_batch=COUNT, bulk_threshold=COUNT)
    with Harness(tmp_path, PEOPLE, limits=limits) as app:
        app.sink.job_from = COUNT
        app.emit(*(customer(str(n), email=f"p{n}@shop.test") for n in range(COUNT)), bulk=True)
        yield app


def lane(app):
    (only,) = app.app.engine.lanes.values()
    return only


def die_at_part(app, number):
    """Take one step; the process ends when it is about to settle part `number`."""
    store = app.app.store
    settle, settled = store.settle, []

    def dying(settlements, now):
        if len(settled) == number:
            store.release = store.settle = dead
            raise Killed
        assert len(settlements) <= PART
        settled.append(len(settlements))
        return settle(settlements, now)

    def dead(*_, **__):
        raise Killed

    store.settle = dying
    with pytest.raises(Killed):
        lane(app).step()
    app.crash()


def everybody_is_there_once(app):
    assert app.states() == {"done": COUNT}
    assert app.sink.jobs_submitted == 1
    assert len(app.sink.records) == COUNT, "somebody was made twice"
    delivered = Counter(h.key for h in app.app.store.history(limit=None) if h.outcome == "delivered")
    assert set(delivered.values()) == {1}
    assert len(delivered) == COUNT
    remote = {app.app.store.link("people", "shop", "customer", str(n)).remote_id for n in range(0, COUNT, 50)}
    assert len(remote) == len(range(0, COUNT, 50))


@pytest.mark.parametrize("part", [0, 1])
def test_a_kill_while_a_submission_is_written_down(people, part):
    die_at_part(people, part)
    # The job ends before what was not written down is delivered again: then part of it is asked for.
    people.sink.finish_jobs()
    people.settle_down(timedelta(minutes=30))
    everybody_is_there_once(people)


def test_a_kill_while_the_outcomes_of_a_job_are_written_down(people):
    lane(people).step()
    assert people.states() == {"submitted": COUNT}
    people.sink.finish_jobs()
    die_at_part(people, 1)
    assert people.app.store.counts_by_sink()[lane(people).name].done == PART
    people.settle_down(timedelta(minutes=30))
    everybody_is_there_once(people)


def test_what_is_packed_is_all_there_in_order():
    for count in (0, 1, PART, PART + 1, 2 * PART):
        packed = Packed(range(count))
        assert len(packed) == count
        assert list(packed) == list(packed) == list(range(count))
        assert [packed[n] for n in range(-count, count)] == [*range(count)] * 2
        assert packed[count // 3 : count // 2] == list(range(count))[count // 3 : count // 2]
        assert [n for part in in_parts(packed) for n in part] == list(range(count))
        with pytest.raises(IndexError):
            packed[count]
