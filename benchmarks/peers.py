"""synccore beside others that move the same records, and beside what it promises, in one run and one table of ratios.

Run by hand: `uv run python benchmarks/peers.py` (a few minutes; `--records 10000 --rounds 5 --rows 1000000` for figures
to quote, `--parts jobs,webhooks` for some of it). Everybody gets the same made-up customers and the same target on
loopback (20 ms a call, 200 records in one). The peer, dlt, is installed into an environment of its own the first time
(`--keep DIR`, else below the temporary directory). Processor time is user and system of whole commands, start-up
included, the least of some rounds; what it says on a busy machine is the ratio.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import live
import vendors
from stage import PEERS, Cost, Line, ask, backfills, least, measured, ours, plugin, shop, target

DLT = "dlt==1.31.0"
#: Records whose peaks of memory are compared.
FLAT = (10_000, 100_000)
#: Records in one call of the target, at most.
BATCH = 200
BARE = "import click\n@click.command()\ndef bare(): pass\nbare(['--help'])"


def installed(keep: Path) -> Path:
    """The peer's Python, installed where it is not yet."""
    python = keep / "dlt" / "bin" / "python"
    if not python.exists():
        print(f"installing {DLT} into {keep} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(keep / "dlt")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", DLT], check=True)
    return python


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
    yield Line("memory, one sink / 80 MB", f"{first.memory:.1f} MB", "80 MB", first.memory / 80, 1.0)
    most = max(r[0].calls for r in runs)
    fewest = -(-count // BATCH)
    yield Line("calls, first backfill / least", f"{most}", f"{fewest}", most / fewest, 1.05)
    more = max(r[1].calls for r in runs)
    yield Line("calls, second backfill", f"{more}", "0", more, 0.0)


def memory(_: argparse.Namespace, address: str) -> Iterator[Line]:
    """The peak where the caches are full, and with ten times as many records."""
    some, many = (backfills(count, address)[0].memory for count in FLAT)
    told = f"memory, {FLAT[1]:,} records / {FLAT[0]:,}"
    yield Line(told, f"{many:.1f} MB", f"{some:.1f} MB", many / some, 1.1)


def commands(options: argparse.Namespace, address: str) -> Iterator[Line]:
    """What a person waits for, beside a bare click program."""
    with shop(10, address) as directory:
        measured(ours("backfill", "shop"), directory)
        bare = least(5, lambda: measured([sys.executable, "-c", BARE], directory)).processor
        limits = {"--help": 1.5, "--version": 1.5, "status": 5.8, "log": 5.8, "deliveries list": 5.8}
        for words, limit in limits.items():
            took = least(5, lambda words=words: measured(ours(*words.split()), directory)).processor
            yield Line(f"synccore {words} / click", f"{took:.2f} s", f"{bare:.2f} s", took / bare, limit)


PARTS: dict[str, Callable[[argparse.Namespace, str], Iterator[Line]]] = {
    "jobs": jobs,
    "memory": memory,
    "calls": vendors.calls,
    "outbox": vendors.outbox,
    "bulk": vendors.bulk,
    "commands": commands,
    "accepted": live.accepted,
    "webhooks": live.webhooks,
    "steady": live.steady,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long webhooks are sent")
    parser.add_argument("--rows", type=int, default=100_000, help="deliveries owed, for claim and settle")
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
