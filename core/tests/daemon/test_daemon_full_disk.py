"""A disk that is full for a while: nobody else's fault, and over when it is over."""

from types import SimpleNamespace

import pytest

from synccore._app.units import lane_name
from synccore._daemon.run import Daemon
from synccore._daemon.sources import SourceWorker
from synccore._delivery.engine import FAILURE_COUNTS
from synccore._verbs.status import overview, status
from synccore.store import DiskFull, StoreError
from synccore.testing import Harness, customer
from synccore.types import Failed

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


@pytest.mark.parametrize("where", ["a page", "the plugin", "the account"])
def test_a_listing_goes_on_as_soon_as_the_store_works(tmp_path, monkeypatch, where):
    """A server that was restarted is no mistake of the source's, which would be left alone for five minutes."""
    with Harness(tmp_path, PEOPLE) as harness:
        harness.source.put(customer("1", email="anna@shop.test"))
        worker, store = SourceWorker(harness.app, harness.app.sources["shop"]), harness.app.store
        store.queue_backfill("backfill", "shop", "customer", {}, None, harness.clock.now())

        def away(*_, **__):
            raise StoreError("terminated by an administrator")

        places = {"a page": (harness.app.intake, "submit"), "the plugin": (harness.source, "poll")}
        place = places.get(where, (worker._standing, "recognise"))
        with monkeypatch.context() as patch:
            patch.setattr(*place, away)
            with pytest.raises(StoreError):
                worker.work_job()
        assert store.lane(lane_name("shop")).state == "ok"
        assert worker.work_job()
        harness.drain()
        assert len(harness.sink.records) == 1


@pytest.mark.parametrize("broken", [("claim",), ("settle", "release"), ("load", "release")])
def test_deliveries_go_on_by_themselves_as_soon_as_the_store_works(tmp_path, monkeypatch, broken):
    with Harness(tmp_path, PEOPLE) as harness:
        harness.emit(customer("1", email="anna@shop.test"))
        lane = harness.app.engine.lanes["crm"]

        def full(*_, **__):
            raise StoreError("the disk is full")

        with monkeypatch.context() as patch:
            for name in broken:
                patch.setattr(harness.app.store, name, full)
            with pytest.raises(StoreError):
                lane.step()
        assert lane.claims.in_flight == {}
        # No lease runs out meanwhile: the clock stands still.
        harness.drain()
        assert len(harness.sink.records) == 1
        assert harness.app.store.counts_by_sink()["crm"].running == 0


def test_status_and_dashboard_say_that_nothing_more_is_taken(tmp_path, monkeypatch):
    def full(*_, **__):
        raise StoreError("the disk is full")

    with Harness(tmp_path, PEOPLE) as harness:
        harness.emit(customer("1", email="anna@shop.test"))
        harness.drain()
        assert "taken in" not in str(overview(harness.app).needs)
        monkeypatch.setattr(type(harness.app.store.state("x")), "put", full)
        assert overview(harness.app).notes[0] == "nothing more is taken in: the disk is full"
        assert not overview(harness.app).well
        assert overview(harness.app).needs[0].sentence == "nothing more is taken in: the disk is full"


@pytest.mark.parametrize("told", ["raised", "as an outcome"])
def test_a_store_that_fails_within_a_plugins_call_is_no_records_fault(tmp_path, monkeypatch, told):
    """The target has it already; what the plugin wanted to note was not stored. Five of these parked a record."""
    with Harness(tmp_path, PEOPLE) as harness:
        harness.emit(*(customer(str(n), email=f"{n}@shop.test") for n in range(3)))
        lane, real = harness.app.engine.lanes["crm"], harness.sink.deliver

        def deliver(operations):
            outcomes = real(operations)
            if told == "raised":
                raise StoreError("no turn to write")
            return [*outcomes[:-1], Failed(StoreError("no turn to write"))]

        with monkeypatch.context() as patch:
            patch.setattr(harness.sink, "deliver", deliver)
            for _ in range(6):
                with pytest.raises(StoreError):
                    lane.step()
        rows = harness.app.store.deliveries()
        assert {(d.state, d.attempts, d.maybe_applied) for d in rows} == {("ready", 0, True)}
        assert harness.app.store.lane("crm").state == "ok"
        harness.drain()
        assert sorted(r["email"] for r in harness.sink.records.values()) == [f"{n}@shop.test" for n in range(3)]


def test_a_lane_that_cannot_write_is_told_by_readyz_and_by_every_process_while_small_writes_fit(tmp_path):
    with Harness(tmp_path, PEOPLE, server={"listen": "127.0.0.1:0"}) as harness:
        daemon, engine = Daemon(harness.app), harness.app.engine
        daemon._state = None
        assert daemon.not_well() is None
        engine._failing("crm", StoreError("the disk is full"))
        assert daemon.not_well() == "the disk is full"
        with harness.app.store.daemon_lock():
            del harness.app.__dict__["engine"]  # another process has none
            told = status(harness.app)["sinks"]["crm"]
            assert (told["state"], told["reason"]) == ("error", "the disk is full")
            assert not overview(harness.app).well
            engine._working("crm")
            assert status(harness.app)["sinks"]["crm"]["reason"] != "the disk is full"
        assert daemon.not_well() is None
        daemon.web.stop()


def test_what_a_lane_said_is_forgotten_when_nothing_fails_any_more(tmp_path):
    with Harness(tmp_path, PEOPLE) as harness:
        engine = harness.app.engine
        engine._failing("crm", StoreError("the disk is full"))
        harness.clock.advance(FAILURE_COUNTS)
        assert engine.refusal() is None
        assert engine.troubles() == {}


@pytest.mark.parametrize(("error", "looks"), [(StoreError("away"), 0), (DiskFull("the disk is full"), 1)])
def test_a_refused_webhook_is_remembered_where_small_writes_fit_and_waits_once_for_a_store_that_is_away(
    tmp_path, monkeypatch, error, looks
):
    """Every look at a database that is away waits for it again."""
    with Harness(tmp_path, PEOPLE, server={"listen": "127.0.0.1:0"}) as harness:
        daemon, looked = Daemon(harness.app), []
        daemon._state = None

        def refuses(request):
            raise error

        daemon._works.workers["shop"] = SimpleNamespace(receive=refuses)
        monkeypatch.setattr(harness.app, "store_trouble", lambda: looked.append(1))
        with pytest.raises(StoreError):
            daemon.receive("shop", None)
        assert len(looked) == looks
        assert daemon.not_well() == (str(error) if looks else None)
        daemon.web.stop()
