"""Several processes on one outbox: killed, stopped past a lease, cut off, and the server restarted under them."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from synccore._app.running import Reloaded, Running
from synccore.entities import Customer
from synccore.errors import ConfigError
from synccore.store import ClaimRule, DirtyRule, Ingest, RunningDaemon, Settlement, StoreError
from synccore.types import Change
from synccore_postgres import presence, sessions
from synccore_postgres.engine import PostgresStore

RULES = {"customer": [DirtyRule(route="people", sink="crm", entity="customer")]}
CLAIMS = [ClaimRule(route="people", max_batch=5, bulk_batch=5, bulk_threshold=99)]

#: Claims, sends (a line in the target's own file), settles, until nothing is owed. Its clock may be minutes off.
WORKER = """
import os, sys, time
from datetime import UTC, datetime, timedelta
from synccore.store import ClaimRule, Settlement, StoreError
from synccore_postgres.engine import PostgresStore

url, target, name, off = sys.argv[1:4] + [float(sys.argv[4])]
rules = [ClaimRule(route="people", max_batch=5, bulk_batch=5, bulk_threshold=99)]
out = os.open(target, os.O_WRONLY | os.O_APPEND)
store = PostgresStore(url)

def now():
    return datetime.now(UTC) + timedelta(seconds=off)

turn, unsure = 0, []
while True:
    turn += 1
    try:
        store.rescue(now())
        for token in list(unsure):  # the answer to a claim was lost: whether it was carried out nobody knows
            store.release(token, now(), sent=True)
            unsure.remove(token)
        batch = store.claim("crm", rules, now(), timedelta(minutes=10), f"{name}-{turn}")
        for delivery in batch:
            os.write(out, f"{name} {delivery.key}\\n".encode())
        if name == "holder":
            print("claimed", flush=True)
            sys.stdin.readline()
        lost = store.settle([Settlement(delivery_id=d.id, token=d.lease_token, to="done") for d in batch], now())
        if name == "holder":
            print("lost", len(lost), flush=True)
            break
        counts = store.counts_by_sink()["crm"]
        if not batch and not counts.ready and not counts.running:
            break
        if not batch:
            time.sleep(0.05)
    except StoreError:
        unsure.append(f"{name}-{turn}")
        time.sleep(0.1)
print("over", flush=True)
"""


@pytest.fixture
def url(server):
    return server.url()


@pytest.fixture
def start(url, tmp_path):
    """Starts a worker; all are gone after the test."""
    started = []
    target = tmp_path / "target"
    target.touch()

    def begin(name, off=0.0):
        words = [sys.executable, "-c", WORKER, url, str(target), name, str(off)]
        started.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    begin.target = target
    yield begin
    for process in started:
        process.kill()
        process.communicate()


def owe(url, number):
    with closing(PostgresStore(url)) as store:
        changes = [
            Change(entity="customer", key=str(n), op="upsert", data=Customer(key=str(n), email=f"c{n}@shop.test"))
            for n in range(number)
        ]
        store.ingest([Ingest(source="shop", changes=changes, rules=RULES)], datetime.now(UTC))


def over(url, name):
    """Its leases end now: as time passes, without waiting for it. A slow machine loses no lease it should keep."""
    with closing(PostgresStore(url)) as store, store.writing() as tx:
        return tx.execute("UPDATE delivery SET lease_until = 1 WHERE lease_token LIKE ?", (f"{name}-%",)).rowcount


def until(condition):
    """Asks until it is so: what a server does after a close is not done when close returns."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.02)


def got(start):
    """What the target's own file says: key -> how often."""
    return Counter(line.split()[1] for line in start.target.read_text().splitlines())


def test_what_a_killed_daemon_held_another_delivers_and_clocks_that_are_off_do_no_harm(url, start):
    owe(url, 300)
    one, two = start("one"), start("two", off=240)
    until(lambda: len(got(start)) > 30)
    one.kill()
    one.wait()
    over(url, "one")
    two.communicate(timeout=60)
    sent = got(start)
    assert sorted(sent, key=int) == [str(n) for n in range(300)]
    # Only what the killed one held may have gone out twice: one claim.
    assert sum(times - 1 for times in sent.values()) <= 5
    with closing(PostgresStore(url)) as store:
        assert len(store.deliveries(state="done", limit=None)) == 300


