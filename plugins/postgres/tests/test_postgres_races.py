"""What two transactions do at the same moment, and what in the database stops each race."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from synccore.entities import Customer
from synccore.store import ClaimRule, DirtyRule, Ingest, LaneRecord, StoreError, sql
from synccore.store._rules import claim
from synccore.types import Change
from synccore_postgres.engine import PostgresStore
from synccore_postgres.presence import PLACE
from synccore_postgres.sessions import _Work

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)
LEASE = timedelta(minutes=2)
PEOPLE, LEADS = (ClaimRule(route=route, max_batch=5, bulk_batch=5, bulk_threshold=99) for route in ("people", "leads"))
RULES = {"customer": [DirtyRule(route="people", sink="crm", entity="customer")]}
BOTH = {"customer": [*RULES["customer"], DirtyRule(route="leads", sink="crm", entity="customer")]}


@pytest.fixture
def store(server):
    with closing(PostgresStore(server.url(), own_clock=False)) as store:
        yield store


def take(store, *keys, rules=RULES):
    changes = [Change(entity="customer", key=k, op="upsert", data=Customer(key=k, email=f"{k}@x.test")) for k in keys]
    store.ingest([Ingest(source="shop", changes=changes, rules=rules)], NOW)


@contextmanager
def without_turns(store):
    """A transaction that waits for nobody's turn: what is left is what the database itself holds."""
    with store._sessions._on_loan(store._sessions._pool) as connection:
        connection.execute("BEGIN; SET LOCAL lock_timeout = '30s'")
        yield connection
        connection.execute("COMMIT")


@contextmanager
def claiming(store):
    """A claim that has its turn: a transaction begins with its first statement."""
    with store.claiming("crm") as tx:
        tx.execute("SELECT 1")
        yield tx


def looked_up(connection):
    at = {"sink": "crm", "route": "people", "bulk": 0, "now": MS, "size": 5}
    return {row["key"] for row in _Work(connection, "").execute(sql.CLAIM_ROWS, at)}


def waiting(server_url, pid):
    with psycopg.connect(server_url, autocommit=True) as look:
        row = look.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
    return row is not None and row[0] == "Lock"


def test_rows_that_another_claim_holds_are_passed_over(store):
    """Without SKIP LOCKED the second would wait and then lease the same five again."""
    take(store, *map(str, range(10)))
    with without_turns(store) as one, without_turns(store) as two:
        first, second = looked_up(one), looked_up(two)
    assert (len(first), len(second)) == (5, 5)
    assert not first & second


def test_a_row_that_was_claimed_meanwhile_is_not_leased_again(store):
    """Without the state in LEASE whoever looked before the other's commit would take the rows over."""
    take(store, "1")
    with store.writing() as tx:
        (row,) = tx.execute("SELECT id FROM delivery").fetchall()
    store.claim("crm", [PEOPLE], NOW, LEASE, "one")
    with store.writing() as tx:
        late = {"ids": f"[{row['id']}]", "token": "two", "until": MS + 60_000}
        assert tx.execute(sql.LEASE, late).rowcount == 0
    assert [d.lease_token for d in store.deliveries()] == ["one"]


def test_two_claims_of_two_routes_of_one_key_leave_one_running(server, store):
    """Each sees the other's row as ready; the unique index lets one through and makes the other one wait for it."""
    take(store, "1", rules=BOTH)
    with ThreadPoolExecutor(1) as pool, without_turns(store) as one:
        one.execute("UPDATE delivery SET state='running', lease_token='one', lease_until=1 WHERE route='people'")
        known = threading.Event()
        pids = []

        def second():
            with without_turns(store) as two:
                pids.append(two.info.backend_pid)
                known.set()
                two.execute("UPDATE delivery SET state='running', lease_token='two', lease_until=1 WHERE route='leads'")

        late = pool.submit(second)
        known.wait(60)
        while not (waiting(server._address, pids[0]) or late.done()):
            threading.Event().wait(0.02)
        assert not late.done()
        one.execute("COMMIT")
        with pytest.raises(psycopg.errors.UniqueViolation):
            late.result(60)
    assert [d.route for d in store.deliveries(state="running")] == ["people"]


def test_claims_of_one_sink_take_turns_and_those_of_others_do_not_wait(server, store):
    """So the race above does not come up: the second claim looks when the first is done."""
    take(store, "1", rules=BOTH)
    with ThreadPoolExecutor(1) as pool:
        with claiming(store) as tx:
            late = pool.submit(store.claim, "crm", [LEADS], NOW, LEASE, "two")
            with store.claiming("mail"):
                pass
            assert claim_in(tx) == ["1"]
            assert not late.done()
        assert late.result(60) == []


def claim_in(tx):
    return [d.key for d in claim.claim(tx, "crm", [PEOPLE], MS, MS + 60_000, "one")]


