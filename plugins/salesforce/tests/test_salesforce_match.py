"""Finding what exists: adoption, ambiguity, races, duplicate rules, merged, deleted and converted records."""

from datetime import timedelta

import pytest
from attrs import evolve

from synccore.errors import RateLimited, Rejected, SynccoreError, WaitFor
from synccore.testing import Fault
from synccore.types import Ambiguous, Delivered, Failed, Identity, Link, Unchanged

BOTH = ("WooId__c", "Email")


def test_record_with_the_address_is_adopted_and_stamped(bench, person, route):
    crm = bench(route(match=BOTH))
    existing = crm.org.org.insert("Contact", {"LastName": "Old", "Email": "ANN1@Shop.test"})
    assert crm.one("1", person(1)).remote_id == existing
    record = crm.found("Contact")
    assert (record["WooId__c"], record["FirstName"]) == ("shop:customer:1", "Ann1")
    assert (record["LastName"], record["Email"]) == ("Old", "ANN1@Shop.test"), "what was there stays"


def test_two_records_with_the_address_are_never_guessed(bench, person, route):
    crm = bench(route(match=BOTH))
    ids = [crm.org.org.insert("Contact", {"LastName": n, "Email": "ann1@shop.test"}) for n in "AB"]
    outcome = crm.one("1", person(1))
    assert isinstance(outcome.error, Rejected)
    assert all(i in outcome.error.message for i in ids)
    assert "put WooId__c = shop:customer:1 on the right one" in outcome.error.message
    assert len(crm.org.records("Contact")) == 2


def test_own_key_decides_between_two(bench, person, route):
    crm = bench(route(match=BOTH))
    crm.org.org.insert("Contact", {"LastName": "A", "Email": "ann1@shop.test"})
    own = crm.org.org.insert("Contact", {"LastName": "B", "Email": "ann1@shop.test", "WooId__c": "shop:customer:1"})
    assert crm.one("1", person(1)).remote_id == own


def test_record_of_another_shop_is_shared_and_keeps_its_key(bench, person, route):
    crm = bench(route(match=BOTH))
    other = {"LastName": "Lee", "Email": "ann1@shop.test", "WooId__c": "outlet:customer:7"}
    existing = crm.org.org.insert("Contact", other)
    assert crm.one("1", person(1)).remote_id == existing
    assert crm.found("Contact")["WooId__c"] == "outlet:customer:7"


def test_record_nobody_has_claimed_goes_before_one_of_another_shop(bench, person, route):
    crm = bench(route(match=BOTH))
    other = {"LastName": "Lee", "Email": "ann1@shop.test", "WooId__c": "outlet:customer:7"}
    crm.org.org.insert("Contact", other)
    free = crm.org.org.insert("Contact", {"LastName": "Lee", "Email": "ann1@shop.test"})
    assert crm.one("1", person(1)).remote_id == free


def test_records_that_map_to_one_key_share_a_record_and_the_later_wins(bench, route):
    crm = bench(route("accounts", "Account", match=("WooId__c",)))
    outcomes = crm.deliver(*(crm.op(str(n), {"WooId__c": "Lee Ltd", "Name": f"Lee {n}"}) for n in range(3)))
    assert {o.remote_id for o in outcomes} == {crm.found("Account")["Id"]}
    assert crm.found("Account")["Name"] == "Lee 2"


def test_without_a_key_field_the_address_alone_matches(make_org, bench, person, route):
    crm = bench(route(), at=make_org(keys=False))
    existing = crm.org.org.insert("Contact", {"LastName": "Old", "Email": "ann1@shop.test"})
    outcomes = crm.deliver(crm.op("1", person(1)), crm.op("2", person(2)))
    assert outcomes[0].remote_id == existing
    assert len(crm.org.records("Contact")) == 2
    crm.links.clear()
    crm.deliver(crm.op("1", person(1)), crm.op("2", person(2)))
    assert len(crm.org.records("Contact")) == 2


def test_same_value_twice_in_one_batch_makes_one_record(make_org, bench, route):
    # An account per company: many customers, one account.
    crm = bench(route("accounts", "Account", match=("Name",)), at=make_org(keys=False))
    outcomes = crm.deliver(*(crm.op(str(n), {"Name": "Lee Ltd"}) for n in range(3)))
    assert {o.remote_id for o in outcomes} == {crm.found("Account")["Id"]}


