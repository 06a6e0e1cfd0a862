"""Lanes end to end in one process: what is owed arrives once, whatever the target does."""

from datetime import timedelta
from decimal import Decimal

import pytest
from attrs import evolve

from synccore.entities import Customer, Membership, Order, Payment
from synccore.errors import AuthError, BatchRejected, Conflict, RateLimited, Rejected, Transient, WaitFor
from synccore.testing import START, Harness, customer, upsert
from synccore.types import Change, EntityRef, Failed, Limits

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email", "name": "customer.first_name"}}}


@pytest.fixture
def people(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=200)) as app:
        yield app


def emit_people(app, count, **values):
    app.emit(*(customer(str(n), email=f"p{n}@shop.test", **values) for n in range(count)))


def test_a_thousand_customers_are_five_calls_and_a_second_backfill_is_none(people):
    everyone = [customer(str(n), email=f"p{n}@shop.test") for n in range(1000)]
    people.emit(*everyone, bulk=True)
    people.drain()
    assert len(people.sink.records) == 1000
    assert len(people.sink.calls) == 5
    people.emit(*everyone, bulk=True)
    people.drain()
    assert len(people.sink.calls) == 5
    assert people.states() == {"done": 1000, "skipped": 1000}


def test_one_change_is_one_operation_with_what_changed(people):
    emit_people(people, 3)
    people.drain()
    people.emit(customer("1", email="new@shop.test"))
    people.drain()
    (operation,) = people.sink.calls[-1]
    assert (operation.key, operation.changed) == ("1", frozenset({"email"}))
    assert people.sink.by_uid()["shop:customer:1"]["email"] == "new@shop.test"


def test_ten_changes_before_delivery_are_one_call(people):
    for n in range(10):
        people.emit(customer("1", email=f"v{n}@shop.test", version=n))
    people.drain()
    assert [len(c) for c in people.sink.calls] == [1]
    assert people.sink.by_uid()["shop:customer:1"]["email"] == "v9@shop.test"


def test_an_older_version_never_overwrites_a_newer_one(people):
    people.emit(customer("1", email="new@shop.test", version=2))
    people.emit(customer("1", email="old@shop.test", version=1))
    people.drain()
    assert people.sink.by_uid()["shop:customer:1"]["email"] == "new@shop.test"


def test_one_refused_record_is_parked_alone_with_the_vendors_words(people):
    people.sink.always(lambda o: Rejected("no such country", ["Country"]) if o.key == "42" else None)
    emit_people(people, 200)
    people.drain()
    assert people.states() == {"done": 199, "parked": 1}
    (parked,) = people.deliveries(state="parked")
    assert (parked.key, parked.error_kind, parked.error) == ("42", "rejected", "no such country")


def test_a_refused_batch_is_halved_until_the_poison_record_stands_alone(people):
    def deliver(operations, real=people.sink.deliver):
        if any(o.key == "42" for o in operations):
            raise BatchRejected("something in it is wrong")
        return real(operations)

    people.sink.deliver = deliver
    emit_people(people, 200)
    people.drain()
    assert people.states() == {"done": 199, "parked": 1}


def test_an_outage_of_a_week_uses_no_attempt_and_parks_nothing(people):
    people.sink.always(Transient("503"))
    emit_people(people, 50)
    for _ in range(7 * 24):
        people.advance(timedelta(hours=1))
    assert people.app.store.lane("crm").state == "circuit_open"
    assert {d.attempts for d in people.deliveries()} == {0}
    people.sink.always(None)
    people.settle_down()
    assert people.states() == {"done": 50}
    assert people.app.store.lane("crm").state == "ok"


def test_after_an_outage_the_first_call_carries_one_record(people):
    people.sink.then(Transient("503"))
    emit_people(people, 50)
    people.settle_down()
    assert [len(c) for c in people.sink.calls] == [50, 1, 49]


def test_a_record_that_alone_fails_is_retried_and_in_the_end_parked(people):
    people.sink.always(lambda o: Transient("row locked") if o.key == "1" else None)
    for day in range(5):
        emit_people(people, 3, first_name=f"day {day}")
        people.settle_down(timedelta(days=1))
        people.clock.advance(timedelta(hours=23))
    assert [d.key for d in people.deliveries(state="parked")] == ["1"]