def test_a_daemon_that_is_stopped_past_its_lease_settles_nothing_when_it_wakes(url, start):
    owe(url, 5)
    holder = start("holder")
    assert holder.stdout.readline() == "claimed\n"
    holder.send_signal(signal.SIGSTOP)
    assert over(url, "holder") == 5
    start("other").communicate(timeout=60)
    with closing(PostgresStore(url)) as store:
        before = store.deliveries(limit=None)
        assert {d.state for d in before} == {"done"}
        holder.send_signal(signal.SIGCONT)
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "lost 5\n"
        assert store.deliveries(limit=None) == before


def test_daemons_go_on_after_their_connections_are_cut_and_the_server_is_restarted(server, url, start):
    owe(url, 300)
    workers = [start("one"), start("two")]
    until(lambda: len(got(start)) > 30)
    server.cut()
    until(lambda: len(got(start)) > 60)
    server.stop()
    server.start()
    for worker in workers:
        worker.communicate(timeout=60)
    assert sorted(got(start), key=int) == [str(n) for n in range(300)]
    with closing(PostgresStore(url)) as store:
        assert len(store.deliveries(state="done", limit=None)) == 300


def test_a_transaction_is_stored_whole_or_not_at_all_when_its_connection_is_cut(server, url):
    with closing(PostgresStore(url)) as store:

        def cut_in_the_middle():
            with store.writing() as tx:
                tx.execute("INSERT INTO secret VALUES ('a', 'x', 1)")
                server.cut()
                tx.execute("INSERT INTO secret VALUES ('b', 'x', 1)")

        with pytest.raises(StoreError, match="cannot be used"):
            cut_in_the_middle()
        assert store.secret_names() == []
        store.put_secret("c", "x", datetime.now(UTC))
        assert [name for name, _ in store.secret_names()] == ["c"]


def test_a_process_that_stalls_in_a_transaction_holds_up_nobody_for_long(url, monkeypatch):
    with closing(PostgresStore(url)) as stalled, closing(PostgresStore(url)) as other:

        def stall():
            with monkeypatch.context() as soon:
                soon.setattr(sessions, "STALLED", 1)
                turn = stalled.writing()
                tx = turn.__enter__()
            # The others have all the time a slow machine needs.
            with ExitStack() as stack:
                stack.push(turn.__exit__)
                tx.execute("INSERT INTO secret VALUES ('a', 'x', 1)")
                # Waits for its turn until the server has ended the stalled one.
                other.put_secret("b", "x", datetime.now(UTC))

        with pytest.raises(StoreError):
            stall()
        assert [name for name, _ in other.secret_names()] == ["b"]


def test_leases_are_judged_by_the_databases_clock(url):
    owe(url, 1)
    with closing(PostgresStore(url)) as store:
        fast = datetime.now(UTC) + timedelta(hours=2)
        claimed = store.claim("crm", CLAIMS, fast, timedelta(minutes=2), "t")
        assert abs(claimed[0].lease_until - datetime.now(UTC)) < timedelta(minutes=30)
        assert store.rescue(fast) == 0
        done = [Settlement(delivery_id=claimed[0].id, token="t", to="done")]
        assert store.settle(done, fast) == frozenset()


def test_one_daemon_leads_and_another_takes_over_when_it_is_gone(url):
    with closing(PostgresStore(url)) as one, closing(PostgresStore(url)) as two, one.daemon_lock():
        leader = ExitStack()
        until(one.leads)
        one._presence._over.set()  # one lives no more, as the server sees it
        one._presence._let_go()
        with leader:
            leader.enter_context(two.daemon_lock())
            until(two.leads)  # the server lets go of a closed session a moment later
            assert not one.leads()
            one._presence._over.clear()  # it comes back
            one._presence.beat()
            assert not one.leads()
        until(lambda: one._presence.beat() or one.leads())


def test_a_daemon_that_gave_no_sign_of_life_leads_no_more(url, monkeypatch):
    with closing(PostgresStore(url)) as store, store.daemon_lock():
        assert store.leads()
        monkeypatch.setattr(presence, "DOUBT", -1.0)
        assert not store.leads()


def test_at_its_start_a_daemon_leaves_alone_what_others_hold(url):
    owe(url, 1)
    now = datetime.now(UTC)
    with closing(PostgresStore(url)) as one, closing(PostgresStore(url)) as two:
        with one.daemon_lock():
            assert len(one.claim("crm", CLAIMS, now, timedelta(minutes=2), "t")) == 1
            with two.daemon_lock():
                assert two.rescue(now, all_running=True) == 0
        with two.daemon_lock():
            assert two.rescue(now, all_running=True) == 1


