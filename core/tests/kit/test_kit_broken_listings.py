"""Every case about listings finds the source that it is there to find."""

import inspect
import logging
import random
from contextlib import suppress

import pytest
import structlog
from attrs import evolve, frozen

from synccore.config import SourceSettings, option
from synccore.errors import AuthError, RateLimited, Transient
from synccore.testing import FakeClock, FakeContext, SourceContract
from synccore.testing.contracts import SourceStage
from synccore.testing.contracts._source_calls import CallSourceCases
from synccore.types import Account, Change, Check, Page


def first_page_only(real, source, entity, cursor, filters):
    yield next(iter(real(source, entity, cursor, filters)))


def one_cursor_too_far(real, source, entity, cursor, filters):
    pages = list(real(source, entity, cursor, filters))
    yield from (Page(changes=p.changes, cursor=pages[-1].cursor) for p in pages)


def ever_different(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        yield evolve(page, changes=[_other(c, last_name=str(random.random())) for c in page.changes])


def never_anything_new(real, source, entity, cursor, filters):
    if cursor is None:
        yield from real(source, entity, cursor, filters)


def stops_at_trouble(real, source, entity, cursor, filters):
    try:
        yield from real(source, entity, cursor, filters)
    except Exception:
        return


def takes_refusals_for_outages(real, source, entity, cursor, filters):
    try:
        yield from real(source, entity, cursor, filters)
    except Exception as error:
        raise Transient("it did not work") from error


def keyed_by_address(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        yield evolve(page, changes=[evolve(c, key=c.data.email) for c in page.changes])


def ghost(real, source, entity, cursor, filters):
    yield Page(changes=[Change(entity="customer", key="0", op="delete")], cursor=None)
    yield from real(source, entity, cursor, filters)


def all_in_one_page(real, source, entity, cursor, filters):
    pages = list(real(source, entity, cursor, filters))
    yield Page(changes=[c for p in pages for c in p.changes], cursor=pages[-1].cursor if pages else None)


def believes_the_size_it_asked_for(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        yield page
        if len(page.changes) < 100:
            return


def later_than_the_last(real, source, entity, cursor, filters):
    """A second after the last row's time: what shares it is never asked for."""
    from datetime import datetime, timedelta

    while (page := next(real(source, entity, cursor, filters))).changes:
        cursor = (datetime.fromisoformat(page.cursor) + timedelta(seconds=1)).isoformat()
        yield Page(changes=page.changes, cursor=cursor)


def changed_just_now(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        yield evolve(page, changes=[evolve(c, at=source._client._context.clock.now()) for c in page.changes])


def falling_versions(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        yield evolve(page, changes=[evolve(c, version=-c.version) for c in page.changes])


def constant_versions(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        yield evolve(page, changes=[evolve(c, version=1) for c in page.changes])


def needs_an_address(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        yield evolve(page, changes=[c for c in page.changes if c.data.email.strip()])


def ignores_filters(real, source, entity, cursor, filters):
    return real(source, entity, cursor, {})


def waits_as_it_likes(real, source, entity, cursor, filters):
    try:
        yield from real(source, entity, cursor, filters)
    except Exception as error:
        raise RateLimited("slow down") from error


def filters_nothing(real, source, entity, cursor, filters):
    return real(source, entity, cursor, {n: v for n, v in filters.items() if n != "email"})


def filters_at_first(real, source, entity, cursor, filters):
    return real(source, entity, cursor, {} if cursor else filters)


def ends_at_trouble(real, source, entity, cursor, filters):
    """The first page's trouble is told, any later one's is the end."""
    pages = real(source, entity, cursor, filters)
    if (first := next(pages, None)) is not None:
        yield first
        with suppress(Transient, RateLimited):
            yield from pages


def says_nothing_of_odd_rows(real, source, entity, cursor, filters):
    return (evolve(page, unreadable=()) for page in real(source, entity, cursor, filters))


def asks_again(real, source, entity, cursor, filters):
    with suppress(RateLimited):
        yield from real(source, entity, cursor, filters)
        return
    yield from real(source, entity, cursor, filters)


def gone_when_refused(real, source, entity, key):
    try:
        return real(source, entity, key)
    except AuthError:
        return None


def gone_without_an_address(real, source, entity, key):
    found = real(source, entity, key)
    return found if found and found.data.email else None


def only_with_an_address(real, source, request):
    return [c for c in real(source, request) if isinstance(c, Change) and c.data.email]


def quotes_the_row(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        yield evolve(page, unreadable=[evolve(u, reason="no time: Schmidt") for u in page.unreadable])


def one_odd_row_a_page(real, source, entity, cursor, filters):
    return (evolve(page, unreadable=page.unreadable[:1]) for page in real(source, entity, cursor, filters))


def counts_rows(real, source, entity, cursor, filters):
    """Pages by offset, within one time as well."""
    told = 0
    while changes := [c for page in real(source, entity, cursor, filters) for c in page.changes][told : told + 100]:
        told += len(changes)
        yield Page(changes=changes, cursor=changes[-1].data.raw["changed"])


def a_name_for_another(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        yield evolve(page, changes=[_other(c, first_name=c.data.first_name or c.data.last_name) for c in page.changes])


def remembers_by_address(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        source._client._context.state().put({f"seen:{c.data.email}": 1 for c in page.changes})
        yield page


def tells_its_log(real, source, entity, key):
    found = real(source, entity, key)
    source._client._context.log.info("fetched", whom=found.data.email)
    return found


def remembers_which_shop(real, source):
    return source.__dict__.setdefault("shop", real(source))


def ends_without_a_permission(real, source, entity, cursor, filters):
    """The first page's refusal is told, any later one's is the end."""
    pages = real(source, entity, cursor, filters)
    if (first := next(pages, None)) is not None:
        yield first
        with suppress(AuthError):
            yield from pages


def asks_nobody(real, source):
    return Check(account=Account(id="s1", label="Test shop"))


def one_id_for_all(real, source):
    return Check(account=evolve(real(source).account, id="shop"))


def tells_the_librarys_log(real, source, entity, key):
    found = real(source, entity, key)
    logging.getLogger("shop").info("fetched %s", found.data.email)
    return found


def logs_whom_it_lists(real, source, *args):
    for page in real(source, *args):
        structlog.get_logger().info("page", first=page.changes and page.changes[0].data.email)
        yield page


def believes_whoever_answers(real, source):
    return Check(account=Account(id=source._client.get("/shop")["id"], label="Test shop"))


def _other(change, **values):
    return evolve(change, data=evolve(change.data, **values))


def counts_what_it_cannot_read(real, source, entity, cursor, filters):
    """Goes on from the last row's time, whatever that says."""
    for page in real(source, entity, cursor, filters):
        yield evolve(page, cursor="yesterday" if page.unreadable else page.cursor)


def all_in_one_page_later(real, source, entity, cursor, filters):
    if cursor:
        return all_in_one_page(real, source, entity, cursor, filters)
    return real(source, entity, cursor, filters)


def ends_a_later_listing_at_trouble(real, source, entity, cursor, filters):
    return (ends_at_trouble if cursor else _as_it_is)(real, source, entity, cursor, filters)


def _as_it_is(real, source, *asked):
    return real(source, *asked)


def filters_the_first_listing(real, source, entity, cursor, filters):
    return real(source, entity, cursor, {} if cursor else filters)


def five_hundred_at_most(real, source, entity, cursor, filters):
    told = 0
    for page in real(source, entity, cursor, filters):
        told += len(page.changes)
        yield page
        if told >= 500:
            return


def cuts_names(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        cut = [_other(c, last_name=(c.data.last_name or "")[:20] or None) for c in page.changes]
        yield evolve(page, changes=cut)


def remembers_where_it_was(real, source, entity, cursor, filters):
    """Its cursor is a number of its own memory."""
    places = source.__dict__.setdefault("places", {})
    for page in real(source, entity, places.get(cursor), filters):
        places[str(len(places))] = page.cursor
        yield evolve(page, cursor=str(len(places) - 1))


def tells_more_than_the_shop_can_show(real, source, entity, cursor, filters):
    for page in real(source, entity, cursor, filters):
        yield evolve(page, changes=[_other(c, phone="+1 212 555 1000") for c in page.changes])


def is_well_without_a_permission(real, source):
    try:
        return real(source)
    except AuthError:
        if source._client._http.get("/shop").status != 403:
            raise
        return Check(account=Account(id="s1", label="Test shop"))


BUGS = [
    ("checking_asks_the_shop", "check", is_well_without_a_permission, {}),
    ("trouble_between_pages_is_no_end", "poll", ends_a_later_listing_at_trouble, {}),
    ("a_filter_leaves_out_the_others", "poll", filters_the_first_listing, {}),
    ("a_row_that_cannot_be_read_is_named_and_loses_nobody", "poll", counts_what_it_cannot_read, {}),
    ("a_listing_comes_in_pages", "poll", all_in_one_page_later, {}),
    ("a_listing_gives_every_customer", "poll", five_hundred_at_most, {}),
    ("a_text_is_told_as_the_shop_holds_it", "poll", cuts_names, {}),
    ("a_listing_killed_at_any_page_goes_on_without_loss", "poll", remembers_where_it_was, {}),
    ("a_record_says_what_the_shop_holds", "poll", tells_more_than_the_shop_can_show, {}),
    ("who_changes_while_pages_are_read_hides_nobody", "poll", counts_rows, {}),
    ("a_record_says_what_the_shop_holds", "poll", a_name_for_another, {}),
    ("another_shop_is_another_account", "check", one_id_for_all, {}),
    ("a_listing_comes_in_pages", "poll", all_in_one_page, {}),
    ("pages_smaller_than_asked_lose_nobody", "poll", believes_the_size_it_asked_for, {}),
    ("a_page_that_comes_again_and_again_is_no_listing", "poll", ends_at_trouble, {}),
    ("equal_times_across_a_page_lose_nobody", "poll", later_than_the_last, {}),
    ("a_record_of_the_last_ones_time_is_seen_later", "poll", later_than_the_last, {}),
    ("a_later_change_has_a_later_version", "poll", falling_versions, {}),
    ("a_row_that_cannot_be_read_is_named_and_loses_nobody", "poll", says_nothing_of_odd_rows, {}),
    ("a_bare_record_loses_no_others", "poll", needs_an_address, {}),
    ("an_unknown_filter_is_refused", "poll", ignores_filters, {}),
    ("a_rate_limit_is_passed_on_with_its_wait", "poll", waits_as_it_likes, {}),
    ("a_filter_leaves_out_the_others", "poll", filters_nothing, {}),
    ("a_filter_leaves_out_the_others", "poll", filters_at_first, {}),
    ("trouble_between_pages_is_no_end", "poll", ends_at_trouble, {}),
    ("a_bare_record_is_told_by_webhook", "receive", only_with_an_address, {}),
    ("checking_asks_the_shop", "check", asks_nobody, {}),
    ("checking_says_in_words_what_it_cannot_read", "check", believes_whoever_answers, {}),
    ("check_names_the_account", "check", lambda real, source: Check(), {}),
    ("closing_twice_is_fine", "close", lambda real, source: source._client.__dict__.pop("_http").close(), {}),
    ("an_empty_shop_lists_nothing", "poll", ghost, {}),
    ("a_listing_gives_every_customer", "poll", first_page_only, {}),
    ("listing_twice_gives_equal_records", "poll", ever_different, {}),
    ("a_listing_killed_at_any_page_goes_on_without_loss", "poll", one_cursor_too_far, {}),
    ("a_later_poll_sees_what_changed", "poll", never_anything_new, {}),
    ("an_outage_is_transient", "poll", stops_at_trouble, {}),
    ("refused_keys_are_an_auth_error", "poll", takes_refusals_for_outages, {}),
    ("keys_and_cursors_hold_no_personal_data", "poll", keyed_by_address, {}),
    ("listing_twice_gives_equal_records", "poll", changed_just_now, {}),
    ("a_later_change_has_a_later_version", "poll", constant_versions, {}),
    ("keys_and_cursors_hold_no_personal_data", "poll", logs_whom_it_lists, {}),
    ("a_bare_record_loses_no_others", "fetch", gone_without_an_address, {}),
    ("a_rate_limit_is_passed_on_with_its_wait", "poll", asks_again, {}),
    ("refused_keys_are_an_auth_error", "fetch", gone_when_refused, {}),
    ("another_shop_is_another_account", "check", remembers_which_shop, {}),
    ("a_row_that_cannot_be_read_is_named_and_loses_nobody", "poll", one_odd_row_a_page, {}),
    ("a_row_that_cannot_be_read_is_named_and_loses_nobody", "poll", quotes_the_row, {}),
    ("keys_and_cursors_hold_no_personal_data", "poll", remembers_by_address, {}),
    ("keys_and_cursors_hold_no_personal_data", "fetch", tells_its_log, {}),
    ("keys_and_cursors_hold_no_personal_data", "fetch", tells_the_librarys_log, {}),
    ("refused_keys_are_an_auth_error", "fetch", gone_when_refused, {"refusal": "forbidden"}),
    ("trouble_between_pages_is_no_end", "poll", ends_without_a_permission, {"trouble": "forbidden"}),
]
ELSEWHERE = {"opening_talks_to_nobody", "the_settings_are_those_core_reads", "secrets_are_of_the_type_secret"}

CASES = {n.removeprefix("test_") for n, _ in inspect.getmembers(SourceContract) if n.startswith("test_")} - {
    n.removeprefix("test_") for n in dir(CallSourceCases)
}


def test_every_case_has_a_source_that_fails_it():
    assert {case for case, *_ in BUGS} | ELSEWHERE == CASES


@pytest.mark.parametrize("case", sorted(CASES))
def test_the_generated_source_passes(source_contract, run_source, case):
    run_source(source_contract(), case)


@pytest.mark.parametrize(("case", "method", "bug", "asked"), BUGS)
def test_the_case_finds_its_bug(finds, case, method, bug, asked):
    finds(case, method, bug, **asked)


def test_a_source_that_connects_when_opened_is_found(shop, source_contract, run_source):
    def open_and_check(config, context):
        source = shop["source"].SampleShopSource(config, context)
        source.check()
        return source

    with pytest.raises(AssertionError):
        run_source(source_contract(open_and_check), "opening_talks_to_nobody")


def test_a_secret_that_is_a_text_is_found(source_contract):
    @frozen(kw_only=True)
    class Open(SourceSettings):
        token: str = option(help="API token")

    contract = source_contract()
    contract.config = lambda stand_in: Open(token="t")
    with pytest.raises(AssertionError):
        contract.test_secrets_are_of_the_type_secret(on=SourceStage(None, None, contract, None))


def test_settings_that_core_cannot_read_are_found(source_contract):
    @frozen(kw_only=True)
    class Bare:
        url: str = option(help="address")

    contract = source_contract()
    contract.source_type = evolve(contract.source_type, config=Bare)
    with pytest.raises(AssertionError):
        contract.test_the_settings_are_those_core_reads(on=None)


def test_the_generated_source_goes_on_past_rows_that_it_cannot_read(source_contract):
    contract = source_contract()
    with contract.start(FakeClock()) as stand_in:
        for number in range(5):
            contract.put(stand_in, number)
        stand_in.customers["1"] |= {"changed": "2026-01-01T00:00:00 or so"}
        stand_in.customers["4"] |= {"changed": "soon"}
        stand_in.cap = 2
        source = contract.source_type.open(contract.config(stand_in), FakeContext("shop", "sample_shop"))
        pages = list(source.poll("customer", None, {}))
        source.close()
    assert {c.key for p in pages for c in p.changes} == {"0", "2", "3"}
    assert sum(len(p.unreadable) for p in pages) >= 2
    assert pages[-1].cursor == stand_in.customers["3"]["changed"]
