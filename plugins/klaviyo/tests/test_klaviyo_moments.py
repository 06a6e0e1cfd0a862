"""A no at every moment of a profile's life, told within seconds; and a person who is forgotten at the same moments.

What counts is what the stand-in holds, never what the sink says of itself.
"""

from datetime import timedelta
from functools import partial

import pytest
from attrs import evolve

from synccore.errors import RateLimited
from synccore.testing import Fault
from synccore.types import Delivered, Failed, FieldOptions, Identity, Job, Link, RouteSpec, Submitted
from synccore_klaviyo.testing import FakeKlaviyo

HOUR = timedelta(hours=1)
IMPORT = "/api/profile-import"
UNSUBSCRIBE = "/api/profile-subscription-bulk-delete-jobs"
SUBSCRIBE = "/api/profile-subscription-bulk-create-jobs"
ANNA = "anna@shop.test"
PROFILES = RouteSpec(
    name="marketing", source="shop", entity="customer", sink="marketing", object="profile", fields={"email": "''"}
)


@pytest.fixture
def klaviyo(clock):
    """Jobs run for an hour, deletions take a minute."""
    with FakeKlaviyo(clock=clock.now, job_time=HOUR, deletion_time=timedelta(minutes=1)) as server:
        yield server


@pytest.fixture
def sink(open_sink):
    return open_sink((PROFILES,))


def fields(accepts, **more):
    return {"email": ANNA, "accepts_marketing": accepts, **more}


def no_more(klaviyo, email=ANNA):
    person = klaviyo.person(email)
    return person is not None and person.opted_out


def crowd(operation, count=60, **values):
    return [operation(key=f"x{n}", fields={"email": f"x{n}@shop.test"}, bulk=True, **values) for n in range(count)]


def in_a_job(sink, operation, **values):
    """Anna, with a yes, among sixty in an import job; gives her operation and the job."""
    ops = [operation(fields=fields(True, first_name="Anna"), bulk=True, **values), *crowd(operation)]
    (job,) = {o.job for o in sink.deliver(ops)}
    return ops, job


# -- opt-outs


def test_before_the_first_delivery(sink, klaviyo, operation):
    (outcome,) = sink.deliver([operation(fields=fields(False), before=fields(True))])
    assert no_more(klaviyo)
    assert "unsubscribed" in outcome.note


def test_before_the_first_delivery_during_the_first_listing(sink, klaviyo, operation):
    sink.deliver([operation(fields=fields(False), before=fields(True), bulk=True), *crowd(operation)])
    assert no_more(klaviyo)


def test_a_no_at_first_sight_is_none(sink, klaviyo, operation):
    sink.deliver(
        [operation(fields=fields(False), before=fields(False)), operation(key="13", fields={"email": "b@s.test"})]
    )
    assert not no_more(klaviyo)
    assert klaviyo.count("POST", UNSUBSCRIBE) == 0


def test_adopted(sink, klaviyo, operation):
    anna = klaviyo.add_person(email=ANNA)
    link = Link(object="profile", remote_id=anna.id, adopted=True)
    sink.deliver([evolve(operation(fields=fields(False), before=fields(True)), link=link)])
    assert no_more(klaviyo)


def test_of_a_record_that_cannot_be_written(sink, klaviyo, operation):
    op = operation(fields=fields(False, **{"$wrong": 1}), previous=fields(True), remote_id="01")
    (outcome,) = sink.deliver([op])
    assert isinstance(outcome, Failed)
    assert no_more(klaviyo)


def test_behind_the_quota_of_the_profiles_own_writes(sink, klaviyo, operation, clock):
    anna = klaviyo.add_person(email=ANNA)
    klaviyo.throttle("POST", IMPORT, HOUR)
    sink.deliver([operation(key="1", fields={"email": "b@shop.test"})])
    began = clock.now()
    op = operation(fields=fields(False, first_name="Ann"), previous=fields(True), remote_id=anna.id)
    (outcome,) = sink.deliver([op])
    assert no_more(klaviyo)
    assert clock.now() - began < timedelta(seconds=10)
    assert (type(outcome.error), outcome.error.scope) == (RateLimited, "operation")
    clock.advance(outcome.error.retry_after)
    (outcome,) = sink.deliver([op])
    assert (anna.attributes["first_name"], type(outcome)) == ("Ann", Delivered)
    assert klaviyo.count("POST", UNSUBSCRIBE) == 1


