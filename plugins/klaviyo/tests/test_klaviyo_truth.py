"""A profile that tells the truth: what is emptied, what is left out, what a plan is called, what an event compares."""

from datetime import timedelta
from decimal import Decimal

import pytest
from attrs import evolve

from synccore.entities import Customer, Membership, Payment, Subscription
from synccore.testing import FakeContext, Fault
from synccore.types import Delivered, Failed, FieldOptions, Link, Roomier, Submitted
from synccore_klaviyo.mapping import filters
from synccore_klaviyo.plans import PlanNames, by_slug

PHONE = "+4915123456789"


def deliver(sink, operation, link=None, **values):
    op = operation(**values)
    (outcome,) = sink.deliver([evolve(op, link=link) if link else op])
    assert isinstance(outcome, Delivered), outcome
    asked = op.fields if outcome.fields != op.fields else None
    return Link(
        object="profile",
        remote_id=outcome.remote_id,
        fields=outcome.fields,
        left_out=outcome.left_out,
        asked=asked,
        adopted=bool(outcome.adopted),
        delivered_at=op.at,
    )


# -- emptied


def test_what_the_shop_emptied_is_emptied_and_nothing_else(sink, klaviyo, operation):
    fields = {
        "email": "a@shop.test",
        "first_name": "Anna",
        "phone_number": PHONE,
        "location": {"address1": "Ring 1", "city": "Köln"},
        "properties": {"woo_is_member": True, "woo_plan_gold_status": "active"},
        "Colour": "blue",
    }
    link = deliver(sink, operation, fields=fields)
    anna = klaviyo.person("a@shop.test")
    anna.attributes["title"], anna.location["timezone"], anna.properties["own"] = "Dr", "Europe/Berlin", 1
    emptied = dict.fromkeys(fields) | {"email": "a@shop.test"}
    link = deliver(sink, operation, link, fields=emptied)
    assert anna.attributes == {"email": "a@shop.test", "title": "Dr"}
    assert anna.location == {"timezone": "Europe/Berlin"}
    assert anna.properties == {"own": 1}
    assert sink.read([link]) == [{**emptied, "title": "Dr"}]


def test_an_address_that_lost_a_line_loses_it(sink, klaviyo, operation):
    link = deliver(sink, operation, fields={"email": "a@shop.test", "location": {"address2": "Hof", "city": "Köln"}})
    deliver(sink, operation, link, fields={"email": "a@shop.test", "location": {"city": "Bonn"}})
    assert klaviyo.person("a@shop.test").location == {"city": "Bonn"}


def test_an_address_is_never_emptied_and_the_rest_is(sink, klaviyo, operation):
    link = deliver(sink, operation, fields={"email": "a@shop.test", "first_name": "Anna"})
    link = deliver(sink, operation, link, fields={"email": None, "first_name": None})
    assert klaviyo.person("a@shop.test").attributes == {"email": "a@shop.test"}
    assert "never emptied" in link.left_out["email"]


def test_what_has_to_be_emptied_goes_by_single_call_among_a_crowd(sink, klaviyo, operation):
    link = deliver(sink, operation, fields={"email": "a@shop.test", "properties": {"woo_plan_gold_status": "active"}})
    emptied = evolve(operation(fields={"email": "a@shop.test", "properties": {}}, bulk=True), link=link)
    crowd = [operation(key=f"x{n}", fields={"email": f"x{n}@shop.test"}, bulk=True) for n in range(60)]
    outcomes = sink.deliver([emptied, *crowd])
    assert isinstance(outcomes[0], Delivered)
    assert isinstance(outcomes[1], Submitted)
    assert klaviyo.person("a@shop.test").properties == {}


# -- left out, once


