"""Consent: a fresh recorded change travels, and nothing else ever does."""

from datetime import timedelta

import pytest
from attrs import evolve

from synccore.testing import Fault
from synccore.types import Delivered, Failed, Job, Link, Roomier, RouteSpec

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


@pytest.mark.parametrize("is_late", [False, True], ids=["told again", "told again after a restored backup"])
def test_after_a_lost_answer_who_unsubscribed_since_is_not_subscribed_again(sink, klaviyo, operation, clock, is_late):
    anna = klaviyo.add_person(email="a0@shop.test")
    sink.deliver([person_op(operation, False, True, remote_id=anna.id)])
    told = clock.now()
    clock.advance(timedelta(minutes=1))
    op = person_op(operation, True, False, remote_id=anna.id, delivered_at=told, since=clock.now())
    klaviyo.fail_next(Fault.commit_then_drop(when=lambda r: r.path.strip("/") == SUBSCRIBE.strip("/")))
    (failed,) = sink.deliver([op])
    assert isinstance(failed, Failed)
    assert anna.consent == "SUBSCRIBED"
    clock.advance(timedelta(minutes=40))
    klaviyo.store.unsubscribe(anna, "")
    clock.advance(timedelta(minutes=1))
    since = clock.now() if is_late else op.since
    (again,) = sink.deliver([evolve(op, maybe_applied=True, since=since)])
    assert anna.consent == "UNSUBSCRIBED"
    assert "unsubscribed or suppressed in Klaviyo" in again.note


def test_after_a_lost_answer_that_did_nothing_our_own_opt_out_holds_nobody_back(sink, klaviyo, operation, clock, anna):
    sink.deliver([person_op(operation, False, True, remote_id=anna.id)])
    told = clock.now()
    clock.advance(timedelta(minutes=1))
    op = person_op(operation, True, False, remote_id=anna.id, delivered_at=told, since=clock.now(), maybe_applied=True)
    sink.deliver([op])
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


# -- who goes over to another profile


@pytest.fixture
def moving(klaviyo, operation, anna):
    """Anna gets the address a7, which has a profile."""

    def make(word, **values):
        there = klaviyo.add_person(email="a7@shop.test")
        op = person_op(operation, word, word, remote_id=anna.id, **values)
        return evolve(op, fields={**op.fields, "email": "a7@shop.test"}), there

    return make


def subscribed(klaviyo, person, source="shop"):
    klaviyo.store.subscribe(person, "", source)


def test_the_yes_of_who_gets_another_profile_goes_along_and_does_not_stay_behind(sink, klaviyo, anna, moving):
    """Whoever has the former address next was not asked; and a later no would not reach it."""
    subscribed(klaviyo, anna)
    op, there = moving(True)
    (outcome,) = sink.deliver([op])
    assert (outcome.remote_id, anna.consent, there.consent) == (there.id, "UNSUBSCRIBED", "SUBSCRIBED")
    assert outcome.note.endswith("subscribed; unsubscribed where they were before")


def test_it_goes_along_into_what_they_are_merged_with(sink, klaviyo, clock, anna, moving):
    subscribed(klaviyo, anna)
    op, there = moving(True, settings={"on_conflict": "merge"})
    sink.deliver([op])
    assert there.consent == "SUBSCRIBED"


@pytest.mark.parametrize("word", [True, None])
def test_who_gets_no_mail_gets_none_by_another_profile(sink, klaviyo, anna, moving, word):
    """Importing is not subscribing, and what the shop does not say is no news."""
    op, there = moving(word)
    sink.deliver([op])
    assert (anna.consent, there.consent) == ("NEVER_SUBSCRIBED", "NEVER_SUBSCRIBED")


def test_an_unsubscribe_there_stands_against_a_yes_that_goes_along(sink, klaviyo, anna, moving):
    subscribed(klaviyo, anna)
    op, there = moving(True)
    klaviyo.store.unsubscribe(there, "")
    (outcome,) = sink.deliver([op])
    assert (anna.consent, there.consent) == ("UNSUBSCRIBED", "UNSUBSCRIBED")
    assert "not newer" in outcome.note


def test_what_could_not_be_told_there_is_not_taken_back_where_they_were(sink, klaviyo, anna, moving):
    subscribed(klaviyo, anna)
    op, there = moving(True)
    klaviyo.fail_next(Fault.status(503, when=lambda r: r.path == SUBSCRIBE))
    (outcome,) = sink.deliver([op])
    assert isinstance(outcome, Failed)
    assert anna.consent == "SUBSCRIBED"
    sink.deliver([op])
    assert (anna.consent, there.consent) == ("UNSUBSCRIBED", "SUBSCRIBED")


@pytest.mark.parametrize(("source", "stays"), [("shop", False), (None, True)], ids=["by us", "by themselves"])
@pytest.mark.parametrize("word", [None, False])
def test_who_subscribed_by_themselves_stays_so_where_they_were(sink, klaviyo, anna, moving, word, source, stays):
    subscribed(klaviyo, anna, source)
    sink.deliver([moving(word)[0]])
    assert (anna.consent == "SUBSCRIBED") is stays


