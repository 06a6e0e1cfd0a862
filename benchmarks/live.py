"""Webhooks, for the table of `peers.py`: how many are accepted, how many a daemon takes and delivers, and how soon.

`live.py --accept DIRECTORY SECONDS` is a process of its own that accepts without HTTP, and then writes the rows that
came of it once more with nothing but sqlite3.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from attrs import frozen
from stage import PEERS, Line, ask, environ, measured, ours, shop

sys.path.insert(0, str(PEERS))
from people import person

SENDERS = 8
PORT = 18492
#: Webhooks a second of a busy shop, and what the sink takes for a call.
STEADY, SINK_MS = 200.0, 20.0
#: Milliseconds of linger where fewer calls are wanted: what comes in that time at that rate is twelve changes.
BATCHING = 60
#: Records of this number and above are nobody's that a listing lists.
OWN = 50_000_000


# -- accepted, without HTTP


def accepted(options: argparse.Namespace, address: str) -> Iterator[Line]:
    """What eight threads of the door make durable, beside raw sqlite3 with as many in a commit."""
    raw = group_commits(options.seconds)
    with shop(0, address) as folder:
        told = subprocess.check_output(
            [sys.executable, __file__, "--accept", str(folder), str(options.seconds)], env=environ(), text=True
        )
    rate, rows = json.loads(told.splitlines()[-1])
    yield Line(
        "accepted durably, 8 threads, without HTTP / raw group commit of the same bodies",
        f"{rate:.0f}/s",
        f"{raw:.0f}/s",
        rate / raw,
        0.5,
        least=True,
    )
    yield Line(
        "the same / raw group commit of the rows that are then there",
        f"{rate:.0f}/s",
        f"{rows:.0f}/s",
        rate / rows,
        0.5,
        least=True,
    )


def group_commits(seconds: float) -> float:
    """Bodies a second that raw sqlite3 makes durable, as many in a commit as there are senders: one fsync for each."""
    bodies = [(json.dumps(person(n)),) for n in range(1000)]
    with tempfile.TemporaryDirectory() as name:
        with _raw(Path(name) / "raw.db") as db:
            db.execute("CREATE TABLE taken (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
            taken, began = 0, time.perf_counter()
            while time.perf_counter() - began < seconds:
                at = taken % len(bodies)
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT INTO taken (body) VALUES (?)", bodies[at : at + SENDERS])
                db.execute("COMMIT")
                taken += SENDERS
        return taken / (time.perf_counter() - began)


@contextmanager
def _raw(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        yield db


def _accept(folder: Path, seconds: float) -> tuple[float, float]:
    """Webhooks a second that the door accepts, and how many of their rows raw sqlite3 writes."""
    from synccore._app.app import App
    from synccore._daemon.sources import SourceWorker
    from synccore.types import WebhookRequest

    counts = [0] * SENDERS
    with App.open(folder / "synccore.toml", environ=dict(os.environ)) as app:
        worker = SourceWorker(app, app.sources["shop"])
        bodies = [json.dumps(person(n)).encode() for n in range(200_000)]
        worker.receive(WebhookRequest(method="POST", path="/", headers={}, body=bodies[-1]))
        end = time.perf_counter() + seconds

        def send(sender: int) -> None:
            for body in bodies[sender:-1:SENDERS]:
                worker.receive(WebhookRequest(method="POST", path="/", headers={}, body=body))
                counts[sender] += 1
                if time.perf_counter() >= end:
                    return

        began = time.perf_counter()
        _together(send)
        rate = sum(counts) / (time.perf_counter() - began)
    return rate, _same_rows(folder, min(seconds, 2.0))


def _same_rows(folder: Path, seconds: float) -> float:
    """The rows of a database, written into one with the same tables, indexes and triggers."""
    with closing(sqlite3.connect(folder / "bench.db")) as db:
        made = [
            sql
            for (sql,) in db.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' "
                "ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, rowid"
            )
        ]
        rows = {
            table: db.execute(f"SELECT * FROM {table} ORDER BY id LIMIT 50000").fetchall()  # noqa: S608  own names
            for table in ("snapshot", "delivery", "history")
        }
    writes = {table: f"INSERT INTO {table} VALUES ({', '.join('?' * len(some[0]))})" for table, some in rows.items()}  # noqa: S608
    with _raw(folder / "again.db") as db:
        for sql in made:
            db.execute(sql)
        taken, began = 0, time.perf_counter()
        while taken < len(rows["snapshot"]) and time.perf_counter() - began < seconds:
            db.execute("BEGIN IMMEDIATE")
            for table, statement in writes.items():
                db.executemany(statement, rows[table][taken : taken + SENDERS])
            db.execute("COMMIT")
            taken += SENDERS
    return taken / (time.perf_counter() - began)


# -- a daemon


@contextmanager
def daemon(count: int, address: str, python: Path = Path(sys.executable), sink: str = "") -> Iterator[Path]:
    """One that listens, in its directory; its shop lists so many."""
    ask(address, "POST", "/forget")
    with shop(count, address, PORT, sink) as directory, (directory / "said").open("w") as said:
        process = subprocess.Popen(ours("run", python=python), cwd=directory, env=environ(), stdout=said, stderr=said)
        try:
            _listening()
            yield directory
        finally:
            process.terminate()
            process.wait()


def flood(python: Path, seconds: float, address: str) -> tuple[float, float]:
    """Webhooks a second from senders that are answered at once, and seconds until the target has the last one."""
    with daemon(0, address, python):
        rate = sum(len(sent) for sent in _sent(seconds)) / seconds
        began, count = time.perf_counter(), round(rate * seconds)
        while ask(address, "GET", "/seen")["ids"] < count and time.perf_counter() - began < 30:
            time.sleep(0.05)
        return rate, time.perf_counter() - began


def webhooks(options: argparse.Namespace, address: str) -> Iterator[Line]:
    """Senders on kept connections: as fast as they are answered, and at half of that rate."""
    rate, late = flood(Path(sys.executable), options.seconds, address)
    yield Line("webhooks taken a second over HTTP / 500", f"{rate:.0f}/s", "500/s", rate / 500, 1.0, least=True)
    yield Line("all at the target, seconds after the last / 1", f"{late:.1f} s", "1 s", late, 1.0)
    with daemon(0, address):
        answered = sorted(one.answered for some in _sent(options.seconds, rate / 2) for one in some)
    median, p99 = 1000 * statistics.median(answered), 1000 * answered[len(answered) * 99 // 100]
    yield Line("answered at half that rate, p99 / median", f"{p99:.1f} ms", f"{median:.1f} ms", p99 / median, 5.0)


def steady(options: argparse.Namespace, address: str) -> Iterator[Line]:
    """A busy shop: how soon the target has it, also where changes wait for each other, and the same while a listing of
    ten times as many is delivered."""
    with daemon(0, address):
        quiet, _ = _delivered(options.seconds, address)
    with daemon(0, address, sink=f'linger = "{BATCHING}ms"'):
        batched, calls = _delivered(options.seconds, address)
    count = 10 * options.records
    with daemon(count, address) as directory:
        measured(ours("backfill", "shop", "--enqueue-only"), directory)
        while not ask(address, "GET", "/seen")["calls"]:
            time.sleep(0.05)
        busy, _ = _delivered(options.seconds, address)
    median, p99 = statistics.median(quiet), quiet[len(quiet) * 99 // 100]
    yield Line(
        f"{STEADY:.0f}/s to the target, median beyond the sink's {SINK_MS:.0f} ms / 15 ms",
        f"{median - SINK_MS:.0f} ms",
        "15 ms",
        (median - SINK_MS) / 15,
        1.0,
    )
    yield Line("the same, p99 / 60 ms", f"{p99 - SINK_MS:.0f} ms", "60 ms", (p99 - SINK_MS) / 60, 1.0)
    told = f"calls per 1,000 of them with {BATCHING} ms of linger (median {statistics.median(batched):.0f} ms) / 100"
    yield Line(told, f"{calls:.0f}", "100", calls / 100, 1.0)
    during = statistics.median(busy)
    told = f"median while {count:,} records are backfilled / without"
    yield Line(told, f"{during:.0f} ms", f"{median:.0f} ms", during / median, 2.0)


def _delivered(seconds: float, address: str) -> tuple[list[float], float]:
    """Milliseconds from sending to the target's having it, sorted; and calls for a thousand."""
    before = ask(address, "GET", "/seen")["calls"]
    sent = {one.id: one.at for some in _sent(seconds, STEADY) for one in some}
    end = time.perf_counter() + 30
    while not sent.keys() <= (there := ask(address, "GET", "/when")).keys():
        if time.perf_counter() > end:
            raise SystemExit("the target does not get what was sent")
        time.sleep(0.2)
    calls = ask(address, "GET", "/seen")["calls"] - before
    return sorted(1000 * (there[id_] - at) for id_, at in sent.items()), 1000 * calls / len(sent)


