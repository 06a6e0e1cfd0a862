"""This core beside an earlier one, in one run: whether a change of the house made anything slower.

Run by hand: `uv run python benchmarks/before.py --commit REV` (two minutes; `--rounds 5` for figures to quote). Each
core is installed from its commit into an environment of its own. Both drive the same shop and target (see peers.py) in
turns; processor time is user and system of whole commands, the least of the rounds.
"""

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import live
import stage

COMMANDS = ("--help", "status", "log", "deliveries list")


def installed(commit: str, keep: Path) -> Path:
    """The Python that has core as it was in a commit, and nothing else."""
    git = shutil.which("git") or "git"
    commit = subprocess.check_output([git, "rev-parse", "--short", commit], text=True).strip()
    home = keep / f"core-{commit}"
    python = home / "venv" / "bin" / "python"
    if not python.exists():
        print(f"installing core of {commit} into {home} ...", file=sys.stderr)
        told = subprocess.run([git, "archive", commit, "core"], check=True, capture_output=True)
        with tarfile.open(fileobj=io.BytesIO(told.stdout)) as archive:
            archive.extractall(home, filter="data")
        subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", str(home / "core")], check=True)
    return python


def in_turns(
    pythons: tuple[Path, Path], rounds: int, run: Callable[[Path], tuple[float, ...]]
) -> list[tuple[float, float]]:
    """The least of each figure for both."""
    found = [[run(python) for python in pythons] for _ in range(rounds)]
    now, before = ([min(figures) for figures in zip(*(r[side] for r in found), strict=True)] for side in (0, 1))
    return list(zip(now, before, strict=True))


def jobs(python: Path, count: int, address: str) -> tuple[float, ...]:
    """Processor seconds of the first and the second backfill."""
    return tuple(cost.processor for cost in stage.backfills(count, address, python))


def commands(python: Path, address: str) -> tuple[float, ...]:
    """Processor seconds of what a person waits for."""
    with stage.shop(10, address) as directory:
        stage.measured(stage.ours("backfill", "shop", python=python), directory)
        return tuple(stage.measured(stage.ours(*w.split(), python=python), directory).processor for w in COMMANDS)


def webhooks(python: Path, seconds: float, address: str) -> tuple[float, ...]:
    """Seconds for a thousand webhooks, sent as fast as they are taken, until the target has the last one."""
    rate, late = live.flood(python, seconds, address)
    return (1000 * (seconds + late) / (rate * seconds),)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", required=True, help="the earlier one")
    parser.add_argument("--now", default="HEAD", help="the later one")
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long webhooks are sent")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "synccore-peers")
    options = parser.parse_args()
    pythons = (installed(options.now, options.keep), installed(options.commit, options.keep))
    began = time.perf_counter()
    with stage.plugin(), stage.target() as address:
        names = [
            "first backfill",
            "second backfill",
            *COMMANDS,
            "1,000 webhooks, to the target",
        ]
        pairs = in_turns(pythons, options.rounds, lambda python: jobs(python, options.records, address))
        pairs += in_turns(pythons, options.rounds, lambda python: commands(python, address))
        pairs += in_turns(pythons, options.rounds, lambda python: webhooks(python, options.seconds, address))
    print(f"| {options.records} records | {options.now} | {options.commit} | ratio |\n| --- | --- | --- | --- |")
    for name, (now, before) in zip(names, pairs, strict=True):
        print(f"| {name} | {now:.2f} s | {before:.2f} s | {now / before:.2f} |")
    print(f"\n{time.perf_counter() - began:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
