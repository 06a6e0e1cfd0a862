"""A plugin that does not let go: nobody waits for it, neither when it starts nor when it ends."""

import threading
from datetime import timedelta

from synccore.testing import Harness, customer
from synccore.testing.scripted import ScriptedSink, scripted_type

ROUTES = {"people": {"entity": "customer", "sink": "slow", "fields": {"email": "customer.email"}}}


def test_a_close_that_never_ends_holds_up_neither_start_nor_end(tmp_path, monkeypatch):
    monkeypatch.setattr("synccore._app.units.CLOSE_WITHIN", timedelta(milliseconds=20))
    released = threading.Event()
    sink = ScriptedSink()
    sink.close = released.wait
    with Harness(tmp_path, ROUTES, sink_types={"slow": (scripted_type(sink, "slow"), {})}) as app:
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        assert len(sink.records) == 1
    released.set()
