"""How often one page or one batch waits for the network: as often with a hundred records as with ten."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from synccore.entities import Customer
from synccore.store import ClaimRule, DirtyRule, HistoryEntry, Ingest, LinkUpdate, Settlement
from synccore.types import Change
from synccore_postgres.engine import PostgresStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = {"customer": [DirtyRule(route="people", sink="crm", entity="customer")]}
CLAIM = ClaimRule(route="people", max_batch=100, bulk_batch=100, bulk_threshold=99)


class Trips:
    """Counts messages to the server that somebody waits for the answer of."""

    def __init__(self, monkeypatch):
        self.count = 0
        said = psycopg.Cursor.execute

        def execute(cursor, *args, **options):
            self.count += 1
            return said(cursor, *args, **options)

        monkeypatch.setattr(psycopg.Cursor, "execute", execute)

    def of(self, call):
        before = self.count
        return call(), self.count - before


@pytest.fixture
def store(server):
    with closing(PostgresStore(server.url())) as store:
        yield store


def page(first, last, name="Ada"):
    changes = [
        Change(
            entity="customer",
            key=str(n),
            op="upsert",
            data=Customer(key=str(n), email=f"{n}@x.test", first_name=name),
            replaces=(f"guest:{n}",),
        )
        for n in range(first, last)
    ]
    return [Ingest(source="shop", changes=changes, rules=RULES, bulk=True, cursor=("poll:customer", "2"))]


def settled(delivery, to):
    place = {"route": "people", "sink": "crm", "source": "shop", "entity": "customer", "key": delivery.key}
    return Settlement(
        delivery_id=delivery.id,
        token=delivery.lease_token,
        to=to,
        job="j1" if to == "submitted" else None,
        sent={"fields": {}} if to == "submitted" else None,
        link=LinkUpdate(object="contact", remote_id=delivery.key, fields={"a": 1}) if to == "done" else None,
        history=HistoryEntry(at=NOW, **place, op="upsert", outcome="delivered", remote_id=delivery.key),
    )


@pytest.mark.parametrize("to", ["done", "submitted", "ready"])
def test_a_hundred_records_take_no_more_round_trips_than_a_few(store, monkeypatch, to):
    trips = Trips(monkeypatch)
    store.ingest(page(0, 10), NOW)
    for count in (10, 100):
        if count == 100:
            _, listed = trips.of(lambda: store.ingest(page(100, 200), NOW))
            assert listed <= 10
        claimed, took = trips.of(lambda: store.claim("crm", [CLAIM], NOW, timedelta(minutes=2), "t"))
        assert len(claimed) == count
        assert took <= 12
        _, took = trips.of(lambda: store.release("t", NOW, sent=True))
        assert took <= 6
        claimed = store.claim("crm", [CLAIM], NOW, timedelta(minutes=2), "t")
        _, took = trips.of(lambda claimed=claimed: store.load(claimed))
        assert took <= 5
        late, took = trips.of(lambda claimed=claimed: store.settle([settled(d, to) for d in claimed], NOW))
        assert not late
        assert took <= 9


def test_a_value_is_read_with_one_round_trip(store, monkeypatch):
    state = store.state("crm")
    state.put({"a": 1, "b": 2})
    trips = Trips(monkeypatch)
    assert trips.of(lambda: state.get("a")) == (1, 1)
    assert trips.of(lambda: state.get_all(["a", "b", "c"])) == ({"a": 1, "b": 2}, 2)
