"""What a link, a trail and a comparison say is what the target really holds."""

from decimal import Decimal

import pytest
from attrs import evolve

from synccore.entities import Order
from synccore.errors import Transient
from synccore.store import LinkUpdate
from synccore.testing import Harness, customer, upsert
from synccore.types import Change, Delivered, Limits, Unchanged

FIELDS = {"email": "customer.email", "name": "customer.first_name", "phone": "customer.phone"}
PEOPLE = {"people": {"entity": "customer", "fields": FIELDS}}


@pytest.fixture
def people(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=10)) as app:
        yield app


def link(app, key="1", route="people"):
    return app.app.store.link(route, "shop", "customer", key)


def anna(**values):
    return customer("1", **{"email": "anna@shop.test", "first_name": "Anna", "phone": "12", **values})


def leaves_out_phones(sink):
    """A target that takes no phone it does not know, and says so."""

    def write(operation):
        if operation.op != "upsert" or "phone" not in operation.fields:
            return None
        kept = {n: v for n, v in operation.fields.items() if n != "phone"}
        outcome = sink._apply(evolve(operation, fields=kept, changed=operation.changed - {"phone"}))
        return evolve(outcome, fields=kept, left_out={"phone": "not a valid number"})

    sink.always(write)


# -- what was left out


def test_a_field_that_was_left_out_is_remembered_and_sent_by_nothing(people):
    leaves_out_phones(people.sink)
    people.emit(anna())
    people.drain()
    assert people.sink.by_uid()["shop:customer:1"] == {"email": "anna@shop.test", "name": "Anna"}
    known = link(people)
    assert known.fields == {"email": "anna@shop.test", "name": "Anna"}
    assert known.mapped == {"email": "anna@shop.test", "name": "Anna", "phone": "12"}
    assert known.left_out == {"phone": "not a valid number"}
    line = people.history(key="1")[-1]
    assert (line.outcome, line.fields) == ("delivered", ("email", "name"))
    assert line.note == "phone left out: not a valid number"


def test_a_field_that_was_left_out_is_no_reason_to_call_again(people):
    leaves_out_phones(people.sink)
    people.emit(anna())
    people.drain()
    people.emit(anna(), bulk=True)
    people.drain()
    assert len(people.sink.calls) == 1
    people.emit(anna(first_name="Anne"))
    people.drain()
    (operation,) = people.sink.calls[-1]
    assert operation.changed == {"name"}


def test_the_emptied_value_of_a_field_that_was_left_out_clears_nothing(people):
    leaves_out_phones(people.sink)
    people.emit(anna())
    people.drain()
    (remote,) = people.sink.records
    people.sink.records[remote]["phone"] = "the owner's own"
    people.emit(anna(phone=None))
    people.drain()
    assert len(people.sink.calls) == 1
    assert people.sink.records[remote]["phone"] == "the owner's own"


def test_a_converted_value_is_remembered_as_it_is_there(people):
    def write(operation):
        people.sink._apply(operation)
        (remote,) = people.sink.records
        people.sink.records[remote]["phone"] = "+49 12"
        return Delivered(remote_id=remote, fields={**operation.fields, "phone": "+49 12"})

    people.sink.always(write)
    people.emit(anna())
    people.drain()
    assert link(people).fields["phone"] == "+49 12"
    assert link(people).mapped["phone"] == "12"
    people.emit(anna(), bulk=True)
    people.drain()
    assert len(people.sink.calls) == 1


def test_the_trail_names_only_what_went_out(people):
    people.sink.always(lambda o: Unchanged(remote_id="r9", fields={"email": "x"}, left_out={"name": "kept: theirs"}))
    people.emit(anna())
    people.drain()
    line = people.history(key="1")[-1]
    assert (line.outcome, line.fields) == ("unchanged", ())
    assert link(people).fields == {"email": "x"}
    assert link(people).left_out == {"name": "kept: theirs"}


# -- blanks


def test_a_value_the_shop_emptied_is_emptied_at_the_target(people):
    people.emit(anna())
    people.drain()
    people.emit(anna(phone=None))
    people.drain()
    (operation,) = people.sink.calls[-1]
    assert (operation.fields["phone"], operation.changed) == (None, {"phone"})
    assert people.sink.by_uid()["shop:customer:1"]["phone"] is None
    assert link(people).fields["phone"] is None
    people.emit(anna(phone=None), bulk=True)
    people.drain()
    assert len(people.sink.calls) == 2
    people.emit(anna(phone="13"))
    people.drain()
    assert people.sink.by_uid()["shop:customer:1"]["phone"] == "13"


