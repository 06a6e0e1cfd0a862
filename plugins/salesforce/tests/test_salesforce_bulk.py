"""Backlogs through Bulk API 2.0."""

from functools import partial

import pytest

from synccore.errors import RateLimited, Rejected, Transient, WaitFor
from synccore.testing import Fault
from synccore.types import Delivered, Failed, FieldOptions, Identity, Job, Retry, Submitted, Unchanged


@pytest.fixture
def bench(bench):
    """Benches on which a job begins early."""
    return partial(bench, bulk_threshold=200)


@pytest.fixture
def crm(bench):
    made = bench()
    made.sink.describe()
    return made


def backlog(crm, person, count=300, **fields):
    return [crm.op(str(n), person(n, **fields), bulk=True) for n in range(count)]


def keys(crm):
    return sorted(r["WooId__c"] for r in crm.org.records("Contact"))


def jobs(crm):
    return list(crm.org.jobs.jobs.values())


def test_a_backlog_is_one_job_and_few_calls(crm, person):
    before = crm.context.calls
    operations = backlog(crm, person, 2500)
    outcomes = crm.deliver(*operations)
    assert {type(o) for o in outcomes} == {Submitted}
    assert len(jobs(crm)) == 1
    final = crm.collect(operations, outcomes)
    assert all(isinstance(o, Delivered) for o in final)
    assert crm.context.calls - before <= 10
    assert len(crm.org.records("Contact")) == 2500
    # Results come in another order; each link leads to its own record.
    record = crm.org.org.objects["Contact"].records[crm.links["crm_customers", "2047"].remote_id]
    assert record["WooId__c"] == "shop:customer:2047"


def test_200_or_fewer_stay_in_collections(crm, person):
    crm.deliver(*backlog(crm, person, 200))
    assert jobs(crm) == []


def test_new_and_known_records_go_in_two_jobs(crm, person):
    crm.deliver(*(crm.op(str(n), person(n)) for n in range(150)))
    operations = backlog(crm, person, 300, FirstName="New")
    operations += [crm.op("0", person(0))]
    final = crm.collect(operations, crm.deliver(*operations))
    assert {j["operation"] for j in jobs(crm)} == {"upsert", "update"}
    assert isinstance(final[-1], Unchanged)
    assert len(crm.org.records("Contact")) == 300
    assert {r["FirstName"] for r in crm.org.records("Contact")} == {"New"}


def test_cells_keep_lines_quotes_nulls_and_types(crm, person):
    street = 'Unit "4", 1 High St\nFlat 2, back\r\nyard'
    operations = backlog(crm, person, 250, MailingStreet=street, HasOptedOutOfEmail=True, Phone="42")
    crm.collect(operations, crm.deliver(*operations))
    assert {r["MailingStreet"] for r in crm.org.records("Contact")} == {street}
    assert {r["HasOptedOutOfEmail"] for r in crm.org.records("Contact")} == {True}
    operations = backlog(crm, person, 250, MailingStreet=street, HasOptedOutOfEmail=True, Phone=None)
    crm.collect(operations, crm.deliver(*operations))
    assert {r["Phone"] for r in crm.org.records("Contact")} == {None}


def test_one_bad_row_is_parked_alone_with_the_rules_words(crm, person):
    rule = ("Contact", lambda r: r["LastName"] == "Lee7", "No sevens: ask sales, not us")
    crm.org.org.validation_rules.append(rule)
    operations = backlog(crm, person)
    final = crm.collect(operations, crm.deliver(*operations))
    (failed,) = [o for o in final if isinstance(o, Failed)]
    assert isinstance(failed.error, Rejected)
    assert "No sevens: ask sales, not us" in failed.error.message


def test_locked_and_refused_rows_are_seen_through_on_their_own(crm, person, bench):
    crm.org.org.locks = {"ann1@shop.test": 1, "ann2@shop.test": 2}
    operations = backlog(crm, person)
    final = crm.collect(operations, crm.deliver(*operations))
    assert all(isinstance(o, Delivered) for o in final)
    assert len(crm.org.records("Contact")) == 300


def test_duplicate_found_by_a_rule_is_linked(bench, person, org):
    org.org.duplicate_rules.append(("Contact", "Phone", "alert"))
    twin = org.org.insert("Contact", {"LastName": "Old", "Phone": "42"})
    crm = bench(duplicate_rule="link")
    operations = [*backlog(crm, person), crm.op("x", person("x", Phone="42"), bulk=True)]
    final = crm.collect(operations, crm.deliver(*operations))
    assert final[-1].remote_id == twin


def test_rules_that_are_to_be_passed_keep_out_of_jobs(bench, person):
    # The header has no effect on jobs.
    crm = bench(duplicate_rule="save")
    crm.deliver(*backlog(crm, person))
    assert jobs(crm) == []
    assert len(crm.org.records("Contact")) == 300