def test_a_rate_limited_lane_waits_and_a_rate_limited_record_waits_alone(people):
    people.sink.then(RateLimited("slow down", retry_after=timedelta(minutes=10)))
    emit_people(people, 2)
    people.drain()
    assert people.app.store.lane("crm").state == "rate_limited"
    people.advance(timedelta(minutes=9))
    assert len(people.sink.calls) == 1
    wait = RateLimited("later", retry_after=timedelta(minutes=5), scope="operation")
    people.sink.then(lambda o: wait if o.key == "1" else None)
    people.advance(timedelta(minutes=2))
    assert people.states() == {"done": 1, "ready": 1}
    people.advance(timedelta(minutes=6))
    assert people.states() == {"done": 2}
    assert {d.attempts for d in people.deliveries()} == {0}


def test_a_newer_change_does_not_wait_for_the_quota_the_older_one_met(people):
    wait = RateLimited("later", retry_after=timedelta(hours=1), scope="operation")
    people.sink.then(lambda _: wait)
    people.emit(customer("1", email="a@shop.test"))
    people.drain()
    people.emit(customer("1", email="b@shop.test"))
    people.drain()
    assert people.sink.by_uid()["shop:customer:1"]["email"] == "b@shop.test"


def test_a_record_of_the_past_does(people):
    wait = RateLimited("later", retry_after=timedelta(hours=1), scope="operation")
    people.sink.then(lambda _: wait)
    people.emit(customer("1", email="a@shop.test"))
    people.drain()
    people.emit(customer("1", email="b@shop.test"), bulk=True)
    people.drain()
    assert len(people.sink.calls) == 1


def test_lost_credentials_pause_the_lane_until_somebody_connects(people):
    from synccore.store import LaneRecord

    people.sink.always(AuthError("revoked: run synccore connect crm"))
    emit_people(people, 3)
    people.settle_down()
    lane = people.app.store.lane("crm")
    assert (lane.state, lane.reason) == ("needs_auth", "revoked: run synccore connect crm")
    people.sink.always(None)
    people.advance(timedelta(days=3))
    assert len(people.sink.calls) == 1
    people.app.store.put_lane(LaneRecord(sink="crm"))
    people.settle_down()
    assert people.states() == {"done": 3}


def test_a_conflict_is_tried_once_more_at_once_without_its_etag(people):
    emit_people(people, 1)
    people.drain()
    people.sink.then(lambda _: Conflict())
    people.emit(customer("0", email="b@shop.test"))
    people.drain()
    first, second = people.sink.calls[-2:]
    assert first[0].link.etag is not None
    assert second[0].link.etag is None
    assert people.states() == {"done": 2}


def test_a_lost_answer_makes_no_second_record(people):
    people.sink.then(Transient("reset", maybe_applied=True))
    emit_people(people, 5)
    people.settle_down()
    assert len(people.sink.records) == 5
    assert people.states() == {"done": 5}


def test_a_record_that_lookup_refuses_is_parked_alone(people):
    people.sink.then(Transient("reset", maybe_applied=True))
    emit_people(people, 3)
    look = people.sink.lookup

    def refuse_one(operations):
        answers = zip(operations, look(operations), strict=True)
        return [Failed(Rejected("not here")) if o.key == "1" else answer for o, answer in answers]

    people.sink.lookup = refuse_one
    people.settle_down()
    assert people.states() == {"done": 2, "parked": 1}


def test_a_crash_after_the_call_makes_no_second_record(people):
    class PowerCutError(BaseException):
        pass

    def cut(settlements, now):
        raise PowerCutError

    emit_people(people, 5)
    settle, release = people.app.store.settle, people.app.store.release
    people.app.store.settle = cut
    people.app.store.release = lambda *_, **__: 0
    with pytest.raises(PowerCutError):
        people.drain()
    people.app.store.settle, people.app.store.release = settle, release
    people.crash()
    people.settle_down()
    assert len(people.sink.records) == 5
    assert people.states() == {"done": 5}


def test_a_state_that_returned_while_an_answer_was_lost_is_sent_again(people):
    """To a target that is written what changed alone: nothing changed against what was last known to be there."""

    def what_changed(operation):
        fields = {name: value for name, value in operation.fields.items() if name in operation.changed}
        return people.sink._apply(evolve(operation, fields=fields))

    people.sink.always(what_changed)
    people.emit(customer("1", email="a@shop.test"))
    people.drain()
    people.sink.then(Transient("reset", maybe_applied=True))
    people.emit(customer("1", email="b@shop.test"))
    people.drain()
    people.emit(customer("1", email="a@shop.test"))
    people.settle_down()
    assert people.sink.by_uid()["shop:customer:1"]["email"] == "a@shop.test"


