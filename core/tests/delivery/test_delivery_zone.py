"""Days are the shop's days, from the first record on."""

from datetime import UTC, datetime

from synccore.entities import Customer
from synccore.testing import Harness, upsert

#: Still the day before in New York.
LATE = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)


def test_a_zone_that_the_source_learns_after_it_was_opened_counts_from_the_first_record_on(tmp_path):
    routes = {"people": {"entity": "customer", "fields": {"since": "customer.created_at | date"}}}
    with Harness(tmp_path, routes) as harness:
        source = harness.source
        source.time_zone = lambda: getattr(source, "zone", None)
        harness.drain()
        source.zone = "America/New_York"
        harness.emit(upsert(Customer(key="1", email="ann@shop.test", created_at=LATE)))
        harness.drain()
        assert harness.sink.by_uid()["shop:customer:1"] == {"since": "2026-03-01"}
        before = len(harness.sink.calls)
        harness.crash()
        harness.emit(upsert(Customer(key="1", email="ann@shop.test", created_at=LATE)), bulk=True)
        harness.drain()
        assert len(harness.sink.calls) == before
