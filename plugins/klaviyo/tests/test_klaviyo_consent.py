"""Consent: a fresh recorded change travels, and nothing else ever does."""

from datetime import timedelta

import pytest
from attrs import evolve

from synccore.testing import Fault
from synccore.types import Delivered, Failed, Link

SUBSCRIBE = "/api/profile-subscription-bulk-create-jobs"
UNSUBSCRIBE = "/api/profile-subscription-bulk-delete-jobs"
SUPPRESS = "/api/profile-suppression-bulk-create-jobs"


def person_op(operation, now, before=None, *, known=True, **values):
    """The customer a@shop.test, whose consent was `before` when last delivered and is `now`."""
    number = values.pop("number", 0)
    email = f"a{number}@shop.test"
    fields = {"email": email} | ({} if now is None else {"accepts_marketing": now})
    previous = {"email": email} | ({} if before is None else {"accepts_marketing": before})
    fields |= values.pop("extra", {})
    if "former" in values:
        values["before"] = values.pop("former")
    return operation(
        key=str(number),
        fields=fields,
        previous=previous if known else None,
        remote_id=values.pop("remote_id", None),
        **values,
    )


def consent_calls(klaviyo):
    return sum(klaviyo.count("POST", path) for path in (SUBSCRIBE, UNSUBSCRIBE, SUPPRESS))


@pytest.fixture
def anna(klaviyo):
    return klaviyo.add_person(email="a0@shop.test")


def test_an_opt_in_subscribes(sink, klaviyo, operation, anna):
    (outcome,) = sink.deliver([person_op(operation, True, False, remote_id=anna.id)])
    assert anna.consent == "SUBSCRIBED"
    assert outcome.note == "subscribed"


@pytest.mark.parametrize("now", [None, False], ids=["no word", "a no"])
def test_the_yes_of_who_had_the_profile_before_is_taken_back(sink, operation, anna, now):
    """People exchanged their addresses, and so their profiles."""
    anna.consent = "SUBSCRIBED"
    sink.deliver([person_op(operation, None, True, remote_id=anna.id)])
    assert anna.consent == "SUBSCRIBED", "a shop that says nothing any more takes nothing back"
    sink.deliver([person_op(operation, now, True, remote_id=anna.id, delivered_at=None)])
    assert anna.consent == "UNSUBSCRIBED"


def test_to_the_list_of_the_settings(open_sink, klaviyo, operation, anna):
    newsletter = klaviyo.add_list("Newsletter")
    open_sink(list=newsletter).deliver([person_op(operation, True, False, remote_id=anna.id)])
    assert anna.lists == {newsletter}


def test_a_new_customer_who_opted_in_is_subscribed(sink, klaviyo, operation):
    sink.deliver([person_op(operation, True, known=False)])
    assert klaviyo.person("a0@shop.test").consent == "SUBSCRIBED"


def test_one_who_opted_in_long_ago_and_is_first_seen_now_is_not(sink, klaviyo, operation, clock):
    given = clock.now() - timedelta(days=400)
    (outcome,) = sink.deliver([person_op(operation, True, known=False, extra={"consent_at": given})])
    assert klaviyo.person("a0@shop.test").consent == "NEVER_SUBSCRIBED"
    assert "long ago" in outcome.note


def test_an_opt_out_unsubscribes_everywhere(open_sink, klaviyo, operation, anna):
    newsletter, other = klaviyo.add_list("Newsletter"), klaviyo.add_list("Other")
    anna.consent, anna.lists = "SUBSCRIBED", {newsletter, other}
    open_sink(list=newsletter).deliver([person_op(operation, False, True, remote_id=anna.id)])
    assert anna.consent == "UNSUBSCRIBED"
    assert anna.lists == set()


def test_an_opt_out_goes_before_anything_else(sink, klaviyo, operation, anna):
    sink.deliver(
        [person_op(operation, True, known=False, number=1), person_op(operation, False, True, remote_id=anna.id)]
    )
    assert klaviyo.requests[0].path == UNSUBSCRIBE


def test_an_opt_out_with_a_new_address_makes_no_second_profile(sink, klaviyo, operation, anna):
    fields = {"email": "new@shop.test", "accepts_marketing": False}
    previous = {"email": "a0@shop.test", "accepts_marketing": True}
    sink.deliver([operation(fields=fields, previous=previous, remote_id=anna.id)])
    assert list(klaviyo.store.people.values()) == [anna]
    assert (anna.attributes["email"], anna.consent) == ("new@shop.test", "UNSUBSCRIBED")


def test_or_suppresses(sink, klaviyo, operation, anna):
    sink.deliver([person_op(operation, False, True, remote_id=anna.id, settings={"on_opt_out": "suppress"})])
    assert [reason for reason, _ in anna.suppressions] == ["USER_SUPPRESSED"]