@pytest.mark.parametrize("address", ["postgresql://a:hunter2@127.0.0.1/x", "postgresql://127.0.0.1/x?password=hunter2"])
def test_an_address_with_a_password_is_refused_and_not_repeated(address):
    with pytest.raises(ConfigError, match="PGPASSWORD") as refused:
        PostgresStore(address)
    assert "hunter2" not in str(refused.value)


def test_a_server_that_is_not_there_is_said_without_secrets(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setattr(sessions, "CONNECT", 1)
    with pytest.raises(ConfigError, match=r"'x' at 127\.0\.0\.1 cannot be used: .*(refused|timeout)") as refused:
        PostgresStore("postgresql://a@127.0.0.1:9/x")
    assert "hunter2" not in str(refused.value)


def test_a_backup_names_pg_dump(url, tmp_path):
    with closing(PostgresStore(url)) as store, pytest.raises(ConfigError, match="pg_dump"):
        store.backup(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_the_password_comes_as_a_secret_and_is_shown_nowhere(server, tmp_path, monkeypatch):
    """Through the configuration, as the commands open it."""
    from synccore._app.base import Base
    from synccore._plugins import load_plugins

    seen = []
    monkeypatch.setattr("synccore_postgres.sessions.Sessions._words", _noting(sessions.Sessions._words, seen))
    config = tmp_path / "synccore.toml"
    config.write_text(f"[synccore]\ndatabase = '{server.url()}'\ndatabase_password = {{ env = 'DB_WORD' }}\n")
    environ = {"DB_WORD": "hunter2", "SYNCCORE_PLUGINS": "postgres"}
    with Base.open_store(config, environ=environ, plugins=load_plugins(environ=environ)) as app:
        assert app.store.counts_by_sink() == {}
        assert {words["password"] for words in seen} == {"hunter2"}
        assert "hunter2" not in repr(vars(app.store._sessions))


def _noting(real, seen):
    def words(self):
        seen.append(real(self))
        return seen[-1]

    return words


def test_a_password_that_stands_in_the_database_itself_is_refused(tmp_path):
    from synccore._app.base import Base
    from synccore._plugins import load_plugins

    config = tmp_path / "synccore.toml"
    config.write_text(
        "[synccore]\ndatabase = 'postgresql://a@127.0.0.1:9/x'\ndatabase_password = { secret = 'word' }\n"
    )
    with pytest.raises(ConfigError, match="cannot be stored in the database that it opens"):
        Base.open_store(config, environ={}, plugins=load_plugins(environ={"SYNCCORE_PLUGINS": "postgres"}))


# -- hosts with files of their own


def test_each_host_is_told_of_its_own_file_and_of_its_own_reload(server, tmp_path):
    """They listen at addresses of their own: no host's file is another one than its daemon works with."""
    stores, pages = [], []
    with ExitStack() as stack:
        url = server.url()
        for name in ("one", "two"):
            store = stack.enter_context(closing(PostgresStore(url)))
            store.holder = store.holder.replace(socket.gethostname()[:40], name)
            stack.enter_context(store.daemon_lock())
            path = tmp_path / f"{name}.toml"
            path.write_text(f"[server]\nlisten = '{name}:80'\n")
            vault = {}
            pages.append((Running(store, SimpleNamespace(put=vault.__setitem__, get=vault.get), path), path))
            stores.append(store)
        alive = [RunningDaemon(name=s.holder.partition("@")[0], since=None, leads=False) for s in stores]
        for store in stores:
            store.daemons = lambda: alive
        for page, path in pages:
            page.began(path.read_text(), datetime.now(UTC))
        assert [page.behind(path) for page, path in pages] == [None, None]
        (one, changed), (two, _) = pages
        changed.write_text("[server]\nlisten = 'three:80'\n")
        assert "synccore reload" in one.behind(changed)
        wish = one.ask()
        two.answered(Reloaded(wish=wish))
        assert one.answer(wish) is None
        one.answered(Reloaded(wish=wish, problems=(("server", "no such host"),)))
        assert one.answer(wish).problems
        assert not two.answer(wish).problems
        alive.pop(0)
        assert one.behind(changed) is None, "no daemon works with it"
