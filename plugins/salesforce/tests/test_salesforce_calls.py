"""What deliveries cost of the org's calls, counted by the org, and of memory."""

import tracemalloc

import pytest

from synccore.types import Delivered, Unchanged

#: Describe, and nothing else that does not grow with the number of customers.
FIXED = 4


#: Looks take a thousand records, writes 200.
LOOK, WRITE = 1000, 200


def calls(crm, operations):
    before, size = crm.org.calls_used, crm.sink.limits.max_batch
    outcomes = [o for n in range(0, len(operations), size) for o in crm.deliver(*operations[n : n + size])]
    assert all(isinstance(o, Delivered | Unchanged) for o in outcomes)
    return crm.org.calls_used - before


def people(crm, person, count, **fields):
    """Addresses as long as they come; every third customer lives where the org knows no states."""
    found = []
    for n in range(count):
        place = {"MailingStateCode": "NW", "MailingCountryCode": "DE"} if n % 3 == 0 else {"MailingCountryCode": "US"}
        address = f"a.customer.with.a.long.address.{n:06d}@customers.of.a.shop.example"
        found.append(crm.op(str(n), person(n, Email=address, **place, **fields)))
    return found


@pytest.fixture
def picky(make_org):
    """An org with state and country picklists."""
    return make_org(picklists=True)


@pytest.mark.parametrize("known", [0, 150])
def test_matching_by_address_is_a_look_for_1000_and_a_call_for_200(bench, route, person, picky, known):
    crm = bench(route(match=("WooId__c", "Email")), at=picky)
    operations = people(crm, person, LOOK)
    for op in operations[:known]:
        picky.org.insert("Contact", {"LastName": "Known", "Email": op.fields["Email"]})
    assert calls(crm, operations) <= 1 + LOOK / WRITE + FIXED
    assert len(picky.records("Contact")) == LOOK


def test_2000_are_16_calls_at_most(bench, route, person, picky):
    crm = bench(route(match=("WooId__c", "Email")), at=picky)
    assert calls(crm, people(crm, person, 2000)) <= 16


@pytest.mark.parametrize("match", [("WooId__c",), ("Name",)])
@pytest.mark.parametrize("name", ["Name", "NameFallback"])
def test_accounts_and_contacts_are_looked_for_by_the_thousand(bench, route, person, picky, match, name):
    crm = bench(
        route("firms", "Account", match=match),
        route("people", "Contact", match=("WooId__c", "Email"), after="firms"),
        at=picky,
    )
    firms = [
        crm.op(str(n), {name: f"Firm {n // 2}", "WooId__c": f"shop:customer:{n}"}, route="firms") for n in range(LOOK)
    ]
    spent = calls(crm, firms)
    contacts = [crm.op(str(n), person(n), route="people", parent=crm.links["firms", str(n)]) for n in range(LOOK)]
    spent += calls(crm, contacts)
    # Customers of one company: the first makes it, the others find it.
    assert spent <= 2 * LOOK / WRITE + 3 + FIXED


def test_an_org_without_composite_costs_more_and_works(bench, route, person, picky):
    picky.composite = False
    crm = bench(route(match=("WooId__c", "Email")), at=picky)
    operations = people(crm, person, 400)
    for op in operations[:50]:
        picky.org.insert("Contact", {"LastName": "Known", "Email": op.fields["Email"]})
    assert calls(crm, operations) <= 5 * 2 + FIXED
    assert len(picky.records("Contact")) == 400


@pytest.mark.parametrize("short", [False, True])
def test_an_org_that_takes_no_long_query_is_asked_in_pieces(bench, route, person, picky, short):
    """What is too long even inside a request's body goes in pieces that an address could hold."""
    picky.longest_query = 16_000 if short else None
    crm = bench(route(match=("WooId__c", "Email")), at=picky)
    operations = people(crm, person, LOOK)
    for op in operations[:50]:
        picky.org.insert("Contact", {"LastName": "Known", "Email": op.fields["Email"]})
    assert calls(crm, operations) <= LOOK / WRITE + (4 if short else 1) + FIXED
    assert len(picky.records("Contact")) == LOOK


def looks(org):
    return len([r for r in org.requests if r.path.endswith(("/query", "/composite"))])


@pytest.mark.parametrize(("match", "most"), [(("WooId__c",), 12), (("WooId__c", "Email"), 12)])
def test_a_job_of_3000(bench, route, person, picky, match, most):
    crm = bench(route(match=match), at=picky)
    operations = people(crm, person, 3000)
    before = picky.calls_used
    picky.requests.clear()
    final = crm.collect(operations, crm.deliver(*operations))
    assert all(isinstance(o, Delivered) for o in final)
    assert picky.calls_used - before <= most
    assert looks(picky) == len(match) - 1
    link = crm.link("crm_customers", "0")
    assert "no such state" in link.left_out["MailingStateCode"]
    (seen,) = crm.sink.read([link])
    assert {n: seen[n] for n in link.fields} == link.fields


