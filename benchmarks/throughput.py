"""What the whole engine does per second, and whether that and its memory stay the same with more customers.

Run by hand: `uv run python benchmarks/throughput.py [--sizes 1000,20000] [--profile]`. A real SQLite file, the Jinja
mapper with fifteen fields, a target in memory that takes 200 at a time. Each size runs in a process of its own. Times
depend on the machine and on what else it does; processor time per record and the ratio of the largest size to the
smallest mean something. `--sizes 1000,20000,200000` takes some five minutes more.
"""

import argparse
import cProfile
import json
import pstats
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from rig import Shop, Target, customer, open_app, percentile, resident

from synccore._app.app import App
from synccore._daemon.sources import SourceWorker
from synccore._ingest.rules import rules_of
from synccore.store import Ingest

#: What is done to every record, and the name of its work.
PARTS = (
    "first listing",
    "delivery",
    "second backfill, listing",
    "second backfill, skipping",
    "reconcile, all unchanged",
)
ROWS = (
    *((part, "records/s") for part in PARTS),
    *((part, "processor µs/record") for part in PARTS),
    ("memory added", "MB"),
    ("live change alone, median", "ms"),
    ("live change during backfill, median", "ms"),
    ("live change during backfill, p95", "ms"),
)


def timed(size: int, work: Callable[[], object]) -> tuple[float, float]:
    """Records per second, and microseconds of processor time per record, of work on all of them."""
    began, spent = time.perf_counter(), time.process_time()
    work()
    return size / (time.perf_counter() - began), (time.process_time() - spent) / size * 1e6


def list_all(app: App, kind: str) -> Callable[[], None]:
    """A listing as a command makes it, without delivering."""
    worker = SourceWorker(app, app.sources["shop"])

    def work() -> None:
        if kind == "poll":
            assert worker.poll_all()
            return
        worker.run_job(app.store.queue_backfill(kind, "shop", "customer", {}, None, app.clock.now()))

    return work


def live(app: App, target: Target, first: int, rounds: int, busy: Callable[[], bool], pause: float) -> list[float]:
    """Milliseconds from a webhook's arrival to the target's having it, one after the other while `busy`."""
    rules = rules_of(app.routes.values(), "shop")
    arrived = threading.Event()
    times: list[float] = []
    for number in range(first, first + rounds):
        change = customer(number, version=2)
        arrived.clear()
        target.seen = lambda operation, key=change.key: operation.key == key and not operation.bulk and arrived.set()
        began = time.perf_counter()
        app.intake.submit(Ingest(source="shop", changes=[change], rules=rules))
        assert arrived.wait(30), "a live change never arrived"
        if not busy():
            break
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(pause)
    target.seen = None
    return times


def latency(app: App, target: Target, size: int) -> tuple[list[float], list[float]]:
    """Live changes with nothing else to do, and while a backfill of everything is listed and delivered."""
    target.takes = timedelta(milliseconds=20)
    app.engine.start()
    try:
        alone = live(app, target, size * 2, 20, lambda: True, 0.3)
        # New keys, so that the backfill has something to deliver.
        app.sources["shop"].instance.size = size + min(size, 20_000)
        listing = threading.Thread(target=list_all(app, "backfill"))
        listing.start()

        def busy() -> bool:
            return listing.is_alive() or app.store.counts_by_sink()["crm"].ready > 0

        during = live(app, target, size * 3, 400, busy, 0.05)
        app.engine.halt()
        listing.join()
    finally:
        app.engine.stop(timedelta(seconds=10))
    return alone, during


def measure(size: int, folder: Path) -> dict[str, float]:
    """All figures of one size."""
    target = Target()
    with open_app(folder, Shop(size), {"crm": target}) as app:
        before = resident()
        work = (
            list_all(app, "poll"),
            app.engine.drain,
            list_all(app, "backfill"),
            app.engine.drain,
            list_all(app, "reconcile"),
        )
        found: dict[str, float] = {}
        for part, one in zip(PARTS, work, strict=True):
            found[f"{part}, records/s"], found[f"{part}, processor µs/record"] = timed(size, one)
        assert target.operations == size, "something was lost, or sent twice"
        found["memory added, MB"] = resident() - before
        alone, during = latency(app, target, size)
        found["live change alone, median, ms"] = percentile(alone, 0.5)
        found["live change during backfill, median, ms"] = percentile(during, 0.5)
        found["live change during backfill, p95, ms"] = percentile(during, 0.95)
    return found


def profile(size: int, folder: Path) -> None:
    """Where the time goes, per part."""
    with open_app(folder, Shop(size), {"crm": Target()}) as app:
        parts: dict[str, Callable[[], Any]] = {
            "first listing": list_all(app, "poll"),
            "delivery": app.engine.drain,
            "second backfill, listing": list_all(app, "backfill"),
            "second backfill, skipping": app.engine.drain,
        }
        for name, work in parts.items():
            profiler = cProfile.Profile()
            profiler.runcall(work)
            print(f"\n== {name}")
            pstats.Stats(profiler).sort_stats("tottime").print_stats(28)


def in_own_process(size: int) -> dict[str, float]:
    """The figures of one size, measured where no other size left its traces."""
    done = subprocess.run([sys.executable, __file__, "--one", str(size)], stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", default="1000,20000", help="numbers of customers, smallest first")
    parser.add_argument("--profile", action="store_true", help="show where the time goes for the first size instead")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        if given.one:
            print(json.dumps(measure(given.one, Path(folder))))
            return
        if given.profile:
            profile(sizes[0], Path(folder))
            return
    found = {size: in_own_process(size) for size in sizes}
    print(f"{'':46}" + "".join(f"{f'{size:,}':>12}" for size in sizes) + f"{'ratio':>8}")
    for part, unit in ROWS:
        name = f"{part}, {unit}"
        values = [found[size][name] for size in sizes]
        print(f"{name:46}" + "".join(f"{value:12,.1f}" for value in values) + f"{values[-1] / values[0]:8.2f}")


if __name__ == "__main__":
    main()
