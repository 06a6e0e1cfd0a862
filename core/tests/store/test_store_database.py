"""Files, locks, threads, and what is said when the disk or another program is in the way."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from synccore._store._database import FairLock
from synccore._store.sqlite import SqliteStore, open_sqlite
from synccore.errors import ConfigError
from synccore.store import ClaimRule, Ingest, Settlement, StoreError

WAIT = 30


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run `work` in threads that all start together; what one raises, the test raises."""
    barrier = threading.Barrier(count)
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(WAIT)
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    if failed:
        raise failed[0]


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


# -- files


def test_all_files_belong_to_their_owner_alone(tmp_path):
    old = os.umask(0)
    try:
        with closing(open_sqlite(tmp_path / "a.db")) as store:
            store.put_cursor("shop", "x", "1", datetime(2026, 1, 1, tzinfo=UTC))
            with store.daemon_lock(), store.lock("x"):
                names = {p.name: mode(p) for p in tmp_path.rglob("*")}
            store.backup(tmp_path / "copy.db")
    finally:
        os.umask(old)
    assert {names[n] for n in ("a.db", "a.db-wal", "a.db-shm", "daemon")} == {0o600}
    assert names["a.db.locks"] == 0o700
    assert mode(tmp_path / "copy.db") == 0o600


def test_a_path_that_cannot_work_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="does not exist: create it"):
        open_sqlite(tmp_path / "none" / "a.db")
    with pytest.raises(ConfigError, match="is a directory"):
        open_sqlite(tmp_path)
    (tmp_path / "text.db").write_text("not a database at all, just a text of some length" * 20)
    with pytest.raises(ConfigError, match="not a SQLite database"):
        open_sqlite(tmp_path / "text.db")


def test_a_backup_is_whole_while_others_write(desk, tmp_path):
    desk.take(*[desk.customer(str(n)) for n in range(50)])
    desk.store.backup(tmp_path / "copy.db")
    desk.take(desk.customer("late"))
    desk.store.backup(tmp_path / "copy.db")
    assert [p.name for p in tmp_path.glob("copy*")] == ["copy.db"]
    with closing(open_sqlite(tmp_path / "copy.db")) as copy:
        assert copy.snapshot_counts("shop") == {"customer": 51}
    with pytest.raises(ConfigError, match="is the database itself"):
        desk.store.backup(desk.path)
    with pytest.raises(ConfigError, match="cannot be written"):
        desk.store.backup(tmp_path / "none" / "copy.db")


# -- trouble


def test_a_full_disk_loses_nothing_and_says_what_to_do(desk):
    desk.take(desk.customer("1"))
    with desk.store._database.exclusive() as writer:
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="full: free some space"):
        desk.take(*[desk.customer(str(n), "x" * 4000) for n in range(2, 50)])
    assert desk.store.snapshot_counts("shop") == {"customer": 1}
    assert desk.rows() == ["people 1 upsert ready"]
    with desk.store._database.exclusive() as writer:
        writer.execute("PRAGMA max_page_count = 1000000")
    assert desk.take(desk.customer("2", "x" * 4000)).accepted == 1