def test_the_same_in_a_backlog(make_org, bench, route):
    crm = bench(route("accounts", "Account", match=("WooId__c", "Name")))
    operations = [crm.op(str(n), {"Name": f"Lee {n % 290}", "WooId__c": f"shop:customer:{n}"}) for n in range(300)]
    final = crm.collect(operations, crm.deliver(*operations))
    assert all(isinstance(o, Delivered | Unchanged) for o in final)
    assert len(crm.org.records("Account")) == 290
    assert final[0].remote_id == final[290].remote_id


def test_matching_200_addresses_takes_few_queries(bench, person, route):
    crm = bench(route(match=BOTH))
    crm.sink.describe()
    before = crm.context.calls
    crm.deliver(*(crm.op(str(n), person(n)) for n in range(200)))
    assert crm.context.calls - before <= 3
    longest = max(len(r.target) for r in crm.org.requests)
    assert longest < 9000


def test_quotes_in_values_do_not_break_the_query(bench, person, route):
    crm = bench(route(match=BOTH))
    address = "o'neil\\+x@shop.test"
    existing = crm.org.org.insert("Contact", {"LastName": "O", "Email": address})
    assert crm.one("1", person(1, Email=address)).remote_id == existing


def test_listing_of_two_pages_is_read_to_its_end(bench, person, route):
    crm = bench(route(match=BOTH))
    crm.org.page_size = 2
    ids = [crm.org.org.insert("Contact", {"LastName": "L", "Email": f"ann{n}@shop.test"}) for n in range(5)]
    outcomes = crm.deliver(*(crm.op(str(n), person(n)) for n in range(5)))
    assert [o.remote_id for o in outcomes] == ids


def test_lookup_finds_by_key_then_address_and_writes_nothing(bench, person, route):
    crm = bench(route(match=BOTH))
    insert = crm.org.org.insert
    by_key = insert("Contact", {"LastName": "A", "WooId__c": "shop:customer:1"})
    by_address = insert("Contact", {"LastName": "B", "Email": "ann2@shop.test"})
    twins = {insert("Contact", {"LastName": n, "Email": "ann3@shop.test"}) for n in "CD"}
    found = crm.sink.lookup([crm.op(str(n), person(n)) for n in (1, 2, 3, 4)])
    assert found[0] == Link(object="Contact", remote_id=by_key, marked=True)
    assert found[1] == Link(object="Contact", remote_id=by_address, adopted=True)
    assert isinstance(found[2], Ambiguous)
    assert set(found[2].candidates) == twins
    assert found[3] is None
    assert crm.org.count("PATCH") == crm.org.count("POST", "/services/data") == 0


def test_adopted_link_is_stamped_with_the_first_write(bench, person, route):
    crm = bench(route(match=BOTH))
    existing = crm.org.org.insert("Contact", {"LastName": "B", "Email": "ann1@shop.test"})
    crm.one("1", person(1), link=Link(object="Contact", remote_id=existing))
    assert crm.found("Contact")["WooId__c"] == "shop:customer:1"


def test_lost_answer_is_found_again_by_lookup(make_org, bench, person, route):
    crm = bench(route(), at=make_org(keys=False))
    crm.sink.describe()
    crm.org.fail_next(Fault.commit_then_drop(when=lambda r: r.method == "POST"))
    with pytest.raises(Exception, match="no answer") as caught:
        crm.one("1", person(1))
    assert caught.value.maybe_applied
    (link,) = crm.sink.lookup([crm.op("1", person(1))])
    crm.one("1", person(1), link=link)
    assert len(crm.org.records("Contact")) == 1


