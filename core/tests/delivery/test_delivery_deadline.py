"""A target that answers too slowly holds its own lane for its deadline, and nobody pays for it."""

import time
from datetime import timedelta
from types import SimpleNamespace

from attrs import frozen

from synccore._delivery.claims import LEASE_MARGIN
from synccore.hookspecs import SinkType
from synccore.http import Client, _time, time_left
from synccore.testing import FakeContext, Fault, Harness, LoopbackServer, Reply, customer
from synccore.types import Delivered, Limits, ObjectType, each

ROUTES = {"people": {"entity": "customer", "sink": "slow", "fields": {"email": "customer.email"}}}


@frozen
class NoSettings:
    """Nothing to set."""


class Slow(LoopbackServer):
    def handle(self, request):
        return Reply(200, {})


class Sink:
    """Sends one request for each record."""

    def __init__(self, context, url):
        self.client = Client(context, url)
        self.left = []

    def deliver(self, operations):
        self.left.append(time_left())
        return each(operations, self._write)

    def _write(self, operation):
        self.client.post(f"/{operation.key}")
        return Delivered(remote_id=operation.key)

    def close(self):
        self.client.close()


def test_one_deadline_covers_all_calls_of_a_delivery(tmp_path):
    opened = []
    with Slow() as vendor:
        with Client(FakeContext(), vendor.url) as client:
            client.get("/warm")  # what a process does once takes no part in the deadline
        vendor.requests.clear()
        kind = SinkType(
            name="slow",
            summary="for this test",
            config=NoSettings,
            open=lambda _, context: opened.append(Sink(context, vendor.url)) or opened[-1],
            objects=(ObjectType(name="thing", summary=""),),
            limits=Limits(max_batch=4, deadline=timedelta(seconds=3)),
        )
        with Harness(tmp_path, ROUTES, sink_types={"slow": (kind, {})}) as app:
            app.emit(*(customer(str(n), email=f"p{n}@shop.test") for n in range(4)))
            vendor.fail_next(Fault.status(200, {}), Fault.drip())
            app.drain()
            assert timedelta(0) < opened[-1].left[0] <= timedelta(seconds=3)
            by_key = {d.key: d for d in app.deliveries()}
            assert {k: d.state for k, d in by_key.items()} == {"0": "done", "1": "ready", "2": "ready", "3": "ready"}
            assert [by_key[k].attempts for k in "23"] == [0, 0], "they were never sent"
            assert [by_key[k].maybe_applied for k in "123"] == [True, False, False]
            app.settle_down()
            assert app.states() == {"done": 4}
            assert sorted(r.path for r in vendor.requests) == ["/0", "/1", "/1", "/2", "/3"]


def test_who_was_stopped_after_its_claim_sends_nothing_once_its_lease_is_over(tmp_path, monkeypatch):
    """Others have the record by then, and may have sent what is newer: this would put it back to what it was."""
    with Harness(tmp_path, {"people": {**ROUTES["people"], "sink": "crm"}}) as app:
        app.emit(customer("1", email="old@shop.test"))
        claim, stopped = app.app.store.claim, [0.0]

        def claims(*words):
            found = claim(*words)
            stopped[0] += (Limits().deadline + LEASE_MARGIN).total_seconds()
            return found

        with monkeypatch.context() as patch:
            patch.setattr(app.app.store, "claim", claims)
            patch.setattr(_time, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + stopped[0]))
            app.app.engine.lanes["crm"].step()
        assert app.sink.calls == []
        assert [(d.state, d.attempts, d.maybe_applied) for d in app.deliveries()] == [("ready", 0, False)]
        app.settle_down()
        assert len(app.sink.calls) == 1
