"""Import jobs: few, submitted once, with every error at its record."""

import json
from datetime import timedelta
from functools import partial

import pytest
from attrs import evolve

from synccore.errors import AuthError, Conflict, RateLimited, Rejected, Transient
from synccore.testing import Fault
from synccore.types import Delivered, Failed, Job, Link, Retry, Submitted
from synccore_klaviyo.profile import FOREIGN

JOBS = "/api/profile-bulk-import-jobs"


def members(operation, count, **values):
    return [
        operation(key=str(n), fields={"email": f"m{n}@shop.test", "properties": {"n": n}}, bulk=True, **values)
        for n in range(count)
    ]


def collect(sink, outcomes, operations, clock):
    """Poll every job to its end; outcomes by operation id."""
    found = {}
    for job in {o.job for o in outcomes if isinstance(o, Submitted)}:
        ops = tuple(op for op, o in zip(operations, outcomes, strict=True) if isinstance(o, Submitted) and o.job == job)
        answer = None
        while answer is None:
            answer = sink.collect(Job(id=job, operations=ops, submitted_at=clock.now()))
        found |= {op.id: o for op, o in zip(ops, answer, strict=True)}
    return found


def posts(klaviyo):
    return klaviyo.count("POST", JOBS)


def test_ten_thousand_members_take_one_job_and_errors_find_their_records(sink, klaviyo, operation, clock):
    klaviyo.refuse = {f"m{n}@shop.test": ("invalid", f"m{n}@shop.test is not liked") for n in range(0, 10_000, 500)}
    ops = members(operation, 10_000)
    outcomes = sink.deliver(ops)
    assert posts(klaviyo) == 1
    assert klaviyo.count("POST") == 1
    found = collect(sink, outcomes, ops, clock)
    failed = {op.key for op in ops if isinstance(found[op.id], Failed)}
    assert failed == {str(n) for n in range(0, 10_000, 500)}
    assert all(isinstance(found[op.id].error, Rejected) for op in ops if op.key in failed)
    assert "@" not in found[ops[0].id].error.message
    assert all(found[op.id].remote_id == klaviyo.person(op.fields["email"]).id for op in ops if op.key not in failed)
    assert klaviyo.throttled == 0


def test_a_few_records_take_no_job(sink, klaviyo, operation):
    sink.deliver(members(operation, 50))
    assert posts(klaviyo) == 0


def test_the_threshold_is_a_setting(open_sink, klaviyo, operation):
    sink = open_sink(bulk_threshold=3)
    assert sink.limits.bulk_threshold == 3
    sink.deliver(members(operation, 4))
    assert posts(klaviyo) == 1


def test_jobs_are_cut_at_five_megabytes(sink, klaviyo, operation):
    ops = [
        operation(key=str(n), fields={"email": f"m{n}@shop.test", "properties": {"note": "é" * 40_000}}, bulk=True)
        for n in range(150)
    ]
    outcomes = sink.deliver(ops)
    assert len({o.job for o in outcomes}) == posts(klaviyo) == 3
    assert max(len(r.body) for r in klaviyo.requests) <= 5_000_000


def test_the_order_of_outcomes_is_the_operations(sink, klaviyo, operation, clock):
    ops = members(operation, 60)
    outcomes = sink.deliver(ops)
    backwards = tuple(reversed(ops))
    job = Job(id=outcomes[0].job, operations=backwards, submitted_at=clock.now())
    assert sink.collect(job) is None
    answer = sink.collect(job)
    assert [o.remote_id for o in answer] == [klaviyo.person(op.fields["email"]).id for op in backwards]


def test_errors_are_found_by_place_where_the_payload_is_missing(sink, klaviyo, operation, clock):
    klaviyo.refuse = {"m7@shop.test": ("invalid", "no")}
    ops = members(operation, 60)
    outcomes = sink.deliver(ops)
    klaviyo.finish_jobs()
    for error in klaviyo.jobs[outcomes[0].job].errors:
        error["attributes"]["original_payload"] = None
    answer = sink.collect(Job(id=outcomes[0].job, operations=tuple(reversed(ops)), submitted_at=clock.now()))
    assert [op.key for op, o in zip(reversed(ops), answer, strict=True) if isinstance(o, Failed)] == ["7"]