@pytest.mark.parametrize("keys", [False, True], ids=["without a field for the key", "with one that is not asked for"])
def test_what_a_lost_create_made_under_the_former_address_is_found(make_org, bench, person, route, keys):
    crm = bench(route(match=("Email",)), at=make_org(keys=keys))
    crm.sink.describe()
    crm.org.fail_next(Fault.commit_then_drop(when=lambda r: r.method == "POST"))
    with pytest.raises(Exception, match="no answer"):
        crm.one("1", person(1))
    made = crm.found("Contact")["Id"]
    theirs = crm.org.org.insert("Contact", {"LastName": "Another", "Email": "new@shop.test"})
    moved = crm.op(
        "1", person(1, Email="new@shop.test"), before=person(1), maybe_applied=True, since=crm.context.clock.now()
    )
    assert [link.remote_id for link in crm.sink.lookup([moved])] == [made]
    assert [link.remote_id for link in crm.sink.lookup([evolve(moved, before=None)])] == [theirs]


class TestRaces:
    """Another writer was there a moment ago."""

    def test_record_made_in_between_is_updated(self, bench, person, route):
        crm = bench(route(match=BOTH))
        adopted = crm.org.org.insert("Contact", {"LastName": "B", "Email": "ann1@shop.test"})
        winner = crm.org.org.insert("Contact", {"LastName": "A", "WooId__c": "shop:customer:1"})
        # The address leads to one record, the key belongs to another: stamping meets DUPLICATE_VALUE.
        assert crm.one("1", person(1)).remote_id == winner
        assert crm.org.org.objects["Contact"].records[adopted].get("WooId__c") is None

    def test_another_unique_field_is_the_records_own_fault(self, bench, person, route):
        crm = bench(route(fields={"Card__c": "x"}, match=("WooId__c",)))
        crm.org.add_field("Contact", "Card__c", unique=True)
        crm.one("1", person(1, Card__c="42"))
        assert isinstance(crm.one("2", person(2, Card__c="42")).error, Rejected)

    def test_locked_rows_alone_are_sent_again(self, bench, person):
        crm = bench()
        crm.org.org.locks = {"ann1@shop.test": 1, "ann2@shop.test": 3}
        outcomes = crm.deliver(*(crm.op(str(n), person(n)) for n in range(10)))
        assert all(isinstance(o, Delivered) for o in outcomes)
        sizes = [len(r.json()["records"]) for r in crm.org.requests if "composite" in r.path]
        assert sizes == [10, 2, 1, 1]
        assert [d.total_seconds() for d in crm.context.clock.slept] == [1, 2, 4]

    def test_row_that_stays_locked_is_tried_later(self, bench, person):
        crm = bench()
        crm.org.org.locks = {"ann1@shop.test": 99}
        outcomes = crm.deliver(crm.op("1", person(1)), crm.op("2", person(2)))
        assert not outcomes[0].error.outage
        assert isinstance(outcomes[1], Delivered)


class TestDuplicateRules:
    """Rules of the org that object to a second record with one phone."""

    @pytest.fixture
    def twin(self, org):
        org.org.duplicate_rules.append(("Contact", "Phone", "alert"))
        return org.org.insert("Contact", {"LastName": "Old", "Phone": "42"})

    def test_hold_names_what_was_found(self, twin, bench, person):
        outcome = bench().one("1", person(1, Phone="42"))
        assert isinstance(outcome.error, Rejected)
        assert twin in outcome.error.message

    def test_save_makes_a_second_record(self, twin, bench, person):
        crm = bench(duplicate_rule="save")
        assert isinstance(crm.one("1", person(1, Phone="42")), Delivered)
        assert len(crm.org.records("Contact")) == 2

    def test_save_does_not_pass_a_rule_that_blocks(self, twin, bench, person, org):
        org.org.duplicate_rules[:] = [("Contact", "Phone", "block")]
        outcome = bench(duplicate_rule="save").one("1", person(1, Phone="42"))
        assert isinstance(outcome, Failed)
        assert "This rule blocks" in outcome.error.message

    @pytest.mark.parametrize("element", ["duplicateResut", "duplicateResult"])
    def test_both_spellings_of_the_element_are_read(self, twin, bench, person, org, element):
        org.org.duplicate_element = element
        assert twin in bench().one("1", person(1, Phone="42")).error.message

    def test_a_record_of_another_owner_is_not_named(self, twin, bench, person, org):
        org.org.objects["Contact"].unseen.add(twin)
        outcome = bench(duplicate_rule="link").one("1", person(1, Phone="42"))
        assert "may not see" in outcome.error.message
        assert "put WooId__c = shop:customer:1 on the right one" in outcome.error.message

    @pytest.mark.parametrize("terse", [False, True])
    def test_link_takes_the_only_one_and_stamps_it(self, twin, bench, person, org, terse):
        org.terse_rows = terse
        crm = bench(duplicate_rule="link")
        assert crm.one("1", person(1, Phone="42")).remote_id == twin
        assert crm.found("Contact")["WooId__c"] == "shop:customer:1"

    def test_link_never_chooses_between_two(self, twin, bench, person, org):
        org.org.insert("Contact", {"LastName": "Other", "Phone": "42"}, raw=True)
        crm = bench(duplicate_rule="link")
        assert isinstance(crm.one("1", person(1, Phone="42")), Failed)