@pytest.mark.parametrize("named", [True, False])
def test_a_job_of_accounts_looks_at_the_keys_of_all_at_once(bench, route, picky, named):
    """Without a company the name is a stand-in, which replaces none that is there: keys have to be looked at."""
    crm = bench(route("firms", "Account", match=("WooId__c",)), at=picky)
    name = "Name" if named else "NameFallback"
    operations = [crm.op(str(n), {name: f"Lee {n}", "WooId__c": f"shop:customer:{n}"}) for n in range(3000)]
    picky.org.insert("Account", {"Name": "The real name", "WooId__c": "shop:customer:7"})
    before = picky.calls_used
    picky.requests.clear()
    final = crm.collect(operations, crm.deliver(*operations))
    assert all(isinstance(o, Delivered | Unchanged) for o in final)
    assert picky.calls_used - before <= 12
    assert looks(picky) == (0 if named else 1)
    (seven,) = (a for a in picky.records("Account") if a["WooId__c"] == "shop:customer:7")
    assert seven["Name"] == ("Lee 7" if named else "The real name")


class TestStates:
    """What the org refuses is known, or remembered."""

    def test_describe_says_which_state_is_whose(self, bench, person, picky):
        crm = bench(at=picky)
        for n, (state, country, kept) in enumerate(
            [
                ("WA", "AU", "WA"),
                ("WA", "CA", None),
                ("Washington", "US", "WA"),
                ("US-NY", "US", "NY"),
                ("NW", "DE", None),
            ]
        ):
            crm.one(str(n), person(n, MailingStateCode=state, MailingCountryCode=country))
            record = crm.found("Contact", LastName=f"Lee{n}")
            assert (record.get("MailingStateCode"), record["MailingCountryCode"]) == (kept, country)
        assert len([r for r in picky.requests if r.method == "PATCH"]) == 5, "none was tried in vain"

    def test_a_refusal_is_remembered_where_describe_does_not_say(self, bench, person, picky):
        picky.dependencies_described = False
        crm = bench(at=picky)
        values = {"MailingStateCode": "CA", "MailingCountryCode": "DE"}
        for n in range(3):
            outcome = crm.one(str(n), person(n, **values))
            assert "MailingStateCode" in outcome.left_out
        assert len([r for r in picky.requests if r.method == "PATCH"]) == 4, "the first was tried twice"

    def test_a_state_without_a_place_in_the_new_country_goes(self, bench, person, picky):
        crm = bench(at=picky)
        crm.one("1", person(1, MailingStateCode="NY", MailingCountryCode="US"))
        crm.one("1", person(1, MailingStateCode="NW", MailingCountryCode="DE"))
        record = crm.found("Contact")
        assert (record["MailingStateCode"], record["MailingCountryCode"]) == (None, "DE")

    @pytest.mark.parametrize("described", [True, False])
    def test_neither_do_a_state_and_country_that_the_org_does_not_take(self, bench, person, picky, described):
        picky.dependencies_described = described
        crm = bench(at=picky)
        crm.one("1", person(1, MailingStateCode="NY", MailingCountryCode="US"))
        crm.one("1", person(1, MailingStateCode="CA", MailingCountryCode="DE"))
        record = crm.found("Contact")
        assert (record["MailingStateCode"], record["MailingCountryCode"]) == (None, "DE")
        crm.one("1", person(1, MailingStateCode="CA", MailingCountryCode="XX"))
        record = crm.found("Contact")
        assert (record["MailingStateCode"], record["MailingCountryCode"]) == (None, None)


def test_a_job_is_written_through_a_file_and_not_held_in_memory(bench, person, monkeypatch):
    crm = bench()
    crm.sink.describe()
    operations = [crm.op(str(n), person(n, MailingStreet="1 Main St\nUnit 2")) for n in range(6000)]
    client, sizes = crm.sink._client, []
    monkeypatch.setattr(client, "job_create", lambda *_: "750")
    monkeypatch.setattr(client, "job_state", lambda *_: {"state": "UploadComplete"})
    monkeypatch.setattr(client, "job_upload", lambda _, file: sizes.append(file.tell()))
    tracemalloc.start()
    crm.sink.deliver(operations)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(sizes) == 1
    assert peak < 12e6, f"{peak / 1e6:.0f} MB beside the operations for a file of {sizes[0] / 1e6:.1f} MB"