def test_a_locked_database_loses_nothing_and_says_what_to_do(desk):
    desk.take(desk.customer("1"))
    with closing(SqliteStore(desk.path, busy_timeout=0.02)) as hasty:
        other = sqlite3.connect(desk.path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked by another program"):
                hasty.put_cursor("shop", "x", "1", desk.now)
            assert hasty.snapshot("shop", "customer", "1") is not None
        finally:
            other.close()
        hasty.put_cursor("shop", "x", "1", desk.now)
        assert hasty.get_cursor("shop", "x") == "1"


def test_an_error_in_the_middle_takes_the_whole_transaction_back(desk):
    def fail() -> None:
        with desk.store._database.write() as tx:
            tx.execute("INSERT INTO cursor VALUES ('shop', 'x', '1', 0)")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert desk.store.get_cursor("shop", "x") is None
    desk.store.put_cursor("shop", "x", "2", desk.now)


def test_a_reader_sees_one_moment(desk):
    with desk.store._database.read() as view:
        before = view.execute("SELECT count(*) FROM snapshot").fetchone()[0]
        desk.take(desk.customer("1"))
        assert view.execute("SELECT count(*) FROM snapshot").fetchone()[0] == before
    assert desk.store.snapshot_counts("shop") == {"customer": 1}


# -- threads


def test_the_lock_is_given_in_the_order_it_was_asked_for():
    lock, order = FairLock(), []

    def work(number: int) -> None:
        with lock:
            order.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    with lock:
        for number, thread in enumerate(threads):
            thread.start()
            while len(lock._queue) <= number:
                os.sched_yield()
    for thread in threads:
        thread.join(WAIT)
    assert order == list(range(20))


def test_many_threads_deliver_everything_once(desk):
    done: list[str] = []
    rules = [ClaimRule(route="people", max_batch=3, bulk_batch=3, bulk_threshold=9)]

    def work(number: int) -> None:
        for turn in range(10):
            change = desk.customer(f"{number}-{turn}")
            desk.store.ingest([Ingest(source="shop", changes=[change], rules=desk.rules)], desk.now)
            token = f"{number}/{turn}"
            batch = desk.store.claim("crm", rules, desk.now, desk.now - desk.now, token)
            settled = [Settlement(delivery_id=d.id, token=token, to="done") for d in batch]
            assert desk.store.settle(settled, desk.now) == frozenset()
            done.extend(d.key for d in batch)

    in_threads(8, work)
    done.extend(d.key for d in desk.claim([ClaimRule(route="people", max_batch=99, bulk_batch=1, bulk_threshold=9)]))
    assert sorted(done) == sorted(f"{n}-{t}" for n in range(8) for t in range(10))


def test_one_change_seen_by_many_threads_is_one(desk):
    results = []
    in_threads(8, lambda _: results.append(desk.take(desk.customer("1"), desk.payment("e1"))))
    assert sum(r.accepted for r in results) == 2
    assert desk.rows() == ["people 1 upsert ready", "facts e1 event ready"]


def test_a_named_lock_keeps_threads_apart_and_is_reentrant(desk):
    inside: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            with desk.store.lock("oauth/crm"), desk.store.lock("oauth/crm"):
                inside.append(number)
                assert inside == [number]
                os.sched_yield()
                inside.pop()

    in_threads(6, work)


def test_two_stores_of_one_file_share_its_locks(desk):
    with closing(open_sqlite(desk.path)) as other:
        entered = threading.Event()

        def work() -> None:
            with other.lock("a"):
                entered.set()

        thread = threading.Thread(target=work)
        with desk.store.lock("a"):
            thread.start()
            with other.lock("b"):
                assert not entered.is_set()
        assert entered.wait(WAIT)
        thread.join(WAIT)


# -- processes

HOLD = """
import sys
from pathlib import Path
from synccore._store.sqlite import open_sqlite
store = open_sqlite(Path(sys.argv[1]))
with getattr(store, sys.argv[2])(*sys.argv[3:]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_there_is_one_daemon_and_the_second_is_told_of_the_first(desk):
    assert not desk.store.daemon_running()
    other = child(HOLD, desk.path, "daemon_lock")
    try:
        assert other.stdout.readline() == "held\n"
        assert desk.store.daemon_running()
        with pytest.raises(ConfigError, match=f"process {other.pid}"), desk.store.daemon_lock():
            pass
    finally:
        other.kill()
        other.communicate()
    assert not desk.store.daemon_running()
    with desk.store.daemon_lock():
        assert desk.store.daemon_running()
        with pytest.raises(ConfigError, match=f"process {os.getpid()}"), desk.store.daemon_lock():
            pass
    assert not desk.store.daemon_running()


def test_a_named_lock_ends_with_the_process_that_held_it(desk):
    other = child(HOLD, desk.path, "lock", "oauth/crm")
    try:
        assert other.stdout.readline() == "held\n"
        entered = threading.Event()

        def work() -> None:
            with desk.store.lock("oauth/crm"):
                entered.set()

        thread = threading.Thread(target=work)
        thread.start()
        with desk.store.lock("other"):
            assert not entered.is_set()
    finally:
        other.kill()
        other.communicate()
    assert entered.wait(WAIT)
    thread.join(WAIT)


OPEN = """
import sys
from pathlib import Path
from synccore._store.sqlite import open_sqlite
sys.stdin.readline()
store = open_sqlite(Path(sys.argv[1]))
print(len(store.migrate()), flush=True)
"""


def test_many_processes_may_open_a_new_database_at_once(tmp_path):
    others = [child(OPEN, tmp_path / "new.db") for _ in range(4)]
    for other in others:
        other.stdin.write("\n")
        other.stdin.flush()
    answers = [other.communicate(timeout=60)[0] for other in others]
    assert [other.returncode for other in others] == [0] * 4
    assert answers == ["0\n"] * 4
