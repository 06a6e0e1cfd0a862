"""What the comparisons of `peers.py` share: a shop and a target in processes of their own, and lines of its table."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

PEERS = Path(__file__).parent / "peers"
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
{sink}
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
    #: Of the target meanwhile.
    calls: int = 0


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
        process = subprocess.Popen(command, cwd=directory, env=environ(), stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        assert process.returncode == 0, (command, said.read()[-500:])
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024)


def environ() -> dict[str, str]:
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


def ask(address: str, method: str, path: str) -> dict[str, Any]:
    """The target's own count, or when it had what (`/when`)."""
    connection = HTTPConnection(address.removeprefix("http://"))
    connection.request(method, path)
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found


@contextmanager
def shop(count: int, address: str, port: int = 0, sink: str = "") -> Iterator[Path]:
    """A directory with a configuration; `sink` are further lines of the sink's."""
    with tempfile.TemporaryDirectory(prefix="synccore-peers-") as name:
        (Path(name) / "synccore.toml").write_text(
            SETTINGS.format(count=count, target=address, port=port or 18491, sink=sink)
        )
        yield Path(name)


def least(rounds: int, run: Callable[[], Cost]) -> Cost:
    """The round that was disturbed least."""
    return min((run() for _ in range(rounds)), key=lambda c: c.processor)


def backfills(count: int, address: str, python: Path = Path(sys.executable)) -> tuple[Cost, Cost]:
    """The first one, and a second where nothing changed; the target tells that it has all."""
    ask(address, "POST", "/forget")
    with shop(count, address) as directory:
        first = measured(ours("backfill", "shop", python=python), directory)
        told = ask(address, "GET", "/seen")
        assert told["ids"] == count, told
        second = measured(ours("backfill", "shop", python=python), directory)
        more = ask(address, "GET", "/seen")["calls"] - told["calls"]
    return evolve(first, calls=told["calls"]), evolve(second, calls=more)