class TestMoved:
    """Records that people merged, deleted or converted."""

    @pytest.mark.parametrize("merges", [1, 3])
    def test_merged_record_is_followed_to_its_survivor(self, bench, person, merges):
        crm = bench()
        crm.one("1", person(1))
        survivor = crm.links["crm_customers", "1"].remote_id
        for _ in range(merges):
            double, survivor = survivor, crm.org.org.insert("Contact", {"LastName": "Survivor"})
            crm.org.org.merge("Contact", double, survivor)
        outcome = crm.one("1", person(1, FirstName="Anna"))
        assert outcome.remote_id == survivor
        assert "merged" in outcome.note
        record = crm.found("Contact")
        assert (record["FirstName"], record["WooId__c"]) == ("Anna", "shop:customer:1")

    def test_what_hangs_under_a_deleted_contact_waits_for_another_one(self, bench, person, route):
        crm = bench(
            route("deals", "Opportunity", "order", after="crm_customers"), route("crm_customers", match=("WooId__c",))
        )
        crm.one("1", person(1), route="crm_customers")
        link = crm.links["crm_customers", "1"]
        crm.org.org.remove("Contact", link.remote_id)
        deal = {"Name": "Order 9", "StageName": "Prospecting", "CloseDate": "2026-01-01"}
        outcome = crm.one("9", deal, route="deals", parent=link)
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, WaitFor)

    def test_merges_that_go_round_come_to_an_end(self, bench, person):
        crm = bench()
        crm.one("1", person(1))
        first, second = crm.links["crm_customers", "1"].remote_id, crm.org.org.insert("Contact", {"LastName": "Double"})
        crm.org.org.merge("Contact", first, second)
        crm.org.org.merge("Contact", second, first)
        assert isinstance(crm.one("1", person(1, FirstName="Anna")), Delivered | Failed)

    @pytest.mark.parametrize("whose", ["another customer's", "sales' own"])
    @pytest.mark.parametrize("end", ["deleted", "forgotten"])
    def test_what_another_record_was_merged_into_is_not_one_customers_to_delete(self, bench, person, route, whose, end):
        """The other customer's link knows nothing of the merge before their next delivery."""
        crm = bench(route(match=("WooId__c",), settings={"on_delete": "delete"}))
        crm.one("1", person(1, FirstName="Ann"))
        other = {"LastName": "Lee2", "FirstName": "Bea", "Email": "bea@shop.test"}
        if whose == "another customer's":
            crm.one("2", person(2, FirstName="Bea"))
            loser = crm.links["crm_customers", "2"].remote_id
        else:
            loser = crm.org.org.insert("Contact", other)
        link = crm.links["crm_customers", "1"]
        crm.org.org.merge("Contact", loser, link.remote_id)
        if end == "deleted":
            outcome = crm.one("1", {}, kind="delete")
            assert "merged" in outcome.note
        else:
            assert crm.sink.erase(link).outcome == "released"
        record = crm.found("Contact")
        assert (record["Id"], record["FirstName"]) == (link.remote_id, None)
        assert end == "deleted" or record["WooId__c"] is None

    @pytest.mark.parametrize("match", [("WooId__c",), ("WooId__c", "Email")])
    @pytest.mark.parametrize("known", ["by its link", "by its key alone"])
    def test_no_address_of_who_is_forgotten_stays_where_another_record_was_merged_into_theirs(
        self, bench, person, route, match, known
    ):
        """An older link, of before a backup, may know another address than the one that is there."""
        crm = bench(route(match=match))
        crm.one("1", person(1))
        link = crm.links["crm_customers", "1"]
        crm.one("2", person(2))
        crm.org.org.merge("Contact", crm.links["crm_customers", "2"].remote_id, link.remote_id)
        if known == "by its key alone":
            (link,) = crm.sink.find(Identity(uids=("shop:customer:1",)))
            link = evolve(link, addresses=("ANN1@shop.test",))
        assert crm.sink.erase(link).outcome == "released"
        assert crm.found("Contact")["Email"] is None

    def test_a_record_into_which_a_double_of_the_same_customer_went_is_deleted(self, bench, person, route):
        crm = bench(route(match=("WooId__c",), settings={"on_delete": "delete"}))
        crm.one("1", person(1))
        link = crm.links["crm_customers", "1"]
        double = crm.org.org.insert("Contact", {"LastName": "Lee1", "WooId__c": "shop:customer:1"}, raw=True)
        crm.org.org.merge("Contact", double, link.remote_id)
        crm.one("1", {}, kind="delete")
        assert crm.org.records("Contact") == []

    def test_deleted_record_is_not_made_again_by_default(self, bench, person):
        crm = bench()
        crm.one("1", person(1))
        crm.org.org.remove("Contact", crm.links["crm_customers", "1"].remote_id)
        outcome = crm.one("1", person(1, FirstName="Anna"))
        assert "recreate = true" in outcome.error.message
        assert crm.org.records("Contact") == []

    def test_deleted_record_is_made_again_whole_where_allowed(self, bench, person, route):
        crm = bench(route(match=("WooId__c",), settings={"recreate": True}))
        crm.one("1", person(1))
        crm.org.org.remove("Contact", crm.links["crm_customers", "1"].remote_id)
        crm.one("1", person(1, FirstName="Anna"))
        record = crm.found("Contact")
        assert (record["FirstName"], record["LastName"]) == ("Anna", "Lee1")

    def test_deleted_record_is_matched_once_more(self, bench, person, route):
        crm = bench(route(match=BOTH))
        crm.one("1", person(1))
        crm.org.org.remove("Contact", crm.links["crm_customers", "1"].remote_id)
        other = crm.org.org.insert("Contact", {"LastName": "New", "Email": "ann1@shop.test"})
        assert crm.one("1", person(1, FirstName="Anna")).remote_id == other

    def test_converted_lead_is_followed_to_its_contact(self, bench, person, route):
        crm = bench(route("leads", "Lead", match=("WooId__c",)))
        lead = person(1, Company="Lee Ltd", City="Rome")
        crm.one("1", lead)
        contact = crm.org.org.convert(crm.links["leads", "1"].remote_id)
        outcome = crm.one("1", {**lead, "FirstName": "Anna", "City": "Bari", "Company": "Other"})
        assert outcome.remote_id == contact
        record = crm.found("Contact")
        assert (record["FirstName"], record["MailingCity"]) == ("Anna", "Bari")
        # From now on the link leads to the contact.
        crm.one("1", {**lead, "FirstName": "Annie", "City": "Bari", "Company": "Other"})
        assert crm.found("Contact")["FirstName"] == "Annie"
        assert crm.sink.read([crm.links["leads", "1"]])[0]["FirstName"] == "Annie"

    @pytest.mark.parametrize("seen", [False, True])
    def test_forgetting_a_converted_lead_says_whose_its_contact_is(self, bench, person, route, seen):
        crm = bench(route("leads", "Lead", match=("WooId__c",)))
        lead = person(1, Company="Lee Ltd", City="Rome")
        crm.one("1", lead)
        contact = crm.org.org.convert(crm.links["leads", "1"].remote_id)
        if seen:
            crm.one("1", {**lead, "City": "Bari"})
        erased = crm.sink.erase(crm.links["leads", "1"])
        assert erased.outcome == "released"
        assert seen or contact in (erased.note or "")
        assert crm.org.records("Lead") == []
        record = crm.found("Contact")
        assert record["LastName"] == "Lee1"
        # What was written to the contact goes with the person; what sales has is theirs.
        assert record["MailingCity"] == (None if seen else "Rome")

    def test_what_a_converted_leads_contact_lacks_is_filled(self, bench, person, route):
        crm = bench(route("leads", "Lead", match=("WooId__c",)))
        lead = person(1, Company="Lee Ltd", City="Rome", Phone="1")
        crm.one("1", lead)
        contact = crm.org.org.convert(crm.links["leads", "1"].remote_id)
        crm.org.org.save("Contact", {"Phone": None, "FirstName": "theirs"}, record_id=contact)
        crm.one("1", {**lead, "City": "Bari"})
        record = crm.found("Contact")
        assert (record["FirstName"], record["Phone"], record["MailingCity"]) == ("theirs", "1", "Bari")
        assert not record.get("WooId__c")

    def test_values_on_a_converted_leads_contact_are_emptied_when_it_is_let_go_of(self, bench, person, route):
        crm = bench(route("leads", "Lead", match=("WooId__c",), settings={"on_delete": "delete"}))
        lead = person(1, Company="Lee Ltd", City="Rome")
        crm.one("1", lead)
        contact = crm.org.org.convert(crm.links["leads", "1"].remote_id)
        crm.org.org.save("Contact", {"Phone": "theirs"}, record_id=contact)
        crm.one("1", {**lead, "City": "Bari"})
        crm.one("1", {}, kind="delete")
        record = crm.found("Contact")
        assert (record["LastName"], record["Phone"], record["MailingCity"]) == ("Lee1", "theirs", None)

    def test_backfilled_leads_are_assigned_to_nobody(self, bench, person, route):
        crm = bench(route("leads", "Lead", match=("WooId__c",)))
        crm.one("1", person(1, Company="Lee Ltd"), bulk=True)
        assert crm.org.requests[-1].headers["sforce-auto-assign"] == "FALSE"
        crm.one("2", person(2, Company="Lee Ltd"))
        assert "sforce-auto-assign" not in crm.org.requests[-1].headers