def test_another_one_of_the_shop_who_has_the_former_profile_keeps_it(sink, klaviyo, anna, moving):
    subscribed(klaviyo, anna)
    op, _ = moving(True)
    sink.deliver([evolve(op, link=evolve(op.link, shared=2))])
    assert anna.consent == "SUBSCRIBED"


@pytest.mark.parametrize("how", ["adopt", "merge"])
@pytest.mark.parametrize(("word", "source", "stays"), [(False, None, False), (None, "shop", False), (None, None, True)])
def test_who_comes_to_a_profile_brings_their_no_and_takes_over_no_yes(
    sink, klaviyo, clock, anna, moving, how, word, source, stays
):
    op, there = moving(word, settings={"on_conflict": how})
    subscribed(klaviyo, there, source)
    sink.deliver([op])
    clock.advance(timedelta(seconds=2))
    if how == "merge":
        sink.deliver([op])
    assert list(klaviyo.store.people) == ([anna.id, there.id] if how == "adopt" else [there.id])
    assert (there.consent == "SUBSCRIBED") is stays


def test_so_does_who_exchanges_theirs(sink, klaviyo, operation, anna):
    subscribed(klaviyo, anna, None)
    sink.deliver([person_op(operation, False, False, remote_id=anna.id, delivered_at=None)])
    assert anna.consent == "UNSUBSCRIBED"


@pytest.mark.parametrize("many", [False, True], ids=["one by one", "by a job"])
@pytest.mark.parametrize(
    ("word", "source", "stays"), [(False, "shop", False), (False, None, True), (None, "shop", True)]
)
def test_who_is_new_with_a_no_is_not_mailed_on_the_word_of_whoever_had_the_address(
    open_sink, klaviyo, operation, clock, anna, word, source, stays, many
):
    """Who subscribed by themselves is left alone, and who says nothing may be the same one again."""
    subscribed(klaviyo, anna, source)
    clock.advance(timedelta(days=1))
    sink = open_sink(bulk_threshold=1)
    ops = [person_op(operation, word, known=False, number=n) for n in range(3 if many else 1)]
    outcomes = sink.deliver(ops)
    if many:
        klaviyo.finish_jobs()
        outcomes = sink.collect(Job(id=outcomes[0].job, operations=tuple(ops), submitted_at=clock.now()))
    assert all(isinstance(one, Delivered) for one in outcomes)
    assert (anna.consent == "SUBSCRIBED") is stays


def test_where_consent_could_not_be_asked_for_the_record_is_owed_still(sink, klaviyo, anna, moving):
    op, there = moving(False)
    subscribed(klaviyo, there)
    klaviyo.fail_always(Fault.status(503, when=lambda r: r.path == "/api/profiles" and there.id in str(r.query)))
    (outcome,) = sink.deliver([op])
    assert (type(outcome), outcome.partly) == (Failed, True)
    klaviyo.clear_faults()
    sink.deliver([op])
    assert there.consent == "UNSUBSCRIBED"


@pytest.mark.parametrize(
    ("word", "source", "route", "named"),
    [(False, "shop", "", True), (False, None, "", False), (True, "shop", "", False), (False, "shop", "deaf", False)],
)
def test_reading_back_names_whom_we_subscribed_and_the_shop_forbids(
    open_sink, klaviyo, anna, word, source, route, named
):
    deaf = RouteSpec(name="deaf", source="shop", entity="customer", sink="m", object="profile", fields={})
    subscribed(klaviyo, anna, source)
    link = Link(object="profile", remote_id=anna.id, source="shop", route=route, fields={"accepts_marketing": word})
    (held,) = open_sink((evolve(deaf, settings={"on_opt_out": "nothing"}),)).read([link])
    assert isinstance(held, Roomier) is named
    assert held.get("accepts_marketing") is (True if named else None)


@pytest.mark.parametrize("named", ["0", "9", None], ids=["as theirs", "as another one's", "as nobody's"])
@pytest.mark.parametrize("doubtful", [True, False])
def test_who_comes_without_a_word_to_what_we_subscribed_for_another_takes_over_no_yes(
    sink, klaviyo, operation, anna, doubtful, named
):
    """After a restored backup nobody knows any more who that was."""
    subscribed(klaviyo, anna)
    anna.properties |= {} if named is None else {"woo_customer_id": named}
    extra, found = {"woo_customer_id": "0"}, {"remote_id": anna.id, "delivered_at": None, "maybe_applied": doubtful}
    (outcome,) = sink.deliver([person_op(operation, None, known=False, extra=extra, **found)])
    assert isinstance(outcome, Delivered)
    assert anna.consent == ("UNSUBSCRIBED" if doubtful and named == "9" else "SUBSCRIBED")
    assert consent_calls(klaviyo) == (doubtful and named == "9")
