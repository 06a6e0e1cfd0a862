"""synccore beside others that move the same records, in one run and one table of ratios.

Run by hand: `uv run python benchmarks/peers.py` (under a minute; `--records 10000 --rounds 5` for figures to quote).
Everybody gets the same made-up customers and the same target on loopback (20 ms a call, 200 records in one). The peer,
dlt, is installed into an environment of its own the first time (`--keep DIR`, else below the temporary directory).
Processor time is user and system of whole commands, start-up included, the least of some rounds; what it says on a busy
machine is the ratio.
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from attrs import frozen

PEERS = Path(__file__).parent / "peers"
DLT = "dlt==1.31.0"
SENDERS = 8
BARE = "import click\n@click.command()\ndef bare(): pass\nbare(['--help'])"
SETTINGS = """
[synccore]
database = "bench.db"
[server]
listen = "127.0.0.1:{port}"
[sources.shop]
type = "bench"
count = {count}
poll = "24h"
[sinks.crm]
type = "bench"
url = "{target}"
[routes.people]
source = "shop"
entity = "customer"
sink = "crm"
object = "person"
"""


@frozen
class Cost:
    """What a command took: processor seconds, seconds, megabytes at its peak."""

    processor: float
    wall: float
    memory: float


@frozen
class Line:
    """A line of the table; `limit` is what the ratio may be at most (at least, where `least`)."""

    what: str
    ours: str
    beside: str
    ratio: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.ratio >= self.limit if self.least else self.ratio <= self.limit


def measured(command: list[str], directory: Path) -> Cost:
    """As the operating system counts it, of the command and of what it waited for."""
    began = time.perf_counter()
    with (directory / "said").open("w+") as said:
        process = subprocess.Popen(command, cwd=directory, env=_environ(), stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        assert process.returncode == 0, (command, said.read()[-500:])
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024)


def _environ() -> dict[str, str]:
    """Bytecode is kept, as with anything installed: what is measured is no compiler."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(PEERS), "SYNCCORE_PLUGINS": "bench_shop"}


def ours(*words: str, python: Path = Path(sys.executable)) -> list[str]:
    """A synccore command, of the package that is installed beside this script (or for that Python)."""
    return [str(python.with_name("synccore")), *words]


