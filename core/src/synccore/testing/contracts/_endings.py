"""Cases about endings: what a route lets go of, whom a lost answer made, whom a job refuses."""

from contextlib import suppress
from datetime import timedelta
from functools import partial, reduce
from operator import getitem
from typing import Any

import attrs
import pytest

from ...errors import RateLimited, SynccoreError
from ...store import Settlement
from ...types import Change, Delivered, Failed, Identity, Link, Operation, Submitted
from ..harness import upsert
from ..server import Fault, replaced
from ._stage import Stage
from ._whose import WhoseSinkCases

__all__ = ["EndingSinkCases"]

#: Rows of the largest job that is tried: more would slow every run.
_WHOLE = 1000
#: What may say that somebody is gone.
_ASKED = ("read", "lookup", "find", "erase")
#: How many parts of an answer are replaced, from the outside in, and by what.
_PLACES = 5
_OTHERS: tuple[Any, ...] = (None, 7, {"odd": [7]})


def _with_another(place: int, by: Any, answer: Any) -> Any:
    """The answer with `by` in one of its places."""
    paths: list[tuple[str | int, ...]] = [()]
    for path in paths:
        inner = reduce(getitem, path, answer)
        if len(paths) <= place and isinstance(inner, dict | list):
            paths += [(*path, name) for name in (inner if isinstance(inner, dict) else range(len(inner)))]
    return replaced(paths[place % len(paths)], by)(answer)