def test_child_before_its_parent_waits_for_it(bench, person, route):
    crm = bench(route(fields={"Account.WooId__c": "x"}, match=("WooId__c",)))
    crm.org.org.insert("Account", {"Name": "A", "WooId__c": "shop:customer:0"})
    operations = [
        crm.op(str(n), person(n, **{"Account.WooId__c": f"shop:customer:{n % 2}"}), bulk=True) for n in range(300)
    ]
    final = crm.collect(operations, crm.deliver(*operations))
    assert isinstance(final[0], Delivered)
    assert isinstance(final[1].error, WaitFor)
    assert final[1].error.key == "1"


def test_rows_of_one_parent_stand_together(bench, person, route):
    crm = bench(route(fields={"Account.WooId__c": "x"}, match=("WooId__c",)))
    operations = [crm.op(str(n), person(n, **{"Account.WooId__c": f"p{n % 3}"}), bulk=True) for n in range(300)]
    crm.deliver(*operations)
    lines = jobs(crm)[0]["data"].splitlines()
    column = lines[0].split(",").index("Account.WooId__c")
    parents = [line.split(",")[column] for line in lines[1:]]
    assert parents == sorted(parents)


def test_existing_records_found_by_address_are_adopted_in_the_job(bench, person, route):
    crm = bench(route(match=("WooId__c", "Email")))
    existing = crm.org.org.insert("Contact", {"LastName": "Old", "Email": "ann5@shop.test"})
    operations = backlog(crm, person)
    final = crm.collect(operations, crm.deliver(*operations))
    assert final[5].remote_id == existing
    assert len(crm.org.records("Contact")) == 300
    assert crm.found("Contact", Email="ann5@shop.test")["WooId__c"] == "shop:customer:5"


class TestSession:
    """The session ends in the middle of a job."""

    @pytest.mark.parametrize("calls", range(1, 8))
    def test_each_step_survives_it(self, bench, person, org, calls):
        crm = bench()
        crm.sink.describe()
        org.sign_in.expire()
        org.session_calls = calls
        operations = backlog(crm, person)
        final = crm.collect(operations, crm.deliver(*operations))
        assert all(isinstance(o, Delivered) for o in final)
        assert len(keys(crm)) == 300
        assert len(jobs(crm)) == 1


class TestKill:
    """A kill anywhere between opening a job and core's note of its id."""

    @pytest.mark.parametrize("step", ["/batches", "UploadComplete"])
    def test_job_that_never_began_is_given_up(self, crm, person, step):
        operations = backlog(crm, person)
        die = Fault.reset(when=lambda r: step in r.path or step.encode() in r.body[:200])
        crm.org.fail_next(die, die, die)
        with pytest.raises(Transient):
            crm.sink.deliver(operations)
        crm.org.clear_faults()
        crm.restart()
        final = crm.collect(operations, crm.deliver(*operations))
        assert all(isinstance(o, Delivered) for o in final)
        assert [j["state"] for j in jobs(crm)] in (["Aborted", "JobComplete"], ["Open", "JobComplete"])
        assert len(keys(crm)) == 300

    def test_job_that_began_is_taken_up_and_not_submitted_twice(self, crm, person):
        operations = backlog(crm, person)
        crm.sink.deliver(operations)  # and core dies before it can keep the answer
        crm.restart()
        again = crm.deliver(*operations)
        assert {type(o) for o in again} == {Submitted}
        assert len(jobs(crm)) == 1
        assert all(isinstance(o, Delivered) for o in crm.collect(operations, again))

    def test_taken_up_in_other_batches_too(self, crm, person):
        operations = backlog(crm, person)
        crm.sink.deliver(operations)
        crm.restart()
        outcomes = [*crm.deliver(*operations[:100]), *crm.deliver(*operations[100:])]
        assert {o.job for o in outcomes} == {jobs(crm)[0]["id"]}

    def test_newer_state_waits_for_the_job_with_the_older(self, crm, person):
        crm.org.job_polls = 3
        operations = backlog(crm, person)
        crm.sink.deliver(operations)  # and core dies before it can keep the answer
        crm.restart()
        newer = crm.op("7", person(7, FirstName="Newer"), maybe_applied=True)
        (looked,), (wait,) = crm.sink.lookup([newer]), crm.deliver(newer)
        assert isinstance(looked, Retry)
        assert isinstance(wait.error, RateLimited)
        assert wait.error.scope == "operation"
        others = [op for op in operations if op.key != "7"]
        crm.collect(others, crm.deliver(*others))
        assert crm.found("Contact", WooId__c="shop:customer:7")["FirstName"] == "Ann7"
        assert isinstance(crm.deliver(newer)[0], Delivered)
        assert crm.found("Contact", WooId__c="shop:customer:7")["FirstName"] == "Newer"

    def test_older_state_of_a_job_that_has_ended_may_come_again(self, crm, person):
        operations = backlog(crm, person)
        crm.sink.deliver(operations)
        crm.org.job_polls = 0
        assert isinstance(crm.one("7", person(7, FirstName="Newer"), maybe_applied=True), Delivered)
        assert isinstance(crm.one("7", person(7), maybe_applied=True), Delivered)

    def test_deletion_and_forgetting_wait_for_the_job_that_makes_the_record(self, crm, person):
        crm.org.job_polls = 9
        operations = backlog(crm, person)
        crm.sink.deliver(operations)
        crm.restart()
        gone = crm.op("7", person(7), kind="delete", maybe_applied=True)
        assert isinstance(crm.sink.lookup([gone])[0], Retry)
        him = Identity(emails=("ann7@shop.test",), uids=("shop:customer:7",))
        with pytest.raises(Transient, match="run forget again"):
            crm.sink.find(him)
        crm.collect(operations, crm.deliver(*operations))
        assert crm.sink.lookup([gone])[0].marked
        assert len(crm.sink.find(him)) == 1

    def test_lost_answer_to_the_start_is_asked_after(self, crm, person):
        operations = backlog(crm, person)
        crm.org.fail_next(Fault.commit_then_drop(when=lambda r: b"UploadComplete" in r.body))
        outcomes = crm.deliver(*operations)
        assert {type(o) for o in outcomes} == {Submitted}
        assert len(jobs(crm)) == 1

    def test_outcomes_lost_after_collecting_can_be_collected_again(self, crm, person):
        operations = backlog(crm, person)
        outcomes = crm.deliver(*operations)
        first = crm.collect(operations, outcomes)
        crm.restart()
        assert crm.collect(operations, outcomes) == first

    def test_collecting_works_where_state_was_lost(self, crm, person):
        operations = backlog(crm, person)
        outcomes = crm.deliver(*operations)
        crm.context.state().clear()
        assert all(isinstance(o, Delivered) for o in crm.collect(operations, outcomes))