def test_a_bulk_job_survives_a_restart_and_is_never_submitted_twice(people):
    people.sink.job_from = 10
    emit_people(people, 20)
    people.drain()
    assert people.states() == {"submitted": 20}
    people.crash()
    people.advance(timedelta(minutes=3))
    assert people.sink.jobs_submitted == 1
    people.sink.finish_jobs()
    people.advance(timedelta(minutes=3))
    assert people.states() == {"done": 20}
    assert people.sink.jobs_submitted == 1
    link = people.app.store.link("people", "shop", "customer", "3")
    assert link.fields["email"] == "p3@shop.test"


def test_a_live_change_of_a_submitted_key_waits_for_its_job(people):
    people.sink.job_from = 10
    emit_people(people, 10)
    people.drain()
    people.emit(customer("1", email="new@shop.test"))
    people.advance(timedelta(minutes=1))
    assert len(people.sink.calls) == 1
    people.sink.finish_jobs()
    people.settle_down()
    assert people.sink.by_uid()["shop:customer:1"]["email"] == "new@shop.test"


ORDERS = {
    "people": {"entity": "customer", "fields": {"email": "customer.email"}},
    "orders": {"entity": "membership", "after": "people", "fields": {"status": "membership.status"}},
}


def test_a_child_waits_for_its_parent_and_goes_once_it_is_there(tmp_path):
    with Harness(tmp_path, ORDERS) as app:
        app.emit(upsert(Membership(key="7", status="active", plan_key="g", customer_key="1"), owner="1"))
        app.drain()
        assert app.sink.calls == []
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        assert [o.route for c in app.sink.calls for o in c] == ["people", "orders"]
        parent = app.sink.calls[-1][0].parent
        assert parent.remote_id == app.sink.uids["shop:customer:1"]


def test_a_child_whose_parent_never_comes_is_parked_after_a_day(tmp_path):
    with Harness(tmp_path, ORDERS) as app:
        app.emit(upsert(Membership(key="7", status="active", plan_key="g", customer_key="1"), owner="1"))
        for _ in range(23):
            app.advance(timedelta(hours=1))
        assert app.states() == {"ready": 1}
        for _ in range(2):
            app.advance(timedelta(hours=1))
        assert [d.error_kind for d in app.deliveries(state="parked")] == ["wait_for"]


def test_a_sink_may_ask_to_wait_for_a_parent_itself(tmp_path):
    with Harness(tmp_path, ORDERS) as app:
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        app.sink.then(lambda _: WaitFor("customer", "1"))
        app.emit(upsert(Membership(key="7", status="active", plan_key="g", customer_key="1"), owner="1"))
        app.settle_down()
        assert app.states() == {"done": 2}


def payment(key, number, **values):
    data = Payment(key=key, succeeded=False, amount=5, currency="USD", at=START, attempt=number)
    return Change(
        entity="payment", key=key, op="event", data=data, event_id=f"{key}:{number}", owner=EntityRef("customer", "1")
    )


PAYMENTS = {"pay": {"entity": "payment", "fields": {"n": "payment.attempt", "order": "payment.key"}}}


def test_every_event_arrives_once_and_in_order(tmp_path):
    with Harness(tmp_path, PAYMENTS) as app:
        app.emit(*(payment("9", n) for n in (1, 2, 3)))
        app.emit(*(payment("9", n) for n in (2, 3, 4)))
        app.sink.then(Transient("503"), Transient("reset", maybe_applied=True))
        app.settle_down()
        assert [fields["n"] for _, fields in app.sink.events] == [1, 2, 3, 4]


def test_a_parked_event_does_not_block_later_ones(tmp_path):
    with Harness(tmp_path, PAYMENTS) as app:
        app.sink.then(lambda _: Rejected("no"))
        app.emit(*(payment("9", n) for n in (1, 2)))
        app.settle_down()
        assert [fields["n"] for _, fields in app.sink.events] == [2]
        (parked,) = app.deliveries(state="parked")
        app.app.store.retry([parked.id], app.clock.now())
        app.settle_down()
        assert [fields["n"] for _, fields in app.sink.events] == [2, 1]


def test_live_changes_overtake_a_backfill(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=10)) as app:
        app.emit(*(customer(f"b{n}", email=f"b{n}@shop.test") for n in range(50)), bulk=True)
        app.app.engine.lanes["crm"].step()
        app.emit(customer("live", email="live@shop.test"))
        app.app.engine.lanes["crm"].step()
        assert [o.key for o in app.sink.calls[1]] == ["live"]


def test_a_guest_who_registers_stays_one_record(people):
    guest = Customer(key="guest:abc", email="g@shop.test", guest=True)
    people.emit(upsert(guest))
    people.drain()
    account = Customer(key="77", email="g@shop.test", first_name="Gina")
    people.emit(upsert(account, replaces=("guest:abc",)))
    people.drain()
    assert list(people.sink.records.values()) == [{"email": "g@shop.test", "name": "Gina"}]
    people.emit(upsert(guest))
    people.drain()
    assert len(people.sink.records) == 1


