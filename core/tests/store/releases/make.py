"""Keeps a database as the code at hand leaves it: `uv run python core/tests/store/releases/make.py`.

It is named after the newest migration, has rows in every state, and is never made again: databases that older code
wrote are what has to open, whatever the code says now. To be run once with each new migration, by the release. It
writes down as well what a new file begins with (`synccore/_store/_today.py`).
"""

import re
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from synccore._store import _today, schema
from synccore._store.sqlite import open_sqlite
from synccore.entities import Customer, Payment
from synccore.store import ClaimRule, DirtyRule, Ingest, LinkUpdate, Settlement
from synccore.types import Change, EntityRef

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULES = {
    "customer": [DirtyRule(route="people", sink="crm", entity="customer")],
    "payment": [DirtyRule(route="facts", sink="crm", entity="payment")],
}


def customer(key, name="Ada"):
    data = Customer(key=key, first_name=name, email=f"c{key}@shop.test")
    return Change(entity="customer", key=key, op="upsert", data=data)


def payment(event):
    data = Payment(key="p", succeeded=False, amount=Decimal(5), currency="EUR", at=NOW, reason=event)
    owner = EntityRef("customer", "1")
    return Change(entity="payment", key="p", op="event", event_id=event, data=data, owner=owner)


def fill(store):
    """Customer 1 delivered and owed again, 2 parked, 3 in a job, 4 claimed, 5 owed; event e1 told, e2 owed."""

    def take(*changes, **unit):
        store.ingest([Ingest(source="shop", changes=changes, rules=RULES, **unit)], NOW)

    def claim(route, batch=10):
        rule = ClaimRule(route=route, max_batch=batch, bulk_batch=100, bulk_threshold=1000)
        return store.claim("crm", [rule], NOW, timedelta(minutes=2), f"token {len(route)} {batch}")

    def settle(row, to, **values):
        assert not store.settle([Settlement(delivery_id=row.id, token=row.lease_token, to=to, **values)], NOW)

    take(customer("1"), payment("e1"))
    for route in ("people", "facts"):
        for row in claim(route):
            link = LinkUpdate(object="thing", remote_id="R-1", fields={"name": "Ada"}) if route == "people" else None
            settle(row, "done", link=link)
    take(customer("2"), customer("3"))
    parked, submitted = claim("people", 2)
    settle(parked, "parked", error_kind="rejected", error="no", counted=True)
    settle(submitted, "submitted", job="J")
    take(customer("4"))
    claim("people", 1)
    take(customer("1", "Ida"), customer("5"), payment("e2"), cursor=("poll:customer", "7"))


def today():
    """The tables as the migrations leave them."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(schema.SCHEMA)
        made = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        statements = "".join(f"{sql};\n" for (sql,) in db.execute(made))
    into = Path(_today.__file__)
    told = into.read_text(encoding="utf-8").partition('TODAY = """')
    into.write_text(f'{told[0]}{told[1]}\n{statements}"""\n', encoding="utf-8")


def main():
    today()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outbox.db"
        with closing(open_sqlite(path)) as store:
            fill(store)
        with closing(sqlite3.connect(path)) as db:
            (newest,) = db.execute("SELECT max(name) FROM _sqlite_migrations").fetchone()
            lines = [re.sub(r"'20\d\d-[^']*\+00:00'", "'2026-01-01'", line) for line in db.iterdump()]
            version = db.execute("PRAGMA user_version").fetchone()[0]
    into = Path(__file__).with_name(f"{newest}.sql")
    into.write_text("\n".join([*lines, f"PRAGMA user_version = {version};", ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