@contextmanager
def plugin() -> Iterator[None]:
    """Make the shop known as an installed plugin for as long as the benchmark runs."""
    told = PEERS / "bench_shop-0.dist-info"
    told.mkdir(exist_ok=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-shop\nVersion: 0\n")
    (told / "entry_points.txt").write_text("[synccore]\nbench_shop = bench_shop\n")
    try:
        yield
    finally:
        shutil.rmtree(told)


@contextmanager
def target() -> Iterator[str]:
    """The target's address."""
    process = subprocess.Popen([sys.executable, str(PEERS / "target.py")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


def ask(address: str, method: str, path: str) -> dict[str, int]:
    """The target's own count."""
    connection = HTTPConnection(address.removeprefix("http://"))
    connection.request(method, path)
    found: dict[str, int] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def installed(keep: Path) -> Path:
    """The peer's Python, installed where it is not yet."""
    python = keep / "dlt" / "bin" / "python"
    if not python.exists():
        print(f"installing {DLT} into {keep} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(keep / "dlt")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", DLT], check=True)
    return python


@contextmanager
def shop(count: int, address: str, port: int = 0) -> Iterator[Path]:
    """A directory with a configuration."""
    with tempfile.TemporaryDirectory(prefix="synccore-peers-") as name:
        (Path(name) / "synccore.toml").write_text(SETTINGS.format(count=count, target=address, port=port or 18491))
        yield Path(name)


def least(rounds: int, run: Callable[[], Cost]) -> Cost:
    """The round that was disturbed least."""
    return min((run() for _ in range(rounds)), key=lambda c: c.processor)


def backfills(count: int, address: str, python: Path = Path(sys.executable)) -> tuple[Cost, Cost]:
    """The first one, and a second where nothing changed; the target tells whether they did what they should."""
    ask(address, "POST", "/forget")
    with shop(count, address) as directory:
        first = measured(ours("backfill", "shop", python=python), directory)
        told = ask(address, "GET", "/seen")
        assert told["ids"] == count, told
        assert told["calls"] <= 1.05 * -(-count // 200), told
        second = measured(ours("backfill", "shop", python=python), directory)
        assert ask(address, "GET", "/seen")["calls"] == told["calls"]
    return first, second


def with_dlt(python: Path, count: int, address: str) -> Cost:
    """The peer's whole run."""
    ask(address, "POST", "/forget")
    with tempfile.TemporaryDirectory(prefix="synccore-peers-") as name:
        taken = measured([str(python), str(PEERS / "with_dlt.py"), str(count), address, name], Path(name))
    assert ask(address, "GET", "/seen")["ids"] == count
    return taken


def jobs(options: argparse.Namespace, address: str) -> Iterator[Line]:
    """Whole runs over all records."""
    python, count = installed(options.keep), options.records
    runs = [(*backfills(count, address), with_dlt(python, count, address)) for _ in range(options.rounds)]
    first, second, peer = (min((r[i] for r in runs), key=lambda c: c.processor) for i in range(3))
    thousand = 1000 / count

    def per(taken: Cost) -> str:
        return f"{taken.processor * thousand:.3f} s per 1,000"

    yield Line("processor time, first backfill / dlt", per(first), per(peer), first.processor / peer.processor, 1.0)
    yield Line(
        "seconds, first backfill / dlt", f"{first.wall:.1f} s", f"{peer.wall:.1f} s", first.wall / peer.wall, 1.0
    )
    yield Line("second backfill / first", per(second), per(first), second.processor / first.processor, 0.5)
    small, _ = backfills(count // 4, address)
    grown = first.memory / small.memory
    yield Line("memory, all / a quarter", f"{first.memory:.0f} MB", f"{small.memory:.0f} MB", grown, 1.1)


def commands(options: argparse.Namespace, address: str) -> Iterator[Line]:
    """What a person waits for, beside a bare click program."""
    with shop(10, address) as directory:
        measured(ours("backfill", "shop"), directory)
        bare = least(5, lambda: measured([sys.executable, "-c", BARE], directory)).processor
        limits = {"--help": 1.5, "--version": 1.5, "status": 5.8, "log": 5.8, "deliveries list": 5.8}
        for words, limit in limits.items():
            took = least(5, lambda words=words: measured(ours(*words.split()), directory)).processor
            yield Line(f"synccore {words} / click", f"{took:.2f} s", f"{bare:.2f} s", took / bare, limit)


def group_commits(seconds: float) -> float:
    """Rows a second that raw sqlite3 makes durable, as many in a commit as there are senders."""
    text = json.dumps({"text": "x" * 330})
    with tempfile.TemporaryDirectory() as name:
        db = sqlite3.connect(Path(name) / "raw.db", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE taken (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        rows, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO taken (body) VALUES (?)", [(text,)] * SENDERS)
            db.execute("COMMIT")
            rows += SENDERS
        db.close()
    return rows / seconds


def flood(python: Path, seconds: float, address: str) -> tuple[float, float]:
    """Webhooks a second from senders that are answered at once, and seconds until the target has the last one."""
    port = 18492
    with shop(0, address, port) as directory, (directory / "said").open("w") as said:
        daemon = subprocess.Popen(ours("run", python=python), cwd=directory, env=_environ(), stdout=said, stderr=said)
        try:
            _listening(port)
            rate = _sent(port, seconds)
            began, count = time.perf_counter(), round(rate * seconds)
            while ask(address, "GET", "/seen")["ids"] < count and time.perf_counter() - began < 30:
                time.sleep(0.05)
            return rate, time.perf_counter() - began
        finally:
            daemon.terminate()
            daemon.wait()


def webhooks(options: argparse.Namespace, address: str) -> Iterator[Line]:
    """Senders on kept connections, as fast as they are answered."""
    ask(address, "POST", "/forget")
    raw = group_commits(2)
    rate, late = flood(Path(sys.executable), options.seconds, address)
    yield Line("webhooks taken / raw group commit", f"{rate:.0f}/s", f"{raw:.0f}/s", rate / raw, 0.5, least=True)
    yield Line("webhooks taken a second / 500", f"{rate:.0f}/s", "500/s", rate / 500, 1.0, least=True)
    yield Line("all at the target, seconds after the last", f"{late:.1f} s", "1 s", late, 1.0)


def _listening(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            HTTPConnection("127.0.0.1", port, timeout=1).connect()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the daemon does not listen")


def _sent(port: int, seconds: float) -> float:
    """How many a second were answered 200."""
    sys.path.insert(0, str(PEERS))
    from people import person

    counts, end = [0] * SENDERS, time.perf_counter() + seconds

    def send(sender: int) -> None:
        connection = HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < end:
            body = json.dumps(person(counts[sender] * SENDERS + sender)).encode()
            connection.request("POST", "/hooks/shop", body)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            counts[sender] += 1

    threads = [threading.Thread(target=send, args=(n,)) for n in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


PARTS: dict[str, Callable[[argparse.Namespace, str], Iterator[Line]]] = {
    "jobs": jobs,
    "commands": commands,
    "webhooks": webhooks,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long webhooks are sent")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "synccore-peers")
    parser.add_argument("--parts", default=",".join(PARTS))
    options = parser.parse_args()
    options.keep.mkdir(exist_ok=True)
    print("| measure | synccore | beside | ratio | target | |\n| --- | --- | --- | --- | --- | --- |")
    with plugin(), target() as address:
        for part in options.parts.split(","):
            for line in PARTS[part](options, address):
                sign = ">=" if line.least else "<="
                print(
                    f"| {line.what} | {line.ours} | {line.beside} | {line.ratio:.2f} | {sign} {line.limit} "
                    f"| {'' if line.met else 'not met'} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
