"""An address goes from one record to another, and a target that finds people by it has one record for both.

Whoever has it now waits until whoever gave it up is delivered with what they have instead, and so do the facts of
both: a target that makes people of facts would tell them of, or make, somebody else.
"""

from datetime import timedelta

import pytest
from attrs import evolve

from synccore.entities import Payment
from synccore.errors import RateLimited, Rejected, Transient
from synccore.store import email_digest
from synccore.testing import Harness, customer
from synccore.testing.scripted import ScriptedSink, scripted_type
from synccore.types import Change, Delivered, EntityRef

ROUTES = {
    "people": {"entity": "customer", "fields": {"email": "customer.email", "name": "customer.first_name"}},
    "facts": {"entity": "payment", "fields": {"email": "payment.email"}},
}
WAITS = "waits until the record that had this address before is delivered with what it has instead"


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, ROUTES) as app:
        app.emit(customer("1", email="anna@shop.test"), customer("2", email="bob@shop.test"))
        app.drain()
        app.sink.calls.clear()
        yield app


def told(app):
    return [(o.op, o.key, o.fields.get("email")) for call in app.sink.calls for o in call]


def is_refused(app, *keys):
    slow = RateLimited("slow", retry_after=timedelta(minutes=3), scope="operation")
    app.sink.always(lambda o: slow if o.key in keys else None)


def payment(app, owner, email):
    data = Payment(key=f"p{owner}", succeeded=True, amount=5, currency="USD", at=app.clock.now(), email=email)
    return Change(
        entity="payment", key=data.key, op="event", data=data, event_id=data.key, owner=EntityRef("customer", owner)
    )


def test_who_registers_with_an_address_comes_after_whoever_gave_it_up(app):
    # In one batch, the newer account first.
    app.emit(customer("7", email="Anna@shop.test"))
    app.emit(customer("1", email="ann@new.test"))
    app.follow()
    app.settle_down()
    assert told(app) == [("upsert", "1", "ann@new.test"), ("upsert", "7", "Anna@shop.test")]


def test_it_waits_as_long_as_that_has_trouble_and_says_why(app):
    is_refused(app, "1")
    app.emit(customer("1", email="ann@new.test"))
    app.drain()
    app.emit(customer("7", email="anna@shop.test"))
    app.advance(timedelta(minutes=1))
    assert "7" not in {key for _, key, _ in told(app)}
    (row,) = app.deliveries(key="7")
    assert row.error == WAITS
    app.sink.always(None)
    app.settle_down()
    assert [key for _, key, _ in told(app)][-2:] == ["1", "7"]


def test_who_changes_to_an_address_waits_as_well(app):
    is_refused(app, "1")
    app.emit(customer("1", email="ann@new.test"))
    app.drain()
    app.emit(customer("2", email="anna@shop.test"))
    app.drain()
    assert {key for _, key, _ in told(app)} == {"1"}
    app.sink.always(None)
    app.settle_down()
    assert [key for _, key, _ in told(app)][-2:] == ["1", "2"]


def test_a_change_of_something_else_waits_for_nobody(app):
    is_refused(app, "1")
    app.emit(customer("1", email="ann@new.test"))
    app.drain()
    app.emit(customer("2", email="bob@shop.test", first_name="Bob"))
    app.drain()
    assert told(app)[-1] == ("upsert", "2", "bob@shop.test")


@pytest.mark.parametrize("ring", [("1", "2"), ("1", "2", "3")], ids=["two", "three"])
def test_addresses_that_go_round_wait_for_nobody(app, ring):
    mails = [f"m{n}@shop.test" for n in ring]
    app.emit(*(customer(n, email=mail) for n, mail in zip(ring, mails, strict=True)))
    app.settle_down()
    app.sink.calls.clear()
    app.emit(*(customer(n, email=mail) for n, mail in zip(ring, mails[1:] + mails[:1], strict=True)))
    app.follow()
    app.drain()
    assert sorted(key for _, key, _ in told(app)) == sorted(ring)


def test_a_parked_change_holds_up_nobody_until_there_is_a_newer_one(app):
    app.sink.always(lambda o: Rejected("no") if o.key == "1" else None)
    app.emit(customer("1", email="ann@new.test"))
    app.drain()
    app.emit(customer("7", email="anna@shop.test"))
    app.drain()
    assert told(app)[-1] == ("upsert", "7", "anna@shop.test")
    is_refused(app, "1")
    app.emit(customer("1", email="ann@new.test", first_name="Ann"))
    app.emit(customer("8", email="anna@shop.test"))
    app.follow()
    app.advance(timedelta(minutes=1))
    assert "8" not in {key for _, key, _ in told(app)}


