"""A create without an answer, and somebody else in its place before it is tried again."""

from datetime import timedelta

import pytest

from synccore.entities import Customer, guest_key
from synccore.errors import RateLimited, Rejected, Transient
from synccore.store import ClaimRule
from synccore.testing import Harness, upsert
from synccore.types import Ambiguous, Change, Failed, Limits, Link, Retry

EMAIL = "ann@shop.test"
ROUTES = {"people": {"entity": "customer", "fields": {"name": "customer.first_name"}}}


@pytest.fixture
def harness(tmp_path):
    with Harness(tmp_path, ROUTES) as made:
        yield made


def guest(name="Ann"):
    return upsert(Customer(key="guest:1", email=EMAIL, first_name=name, guest=True))


def account(name="Ann"):
    return upsert(Customer(key="7", email=EMAIL, first_name=name), replaces=("guest:1",))


def people(harness):
    return sorted(record["name"] for record in harness.sink.records.values())


def test_an_account_finds_what_the_guest_it_took_over_may_have_made(harness):
    harness.sink.then(Transient("no answer", maybe_applied=True))
    harness.emit(guest())
    harness.drain()
    assert people(harness) == ["Ann"]
    harness.emit(account("Anna"))
    harness.settle_down()
    assert people(harness) == ["Anna"]
    assert harness.states() == {"skipped": 1, "done": 1}


@pytest.mark.parametrize("words", [(None, "yes"), ("yes",), ("no", "yes")], ids=str)
def test_what_an_unheard_create_may_have_told_is_news_where_it_is_taken_back(tmp_path, words):
    told = []

    def away(operation):
        return Transient("away", outage=False)

    def lost(operation):
        harness.sink._apply(operation)
        return Transient("no answer", maybe_applied=True)

    def heard(operation):
        told.append(operation.before)
        return harness.sink._apply(operation)

    fields = {"email": "customer.email", "word": "customer.username"}
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}}) as harness:
        for word in words:
            harness.emit(upsert(Customer(key="7", email=EMAIL, username=word)))
            harness.sink.always(lost if word == words[-1] else away)
            harness.advance(timedelta(hours=1))
        harness.sink.always(heard)
        harness.emit(upsert(Customer(key="7", email=EMAIL, username="no")))
        harness.settle_down()
    assert [before["word"] for before in told] == ["yes"]


def test_so_does_one_that_came_while_the_create_was_under_way(harness):
    def carried_out_and_lost(operation):
        harness.sink._apply(operation)
        harness.emit(account("Anna"))
        return Transient("no answer", maybe_applied=True)

    harness.sink.then(carried_out_and_lost)
    harness.emit(guest())
    harness.settle_down()
    assert people(harness) == ["Anna"]


def test_a_guest_who_is_one_again_finds_what_was_made_before_they_registered(harness):
    """The account moves on before anybody asked, and what is bought under the former address is a guest's again."""
    harness.sink.then(Transient("no answer", maybe_applied=True))
    harness.emit(guest())
    harness.drain()
    harness.emit(account("Anna"))
    harness.emit(upsert(Customer(key="7", email="new@shop.test", first_name="Anna")))
    harness.emit(guest())
    harness.settle_down()
    assert people(harness) == ["Ann", "Anna"]


@pytest.mark.parametrize("when", ["after it was parked", "while it was tried"])
def test_what_was_parked_in_doubt_is_looked_for_by_the_state_that_comes_next(harness, when):
    def carried_out(operation):
        harness.sink._apply(operation)
        if when == "while it was tried":
            harness.emit(guest("Anna"))
        return Failed(Rejected("the second call was refused"), partly=True)

    harness.sink.then(carried_out)
    harness.emit(guest())
    harness.app.engine.lanes["crm"].step()
    if when == "after it was parked":
        assert harness.states() == {"parked": 1}
        harness.emit(guest("Anna"))
    harness.settle_down()
    assert people(harness) == ["Anna"]


@pytest.mark.parametrize(
    "error", [Rejected("no"), RateLimited("later", scope="operation"), Transient("locked", outage=False)]
)
def test_what_a_refused_change_wrote_in_part_is_undone_when_the_shop_takes_it_back(harness, error):
    def in_part(operation):
        harness.sink._apply(operation)
        return Failed(error, partly=True)

    harness.emit(guest())
    harness.drain()
    harness.sink.then(in_part)
    harness.emit(guest("Anna"))
    harness.drain()
    assert people(harness) == ["Anna"]
    harness.emit(guest())
    harness.settle_down()
    assert people(harness) == ["Ann"]
    assert "parked" not in harness.states()


def test_where_nothing_was_made_it_is_made_once(harness):
    harness.sink.then(Transient("no answer", maybe_applied=False, outage=False))
    harness.emit(guest())
    harness.drain()
    harness.emit(account("Anna"))
    harness.settle_down()
    assert people(harness) == ["Anna"]