def test_a_number_that_is_somebody_elses_is_asked_about_once(sink, klaviyo, operation):
    klaviyo.add_person(email="b@shop.test", phone_number=PHONE)
    link = deliver(sink, operation, fields={"email": "a@shop.test", "phone_number": PHONE})
    assert link.left_out == {"phone_number": "it belongs to another profile"}
    for name in ("Ann", "Anne"):
        before = len(klaviyo.requests)
        link = deliver(
            sink, operation, link, fields={"email": "a@shop.test", "phone_number": PHONE, "first_name": name}
        )
        assert len(klaviyo.requests) == before + 1
        assert link.left_out == {"phone_number": "it belongs to another profile"}
    deliver(sink, operation, link, fields={"email": "a@shop.test", "phone_number": "+4915123456780"})
    assert klaviyo.person("a@shop.test").attributes["phone_number"] == "+4915123456780"


def test_a_number_is_still_theirs_after_they_took_it_away_and_changed_their_address(sink, klaviyo, operation):
    """As a shop's owner does who mistook two fields and puts it right, before Klaviyo is sure to show it."""
    link = deliver(sink, operation, fields={"email": "a@shop.test", "phone_number": PHONE})
    link = deliver(sink, operation, link, fields={"email": "a@shop.test", "phone_number": None})
    link = deliver(sink, operation, link, fields={"email": "b@shop.test", "phone_number": PHONE})
    assert klaviyo.person("b@shop.test").attributes["phone_number"] == PHONE
    assert link.left_out == {}


def test_a_number_that_was_left_out_is_named_once_nobody_has_it(sink, klaviyo, operation):
    klaviyo.add_person(email="b@shop.test", phone_number=PHONE)
    link = deliver(sink, operation, fields={"email": "a@shop.test", "phone_number": PHONE})
    (before,) = sink.read([link])
    assert not isinstance(before, Roomier)
    klaviyo.store.delete(klaviyo.person("b@shop.test"))
    (now,) = sink.read([link])
    assert isinstance(now, Roomier)
    assert now.lacking == {"phone_number"}


def test_who_can_have_a_number_is_named_once_the_other_one_has_another(sink, klaviyo, operation):
    """Both are linked, and each is written in a call of their own: the one who gets it first."""
    has, gets = {"email": "a@shop.test", "phone_number": PHONE}, {"email": "b@shop.test", "phone_number": PHONE}
    giver = deliver(sink, operation, key="1", fields=has)
    taker = deliver(sink, operation, key="2", fields=gets)
    assert taker.left_out == {"phone_number": "it belongs to another profile"}

    def tell(**values):
        values = {"key": "1", "link": giver, "changed": frozenset(values["fields"])} | values
        (outcome,) = sink.deliver([operation(**values)])
        return outcome.frees

    assert tell(fields={**has, "first_name": "Ann"}) == ()
    assert tell(fields={"email": "a@shop.test", "phone_number": "+4915123456780"}) == ("shop:customer:2",)
    assert tell(fields={"email": "a@shop.test", "phone_number": None}) == ("shop:customer:2",)
    assert tell(fields={"email": "a@shop.test", "phone_number": "+4915123456781"}) == ()
    again = operation(key="2", fields=gets, link=taker, changed=frozenset(gets), maybe_applied=True)
    assert sink.deliver([again])[0].left_out == {}
    assert klaviyo.person("b@shop.test").attributes["phone_number"] == PHONE


def test_nothing_is_kept_of_a_number_that_somebody_waited_for_who_is_forgotten(sink, context, operation):
    has, gets = {"email": "a@shop.test", "phone_number": PHONE}, {"email": "b@shop.test", "phone_number": PHONE}
    deliver(sink, operation, key="1", fields=has)
    taker = deliver(sink, operation, key="2", fields=gets)
    assert list(context.state().scan("wanted:"))
    sink.erase(evolve(taker, source="shop", entity="customer", key="2"))
    assert not list(context.state().scan("wanted:"))


