"""What every sink must withstand: one class of cases, named after the hazards they stage.

    class TestMyCrm(SinkContract):
        sink_type = SINK
        object = "person"

        def start(self, clock):
            return FakeMyCrm()

        def config(self, stand_in):
            return {"api_url": stand_in.url, "token": "t"}

        def held(self, stand_in):
            return [p["email"] for p in stand_in.people.values()]

Every case runs the whole engine around the sink: temporary database, fake clock, real HTTP to the stand-in.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ...entities import Customer
from ...types import Change, Link
from ..clock import FakeClock
from ..harness import Harness, upsert
from ..server import Fault, Request
from ..strategies import HOSTILE_TEXTS
from ._heard import heard
from ._jobs import JobSinkCases
from ._stage import PowerCutError, Stage

__all__ = ["SinkContract", "Stage"]


class SinkContract(JobSinkCases):
    """Subclass it; set `sink_type` and `object`, write `start`, `config` and `held`; `SinkStand` says what else."""

    # -- cases: the contract's form

    def test_opening_talks_to_nobody(self, tmp_path: Path) -> None:
        """`open` is for reading the configuration; `check` is for the network."""
        clock = FakeClock()
        with self.start(clock) as stand_in:
            types = {"target": (self.sink_type, dict(self.config(stand_in)))}
            before = len(stand_in.requests)
            with Harness(tmp_path, self.routes(), sink_types=types, clock=clock, installed=True) as app:
                assert app.app.sinks["target"].error is None
                assert len(stand_in.requests) == before, "open() sent a request"

    def test_check_names_the_account(self, on: Stage) -> None:
        """An operator must see whom they are connected to."""
        account = on.sink.check().account
        assert account is not None, "check() names no account"
        assert account.id
        assert account.label

    def test_describe_lists_the_object(self, on: Stage) -> None:
        """`synccore check` compares mappings with it."""
        found = {o.name: {f.name for f in o.fields} for o in on.sink.describe()}
        assert self.object in found, f"describe() lists {sorted(found)}"
        assert found[self.object], "describe() lists no fields"

    def test_an_empty_call_is_fine(self, on: Stage) -> None:
        """Nothing asked, nothing answered."""
        assert list(on.sink.deliver([])) == []

    def test_what_people_are_shown_asks_nobody(self, on: Stage) -> None:
        """A page shows addresses at the vendor's, quotas and advice while the vendor is away."""
        on.emit()
        on.deliver()
        before = len(on.stand_in.requests)
        page = on.sink.page_of(on.link(0)) if hasattr(on.sink, "page_of") else None
        assert page is None or page.startswith(("https://", "http://")), f"page_of() gives {page!r}"
        assert page is None or on.link(0).remote_id.rpartition("/")[2] in page, "page_of() leads to another record"
        for quota in on.sink.budgets() if hasattr(on.sink, "budgets") else ():
            assert quota.label, "a quota without a name"
            assert quota.used > 0, f"{quota.label}: records were delivered, and nothing was used"
            assert quota.limit is None or quota.used <= quota.limit, f"{quota.label}: {quota.used} of {quota.limit}"
        assert len(on.stand_in.requests) == before, "what is shown to people sent a request"
        for words, sentence in self.sink_type.advice:
            assert words.strip(), "advice without words would fit everything"
            assert "{" not in sentence.replace("{route}", ""), f"advice knows {{route}} alone: {sentence}"

    def test_closing_twice_is_fine(self, on: Stage) -> None:
        """The daemon may close what a command already closed."""
        on.sink.close()
        on.sink.close()

    # -- cases: no doubles, nothing lost

    def test_a_record_arrives_once(self, on: Stage) -> None:
        """The simplest thing, and its link."""
        on.emit()
        on.deliver()
        assert on.held() == on.expected(1)
        assert on.link(0).remote_id

    def test_the_same_state_again_writes_nothing(self, on: Stage) -> None:
        """A second backfill costs no write."""
        on.emit(3)
        on.deliver()
        before = self._writes(on)
        on.app.emit(*(upsert(self.customer(n)) for n in range(3)), bulk=True)
        on.deliver()
        assert self._writes(on) == before, "equal state was written again"

    def test_a_change_updates_the_same_record(self, on: Stage) -> None:
        """One person, one record, however often they change."""
        on.emit(2)
        on.deliver()
        before = on.link(0)
        on.emit(1, last_name="Married")
        on.deliver()
        after = on.link(0)
        assert on.held() == on.expected(2)
        assert after.remote_id == before.remote_id
        assert after.fields != before.fields, "the change was not delivered"
        if callable(getattr(on.sink, "read", None)):
            on.app.emit(upsert(self._changed(0)))
            on.deliver()
            self._compare(on, on.link(0), on.sink.read([on.link(0)])[0])

    def test_a_changed_address_follows_the_record(self, on: Stage) -> None:
        """An e-mail address is data, not identity."""
        on.emit()
        on.deliver()
        on.emit(1, email="moved@shop.test")
        on.deliver()
        assert on.held() == ["moved@shop.test"]

    def test_outcomes_keep_the_order_of_operations(self, on: Stage) -> None:
        """More than a batch at once; every key is linked to its own record."""
        count = min(on.app.app.sinks["target"].limits.max_batch, 300) + 3
        on.emit(count)
        on.deliver()
        assert on.held() == on.expected(count)
        links = [on.link(n) for n in range(count)]
        assert len({link.remote_id for link in links}) == count, "two keys share a record"
        if hasattr(on.sink, "read"):
            for number, remote in enumerate(self._read(on, links)):
                email = self.customer(number).email
                named = [name for name, value in links[number].mapped.items() if value == email]
                assert remote is not None, f"read() does not find {number} of {count}"
                assert all(remote.get(name) == email for name in named), f"{number} is linked to somebody else"
            on.emit(3, first=1, last_name="Read back")
            on.app.emit(Change(entity="customer", key="0", op="delete"))
            on.emit(2, first=count)
            on.deliver()  # what is new, changed and deleted, in one call
            self._read_back(on, links[1:4] + [on.link(count + n) for n in range(2)])

    def _read(self, on: Stage, links: Sequence[Any]) -> list[Any]:
        """In whole batches, as core asks."""
        size = on.app.app.sinks["target"].limits.max_batch
        return [one for at in range(0, len(links), size) for one in on.sink.read(links[at : at + size])]

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(Fault.commit_then_drop(), id="commit-then-drop"),
            pytest.param(Fault.commit_then_status(503), id="commit-then-503"),
            pytest.param(Fault.truncated(), id="truncated"),
            pytest.param(Fault.shortened(), id="short-of-one"),
        ],
    )
    def test_a_lost_answer_makes_no_second_record(self, on: Stage, fault: Fault) -> None:
        """The request was carried out, and nobody told us, or not of all: who is not named is not done."""
        on.emit(3)
        on.stand_in.fail_next(self._only_writes(fault))
        on.deliver()
        assert on.held() == on.expected(3)
        assert on.app.states() == {"done": 3}
        self._all_are_their_own(on, range(3))
        if callable(getattr(on.sink, "read", None)):
            assert None not in on.sink.read([on.link(n) for n in range(3)]), "linked to a record that is not there"

    def test_a_crash_after_the_call_makes_no_second_record(self, on: Stage) -> None:
        """Killed between the vendor's answer and our commit."""

        def cut(*_: Any, **__: Any) -> Any:
            raise PowerCutError

        on.emit(3)
        store: Any = on.app.app.store
        store.settle, store.release = cut, lambda *_, **__: 0
        with pytest.raises(PowerCutError):
            on.app.drain()
        del store.settle, store.release
        on.app.crash()
        on.deliver()
        assert on.held() == on.expected(3)

    def test_a_restored_backup_makes_no_second_record(self, on: Stage) -> None:
        """The copy that `synccore db restore` puts in place knows nothing of whom it made since."""
        on.emit()
        on.deliver()
        on.emit(1, first=1)
        backup = on.app.backup()  # person 1 is owed in it
        on.emit(1, last_name="Between")
        on.emit(3, first=1)
        on.deliver()
        on.app.restore(backup)
        on.emit(1)  # as the comparison brings them up: this one is again as it was in the copy
        on.deliver()
        self._is_as_mapped(on, on.link(0))
        on.emit(4, last_name="Since")
        on.deliver()
        assert on.held() == on.expected(4)
        assert {d.state for d in on.app.deliveries()} <= {"done", "skipped"}, on.errors()
        assert len({on.link(n).remote_id for n in range(4)}) == 4, "two keys share a record"
        self._follows_since(on, 4)

    def _follows_since(self, on: Stage, count: int) -> None:
        """What carries our mark, and was written between the backup and its restore, is as the shop is now."""
        operations = self._operations(on, count)
        answers = on.sink.lookup(operations) if callable(getattr(on.sink, "lookup", None)) else ()
        for link in [on.link(n) for n, a in enumerate(answers) if isinstance(a, Link) and a.marked]:
            self._is_as_mapped(on, link)

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(Fault.status(500), id="500"),
            pytest.param(Fault.status(503, headers={"Retry-After": "5"}), id="503"),
            pytest.param(Fault.html(502), id="html-502"),
            pytest.param(Fault.html(404), id="html-404"),
            pytest.param(Fault.html(200), id="html-200"),
            pytest.param(Fault.reset(), id="reset"),
            # What stands in between speaks JSON too, and slows down whom the vendor would not.
            pytest.param(Fault.status(429, {"error": "too many"}, {"Retry-After": "60"}), id="429"),
            pytest.param(Fault.status(421, {"message": "misdirected"}), id="421"),
            pytest.param(Fault.status(200, {"status": "ok"}), id="json-200"),
        ],
    )
    def test_an_outage_parks_nothing_and_uses_no_attempt(self, on: Stage, fault: Fault) -> None:
        """An hour of it, then the target is back."""
        on.emit(1)
        on.deliver()  # it is known whose account it is: the outage meets the delivery itself
        on.emit(3, first=1)
        on.stand_in.fail_always(fault)
        for _ in range(12):
            on.app.advance(timedelta(minutes=5))
        owed = [d for d in on.app.deliveries() if d.key != "0"]
        assert {d.state for d in owed} == {"ready"}, on.errors()
        assert {d.attempts for d in owed} == {0}, "an outage was counted against the records"
        on.stand_in.clear_faults()
        on.deliver()
        assert on.held() == on.expected(4)

    @pytest.mark.parametrize("known", [pytest.param(False, id="new"), pytest.param(True, id="known")])
    def test_one_refused_record_leaves_its_mates_alone(self, on: Stage, known: bool) -> None:
        """199 of 200 arrive, or change; one is parked with the vendor's words."""
        refused = self.customer(1).email or ""
        if known:
            on.emit(5)
            on.deliver()
        if not self.refuse(on.stand_in, refused):
            pytest.skip("this target refuses no single record")
        on.emit(5, last_name="Again")
        on.deliver()
        assert on.held() == [e for e in on.expected(5) if known or e != refused]
        for number in (0, 2, 3, 4):
            assert "Again" in str(on.link(number).fields), "a mate of a refused record was not delivered"
        parked = on.app.deliveries(state="parked")
        if known and not parked:  # the target takes a change that does not touch what it refuses
            self._read_back(on, [on.link(1)])
            return
        assert [(d.key, d.error_kind) for d in parked] == [("1", "rejected")]
        assert parked[0].error, "parked without the vendor's words"

    # -- cases: being told off

    @pytest.mark.parametrize("refusal", ["unauthorised", "forbidden"])
    def test_lost_credentials_pause_the_lane(self, on: Stage, refusal: str) -> None:
        """needs_auth (for a permission that is missing, error is as good), nothing lost, no attempt used."""
        on.emit(1)
        on.deliver()  # it is known whose account it is: the refusal meets the delivery itself
        on.emit(3)
        on.stand_in.fail_always(getattr(self, refusal)())
        on.app.drain()
        states = {"needs_auth"} if refusal == "unauthorised" else {"needs_auth", "error"}
        assert on.app.app.store.lane("target").state in states, on.errors()
        owed = [d for d in on.app.deliveries() if d.key != "0"]
        assert {(d.state, d.attempts) for d in owed} == {("ready", 0)}, on.errors()

    def test_a_rate_limit_is_respected(self, on: Stage) -> None:
        """No request before the vendor's time is over, and no attempt used."""
        on.emit(2)
        on.stand_in.fail_next(self.rate_limited())
        on.app.drain()
        seen = len(on.stand_in.requests)
        on.app.advance(timedelta(seconds=60))
        assert len(on.stand_in.requests) == seen, "asked again before Retry-After was over"
        on.deliver()
        assert on.held() == on.expected(2)
        assert {d.attempts for d in on.app.deliveries()} == {0}

    def test_a_rate_limit_outlives_a_restart(self, on: Stage) -> None:
        """Whoever starts the daemon again has not bought a new quota."""
        on.emit(1)
        on.deliver()
        on.emit(2, first=1)
        on.stand_in.fail_next(self._only_writes(self.rate_limited()))
        on.app.drain()
        refused = next(r for r in reversed(on.stand_in.requests) if self.is_write(r))
        asked = self._asked(on, refused)
        on.app.crash()
        on.emit(3, first=1)
        on.app.advance(timedelta(seconds=20))  # vendors that name no time are asked after half a minute
        assert self._asked(on, refused) == asked, "asked again before Retry-After was over"
        on.deliver()
        assert on.held() == on.expected(4)

    @staticmethod
    def _asked(on: Stage, request: Request) -> int:
        return sum((r.method, r.path) == (request.method, request.path) for r in on.stand_in.requests)

    # -- cases: data

    def test_hostile_text_is_delivered_or_refused(self, on: Stage) -> None:
        """In who is new and in who changes: never a bug, never a stuck lane, never a mate that suffers."""
        count = len(HOSTILE_TEXTS)
        on.emit(count)
        on.deliver()
        for number, text in enumerate([*HOSTILE_TEXTS.values()] * 2):
            on.emit(1, first=number, first_name=text, last_name=text, company=text)
        on.emit(1, first=2 * count)
        on.deliver()
        newest = {int(d.key): (d.state, d.error_kind) for d in sorted(on.app.deliveries(), key=lambda d: d.id)}
        assert newest[2 * count] == ("done", None), on.errors()
        odd = [name for name, kind in zip([*HOSTILE_TEXTS] * 2, newest.values(), strict=False) if not _settled(kind)]
        assert not odd, f"{', '.join(odd)}: neither delivered nor refused\n{on.errors()}"
        self._read_back(on, [on.link(n) for n in range(2 * count) if newest[n][0] == "done"])

    def test_a_bare_record_is_delivered_or_refused(self, on: Stage) -> None:
        """Nothing but an address."""
        on.app.emit(upsert(Customer(key="0", email="person0@shop.test")))
        on.deliver()
        (only,) = on.app.deliveries()
        assert only.state in ("done", "skipped") or only.error_kind == "rejected", on.errors()

    def test_errors_hold_no_personal_data(self, on: Stage) -> None:
        """Vendors quote what they refuse; we do not."""
        on.emit()
        words = {"error": "invalid person0@shop.test, phone +1 212 555 1000", "message": "bad person0@shop.test"}
        words["detail"] = "Person 0: no such name"
        on.stand_in.fail_next(self._only_writes(Fault.status(400, words)))
        on.app.drain()
        assert "person0@" not in on.errors()
        assert "555 1000" not in on.errors()
        assert "Person 0" not in on.errors()

    def test_logs_hold_no_personal_data(self, on: Stage) -> None:
        """Core takes addresses out of log lines; a name it cannot tell from other words."""
        with heard() as said:
            on.emit(2)
            on.deliver()
            on.emit(1, last_name="Person 0 again")
            on.deliver()
            on.stand_in.fail_next(self._only_writes(Fault.status(400, {"error": "bad request"})))
            self.refuse(on.stand_in, self.customer(2).email or "")
            on.emit(3, phone="+1 212 555 1000", first_name="Other")
            on.deliver()
            for ability, asked in (("read", [on.link(0)]), ("lookup", self._operations(on, 2))):
                if callable(method := getattr(on.sink, ability, None)):
                    method(asked)
            on.sink.erase(on.link(1))
        told = [name for name in ("Person 0", "Person 2", "555 1000", "1 Main St") if name in said()]
        assert not told, f"logged: {', '.join(told)}"

    # -- cases: endings

    def test_a_deletion_of_what_is_gone_already_is_fine(self, on: Stage) -> None:
        """Deleted at the source; whatever the sink's policy, it ends settled."""
        on.emit(2)
        on.deliver()
        writes = self._writes(on)
        on.app.emit(Change(entity="customer", key="0", op="delete"))
        on.deliver()
        assert {d.state for d in on.app.deliveries()} <= {"done", "skipped"}, on.errors()
        assert (self.customer(1).email or "") in on.held()
        told = [entry.note for entry in on.app.history(route="people") if entry.op == "delete" and entry.note]
        assert self._writes(on) > writes or told, "deleted in the shop: nothing was sent, and nothing says why"

    def test_erasing_twice_is_fine(self, on: Stage) -> None:
        """`forget` may be run again after half of it failed."""
        on.emit(2)
        on.deliver()
        link = on.link(0)
        on.sink.erase(link)
        on.sink.erase(link)
        assert on.held() == [e for e in on.expected(2) if e != self.customer(0).email]

    def test_looking_up_finds_what_was_delivered_and_writes_nothing(self, on: Stage) -> None:
        """Adoption, plan, and what to do after a lost answer rest on it."""
        if not hasattr(on.sink, "lookup"):
            pytest.skip("this sink has no lookup")
        on.emit(2)
        on.deliver()
        before = self._writes(on)
        # Vendors' indexes lag: what was written is looked for a quarter of an hour later.
        on.app.clock.advance(timedelta(minutes=15))
        operations = self._operations(on, 3)
        found = on.sink.lookup(operations)
        assert [getattr(f, "remote_id", None) for f in found[:2]] == [on.link(n).remote_id for n in range(2)]
        assert found[2] is None, "lookup() found a record that was never delivered"
        assert self._writes(on) == before, "lookup() wrote something"


def _settled(kind: tuple[str, str | None]) -> bool:
    return kind[0] == "done" or kind == ("parked", "rejected")
