"""What a job's sink does when it is asked for outcomes: one record holds up no other, and nothing is silent."""

from asyncio import CancelledError
from datetime import timedelta

import pytest

from synccore._verbs.status import status
from synccore.errors import Rejected
from synccore.testing import Harness, customer
from synccore.types import Limits

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


@pytest.fixture
def job(tmp_path):
    """Twelve people in a job that has ended."""
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=200)) as app:
        app.sink.job_from = 1
        app.emit(*(customer(str(n), email=f"p{n}@shop.test") for n in range(12)))
        app.drain()
        assert app.states() == {"submitted": 12}
        yield app


def failing(app, fails):
    """`collect` fails as a whole where it is asked for such a record."""
    real, asked = app.sink.collect, []

    def collect(job):
        asked.append([o.key for o in job.operations])
        for operation in job.operations:
            fails(operation)
        app.sink.finish_jobs()
        return real(job)

    app.sink.collect = collect
    return asked


@pytest.mark.parametrize("error", [KeyError("id"), CancelledError(), Rejected("no")])
def test_a_record_that_cannot_be_told_of_is_parked_and_its_mates_are_told(job, error):
    def fails(operation):
        if operation.key == "7":
            raise error

    failing(job, fails)
    job.settle_down(timedelta(hours=1))
    assert job.states() == {"done": 11, "parked": 1}
    (parked,) = job.deliveries(state="parked")
    assert (parked.key, parked.maybe_applied) == ("7", True)
    assert parked.attempts == (1 if isinstance(error, Rejected) else 3)


def test_where_nothing_can_be_told_the_rows_stay_in_their_job_and_the_route_says_why(job):
    broken = [KeyError("id")]

    def fails(_):
        if broken:
            raise broken[0]

    asked = failing(job, fails)
    job.advance(timedelta(seconds=5))
    assert job.states() == {"submitted": 12}
    assert 6 < len(asked) < 20, "the others are not asked for"
    assert "KeyError" in str(status(job.app))
    broken.clear()
    job.settle_down(timedelta(hours=1))
    assert job.states() == {"done": 12}
    assert "KeyError" not in str(status(job.app))