def test_a_number_that_was_sent_and_taken_back_at_once_is_free(sink, klaviyo, operation):
    """As it is where the first call had no answer: nobody waits until Klaviyo shows it everywhere."""
    link = deliver(sink, operation, key="1", fields={"email": "a@shop.test", "phone_number": PHONE})
    deliver(sink, operation, link, key="1", fields={"email": "a@shop.test", "phone_number": None})
    assert deliver(sink, operation, key="2", fields={"email": "b@shop.test", "phone_number": PHONE}).left_out == {}


def test_a_number_that_only_klaviyo_dislikes_keeps_nobody_out(sink, klaviyo, operation):
    problem = {"id": "1", "code": "invalid", "title": "t", "detail": "d"}
    problem["source"] = {"pointer": "/data/attributes/phone_number"}
    klaviyo.fail_always(Fault.status(400, {"errors": [problem]}, when=lambda r: PHONE.encode() in r.body))
    link = deliver(sink, operation, fields={"email": "a@shop.test", "phone_number": PHONE})
    before = len(klaviyo.requests)
    deliver(sink, operation, link, fields={"email": "a@shop.test", "phone_number": PHONE, "first_name": "Ann"})
    assert len(klaviyo.requests) == before + 1


def test_a_number_that_was_left_out_is_not_emptied(sink, klaviyo, operation):
    link = deliver(sink, operation, fields={"email": "a@shop.test", "phone_number": "12"})
    klaviyo.person("a@shop.test").attributes["phone_number"] = PHONE
    deliver(sink, operation, link, fields={"email": "a@shop.test", "phone_number": None})
    assert klaviyo.person("a@shop.test").attributes["phone_number"] == PHONE


def test_what_is_kept_is_said_to_be_kept_and_read_back(sink, klaviyo, operation):
    klaviyo.add_person(email="a@shop.test", first_name="Annabel")
    options = {"first_name": FieldOptions(keep_existing=True), "last_name": FieldOptions(keep_existing=True)}
    fields = {"email": "a@shop.test", "first_name": "Anna", "last_name": "Arendt"}
    link = deliver(sink, operation, fields=fields, options=options)
    assert link.fields == {**fields, "first_name": "Annabel"} == sink.read([link])[0]
    assert list(link.left_out) == ["first_name"]


@pytest.mark.parametrize("there", [True, False])
def test_whose_profile_it_is_comes_from_klaviyo(sink, klaviyo, operation, clock, there):
    if there:
        klaviyo.add_person(email="a@shop.test")
        clock.advance(timedelta(days=1))
    assert deliver(sink, operation, fields={"email": "a@shop.test"}).adopted is there


# -- names of plans


def member(plan, slug, status="active"):
    return Membership(key=f"m{plan}", status=status, plan_key=plan, plan_slug=slug)


@pytest.fixture
def names(context):
    return lambda **chosen: PlanNames(context, chosen)


def test_a_plan_keeps_its_name_when_its_slug_is_edited(names):
    assert names().name(member("12", "Gold-Club")) == "gold_club"
    assert names().name(member("12", "platinum")) == "gold_club"


def test_two_plans_of_like_slugs_stay_two(names):
    one = names()
    assert [one.name(member(p, s)) for p, s in (("12", "gold-club"), ("13", "gold_club"), ("14", None))] == [
        "gold_club",
        "gold_club_13",
        "plan_14",
    ]
    assert names().name(member("13", "gold_club")) == "gold_club_13"


def test_two_shops_number_their_plans_alike(names):
    one = names()
    assert (one.name(member("1", "gold"), "a"), one.name(member("1", "silver"), "b")) == ("gold", "silver")


def test_a_person_s_choice_counts_most(names):
    names().name(member("12", "gold"))
    assert names(**{"12": "vip"}).name(member("12", "gold")) == "vip"
    assert names(**{"12": "vip"}).name(member("13", "vip")) == "vip_13"


