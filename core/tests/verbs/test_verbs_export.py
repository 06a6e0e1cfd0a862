"""`export` against the raw database: every row that names the person is in it, and nobody else's."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from decimal import Decimal

import pytest

from synccore._verbs.export import export
from synccore._verbs.forget import forget
from synccore._verbs.parts.documents import json_text
from synccore.entities import Order, Payment
from synccore.errors import Rejected
from synccore.store import Ingest
from synccore.testing import START, Harness, customer, upsert
from synccore.types import Change, EntityRef, Unreadable

EMAIL = "zelda.quux@export.test"
ROUTES = {
    "people": {
        "entity": "customer",
        "fields": {"email": "customer.email", "name": "customer.name", "tel": "customer.phone"},
    },
    "orders": {"entity": "order", "fields": {"number": "order.number", "who": "customer.name"}},
    "renewals": {"entity": "payment", "fields": {"what": "payment.currency"}},
}
#: Tables that hold no record of anybody, but settings, counts and what lanes are up to.
NOBODYS = {
    "_sqlite_migrations", "backfill", "cursor", "delivery_count", "hold", "lane", "secret", "snapshot_count", "sweep",
    "sqlite_sequence",
}  # fmt: skip


def order(key, owner, email=None):
    data = Order(
        key=key, number=f"N{key}", status="completed", currency="EUR", total=Decimal(5), email=email, created_at=START
    )
    return upsert(data, owner=owner)


def zelda(**more):
    return customer("77", email=EMAIL, first_name="Zelda", last_name="Quux", **more)


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, ROUTES, source_table={"entities": ["customer", "order", "payment"]}) as app:
        app.emit(zelda(), order("9001", "77"), order("9002", None, EMAIL))
        app.emit(customer("8", email="bob@shop.test", first_name="Bob", last_name="Other"), order("800", "8"))
        paid = Payment(key="p77", succeeded=False, amount=Decimal(5), currency="EUR", at=START)
        app.emit(
            Change(entity="payment", key="p77", op="event", data=paid, owner=EntityRef("customer", "77"), event_id="e1")
        )
        app.drain()
        # One row that is owed, one that is parked, a refusal of somebody else that quotes the person.
        app.sink.then(Rejected("too long"))
        app.emit(zelda(phone="+4930555017"))
        app.drain()
        app.sink.then(Rejected("the same person as Zelda Quux"))
        app.emit(customer("8", email="bob@shop.test", first_name="Robert", last_name="Other"))
        app.drain()
        app.emit(zelda(phone="+4930555018"))
        strange = Unreadable(where="page 7", reason="no date", entity="customer", key="77")
        hint = Change(entity="customer", key="77", op="touch")
        seen = (zelda(phone="+4930555018"), customer("9", email="cy@shop.test"))
        app.app.intake.submit(Ingest(source="shop", changes=seen, rules={}, sweep="s"))
        app.app.intake.submit(Ingest(source="shop", changes=(hint,), unreadable=(strange,), rules={}))
        state = app.app.store.state("crm")
        state.put({"person:r1": {"gone": False}, "asked": [EMAIL, "bob@shop.test"], "other": ["bob@shop.test"]})
        state.put({"jobs": {"j1": {"keys": ["shop:customer:77", "shop:customer:8"]}, "j2": {"keys": ["8"]}}})
        yield app


def raw(folder):
    """Table -> its rows, as whoever opens the file reads them."""
    with closing(sqlite3.connect(f"file:{folder}/synccore.db?mode=ro", uri=True)) as file:
        file.row_factory = sqlite3.Row
        tables = [r[0] for r in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [dict(r) for r in file.execute(f"SELECT * FROM {name}")] for name in tables}  # noqa: S608


def keys_of(rows):
    return sorted((r["source"], r["entity"], r["key"]) for r in rows)


SECTIONS = {
    "snapshot": "records", "event": "events", "link": "links", "link_archive": "archived_links",
    "delivery": "deliveries", "history": "history", "hint": "hints", "unreadable": "unreadable",
    "sweep_seen": "comparisons",
}  # fmt: skip
THEIRS = {("customer", "77"), ("order", "9001"), ("order", "9002"), ("payment", "p77")}


def test_every_row_of_the_person_is_there_and_no_other(app, tmp_path):
    document = export(app.app, EMAIL)
    tables = raw(tmp_path)
    assert set(tables) - NOBODYS == {*SECTIONS, "event_route", "plugin_state", "tombstone", "awaited"}, "a new table"
    for table, section in SECTIONS.items():
        theirs = [row for row in tables[table] if (row["entity"], row["key"]) in THEIRS]
        assert keys_of(document[section]) == keys_of(theirs), table
        assert theirs or table == "link_archive", f"the test says nothing of {table}"
    assert document["records"][0]["data"]["phone"] == "+4930555018"
    text = json_text(document)
    assert "bob@shop.test" not in text
    assert "Robert" not in text


def test_every_column_is_there_as_it_is_stored(app, tmp_path):
    document, tables = export(app.app, EMAIL), raw(tmp_path)
    for table, section in SECTIONS.items():
        for shown in document[section]:
            own = [r for r in tables[table] if all(r[n] == shown[n] for n in ("source", "entity", "key"))]
            [row] = [r for r in own if r.get("id") == shown.get("id") and r.get("route") == shown.get("route")][:1]
            left = {n for n, v in row.items() if v is not None and n not in shown}
            assert left <= {"lease_token", "fingerprint", "made_from"}, table


def test_what_plugins_remember_is_cut_to_the_person(app):
    found = {row["key"]: row["value"] for row in export(app.app, EMAIL)["plugin_state"] if row["namespace"] == "crm"}
    assert found == {
        "person:r1": {"gone": False},
        "asked": [EMAIL],
        "jobs": {"j1": {"keys": ["shop:customer:77"]}},
    }


def test_what_was_said_of_others_and_names_them_is_there(app):
    mentions = export(app.app, EMAIL)["mentions"]
    assert {m["table"] for m in mentions} == {"history", "delivery"}
    assert all("Zelda Quux" in m["text"] for m in mentions)


def test_after_forget_only_the_day_is_left(app):
    app.advance(timedelta(minutes=1))
    forget(app.app, EMAIL)
    document = export(app.app, EMAIL)
    assert [row["at"] for row in document.pop("forgotten")] == [app.clock.now()]
    assert {name for name, rows in document.items() if rows} == {"email", "exported_at", "plugin_state"}
