"""What the outbox costs: run by hand with `uv run python benchmarks/outbox.py [ROWS]`.

Compares within one run, on one machine and disk: a claim and settle with 10 and with ROWS (1,000,000) open rows, and
webhooks committed one by one, ten at a time and a hundred at a time. The ratios mean something, the times little.
"""

import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from synccore._store.sqlite import SqliteStore, open_sqlite
from synccore.entities import Customer
from synccore.store import ClaimRule, DirtyRule, Ingest, LinkUpdate, Settlement, Store
from synccore.types import Change

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = {"customer": [DirtyRule(route="people", sink="crm", entity="customer")]}
CLAIM = [ClaimRule(route="people", max_batch=10, bulk_batch=10, bulk_threshold=1000)]
ROUNDS = 200


def change(number: int) -> Change:
    """A customer of about a kilobyte, as shops have them."""
    data = Customer(
        key=f"{number:09}",
        email=f"customer{number}@shop.test",
        first_name="Ada",
        last_name=f"Number {number}",
        raw={"text": "x" * 800},
    )
    return Change(entity="customer", key=data.key, op="upsert", data=data, version=number)


def unit(numbers: range, *, bulk: bool = False) -> Ingest:
    """A page of a listing, or one webhook."""
    return Ingest(source="shop", changes=[change(n) for n in numbers], rules=RULES, bulk=bulk)


def listing(store: Store, rows: int) -> float:
    """Changes per second of a first listing in pages of 500."""
    began = time.perf_counter()
    for first in range(0, rows, 500):
        store.ingest([unit(range(first, min(first + 500, rows)), bulk=True)], NOW)
    return rows / (time.perf_counter() - began)


def copy(path: Path, known: int, rows: int) -> None:
    """More open rows by copying the first `known`: the same tables and indexes as by ingest, in less time."""
    with closing(sqlite3.connect(path)) as db, db:
        for table in ("snapshot", "delivery"):
            names = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
            values = ", ".join("printf('%09d', n.value)" if name == "key" else f"t.{name}" for name in names)
            db.execute(
                f"WITH RECURSIVE n(value) AS (SELECT ? UNION ALL SELECT value + 1 FROM n WHERE value < ?) "  # noqa: S608
                f"INSERT INTO {table} ({', '.join(names)}) "
                f"SELECT {values} FROM n JOIN {table} t ON t.id = n.value % ? + 1 WHERE n.value < ?",
                (known, rows - 1, known, rows),
            )


def work(store: SqliteStore) -> tuple[float, float]:
    """Median milliseconds of a claim and of a settle of ten; what is settled is owed again, so the number stays."""
    claims, settles = [], []
    for turn in range(ROUNDS):
        now = NOW + timedelta(seconds=turn)
        began = time.perf_counter()
        batch = store.claim("crm", CLAIM, now, timedelta(minutes=2), f"t{turn}")
        claims.append(time.perf_counter() - began)
        again = tuple(RULES["customer"])
        settled = [
            Settlement(
                delivery_id=d.id,
                token=f"t{turn}",
                to="done",
                link=LinkUpdate(object="contact", remote_id=d.key, fields={"name": d.key}),
                owes=again,
            )
            for d in batch
        ]
        began = time.perf_counter()
        store.settle(settled, now)
        settles.append(time.perf_counter() - began)
    return statistics.median(claims) * 1000, statistics.median(settles) * 1000


def look(store: SqliteStore) -> float:
    """Median milliseconds of what an idle lane and a dashboard ask."""
    times = []
    for _ in range(50):
        began = time.perf_counter()
        store.due("crm", NOW, 10)
        store.next_due("crm")
        store.counts_by_sink()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def webhooks(store: SqliteStore, group: int, first: int) -> float:
    """Webhooks per second when `group` of them share a commit."""
    count = 600
    began = time.perf_counter()
    for start in range(first, first + count, group):
        store.ingest([unit(range(n, n + 1)) for n in range(start, start + group)], NOW)
    return count / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="outbox-") as folder:
        few, many = (open_sqlite(Path(folder) / name) for name in ("few.db", "many.db"))
        listing(few, 10)
        known = min(rows, 10_000)
        print(f"first listing: {listing(many, known):,.0f} changes/s")
        copy(Path(folder) / "many.db", known, rows)
        print(f"{'':24}{'10 open':>12}{f'{rows:,} open':>18}{'ratio':>8}")
        asked = ((look(few), look(many)),)
        for name, (a, b) in zip(
            ("claim of 10, ms", "settle of 10, ms", "due + next + counts, ms"),
            (*zip(work(few), work(many), strict=True), *asked),
            strict=True,
        ):
            print(f"{name:24}{a:12.2f}{b:18.2f}{b / a:8.2f}")
        alone = 0.0
        for number, group in enumerate((1, 10, 100)):
            rate = webhooks(few, group, 1_000_000 + number * 1000)
            alone = alone or rate
            print(f"group commit of {group:3}: {rate:8,.0f} webhooks/s, {rate / alone:5.1f} times one by one")
        few.close()
        many.close()


if __name__ == "__main__":
    main()