def test_who_was_parked_while_another_got_the_address_and_the_record_gets_one_of_its_own(app):
    """A target that finds people by their address made one of both: who has it now keeps the record."""
    there = app.app.store.link("people", "shop", "customer", "1").remote_id
    app.sink.always(lambda o: Rejected("no") if o.key == "1" else None)
    app.emit(customer("1", email="ann@new.test"))
    app.drain()
    deliver = app.sink.deliver
    app.sink.deliver = lambda operations: [evolve(outcome, remote_id=there) for outcome in deliver(operations)]
    app.emit(customer("2", email="anna@shop.test"))
    app.drain()
    app.sink.deliver = deliver
    app.sink.always(None)
    app.app.store.retry([d.id for d in app.deliveries(state="parked")], app.clock.now())
    app.settle_down()
    assert app.app.store.link("people", "shop", "customer", "2").remote_id == there
    assert app.app.store.link("people", "shop", "customer", "1").remote_id != there
    assert app.sink.calls[-1][0].link is None


def test_who_takes_an_address_back_is_waited_for_by_nobody(app):
    is_refused(app, "1")
    app.emit(customer("1", email="ann@new.test"))
    app.drain()
    app.emit(customer("1", email="anna@shop.test"))
    app.emit(customer("7", email="anna@shop.test"))
    app.follow()
    app.advance(timedelta(minutes=1))
    assert told(app)[-1] == ("upsert", "7", "anna@shop.test")


def test_who_gave_it_up_and_was_deleted_goes_first(app):
    is_refused(app, "1")
    app.emit(customer("1", email="ann@new.test"))
    app.drain()
    app.emit(Change(entity="customer", key="1", op="delete"), customer("7", email="anna@shop.test"))
    app.drain()
    assert "7" not in {key for _, key, _ in told(app)}
    app.sink.always(None)
    app.settle_down()
    assert [(op, key) for op, key, _ in told(app)][-2:] == [("delete", "1"), ("upsert", "7")]


@pytest.mark.parametrize("bulk", [False, True], ids=["live", "in a listing"])
def test_what_a_job_holds_is_waited_for(app, bulk):
    app.sink.job_from = 1
    app.emit(customer("7", email="anna@shop.test"), customer("1", email="ann@new.test"), bulk=bulk)
    app.follow()
    app.advance(timedelta(minutes=10))
    assert told(app) == [("upsert", "1", "ann@new.test")]
    app.sink.finish_jobs()
    app.advance(timedelta(minutes=10))
    assert [key for _, key, _ in told(app)] == ["1", "7"]


def test_a_fact_waits_until_its_person_is_there_with_a_new_address(app):
    is_refused(app, "1")
    app.emit(customer("1", email="ann@new.test"))
    app.emit(payment(app, "1", "ann@new.test"), payment(app, "2", "bob@shop.test"))
    app.advance(timedelta(minutes=1))
    assert {key for _, key, _ in told(app)} == {"1", "p2"}
    (row,) = app.deliveries(key="p1")
    assert row.error == "waits until this person is delivered with the new address"
    app.sink.always(None)
    app.settle_down()
    assert [key for _, key, _ in told(app)][-2:] == ["1", "p1"]


def test_a_fact_does_not_wait_for_a_parked_change_nor_for_a_deletion(app):
    app.sink.always(lambda o: Rejected("no") if o.key == "1" and o.op == "upsert" else None)
    app.emit(customer("1", email="ann@new.test"), payment(app, "1", "ann@new.test"))
    app.settle_down()
    assert told(app)[-1] == ("event", "p1", "ann@new.test")
    is_refused(app, "2")
    app.emit(customer("2", email="b@new.test"))
    app.drain()
    app.emit(payment(app, "2", "b@new.test"), Change(entity="customer", key="2", op="delete"))
    app.advance(timedelta(minutes=1))
    assert ("event", "p2", "b@new.test") in told(app)
    app.sink.always(None)
    app.settle_down()
    assert told(app)[-1][:2] == ("delete", "2")