def test_behind_an_events_quota(sink, klaviyo, operation):
    klaviyo.throttle("POST", "/api/events", HOUR)
    event = operation("event", op="event", entity="payment", event_id="1", fields={"email": ANNA, "metric": "Paid"})
    (outcome,) = sink.deliver([event])
    assert outcome.error.scope == "route"
    sink.deliver([operation(fields=fields(False), previous=fields(True), remote_id=klaviyo.add_person(email=ANNA).id)])
    assert no_more(klaviyo)


def test_a_crowd_of_single_writes_keeps_no_thread_for_long(sink, klaviyo, operation, clock):
    began = clock.now()
    for _ in range(4):
        ops = [operation(key=f"y{n}", fields={"email": f"y{n}@shop.test"}) for n in range(50)]
        sink.deliver(ops)
        assert clock.now() - began < timedelta(seconds=10)
        began = clock.now()


def test_in_a_job_for_an_hour(sink, klaviyo, operation, clock):
    ops, job = in_a_job(sink, operation)
    newer = operation(fields=fields(False, first_name="Ann"), before=fields(True))
    (said,) = sink.overtake([newer])
    assert no_more(klaviyo)
    assert said.note == "unsubscribed, ahead of the import job"
    clock.advance(HOUR)
    outcomes = sink.collect(Job(id=job, operations=tuple(ops), submitted_at=clock.now()))
    # The job has written the older state over the person; the no stands.
    assert klaviyo.person(ANNA).attributes["first_name"] == "Anna"
    assert no_more(klaviyo)
    link = Link(object="profile", remote_id=outcomes[0].remote_id, fields=ops[0].fields, delivered_at=clock.now())
    (outcome,) = sink.deliver([evolve(newer, link=link)])
    assert isinstance(outcome, Delivered)
    assert klaviyo.person(ANNA).attributes["first_name"] == "Ann"
    assert klaviyo.count("POST", UNSUBSCRIBE) == 1


def test_what_is_no_consent_waits_for_the_job(sink, klaviyo, operation):
    in_a_job(sink, operation)
    before = len(klaviyo.requests)
    assert sink.overtake([operation(fields=fields(True, first_name="Ann"), before=fields(True))]) == [None]
    assert len(klaviyo.requests) == before


def test_a_yes_overtakes_the_job_too(sink, klaviyo, operation):
    ops = [operation(fields=fields(False), bulk=True), *crowd(operation)]
    sink.deliver(ops)
    sink.overtake([operation(fields=fields(True), before=fields(False))])
    assert klaviyo.person(ANNA).consent == "SUBSCRIBED"


def test_a_no_while_the_address_changes_and_the_write_has_to_wait(sink, klaviyo, operation, clock):
    anna = klaviyo.add_person(email="old@shop.test")
    klaviyo.throttle("POST", IMPORT, HOUR)
    op = operation(fields=fields(False), previous={**fields(True), "email": "old@shop.test"}, remote_id=anna.id)
    (outcome,) = sink.deliver([op])
    assert no_more(klaviyo, "old@shop.test")
    clock.advance(outcome.error.retry_after)
    sink.deliver([op])
    assert (anna.attributes["email"], anna.opted_out, len(klaviyo.store.people)) == (ANNA, True, 1)


def test_a_no_with_a_new_address_makes_nobody_of_the_old_one(sink, klaviyo, operation, clock):
    klaviyo.opt_out_time = timedelta(seconds=2)
    anna = klaviyo.add_person(email="old@shop.test")
    sink.deliver(
        [operation(fields=fields(False), previous={**fields(True), "email": "old@shop.test"}, remote_id=anna.id)]
    )
    clock.advance(timedelta(seconds=3))
    assert no_more(klaviyo, ANNA)
    assert klaviyo.person("old@shop.test") is None
    assert len(klaviyo.store.people) == 1


@pytest.mark.parametrize("lost", [Fault.commit_then_drop, partial(Fault.status, 503)], ids=["carried-out", "refused"])
def test_a_no_with_a_new_address_whose_answer_is_lost_goes_to_the_address_that_is_known(
    sink, klaviyo, operation, clock, lost
):
    anna = klaviyo.add_person(email="old@shop.test")
    klaviyo.fail_next(lost(when=lambda r: r.path == IMPORT))
    change = operation(fields=fields(False), previous={**fields(True), "email": "old@shop.test"}, remote_id=anna.id)
    sink.deliver([change])
    assert anna.opted_out
    assert len(klaviyo.store.people) == 1


def test_yes_no_yes_within_half_an_hour_ends_in_yes(sink, klaviyo, operation, clock):
    anna = klaviyo.add_person(email=ANNA)
    for accepts in (True, False, True):
        (outcome,) = sink.deliver([operation(fields=fields(accepts), previous=fields(not accepts), remote_id=anna.id)])
        clock.advance(timedelta(minutes=1))
    assert anna.consent == "UNSUBSCRIBED"
    assert (type(outcome.error), outcome.error.scope) == (RateLimited, "operation")
    clock.advance(outcome.error.retry_after)
    sink.deliver([operation(fields=fields(True), previous=fields(False), remote_id=anna.id)])
    assert anna.consent == "SUBSCRIBED"
    assert klaviyo.store.dropped_opt_ins == []