def test_or_nothing(sink, klaviyo, operation, anna):
    op = person_op(operation, False, True, remote_id=anna.id, settings={"on_opt_out": "nothing"})
    (outcome,) = sink.deliver([op])
    assert "opt-out not sent" in outcome.note
    assert consent_calls(klaviyo) == 0


@pytest.mark.parametrize(("now", "before"), [(True, None), (True, False), (False, False), (True, True)])
def test_a_resync_changes_no_consent(sink, klaviyo, operation, anna, now, before):
    sink.deliver([person_op(operation, now, before, remote_id=anna.id, bulk=True)])
    assert consent_calls(klaviyo) == 0


def test_an_opt_out_that_only_a_comparison_found_is_told(sink, klaviyo, operation, anna):
    anna.consent = "SUBSCRIBED"
    sink.deliver([person_op(operation, False, True, remote_id=anna.id, bulk=True)])
    assert anna.consent == "UNSUBSCRIBED"


@pytest.mark.parametrize(("now", "before"), [(True, True), (False, False), (None, True), (None, None)])
def test_what_did_not_change_is_not_sent(sink, klaviyo, operation, anna, now, before):
    sink.deliver([person_op(operation, now, before, remote_id=anna.id)])
    assert consent_calls(klaviyo) == 0


def test_a_new_customer_who_ticked_nothing_is_not_unsubscribed(sink, klaviyo, operation, anna):
    anna.consent = "SUBSCRIBED"
    sink.deliver([person_op(operation, False, known=False)])
    assert anna.consent == "SUBSCRIBED"


@pytest.mark.parametrize(
    ("source", "in_doubt", "gone"), [("shop", True, True), (None, True, False), ("shop", False, False)]
)
def test_whom_we_subscribed_since_a_backup_is_unsubscribed_where_the_shop_says_no_again(
    sink, klaviyo, operation, anna, clock, source, in_doubt, gone
):
    """Who subscribed by themselves, in a form of Klaviyo's, is left alone."""
    op = person_op(operation, False, False, remote_id=anna.id, maybe_applied=in_doubt)
    clock.advance(timedelta(hours=1))
    klaviyo.store.subscribe(anna, "", source)
    sink.deliver([op])
    assert (anna.consent == "UNSUBSCRIBED") is gone


def test_so_is_who_came_since_and_is_first_seen_with_the_no(sink, klaviyo, operation, anna):
    klaviyo.store.subscribe(anna, "", "shop")
    op = person_op(operation, False, known=False, remote_id=anna.id, maybe_applied=True)
    sink.deliver([evolve(op, link=Link(object="profile", remote_id=anna.id))])
    assert anna.consent == "UNSUBSCRIBED"


def test_an_unsubscribe_in_klaviyo_is_not_undone_by_an_old_consent(sink, klaviyo, operation, anna, clock):
    anna.consent, anna.suppressions = "UNSUBSCRIBED", [("UNSUBSCRIBE", clock.now())]
    given = clock.now() - timedelta(days=400)
    (outcome,) = sink.deliver([person_op(operation, True, remote_id=anna.id, extra={"consent_at": given})])
    assert anna.consent == "UNSUBSCRIBED"
    assert "not subscribed" in outcome.note


def test_nor_by_one_of_unknown_age(sink, klaviyo, operation, anna, clock):
    anna.suppressions = [("SPAM_COMPLAINT", clock.now())]
    sink.deliver([person_op(operation, True, None, remote_id=anna.id)])
    assert anna.suppressions


def test_a_consent_that_is_newer_counts(sink, klaviyo, operation, anna, clock):
    anna.consent, anna.suppressions = "UNSUBSCRIBED", [("UNSUBSCRIBE", clock.now() - timedelta(days=9))]
    sink.deliver([person_op(operation, True, known=False, extra={"consent_at": clock.now()})])
    assert anna.consent == "SUBSCRIBED"


def test_an_opt_in_after_our_own_opt_out_counts(sink, klaviyo, operation, anna, clock):
    anna.consent, anna.suppressions = "UNSUBSCRIBED", [("UNSUBSCRIBE", clock.now())]
    sink.deliver([person_op(operation, True, False, remote_id=anna.id)])
    assert anna.consent == "SUBSCRIBED"


def test_who_is_subscribed_already_is_left_alone(sink, klaviyo, operation, anna):
    anna.consent = "SUBSCRIBED"
    sink.deliver([person_op(operation, True, None, remote_id=anna.id)])
    assert consent_calls(klaviyo) == 0


def test_many_opt_outs_share_calls_of_a_hundred(open_sink, klaviyo, operation):
    people = [klaviyo.add_person(email=f"a{n}@shop.test") for n in range(250)]
    ops = [person_op(operation, False, True, number=n, remote_id=p.id) for n, p in enumerate(people)]
    open_sink(headroom=0.0).deliver(ops)
    assert klaviyo.count("POST", UNSUBSCRIBE) == 3
    assert {p.consent for p in people} == {"UNSUBSCRIBED"}


