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

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve

from ...config import SourceSettings
from ...errors import AuthError, ConfigError, RateLimited, SignatureError, Transient
from ...hookspecs import SourceType
from ...types import Change, Page, Unreadable, WebhookRequest, WriteBack
from ..clock import FakeClock
from ..context import FakeContext
from ..server import Fault, LoopbackServer

__all__ = ["SourceContract", "SourceStage"]

#: What a vendor signed and nobody can read: empty, cut, another shape, deep, endless numbers, not UTF-8.
NO_RECORDS = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{}",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"id": NaN}',
    b'{"id": ' + b"9" * 5_000 + b"}",
)


class SourceStage:
    """One case's world: the open source and the stand-in it talks to."""

    def __init__(self, source: Any, stand_in: LoopbackServer, contract: "SourceContract", context: FakeContext) -> None:
        self.source = source
        self.stand_in = stand_in
        self.contract = contract
        self.context = context

    def put(self, count: int) -> None:
        """The shop has customers 0 to `count - 1`."""
        for number in range(count):
            self.contract.put(self.stand_in, number)

    def pages(self, cursor: str | None = None) -> list[Page]:
        """A whole listing."""
        return list(self.source.poll("customer", cursor, {}))

    def customers(self, cursor: str | None = None) -> dict[str, Change]:
        """Key -> change, of a whole listing; the last one of a key counts."""
        found: dict[str, Change] = {}
        for page in self.pages(cursor):
            for change in page.changes:
                if change.entity == "customer":
                    found[change.key] = change
        return found


