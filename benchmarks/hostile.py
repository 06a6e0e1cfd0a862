"""A daemon among hostile targets and strangers: how webhooks, memory and its end bear it.

uv run python benchmarks/hostile.py [SECONDS] [ENDS]

For SECONDS (600) a target answers with five hundred things it should not, strangers send broken bodies, headers and
half requests, and an honest shop posts webhooks. Prints their latency beside that of a quiet daemon, its memory, and
how long ENDS (10) further daemons took to end on a SIGTERM at a random moment of the same.
"""

import random
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "core/tests/daemon"))

from rig import percentile
from test_daemon_hostile import Daemon, Enemy

#: Webhooks of the quiet time; the first ones are not counted.
QUIET, FIRST = 400, 50


def main(seconds: float, ends: int) -> None:
    """Measure and print."""
    chance = random.Random(7)
    with Enemy() as enemy:
        with tempfile.TemporaryDirectory() as folder, closing(Daemon(folder, enemy, chance)) as daemon:
            quiet = [daemon.webhook("Ann") for _ in range(QUIET)][FIRST:]
            calm = daemon.memory()
            among, most = [], calm
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                among.append(daemon.among_enemies())
                most = max(most, daemon.memory())
            for name, times in (("quiet", quiet), ("hostile", among)):
                shares = ", ".join(f"p{s * 100:g} {percentile(times, s) * 1000:.0f} ms" for s in (0.5, 0.99))
                print(f"webhooks, {name}: {len(times)}, {shares}, longest {max(times) * 1000:.0f} ms")
            refused = sum(s != 200 for s in daemon.statuses)
            print(f"honest webhooks not taken: {refused}; requests at the target: {len(enemy.requests)}")
            print(f"memory: {calm:.0f} MB quiet, at most {most:.0f} MB, {daemon.memory():.0f} MB at the end")
            print(f"SIGTERM after {seconds:g} s: ended in {daemon.end():.1f} s")
        took = []
        for _ in range(ends):
            with tempfile.TemporaryDirectory() as folder, closing(Daemon(folder, enemy, chance)) as daemon:
                end = time.monotonic() + chance.uniform(0, 6)
                while time.monotonic() < end:
                    daemon.among_enemies()
                took.append(daemon.end())
        if took:
            print(f"SIGTERM at {ends} random moments: ended in {min(took):.1f} to {max(took):.1f} s")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 600, int(sys.argv[2]) if len(sys.argv) > 2 else 10)
