"""An account that is at the target gets the address of a guest who is there too: one person, once."""

from datetime import timedelta

import pytest
from attrs import evolve

from synccore.entities import Customer, guest_key
from synccore.errors import RateLimited, Rejected, Transient
from synccore.testing import Harness, customer, upsert

ROUTES = {"people": {"entity": "customer", "fields": {"email": "customer.email", "name": "customer.first_name"}}}
MAIL = "gina@shop.test"
GUEST = guest_key(MAIL)
WAITS = "waits until the record that took its place, and what hung on it, is delivered"


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, ROUTES) as app:
        app.emit(upsert(Customer(key=GUEST, email=MAIL, guest=True)), customer("7", email="old@shop.test"))
        app.drain()
        app.sink.calls.clear()
        yield app


def gets_the_address(app):
    app.emit(upsert(Customer(key="7", email=MAIL, first_name="Gina"), replaces=(GUEST,)))


def told(app):
    return [(o.op, o.key) for call in app.sink.calls for o in call]


def test_it_is_there_once_and_the_account_goes_first(app):
    gets_the_address(app)
    app.settle_down()
    assert told(app) == [("upsert", "7"), ("delete", GUEST)]
    assert list(app.sink.records.values()) == [{"email": MAIL, "name": "Gina"}]
    assert app.app.store.link("people", "shop", "customer", GUEST) is None


def test_the_guest_stays_as_long_as_the_account_has_trouble_and_says_why(app):
    slow = RateLimited("slow", retry_after=timedelta(minutes=3), scope="operation")
    app.sink.always(lambda o: slow if o.key == "7" else None)
    gets_the_address(app)
    app.advance(timedelta(minutes=1))
    assert {key for _, key in told(app)} == {"7"}
    (row,) = [d for d in app.deliveries(key=GUEST) if d.op == "delete"]
    assert row.error == WAITS
    app.sink.always(None)
    app.settle_down()
    assert told(app)[-1] == ("delete", GUEST)


def test_a_target_that_makes_one_of_both_loses_nothing(app):
    there = app.app.store.link("people", "shop", "customer", GUEST).remote_id
    deliver = app.sink.deliver
    app.sink.deliver = lambda operations: [evolve(outcome, remote_id=there) for outcome in deliver(operations)]
    gets_the_address(app)
    app.settle_down()
    assert told(app) == [("upsert", "7")]
    assert app.app.store.link("people", "shop", "customer", "7").remote_id == there
    assert app.app.store.link("people", "shop", "customer", GUEST) is None
    assert app.history()[-1].note == "the record that took its place is the same one at the target"


def test_what_a_lost_create_of_the_account_made_stays_its_own(app):
    def carried_out_and_lost(operation):
        app.sink.records["mine"] = dict(operation.fields)
        app.sink.uids[operation.uid] = "mine"
        return Transient("no answer", maybe_applied=True)

    app.sink.then(carried_out_and_lost)
    app.emit(customer("8", email="eight@shop.test"))
    app.drain()
    app.emit(upsert(Customer(key="8", email=MAIL, first_name="Gina"), replaces=(GUEST,)))
    app.settle_down()
    assert app.sink.records["mine"] == {"email": MAIL, "name": "Gina"}
    assert sorted(r["email"] for r in app.sink.records.values()) == [MAIL, "old@shop.test"]


def test_on_the_guests_twin_an_account_without_an_answer_knows_what_stands_there(app):
    """They moved on at once: else the guest's address would stay there as one that somebody else wants."""
    there = app.app.store.link("people", "shop", "customer", GUEST).remote_id
    app.sink.then(Transient("no answer", maybe_applied=True))
    app.emit(customer("8", email="eight@shop.test"))
    app.drain()
    app.sink.uids.pop("shop:customer:8", None)
    app.emit(
        upsert(Customer(key="8", email=MAIL, first_name="Gina"), replaces=(GUEST,)),
        customer("8", email="moved@shop.test"),
    )
    app.settle_down()
    (last,) = [o for call in app.sink.calls for o in call if o.fields.get("email") == "moved@shop.test"]
    assert (last.link.remote_id, last.link.mapped["email"]) == (there, MAIL)


@pytest.mark.parametrize("trouble", ["late", "parked"])
def test_what_bears_the_guests_mark_still_and_is_the_accounts_by_now_is_not_deleted(app, trouble):
    """A change of the guest got no answer, so its end asks the target first, ahead of an account that has trouble."""
    app.sink.then(Transient("no answer", maybe_applied=True))
    app.emit(upsert(Customer(key=GUEST, email=MAIL, first_name="Gina", guest=True)))
    app.drain()
    late = RateLimited("slow", retry_after=timedelta(minutes=3), scope="operation")
    app.sink.always(lambda o: (late if trouble == "late" else Rejected("no")) if o.key == "8" else None)
    app.emit(upsert(Customer(key="8", email=MAIL, first_name="Gina", last_name="Eight"), replaces=(GUEST,)))
    app.advance(timedelta(minutes=1))
    assert {op for op, _ in told(app)} == {"upsert"}
    there = app.app.store.link("people", "shop", "customer", "8").remote_id
    app.sink.always(None)
    app.emit(upsert(Customer(key="8", email=MAIL, first_name="Gin", last_name="Eight"), replaces=(GUEST,)))
    app.settle_down()
    assert {op for op, _ in told(app)} == {"upsert"}
    assert app.sink.records[there] == {"email": MAIL, "name": "Gin"}
    assert len(app.sink.records) == 2


def test_a_guest_who_is_one_again_is_not_deleted(app):
    app.emit(
        upsert(Customer(key="7", email=MAIL, first_name="Gina"), replaces=(GUEST,)),
        customer("7", email="new@shop.test", first_name="Gina"),
        upsert(Customer(key=GUEST, email=MAIL, guest=True)),
    )
    app.settle_down()
    assert {op for op, _ in told(app)} == {"upsert"}
    assert sorted(r["email"] for r in app.sink.records.values()) == [MAIL, "new@shop.test"]


def test_who_gets_the_guests_address_from_the_account_waits_for_both(app):
    app.emit(customer("8", email="eight@shop.test"))
    app.drain()
    app.sink.calls.clear()
    gets_the_address(app)
    app.emit(customer("7", email="new@shop.test", first_name="Gina"))
    app.emit(customer("8", email=MAIL))
    app.settle_down()
    assert told(app) == [("upsert", "7"), ("delete", GUEST), ("upsert", "8")]


@pytest.mark.parametrize("another", [False, True], ids=["two", "three"])
def test_where_addresses_go_round_over_a_guest_nobody_waits_for_ever(app, another):
    app.emit(customer("8", email="eight@shop.test"), customer("9", email="nine@shop.test"))
    app.drain()
    app.sink.calls.clear()
    gets_the_address(app)
    app.emit(customer("8", email=MAIL))
    if another:
        app.emit(customer("9", email="eight@shop.test"))
    app.emit(customer("7", email="nine@shop.test" if another else "eight@shop.test", first_name="Gina"))
    app.settle_down()
    assert app.deliveries(state="ready") == []
    assert len(app.sink.records) == 3