def test_one_bad_record_keeps_nobody_else_subscribed(sink, klaviyo, operation, anna):
    other = klaviyo.add_person(email="a1@shop.test")
    klaviyo.fail_next(Fault.status(400, {"errors": [{"id": "1", "code": "invalid", "title": "t", "detail": "d"}]}))
    ops = [
        person_op(operation, False, True, remote_id=anna.id),
        person_op(operation, False, True, number=1, remote_id=other.id),
    ]
    sink.deliver(ops)
    assert (anna.consent, other.consent) == ("UNSUBSCRIBED", "UNSUBSCRIBED")


def test_an_opt_out_that_did_not_get_through_is_owed_still(sink, klaviyo, operation, anna):
    klaviyo.fail_next(Fault.status(503))
    (outcome,) = sink.deliver([person_op(operation, False, True, remote_id=anna.id)])
    assert isinstance(outcome, Failed)


def test_an_opt_in_that_did_not_get_through_is_owed_still(sink, klaviyo, operation, anna):
    klaviyo.fail_next(Fault.status(503, when=lambda r: r.path == SUBSCRIBE))
    (outcome,) = sink.deliver([person_op(operation, True, False, remote_id=anna.id)])
    assert isinstance(outcome, Failed)


def test_consent_is_no_property(sink, klaviyo, operation, clock):
    sink.deliver([person_op(operation, True, known=False, extra={"consent_at": clock.now()})])
    assert klaviyo.person("a0@shop.test").properties == {}
    assert isinstance(sink.deliver([person_op(operation, True, True)])[0], Delivered)


@pytest.mark.parametrize("moves", [True, False], ids=["who gets another address", "who is new"])
def test_an_opt_in_waits_where_its_address_has_no_profile_yet(sink, klaviyo, operation, clock, anna, moves):
    """Subscribing would make one, which nothing leads to where the address changes before it is delivered."""
    klaviyo.fail_next(Fault.status(429, headers={"Retry-After": "30"}, when=lambda r: "profile-import" in r.path))
    joining = person_op(operation, True, False, known=False, number=7)
    if moves:
        joining = evolve(person_op(operation, True, False, remote_id=anna.id), fields=joining.fields)
    (outcome,) = sink.deliver([joining])
    assert isinstance(outcome, Failed)
    assert klaviyo.person("a7@shop.test") is None
    clock.advance(timedelta(minutes=1))
    (outcome,) = sink.deliver([joining])
    assert outcome.note == "subscribed"
    assert klaviyo.person("a7@shop.test").consent == "SUBSCRIBED"


def test_that_of_somebody_who_is_there_waits_for_no_quota(sink, klaviyo, operation, anna):
    klaviyo.fail_next(Fault.status(429, headers={"Retry-After": "30"}, when=lambda r: "profile-import" in r.path))
    (outcome,) = sink.deliver([person_op(operation, True, False, remote_id=anna.id)])
    assert isinstance(outcome, Failed)
    assert anna.consent == "SUBSCRIBED"


def test_no_opt_in_overtakes_the_job_that_holds_another_address(sink, klaviyo, operation, anna):
    moving = evolve(
        person_op(operation, True, False, remote_id=anna.id),
        fields={"email": "a7@shop.test", "accepts_marketing": True},
    )
    assert sink.overtake([moving]) == [None]
    assert klaviyo.person("a7@shop.test") is None


@pytest.mark.parametrize("whose", ["ours", "named", "subscribed", "older"])
def test_whom_a_lost_opt_out_made_is_known_again(sink, klaviyo, operation, clock, whose):
    """It goes ahead of the profile, and makes one where there is none: a deletion has to find it."""
    if whose == "older":
        klaviyo.add_person(email="a7@shop.test")
        clock.advance(timedelta(hours=1))
    klaviyo.fail_next(Fault.commit_then_status(502, when=lambda r: r.path.strip("/") == UNSUBSCRIBE.strip("/")))
    since, before = clock.now(), {"email": "a7@shop.test", "accepts_marketing": True}
    leaving = person_op(operation, False, known=False, number=7, former=before, since=since)
    (outcome,) = sink.deliver([leaving])
    assert outcome.error.maybe_applied
    if whose == "named":
        klaviyo.person("a7@shop.test").attributes["first_name"] = "Ada"
    if whose == "subscribed":
        klaviyo.person("a7@shop.test").consent = "SUBSCRIBED"
    (found,) = sink.lookup([evolve(leaving, op="delete", maybe_applied=True)])
    assert (found.remote_id, found.marked) == (klaviyo.person("a7@shop.test").id, whose == "ours")
