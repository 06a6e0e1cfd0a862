"""`db copy` from a file to a server and back; what arrived is counted by each database's own means."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from synccore._store.sqlite import open_sqlite
from synccore._verbs.copy import copy
from synccore.entities import Customer, Payment
from synccore.errors import ConfigError
from synccore.store import ClaimRule, DirtyRule, Ingest, LinkUpdate, Settlement
from synccore.store.copying import TABLES
from synccore.types import Change
from synccore_postgres.engine import PostgresStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = {"customer": [DirtyRule(route="people", sink="crm", entity="customer")]}
CLAIMS = [ClaimRule(route="people", max_batch=7, bulk_batch=7, bulk_threshold=99)]


def fill(store, number=20):
    changes = [
        Change(entity="customer", key=str(n), op="upsert", data=Customer(key=str(n), email=f"ä{n}@x.test"))
        for n in range(number)
    ]
    paid = Payment(key="p", succeeded=True, amount=None, currency="EUR", at=NOW)
    changes.append(Change(entity="payment", key="p", op="event", event_id="e", data=paid))
    store.ingest([Ingest(source="shop", changes=changes, rules=RULES)], NOW)
    for delivery in store.claim("crm", CLAIMS, NOW, NOW - NOW.replace(year=2025), "t"):
        link = LinkUpdate(object="Contact", remote_id=f"r{delivery.key}", fields={"a": 1}, sink="crm")
        store.settle([Settlement(delivery_id=delivery.id, token="t", to="done", link=link)], NOW)
    store.put_secret("crm/token", "cipher\0text", NOW)
    store.state("klaviyo:crm").put({"x": {"y": [1, None]}})


def rows_of(path):
    with closing(sqlite3.connect(path)) as db:
        return {
            table: sorted(map(repr, db.execute(f"SELECT * FROM {table}").fetchall()))  # noqa: S608  constants
            for table in TABLES
        }


def test_there_and_back_all_is_the_same_and_goes_on(server, tmp_path):
    with (
        closing(open_sqlite(tmp_path / "a.db")) as file,
        closing(PostgresStore(server.url(), own_clock=False)) as postgres,
        closing(open_sqlite(tmp_path / "b.db")) as back,
    ):
        fill(file)
        file.delete_secret("crm/token")
        assert copy(file, postgres, "a.db").rows["snapshot"] == 20
        copy(postgres, back, "there")
        claimed = postgres.claim("crm", CLAIMS, NOW, NOW - NOW.replace(year=2025), "u")
        assert [d.key for d in claimed] == [str(n) for n in range(7, 14)]
        fill(postgres, 30)  # new rows get numbers of their own
        assert len(postgres.deliveries(limit=None)) == 30
    assert rows_of(tmp_path / "a.db") == rows_of(tmp_path / "b.db")


def test_a_copy_that_was_broken_off_goes_on_and_one_of_another_is_refused(server, tmp_path):
    with (
        closing(open_sqlite(tmp_path / "a.db")) as file,
        closing(PostgresStore(server.url(), own_clock=False)) as postgres,
    ):
        fill(file)
        put, pages = type(postgres).put_page, []

        def breaking(table, rows):
            pages.append(table)
            if table == "delivery":
                raise KeyboardInterrupt
            put(postgres, table, rows)

        postgres.put_page = breaking
        with pytest.raises(KeyboardInterrupt):
            copy(file, postgres, "a.db")
        del postgres.put_page
        with pytest.raises(ConfigError, match=r"copy of a\.db into the target was begun"):
            copy(file, postgres, "b.db")
        # Links come after records: a daemon would make everybody anew.
        with pytest.raises(ConfigError, match=r"only a part .* a copy of a\.db"):
            postgres.must_be_whole()
        assert copy(file, postgres, "a.db").rows["delivery"] == 20
        postgres.must_be_whole()
        with pytest.raises(ConfigError, match="not empty"):
            copy(file, postgres, "a.db")


def test_nothing_is_copied_while_a_daemon_runs_and_a_difference_is_found(server, tmp_path):
    with (
        closing(open_sqlite(tmp_path / "a.db")) as file,
        closing(PostgresStore(server.url(), own_clock=False)) as postgres,
    ):
        fill(file)
        with postgres.daemon_lock(), pytest.raises(ConfigError, match="stop it first"):
            copy(file, postgres, "a.db")
        put = type(postgres).put_page

        def losing(table, rows):
            put(postgres, table, rows[1:] if table == "link" else rows)

        postgres.put_page = losing
        with pytest.raises(ConfigError, match="link differs after the copy"):
            copy(file, postgres, "a.db")
