"""`forget` against the bytes: whoever reads the files with an editor finds nothing of the person."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from synccore._verbs.forget import forget
from synccore.entities import Address, Order
from synccore.errors import Rejected, Transient
from synccore.store import Ingest, StoreError
from synccore.testing import Harness, customer, upsert
from synccore.types import Unreadable

EMAIL = "zelda.quux@forget.test"
#: What only this person has, as a record and as a target may quote it.
TRACES = ("zelda", "quux", "4930555017", "wobblestreet", "remote-note-77")
ROUTES = {
    "people": {
        "entity": "customer",
        "fields": {"email": "customer.email", "name": "customer.name", "street": "customer.billing.line1"},
    },
    "orders": {"entity": "order", "fields": {"who": "customer.name", "total": "order.total"}},
}


def person(number, name="Zelda"):
    billing = Address(line1=f"{number} Wobblestreet", city="Köln", country="DE", phone="+49 30 555017")
    return customer(
        "77",
        email=EMAIL,
        first_name=name,
        last_name="Quux",
        phone="+4930555017",
        billing=billing,
        raw={"note": "remote-note-77", "n": number, "filler": f"zelda {number} " * 300},
    )


def other(number):
    return customer(str(1000 + number), email=f"p{number}@shop.test", first_name="Bob", last_name="Other")


def order(number):
    return upsert(
        Order(key=f"9{number}", number=str(number), status="processing", currency="EUR", total=Decimal(5), email=EMAIL),
        owner="77",
    )


def traces(folder):
    """Each trace with the file that holds it, as text or as UTF-16."""
    found = set()
    for path in Path(folder).rglob("*"):
        if path.is_file():
            held = path.read_bytes().lower()
            found |= {(path.name, t) for t in TRACES if t.encode() in held or t.encode("utf-16-le") in held}
    return sorted(found)


def live_of(app):
    """Deliver, change, park, wait in a job, quote: everything that leaves bytes behind."""
    for number in range(30):
        app.emit(person(number), other(number))
        app.drain()
    app.emit(order(1), order(2))
    app.drain()
    app.sink.then(Rejected("duplicate of Zelda Quux, 99 Wobblestreet"))
    app.emit(person(99))
    app.drain()
    # Somebody else's refusal quotes this person: no value of the refused record's own.
    app.sink.then(Rejected("the same as ZELDA QUUX, 99 Wobblestreet, 0049 30 555017"), Transient("ask Zelda Quux"))
    app.emit(other(50))
    app.drain()
    app.emit(other(51))
    app.drain()
    strange = Unreadable(where="page 7", reason="no date: Zelda Quux", entity="customer", key="77")
    app.app.intake.submit(Ingest(source="shop", changes=(), unreadable=(strange,), rules=()))


def test_no_byte_of_the_person_stays(tmp_path):
    with Harness(tmp_path, ROUTES) as app:
        live_of(app)
        assert {t for _, t in traces(tmp_path)} == set(TRACES), "the test does not see what is there"
        assert forget(app.app, EMAIL).complete
        assert traces(tmp_path) == []
        assert [e.error for e in app.history(key="1050") if e.error] != [], "somebody else's trail went too"
    assert traces(tmp_path) == []


def test_what_could_not_be_overwritten_is_said_and_a_second_run_ends_it(tmp_path, monkeypatch):
    with Harness(tmp_path, ROUTES) as app:
        live_of(app)

        def held(*_):
            raise StoreError("another program reads the database: close it")

        with monkeypatch.context() as patch:
            patch.setattr(app.app.store, "scrub", held)
            result = forget(app.app, EMAIL)
        assert not result.complete
        assert ["close it" in e.note for e in result.pending] == [True]
        assert traces(tmp_path) != []
        assert forget(app.app, EMAIL).complete
        assert traces(tmp_path) == []


def test_a_file_from_before_deleted_rows_were_overwritten_is_written_anew_once(tmp_path):
    with Harness(tmp_path, ROUTES) as app:
        live_of(app)
    with closing(sqlite3.connect(tmp_path / "synccore.db", isolation_level=None)) as old:
        old.execute("PRAGMA secure_delete = OFF")
        old.execute("PRAGMA user_version = 0")
        old.execute("UPDATE history SET error = NULL, note = NULL")
        old.execute("UPDATE snapshot SET data = replace(data, 'wobblestreet', 'x')")
    with Harness(tmp_path, ROUTES) as app:
        assert traces(tmp_path) != []
        assert forget(app.app, EMAIL).complete
        assert traces(tmp_path) == []
        before = (tmp_path / "synccore.db").stat().st_size
        app.emit(other(70))
        app.drain()
        assert forget(app.app, "p1070@shop.test").complete
        assert (tmp_path / "synccore.db").stat().st_size >= before, "written anew a second time"