@pytest.mark.parametrize("phone", [None, ""])
def test_a_field_that_keeps_its_value_is_never_emptied(tmp_path, phone):
    fields = FIELDS | {"phone": {"value": "customer.phone", "clear": False}}
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}}) as app:
        app.emit(anna())
        app.drain()
        app.emit(anna(phone=phone))
        app.drain()
        assert len(app.sink.calls) == 1
        app.emit(anna(phone=phone, first_name="Anne"))
        app.drain()
        (operation,) = app.sink.calls[-1]
        assert operation.changed == {"name"}
        assert app.sink.by_uid()["shop:customer:1"]["phone"] == "12"


def test_a_blank_that_was_never_written_is_not_sent(people):
    people.emit(anna(phone=None))
    people.drain()
    ((operation,),) = people.sink.calls
    assert operation.fields.keys() == {"email", "name"}


# -- what a route no longer wants


def leaving(tmp_path, on_leave, **more):
    return Harness(
        tmp_path,
        {
            "people": {
                "entity": "customer",
                "fields": FIELDS,
                "when": "customer.company != 'out'",
                "on_leave": on_leave,
                **more,
            }
        },
    )


@pytest.mark.parametrize("on_leave", ["unlabel", "clear", "delete"])
def test_a_record_the_route_no_longer_wants_is_let_go_of_once(tmp_path, on_leave):
    with leaving(tmp_path, on_leave) as app:
        app.emit(anna())
        app.drain()
        for phone in ("12", "13"):
            app.emit(anna(company="out", phone=phone))
            app.drain()
        assert app.sink.left == [(on_leave, "shop:customer:1")]
        line = next(e for e in app.history(key="1") if e.op == "leave")
        assert (line.outcome, line.note) == ("delivered", f"{on_leave}; when: customer.company != 'out'")
        if on_leave == "delete":
            assert app.sink.records == {}
            assert link(app) is None
        else:
            assert (link(app).left, link(app).fields, link(app).mapped) == (True, {}, {})


def test_a_record_that_comes_back_is_sent_whole(tmp_path):
    with leaving(tmp_path, "clear") as app:
        app.emit(anna())
        app.drain()
        app.emit(anna(company="out"))
        app.drain()
        assert app.sink.by_uid()["shop:customer:1"] == {"email": None, "name": None, "phone": None}
        app.emit(anna())
        app.drain()
        assert app.sink.by_uid()["shop:customer:1"] == {"email": "anna@shop.test", "name": "Anna", "phone": "12"}
        assert not link(app).left
        assert len(app.sink.records) == 1


def test_keep_makes_no_call(tmp_path):
    with leaving(tmp_path, "keep") as app:
        app.emit(anna())
        app.drain()
        app.emit(anna(company="out"))
        app.drain()
        assert len(app.sink.calls) == 1
        assert app.sink.by_uid()["shop:customer:1"]["email"] == "anna@shop.test"


def test_a_record_that_was_never_wanted_is_not_let_go_of(tmp_path):
    with leaving(tmp_path, "delete") as app:
        app.emit(anna(company="out"))
        app.drain()
        assert app.sink.calls == []


def test_a_lost_answer_to_a_leave_is_asked_again(tmp_path):
    with leaving(tmp_path, "clear") as app:
        app.emit(anna())
        app.drain()
        app.sink.then(Transient("lost", maybe_applied=True))
        app.emit(anna(company="out"))
        app.settle_down()
        assert {o for o, _ in app.sink.left} == {"clear"}
        assert link(app).left


# -- what is not ours


def adopt(app, key="1", remote="r7", fields=None):
    app.sink.records[remote] = dict(fields or {"phone": "the owner's"})
    update = LinkUpdate(object="thing", remote_id=remote, adopted=True, sink="crm")
    app.app.store.put_link("people", "shop", "customer", key, update, app.clock.now())


def share(app):
    """Two customers at one record, made by us for the first."""
    app.emit(anna())
    app.drain()
    (remote,) = app.sink.records
    app.sink.always(lambda o: Delivered(remote_id=remote) if o.key == "2" and o.op == "upsert" else None)
    app.emit(customer("2", email="bert@shop.test"))
    app.drain()
    assert link(app, "1").shared == link(app, "2").shared == 2
    return remote


