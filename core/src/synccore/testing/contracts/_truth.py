"""Cases about what a sink says: that it asks the target, and that what it claims is what is there."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import attrs
import pytest

from ..._app.accounts import known_account, remember_account
from ...entities import Address
from ...errors import BatchRejected, Rejected, SynccoreError
from ...types import Delivered, Failed, Identity, Link, LookupResult, Operation, Roomier, Unchanged
from ..harness import upsert
from ..server import Fault
from ._hard import HardSinkCases
from ._stage import Stage, checked_among_strangers

__all__ = ["EMPTIED", "TruthSinkCases"]

#: What a customer takes back.
EMPTIED: Mapping[str, Any] = {"phone": None, "company": None, "first_name": None, "billing": Address()}
#: How much longer than allowed a text is made.
_PAST = 7
#: A text longer than this says nothing new, and slows every run.
_LONGEST = 5000


class TruthSinkCases(HardSinkCases):
    """Part of `SinkContract`."""

    # -- cases: it asks

    def test_checking_asks_the_target(self, on: Stage) -> None:
        """A check that is green without a word from the vendor is green for ever."""
        for fault in (self.unauthorised(), self.forbidden(), Fault.status(503)):
            on.stand_in.fail_always(fault)
            with suppress(SynccoreError):
                findings = on.sink.check().findings
                assert any(f.level == "error" for f in findings), "check() is well, and the target refused or was away"

    def test_checking_says_in_words_what_it_cannot_read(self, on: Stage) -> None:
        """Behind a mistyped address answers somebody else; KeyError tells nobody what to mend."""
        checked_among_strangers(on.stand_in, on.sink.check)

    def test_reading_asks_the_target(self, on: Stage) -> None:
        """`verify` proves nothing where `read` gives back what was remembered."""
        self._needs(on, "read")
        on.emit(2)
        on.deliver()
        links = [on.link(n) for n in range(2)]
        for link, remote in zip(links, on.sink.read(links), strict=True):
            self._compare(on, link, remote)
        false = attrs.evolve(
            links[0], fields={n: "never there" for n, v in links[0].fields.items() if isinstance(v, str)}
        )
        (remote,) = on.sink.read([false])
        assert "never there" not in (remote or {}).values(), "read() gives back what it was asked with"
        on.stand_in.fail_always(Fault.status(500))
        try:
            on.sink.read(links)
        except SynccoreError:
            return
        raise AssertionError("read() gives records while the target is down: whose are they?")

    def test_reading_sees_what_others_wrote(self, on: Stage) -> None:
        """A memory of its own tells a sink nothing of what the record's owner did there."""
        self._needs(on, "read")
        on.emit()
        on.deliver()
        link = on.link(0)
        name = next((n for n, value in link.fields.items() if value == self.customer(0).last_name), None)
        if name is None or not self.rewrite(on.stand_in, link.remote_id, {name: "Rewritten"}):
            pytest.skip("nobody else writes there (else write rewrite, and map the last name)")
        (remote,) = on.sink.read([link])
        assert (remote or {}).get(name) == "Rewritten", f"read() gives {name} as it was remembered"

    def _read_back(self, on: Stage, links: Sequence[Any]) -> None:
        if not callable(getattr(on.sink, "read", None)):
            return
        stored = [on.link(int(link.key)) for link in links]
        for link, remote in zip(stored, on.sink.read(stored), strict=True):
            assert remote is not None, f"read() does not find {link.key}"
            differing = [name for name, value in link.fields.items() if remote.get(name) != value]
            assert not differing, f"read() differs from what deliver() took in {differing}"

    def _compare(self, on: Stage, link: Any, remote: Mapping[str, Any] | None) -> None:
        assert remote is not None, f"read() does not find {link.key}"
        there = self.record(on.stand_in, link.remote_id) or {}
        for name, value in link.fields.items():
            if name not in link.left_out:
                assert remote.get(name) == value, f"read() differs from what deliver() claimed in {name}"
                assert name not in there or there[name] == value, f"the target holds something else in {name}"

    # -- cases: what is claimed is there

    def test_a_field_the_shop_emptied_is_empty_there(self, on: Stage) -> None:
        """Blanks are real changes; a sink that drops them keeps a number its owner took away."""
        self._needs(on, "read")
        on.emit()
        on.deliver()
        before = on.link(0).fields
        on.emit(1, **EMPTIED)
        on.deliver()
        if not self._emptied_there(on, before):
            pytest.skip("the mapping has no field that the shop can empty")

    @pytest.mark.parametrize("place", [Address(), Address(city="Boston", country="US")], ids=["bare", "part-of-it"])
    def test_what_an_unheard_update_wrote_where_nothing_was_is_emptied_with_it(self, on: Stage, place: Address) -> None:
        """The same of what was blank before, also of a part of an address: what nobody heard of is not the owner's."""
        self._needs(on, "read")
        bare = {**EMPTIED, "billing": place}
        on.emit(**bare)
        on.emit(first=1)
        on.deliver()
        before, full = on.link(0), on.link(1)
        (held,) = on.sink.read([attrs.evolve(before, fields=full.fields)])
        blank = [name for name, value in full.fields.items() if value and (held or {}).get(name) != value]
        if not any(value and not before.fields.get(name) for name, value in full.fields.items()):
            pytest.skip("the mapping has no field that the shop can empty")
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_status(502)))
        on.emit()
        on.app.drain()
        on.emit(**bare)
        on.deliver()
        # With the names of one that has it all: some read no more than what a link says.
        (there,) = on.sink.read([attrs.evolve(on.link(0), fields=full.fields)])
        left = [name for name in blank if (there or {}).get(name) != (held or {}).get(name)]
        assert not left, f"written without an answer, emptied in the shop, and still there: {', '.join(left)}"

    @pytest.mark.parametrize("place", [Address(), Address(city="Boston", country="US")], ids=["bare", "part-of-it"])
    @pytest.mark.parametrize("again", [False, True], ids=["at-first", "by-another-try"])
    def test_what_an_unheard_create_wrote_is_emptied_with_it(self, on: Stage, place: Address, *, again: bool) -> None:
        """The same of a new record: found after a lost answer, it holds what the shop has no more."""
        self._needs(on, "read")
        bare = {**EMPTIED, "billing": place}
        on.emit(first=1)
        on.deliver()
        full = on.link(1).fields
        on.emit(first=1, **bare)
        on.deliver()
        (emptied,) = on.sink.read([attrs.evolve(on.link(1), fields=full)])
        for state in (bare, {}) if again else ({},):
            on.stand_in.clear_faults()
            on.stand_in.fail_next(self._only_writes(Fault.commit_then_status(502)))
            on.emit(**state)
            on.app.clock.advance(timedelta(hours=1))
            on.app.drain()
        on.emit(**bare)
        on.deliver()
        # With the names of one that has it all: some read no more than what a link says.
        (there,) = on.sink.read([attrs.evolve(on.link(0), fields=full)])
        left = [n for n in full if _has_more((there or {}).get(n), (emptied or {}).get(n))]
        assert not left, f"written without an answer, emptied in the shop, and still there: {', '.join(left)}"

    def _emptied_there(self, on: Stage, before: Mapping[str, Any]) -> list[str]:
        """What the shop emptied of customer 0 since those fields: it is to be empty at the target."""
        link = on.link(0)
        emptied = [n for n, v in link.mapped.items() if v is None and before.get(n) and n not in link.left_out]
        (remote,) = on.sink.read([link])
        assert remote is not None
        left = [name for name in emptied if remote.get(name)]
        assert not left, f"emptied in the shop and still there: {', '.join(left)}"
        return emptied

    def test_a_text_past_its_limit_is_not_cut_in_silence(self, on: Stage) -> None:
        """At the limit it arrives; past it, it is refused, or the sink says what is there now."""
        self._needs(on, "read")
        (operation,) = self._operations(on, 1)
        limits = {i.name: i.length for o in on.sink.describe() if o.name == self.object for i in o.fields if i.length}
        texts = [n for n, v in operation.fields.items() if isinstance(v, str) and any(map(str.isalpha, v))]
        names = [name for name in texts if limits.get(name, _LONGEST) < _LONGEST]
        if not names:
            pytest.skip(f"describe() gives no length below {_LONGEST} for any of: {', '.join(texts)}")
        for name in names:
            for size in (limits[name], limits[name] + _PAST):
                text = _of_length(str(operation.fields[name]), size)
                self._arrives_as_claimed(on, operation, name, text, whole=size <= limits[name])

    def _arrives_as_claimed(self, on: Stage, operation: Operation, name: str, text: str, *, whole: bool) -> None:
        """As a new record; as a change of the record that came of it; as a row of the past."""
        asked = attrs.evolve(operation, fields={**operation.fields, name: text})
        remote_id = self._claim_is_true(on, asked, name, text, whole=whole)
        for bulk in (False, True) if remote_id else ():
            link = attrs.evolve(self._link_of(asked, remote_id), fields=operation.fields)
            again = attrs.evolve(asked, link=link, changed=frozenset({name}), bulk=bulk)
            self._claim_is_true(on, again, name, text, whole=whole)

    def _claim_is_true(self, on: Stage, asked: Operation, name: str, text: str, *, whole: bool) -> str:
        """The id of the record it went to, where it was taken."""
        try:
            (outcome,) = on.sink.deliver([asked])
        except (Rejected, BatchRejected):
            return ""
        if not isinstance(outcome, Delivered | Unchanged) or not outcome.remote_id or name in outcome.left_out:
            return ""
        claimed = (asked.fields if outcome.fields is None else outcome.fields).get(name)
        assert not whole or claimed == text, f"{name}: cut although it is no longer than what is described"
        link = attrs.evolve(self._link_of(asked, outcome.remote_id), fields={name: claimed})
        (remote,) = on.sink.read([link])
        there = (remote or {}).get(name)
        assert there == claimed, f"{name}: {len(text)} characters were sent, and not all of what was claimed is there"
        return outcome.remote_id

    @pytest.mark.parametrize("asked", [pytest.param(False, id="new"), pytest.param(True, id="looked-up")])
    def test_two_who_share_a_telephone_stay_two(self, on: Stage, asked: bool) -> None:
        """A family has one number and one name: who is found by them may be somebody else, also where core asks."""
        for number in range(2):  # one after the other: the second finds the first one's number there
            on.emit(1, first=number, phone="+4915123456789", last_name="Person")
            if asked and number:  # whether it was carried out nobody knows: core asks `lookup`
                on.stand_in.fail_next(self._only_writes(Fault.status(503)))
            on.deliver()
            on.app.clock.advance(self.lag)
        on.emit(1, phone="+4915123456789", last_name="Married")
        on.deliver()
        assert on.held() == on.expected(2)
        assert len({on.link(n).remote_id for n in range(2)}) == 2, "two people share a record"

    @pytest.mark.parametrize("number", ["+4915123456789", "12"], ids=["somebody-elses", "no-number"])
    def test_a_telephone_that_is_left_out_leaves_no_former_one(self, on: Stage, number: str) -> None:
        """The new number cannot be sent, or is somebody else's there: the old one is not this person's any more."""
        self._needs(on, "read")
        on.emit(1, first=1, phone="+4915123456789")
        on.emit(phone="+4915123456780")
        on.deliver()
        before = on.link(0)
        names = [name for name, value in before.fields.items() if value == "+4915123456780"]
        if not names:
            pytest.skip("the mapping has no telephone number")
        on.emit(phone=number)
        on.deliver()
        (there,) = on.sink.read([before])
        left = [name for name in names if (there or {}).get(name) == "+4915123456780"]
        assert not left, f"a number that the customer has no more stays in {', '.join(left)}"

    def test_who_registers_again_before_the_deletion_was_followed_is_there_once(self, on: Stage) -> None:
        """A new account comes before the word that the old one with its address was deleted."""
        on.emit()
        on.deliver()
        email = self.customer(0).email
        del on.app.source.records["customer", "0"]
        on.emit(1, first=1, email=email)
        on.deliver()
        assert on.held() == [email], "one person, two accounts one after the other: the target holds something else"

    # -- cases: sizes and waits

    def test_a_whole_batch_is_one_that_the_target_takes(self, on: Stage) -> None:
        """`max_batch` larger than the API takes: core halves it every time, and nobody sees why it is slow. A record
        that has to wait by itself was not refused."""
        count = min(on.app.app.sinks["target"].limits.max_batch, 300)
        outcomes = on.sink.deliver(self._operations(on, count))
        failed = [o.error for o in outcomes if isinstance(o, Failed) and getattr(o.error, "scope", "") != "operation"]
        assert not failed, f"{len(failed)} of a whole batch of {count} fail: {failed[0]!r}"

    def _looked_up(self, on: Stage, operations: Sequence[Operation]) -> list[LookupResult | Failed]:
        """What `lookup` gives for them, asked in whole batches as core asks."""
        size = on.app.app.sinks["target"].limits.max_batch
        return [one for at in range(0, len(operations), size) for one in on.sink.lookup(operations[at : at + size])]

    def test_looking_up_finds_everybody(self, on: Stage) -> None:
        """Also beyond the first page of what the vendor answers (set `many` to more than a page)."""
        self._needs(on, "lookup")
        on.emit(self.many)
        on.deliver()
        on.app.clock.advance(self.lag)
        operations = self._operations(on, self.many)
        found = self._looked_up(on, operations)
        missing = [o.key for o, answer in zip(operations, found, strict=True) if answer is None]
        assert not missing, f"lookup() does not find {len(missing)} of {self.many}"
        known = len(on.stand_in.requests)
        on.stand_in.fail_always(Fault.status(503, when=lambda _: len(on.stand_in.requests) == known + 2))
        with suppress(SynccoreError):
            found = self._looked_up(on, operations)
            assert None not in found, "lookup() takes trouble after its first page for the end"

    @pytest.mark.parametrize("bulk", [pytest.param(False, id="live"), pytest.param(True, id="in-bulk")])
    def test_a_rate_limit_that_lasts_is_not_asked_again_within_the_call(self, on: Stage, bulk: bool) -> None:
        """Core waits, for all that goes to this account; a client that tries again by itself makes it worse."""
        on.emit()
        on.deliver()
        on.stand_in.fail_always(self.rate_limited())
        count = max(self.jobs_from, 3) if bulk else 1
        on.app.emit(*(upsert(self.customer(n, last_name="Again")) for n in range(count)), bulk=bulk)
        seen = len(on.stand_in.requests)
        on.app.drain()
        sent = len(on.stand_in.requests) - seen
        assert sent <= 1, f"{sent} requests although the first was answered 429"

    # -- cases: whose it is

    @pytest.mark.parametrize("restarted", [pytest.param(True, id="restarted"), pytest.param(False, id="running")])
    def test_another_account_is_written_nothing(self, on: Stage, restarted: bool) -> None:
        """The credentials lead elsewhere than yesterday: the links are not that account's. A running process sees it
        too: core asks now and then, and an answer that was kept is none.
        """
        on.emit()
        on.deliver()
        store = on.app.app.store
        if known_account(store, "target") is None:  # a sink without `account` is known once it was connected
            account = on.sink.check().account
            assert account is not None
            remember_account(store, "target", account)
        if not self.exchange_account(on.stand_in):
            pytest.skip("the stand-in has one account only (else write exchange_account)")
        writes = self._writes(on)
        if restarted:
            on.app.crash()
        # Nobody exchanges an account within the second: some vendors' own quota for that question is as short.
        on.app.clock.advance(timedelta(hours=1))
        on.emit(2, last_name="Moved")
        on.app.drain()
        assert self._writes(on) == writes, "something was written to another account"
        assert on.app.app.store.lane("target").state in ("error", "needs_auth")

    def test_what_the_target_takes_now_is_said(self, on: Stage) -> None:
        """A field that was left out for want of room is there by now: whoever reads is told (`Roomier`), and what is
        sent again holds it. Else a field that is made later stays empty on all records that do not change."""
        self._needs(on, "read")
        on.emit()
        on.deliver()
        (before,), link = on.sink.read([on.link(0)]), on.link(0)
        assert not isinstance(before, Roomier), "said to take more, before it does"
        if not self.enlarge(on.stand_in):
            pytest.skip("all targets of this kind take the same fields (else write enlarge)")
        on.app.clock.advance(timedelta(hours=2))  # descriptions are kept for a while
        (now,) = on.sink.read([link])
        assert isinstance(now, Roomier), "read() does not say that the target takes now what it did not"
        assert now.lacking, "read() does not name what the record lacks"
        assert now.lacking <= link.left_out.keys(), "lacking: what no delivery left out"
        (operation,) = self._operations(on, 1)
        again = attrs.evolve(operation, link=link, changed=now.lacking)
        (outcome,) = on.sink.deliver([again])
        assert isinstance(outcome, Delivered), f"sent again: {type(outcome).__name__}"
        left = now.lacking & outcome.left_out.keys()
        assert not left, f"sent again, and still left out: {', '.join(sorted(left))}"

    @pytest.mark.parametrize(
        "whose", [pytest.param({"adopted": True}, id="adopted"), pytest.param({"shared": 2}, id="shared")]
    )
    def test_what_is_not_ours_alone_is_not_erased(self, on: Stage, whose: Mapping[str, Any]) -> None:
        """Others use it, or made it: it is let go of."""
        link = self._not_ours(on, **whose)
        on.sink.erase(link)
        assert on.sink.read([link]) != [None], "a record that is not ours alone is gone"
        if "delete" in self._ways_to_leave(on):
            operation = attrs.evolve(self._operations(on, 1)[0], op="leave", fields={}, changed=frozenset(), link=link)
            on.sink.deliver([attrs.evolve(operation, on_leave="delete")])
            assert on.sink.read([link]) != [None], (
                "a record that is not ours alone is deleted when a route lets go of it"
            )

    @pytest.mark.parametrize("way", ["erase", "clear"])
    def test_what_others_of_a_shared_record_want_there_stays(self, on: Stage, way: str) -> None:
        """Two people are one record there: who is let go of takes nothing along that is the other's too."""
        self._needs(on, "read")
        if not on.app.app.sinks["target"].spares or (way == "clear" and way not in self._ways_to_leave(on)):
            pytest.skip(f"core never asks this sink to {way} such a record")
        on.emit()
        on.deliver()
        (before,) = on.sink.read([link := on.link(0)])
        # But for what says which of our records it is.
        theirs = {n: v for n, v in link.fields.items() if v not in ("shop:customer:0", "0")}
        link = attrs.evolve(link, shared=2, others=[theirs])
        if way == "erase":
            if on.sink.erase(link).outcome == "deleted":
                pytest.skip("there a record is one person by its address: both are erased")
        else:
            operation = attrs.evolve(self._operations(on, 1)[0], op="leave", fields={}, changed=frozenset(), link=link)
            on.sink.deliver([attrs.evolve(operation, on_leave="clear")])
        (after,) = on.sink.read([link])
        lost = [n for n in theirs if before.get(n) not in (None, "") and after.get(n) != before[n]]
        assert not lost, f"taken away, and the other's as well: {', '.join(lost)}"

    def test_who_is_forgotten_leaves_no_address_that_their_link_does_not_know(self, on: Stage) -> None:
        """A backup was restored: the link is older than what was sent last. What stays of a record that others use has
        none of `link.addresses`."""
        link, address = self._not_ours(on, shared=2), self.customer(0).email or ""
        older = {n: "before@shop.test" if v == address else v for n, v in link.fields.items()}
        if on.sink.erase(attrs.evolve(link, fields=older, asked=None, addresses=(address,))).outcome == "deleted":
            pytest.skip("there a record is one person by its address: it is gone")
        (remote,) = on.sink.read([link])
        left = [n for n, value in (remote or {}).items() if value == address]
        assert not left, f"forgotten, and still there: {', '.join(left)}"

    def test_a_person_is_found_by_who_they_are(self, on: Stage) -> None:
        """`forget` asks for records that no link leads to, and must not be given anybody else's."""
        self._found_by(on, Identity(emails=(self.customer(0).email or "",), uids=("shop:customer:0",)))

    def test_a_person_is_found_by_an_address_alone(self, on: Stage) -> None:
        """Their account is gone, or another one had made the record: the address is all that is left."""
        self._found_by(on, Identity(emails=(self.customer(0).email or "",)))

    def test_a_person_is_found_by_our_own_id_alone(self, on: Stage) -> None:
        """They moved since: at the target stands an address that the shop knows no more."""
        self._found_by(on, Identity(uids=("shop:customer:0",)))

    def _found_by(self, on: Stage, identity: Identity) -> None:
        self._needs(on, "find")
        on.emit(2)
        on.deliver()
        on.app.clock.advance(self.lag)
        found = {link.remote_id for link in on.sink.find(identity)}
        assert on.link(0).remote_id in found, "find() does not find the person"
        assert on.link(1).remote_id not in found, "find() gives somebody else's record"

    # -- inside

    def _ways_to_leave(self, on: Stage) -> set[str]:
        unit = on.app.app.sinks["target"]
        return {*unit.leaves, *(way for o in unit.objects if o.name == self.object for way in o.leaves)}

    def _not_ours(self, on: Stage, **whose: Any) -> Link:
        """The link of a delivered record that is not ours alone, as `erase` is given it."""
        self._needs(on, "read")
        if not on.app.app.sinks["target"].spares:
            pytest.skip("core never asks this sink to erase such a record (it has no leaves but keep)")
        on.emit()
        on.deliver()
        return attrs.evolve(on.link(0), **whose)

    def _needs(self, on: Stage, ability: str) -> None:
        if not callable(getattr(on.sink, ability, None)):
            pytest.skip(f"this sink has no {ability}")


def _of_length(value: str, size: int) -> str:
    """A text of that length, of the kind that `value` is: an address stays one."""
    text = "ab" * (size // 2) + "c" * (size % 2)
    domain = value[value.index("@") :] if "@" in value else ""
    return text[: size - len(domain)] + domain


def _has_more(there: Any, emptied: Any) -> bool:
    """Whether something, or a part of it, stands there that is blank in a record that was emptied."""
    if isinstance(there, Mapping):
        return any(_has_more(v, emptied.get(n) if isinstance(emptied, Mapping) else None) for n, v in there.items())
    return bool(there) and not emptied
