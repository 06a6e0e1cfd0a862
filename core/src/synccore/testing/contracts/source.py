"""What every source must withstand.

class TestMyShop(SourceContract):
    source_type = SOURCE

    def start(self, clock):
        return FakeMyShop()

    def config(self, stand_in):
        return {"url": stand_in.url, "key": "k"}

    def put(self, stand_in, number):
        stand_in.add(number, f"person{number}@shop.test")
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import chain
from typing import Any

import attrs
import pytest

from ...config import SourceSettings
from ...errors import AuthError, ConfigError, RateLimited, SynccoreError, Transient
from ...types import Change, Page
from ..context import FakeContext
from ..server import Fault
from ..strategies import HOSTILE_TEXTS
from ._heard import heard
from ._source_calls import CallSourceCases
from ._source_stage import NAMES, SLOW_DOWN, SourceStage, fingerprint_of, own, told_by
from ._stage import checked_among_strangers, secrets_as_text

__all__ = ["SourceContract", "SourceStage"]


class SourceContract(CallSourceCases):
    """Subclass it; set `source_type`, write `start`, `config` and `put`, and what else your source can do."""

    # -- cases: the contract's form

    def test_opening_talks_to_nobody(self, on: SourceStage) -> None:
        """`open` is for reading the configuration; `check` is for the network."""
        fresh = self.source_type.open(self.config(on.stand_in), FakeContext("other", self.source_type.name))
        fresh.close()
        assert on.context.calls == 0

    def test_the_settings_are_those_core_reads(self, on: SourceStage) -> None:
        """entities, poll, reconcile and write_back come from SourceSettings."""
        assert issubclass(self.source_type.config, SourceSettings)

    def test_check_names_the_account(self, on: SourceStage) -> None:
        """An operator must see which shop they are connected to."""
        account = on.source.check().account
        assert account is not None, "check() names no account"
        assert account.id

    def test_checking_asks_the_shop(self, on: SourceStage) -> None:
        """A check that is green without a word from the shop is green for ever."""
        for fault in (self.unauthorised(), self.forbidden(), Fault.status(503)):
            on.stand_in.fail_always(fault)
            with suppress(SynccoreError):
                findings = on.source.check().findings
                assert any(f.level == "error" for f in findings), "check() is well, and the shop refused or was away"

    def test_another_shop_is_another_account(self, on: SourceStage) -> None:
        """An id that never changes lets a moved address read somebody else's shop."""
        before = on.source.check().account
        on.contract.exchange_account(on.stand_in)
        running = on.source.check().account
        fresh = self.source_type.open(self.config(on.stand_in), on.context)
        try:
            after = fresh.check().account
        finally:
            fresh.close()
        assert before is not None
        assert after is not None
        assert after.id != before.id, "two shops have one account id"
        assert running == after, "who runs goes on believing that it is the shop of before"

    def test_checking_says_in_words_what_it_cannot_read(self, on: SourceStage) -> None:
        """Behind a mistyped address answers somebody else; KeyError tells nobody what to mend."""
        checked_among_strangers(on.stand_in, on.source.check)

    def test_secrets_are_of_the_type_secret(self, on: SourceStage) -> None:
        """A text is shown by whatever shows the configuration."""
        plain = secrets_as_text(self.config(on.stand_in))
        assert not plain, f"of type str, not Secret: {', '.join(plain)}"

    def test_closing_twice_is_fine(self, on: SourceStage) -> None:
        """The daemon may close what a command already closed."""
        on.source.close()
        on.source.close()

    # -- cases: listings

    def test_an_empty_shop_lists_nothing(self, on: SourceStage) -> None:
        """And does not fail."""
        assert on.customers() == {}

    def test_a_listing_gives_every_customer(self, on: SourceStage) -> None:
        """`most` of them, each with its address: who ends sooner believes that the others are gone."""
        most = max(self.many, self.most)
        on.put(most)
        emails = {getattr(c.data, "email", "") or "" for c in on.customers().values()}
        missing = {f"person{n}@shop.test" for n in range(most)} - emails
        assert not missing, f"{len(missing)} of {most} are never told of"

    def test_a_listing_comes_in_pages(self, on: SourceStage) -> None:
        """Core commits page by page; a shop of a million customers in one page is a shop in memory."""
        on.put(self.many)
        pages = on.pages()
        self._comes_in_pages(pages)
        on.context.clock.sleep(timedelta(hours=1))
        for number in range(self.many):
            on.contract.edit(on.stand_in, number)
        self._comes_in_pages(on.pages(pages[-1].cursor))

    def _comes_in_pages(self, pages: Sequence[Page]) -> None:
        sizes = [len(page.changes) for page in pages]
        assert len(sizes) > 2, f"{sum(sizes)} customers came in {len(sizes)} pages: page, or set `many` higher"
        assert max(sizes) < self.many

    def test_pages_smaller_than_asked_lose_nobody(self, on: SourceStage) -> None:
        """A host may cap pages: go on by the rows that came, until none come."""
        on.put(20)
        on.contract.cap(on.stand_in, 7)
        assert len(on.customers()) == 20

    def test_a_page_that_comes_again_and_again_is_no_listing(self, on: SourceStage) -> None:
        """Caches drop where a page begins: who stops there believes all others gone, who goes on never ends."""
        on.put(self.many)
        on.contract.repeat(on.stand_in)
        seen: set[str] = set()
        with suppress(Transient):
            for _, page in zip(range(4 * self.many), on.source.poll("customer", None, {}), strict=False):
                seen |= {c.key for c in page.changes if c.entity == "customer"}
            assert len(seen) == self.many, f"{len(seen)} of {self.many} are taken for all, or asked for without end"

    def test_equal_times_across_a_page_lose_nobody(self, on: SourceStage) -> None:
        """An import gives thousands of records one time; a cursor of "later than the last" skips the rest of them."""
        on.put(self.many)
        on.contract.tie(on.stand_in, range(self.many))
        assert len(on.customers()) == self.many
        on.contract.cap(on.stand_in, 7)
        assert len(on.customers()) == self.many

    @pytest.mark.parametrize("what", ["edited", "deleted"])
    def test_who_changes_while_pages_are_read_hides_nobody(self, on: SourceStage, what: str) -> None:
        """A row that leaves its place moves those behind it: pages counted by rows skip one, of equal times too."""
        on.put(self.many)
        if what == "edited":
            on.contract.tie(on.stand_in, range(self.many))
        on.context.clock.sleep(timedelta(minutes=1))
        on.contract.put(on.stand_in, self.many)
        on.context.clock.sleep(timedelta(minutes=1))
        seen: set[str] = set()
        cursor: str | None = None
        for number, page in enumerate(on.source.poll("customer", None, {})):
            seen |= {c.key for c in page.changes if c.entity == "customer"}
            cursor = page.cursor
            if number < 2:
                (on.contract.edit if what == "edited" else on.contract.remove)(on.stand_in, number)
        seen |= set(on.customers(cursor))
        missing = set(on.customers()) - seen
        assert not missing, f"{len(missing)} behind a row that left its place are never told of"

    def test_a_record_says_what_the_shop_holds(self, on: SourceStage) -> None:
        """A name that is another's, an address that was there before: nobody finds out but the customer."""
        on.put(3)
        before = set(on.customers())
        numbers = [0, 1, 2]
        with suppress(pytest.skip.Exception):
            on.contract.edit(on.stand_in, 1)
        with suppress(pytest.skip.Exception):
            on.contract.bare(on.stand_in, 3)
            numbers.append(3)
        listed = on.customers()
        told = {getattr(c.data, "email", None) if k in before else "": c for k, c in listed.items()}
        held = [on.contract.holds(on.stand_in, number) for number in numbers]
        nobodys = {name for holds in held for name in holds if all(h.get(name) is None for h in held)}
        assert not nobodys, f"put and edit give nobody a {', '.join(sorted(nobodys))}, so nothing is proved of it"
        for number, holds in zip(numbers, held, strict=True):
            data: Any = told["" if number == 3 else f"person{number}@shop.test"].data
            unproved = told_by(data) - holds.keys()
            assert not unproved, f"holds() does not name what is told, so nothing is proved of it: {unproved}"
            self._told_as_held(data, holds)

    def _told_as_held(self, data: Any, holds: Mapping[str, Any]) -> None:
        wrong = [name for name, value in holds.items() if not _same(getattr(data, name), value)]
        assert not wrong, f"told otherwise than the shop has it: {', '.join(wrong)}"

    def test_a_text_is_told_as_the_shop_holds_it(self, on: SourceStage) -> None:
        """Long, of any script, with quotes and tags: nothing is cut, escaped or put into other words."""
        texts = list(HOSTILE_TEXTS.values())
        on.put(len(texts))
        for number, text in enumerate(texts):
            on.contract.fill(on.stand_in, number, text)
        for change in on.customers().values():
            number = int((getattr(change.data, "email", "") or "").partition("@")[0].removeprefix("person"))
            fetched = own(on.source.fetch("customer", change.key), change.key)
            for one in chain((change, fetched), self._heard(on, number, change.key)):
                self._told_as_held(one.data, on.contract.holds(on.stand_in, number))

    def _heard(self, on: SourceStage, number: int, key: str) -> Iterator[Change]:
        with suppress(pytest.skip.Exception):
            told = on.source.receive(on.contract.webhook(on.stand_in, number))
            yield from (c for c in told if isinstance(c, Change) and c.op == "upsert" and c.key == key)

    def test_a_record_of_the_last_ones_time_is_seen_later(self, on: SourceStage) -> None:
        """Two changes in one second, one before and one after a poll: the next poll overlaps."""
        on.put(3)
        pages = on.pages()
        on.contract.put(on.stand_in, 3)
        on.contract.tie(on.stand_in, (2, 3))
        emails = {getattr(c.data, "email", None) for c in on.customers(pages[-1].cursor).values()}
        assert "person3@shop.test" in emails
        pages = on.pages()
        on.contract.edit(on.stand_in, 1)
        on.contract.tie(on.stand_in, (3, 1))  # an older record may share the last one's time as well
        emails = {getattr(c.data, "email", None) for c in on.customers(pages[-1].cursor).values()}
        assert "person1@shop.test" in emails

    def test_listing_twice_gives_equal_records(self, on: SourceStage) -> None:
        """Equal fingerprints, versions and times, however late it is: or every poll would dirty everything."""
        on.put(5)
        first = on.customers()
        on.context.clock.sleep(timedelta(hours=1))
        second = on.customers()
        assert {k: fingerprint_of(c) for k, c in first.items()} == {k: fingerprint_of(c) for k, c in second.items()}
        assert {k: _when(c) for k, c in first.items()} == {k: _when(c) for k, c in second.items()}

    def test_a_later_change_has_a_later_version(self, on: SourceStage) -> None:
        """Core drops what is older than it knows: a version that falls, or stands still, loses changes for ever."""
        on.put(3)
        versions = [_version(on)]
        for _ in range(2):
            # Many shops know whole seconds: within one, equal versions are taken in the order they arrive.
            on.context.clock.sleep(timedelta(minutes=1))
            on.contract.edit(on.stand_in, 1)
            versions.append(_version(on))
        stated = [v for v in versions if v is not None]
        assert len(stated) in (0, 3), f"some changes have a version and some have none: {versions}"
        assert stated == sorted(set(stated)), f"three states of one record have the versions {versions}"

    def test_a_bare_record_loses_no_others(self, on: SourceStage) -> None:
        """A customer without address or name is a customer; it never stops the listing."""
        on.put(2)
        before = set(on.customers())
        on.contract.bare(on.stand_in, 2)
        listed = on.customers()
        assert len(listed) == 3
        (key,) = set(listed) - before
        assert fingerprint_of(own(on.source.fetch("customer", key), key)) == fingerprint_of(listed[key])

    def test_a_row_that_cannot_be_read_is_named_and_loses_nobody(self, on: SourceStage) -> None:
        """It never stops the listing, and is no secret: people look for who is missing."""
        on.put(3)
        for name in NAMES:
            on.contract.spoil(on.stand_in, name)
        pages = on.pages()
        told = {c.key for p in pages for c in p.changes if c.entity == "customer" and c.op == "upsert"}
        odd = [u for p in pages for u in p.unreadable]
        assert len(told) == 3, "a row that cannot be read loses others, or is taken for somebody"
        assert odd, "a row that cannot be read is left out without a word"
        assert all(u.where and u.reason and u.entity == "customer" for u in odd), "nobody can tell which row that was"
        assert len({u.where for u in odd}) >= len(NAMES), f"of {len(NAMES)} such rows some are left out, or told as one"
        assert not [name for name in NAMES if name in str(odd)], "a row that cannot be read is quoted: it names people"
        on.context.clock.sleep(timedelta(minutes=1))
        on.contract.put(on.stand_in, 3)
        emails = {getattr(c.data, "email", None) for c in on.customers(pages[-1].cursor).values()}
        assert "person3@shop.test" in emails, "the cursor goes by a row that cannot be read: no later change is seen"

    def test_a_bare_record_is_told_by_webhook(self, on: SourceStage) -> None:
        """What the listing can read, the webhook can."""
        on.put(2)
        before = set(on.customers())
        on.contract.bare(on.stand_in, 2)
        (key,) = set(on.customers()) - before
        told = on.source.receive(on.contract.webhook(on.stand_in, 2))
        assert key in {c.key for c in told if isinstance(c, Change)}, "the webhook of a bare record is lost"

    def test_an_unknown_filter_is_refused(self, on: SourceStage) -> None:
        """`backfill --filter plan=9` that is ignored sends everybody."""
        on.put(1)
        with pytest.raises(ConfigError):
            list(on.source.poll("customer", None, {"no_such_filter": "1"}))

    def test_a_filter_leaves_out_the_others(self, on: SourceStage) -> None:
        """One that is accepted and not followed sends everybody all the same."""
        on.put(3)
        filters = on.contract.only(on.stand_in, 1)
        pages = list(on.source.poll("customer", None, filters))
        assert self._addresses(pages) == {"person1@shop.test"}
        on.put(5)  # a listing that was interrupted goes on from its cursor
        later = self._addresses(on.source.poll("customer", pages[-1].cursor, filters))
        assert later <= {"person1@shop.test"}, "with a cursor, the filter leaves out nobody"

    def _addresses(self, pages: Iterable[Page]) -> set[str | None]:
        changes = [c for p in pages for c in p.changes if c.entity == "customer"]
        return {getattr(c.data, "email", None) for c in changes}

    def test_a_listing_killed_at_any_page_goes_on_without_loss(self, on: SourceStage) -> None:
        """Core commits each page with its cursor; a new process goes on from there."""
        on.put(self.many)
        with suppress(pytest.skip.Exception):
            for number in range(0, self.many, 2):  # so that their keys and their times have not one order
                on.contract.edit(on.stand_in, number)
        seen: set[str] = set()
        cursor: str | None = None
        for number in range(2 * self.many):
            on.restart()
            page = next(iter(on.source.poll("customer", cursor, {})), None)
            if page is None:
                break
            seen |= {c.key for c in page.changes if c.entity == "customer"}
            if number == 0 and len(seen) == self.many:
                pytest.skip(f"one page holds {self.many}: set `many` higher, or nothing is proved")
            if page.cursor in (None, cursor) or len(seen) >= self.many:
                break  # nothing more would come
            cursor = page.cursor
        assert len(seen) == self.many, "resuming from a page's cursor loses records"

    def test_a_later_poll_sees_what_changed(self, on: SourceStage) -> None:
        """From the cursor of the last page."""
        on.put(3)
        pages = on.pages()
        before = {c.key: fingerprint_of(c) for p in pages for c in p.changes if c.entity == "customer"}
        on.contract.edit(on.stand_in, 1)
        after = {k: fingerprint_of(c) for k, c in on.customers(pages[-1].cursor if pages else None).items()}
        changed = [k for k, fingerprint in after.items() if before.get(k) != fingerprint]
        assert len(changed) == 1, f"{len(changed)} records look changed after one edit"

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(Fault.status(503), id="503"),
            pytest.param(Fault.html(502), id="html-502"),
            pytest.param(Fault.html(404), id="html-404"),
            pytest.param(Fault.html(200), id="html-200"),
            pytest.param(Fault.status(200, {"status": "ok"}), id="json-200"),
            pytest.param(Fault.reset(), id="reset"),
            pytest.param(Fault.truncated(), id="truncated"),
        ],
    )
    def test_an_outage_is_transient(self, on: SourceStage, fault: Fault) -> None:
        """So that core goes on later from the last page."""
        on.put(3)
        on.stand_in.fail_always(fault)
        with pytest.raises((Transient, RateLimited)):
            on.customers()
        on.stand_in.clear_faults()
        assert len(on.customers()) == 3

    def test_a_rate_limit_is_passed_on_with_its_wait(self, on: SourceStage) -> None:
        """Core waits as long as the shop asks; a source that retries by itself makes it worse."""
        on.put(1)
        (key,) = on.customers()
        on.stand_in.fail_always(SLOW_DOWN)
        for ask in (on.customers, lambda: on.source.fetch("customer", key)):
            on.stand_in.requests.clear()
            with pytest.raises(RateLimited) as limited:
                ask()
            assert limited.value.retry_after == timedelta(seconds=7)
            sent = [r.target for r in on.stand_in.requests]
            assert len(sent) == len(set(sent)), "asked again although it was answered 429"

    @pytest.mark.parametrize("trouble", ["503", "429", "unauthorised", "forbidden"])
    def test_trouble_between_pages_is_no_end(self, on: SourceStage, trouble: str) -> None:
        """Who takes it for the last page leaves a cursor that skips all the others."""
        on.put(self.many)
        pages = iter(on.source.poll("customer", None, {}))
        first = next(pages)
        if len({c.key for c in first.changes if c.entity == "customer"}) == self.many:
            pytest.skip(f"one page holds {self.many}: set `many` higher, or nothing is proved")
        faults = {"503": Fault.status(503), "429": SLOW_DOWN}
        fault = faults.get(trouble) or getattr(self, trouble)()
        on.stand_in.fail_always(fault)
        with pytest.raises(SynccoreError):
            list(pages)
        on.stand_in.clear_faults()
        if first.cursor is None or len(on.pages(first.cursor)) < 2:
            return
        later = iter(on.source.poll("customer", first.cursor, {}))  # in a listing that goes on it is no end either
        next(later)
        on.stand_in.fail_always(fault)
        with pytest.raises(SynccoreError):
            list(later)

    @pytest.mark.parametrize("refusal", ["unauthorised", "forbidden"])
    def test_refused_keys_are_an_auth_error(self, on: SourceStage, refusal: str) -> None:
        """`needs_auth`, not an endless retry; and no word that somebody is gone."""
        on.put(1)
        (key,) = on.customers()
        on.stand_in.fail_always(getattr(self, refusal)())
        with pytest.raises(AuthError):
            on.customers()
        with pytest.raises(AuthError):
            on.source.fetch("customer", key)

    def test_keys_and_cursors_hold_no_personal_data(self, on: SourceStage) -> None:
        """They are shown in logs, which hold none either; nor does what the source keeps: `forget` looks not there."""
        on.put(5)
        with heard() as said:
            words = [c.key for c in on.customers().values()] + [p.cursor or "" for p in on.pages()]
            with suppress(pytest.skip.Exception):
                on.source.receive(on.contract.webhook(on.stand_in, 1))
            on.source.fetch("customer", words[0])
            on.source.write_back(on.links("r"))
        assert not [w for w in words if "@" in w or "person" in w]
        assert "@shop.test" not in f"{said()}{on.context.log.events}", "an address is logged"
        assert "@shop.test" not in str(on.context.kept()), "an address is kept in context.state() or the vault"


def _when(change: Change) -> tuple[Any, ...]:
    return change.version, change.at, getattr(change.data, "updated_at", None)


def _version(on: SourceStage) -> int | None:
    email = "person1@shop.test"
    return next(c.version for c in on.customers().values() if getattr(c.data, "email", None) == email)


def _same(told: Any, held: Any) -> bool:
    """Nothing and blanks are one; of every other value there is one form."""
    if attrs.has(type(told)) and type(told) is type(held):
        return all(_same(getattr(told, a.name), getattr(held, a.name)) for a in attrs.fields(type(told)))
    return told == held or (_is_blank(told) and _is_blank(held))


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not any(c.isprintable() and not c.isspace() for c in value))
