"""A disk that is full for a while: nobody else's fault, and over when it is over."""

import pytest

from synccore._daemon.sources import SourceWorker
from synccore._verbs.status import status
from synccore.store import StoreError
from synccore.testing import Harness, customer

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


def test_a_source_is_polled_again_as_soon_as_the_store_works(tmp_path, monkeypatch):
    with Harness(tmp_path, PEOPLE) as harness:
        harness.source.put(customer("1", email="anna@shop.test"))
        worker = SourceWorker(harness.app, harness.app.sources["shop"])

        def full(_):
            raise StoreError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(harness.app.intake, "submit", full)
            with pytest.raises(StoreError):
                worker.poll_due()
        worker.poll_due()
        harness.drain()
        assert len(harness.sink.records) == 1
        assert status(harness.app)["sources"]["shop"]["state"] == "ok"