def test_after_a_restore_nothing_is_made_before_the_target_would_show_it(tmp_path):
    """A contact made a moment before the restore is invisible to a lookup for a while."""
    with Harness(tmp_path, ROUTES, limits=Limits(seen_within=timedelta(minutes=10))) as harness:
        hidden = harness.sink.lookup
        harness.sink.lookup = lambda operations: [None] * len(operations)
        harness.app.store.doubt(["shop"], harness.clock.now())
        harness.emit(account())
        harness.app.store.believe_again("shop", harness.clock.now())
        harness.drain()
        assert harness.sink.records == {}
        (row,) = harness.deliveries(state="ready")
        assert row.due_at == harness.clock.now() + timedelta(minutes=10)
        assert f"until {row.due_at:%H:%M} UTC" in row.error
        harness.sink.records["r9"], harness.sink.uids["shop:customer:7"] = {"name": "Ann"}, "r9"
        harness.sink.lookup = hidden
        harness.settle_down()
        assert people(harness) == ["Ann"]


def test_after_a_restore_what_only_looks_like_the_record_waits_until_the_target_would_show_another(tmp_path):
    with Harness(tmp_path, ROUTES, limits=Limits(seen_within=timedelta(minutes=10))) as harness:
        shown = harness.sink.lookup
        like = Link(object="thing", remote_id="r8", adopted=True)
        harness.sink.records["r8"] = {"name": "Bob"}
        harness.sink.lookup = lambda operations: [like] * len(operations)
        harness.app.store.doubt(["shop"], harness.clock.now())
        harness.emit(account())
        harness.app.store.believe_again("shop", harness.clock.now())
        harness.drain()
        assert people(harness) == ["Bob"]
        harness.sink.records["r9"], harness.sink.uids["shop:customer:7"] = {"name": "Ann"}, "r9"
        harness.sink.lookup = shown
        harness.settle_down()
        assert people(harness) == ["Ann", "Bob"]


def test_after_a_restore_what_was_owed_in_the_backup_is_sent_though_the_shop_has_changed_back(harness):
    """The outbox that the backup replaced had delivered it."""
    harness.emit(account("Ann"))
    harness.drain()
    harness.emit(account("Bea"))
    backup = harness.backup()
    harness.drain()
    harness.restore(backup)
    harness.emit(account("Ann"))
    harness.settle_down()
    assert people(harness) == ["Ann"]


@pytest.mark.parametrize("then", ["changes", "leaves"])
def test_after_a_restore_who_left_and_came_back_since_the_backup_is_there_once(harness, then):
    """The backup links them to a record that is gone, and not to the one that was made in its place."""
    harness.emit(account("Ann"))
    harness.drain()
    backup = harness.backup()
    harness.emit(Change(entity="customer", key="7", op="delete"))
    harness.drain()
    harness.emit(account("Ann"))
    harness.drain()
    assert list(harness.sink.records) == ["r2"]
    harness.restore(backup)
    harness.emit(account("Bea") if then == "changes" else Change(entity="customer", key="7", op="delete"))
    harness.settle_down()
    assert harness.sink.records == ({"r2": {"name": "Bea"}} if then == "changes" else {})


def test_after_a_restore_an_account_finds_what_was_made_for_the_guest_that_the_backup_does_not_know(harness):
    key = guest_key(EMAIL)
    harness.sink.records["r9"], harness.sink.uids[f"shop:customer:{key}"] = {"name": "Ann"}, "r9"
    harness.app.store.doubt(["shop"], harness.clock.now())
    harness.emit(account())
    harness.settle_down()
    assert people(harness) == ["Ann"]


def test_after_a_restore_the_one_made_for_the_guest_decides_between_several_that_look_like_the_account(harness):
    key = guest_key(EMAIL)
    harness.sink.records |= {"r8": {"name": "typed in"}, "r9": {"name": "Ann"}}
    harness.sink.uids[f"shop:customer:{key}"] = "r9"
    by_key = harness.sink.lookup
    harness.sink.lookup = lambda operations: [found or Ambiguous(("r8", "r9")) for found in by_key(operations)]
    harness.app.store.doubt(["shop"], harness.clock.now())
    harness.emit(account("Anna"))
    harness.settle_down()
    assert people(harness) == ["Anna", "typed in"]
    assert harness.states() == {"done": 1}


def test_after_a_restore_several_that_look_like_it_wait_until_the_target_would_show_its_own(tmp_path):
    with Harness(tmp_path, ROUTES, limits=Limits(seen_within=timedelta(minutes=10))) as harness:
        by_key = harness.sink.lookup
        harness.sink.lookup = lambda operations: [found or Ambiguous(("r7", "r8")) for found in by_key(operations)]
        harness.app.store.doubt(["shop"], harness.clock.now())
        harness.emit(account())
        harness.drain()
        assert harness.states() == {"ready": 1}
        harness.sink.records["r9"], harness.sink.uids["shop:customer:7"] = {"name": ""}, "r9"
        harness.settle_down()
        assert people(harness) == ["Ann"]
        assert harness.states() == {"done": 1}