def test_what_was_adopted_stays_so_and_is_not_deleted(people):
    adopt(people)
    people.emit(anna())
    people.drain()
    assert link(people).adopted
    people.emit(Change(entity="customer", key="1", op="delete"))
    people.drain()
    assert "r7" in people.sink.records
    assert people.sink.left == [("unlabel", "shop:customer:1")]
    assert link(people) is None
    assert "it was there before us" in people.history(key="1")[-1].note


def test_a_shared_record_is_not_deleted_until_one_is_left(people):
    remote = share(people)
    people.emit(Change(entity="customer", key="2", op="delete"))
    people.drain()
    assert remote in people.sink.records
    assert "2 records share it" in people.history(key="2")[-1].note
    assert link(people, "1").shared == 1
    people.emit(Change(entity="customer", key="1", op="delete"))
    people.drain()
    assert remote not in people.sink.records


@pytest.mark.parametrize("lets_go", [True, False])
def test_a_shared_record_is_deleted_where_both_go_at_once(people, lets_go):
    if not lets_go:
        people.app.preparer("people")._leaves = frozenset({"keep"})
    remote = share(people)
    people.emit(*(Change(entity="customer", key=key, op="delete") for key in ("2", "1")))
    people.drain()
    assert remote not in people.sink.records
    assert link(people, "1") is link(people, "2") is None


@pytest.mark.parametrize("found", ["1", "2"])
def test_so_it_is_where_one_of_them_was_joined_with_whom_it_was_made_for(people, found):
    remote = share(people)
    known = link(people, found)
    update = LinkUpdate(object="thing", remote_id=remote, adopted=True, sink="crm", fields=known.fields)
    people.app.store.put_link("people", "shop", "customer", found, update, people.clock.now())
    people.emit(*(Change(entity="customer", key=key, op="delete") for key in ("2", "1")))
    people.drain()
    assert remote not in people.sink.records
    assert link(people, "1") is link(people, "2") is None


def test_who_stays_at_a_shared_record_is_sent_again_once_another_was_let_go_of(people):
    """What the sink empties is what the one that goes had written, and the same values may be the other's."""
    share(people)
    before = len(people.sink.calls)
    people.emit(Change(entity="customer", key="2", op="delete"))
    people.drain()
    let_go, again = (operation for call in people.sink.calls[before:] for operation in call)
    assert (let_go.op, let_go.key, again.op, again.key) == ("leave", "2", "upsert", "1")
    assert again.changed == again.fields.keys() != set()
    assert again.link.fields == again.fields, "what they wrote is not the target's own, and goes when they do"
    people.drain()
    assert len(people.sink.calls) == before + 2


def test_who_was_kept_from_something_gets_it_once_the_sink_says_that_it_is_free(people):
    """A number of which the target takes one: in a call of its own, and sent whole, for nothing of it has changed."""
    people.emit(anna(), customer("2", email="bob@shop.test", first_name="Bob", phone="13"))
    people.drain()
    before = len(people.sink.calls)
    frees = ("shop:customer:2", "shop:customer:3", "no uid")
    people.sink.then(lambda operation: evolve(people.sink._apply(operation), frees=frees))
    people.emit(anna(phone="14"))
    people.drain()
    giver, again = (operation for call in people.sink.calls[before:] for operation in call)
    assert (giver.key, again.key, again.maybe_applied) == ("1", "2", True)
    assert again.changed == again.fields.keys() != set()
    people.drain()
    assert len(people.sink.calls) == before + 2


def test_a_sink_that_cannot_let_go_is_not_called_for_what_is_shared(people):
    people.app.preparer("people")._leaves = frozenset({"keep"})
    remote = share(people)
    calls = len(people.sink.calls)
    people.emit(Change(entity="customer", key="2", op="delete"))
    people.drain()
    assert len(people.sink.calls) == calls
    assert remote in people.sink.records
    assert link(people, "2") is None
    assert people.history(key="2")[-1].note == "let go of: 2 records share it"


def test_a_sink_is_told_that_what_it_lets_go_of_is_gone_from_the_source(tmp_path):
    """Its own policy of deletions may be to keep it; a route that no longer wants a record is another matter."""
    with leaving(tmp_path, "unlabel") as app:
        adopt(app)
        app.emit(anna())
        app.drain()
        app.emit(anna(company="out"))
        app.drain()
        app.emit(anna())
        app.drain()
        app.emit(Change(entity="customer", key="1", op="delete"))
        app.drain()
        told = [(o.op, o.gone) for call in app.sink.calls for o in call if o.op != "upsert"]
        assert told == [("leave", False), ("leave", True)]