def test_a_fact_of_who_has_the_address_now_is_not_told_of_who_gave_it_up(app):
    is_refused(app, "1")
    app.emit(customer("1", email="ann@new.test"))
    app.drain()
    app.emit(customer("7", email="anna@shop.test"), payment(app, "7", "anna@shop.test"))
    app.advance(timedelta(minutes=1))
    assert {key for _, key, _ in told(app)} == {"1"}
    app.sink.always(None)
    app.settle_down()
    assert {key for _, key, _ in told(app)} == {"1", "7", "p7"}


def test_nobody_is_remembered_by_an_address_that_was_forgotten(app):
    is_refused(app, "1")
    app.emit(customer("1", email="ann@new.test"))
    app.drain()
    app.app.store.forget("anna@shop.test", email_digest("anna@shop.test"), app.clock.now())
    with app.app.store.reading() as view:
        kept = view.execute("SELECT count(*) AS n FROM delivery WHERE former_email = 'anna@shop.test'").fetchone()
    assert kept["n"] == 0


def test_who_of_a_circle_may_not_be_there_is_asked_for_before_the_others_go(app):
    """Its create was lost, and nothing was made: so whoever else gives up an address goes first."""
    app.sink.then(lambda _: Transient("lost", maybe_applied=True))
    app.emit(customer("3", email="carl@shop.test"))
    app.drain()
    app.sink.calls.clear()
    app.emit(*(customer(n, email=f"{name}@shop.test") for n, name in (("1", "bob"), ("2", "carl"), ("3", "anna"))))
    app.follow()
    app.settle_down()
    assert [key for _, key, _ in told(app)] == ["2", "1", "3"]


def test_a_circle_waits_for_who_stands_outside_it(app):
    """Two exchange their addresses, and the target has a third one under one of these still."""
    app.emit(customer("3", email="carl@shop.test"))
    app.settle_down()
    app.sink.calls.clear()
    is_refused(app, "1")
    app.emit(customer("1", email="bob@shop.test"), customer("2", email="anna@shop.test"))
    app.follow()
    app.drain()
    assert "2" in {key for _, key, _ in told(app)}, "a circle of the two"
    app.emit(customer("2", email="carl@shop.test"), customer("3", email="anna@shop.test"))
    app.follow()
    app.drain()
    assert ("upsert", "3", "anna@shop.test") not in told(app)
    app.sink.always(None)
    app.sink.calls.clear()
    app.settle_down()
    assert next(key for _, key, _ in told(app)) == "1"
    assert sorted(key for _, key, _ in told(app)) == ["1", "2", "3"]


def test_what_a_parked_change_would_have_given_is_given_up_by_nobody(app):
    """So addresses do not go round: who is known to be at the target under an address goes before who gets it."""
    app.emit(customer("3", email="carl@shop.test"))
    app.settle_down()
    app.sink.then(Rejected("no"))
    app.emit(customer("1", email="ann@shop.test"))
    app.drain()
    app.sink.calls.clear()
    for n, name in (("1", "between"), ("2", "ann"), ("3", "bob"), ("1", "carl")):
        app.emit(customer(n, email=f"{name}@shop.test"))
    app.follow()
    app.settle_down()
    assert [key for _, key, _ in told(app)] == ["2", "3", "1"]


# -- a target that has one record for an address


class AddressBook(ScriptedSink):
    """Who gets an address that has a record already goes on with that one, and the one they had is gone."""

    def _one(self, operation, script):
        email = operation.fields.get("email")
        there = next((r for r, fields in self.records.items() if email and fields.get("email") == email), None)
        link = operation.link
        if operation.op == "upsert" and there is not None and (link is None or link.remote_id != there):
            self.records.pop(link.remote_id if link else "", None)
            self.records[there] = {"email": email, **operation.fields}
            return Delivered(remote_id=there)
        return super()._one(operation, script)


@pytest.fixture
def book(tmp_path):
    sink = AddressBook()
    kind = scripted_type(sink)
    kind = evolve(kind, name="book", objects=tuple(evolve(o, by_address=True) for o in kind.objects))
    with Harness(tmp_path, ROUTES, sink_types={"crm": (kind, {})}) as app:
        app.sink = sink
        app.emit(*(customer(n, email=f"m{n}@shop.test", first_name=f"N{n}") for n in "1234"))
        app.drain()
        sink.calls.clear()
        yield app


def held(app):
    return sorted((fields["email"], fields["name"]) for fields in app.sink.records.values())


