"""`verify` and `preview` say what the target itself could contradict."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from attrs import evolve

from synccore._verbs.again import send_again
from synccore._verbs.preview import preview
from synccore._verbs.status import overview
from synccore._verbs.verify import verify
from synccore.entities import Payment
from synccore.errors import Rejected, SynccoreError
from synccore.store import LinkUpdate
from synccore.testing import Harness, customer, upsert
from synccore.types import Change, Delivered

FIELDS = {"email": "customer.email", "name": "customer.first_name", "phone": "customer.phone"}


@pytest.fixture
def people(tmp_path):
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": FIELDS}}) as app:
        yield app


def everyone(count=5):
    return [customer(str(n), email=f"p{n}@shop.test", first_name="Ann", phone="x") for n in range(count)]


def without_phone(sink, reason):
    def write(operation):
        kept = {n: v for n, v in operation.fields.items() if n != "phone"}
        outcome = sink._apply(evolve(operation, fields=kept, changed=operation.changed - {"phone"}))
        there = sink.records[outcome.remote_id]
        return evolve(outcome, fields={n: there[n] for n in operation.fields if n in there}, left_out={"phone": reason})

    sink.always(write)


def test_what_was_left_out_or_kept_is_no_drift(people):
    without_phone(people.sink, "kept: the owner's own entry")
    people.emit(*everyone())
    people.drain()
    for record in people.sink.records.values():
        record["phone"] = "the owner's"
    proof = verify(people.app, "people")
    assert (proof.ok, proof.sampled, proof.drift) == (True, 5, {})


def test_repair_owes_exactly_what_the_target_lost(people):
    people.emit(*everyone())
    people.drain()
    remote = {r["email"]: (i, r) for i, r in people.sink.records.items()}
    remote["p1@shop.test"][1]["name"] = "Changed by hand"
    del people.sink.records[remote["p2@shop.test"][0]]
    seen = verify(people.app, "people")
    assert not seen.ok
    assert (seen.drift, seen.gone) == ({"1": ["name"]}, ["2"])
    people.drain()
    assert len(people.sink.calls) == 1, "verify alone writes nothing"
    assert verify(people.app, "people", repair=True).repaired == ["1", "2"]
    people.drain()
    asked = {o.key: o.changed for call in people.sink.calls[1:] for o in call}
    assert asked == {"1": {"name"}, "2": {"email", "name", "phone"}}
    assert [r["name"] for r in people.sink.records.values()] == ["Ann"] * 5
    assert verify(people.app, "people").ok


def test_who_is_gone_and_not_made_anew_is_no_reason_to_repair_again(people):
    """A sink may refuse to make anew what somebody deleted: then that is said, with what it wants, and not twice."""
    people.emit(*everyone(2))
    people.drain()
    (name,) = [remote for remote, fields in people.sink.records.items() if fields["email"] == "p1@shop.test"]
    del people.sink.records[name]
    people.sink.always(
        lambda o: Rejected("it was deleted there; recreate = true makes it anew") if o.key == "1" else None
    )
    assert verify(people.app, "people", repair=True).repaired == ["1"]
    people.drain()
    proof = verify(people.app, "people")
    (parked,) = people.deliveries(state="parked")
    said = [f.message for f in proof.findings]
    assert (proof.ok, proof.gone) == (False, ["1"])
    assert (
        "customer 1 is gone at the target, and was not made anew: it was deleted there; recreate = true makes it anew; "
        f"then run synccore deliveries retry {parked.id}"
    ) in said
    assert not [text for text in said if "--repair" in text]
    people.sink.always(None)
    assert verify(people.app, "people", repair=True).repaired == ["1"], "whoever asks for it is heard"
    people.drain()
    assert verify(people.app, "people").ok


def test_repair_takes_nothing_back_that_was_delivered_while_the_target_was_read(people):
    people.emit(*everyone(2))
    people.drain()
    old = people.app.store.link("people", "shop", "customer", "0").remote_id

    def meanwhile(links):
        people.sink.then(Delivered(remote_id="anew"))
        people.emit(customer("0", email="p0@shop.test", first_name="Anna"))
        people.drain()
        people.emit(Change(entity="customer", key="1", op="delete"))
        people.drain()
        return [None for _ in links]

    people.sink.read = meanwhile
    assert sorted(verify(people.app, "people", repair=True).gone) == ["0", "1"]
    assert [people.app.store.link("people", "shop", "customer", key) is None for key in ("0", "1")] == [False, True]
    assert people.app.store.link("people", "shop", "customer", "0").remote_id == "anew" != old


def test_a_second_record_with_our_marker_is_not_proved(people):
    people.emit(*everyone(2))
    people.drain()
    people.sink.records["copy"] = dict(people.sink.by_uid()["shop:customer:1"])
    people.sink.uids = {
        "shop:customer:0": "r1",
        "shop:customer:1": "copy",
    } | {"x/shop:customer:1": "r2"}
    proof = verify(people.app, "people")
    assert not proof.ok
    assert proof.twins == ["copy"]


def fact(number):
    at = datetime(2026, 1, 1, number, tzinfo=UTC)
    data = Payment(key="5", succeeded=False, amount=Decimal(1), currency="EUR", at=at, subscription_key="5")
    return upsert(data, op="event", event_id=f"e{number}", at=at)


def test_facts_are_counted_and_nothing_is_claimed_that_is_not(tmp_path):
    routes = {"told": {"entity": "payment", "object": "event", "fields": {"amount": "payment.amount"}}}
    with Harness(tmp_path, routes) as app:
        app.sink.always(lambda o: Rejected("no") if o.event_id == "e2" else None)
        app.emit(*(fact(n) for n in range(4)))
        app.drain()
        proof = verify(app.app, "told")
        assert proof.events
        assert len(app.sink.events) == 3
        wanted = {"in": 4, "delivered": 3, "parked": 1, "skipped": 0, "open": 0, "pruned": 0, "untold": 0}
        assert proof.counts == wanted
        assert not proof.ok
        app.app.store.prune(app.clock.now() + timedelta(days=1))
        assert verify(app.app, "told").counts == {**wanted, "delivered": 0, "pruned": 3}


def test_a_skipped_record_is_not_missing_once_its_row_is_old(tmp_path):
    routes = {"people": {"entity": "customer", "fields": FIELDS, "when": "customer.email"}}
    with Harness(tmp_path, routes) as app:
        app.emit(customer("1"), customer("2", email="b@shop.test"))
        app.drain()
        app.app.store.prune(app.clock.now() + timedelta(days=1))
        counts = verify(app.app, "people").counts
        assert (counts["skipped"], counts["linked"], counts["missing"]) == (1, 1, 0)


@pytest.mark.parametrize("on_leave", ["unlabel", "clear", "delete"])
def test_a_record_that_was_let_go_of_is_not_missing(tmp_path, on_leave):
    routes = {"people": {"entity": "customer", "fields": FIELDS, "when": "customer.phone", "on_leave": on_leave}}
    with Harness(tmp_path, routes) as app:
        app.emit(*everyone(2))
        app.drain()
        app.emit(customer("0", email="p0@shop.test"))
        app.drain()
        assert [left for left, _ in app.sink.left] == [on_leave]
        for _ in range(2):
            proof = verify(app.app, "people")
            assert (proof.ok, proof.proved, proof.counts["missing"]) == (True, True, 0)
            app.app.store.prune(app.clock.now() + timedelta(days=1))


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "changed"])
def test_what_the_route_wants_no_longer_and_leaves_as_it_is_may_change(tmp_path, gone):
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": FIELDS, "when": "customer.phone"}}) as app:
        app.emit(*everyone(1))
        app.drain()
        app.emit(customer("0", email="p0@shop.test"))
        app.drain()
        ((remote_id, record),) = app.sink.records.items()
        record["name"] = "Changed by hand"
        if gone:
            del app.sink.records[remote_id]
        proof = verify(app.app, "people")
        assert (proof.ok, proof.proved, proof.gone, proof.drift) == (True, True, [], {})
        app.emit(*everyone(1))
        assert not verify(app.app, "people").ok


# -- preview


def test_preview_tells_what_was_left_out_and_why(people):
    without_phone(people.sink, "not a valid number")
    people.emit(*everyone(1))
    people.drain()
    seen = preview(people.app, "people", "0", live=True)
    assert seen.left_out == {"phone": "not a valid number"}
    assert seen.previous == {"email": "p0@shop.test", "name": "Ann"}
    assert (seen.action, seen.drift) == ("none", ())


def test_preview_says_that_a_record_is_let_go_of(tmp_path):
    routes = {"people": {"entity": "customer", "fields": FIELDS, "when": "customer.phone", "on_leave": "unlabel"}}
    with Harness(tmp_path, routes) as app:
        app.emit(*everyone(1))
        app.drain()
        app.emit(customer("0", email="p0@shop.test"))
        seen = preview(app.app, "people", "0")
        assert (seen.action, seen.on_leave, seen.reason) == ("leave", "unlabel", "when: customer.phone")


@pytest.mark.parametrize(
    ("adopted", "shared", "on_leave", "expected"),
    [
        (False, 1, "delete", None),
        (True, 1, "clear", None),
        (False, 2, "clear", "others share the record: what is theirs too stays"),
    ],
)
def test_preview_promises_no_deletion_of_what_is_not_ours(tmp_path, adopted, shared, on_leave, expected):
    routes = {"people": {"entity": "customer", "fields": FIELDS, "when": "customer.phone", "on_leave": "delete"}}
    with Harness(tmp_path, routes) as app:
        app.sink.always(lambda o: evolve(app.sink._apply(o), remote_id="r1", adopted=adopted))
        app.emit(*everyone(shared))
        app.drain()
        app.emit(customer("0", email="p0@shop.test"))
        seen = preview(app.app, "people", "0")
        assert (seen.action, seen.on_leave, seen.expected) == ("leave", on_leave, expected)


def test_preview_and_the_outbox_name_the_job_a_record_waits_for(people):
    people.sink.job_from = 1
    people.emit(*everyone(1))
    people.drain()
    people.emit(customer("0", email="new@shop.test"))
    people.drain()
    seen = preview(people.app, "people", "0")
    assert seen.waits is not None
    assert seen.waits.startswith("waits for import job job-1, submitted ")
    (row,) = people.deliveries(state="ready")
    assert row.waits == seen.waits
    first, second = overview(people.app).work
    assert first.startswith("1 owed to crm: in import job job-1, submitted ")
    assert second == f"1 newer owed to crm: {seen.waits}"


def test_what_cannot_be_read_back_is_not_called_proved(people):
    people.emit(*everyone())
    people.drain()
    assert verify(people.app, "people").document()["proved"] is True
    unasked = verify(people.app, "people", sample=0).document()
    assert (unasked["ok"], unasked["proved"]) == (True, False)
    people.sink.read = None
    blind = verify(people.app, "people").document()
    assert (blind["ok"], blind["proved"], blind["sampled"]) == (True, False, 0)
    assert "cannot be asked" in blind["unproven"][0]


def test_an_object_that_a_target_does_not_give_back_is_not_called_proved(people):
    """And no one of it is called there, nor told once more."""
    people.emit(*everyone())
    people.drain()
    people.sink.objects = (evolve(people.app.sinks["crm"].objects[0], readable=False),)
    people.sink.records.clear()
    blind = verify(people.app, "people").document()
    assert (blind["ok"], blind["proved"], blind["sampled"]) == (True, False, 0)
    asked = send_again(people.app, "people", "1")
    assert (asked.done, "cannot read back" in asked.text) == (False, True)
    with pytest.raises(SynccoreError, match="cannot read back"):
        preview(people.app, "people", "1", live=True)


def test_a_record_that_is_nobodys_and_has_a_delivered_ones_address_is_named(people):
    people.emit(*everyone())
    people.drain()
    assert verify(people.app, "people").proved
    people.sink.records["typed"] = {"email": "p3@shop.test"}
    people.sink.records["other"] = {"email": "other@shop.test"}
    proof = verify(people.app, "people")
    assert (proof.namesakes, proof.proved, proof.ok) == (["typed"], False, True)
    assert any("typed" in f.message and "merge them" in f.message for f in proof.findings)


def test_where_a_target_knows_all_its_records_no_sample_has_to_meet_the_second_one(people):
    people.emit(*everyone(30))
    people.drain()
    ours, mates = (people.app.store.link("people", "shop", "customer", key).remote_id for key in ("7", "8"))
    people.sink.namesakes = lambda: {"typed": ours, ours: "x"}
    proof = verify(people.app, "people", sample=1)
    assert (proof.namesakes, proof.proved) == (["typed"], False)
    # Somebody's, who says that the address on it is not theirs: left there by one who was merged into it and is gone.
    people.sink.namesakes = lambda: {mates: ours}
    proof = verify(people.app, "people", sample=1)
    assert (proof.namesakes, proof.proved) == ([mates], False)


def test_a_target_that_does_not_say_who_has_an_address_proves_nothing(people):
    people.emit(*everyone())
    people.drain()

    def namesakes():
        raise SynccoreError("away")

    people.sink.namesakes = namesakes
    assert not verify(people.app, "people").proved


def test_what_was_theirs_does_not_stay_with_whom_a_target_made_them_one(people):
    people.app.preparer("people").by_address = True
    people.emit(customer("0", email="p0@shop.test"), customer("1", email="p1@shop.test", phone="+4930555018"))
    people.drain()
    store = people.app.store
    first, second = (store.link("people", "shop", "customer", key) for key in ("0", "1"))
    people.sink.records[first.remote_id]["phone"] = people.sink.records.pop(second.remote_id)["phone"]
    joined = LinkUpdate(object=second.object, remote_id=first.remote_id, sink="crm", fields=second.fields)
    store.put_link("people", "shop", "customer", "1", joined, people.clock.now())
    assert verify(people.app, "people", repair=True).repaired == ["0", "1"]
    people.settle_down()
    numbers = {record["email"]: record.get("phone") for record in people.sink.records.values()}
    assert numbers == {"p0@shop.test": None, "p1@shop.test": "+4930555018"}
    assert verify(people.app, "people").ok


def test_of_two_made_one_where_a_target_has_one_record_for_an_address_one_is_made_anew(people):
    people.app.preparer("people").by_address = True
    people.emit(*everyone(2))
    people.drain()
    store = people.app.store
    first, second = (store.link("people", "shop", "customer", key) for key in ("0", "1"))
    del people.sink.records[second.remote_id]
    joined = LinkUpdate(object=second.object, remote_id=first.remote_id, sink="crm", fields=second.fields)
    store.put_link("people", "shop", "customer", "1", joined, people.clock.now())
    assert verify(people.app, "people", repair=True).drift == {"1": ["email"]}
    people.settle_down()
    assert sorted(r["email"] for r in people.sink.records.values()) == ["p0@shop.test", "p1@shop.test"]
    assert verify(people.app, "people").ok