def test_a_yes_that_became_a_no_again_while_the_write_waits_is_a_no(sink, klaviyo, operation, clock):
    anna = klaviyo.add_person(email=ANNA)
    klaviyo.throttle("POST", IMPORT, timedelta(minutes=2))
    for accepts in (False, True, False):
        sink.deliver([operation(fields=fields(accepts), previous=fields(True), remote_id=anna.id)])
        assert anna.opted_out is not accepts
        clock.advance(timedelta(seconds=20))


def test_nothing_stands_in_front_of_an_opt_out(sink, klaviyo, operation):
    anna = klaviyo.add_person(email=ANNA)
    keep = {"first_name": FieldOptions(keep_existing=True)}
    op = operation(fields=fields(False, first_name="A"), previous=fields(True), remote_id=anna.id, options=keep)
    sink.deliver([op, *crowd(operation)])
    assert klaviyo.requests[0].path == UNSUBSCRIBE


# -- forgetting


def forget(sink, identity=None, links=()):
    """As core does it: whom the sink finds, and whatever is linked. Gives the outcomes."""
    identity = identity or Identity(emails=(ANNA,), uids=("shop:customer:12",))
    found = {link.remote_id: link for link in (*sink.find(identity), *links)}
    return [sink.erase(link).outcome for link in found.values()]


def linked(remote_id, **values):
    route = {"source": "shop", "entity": "customer", "key": "12", "route": "marketing"}
    return Link(object="profile", remote_id=remote_id, fields=fields(True), **route, **values)


def an_hour_later(sink, klaviyo, clock):
    clock.advance(HOUR + timedelta(minutes=2))
    return klaviyo.person(ANNA)


@pytest.mark.parametrize("how", ["ours", "adopted", "without a link"])
def test_forgotten_whoever_made_the_profile(sink, klaviyo, clock, how):
    anna = klaviyo.add_person(email=ANNA)
    links = () if how == "without a link" else (linked(anna.id, adopted=how == "adopted"),)
    # Klaviyo takes its minute: nothing is called deleted before it is gone.
    assert set(forget(sink, links=links)) == {"pending"}
    clock.advance(timedelta(minutes=1))
    assert forget(sink) == []
    assert an_hour_later(sink, klaviyo, clock) is None


def test_forgotten_where_klaviyo_is_quick(sink, klaviyo, clock):
    klaviyo.deletion_time = timedelta(seconds=2)
    anna = klaviyo.add_person(email=ANNA)
    assert forget(sink, links=[linked(anna.id)]) == ["deleted"]
    assert klaviyo.person(ANNA) is None


def test_forgotten_while_in_a_job(sink, klaviyo, operation, clock, context):
    ops, job = in_a_job(sink, operation)
    assert forget(sink) == ["pending"]
    # The job makes the person; as soon as it is collected (with the others' rows) the person goes for good.
    clock.advance(HOUR)
    assert klaviyo.person(ANNA) is not None
    sink.collect(Job(id=job, operations=tuple(ops[1:]), submitted_at=clock.now()))
    assert an_hour_later(sink, klaviyo, clock) is None
    assert forget(sink) == []
    assert context.vault.secrets == {}


def test_forgotten_while_in_a_job_that_is_never_collected(sink, klaviyo, operation, clock):
    in_a_job(sink, operation)
    forget(sink)
    clock.advance(HOUR + timedelta(minutes=2))
    sink.deliver([operation(key="99", fields={"email": "z@shop.test"})])
    assert an_hour_later(sink, klaviyo, clock) is None


def test_forgotten_while_the_job_ends(sink, klaviyo, operation, clock, monkeypatch):
    """Nobody is there when the profiles are read, and no job runs when it is asked for: then nobody was looked for."""
    in_a_job(sink, operation)
    answer = klaviyo.handle

    def ends_after(request):
        reply = answer(request)
        if request.path == "/api/profiles":
            clock.advance(HOUR)
            klaviyo.finish_jobs()
        return reply

    monkeypatch.setattr(klaviyo, "handle", ends_after)
    assert forget(sink) == ["pending"]
    monkeypatch.undo()
    sink.deliver([operation(key="99", fields={"email": "z@shop.test"})])
    assert an_hour_later(sink, klaviyo, clock) is None


