"""What persons see and do: lists, counts, retry, dismiss, forget, verify, links, and the small things kept."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from synccore._store.sqlite import SqliteStore
from synccore.entities import guest_key
from synccore.store import StoreError, UnderWay, email_digest


def test_forgetting_a_person_leaves_only_hashes(desk):
    mail = "ada@shop.test"
    guest = guest_key(mail)
    desk.take(desk.customer(guest, email=mail, guest=True), desk.order("o0", guest, email=mail))
    desk.deliver_all()
    desk.take(desk.customer("1", "Zebedee", email=mail, replaces=(guest,)), desk.payment("e1", owner="1"))
    desk.take(desk.order("o9", None, email=mail), desk.customer("2", email="b@shop.test"))
    running = desk.claim()[0]
    with pytest.raises(UnderWay):
        desk.store.forget(mail, email_digest(mail), desk.now)
    links = desk.store.forget("Ada@Shop.test", email_digest(mail), desk.now + timedelta(hours=1))
    assert sorted((link.route, link.key) for link in links) == [("orders", "o0"), ("people", "1")]
    assert desk.store.snapshot("shop", "customer", "1") is None
    assert [s.key for s in desk.store.snapshots("shop", "customer")] == ["2"]
    assert desk.rows() == ["people 2 upsert running"]
    assert {h.key for h in desk.store.history()} == {"2"}
    assert not desk.settle(running, link=desk.link("late"))
    assert desk.store.links("people") == desk.store.links("orders") == []
    desk.store.scrub()
    stored = b"".join(p.read_bytes() for p in desk.path.parent.glob("outbox.db*") if p.is_file())
    assert mail.encode() not in stored
    assert b"Zebedee" not in stored
    assert guest.encode() not in stored


def test_what_a_reader_keeps_from_being_overwritten_is_said(tmp_path):
    with closing(SqliteStore(tmp_path / "outbox.db", busy_timeout=0.01)) as store:
        store.state("x").put({"a": "b"})
        with closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM plugin_state").fetchall()
            store.state("x").put({"a": "c"})
            with pytest.raises(StoreError, match="close that program"):
                store.scrub()
        store.scrub()