def test_the_whole_profile_and_its_events_use_the_same_names(names, sink):
    own = filters.named(names().name)
    memberships = [member("12", "gold-club"), member("13", "gold_club", "paused")]

    found = own["klaviyo_profile"](Customer(key="1"), "woo_", memberships, source="shop")
    assert found["woo_membership_states"] == ["gold_club:active", "gold_club_13:paused"]
    assert (found["woo_plan_gold_club_status"], found["woo_plan_gold_club_13_status"]) == ("active", "paused")
    assert own["klaviyo_plan"](memberships[1], "shop") == "gold_club_13"
    assert own["klaviyo_active_plans"](memberships, "shop") == ["gold_club"]
    assert sink.filters.keys() <= filters.FILTERS.keys()
    assert by_slug(memberships[0]) == "gold_club"


def test_what_is_not_included_says_nothing(names):

    assert filters.profile(Customer(key="1"), "woo_") == {"woo_customer_id": "1"}
    assert (filters.is_member(None), filters.active_plans(None), filters.plans_of(None, "7")) == (None, None, None)


def test_trials_and_the_next_try_are_properties(clock):

    now = clock.now()
    trial = Subscription(
        key="1", status="active", currency="EUR", total=Decimal(1), trial_ends_at=now + timedelta(days=3)
    )
    hold = Subscription(key="2", status="on-hold", currency="EUR", total=Decimal(1))
    failed = Payment(
        key="p", succeeded=False, amount=Decimal(1), currency="EUR", at=now, retry_at=now + timedelta(hours=12)
    )
    found = filters.profile(Customer(key="1"), "", subscriptions=[trial, hold], payments=[failed])
    assert found["trial_ends_at"] == "2026-01-04T12:00:00Z"
    assert (found["payment_failing"], found["payment_retry_at"]) == (True, "2026-01-02T00:00:00Z")


# -- events begin from what is known


def change(operation, status, before=None, previous=None, **values):
    base = {"metric": "Changed Membership Status", "email": "a@shop.test", "PlanKey": "gold"}
    told = {} if before is None else {"before": {**base, "status": before}}
    known = {} if previous is None else {"previous": {**base, "status": previous}}
    return operation(
        "event", entity="membership", key="5", fields={**base, "status": status}, **told, **known, **values
    )


@pytest.mark.parametrize("bulk", [True, False])
def test_what_was_known_before_a_route_existed_is_no_news(sink, klaviyo, operation, bulk):
    (outcome,) = sink.deliver([change(operation, "active", before="active", bulk=bulk)])
    assert klaviyo.events() == []
    assert isinstance(outcome, Delivered)


def test_a_change_since_then_is_told_with_both_states(sink, klaviyo, operation):
    (outcome,) = sink.deliver([change(operation, "paused", before="active")])
    (event,) = klaviyo.events("Changed Membership Status")
    assert event["properties"]["Transition"] == "active>paused"
    assert outcome.note == "Changed Membership Status gold active>paused"


def test_a_record_that_is_new_is_news(sink, klaviyo, operation):
    (outcome,) = sink.deliver([change(operation, "active")])
    assert outcome.note == "Changed Membership Status gold new>active"
    assert len(klaviyo.events()) == 1


def test_a_long_standing_member_did_not_become_one(sink, klaviyo, operation, clock):
    fields = {"email": "a@shop.test", "is_member": True, "since": clock.now() - timedelta(days=400)}
    sink.deliver([operation("event", fields=fields)])
    assert klaviyo.events() == []
    sink.deliver([operation("event", fields={**fields, "is_member": None}, previous=fields)])
    assert klaviyo.events() == []


def test_a_new_customer_with_a_new_membership_did(sink, klaviyo, operation, clock):
    fields = {"email": "a@shop.test", "is_member": True, "since": clock.now() - timedelta(minutes=5)}
    sink.deliver([operation("event", fields=fields, before={**fields, "Store": "x"})])
    assert [e["metric"] for e in klaviyo.events()] == ["Became Member"]