@frozen
class Sent:
    """A webhook: of which record, when, and after how many seconds it was answered."""

    id: str
    at: float
    answered: float


def _sent(seconds: float, rate: float | None = None) -> list[list[Sent]]:
    """What was answered 200, by sender: one after the other, or so many a second of all together."""
    sent: list[list[Sent]] = [[] for _ in range(SENDERS)]
    began = time.perf_counter()

    def send(sender: int) -> None:
        connection = HTTPConnection("127.0.0.1", PORT)
        for turn in range(1_000_000):
            number = turn * SENDERS + sender
            if rate is not None:
                time.sleep(max(began + number / rate - time.perf_counter(), 0))
            if time.perf_counter() - began >= seconds:
                break
            record = person(OWN + number)
            body, at, since = json.dumps(record).encode(), time.time(), time.perf_counter()
            connection.request("POST", "/hooks/shop", body)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            sent[sender].append(Sent(record["id"], at, time.perf_counter() - since))
        connection.close()

    _together(send)
    return sent


def _together(work: Callable[[int], None]) -> None:
    threads: Sequence[threading.Thread] = [threading.Thread(target=work, args=(n,)) for n in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _listening() -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            with closing(HTTPConnection("127.0.0.1", PORT, timeout=1)) as connection:
                connection.connect()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the daemon does not listen")


if __name__ == "__main__":
    assert sys.argv[1] == "--accept"
    print(json.dumps(_accept(Path(sys.argv[2]), float(sys.argv[3]))))