def test_while_it_waits_for_the_target_to_show_it_the_delivery_says_so(harness):
    """A person who asks for the delivery need not look it up in the trail."""
    harness.sink.then(Transient("no answer", maybe_applied=True))
    harness.sink.lookup = lambda operations: [
        Retry(after=timedelta(seconds=30), reason="waits until 12:10") for _ in operations
    ]
    harness.emit(account())
    harness.drain()
    harness.clock.advance(timedelta(seconds=10))
    harness.drain()
    (row,) = harness.deliveries(state="ready")
    assert row.error == "waits until 12:10"


@pytest.mark.parametrize("carried_out", [True, False])
def test_one_that_is_deleted_before_its_lost_create_is_tried_again_leaves_nothing(harness, carried_out):
    harness.sink.then(Transient("no answer", maybe_applied=carried_out, outage=False))
    harness.emit(account())
    harness.drain()
    assert len(harness.sink.records) == carried_out
    harness.emit(Change(entity="customer", key="7", op="delete"))
    harness.settle_down()
    assert harness.sink.records == {}
    assert set(harness.states()) <= {"skipped", "done"}


@pytest.mark.parametrize("moved", [True, False])
def test_what_looks_like_the_guest_is_nobodys_twin_who_has_another_address_by_now(harness, moved):
    harness.sink.then(lambda operation: Transient("no answer", maybe_applied=True, outage=False))
    harness.emit(guest())
    harness.drain()
    assert harness.sink.records == {}
    harness.sink.records["typed"] = {"name": "Typed in by its owner"}
    harness.sink.lookup = lambda operations: [
        Link(object="thing", remote_id="typed") if o.key == "guest:1" else None for o in operations
    ]
    harness.emit(account(), *[upsert(Customer(key="7", email="moved@shop.test", first_name="Ann"))] * moved)
    harness.settle_down()
    assert people(harness) == (["Ann", "Typed in by its owner"] if moved else ["Ann"])


def test_one_that_moved_and_is_gone_is_asked_for_as_it_was_sent(tmp_path):
    """Where the target knows people by their address, what the lost create made is there under the one it had then."""
    fields = {"email": "customer.email"}
    asked = []

    def at(operations):
        asked.extend((o.op, o.fields["email"], (o.before or {}).get("email")) for o in operations)
        return [None] * len(operations)

    with Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}}) as harness:
        harness.sink.then(Transient("no answer", maybe_applied=True, outage=False))
        harness.emit(upsert(Customer(key="7", email=EMAIL)))
        harness.drain()
        harness.sink.lookup = at
        moved = upsert(Customer(key="7", email="moved@shop.test"))
        harness.emit(moved, Change(entity="customer", key="7", op="delete"))
        harness.settle_down()
    assert asked == [("delete", "moved@shop.test", EMAIL)]


def test_what_only_looks_like_it_is_left_alone(harness):
    harness.sink.then(Transient("no answer", maybe_applied=True, outage=False))
    harness.emit(account())
    harness.drain()
    harness.sink.lookup = lambda operations: [Link(object="thing", remote_id="r1") for _ in operations]
    harness.emit(Change(entity="customer", key="7", op="delete"))
    harness.settle_down()
    assert people(harness) == ["Ann"]
    assert harness.states() == {"skipped": 1}


def test_what_a_dead_process_had_claimed_goes_on_at_once(harness):
    harness.emit(account())
    store, now = harness.app.store, harness.clock.now()
    (row,) = harness.deliveries()
    rules = [ClaimRule(route="people", max_batch=9, bulk_batch=9, bulk_threshold=99)]
    assert store.claim(row.sink, rules, now, timedelta(minutes=9), "of a process that died")
    harness.app.engine.recover()
    assert [(d.state, d.maybe_applied) for d in harness.deliveries()] == [("ready", True)]


def test_what_an_update_without_an_answer_wrote_where_nothing_was_is_emptied(tmp_path):
    fields = {"name": "customer.first_name", "phone": "customer.phone"}
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}}) as app:
        bare = Customer(key="7", first_name="Ann")
        app.emit(upsert(bare))
        app.drain()

        def carried_out_and_lost(operation):
            app.sink._apply(operation)
            return Transient("no answer", maybe_applied=True)

        app.sink.then(carried_out_and_lost)
        app.emit(upsert(Customer(key="7", first_name="Ann", phone="+49301")))
        app.drain()
        app.emit(upsert(bare))
        app.settle_down()
        (record,) = app.sink.records.values()
        assert record.get("phone") is None