def test_an_own_event_of_a_record_that_is_known_is_no_news_either(sink, klaviyo, operation):
    fields = {"email": "a@shop.test", "metric": "Left A Note", "Note": "Hi"}
    sink.deliver([operation("event", fields=fields, before=fields)])
    assert klaviyo.events() == []
    sink.deliver([operation("event", fields={**fields, "Note": "Ho"}, before=fields)])
    assert len(klaviyo.events("Left A Note")) == 1


def test_an_order_that_was_placed_before_is_not_placed_again(open_sink, klaviyo, operation):
    sink = open_sink(commerce_events=True)
    fields = {"email": "a@shop.test", "status": "completed", "OrderId": "9"}
    before = {**fields, "status": "processing"}
    sink.deliver([operation("event", entity="order", key="9", fields=fields, before=before)])
    assert [e["metric"] for e in klaviyo.events()] == ["Fulfilled Order"]


def test_a_context_of_its_own_has_names_of_its_own():
    assert PlanNames(FakeContext(), {}).name(member("12", "gold")) == "gold"


# -- what goes from one profile to another


def test_what_two_profiles_exchange_in_one_call_is_on_each_of_them(sink, klaviyo, operation):
    """Who exchanged their addresses have each other's profile from now on, and their own numbers and ids."""
    anna, bob = [
        {"email": f"{name}@shop.test", "phone_number": f"+49151234567{n}", "external_id": f"shop:customer:{n}"}
        for n, name in ((81, "anna"), (82, "bob"))
    ]
    links = [deliver(sink, operation, fields=fields) for fields in (anna, bob)]
    swapped = [{**bob, "email": anna["email"]}, {**anna, "email": bob["email"]}]
    asked = [evolve(operation(fields=f), id=n, key=str(n), link=links[n]) for n, f in enumerate(swapped)]
    assert [outcome.left_out for outcome in sink.deliver(asked)] == [{}, {}]
    assert [klaviyo.person(f["email"]).attributes for f in swapped] == swapped


def test_a_number_that_was_sent_without_an_answer_goes_along_as_well(sink, klaviyo, operation):
    """Nobody heard that it is there: what was asked for tells of it."""
    asked = {"email": "anna@shop.test", "phone_number": PHONE}
    links = [deliver(sink, operation, fields=fields) for fields in (asked, {"email": "bob@shop.test"})]
    links[0] = evolve(links[0], fields={"email": "anna@shop.test"}, asked=asked)
    swapped = [{"email": "anna@shop.test"}, {"email": "bob@shop.test", "phone_number": PHONE}]
    links[0] = evolve(links[0], asked=asked)
    operations = [evolve(operation(fields=f), id=n, key=str(n), link=links[n]) for n, f in enumerate(swapped)]
    assert [outcome.left_out for outcome in sink.deliver(operations)] == [{}, {}]
    assert klaviyo.person("bob@shop.test").attributes["phone_number"] == PHONE


def test_a_number_that_took_the_place_of_another_without_an_answer_goes_along_as_well(sink, klaviyo, operation):
    """Only Klaviyo knows that it is there; who has none from now on does not keep it from its person."""
    former = {"email": "anna@shop.test", "phone_number": "+4915123456780"}
    links = [deliver(sink, operation, fields=fields) for fields in (former, {"email": "bob@shop.test"})]
    deliver(sink, operation, links[0], fields={**former, "phone_number": PHONE})
    swapped = [{"email": "anna@shop.test", "phone_number": None}, {"email": "bob@shop.test", "phone_number": PHONE}]
    operations = [evolve(operation(fields=f), id=n, key=str(n), link=links[n]) for n, f in enumerate(swapped)]
    assert [outcome.left_out for outcome in sink.deliver(operations)] == [{}, {}]
    assert klaviyo.person("bob@shop.test").attributes["phone_number"] == PHONE