def test_a_record_that_vanished_without_a_word_is_no_success(sink, klaviyo, operation, clock):
    ops = members(operation, 60)
    outcomes = sink.deliver(ops)
    klaviyo.finish_jobs()
    klaviyo.store.delete(klaviyo.person("m3@shop.test"))
    found = collect(sink, outcomes, ops, clock)
    assert isinstance(found[ops[3].id].error, Transient)
    assert sum(isinstance(o, Failed) for o in found.values()) == 1


def test_identity_conflicts_come_back_for_the_single_call(sink, klaviyo, operation, clock):
    klaviyo.add_person(email="other@shop.test", phone_number="+4915123456789")
    ops = members(operation, 60)
    ops[5] = evolve(ops[5], fields={**ops[5].fields, "phone_number": "+4915123456789"})
    # Whose it is became known after the question: the job meets it.
    klaviyo.fail_next(Fault.status(200, {"data": []}, when=lambda r: "phone_number" in dict(r.query).get("filter", "")))
    found = collect(sink, sink.deliver(ops), ops, clock)
    assert isinstance(found[ops[5].id].error, Conflict)
    (again,) = sink.deliver([ops[5]])
    assert again.left_out == {"phone_number": "it belongs to another profile"}


def test_a_number_of_somebody_elses_keeps_out_of_the_job(sink, klaviyo, operation, clock):
    """As two of one family do: only the first keeps it."""
    klaviyo.store.phones_win = True
    other = klaviyo.add_person(email="other@shop.test", phone_number="+4915123456789")
    ops = members(operation, 60)
    for n, number in ((5, "+4915123456789"), (6, "+4930901820"), (7, "+4930901820")):
        ops[n] = evolve(ops[n], fields={**ops[n].fields, "phone_number": number})
    outcomes = sink.deliver(ops)
    assert (outcomes[5].left_out, outcomes[7].left_out) == ({"phone_number": FOREIGN}, {"phone_number": FOREIGN})
    collect(sink, outcomes, ops, clock)
    assert len(klaviyo.store.people) == 61
    assert other.attributes["email"] == "other@shop.test"
    assert klaviyo.person("m6@shop.test").attributes["phone_number"] == "+4930901820"


def test_what_has_to_be_emptied_goes_alone(sink, klaviyo, operation, clock):
    person = klaviyo.add_person(email="m0@shop.test", title="Dr", properties={"gone": 1})
    ops = members(operation, 60)
    ops[0] = operation(
        key="0",
        bulk=True,
        fields={"email": "m0@shop.test", "title": None, "properties": {"n": 0}},
        previous={"email": "m0@shop.test", "properties": {"gone": 1}},
        remote_id=person.id,
    )
    outcomes = sink.deliver(ops)
    assert isinstance(outcomes[0], Delivered)
    assert all(isinstance(o, Submitted) for o in outcomes[1:])
    assert "title" not in person.attributes
    assert person.properties == {"n": 0}


def test_single_calls_of_a_large_batch_are_bounded_and_the_rest_waits(sink, klaviyo, operation):
    ops = members(operation, 200)
    ops = [evolve(op, fields={**op.fields, "title": None}) for op in ops]
    outcomes = sink.deliver(ops)
    waiting = [o for o in outcomes if isinstance(o, Failed)]
    assert len(waiting) == 150
    assert all(isinstance(o.error, RateLimited) and o.error.scope == "operation" for o in waiting)


def test_one_address_is_in_a_job_once(sink, klaviyo, operation):
    ops = members(operation, 60)
    ops[9] = evolve(ops[9], fields=ops[8].fields)
    outcomes = sink.deliver(ops)
    assert isinstance(outcomes[9].error, RateLimited)
    assert len(next(iter(klaviyo.jobs.values())).profiles) == 59


def test_a_record_the_job_is_refused_for_stays_behind(sink, klaviyo, operation):
    ops = members(operation, 60)
    body = {
        "errors": [
            {
                "id": "1",
                "code": "invalid",
                "title": "t",
                "detail": "d",
                "source": {"pointer": "/data/attributes/profiles/data/4/attributes/email"},
            }
        ]
    }
    klaviyo.fail_next(Fault.status(400, body))
    outcomes = sink.deliver(ops)
    assert isinstance(outcomes[4].error, Rejected)
    assert outcomes[4].error.fields == ("email",)
    assert sum(isinstance(o, Submitted) for o in outcomes) == 59