@pytest.mark.parametrize("existing", ["keep", "overwrite"])
def test_a_twin_that_core_found_after_a_lost_answer_gets_the_key(bench, person, route, existing):
    crm = bench(route(match=("WooId__c", "Email"), settings={"existing": existing}))
    crm.org.org.insert("Contact", {"LastName": "Lee", "Email": "ann1@shop.test"})
    op = crm.op("1", person(1), maybe_applied=True)
    (found,) = crm.sink.lookup([op])
    (outcome,) = crm.deliver(evolve(op, link=found))
    assert crm.found("Contact", Email="ann1@shop.test")["WooId__c"] == "shop:customer:1"
    assert outcome.adopted


def test_an_object_that_comes_back_is_written_to_within_minutes(bench, person):
    crm = bench()
    gone = crm.org.org.objects.pop("Contact")
    with pytest.raises(SynccoreError, match="Contact"):
        crm.deliver(crm.op("1", person(1)))
    crm.org.org.objects["Contact"] = gone
    crm.context.clock.sleep(timedelta(minutes=5))
    assert isinstance(crm.one("1", person(1)), Delivered)


@pytest.mark.parametrize("lost", [{"hidden": True}, {"createable": False, "updateable": False}])
def test_a_field_permission_that_is_lost_holds_the_route_and_nothing_is_left_out(bench, person, lost):
    crm = bench()
    crm.one("1", person(1, Phone="1"))
    field, held = crm.org.org.objects["Contact"].fields["Phone"], []
    for name, value in lost.items():
        setattr(field, name, value)
    for _ in range(3):
        crm.context.clock.sleep(timedelta(minutes=5))
        with pytest.raises(RateLimited) as refused:
            crm.deliver(crm.op("1", person(1, Phone="2")))
        held.append(refused.value)
    assert {error.scope for error in held} == {"route"}
    assert "Phone" in held[-1].message
    for name, value in lost.items():
        setattr(field, name, not value)
    crm.context.clock.sleep(timedelta(minutes=5))
    assert isinstance(crm.one("1", person(1, Phone="2")), Delivered)
    assert crm.found("Contact")["Phone"] == "2"