def test_a_change_waits_for_the_claim_of_its_key_and_the_claim_for_the_change(store):
    """Without the writers' turn the newer state would be owed as free while the older one is on its way."""
    take(store, "1")
    with ThreadPoolExecutor(1) as pool:
        with claiming(store) as tx:
            changed = pool.submit(change, store, "B")
            assert claim_in(tx) == ["1"]
            assert not changed.done()
        changed.result(60)
        assert sorted((d.state, d.lease_token) for d in store.deliveries()) == [("ready", None), ("running", "one")]
        assert store.claim("crm", [PEOPLE], NOW, LEASE, "two") == []


def change(store, name):
    data = Customer(key="1", email="1@x.test", first_name=name)
    store.ingest(
        [Ingest(source="shop", changes=[Change(entity="customer", key="1", op="upsert", data=data)], rules=RULES)], NOW
    )


def test_a_second_ready_row_of_a_key_is_refused_whoever_writes_it(store):
    take(store, "1")
    columns = "route, sink, source, entity, key, op, state, bulk, due_at, first_change_at, last_change_at, created_at"
    with without_turns(store) as raw, pytest.raises(psycopg.errors.UniqueViolation):
        raw.execute(
            f"INSERT INTO delivery ({columns}) VALUES "  # noqa: S608  constants
            "('people', 'crm', 'shop', 'customer', '1', 'upsert', 'ready', 0, 1, 1, 1, 1)"
        )


def test_news_wakes_who_listens_in_another_process(server):
    url = server.url()
    heard = []
    news = threading.Event()

    def hear(sink):
        heard.append(sink)
        news.set()

    with closing(PostgresStore(url)) as one, closing(PostgresStore(url)) as two, two.listening(hear):
        assert two._wakeups.hears.wait(60)
        take(one, "1")
        assert news.wait(60)
        assert set(heard) == {"crm"}
        news.clear()
        one.put_lane(LaneRecord(sink="mail", state="paused"))
        assert news.wait(60)
        assert "mail" in heard


def test_who_listens_hears_again_after_the_server_was_away(server):
    url = server.url()
    news = threading.Event()
    with (
        closing(PostgresStore(url)) as one,
        closing(PostgresStore(url)) as two,
        two.listening(lambda _: news.set()),
    ):
        assert two._wakeups.hears.wait(60)
        two._wakeups.hears.clear()
        server.cut()
        assert two._wakeups.hears.wait(60)
        take(one, "1")
        assert news.wait(60)


def cut_off(server, store):
    with store.writing() as tx:
        tx.execute("SELECT 1")
        server.cut()
        tx.execute("SELECT 1")


def test_a_lost_connection_is_said_once_and_in_words(server, caplog):
    with closing(PostgresStore(server.url())) as store:
        with pytest.raises(StoreError, match="cannot be used: terminating connection"):
            cut_off(server, store)
        assert caplog.records == []
        assert list(store.history()) == []


def test_daemons_are_seen_with_who_leads(server):
    url = server.url()
    with closing(PostgresStore(url)) as one, closing(PostgresStore(url)) as two:
        one._presence.name, two._presence.name = "a:1", "b:2"
        with one.daemon_lock(), two.daemon_lock():
            assert [(d.name, d.leads) for d in two.daemons()] == [("a:1", True), ("b:2", False)]
        assert one.daemons() == []


def test_nothing_of_a_person_is_left_in_the_tables_files(server):
    url = server.url()
    with closing(PostgresStore(url)) as store:
        take(store, "1")
        store.forget("1@x.test", "digest", NOW)
        assert size(store) > 0
        store.scrub()
        assert size(store) == 0


def size(store):
    with store.reading() as view:
        (row,) = view.execute(
            "SELECT sum(pg_relation_size(oid)) AS bytes FROM pg_class "
            "WHERE relnamespace = current_schema()::regnamespace "
            "AND relname IN ('snapshot', 'delivery', 'history', 'link', 'event')"
        )
    return int(row["bytes"])


def test_what_an_open_transaction_may_still_read_is_said(server):
    url = server.url()
    with closing(PostgresStore(url)) as store:
        take(store, "1")
        with store.reading() as view:
            view.execute("SELECT count(*) FROM snapshot").fetchone()
            store.forget("1@x.test", "digest", NOW)
            with pytest.raises(StoreError, match="transaction that is open"):
                store.scrub()
        store.scrub()


def test_what_a_process_of_this_machine_held_is_given_back_once_it_is_gone(server):
    """Of another host nothing is known: there the lease decides."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    url = server.url()
    with (
        closing(PostgresStore(url)) as store,
        store.daemon_lock(),
        closing(PostgresStore(url)) as new,
        new.daemon_lock(),
    ):
        for number, holder in enumerate((f"h:{ended.pid}@{PLACE}/", f"h:{ended.pid}@else/", store.holder)):
            take(store, str(number))
            assert len(store.claim("crm", [PEOPLE], NOW, LEASE, f"{holder}x")) == 1
        assert new.rescue(datetime.now(UTC), all_running=True) == 1
        assert [d.key for d in new.deliveries(state="ready")] == ["0"]
        assert new.running_by()[store._presence.name] == {"crm": 1}