def test_a_deletion_reaches_the_target_and_its_link_is_gone(people):
    emit_people(people, 1)
    people.drain()
    people.emit(Change(entity="customer", key="0", op="delete"))
    people.drain()
    assert people.sink.records == {}
    assert people.app.store.link("people", "shop", "customer", "0") is None


def test_what_was_never_delivered_is_not_deleted_at_the_target(people):
    emit_people(people, 1)
    people.emit(Change(entity="customer", key="0", op="delete"))
    people.drain()
    assert people.sink.calls == []


def test_a_bug_in_a_sink_is_tried_three_times_and_parked_with_its_place(people):
    people.sink.always(KeyError("surprise"))
    emit_people(people, 1)
    people.settle_down()
    (parked,) = people.deliveries()
    assert (parked.state, parked.error_kind) == ("parked", "bug")
    assert "KeyError" in parked.error
    assert len(people.sink.calls) == 3


def test_a_sink_that_answers_too_few_outcomes_is_named(people):
    people.sink.deliver = lambda operations: []
    emit_people(people, 2)
    people.settle_down()
    assert "crm.deliver gave 0 answers to" in people.deliveries()[0].error


def test_remote_ids_are_written_back_once_through_the_outbox(tmp_path):
    table = {"entities": ["customer"], "write_back": True}
    with Harness(tmp_path, PEOPLE, source_table=table) as app:
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        assert [(w.key, dict(w.links)) for w in app.source.written_back] == [("1", {"crm": "r1"})]
        app.emit(customer("1", email="b@shop.test"))
        app.drain()
        assert len(app.source.written_back) == 1


def test_a_profile_shows_all_memberships_of_its_owner(tmp_path):
    routes = {
        "profiles": {
            "entity": "customer",
            "include": ["membership"],
            "fields": {"plans": "memberships | map(attribute='plan_key') | sort | list"},
        }
    }
    with Harness(tmp_path, routes) as app:
        app.emit(customer("1", email="a@shop.test"))
        for key, plan in (("7", "silver"), ("8", "gold")):
            app.emit(upsert(Membership(key=key, status="active", plan_key=plan, customer_key="1"), owner="1"))
            app.drain()
        assert app.sink.by_uid()["shop:customer:1"] == {"plans": ["gold", "silver"]}
        app.emit(Change(entity="membership", key="8", op="delete"))
        app.drain()
        assert app.sink.by_uid()["shop:customer:1"] == {"plans": ["silver"]}


def test_totals_are_known_where_the_route_includes_orders(tmp_path):
    routes = {
        "profiles": {"entity": "customer", "include": ["order"], "fields": {"spent": "customer.total_spent"}},
        "orders": {
            "entity": "order",
            "include": ["order"],
            "object": "sale",
            "fields": {"nth": "customer.order_count", "total": "order.total"},
        },
    }
    with Harness(tmp_path, routes) as app:
        app.emit(customer("1", email="a@shop.test"))
        for key, total in (("7", "20.00"), ("8", "5.50")):
            order = Order(key=key, number=key, status="completed", currency="USD", total=Decimal(total))
            app.emit(upsert(order, owner="1"))
        app.drain()
        assert app.sink.by_uid() == {
            "shop:customer:1": {"spent": Decimal("25.50")},
            "sale/shop:order:7": {"nth": 2, "total": Decimal("20.00")},
            "sale/shop:order:8": {"nth": 2, "total": Decimal("5.50")},
        }


def test_calls_are_counted_in_the_outbox_for_all_processes(tmp_path, monkeypatch):
    """Counted by the target: two processes make no more calls than one may, also where both look at once."""
    with Harness(tmp_path, PEOPLE, limits=Limits(calls=3, per=timedelta(minutes=1))) as people:
        emit_people(people, 8)
        one = people.app.engine.lanes["crm"]
        people.crash()  # the first app goes on working all the same
        two = people.app.engine.lanes["crm"]
        claim = one.claims.take

        def claims_late():
            claimed = claim()
            two.step()
            return claimed

        made = []
        for _ in range(3):
            two.step()
            with monkeypatch.context() as patch:
                patch.setattr(one.claims, "take", claims_late)
                one.step()
            for lane in (two, one, one, two):
                lane.step()
            made.append(len(people.sink.calls))
            people.clock.advance(timedelta(minutes=1))
        assert made == [3, 6, 8]
        assert {d.attempts for d in people.deliveries()} == {0}
        assert people.states() == {"done": 8}
