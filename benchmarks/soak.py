"""A daemon at work for an hour: memory, open files and latency stay where they were.

uv run python benchmarks/soak.py [SECONDS]

A shop posts webhooks for SECONDS (3600), and after every third one the target answers with something it should not.
Prints a line per tenth of that time; the exit code is 1 where the last tenths need more than the first ones after the
start: a quarter more memory, more open files (four are left to chance), twice the median latency.
"""

import random
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "core/tests/daemon"))

from attrs import frozen
from rig import percentile
from test_daemon_hostile import Daemon, Enemy, faults

PARTS = 10
#: Between two webhooks: a busy shop's, so that an hour is no throughput test.
PAUSE = 0.05


@frozen
class Tenth:
    """What a tenth of the time needed: MB, open files of the process, seconds of the median webhook."""

    memory: float
    handles: int
    median: float


def lived(daemon: Daemon, seconds: float) -> Tenth:
    """Go on for so long."""
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        took.append(daemon.webhook("Ann"))
        if len(took) % 3 == 0:
            daemon.enemy.fail_next(daemon.chance.choice(faults()))
        time.sleep(PAUSE)
    handles = len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))
    middle, slow = (percentile(took, share) * 1000 for share in (0.5, 0.99))
    print(
        f"{len(took):6} webhooks, p50 {middle:.0f} ms, p99 {slow:.0f} ms, "
        f"{daemon.memory():.0f} MB, {handles} open files, {daemon.statuses.count(0)} without an answer",
        flush=True,
    )
    return Tenth(memory=daemon.memory(), handles=handles, median=statistics.median(took))


def main(seconds: float) -> int:
    """Run, and compare the end with the beginning."""
    with (
        Enemy() as enemy,
        tempfile.TemporaryDirectory() as folder,
        closing(Daemon(folder, enemy, random.Random(7))) as daemon,
    ):
        _start, *parts = [lived(daemon, seconds / PARTS) for _ in range(PARTS)]
        missed = sum(status != 200 for status in daemon.statuses)
        print(f"honest webhooks not taken: {missed}; ended in {daemon.end():.1f} s")
    first, last = parts[:3], parts[-3:]
    grown = []
    for what, most, spare in (("memory", 1.25, 0.0), ("handles", 1.0, 4.0), ("median", 2.0, 0.0)):
        before, after = max(getattr(p, what) for p in first), min(getattr(p, what) for p in last)
        if after > spare + most * before:
            grown.append(f"{what} grew from {before:.4g} to {after:.4g}")
    print(*grown or ["flat"], sep="\n")
    return 1 if grown or missed else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 3600))
