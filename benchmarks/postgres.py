"""What several daemons on one PostgreSQL bring, and what the outbox costs there.

    uv run python benchmarks/postgres.py [--records 2000] [--rows 10000,100000,1000000] [--daemons 1,2,4]

Three tables of ratios, each within one run on one machine: records a second with one, two and four processes against a
target that takes a second for a call; a claim and settle of ten with so many rows open; SQLite beside PostgreSQL. The
server is started for it (`synccore_postgres.testing.Server`), on the same cores as the daemons: so more daemons show
what waiting they spread, and not what a server of its own would take. Takes minutes, most of them to write a million
rows; `--parts daemons`, `rows` or `engines` runs one table.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from outbox import CLAIM, NOW, RULES, listing, unit

from synccore._store.sqlite import open_sqlite
from synccore.store import ClaimRule, HistoryEntry, LinkUpdate, Settlement, Store
from synccore_postgres.engine import PostgresStore
from synccore_postgres.testing import Server

#: Seconds that a call of the slow target takes, how many records go in one, and how many calls a daemon makes at once.
CALL, BATCH, AT_ONCE = 1.0, 20, 4
ROUNDS, WARM = 100, 20


def settled(delivery_id: int, key: str, token: str, *, again: bool = False) -> Settlement:
    """Delivered, with its link and a line of the trail."""
    place = {"route": "people", "sink": "crm", "source": "shop", "entity": "customer", "key": key}
    return Settlement(
        delivery_id=delivery_id,
        token=token,
        to="done",
        link=LinkUpdate(object="contact", remote_id=key, fields={"name": key}),
        history=HistoryEntry(at=NOW, **place, op="upsert", outcome="delivered", remote_id=key),
        owes=tuple(RULES["customer"]) if again else (),
    )


# -- daemons


def deliver(url: str, name: str) -> None:
    """One process: lanes that claim, wait for the target and settle, until nothing is left."""
    from concurrent.futures import ThreadPoolExecutor

    claim = [ClaimRule(route="people", max_batch=BATCH, bulk_batch=BATCH, bulk_threshold=10_000)]

    def lane(number: int) -> None:
        turn = 0
        while True:
            token, turn = f"{name}-{number}-{turn}", turn + 1
            batch = store.claim("crm", claim, datetime.now(UTC), timedelta(minutes=5), token)
            if not batch:
                return
            store.load(batch)
            time.sleep(CALL)
            store.settle([settled(d.id, d.key, token) for d in batch], datetime.now(UTC))

    with closing(PostgresStore(url)) as store, ThreadPoolExecutor(AT_ONCE) as pool:
        print("ready", flush=True)
        sys.stdin.readline()
        for done in [pool.submit(lane, number) for number in range(AT_ONCE)]:
            done.result()


#: What an outbox takes on disk, indexes included.
SIZE = """
SELECT sum(pg_total_relation_size(oid))::bigint AS bytes FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
"""


def together(server: Server, records: int, daemons: int) -> tuple[float, float]:
    """Records a second, and the bytes that each took on disk: record, link, delivery, a line of history, indexes."""
    url = server.url()
    with closing(PostgresStore(url)) as store:
        listing(store, records)
        words = [sys.executable, __file__, "--deliver", url]
        processes = [
            subprocess.Popen([*words, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for n in range(daemons)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        began = time.perf_counter()
        for process in processes:
            # All begin before any is waited for.
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            process.communicate()
            assert process.returncode == 0
        took = time.perf_counter() - began
        assert store.counts_by_sink()["crm"].done == records
        return records / took, store.one(SIZE)["bytes"] / records


# -- the outbox


def multiply(store: PostgresStore, known: int, rows: int) -> None:
    """More open rows by copying the first `known`."""
    with store.writing() as tx:
        for table in ("snapshot", "delivery"):
            # What its triggers count row by row is set at the end: as one transaction that takes time squared.
            tx.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            columns = tx.execute(
                "SELECT column_name AS name FROM information_schema.columns WHERE table_schema = current_schema() "
                "AND table_name = :name AND column_name <> 'id' ORDER BY ordinal_position",
                {"name": table},
            )
            names = [row["name"] for row in columns]
            values = ", ".join("lpad(n::text, 9, '0')" if name == "key" else f"t.{name}" for name in names)
            tx.execute(
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} "  # noqa: S608  own names
                f"FROM generate_series({known}, {rows - 1}) n "
                f"JOIN {table} t ON t.key = lpad((n % {known})::text, 9, '0')"
            )
            tx.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            tx.execute(f"UPDATE {table}_count SET rows = rows + ?", (rows - known,))  # noqa: S608  own names
        tx.execute("ANALYZE snapshot, delivery")


def costs(store: Store) -> tuple[float, float]:
    """Median milliseconds of a claim and of a settle of ten; what is settled is owed again, so the number stays."""
    claims, settles = [], []
    for turn in range(WARM + ROUNDS):
        now, token = NOW + timedelta(seconds=turn), f"t{turn}"
        began = time.perf_counter()
        batch = store.claim("crm", CLAIM, now, timedelta(minutes=2), token)
        claims.append(time.perf_counter() - began)
        began = time.perf_counter()
        store.settle([settled(d.id, d.key, token, again=True) for d in batch], now)
        settles.append(time.perf_counter() - began)
    return statistics.median(claims[WARM:]) * 1000, statistics.median(settles[WARM:]) * 1000


def webhook(store: Store) -> float:
    """Median milliseconds until a webhook of its own is durable."""
    times = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        store.ingest([unit(range(5_000_000 + number, 5_000_001 + number))], NOW)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def beside(server: Server, known: int) -> None:
    """SQLite and PostgreSQL, the same work."""
    found: list[list[float]] = []
    with tempfile.TemporaryDirectory(prefix="outbox-") as folder:
        engines: Sequence[Callable[[], Store]] = (
            lambda: open_sqlite(Path(folder) / "a.db"),
            lambda: PostgresStore(server.url(), own_clock=False),
        )
        for engine in engines:
            with closing(engine()) as store:
                page = 500_000 / listing(store, known)
                found.append([page, *costs(store), webhook(store)])
    print(f"\n{'median, ms':32}{'SQLite':>12}{'PostgreSQL':>14}{'ratio':>8}")
    names = ("a page of 500 taken in", "claim of 10", "settle of 10", "a webhook alone")
    for name, mine, theirs in zip(names, *found, strict=True):
        print(f"{name:32}{mine:12.2f}{theirs:14.2f}{theirs / mine:8.2f}")


def spread(server: Server, records: int, daemons: Sequence[int]) -> None:
    """Several daemons against a slow target."""
    print(f"{'daemons':>8}{'records/s':>12}{'to one':>8}")
    first = size = 0.0
    for number in daemons:
        rate, size = together(server, records, number)
        first = first or rate
        print(f"{number:>8}{rate:>12,.0f}{rate / first:>8.2f}", flush=True)
    print(f"a customer of one target takes {size:,.0f} bytes on disk")


def grown(server: Server, sizes: Sequence[int]) -> None:
    """A claim and settle of ten, however many rows are open."""
    print(f"\n{'rows open':>12}{'claim, ms':>12}{'ratio':>8}{'settle, ms':>12}{'ratio':>8}")
    base: tuple[float, float] | None = None
    for rows in sizes:
        with closing(PostgresStore(server.url(), own_clock=False)) as store:
            known = min(rows, 5000)
            listing(store, known)
            multiply(store, known, rows)
            claim, settle = costs(store)
        base = base or (claim, settle)
        ratios = claim / base[0], settle / base[1]
        print(f"{rows:>12,}{claim:>12.2f}{ratios[0]:>8.2f}{settle:>12.2f}{ratios[1]:>8.2f}", flush=True)


def numbers(text: str) -> list[int]:
    """`1,2,4`."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--parts", choices=("all", "daemons", "rows", "engines"), default="all")
    parser.add_argument("--daemons", type=numbers, default=[1, 2, 4])
    parser.add_argument("--rows", type=numbers, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--deliver", nargs=2, metavar=("URL", "NAME"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.deliver:
        deliver(*asked.deliver)
        return
    with closing(Server()) as server:
        if asked.parts in ("all", "daemons"):
            spread(server, asked.records, asked.daemons)
        if asked.parts in ("all", "rows"):
            grown(server, asked.rows)
        if asked.parts in ("all", "engines"):
            beside(server, 2000)


if __name__ == "__main__":
    main()