class SourceContract:
    """Subclass it; set `source_type`, write `start`, `config` and `put`, and what else your source can do.

    Attributes:
        many: how many customers make three pages of a listing or more.
        exempt: case -> why it cannot hold for this source; the case is skipped with that reason.
    """

    source_type: ClassVar[SourceType]
    many: ClassVar[int] = 25
    exempt: ClassVar[Mapping[str, str]] = {}

    # -- what a subclass gives

    def start(self, clock: FakeClock) -> LoopbackServer:
        """Start the vendor's stand-in, empty of customers."""
        raise NotImplementedError("write start(): it starts your stand-in")

    def config(self, stand_in: Any) -> Any:
        """The open configuration object (an instance of `source_type.config`) that reaches it."""
        raise NotImplementedError("write config(): the configuration that reaches your stand-in")

    def put(self, stand_in: Any, number: int) -> None:
        """Make a customer with the address person{number}@shop.test exist."""
        raise NotImplementedError("write put(): make a customer exist in your stand-in")

    def edit(self, stand_in: Any, number: int) -> None:
        """Change that customer's name."""
        pytest.skip("edit() is not written")

    def remove(self, stand_in: Any, number: int) -> None:
        """Delete that customer."""
        pytest.skip("remove() is not written")

    def webhook(self, stand_in: Any, number: int) -> WebhookRequest:
        """The request the vendor sends for that customer."""
        pytest.skip("webhook() is not written")

    def cap(self, stand_in: Any, rows: int) -> None:
        """Let the stand-in give at most so many rows a page, whatever is asked for (hosts and caches do)."""
        pytest.skip("cap() is not written")

    def tie(self, stand_in: Any, numbers: Sequence[int]) -> None:
        """Give these customers the first one's time of change, as an import does."""
        pytest.skip("tie() is not written")

    def bare(self, stand_in: Any, number: int) -> None:
        """Make a customer of which the vendor holds nothing but the key."""
        pytest.skip("bare() is not written")

    def signed(self, stand_in: Any, body: bytes) -> WebhookRequest:
        """A webhook with this body, whatever it is, signed as the vendor does."""
        pytest.skip("signed() is not written")

    def unauthorised(self) -> Fault:
        """How the vendor answers to keys it does not accept."""
        return Fault.status(401, {"error": "unauthorized"})

    # -- the stage

    @pytest.fixture
    def on(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SourceStage]:
        """The stage of one case; skipped where the subclass exempts it."""
        case = request.node.originalname.removeprefix("test_")
        if reason := self.exempt.get(case):
            pytest.skip(reason)
        clock = FakeClock()
        with self.start(clock) as stand_in:
            context = FakeContext("shop", self.source_type.name, clock=clock)
            source = self.source_type.open(self.config(stand_in), context)
            yield SourceStage(source, stand_in, self, context)
            source.close()

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

    def test_closing_twice_is_fine(self, on: SourceStage) -> None:
        """The daemon may close what a command already closed."""
        on.source.close()
        on.source.close()

    # -- cases: listings

    def test_an_empty_shop_lists_nothing(self, on: SourceStage) -> None:
        """And does not fail."""
        assert on.customers() == {}

    def test_a_listing_gives_every_customer(self, on: SourceStage) -> None:
        """`many` of them, each with its address."""
        on.put(self.many)
        emails = sorted(getattr(c.data, "email", "") or "" for c in on.customers().values())
        assert emails == sorted(f"person{n}@shop.test" for n in range(self.many))

    def test_a_listing_comes_in_pages(self, on: SourceStage) -> None:
        """Core commits page by page; a shop of a million customers in one page is a shop in memory."""
        on.put(self.many)
        sizes = [len(page.changes) for page in on.pages()]
        assert len(sizes) > 2, f"{self.many} customers came in {len(sizes)} pages: page, or set `many` higher"
        assert max(sizes) < self.many

    def test_pages_smaller_than_asked_lose_nobody(self, on: SourceStage) -> None:
        """A host may cap pages: go on by the rows that came, until none come."""
        on.put(20)
        on.contract.cap(on.stand_in, 7)
        assert len(on.customers()) == 20

    def test_equal_times_across_a_page_lose_nobody(self, on: SourceStage) -> None:
        """An import gives thousands of records one time; a cursor of "later than the last" skips the rest of them."""
        on.put(self.many)
        on.contract.tie(on.stand_in, range(self.many))
        assert len(on.customers()) == self.many
        on.contract.cap(on.stand_in, 7)
        assert len(on.customers()) == self.many

    def test_a_record_of_the_last_ones_time_is_seen_later(self, on: SourceStage) -> None:
        """Two changes in one second, one before and one after a poll: the next poll overlaps."""
        on.put(3)
        pages = on.pages()
        on.contract.put(on.stand_in, 3)
        on.contract.tie(on.stand_in, (2, 3))
        emails = {getattr(c.data, "email", None) for c in on.customers(pages[-1].cursor).values()}
        assert "person3@shop.test" in emails

    def test_listing_twice_gives_equal_records(self, on: SourceStage) -> None:
        """Equal fingerprints, versions and times, however late it is: or every poll would dirty everything."""
        on.put(5)
        first = on.customers()
        on.context.clock.sleep(timedelta(hours=1))
        second = on.customers()
        assert {k: _print(c) for k, c in first.items()} == {k: _print(c) for k, c in second.items()}
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
        on.contract.bare(on.stand_in, 2)
        assert len(on.customers()) == 3

    def test_an_unknown_filter_is_refused(self, on: SourceStage) -> None:
        """`backfill --filter plan=9` that is ignored sends everybody."""
        on.put(1)
        with pytest.raises(ConfigError):
            list(on.source.poll("customer", None, {"no_such_filter": "1"}))

    def test_a_listing_killed_at_any_page_goes_on_without_loss(self, on: SourceStage) -> None:
        """Core commits each page with its cursor; a new process goes on from there."""
        on.put(self.many)
        seen: set[str] = set()
        cursor: str | None = None
        for number in range(2 * self.many):
            page = next(iter(on.source.poll("customer", cursor, {})), None)
            if page is None:
                break
            seen |= {c.key for c in page.changes if c.entity == "customer"}
            if number == 0 and len(seen) == self.many:
                pytest.skip(f"one page holds {self.many}: set `many` higher, or nothing is proved")
            cursor = page.cursor
            if cursor is None or len(seen) >= self.many:
                break
        assert len(seen) == self.many, "resuming from a page's cursor loses records"

    def test_a_later_poll_sees_what_changed(self, on: SourceStage) -> None:
        """From the cursor of the last page."""
        on.put(3)
        pages = on.pages()
        before = {c.key: _print(c) for p in pages for c in p.changes if c.entity == "customer"}
        on.contract.edit(on.stand_in, 1)
        after = {k: _print(c) for k, c in on.customers(pages[-1].cursor if pages else None).items()}
        changed = [k for k, fingerprint in after.items() if before.get(k) != fingerprint]
        assert len(changed) == 1, f"{len(changed)} records look changed after one edit"

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(Fault.status(503), id="503"),
            pytest.param(Fault.html(502), id="html-502"),
            pytest.param(Fault.html(404), id="html-404"),
            pytest.param(Fault.html(200), id="html-200"),
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
        on.stand_in.fail_always(Fault.status(429, {"error": "slow down"}, headers={"Retry-After": "7"}))
        with pytest.raises(RateLimited) as limited:
            on.customers()
        assert limited.value.retry_after == timedelta(seconds=7)

    def test_refused_keys_are_an_auth_error(self, on: SourceStage) -> None:
        """`needs_auth`, not an endless retry."""
        on.put(1)
        on.stand_in.fail_always(self.unauthorised())
        with pytest.raises(AuthError):
            on.customers()

    def test_keys_and_cursors_hold_no_personal_data(self, on: SourceStage) -> None:
        """They are shown in logs."""
        on.put(5)
        words = [c.key for c in on.customers().values()] + [p.cursor or "" for p in on.pages()]
        assert not [w for w in words if "@" in w or "person" in w]

    # -- cases: one record

    def test_fetching_gives_the_record_as_the_listing_does(self, on: SourceStage) -> None:
        """Confirming a deletion rests on it."""
        on.put(3)
        listed = on.customers()
        for key, change in listed.items():
            assert _print(_own(on.source.fetch("customer", key), key)) == _print(change)

    def test_fetching_what_is_gone_gives_none(self, on: SourceStage) -> None:
        """Only a clear answer counts as gone."""
        on.put(3)
        before = set(on.customers())
        on.contract.remove(on.stand_in, 1)
        (gone,) = before - set(on.customers())
        assert on.source.fetch("customer", gone) is None

    @pytest.mark.parametrize(
        "fault", [pytest.param(Fault.status(503), id="503"), pytest.param(Fault.html(404), id="html-404")]
    )
    def test_an_outage_does_not_look_like_a_deletion(self, on: SourceStage, fault: Fault) -> None:
        """`None` from fetch deletes at every target; a proxy's 404 is a page and no word of the shop."""
        on.put(1)
        (key,) = on.customers()
        on.stand_in.fail_always(fault)
        with pytest.raises((Transient, RateLimited)):
            on.source.fetch("customer", key)

    # -- cases: webhooks

    def test_a_webhook_says_what_the_listing_says(self, on: SourceStage) -> None:
        """Equal fingerprints, or webhook and poll would fight."""
        on.put(2)
        request = on.contract.webhook(on.stand_in, 1)
        calls = on.context.calls
        told = [c for c in on.source.receive(request) if isinstance(c, Change) and c.entity == "customer"]
        assert on.context.calls == calls, "receive() used the network"
        assert told, "the webhook gave no customer"
        # A hint brings no data: core fetches the record, and that is what has to be the same.
        changes = [_own(on.source.fetch(c.entity, c.key), c.key) if c.op == "touch" else c for c in told]
        listed = on.customers()
        assert [_print(c) for c in changes] == [_print(listed[c.key]) for c in changes]
        assert [c.version for c in changes] == [listed[c.key].version for c in changes]

    def test_a_webhook_without_signature_is_refused(self, on: SourceStage) -> None:
        """Whoever finds the address can leave the header out."""
        on.put(2)
        request = on.contract.webhook(on.stand_in, 1)
        if not request.headers:
            pytest.skip("the vendor signs in the body or the address")
        with pytest.raises(SignatureError):
            on.source.receive(evolve(request, headers={}))

    def test_a_tampered_webhook_is_refused(self, on: SourceStage) -> None:
        """The signature covers the raw bytes."""
        on.put(2)
        request = on.contract.webhook(on.stand_in, 1)
        with pytest.raises(SignatureError):
            on.source.receive(evolve(request, body=request.body + b" "))
        with pytest.raises(SignatureError):
            on.source.receive(evolve(request, body=request.body.replace(b"person1@", b"person9@")))

    def test_a_signed_body_that_is_no_record_is_told(self, on: SourceStage) -> None:
        """Signed and unreadable (cut by a plugin or a proxy of the shop) is Unreadable or nothing; never raised.

        A vendor that is refused a few times switches its webhooks off.
        """
        for body in NO_RECORDS:
            for told in on.source.receive(on.contract.signed(on.stand_in, body)):
                assert isinstance(told, Unreadable), f"a change was made of {body[:20]!r}"

    # -- cases: write-back

    def test_writing_back_the_same_ids_twice_writes_once(self, on: SourceStage) -> None:
        """Each write makes the shop send a webhook."""
        on.put(2)
        links = [
            WriteBack(entity="customer", key=key, links={"crm": f"r{key}"}, at=on.context.clock.now())
            for key in on.customers()
        ]
        on.source.write_back(links)
        before = self._writes(on)
        on.source.write_back(links)
        assert self._writes(on) == before

    def _writes(self, on: SourceStage) -> int:
        return sum(1 for r in on.stand_in.requests if r.method not in ("GET", "HEAD"))


def _when(change: Change) -> tuple[Any, ...]:
    return change.version, change.at, getattr(change.data, "updated_at", None)


def _version(on: SourceStage) -> int | None:
    email = "person1@shop.test"
    return next(c.version for c in on.customers().values() if getattr(c.data, "email", None) == email)


def _own(found: Change | Sequence[Change] | None, key: str) -> Change:
    """The record itself among what `fetch` told."""
    told = [found] if isinstance(found, Change) else found or []
    return next(c for c in told if c.key == key and c.op == "upsert")


def _print(change: Change) -> str:
    from ...store.codec import fingerprint

    return fingerprint(change.data) if change.data is not None else ""