def test_a_number_that_two_have_is_not_taken_off_for_a_third(sink, klaviyo, operation):
    link = deliver(sink, operation, fields={"email": "a@shop.test", "phone_number": PHONE})
    moved = evolve(operation(fields={"email": "a@shop.test"}), id=1, key="1", link=evolve(link, shared=2))
    gets = evolve(operation(fields={"email": "b@shop.test", "phone_number": PHONE}), id=2, key="2")
    _, outcome = sink.deliver([moved, gets])
    assert outcome.left_out == {"phone_number": "it belongs to another profile"}
    assert klaviyo.person("a@shop.test").attributes["phone_number"] == PHONE


def exchanged(sink, operation, number="+4915123456782"):
    """Two who have each other's profiles by now, and are to be written: (what each is to have, the operations)."""
    anna = {"email": "anna@shop.test", "phone_number": PHONE, "properties": {"number": "1"}}
    bob = {"email": "bob@shop.test", "phone_number": number, "properties": {"number": "2"}}
    links = [deliver(sink, operation, key=f["properties"]["number"], fields=f) for f in (bob, anna)]
    wanted = [{**anna, "email": "bob@shop.test"}, {**bob, "email": "anna@shop.test"}]
    given = [evolve(link, delivered_at=None) for link in links]
    return wanted, [evolve(operation(fields=f), id=n, key=str(n + 1), link=given[n]) for n, f in enumerate(wanted)]


@pytest.mark.parametrize("number", ["+4915123456782", None])
def test_what_was_taken_off_for_somebody_else_is_a_part_of_what_failed(sink, klaviyo, operation, number):
    """What the link says of that profile is true no more."""
    _, operations = exchanged(sink, operation, number)
    klaviyo.fail_next(Fault.status(503, {"errors": []}, when=lambda request: b"anna@shop.test" in request.body))
    first, second = sink.deliver(operations)
    assert isinstance(first, Delivered)
    assert isinstance(second, Failed)
    assert second.partly


def test_the_number_on_a_profile_that_was_theirs_until_now_goes_along(sink, klaviyo, operation):
    """Who has that profile now is written in another call."""
    wanted, (first, _) = exchanged(sink, operation)
    (outcome,) = sink.deliver([first])
    assert outcome.left_out == {}
    assert klaviyo.person("bob@shop.test").attributes["phone_number"] == wanted[0]["phone_number"]


def test_what_only_klaviyo_knows_of_is_taken_off_for_somebody_else(sink, klaviyo, operation):
    """A create without an answer left the number there; who has that profile now is written with one of their own."""
    wanted, operations = exchanged(sink, operation)
    links = [evolve(o.link, fields={}, asked=None) for o in operations]
    operations = [evolve(o, link=link) for o, link in zip(operations, links, strict=True)]
    klaviyo.person("anna@shop.test").attributes["properties"] = {}
    assert [outcome.left_out for outcome in sink.deliver(operations)] == [{}, {}]
    numbers = [klaviyo.person(f["email"]).attributes["phone_number"] for f in wanted]
    assert numbers == [f["phone_number"] for f in wanted]


def test_what_only_klaviyo_knows_of_goes_to_somebody_else_where_nothing_comes_in_its_place(sink, klaviyo, operation):
    """The link says that another number stands there, for the answer to the last one was lost."""
    anna = {"email": "anna@shop.test", "phone_number": PHONE}
    link = deliver(sink, operation, key="1", fields=anna)
    klaviyo.person("anna@shop.test").attributes["phone_number"] = "+4915123456783"
    given = evolve(operation(fields={"email": "anna@shop.test", "phone_number": None}), id=1, key="2", link=link)
    gets = evolve(operation(fields={"email": "bob@shop.test", "phone_number": "+4915123456783"}), id=2, key="1")
    assert [outcome.left_out for outcome in sink.deliver([gets, given])] == [{}, {}]
    assert klaviyo.person("bob@shop.test").attributes["phone_number"] == "+4915123456783"