def test_asked_again_a_running_job_is_still_the_reason(sink, klaviyo, operation):
    _, job = in_a_job(sink, operation)
    anna = klaviyo.add_person(email=ANNA)
    outcomes = [sink.erase(link) for link in [linked(anna.id), *sink.find(Identity(emails=(ANNA,)))]]
    assert {o.outcome for o in outcomes} == {"pending"}
    assert job in outcomes[0].note
    assert "submitted 12:00" in outcomes[0].note


def erased(sink, klaviyo, operation):
    """Anna left, and Klaviyo was asked to delete her; gives what was made of that."""
    anna = klaviyo.add_person(email=ANNA)
    link = evolve(linked(anna.id), fields={"email": ANNA})
    (outcome,) = sink.deliver([evolve(operation(op="delete", settings={"on_delete": "erase"}), link=link)])
    return outcome


def test_who_registers_anew_waits_until_klaviyo_has_deleted_the_profile(sink, klaviyo, operation, clock):
    assert isinstance(erased(sink, klaviyo, operation), Delivered)
    anew, other = (
        operation(key="13", fields={"email": "Anna@Shop.test"}),
        operation(key="14", fields={"email": "z@shop.test"}),
    )
    waits, delivered = sink.deliver([anew, other])
    assert isinstance(delivered, Delivered)
    assert isinstance(waits.error, RateLimited)
    assert ANNA not in str(waits.error)
    clock.advance(timedelta(minutes=1))
    (outcome,) = sink.deliver([anew])
    assert klaviyo.person(ANNA).id == outcome.remote_id


def test_nobody_waits_for_a_deletion_that_comes_to_nothing(sink, klaviyo, operation, clock):
    klaviyo.deletion_time = timedelta(days=30)
    erased(sink, klaviyo, operation)
    clock.advance(timedelta(days=1, minutes=1))
    (outcome,) = sink.deliver([operation(key="13", fields={"email": ANNA})])
    assert isinstance(outcome, Delivered)


def test_nobody_waits_for_a_deletion_that_was_refused(sink, klaviyo, operation):
    klaviyo.fail_next(Fault.status(400, when=lambda request: "deletion-jobs" in request.path))
    assert isinstance(erased(sink, klaviyo, operation), Failed)
    (outcome,) = sink.deliver([operation(key="13", fields={"email": ANNA})])
    assert isinstance(outcome, Delivered)


def test_an_event_s_person_is_forgotten_by_address(sink, klaviyo, clock):
    klaviyo.deletion_time = timedelta(0)
    klaviyo.add_person(email=ANNA)
    link = Link(object="event", remote_id="shop:customer:12", fields={"email": ANNA})
    assert sink.erase(link).outcome == "deleted"
    assert klaviyo.person(ANNA) is None


def test_nobody_else_is_forgotten(sink, klaviyo, clock):
    klaviyo.deletion_time = timedelta(0)
    ben = klaviyo.add_person(email="ben@shop.test", phone_number="+4915123456789")
    assert forget(sink, Identity(emails=(ANNA,), phones=("+4915123456789",))) == []
    assert sink.erase(linked(ben.id, shared=2)).outcome == "released"
    assert klaviyo.store.people == {ben.id: ben}


def test_only_a_profile_that_is_ours_is_deleted_when_it_is_let_go(sink, klaviyo, operation, clock):
    klaviyo.deletion_time = timedelta(0)
    ours = {"email": ANNA, "first_name": "Anna", "properties": {"woo_is_member": True}, "Colour": "blue"}
    anna = klaviyo.add_person(email=ANNA, first_name="Anna", title="Dr", properties={"woo_is_member": True, "own": 1})
    for on_leave, adopted, there in (("clear", False, True), ("delete", True, True), ("delete", False, False)):
        link = evolve(linked(anna.id, adopted=adopted), fields=ours)
        (outcome,) = sink.deliver([evolve(operation(op="leave", on_leave=on_leave), link=link)])
        assert isinstance(outcome, Delivered)
        assert (klaviyo.person(ANNA) is not None) is there
        assert (anna.attributes.get("first_name"), anna.attributes.get("title")) == (None, "Dr")
        assert anna.properties == {"own": 1}


# -- jobs that are posted and lost


def test_a_job_whose_post_was_never_answered_is_a_reason_too(sink, klaviyo, operation):
    klaviyo.fail_next(Fault.commit_then_drop(when=lambda r: r.path == "/api/profile-bulk-import-jobs"))
    ops = [operation(fields=fields(True), bulk=True), *crowd(operation)]
    assert not any(isinstance(o, Submitted) for o in sink.deliver(ops))
    assert forget(sink) == ["pending"]