class TestEndings:
    """Jobs that end early or vanish."""

    def test_rows_never_tried_are_sent_again(self, crm, person):
        crm.org.jobs.unprocessed = 40
        operations = backlog(crm, person)
        final = crm.collect(operations, crm.deliver(*operations))
        left = [op for op, o in zip(operations, final, strict=True) if isinstance(o, Failed)]
        assert len(left) == 40
        assert all(isinstance(o.error, Transient) for o in final if isinstance(o, Failed))
        assert all(isinstance(o, Delivered) for o in crm.deliver(*left)), "not taken for part of the old job"
        assert len(keys(crm)) == 300

    def test_failed_job_keeps_what_was_processed(self, crm, person):
        crm.org.jobs.unprocessed, crm.org.jobs.fail = 100, "ApiBatchItems Timeout"
        operations = backlog(crm, person)
        final = crm.collect(operations, crm.deliver(*operations))
        assert sum(isinstance(o, Delivered) for o in final) == 200

    def test_file_salesforce_cannot_use_is_not_sent_for_ever(self, crm, person, bench, route):
        crm = bench(route(fields={"Shoe__c": "x"}, match=("WooId__c",)))
        crm.org.add_field("Contact", "Shoe__c")
        operations = backlog(crm, person, 300, Shoe__c="44")
        outcomes = crm.deliver(*operations)
        crm.org.org.objects["Contact"].fields["Shoe__c"].hidden = True
        final = crm.collect(operations, outcomes)
        assert all(isinstance(o.error, Rejected) and "Shoe__c" in o.error.message for o in final)

    def test_job_that_vanished_is_ambiguous(self, crm, person):
        operations = backlog(crm, person)
        outcomes = crm.deliver(*operations)
        crm.org.jobs.jobs.clear()
        final = crm.collect(operations, outcomes)
        assert all(o.error.maybe_applied for o in final)

    def test_job_still_running_is_no_answer_yet(self, crm, person):
        operations = backlog(crm, person)
        (job,) = {o.job for o in crm.deliver(*operations)}
        submitted = Job(id=job, operations=tuple(operations), submitted_at=crm.context.clock.now())
        assert crm.sink.collect(submitted) is None

    def test_org_without_jobs_uses_collections(self, crm, person):
        body = [{"errorCode": "FEATURENOTENABLED", "message": "Bulk API is not enabled"}]
        crm.org.fail_next(Fault.status(400, body, when=lambda r: r.path.endswith("/jobs/ingest")))
        assert all(isinstance(o, Delivered) for o in crm.deliver(*backlog(crm, person)))

    def test_quota_of_jobs_is_a_wait(self, crm, person):
        body = [{"errorCode": "ExceededQuota", "message": "ApiBatchItems Limit exceeded."}]
        crm.org.fail_next(Fault.status(400, body, when=lambda r: r.path.endswith("/jobs/ingest")))
        with pytest.raises(RateLimited):
            crm.sink.deliver(backlog(crm, person))


def test_values_to_keep_are_looked_at_first(bench, person, route):
    crm = bench(route(match=("WooId__c",), options={"Phone": FieldOptions(keep_existing=True)}))
    crm.org.org.insert("Contact", {"LastName": "Lee", "WooId__c": "shop:customer:1", "Phone": "1"})
    operations = backlog(crm, person, 300, Phone="99")
    crm.collect(operations, crm.deliver(*operations))
    assert crm.found("Contact", WooId__c="shop:customer:1")["Phone"] == "1"
    assert crm.found("Contact", WooId__c="shop:customer:2")["Phone"] == "99"