def test_without_a_pointer_the_batch_is_halved_to_the_culprit(sink, klaviyo, operation):
    ops = members(operation, 64)
    body = {"errors": [{"id": "1", "code": "invalid", "title": "t", "detail": "d"}]}
    klaviyo.fail_next(*[Fault.status(400, body, when=lambda r: b"m9@" in r.body) for _ in range(7)])
    outcomes = sink.deliver(ops)
    assert [op.key for op, o in zip(ops, outcomes, strict=True) if isinstance(o, Failed)] == ["9"]


def test_too_large_is_halved(sink, klaviyo, operation):
    klaviyo.fail_next(Fault.status(413))
    outcomes = sink.deliver(members(operation, 60))
    assert len({o.job for o in outcomes}) == 2


# -- killed in between


@pytest.fixture
def restarted(open_sink):
    """Opens the sink of the next process: nothing in memory, the same durable state."""
    return open_sink


def again(operations):
    """What core asks after a crash: the same, and unsure."""
    return [evolve(op, maybe_applied=True) for op in operations]


def test_killed_after_the_answer_the_stored_job_is_taken_up(sink, klaviyo, operation, restarted, clock):
    ops = members(operation, 60)
    first = sink.deliver(ops)
    second = restarted().deliver(again(ops))
    assert second == first
    assert posts(klaviyo) == 1


@pytest.mark.parametrize(
    "fault",
    [Fault.commit_then_drop, partial(Fault.commit_then_status, 200, {"status": "ok"})],
    ids=["drop", "json-200"],
)
def test_killed_before_the_answer_the_job_is_found(sink, klaviyo, operation, restarted, clock, fault):
    ops = members(operation, 60)
    klaviyo.fail_next(fault(when=lambda r: r.path == JOBS))
    first = sink.deliver(ops)
    assert all(o.error.maybe_applied for o in first)
    second = restarted().deliver(again(ops))
    assert {o.job for o in second} == set(klaviyo.jobs)
    assert posts(klaviyo) == 1


def test_killed_before_the_request_the_job_is_made(sink, klaviyo, operation, restarted, clock):
    ops = members(operation, 60)
    klaviyo.fail_next(Fault.reset(when=lambda r: r.path == JOBS))
    sink.deliver(ops)
    second = restarted().deliver(again(ops))
    assert all(isinstance(o, Submitted) for o in second)
    assert len(klaviyo.jobs) == 1


def test_somebody_elses_job_of_the_same_size_and_earlier_is_not_ours(
    sink, klaviyo, operation, context, restarted, clock
):
    foreign = members(operation, 60)
    sink.deliver(foreign)
    clock.advance(timedelta(hours=1))
    context.state().clear()
    ops = [evolve(op, fields={**op.fields, "title": "x"}, idempotency_key=op.idempotency_key + "x") for op in foreign]
    klaviyo.fail_next(Fault.reset(when=lambda r: r.path == JOBS))
    sink.deliver(ops)
    outcomes = restarted().deliver(again(ops))
    assert {o.job for o in outcomes} == {"job-000002"}


def test_a_job_of_our_own_for_other_records_is_not_taken_for_the_lost_one(sink, klaviyo, operation, restarted):
    first = members(operation, 60)
    sink.deliver(first)
    second = [operation(key=f"x{n}", fields={"email": f"x{n}@shop.test"}, bulk=True) for n in range(60)]
    klaviyo.fail_next(Fault.reset(when=lambda r: r.path == JOBS))
    sink.deliver(second)
    outcomes = restarted().deliver(again(second))
    assert {o.job for o in outcomes} == {"job-000002"}


def test_a_part_of_the_batch_finds_its_job_too(sink, klaviyo, operation, restarted):
    ops = members(operation, 60)
    (job,) = {o.job for o in sink.deliver(ops)}
    outcomes = restarted().deliver(again(ops[10:20]))
    assert {o.job for o in outcomes} == {job}
    assert klaviyo.count("POST") == 1


def test_after_collection_the_same_records_are_submitted_again(sink, klaviyo, operation, clock):
    ops = members(operation, 60)
    collect(sink, sink.deliver(ops), ops, clock)
    sink.deliver(again(ops))
    assert posts(klaviyo) == 2


def test_collecting_twice_gives_the_same(sink, klaviyo, operation, clock):
    klaviyo.refuse = {"m3@shop.test": ("invalid", "no")}
    ops = members(operation, 60)
    outcomes = sink.deliver(ops)

    def told(found):
        return [type(found[op.id]) for op in ops]

    assert told(collect(sink, outcomes, ops, clock)) == told(collect(sink, outcomes, ops, clock))