def test_leaving_deletes_nothing_that_is_adopted(tmp_path):
    with leaving(tmp_path, "delete") as app:
        adopt(app)
        app.emit(anna())
        app.drain()
        app.emit(anna(company="out"))
        app.drain()
        assert app.sink.left == [("clear", "shop:customer:1")]
        assert "r7" in app.sink.records
        assert link(app).left


@pytest.mark.parametrize(("said", "adopted"), [(None, False), (True, True), (False, False)])
def test_the_sink_says_whose_a_record_is(people, said, adopted):
    people.sink.always(lambda o: evolve(people.sink._apply(o), adopted=said, made={"Account": "a1"}))
    people.emit(anna())
    people.drain()
    assert (link(people).adopted, link(people).made) == (adopted, {"Account": "a1"})


@pytest.mark.parametrize("marked", [True, False])
def test_a_twin_found_after_a_lost_answer_is_ours_if_it_carries_our_marker(people, marked):
    real = people.sink.lookup
    people.sink.lookup = lambda ops: [x and evolve(x, marked=marked) for x in real(ops)]
    people.sink.then(Transient("lost", maybe_applied=True))
    people.emit(anna())
    people.settle_down()
    assert len(people.sink.records) == 1
    assert link(people).adopted is not marked


# -- parents


WITH_ORDERS = PEOPLE | {
    "orders": {"entity": "order", "object": "deal", "after": "people", "fields": {"number": "order.number"}}
}
ORDER = Order(key="9", number="9", status="done", currency="EUR", total=Decimal(9))


def test_a_child_whose_parent_moved_is_sent_again(tmp_path):
    with Harness(tmp_path, WITH_ORDERS) as app:
        app.emit(anna())
        app.emit(upsert(ORDER, owner="1"))
        app.settle_down()
        first = app.sink.calls[-1][0]
        assert app.app.store.link("orders", "shop", "order", "9").parent_id == first.parent.remote_id
        old = link(app)
        moved = LinkUpdate(object="thing", remote_id="elsewhere")
        app.app.store.put_link("people", "shop", "customer", "1", moved, app.clock.now())
        app.emit(upsert(ORDER, owner="1"), bulk=True)
        app.settle_down()
        (operation,) = app.sink.calls[-1]
        assert (operation.parent.remote_id, operation.changed) == ("elsewhere", {"number"})
        assert old.remote_id != "elsewhere"
        assert app.app.store.link("orders", "shop", "order", "9").parent_id == "elsewhere"


@pytest.mark.parametrize("number", ["2", ORDER.key], ids=["another", "its-own-number"])
def test_a_child_waits_for_a_new_owner_who_is_not_there_yet(tmp_path, number):
    """A guest's order is given to an account that was made a moment ago: the order's turn may come first."""
    with Harness(tmp_path, WITH_ORDERS) as app:
        app.emit(anna(), upsert(ORDER, owner="1"))
        app.settle_down()
        app.emit(upsert(ORDER, owner=number))
        app.drain()
        assert app.states() == {"done": 2, "ready": 1}
        app.emit(customer(number, email="ben@shop.test"))
        app.settle_down()
        wanted = app.app.store.link("people", "shop", "customer", number).remote_id
        assert app.app.store.link("orders", "shop", "order", "9").parent_id == wanted
        assert app.states() == {"done": 4}, [d.error for d in app.deliveries()]


def test_a_child_of_somebody_who_is_gone_waits_for_nobody(tmp_path):
    with Harness(tmp_path, WITH_ORDERS) as app:
        app.emit(anna(), upsert(ORDER, owner="1"))
        app.settle_down()
        app.emit(Change(entity="customer", key="1", op="delete"))
        app.settle_down()
        app.emit(upsert(evolve(ORDER, meta={"seen": "yes"}), owner="1"))
        app.settle_down()
        assert app.states().keys() == {"done", "skipped"}


def test_a_mended_record_is_not_parked_for_what_it_was(tmp_path):
    """The state that could not be mapped is also the one before the first delivery: it says nothing then."""
    routes = {"people": {"entity": "customer", "fields": {"years": "100 // (customer.meta.born | int)"}}}
    with Harness(tmp_path, routes=routes) as harness:
        harness.emit(customer("1", meta={"born": "long ago"}))
        harness.drain()
        assert harness.states() == {"parked": 1}
        harness.emit(customer("1", meta={"born": "10"}))
        harness.drain()
        assert harness.sink.by_uid() == {"shop:customer:1": {"years": 10}}
