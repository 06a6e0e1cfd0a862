"""What operators' commands cost in a large outbox: `uv run python benchmarks/commands.py [CUSTOMERS]`.

Fills a database with CUSTOMERS (500,000) that were delivered to one target and are owed to another, so twice as many
deliveries, some of them parked, and a line of history for each; then runs each command as a process of its own.
Prints seconds, processor seconds and megabytes, beside the same with a thousand. `db prune` deletes half of what is
final.
"""

import atexit
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from rig import Shop, Target, customer, open_app

from synccore._daemon.sources import SourceWorker
from synccore._verbs.status import status
from synccore._web.metrics import Metrics
from synccore.store import LinkUpdate

KNOWN = 1000
#: Of a thousand deliveries to `crm`; all others are done.
PARKED, READY = 10, 5


def seed(folder: Path) -> None:
    """A thousand customers, delivered to `crm` and owed to `news`."""
    with open_app(folder, Shop(KNOWN), {"crm": Target(), "news": Target()}) as app:
        SourceWorker(app, app.sources["shop"]).poll_all()
        del app.engine.lanes["news"]
        app.engine.drain()
        link = LinkUpdate(object="person", remote_id="r", fields={"email": "a@shop.test"})
        app.store.put_link("crm_customers", "shop", "customer", customer(0).key, link, app.clock.now())
    with closing(sqlite3.connect(folder / "synccore.db")) as db, db:
        spread = f"WHERE sink = 'crm' AND id / 2 % 1000 < {PARKED + READY}"  # ids of the two sinks alternate
        park = "state = 'parked', settled_at = NULL, error_kind = 'Rejected', error = 'no such picklist value'"
        db.execute(f"UPDATE delivery SET {park} {spread} AND id / 2 % 1000 < {PARKED}")  # noqa: S608
        db.execute(f"UPDATE delivery SET state = 'ready', settled_at = NULL {spread} AND state = 'done'")  # noqa: S608
        db.execute("UPDATE delivery SET settled_at = settled_at - 365 * 86400000 WHERE settled_at % 2 = 0")


def copy(path: Path, rows: int) -> None:
    """More of the same by copying: the same tables and indexes as by work, in less time."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA foreign_keys = OFF")
        for table in ("snapshot", "link", "delivery", "history"):
            names = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
            values = {n: f"t.{n}" for n in names} | {"key": "printf('%09d', t.key + n.value * :known)"}
            if "email" in values:
                values["email"] = "'customer' || (t.key + n.value * :known) || '@shop.test'"
            if table == "delivery":
                values["settled_at"] = "t.settled_at - (n.value % 2) * 365 * 86400000"
            if table == "history":
                values["at"] = "t.at - (n.value % 2) * 365 * 86400000"
            db.execute(
                "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < :times) "  # noqa: S608
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values[n] for n in names)} "
                f"FROM n CROSS JOIN {table} t",
                {"known": KNOWN, "times": rows // KNOWN - 1},
            )


def commands(rows: int) -> dict[str, list[str]]:
    """Name -> arguments of `synccore`."""
    key = customer(rows // 2).key
    return {
        "/metrics": ["metrics"],
        "status": ["status", "--json"],
        "deliveries list": ["deliveries", "list", "--json"],
        "deliveries list, parked": ["deliveries", "list", "--state", "parked", "--sink", "crm", "--json"],
        "deliveries list, ready": ["deliveries", "list", "--state", "ready", "--sink", "crm", "--json"],
        "log, newest": ["log", "--json"],
        "log --sink --since": ["log", "--sink", "crm", "--since", "1h", "--json"],
        "log --key": ["log", "--key", key, "--json"],
        "log --email": ["log", "--email", f"customer{rows // 2}@shop.test", "--json"],
        "verify": ["verify", "crm_customers", "--sample", "20", "--json"],
        "preview": ["preview", "news_customers", key, "--json"],
        "db prune": ["db", "prune"],
    }


def run(folder: Path, arguments: list[str]) -> str:
    """Seconds, processor seconds and peak megabytes of one command."""
    began = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "--command", str(folder), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        check=False,
    )
    took = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return f"{took:.2f} s {spent:7.2f} s {int(done.stderr.split()[-1]) / 1024:5.0f} MB"


def peak() -> str:
    """Kilobytes this process needed at most (`getrusage` would count the parent's before the fork)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("VmHWM:"))


def command(folder: Path, arguments: list[str]) -> int:
    """One command of the real command line, over an app that knows the made-up shop."""
    from synccore._app.app import App
    from synccore._cli import main as cli

    atexit.register(lambda: print(peak(), file=sys.stderr))
    with open_app(folder, Shop(KNOWN), {"crm": Target(), "news": Target()}) as app:
        if arguments == ["metrics"]:
            print(len(Metrics().page(status(app), app.calls)))
            return 0
        App.open = lambda *_args, **_values: app  # type: ignore[method-assign,assignment]
        App.look = lambda *_args, **_values: app  # type: ignore[method-assign,assignment]
        sys.argv = ["synccore", *arguments]
        cli()
    return 0


def main() -> None:
    """Fill, run and print."""
    if sys.argv[1:2] == ["--command"]:
        sys.exit(command(Path(sys.argv[2]), sys.argv[3:]))
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    with tempfile.TemporaryDirectory(prefix="commands-") as name:
        folders = {size: Path(name) / str(size) for size in (KNOWN, rows)}
        for size, folder in folders.items():
            folder.mkdir()
            seed(folder)
            copy(folder / "synccore.db", size)
        show(folders)


def show(folders: Mapping[int, Path]) -> None:
    """Run every command in each folder."""
    print(f"{'':24}" + "".join(f"{f'{size:,} customers':>30}" for size in folders))
    for what in commands(KNOWN):
        figures = [run(folder, commands(size)[what]) for size, folder in folders.items()]
        print(f"{what:24}" + "".join(f"{figure:>30}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
