"""Cases at the size of a backfill or a comparison, and of refused questions: what holds for one holds there too."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import attrs
import pytest

from ..._mapping.values import canonical
from ...types import Change, Identity
from ..harness import upsert
from ._endings import EndingSinkCases
from ._hard import failed_payment, order
from ._stage import Stage
from ._truth import EMPTIED

__all__ = ["SizeSinkCases"]

#: Records of one call, where the sink submits no jobs.
_SOME = 6
#: What the vendor may say instead of an answer.
_REFUSALS = [pytest.param(name, id=name) for name in ("unauthorised", "forbidden", "rate_limited")]


class SizeSinkCases(EndingSinkCases):
    """Part of `SinkContract`."""

    # -- cases: in bulk

    def test_what_comes_in_bulk_arrives_whole(self, on: Stage) -> None:
        """The rows of a job (or of a call) hold every field, then every change, and then what was emptied."""
        self._needs(on, "read")
        count = self.jobs_from or _SOME
        self._in_bulk(on, count)
        assert on.held() == on.expected(count), on.errors()
        self._all_there(on, count)
        before = on.link(0).fields
        on.app.emit(*(upsert(self._changed(n)) for n in range(count)), bulk=True)
        on.app.settle_down(timedelta(minutes=30))
        assert on.link(0).fields != before, f"a change that came in bulk was not delivered\n{on.errors()}"
        self._all_there(on, count)
        before = on.link(0).fields
        self._in_bulk(on, count, last_name="Moved", **EMPTIED)
        self._emptied_there(on, before)

    def _all_there(self, on: Stage, count: int) -> None:
        links = [on.link(number) for number in range(count)]
        for at in range(0, count, 20):
            for link, remote in zip(links[at : at + 20], on.sink.read(links[at : at + 20]), strict=True):
                self._compare(on, link, remote)

    @pytest.mark.parametrize("bulk", [pytest.param(False, id="live"), pytest.param(True, id="in-bulk")])
    def test_one_that_was_deleted_by_hand_leaves_its_mates_alone(self, on: Stage, bulk: bool) -> None:
        """One of a call is not there any more; the others are."""
        count = self.jobs_from if bulk and self.jobs_from else 4
        on.emit(count)
        on.deliver()
        kept = {n: on.link(n).remote_id for n in range(count) if n != 1}
        on.sink.erase(on.link(1))
        on.app.emit(*(upsert(self.customer(n, last_name="Back")) for n in range(count)), bulk=bulk)
        on.app.settle_down(timedelta(minutes=30))
        assert not [n for n, known in kept.items() if on.link(n).remote_id != known], "made anew, though it was there"
        missing = [e for e in on.expected(count) if e != self.customer(1).email]
        assert on.held() in (on.expected(count), missing), on.errors()
        assert on.held() != missing or [d.key for d in on.app.deliveries(state="parked")] == ["1"], on.errors()

    def test_a_deletion_that_a_comparison_finds_is_one_like_any_other(self, on: Stage) -> None:
        """Told by a webhook or found by a comparison: what the route does with it is the same."""
        on.emit(3)
        on.deliver()
        self._deleted(on, 0)
        usual = 3 - len(on.held())
        on.app.source.records.pop(("customer", "1"), None)
        on.app.emit(Change(entity="customer", key="1", op="delete"), bulk=True)
        on.app.settle_down(timedelta(minutes=30))
        assert len(on.held()) == 3 - 2 * usual, "found by a comparison, and not deleted as when a webhook tells it"

    # -- cases: refused

    @pytest.mark.parametrize("refusal", _REFUSALS)
    def test_a_refusal_is_no_answer(self, on: Stage, refusal: str) -> None:
        """401, 403 and 429 do not say that somebody is gone, unknown, or erased."""
        on.emit(2)
        on.deliver()
        on.app.clock.advance(self.lag)
        at_most = 1 if refusal == "rate_limited" else None
        self._makes_nobody_gone(on, getattr(self, refusal)(), refusal, at_most)

    # -- cases: children and events

    def test_a_child_is_deleted_and_erased_as_itself(self, on: Stage) -> None:
        """It has a number of its own at the target, in a range of its own."""
        self._with_child(on)
        writes = self._writes(on)
        on.app.source.records.pop(("order", "900"), None)
        on.app.emit(Change(entity="order", key="900", op="delete"))
        on.deliver()
        told = [entry.note for entry in on.app.history(route="children") if entry.op == "delete" and entry.note]
        assert self._writes(on) > writes or told, "deleted in the shop: nothing was sent, and nothing says why"
        assert on.held() == on.expected(2), "a child was deleted, and a person went with it"
        on.app.emit(upsert(attrs.evolve(order(), status="on-hold"), owner="0"))
        on.deliver()
        link = on.app.app.store.link("children", "shop", "order", "900")
        if link is not None and hasattr(on.sink, "erase"):
            outcome = on.sink.erase(link)
            kept = getattr(outcome, "outcome", None) in ("pending", "released")
            assert kept or not list(self.parents(on.stand_in)), "erased, and the child is still there"
            assert on.held() == on.expected(2), "a child was erased, and a person went with it"

    def test_an_event_holds_what_was_mapped(self, on: Stage) -> None:
        """Revenue is counted by it, and an event without its person is nobody's."""
        if not self.event or self.told(on.stand_in) is None:
            pytest.skip("nobody can look into this target's events (else set event, and write told)")
        on.emit()
        on.deliver()
        on.app.emit(failed_payment(0, self.customer(0).email))
        on.deliver()
        (work,) = on.app.app.store.load(on.app.deliveries(route="events"))
        mapped = on.app.app.preparer("events").map(work)
        assert isinstance(mapped, Mapping)
        (told,) = self.told(on.stand_in) or ()
        wrong = [n for n, value in told.items() if canonical({"": mapped.get(n)}) != canonical({"": value})]
        assert not wrong, f"the event holds something else in {', '.join(wrong)}"

    # -- cases: everybody who is meant

    def test_all_of_whom_a_person_is_known_by_are_found(self, on: Stage) -> None:
        """A person has addresses and accounts, and `forget` leaves none of their records."""
        self._needs(on, "find")
        on.emit(3)
        on.deliver()
        on.app.clock.advance(self.lag)
        emails = tuple(self.customer(n).email or "" for n in range(2))
        uids = tuple(f"shop:customer:{n}" for n in range(2))
        for who, how in ((Identity(emails=emails), "address"), (Identity(uids=uids), "own id")):
            found = {link.remote_id for link in on.sink.find(who)}
            missing = [n for n in range(2) if on.link(n).remote_id not in found]
            if how == "own id" and not found:
                continue  # by that alone it finds nobody: a case of its own says so
            assert not missing, f"asked for two by their {how}, find() gives {2 - len(missing)}"
            assert on.link(2).remote_id not in found, "find() gives somebody else's record"

    def test_every_record_of_an_address_is_found(self, on: Stage) -> None:
        """However many: beyond the first page as well (`many` is more than a page)."""
        self._needs(on, "find")
        (operation,) = self._operations(on, 1)
        there = self._same_address(on, operation.fields)
        on.app.clock.advance(max(self.lag, timedelta(days=1)))
        found = {link.remote_id: link for link in on.sink.find(Identity(emails=(self.customer(0).email or "",)))}
        missing = there - set(found)
        assert not missing, f"{len(there)} records have the address, find() gives {len(there) - len(missing)}"
        ours = [remote_id for remote_id in there if not found[remote_id].adopted]
        assert not ours, "find() gives records that their owner made without adopted=True: `forget` deletes them"

    def _same_address(self, on: Stage, fields: Mapping[str, Any]) -> set[str]:
        made: Sequence[str | None] = [self.theirs(on.stand_in, fields) for _ in range(self.many)]
        there = {remote_id for remote_id in made if remote_id is not None}
        if len(there) < self.many:
            pytest.skip("the stand-in holds no two with one address (else write theirs)")
        return there

    # -- cases: jobs

    def test_a_job_that_the_vendor_forgot_is_not_waited_for_for_ever(self, on: Stage) -> None:
        """Jobs are kept for some days, and nobody is told when one goes."""
        if not self.jobs_from:
            pytest.skip("this sink submits no jobs (else set jobs_from)")
        on.app.emit(*(upsert(self.customer(n)) for n in range(self.jobs_from)), bulk=True)
        on.app.app.engine.lanes["target"].step()
        assert on.app.states() == {"submitted": self.jobs_from}, on.app.states()
        on.stand_in.fail_always(self.unknown_job())
        for _ in range(8):
            on.app.advance(timedelta(hours=3))
        assert "submitted" not in on.app.states(), "a job that the vendor knows no more is asked for for ever"