def test_a_newer_state_is_not_mistaken_for_the_submitted_one(sink, klaviyo, operation, restarted):
    ops = members(operation, 60)
    sink.deliver(ops)
    newer = [evolve(op, fields={**op.fields, "title": "x"}, idempotency_key=op.idempotency_key + "2") for op in ops]
    assert not any(isinstance(o, Submitted) for o in restarted().deliver(again(newer)))
    assert posts(klaviyo) == 1
    klaviyo.finish_jobs()
    (job,) = {o.job for o in restarted().deliver(again(newer))}
    assert job == "job-000002"
    assert posts(klaviyo) == 2


def test_a_newer_state_waits_while_a_job_with_the_older_one_runs(sink, klaviyo, operation, restarted):
    ops = members(operation, 60)
    (job,) = {o.job for o in sink.deliver(ops)}
    newer = [evolve(op, fields={**op.fields, "title": "x"}, idempotency_key=op.idempotency_key + "2") for op in ops[:3]]
    outcomes = restarted().deliver(again([*newer, *ops[3:]]))
    assert [type(o.error) for o in outcomes[:3]] == [RateLimited] * 3
    assert {o.job for o in outcomes[3:]} == {job}
    assert klaviyo.count("POST") == 1


def test_a_deletion_waits_while_a_job_that_makes_the_profile_runs(sink, klaviyo, operation, restarted):
    ops = members(operation, 60)
    sink.deliver(ops)
    gone = evolve(ops[0], op="delete", idempotency_key="gone", maybe_applied=True)
    assert isinstance(restarted().lookup([gone])[0], Retry)
    klaviyo.finish_jobs()
    assert isinstance(restarted().lookup([gone])[0], Link)


@pytest.mark.parametrize("op", ["delete", "leave"])
def test_who_is_known_waits_as_well_to_go_while_a_job_has_them_that_nobody_heard_of(sink, klaviyo, operation, op):
    """It ends later, and would make the profile anew."""
    ops = members(operation, 60)
    (made,) = sink.deliver([evolve(ops[0], idempotency_key="before")])
    sink.deliver(ops)
    link = Link(object="profile", remote_id=made.remote_id, fields=ops[0].fields)
    settings = {**ops[0].settings, "on_delete": "erase"}
    gone = evolve(ops[0], op=op, on_leave="delete", link=link, settings=settings, idempotency_key="gone")
    (waits,) = sink.deliver([evolve(gone, maybe_applied=True)])
    assert isinstance(waits.error, RateLimited)
    klaviyo.finish_jobs()
    (done,) = sink.deliver([evolve(gone, maybe_applied=True)])
    assert done.note == "deletion of the profile requested"


def test_what_was_remembered_goes_after_a_week(sink, klaviyo, operation, context, clock):
    ops = members(operation, 60)
    sink.deliver(ops)
    clock.advance(timedelta(days=8))
    sink.deliver(members(operation, 60))
    assert len(list(context.state().scan())) == 1


@pytest.mark.parametrize("status", ["cancelled", None])
def test_a_job_that_ended_without_result_is_owed_again(sink, klaviyo, operation, clock, status):
    ops = members(operation, 60)
    outcomes = sink.deliver(ops)
    job = outcomes[0].job
    if status:
        klaviyo.polls_until_done = None
        klaviyo.jobs[job].status = status
    else:
        del klaviyo.jobs[job]
    answer = sink.collect(Job(id=job, operations=tuple(ops), submitted_at=clock.now()))
    assert all(isinstance(o.error, Transient) and o.error.maybe_applied for o in answer)
    sink.deliver(again(ops))
    assert posts(klaviyo) == 2


def test_collect_raises_what_concerns_the_account(sink, klaviyo, operation, clock):
    ops = members(operation, 60)
    outcomes = sink.deliver(ops)
    klaviyo.scopes.remove("lists:read")
    with pytest.raises(AuthError, match="lists:read"):
        sink.collect(Job(id=outcomes[0].job, operations=tuple(ops), submitted_at=clock.now()))


def test_live_opt_ins_of_a_large_batch_travel(sink, klaviyo, operation):
    ops = [operation(key=str(n), fields={"email": f"m{n}@shop.test", "accepts_marketing": n == 3}) for n in range(60)]
    sink.deliver(ops)
    assert klaviyo.person("m3@shop.test").consent == "SUBSCRIBED"
    (job,) = klaviyo.jobs.values()
    assert len(job.profiles) == 59
    assert "accepts_marketing" not in json.dumps(job.profiles)