class EndingSinkCases(WhoseSinkCases):
    """Part of `SinkContract`."""

    # -- cases: let go of

    @pytest.mark.parametrize("way", ["unlabel", "clear", "delete"])
    def test_what_a_route_lets_go_of_is_let_go_of(self, on: Stage, way: str) -> None:
        """What the object says of `leaves` really happens at the target, and to nobody else."""
        self._needs(on, "read")
        if way not in self._ways_to_leave(on):
            pytest.skip(f"no route to {self.object} says on_leave = {way!r}")
        on.emit(2)
        on.deliver()
        operation, link, other = self._operations(on, 1)[0], on.link(0), on.link(1)
        writes = self._writes(on)
        self._leave(on, operation, link, way)
        assert self._writes(on) > writes, f"{way}: settled, and nothing was sent"
        gone, mate = on.sink.read([link, other])
        self._compare(on, other, mate)
        if way == "delete":
            assert gone is None, "delete: settled, and still there"
            return
        assert gone is not None, f"{way}: the record is gone"
        if way == "clear":
            left = self._ours_in(on, link, gone)
            assert not left, f"clear: settled, and still there: {', '.join(left)}"
        else:
            self._compare(on, link, gone)

    def _leave(self, on: Stage, operation: Operation, link: Link, way: str) -> None:
        asked = attrs.evolve(operation, op="leave", fields={}, changed=frozenset(), link=link, on_leave=way)
        (outcome,) = on.sink.deliver([asked])
        assert isinstance(outcome, Delivered), f"{way}: answered {type(outcome).__name__}"

    def test_a_page_in_between_makes_nobody_gone(self, on: Stage) -> None:
        """A proxy's 404, or any outage, is no word of the target: nobody is read, looked up, found or erased by it."""
        on.emit(2)
        on.deliver()
        on.app.clock.advance(self.lag)
        self._makes_nobody_gone(on, Fault.html(404), "a page")
        self._makes_nobody_gone(on, Fault.status(503), "a 503")
        self._makes_nobody_gone(on, Fault.status(200, {"status": "ok"}), "somebody else's answer")
        self._makes_nobody_gone(on, Fault.reset(), "a cut connection")

    @pytest.mark.parametrize("page", [pytest.param(False, id="json"), pytest.param(True, id="page")])
    def test_a_foreign_200_is_no_proof_of_an_erasure(self, on: Stage, page: bool) -> None:
        """What the target says to a deletion is known: nothing at all, an empty object, the record. Whatever else comes
        with a 200 (a proxy's, a sign-in's) deleted nobody, and no `forget` is complete by it."""
        on.emit(2)
        on.deliver()
        on.app.clock.advance(self.lag)
        (operation,), link = self._operations(on, 1), on.link(0)
        on.stand_in.fail_always(self._only_writes(Fault.html(200) if page else Fault.status(200, {"status": "ok"})))
        with suppress(SynccoreError):
            outcome = getattr(on.sink.erase(link), "outcome", "deleted")
            assert outcome == "pending", f"erase(): {outcome}, by somebody else's answer"
        if "delete" in self._ways_to_leave(on):
            asked = attrs.evolve(operation, op="leave", fields={}, link=link, on_leave="delete")
            with suppress(SynccoreError):
                (left,) = on.sink.deliver([asked])
                assert isinstance(left, Failed | Submitted), "delete: settled by somebody else's answer"
        on.stand_in.clear_faults()
        assert on.held() == on.expected(2)

    def test_an_answer_of_another_shape_is_no_bug(self, on: Stage) -> None:
        """JSON with a 200, of which one part is another: what was asked for was carried out, and nobody was told so in
        words that can be read. It is tried again, and is there once."""
        changes = [(place, by) for place in range(_PLACES) for by in _OTHERS]
        for number, (place, by) in enumerate(changes):
            for name in ("Ann", "Ada"):  # made, and changed
                on.stand_in.fail_next(self._only_writes(Fault.altered(partial(_with_another, place, by))))
                on.emit(first=number, first_name=name)
                on.app.drain()
                bugs = [d.error for d in on.app.deliveries() if d.error_kind == "bug"]
                assert not bugs, f"{by!r} in an answer's place is a bug: {bugs[0]}"
        on.stand_in.clear_faults()
        on.deliver()
        assert on.held() == on.expected(len(changes)), on.errors()

    def _makes_nobody_gone(self, on: Stage, fault: Fault, what: str, at_most: int | None = None) -> None:
        """Ask the abilities while the target answers so, each with so many requests: the two who are there stay."""
        (operation,), link = self._operations(on, 1), on.link(0)
        who = Identity(emails=(self.customer(0).email or "",), uids=(operation.uid,))
        asked = {"read": [link], "lookup": [operation], "find": who, "erase": link}
        on.stand_in.fail_always(fault)
        for ability in _ASKED:
            question = asked[ability]
            if callable(method := getattr(on.sink, ability, None)):
                seen = len(on.stand_in.requests)
                try:
                    answer = method(question)
                except SynccoreError:
                    sent = len(on.stand_in.requests) - seen
                    assert at_most is None or sent <= at_most, f"{ability}() asks {sent} times although told {what}"
                    continue
                erased = ability == "erase" and getattr(answer, "outcome", None) != "pending"
                gone = erased or (ability != "erase" and list(answer) in ([], [None]))
                assert not gone, f"{ability}() takes {what} for the target's word that the record is gone"
        on.stand_in.clear_faults()
        assert on.held() == on.expected(2)

    # -- cases: whom a lost answer made

    @pytest.mark.parametrize("retried", [pytest.param(False, id="before"), pytest.param(True, id="after")])
    def test_whom_a_lost_answer_made_is_deleted_like_all_others(self, on: Stage, retried: bool) -> None:
        """Deleted in the shop before the retry, or after it: our own record is not taken for somebody else's."""
        self._needs(on, "lookup")
        usual = self._left_of_one(on)
        on.emit(1, first=1)
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_drop()))
        on.app.drain()
        if retried:
            on.deliver()
            assert not on.link(1).adopted, "made it, and after a lost answer says that it was there before"
        self._deleted(on, 1)
        assert len(on.held()) == 2 * usual, "made by us, its answer lost, deleted in the shop, and not as others are"

    @pytest.mark.parametrize("status", [400, 503])
    def test_whom_a_create_made_that_failed_midway_is_deleted_like_all_others(self, on: Stage, status: int) -> None:
        """Several calls for one record, and the second refused: what the first one made only the sink knows of."""
        self._needs(on, "lookup")
        usual = self._left_of_one(on)
        self._refuses_the_second_write(on, status)
        on.emit(1, first=1, accepts_marketing=True)
        on.app.drain()
        on.stand_in.clear_faults()
        self._deleted(on, 1)
        assert len(on.held()) == 2 * usual, "made by us in part, deleted in the shop, and not as others are"

    def test_whom_an_unheard_update_changed_counts_as_made_by_us_still(self, on: Stage) -> None:
        """Another name and a new number: that was us, and nobody who came there in between."""
        on.emit(1, phone=None)
        on.deliver()
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_drop()))
        on.emit(1, first_name="Zoe")
        on.deliver()
        assert not on.link(0).adopted, "made it, and after a lost answer to a change says that it was there before"

    def test_an_account_that_gets_a_guests_address_is_there_as_it_is(self, on: Stage) -> None:
        """Both were there, one person from now on: the account's record is the one that stays, the guest's goes."""
        on.emit(2)
        on.deliver()
        self._deleted(on, 1)
        usual = len(on.held()) - 1
        guest = attrs.evolve(self.customer(2), key="guest:2", guest=True)
        on.app.emit(upsert(guest))
        on.deliver()
        on.app.emit(upsert(self.customer(0, email=guest.email), replaces=("guest:2",)))
        on.deliver()
        assert 1 <= on.held().count(guest.email or "") <= 1 + usual, on.errors()
        self._is_as_mapped(on, on.link(0))

    def _left_of_one(self, on: Stage) -> int:
        """How many records there are once the first one, delivered as any, was deleted in the shop."""
        on.emit(1)
        on.deliver()
        self._deleted(on, 0)
        return len(on.held())

    def _deleted(self, on: Stage, number: int) -> None:
        on.app.source.records.pop(("customer", str(number)), None)
        on.app.emit(Change(entity="customer", key=str(number), op="delete"))
        on.deliver()

    # -- cases: jobs

    def test_a_whole_job_is_one_that_the_target_takes(self, on: Stage) -> None:
        """`bulk_batch` larger than the API takes: refused on the day that so many are owed."""
        if not self.jobs_from:
            pytest.skip("this sink submits no jobs (else set jobs_from)")
        (one,) = self._operations(on, 1)
        count = min(on.app.app.sinks["target"].limits.bulk_batch or 0, _WHOLE)
        outcomes = on.sink.deliver([self._alike(one, number) for number in range(max(count, self.jobs_from))])
        refused = [o.error for o in outcomes if isinstance(o, Failed) and not isinstance(o.error, RateLimited)]
        assert not refused, f"{len(refused)} of a whole job of {len(outcomes)} fail: {refused[0]!r}"

    def _alike(self, operation: Operation, number: int) -> Operation:
        """The operation of customer 0 as it would be of another: no thousand customers need to be taken in for it."""
        ours, theirs = self.customer(0), self.customer(number)
        asked = attrs.evolve(operation, id=number + 1, key=str(number), bulk=True)
        values = {operation.uid: asked.uid, ours.email: theirs.email, ours.last_name: theirs.last_name}
        for short in (False, True):  # a mapping may write numbers in one piece
            values |= {_number(ours.phone, short): _number(theirs.phone, short)}
        fields = {n: values.get(v, v) if isinstance(v, str) else v for n, v in operation.fields.items()}
        return attrs.evolve(asked, fields=fields)

    def test_a_job_parks_whom_it_refuses_and_delivers_the_others(self, on: Stage) -> None:
        """One row of a job is refused: it is parked with the vendor's words, and its mates are linked."""
        if not self.jobs_from:
            pytest.skip("this sink submits no jobs (else set jobs_from)")
        refused = self.customer(1).email or ""
        if not self.refuse(on.stand_in, refused):
            pytest.skip("this target refuses no single record")
        self._in_bulk(on, self.jobs_from)
        assert on.held() == [e for e in on.expected(self.jobs_from) if e != refused], on.errors()
        (parked,) = on.app.deliveries(state="parked")
        assert (parked.key, parked.error_kind) == ("1", "rejected"), on.errors()
        self._all_are_their_own(on, [n for n in range(self.jobs_from) if n != 1])

    def test_what_changes_before_a_lost_job_ends_is_not_undone_by_it(self, on: Stage) -> None:
        """Killed before core wrote down that a job has the records; then one of them changes, another is deleted."""
        if not self.jobs_from:
            pytest.skip("this sink submits no jobs (else set jobs_from)")
        on.emit(1, first=self.jobs_from)
        on.deliver()
        self._deleted(on, self.jobs_from)
        usual = len(on.held())
        on.app.emit(*(upsert(self.customer(n)) for n in range(self.jobs_from)), bulk=True)
        on.app.app.engine.lanes["target"].step()
        store, now = on.app.app.store, on.app.clock.now()
        for job in store.jobs("target"):
            lost = Settlement(delivery_id=0, token=job.job, to="ready", due_at=now, maybe_applied=True)
            store.settle([attrs.evolve(lost, delivery_id=i) for i in job.ids], now)
        on.emit(1, first_name="Newer")
        on.app.emit(Change(entity="customer", key="1", op="delete"))
        on.app.crash()
        on.app.settle_down(timedelta(minutes=30))
        assert len(on.held()) == self.jobs_from - 1 + 2 * usual, "doubled, or deleted before the job made it"
        if hasattr(on.sink, "read"):
            (there,) = on.sink.read([on.link(0)])
            named = [name for name, value in on.link(0).mapped.items() if value == "Newer"]
            assert {there[name] for name in named} <= {"Newer"}, "a job wrote an older state over a newer one"


def _number(phone: str | None, short: bool) -> str:
    return "".join((phone or "").split()) if short else phone or ""
