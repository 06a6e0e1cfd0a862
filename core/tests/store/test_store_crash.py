"""kill -9 at any moment: what was acknowledged is there, and what was owed is delivered in the end."""

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from synccore._store.sqlite import open_sqlite
from synccore.store import ClaimRule, Settlement

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = [ClaimRule(route=r, max_batch=4, bulk_batch=4, bulk_threshold=99) for r in ("people", "facts")]

#: Ingests and delivers for ever; says on stdout what was acknowledged and what the target got, in that order.
WORKER = """
import itertools, sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from synccore.store import ClaimRule, DirtyRule, Ingest, LinkUpdate, Settlement
from synccore._store.sqlite import open_sqlite
from synccore.entities import Customer, Payment
from synccore.types import Change

path, start = Path(sys.argv[1]), int(sys.argv[2])
now = datetime(2026, 1, 1, tzinfo=UTC)
rules = {
    "customer": [DirtyRule(route="people", sink="crm", entity="customer")],
    "payment": [DirtyRule(route="facts", sink="crm", entity="payment")],
}
claims = [ClaimRule(route=r, max_batch=4, bulk_batch=4, bulk_threshold=99) for r in ("people", "facts")]
store = open_sqlite(path)
store.rescue(now, all_running=True)

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

for n in itertools.count(start):
    key = str(n % 7)
    customer = Customer(key=key, email=f"c{key}@shop.test", first_name=str(n))
    payment = Payment(key=f"p{n % 3}", succeeded=True, amount=Decimal(n), currency="EUR", at=now)
    store.ingest([Ingest(source="shop", rules=rules, changes=[
        Change(entity="customer", key=key, op="upsert", data=customer, version=n),
        Change(entity="payment", key=payment.key, op="event", event_id=f"e{n}", data=payment),
    ], cursor=("poll", str(n)))], now)
    say("accepted", n)
    batch = store.claim("crm", claims, now, timedelta(minutes=2), f"t{n}")
    settlements = []
    for work in store.load(batch):
        d = work.delivery
        say("target", d.route, d.key, d.event_id or work.snapshot.data.first_name)
        settlements.append(Settlement(delivery_id=d.id, token=d.lease_token, to="done", link=None if d.event_id else
            LinkUpdate(object="x", remote_id=d.key, fields={"name": work.snapshot.data.first_name})))
    store.settle(settlements, now)
    say("settled", n)
"""


def run_and_kill(path: Path, start: int, lines: int) -> list[list[str]]:
    """What the worker said until it was killed, at a line where it may be in the middle of anything."""
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(path), str(start)], stdout=subprocess.PIPE, text=True)
    said = [worker.stdout.readline().split() for _ in range(lines)]
    worker.kill()
    said += [line.split() for line in worker.communicate()[0].splitlines()]
    assert worker.returncode == -9
    return said


def test_kill_9_in_a_loop_loses_nothing_and_repeats_only_what_was_not_settled(tmp_path):
    chance = random.Random(7)
    path = tmp_path / "outbox.db"
    accepted = 0
    received: dict[tuple[str, str], list[str]] = {}
    for _ in range(8):
        for words in run_and_kill(path, accepted + 1, chance.randrange(3, 40)):
            if words[0] == "accepted":
                accepted = int(words[1])
            elif words[0] == "target":
                received.setdefault((words[1], words[2]), []).append(words[3])
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        with closing(open_sqlite(path)) as store:
            # One more than acknowledged may have been committed, never one less.
            stored = int(store.get_cursor("shop", "poll"))
            assert stored in (accepted, accepted + 1)
            accepted = stored
            for number in range(max(1, stored - 6), stored + 1):
                assert store.snapshot("shop", "customer", str(number % 7)).version == number
    with closing(open_sqlite(path)) as store:
        store.rescue(NOW, all_running=True)
        while batch := store.claim("crm", RULES, NOW, timedelta(minutes=2), "last"):
            for work in store.load(batch):
                d = work.delivery
                received.setdefault((d.route, d.key), []).append(d.event_id or work.snapshot.data.first_name)
            store.settle([Settlement(delivery_id=d.id, token="last", to="done") for d in batch], NOW)
        assert store.counts_by_sink()["crm"].ready == 0
        done = [d.event_id for d in store.deliveries(route="facts", state="done", limit=None)][::-1]
    for number in range(max(1, accepted - 6), accepted + 1):
        assert received["people", str(number % 7)][-1] == str(number)
    assert sorted(done) == sorted(f"e{n}" for n in range(1, accepted + 1))
    for (route, _), values in received.items():
        if route == "facts":
            # A crash before the settle sends the same fact again (with its idempotency key), never an older one later.
            numbers = [int(v[1:]) for v in values]
            assert numbers == sorted(numbers)