@pytest.mark.parametrize("ring", ["12", "123"], ids=["two", "three"])
@pytest.mark.parametrize("bulk", [False, True], ids=["live", "found by a comparison"])
def test_who_exchange_their_addresses_exchange_their_records(book, ring, bulk):
    before = {n: book.app.store.link("people", "shop", "customer", n).remote_id for n in ring}
    pairs = list(zip(ring, ring[1:] + ring[:1], strict=True))
    book.emit(*(customer(n, email=f"m{other}@shop.test", first_name=f"N{n}") for n, other in pairs), bulk=bulk)
    book.follow()
    book.settle_down()
    expected = [(f"m{other}@shop.test", f"N{n}") for n, other in pairs]
    assert held(book) == sorted(expected + [(f"m{n}@shop.test", f"N{n}") for n in "1234" if n not in ring])
    for n, other in pairs:
        assert book.app.store.link("people", "shop", "customer", n).remote_id == before[other]
    assert "addresses went round: goes on with the record at the target that has this address" in {
        h.note for h in book.history()
    }


@pytest.mark.parametrize("made", [True, False], ids=["was made", "was not made"])
def test_who_is_of_a_circle_and_whose_create_was_not_answered_is_asked_for_first(book, made):
    """Whoever gets their address would go on with the record that was made, and not know what they wrote there."""
    lost = Transient("lost", maybe_applied=True)
    book.sink.then(lost if made else lambda _: lost)
    book.emit(customer("5", email="m5@shop.test", first_name="N5"))
    book.drain()
    there = book.app.store.link("people", "shop", "customer", "1").remote_id
    book.emit(
        customer("1", email="m5@shop.test", first_name="N1"), customer("5", email="m1@shop.test", first_name="N5")
    )
    book.follow()
    book.settle_down()
    assert held(book)[0::4] == [("m1@shop.test", "N5"), ("m5@shop.test", "N1")]
    assert (book.app.store.link("people", "shop", "customer", "5").remote_id == there) is made
    written = next(
        o for call in book.sink.calls for o in call if o.fields.get("email") == "m5@shop.test" and o.key == "1"
    )
    assert written.previous["name"] == ("N5" if made else "N1")


@pytest.mark.parametrize("unheard", ["1", "2"])
def test_who_exchange_back_after_a_lost_answer_are_as_they_are(book, unheard):
    """What the link says of a record was true before its owner for a moment wrote something else there."""

    def loses_the_answer(operation):
        if operation.key != unheard:
            return None
        book.sink._apply(operation)
        return Transient("lost", maybe_applied=True)

    everybody = held(book)
    book.sink.then(loses_the_answer)
    for emails in ({"1": "m2@shop.test", "2": "m1@shop.test"}, {"1": "m1@shop.test", "2": "m2@shop.test"}):
        book.emit(*(customer(n, email=email, first_name=f"N{n}") for n, email in emails.items()))
        book.follow()
        book.drain()
    book.settle_down()
    assert held(book) == everybody


def test_who_exchange_their_records_go_together_whatever_one_of_them_waited_for(book):
    """What one of them gives up another one gets: a target may want to know both."""
    book.sink.then(Transient("later"))
    book.emit(customer("1", email="m2@shop.test", first_name="N1"))
    book.drain()
    book.sink.calls.clear()
    book.emit(customer("2", email="m1@shop.test", first_name="N2"))
    book.follow()
    book.drain()
    assert [{o.key for o in call} for call in book.sink.calls] == [{"1", "2"}]


def test_what_is_under_way_of_a_circle_is_waited_for(book):
    """Another thread sends one of them this very moment: what becomes of its record nobody knows."""
    deliver, other = book.sink.deliver, []

    def meanwhile(operations):
        if not other:
            other.append("begun")
            book.emit(customer("2", email="m1@shop.test", first_name="N2"))
            book.follow()
            book.app.engine.lanes["crm"].step()
            (row,) = book.deliveries(key="2", state="ready")
            other[:] = [row.error]
        return deliver(operations)

    book.sink.deliver = meanwhile
    book.emit(customer("1", email="m1@shop.test", first_name="Changed"))
    book.emit(customer("1", email="m2@shop.test", first_name="N1"))
    book.drain()
    book.settle_down()
    assert other == ["addresses go round: waits until what is under way of those who exchange theirs is known"]


def test_a_fact_of_who_exchanges_waits_for_nothing_afterwards(book):
    book.emit(
        customer("1", email="m2@shop.test"), customer("2", email="m1@shop.test"), payment(book, "1", "m2@shop.test")
    )
    book.follow()
    book.settle_down()
    assert [key for _, key, _ in told(book)][-1] == "p1"
