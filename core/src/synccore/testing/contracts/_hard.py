"""Cases that take two things at once: a lost answer and a change, a restart during a job, a missing parent."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
import pytest

from ..._verbs.verify import verify
from ...entities import Order, Payment
from ...errors import BatchRejected, Rejected
from ...secrets import Secret
from ...store import LinkUpdate, Settlement
from ...types import Change, Failed, FieldOptions
from ..harness import upsert
from ..server import Fault
from ._stage import SinkStand, Stage, secrets_as_text

__all__ = ["HardSinkCases", "failed_payment", "order"]


class HardSinkCases(SinkStand):
    """Part of `SinkContract`."""

    # -- cases: no doubles

    def test_a_new_address_after_a_lost_answer_makes_no_second_record(self, on: Stage) -> None:
        """Who is looked for by address alone is not found under the new one."""
        on.emit()
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_drop()))
        on.app.drain()
        on.emit(1, email="moved@shop.test")
        on.deliver()
        assert on.held() == ["moved@shop.test"]

    def test_a_record_deleted_at_the_target_is_made_again_or_refused(self, on: Stage) -> None:
        """Somebody deletes by hand what we are linked to; then the customer changes."""
        on.emit(2)
        on.deliver()
        on.sink.erase(on.link(0))
        on.emit(1, last_name="Back")
        on.deliver()
        newest = max((d for d in on.app.deliveries() if d.key == "0"), key=lambda d: d.id)
        assert newest.state == "done" or newest.error_kind == "rejected", on.errors()
        assert on.held() == on.expected(2) or newest.state == "parked", "delivered, and not there"
        if newest.state == "done" and hasattr(on.sink, "read"):
            link = on.link(0)
            (there,) = on.sink.read([link])
            held = [name for name, value in link.fields.items() if value and name not in link.left_out]
            missing = [name for name in held if not (there or {}).get(name)]
            assert not missing, f"made again without {', '.join(missing)}, which had not changed"

    def test_a_customer_who_returns_is_one_record(self, on: Stage) -> None:
        """Deleted at the source and restored."""
        on.emit()
        on.deliver()
        on.app.emit(Change(entity="customer", key="0", op="delete"))
        on.deliver()
        on.emit(1, last_name="Back")
        on.deliver()
        assert on.held() == on.expected(1), on.errors()

    def test_what_an_unheard_update_wrote_is_undone_with_it(self, on: Stage) -> None:
        """Changed, carried out without an answer, and changed back before the next try: it is no "unchanged"."""
        on.emit()
        on.deliver()
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_status(502)))
        on.emit(first_name="Between")
        on.app.drain()
        on.emit()
        on.deliver()
        self._is_as_mapped(on, on.link(0))

    @pytest.mark.parametrize("status", [400, 429, 503])
    def test_what_a_refused_update_wrote_in_part_is_undone_with_it(self, on: Stage, status: int) -> None:
        """Several calls for one record, and the second refused: what the first one wrote only the sink knows of."""
        on.emit()
        on.deliver()
        self._refuses_the_second_write(on, status)
        on.emit(first_name="Between", accepts_marketing=True, phone="+1 212 555 9999")
        on.app.drain()
        on.stand_in.clear_faults()
        on.emit()
        on.deliver()
        self._is_as_mapped(on, on.link(0))

    def test_a_guest_whose_create_was_lost_and_who_registers_is_as_the_account_is(self, on: Stage) -> None:
        """Found under the guest's key: made by us, so that the account's newest state is what it holds."""
        guest = attrs.evolve(self.customer(0), key="guest:0", guest=True)
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_drop()))
        on.app.emit(upsert(guest))
        on.app.drain()
        on.app.emit(upsert(self.customer(0, first_name="Registered"), replaces=("guest:0",)))
        on.deliver()
        assert on.held() == on.expected(1), on.errors()
        self._is_as_mapped(on, on.link(0))
        self._is_nobody_elses(on)

    @pytest.mark.parametrize("restarted", [pytest.param(False, id="alive"), pytest.param(True, id="restarted")])
    def test_a_guest_whose_create_was_lost_and_who_exchanges_is_as_the_account_is(
        self, on: Stage, restarted: bool
    ) -> None:
        """Asked about first, and written later: the link says by then that it was made by us (`not link.adopted`), and
        holds nothing yet. What stands there is theirs like any record, our mark included."""
        on.emit(1, first=1)
        on.deliver()
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_drop()))
        on.app.emit(upsert(attrs.evolve(self.customer(0), key="guest:0", guest=True)))
        on.app.drain()
        if restarted:
            on.app.crash()
        on.app.emit(upsert(self.customer(0), replaces=("guest:0",)))
        on.app.emit(*(upsert(self.customer(n, email=self.customer(1 - n).email)) for n in (0, 1)))
        on.deliver()
        assert on.held() == on.expected(2), on.errors()
        self._is_as_mapped(on, on.link(0))
        self._is_nobody_elses(on)
        assert not on.link(0).adopted, "made it, and says that it was there before"

    def _is_nobody_elses(self, on: Stage) -> None:
        kept = [name for name, why in on.link(0).left_out.items() if why.startswith("kept")]
        assert not kept, f"taken for somebody else's: {', '.join(kept)}"

    def test_a_guest_who_registers_and_moves_on_is_there_once(self, on: Stage) -> None:
        """Nothing was delivered under the account's own key yet, and it has another address: what is there is theirs
        all the same, and nothing of it is who has the former address now."""
        on.app.emit(upsert(attrs.evolve(self.customer(0), key="guest:0", guest=True)))
        on.deliver()
        moved = self.customer(1, key="0")
        on.app.emit(upsert(self.customer(0), replaces=("guest:0",)))
        on.app.emit(upsert(moved))
        on.app.emit(upsert(self.customer(0, key="1", last_name="Another", phone="+1 212 555 9999")))
        on.deliver()
        assert on.held() == on.expected(2), on.errors()
        assert on.link(0).remote_id != on.link(1).remote_id, "whoever has the former address now has the record as well"
        self._is_as_mapped(on, on.link(0))

    def test_a_lost_answer_to_a_deletion_is_harmless(self, on: Stage) -> None:
        """Deleted already, and asked to delete again."""
        on.emit(2)
        on.deliver()
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_drop()))
        on.app.emit(Change(entity="customer", key="0", op="delete"))
        on.deliver()
        assert {d.state for d in on.app.deliveries()} <= {"done", "skipped"}, on.errors()
        assert (self.customer(1).email or "") in on.held()

    def test_a_call_refused_as_a_whole_parks_one_record_at_most(self, on: Stage) -> None:
        """A 400 to a batch does not say whose fault it is: BatchRejected finds out."""
        on.emit(4)
        on.stand_in.fail_next(self._only_writes(Fault.status(400, {"error": "bad request"})))
        on.deliver()
        parked = on.app.deliveries(state="parked")
        assert len(parked) <= 1, f"{len(parked)} records are parked for one refusal"

    def test_a_job_outlives_trouble_and_a_restart(self, on: Stage) -> None:
        """Whatever is answered while the vendor works, and killed then: it is asked for again and never sent twice."""
        if not self.jobs_from:
            pytest.skip("this sink submits no jobs (else set jobs_from)")
        changes = [upsert(self.customer(n)) for n in range(self.jobs_from)]
        on.app.emit(*changes, bulk=True)
        # One step and no more: a stand-in may finish its jobs at once.
        on.app.app.engine.lanes["target"].step()
        states = on.app.states()
        assert states == {"submitted": self.jobs_from}, f"not submitted as one job: {states}"
        writes = self._writes(on)
        for fault in (Fault.html(404), Fault.status(200, {"status": "ok"}), self.unauthorised()):
            on.stand_in.fail_always(fault)
            on.app.advance(timedelta(minutes=3))
            assert set(on.app.states()) <= {"submitted", "ready", "done"}, f"{fault.reply}: {on.app.states()}"
            lane = on.app.app.store.lane("target")
            on.app.app.store.put_lane(attrs.evolve(lane, state="ok", until=None))
        on.stand_in.clear_faults()
        on.app.crash()
        on.app.settle_down(timedelta(minutes=30))
        assert on.app.states() == {"done": self.jobs_from}, on.errors()
        assert {d.attempts for d in on.app.deliveries()} == {0}, "trouble was counted against the records"
        assert on.held() == on.expected(self.jobs_from)
        assert self._writes(on) == writes, "submitted again, after trouble or the restart"
        self._all_are_their_own(on, range(self.jobs_from))

    @pytest.mark.parametrize("lost", ["first", "third"])
    def test_a_job_whose_answer_was_lost_is_not_made_twice(self, on: Stage, lost: str) -> None:
        """The vendor has it and works on it, and nobody was told: nothing can be found yet that it will make."""
        if not self.jobs_from:
            pytest.skip("this sink submits no jobs (else set jobs_from)")
        before = self._writes(on)
        nth = 1 if lost == "first" else 3  # a job may take several requests: made, filled, closed
        drop = Fault.commit_then_drop(when=lambda r: self.is_write(r) and self._writes(on) == before + nth)
        on.stand_in.fail_next(drop)
        self._in_bulk(on, self.jobs_from)
        on.app.clock.advance(timedelta(hours=1))
        on.stand_in.clear_faults()
        on.sink.check()  # by the next request the vendor has ended what it worked on
        assert on.held() == on.expected(self.jobs_from), "submitted again, though the first one was taken"

    def _all_are_their_own(self, on: Stage, numbers: Sequence[int]) -> None:
        """Each link leads to its own record, by the stand-in's word where it gives one, else by the sink's."""
        links = [on.link(number) for number in numbers]
        assert all(link.remote_id for link in links), "a record of a job has no remote id"
        assert len({link.remote_id for link in links}) == len(links), "two records of a job share one"
        for number, link in zip(numbers, links, strict=True):
            there = self.record(on.stand_in, link.remote_id)
            if there is None and hasattr(on.sink, "read"):
                (there,) = on.sink.read([link])
            email = self.customer(number).email
            named = [name for name, value in link.mapped.items() if value == email]
            if there is not None:
                assert all(there.get(name, email) == email for name in named), f"{number} is linked to somebody else"

    def test_a_job_that_is_known_in_part_is_submitted_once(self, on: Stage) -> None:
        """Killed while core wrote down what is in the job: part of it is asked for, the rest is delivered once more."""
        if not self.jobs_from:
            pytest.skip("this sink submits no jobs (else set jobs_from)")
        on.app.emit(*(upsert(self.customer(n)) for n in range(self.jobs_from)), bulk=True)
        on.app.app.engine.lanes["target"].step()
        writes = self._writes(on)
        store = on.app.app.store
        # They are due again only once the job has ended and was asked for the others.
        later = on.app.clock.now() + timedelta(minutes=10)
        for job in store.jobs("target"):
            unknown = [
                Settlement(delivery_id=i, token=job.job, to="ready", due_at=later, maybe_applied=True)
                for i in job.ids[::2]
            ]
            store.settle(unknown, on.app.clock.now())
        on.app.crash()
        on.app.settle_down(timedelta(minutes=30))
        assert on.app.states() == {"done": self.jobs_from}, on.errors()
        assert on.held() == on.expected(self.jobs_from)
        assert self._writes(on) == writes, "what the job holds was sent once more"

    # -- cases: more than people

    def test_a_child_waits_for_its_parent_and_hangs_on_it(self, on: Stage) -> None:
        """An order that comes before its customer."""
        if not self.child:
            pytest.skip("this sink has no child records (else set child)")
        on.emit(2, first=1)
        on.app.emit(upsert(order(), owner="0"))
        on.app.drain()
        on.app.advance(timedelta(hours=1))
        assert list(self.parents(on.stand_in)) == [], "a child was written without its parent"
        on.emit()
        on.deliver()
        assert list(self.parents(on.stand_in)) == [on.link(0).remote_id], on.errors()

    def test_a_child_that_changes_hands_hangs_on_its_new_owner(self, on: Stage) -> None:
        """A shop's admin gives a guest's order to an account: no field and no date of the order changes with that."""
        self._with_child(on)
        on.app.emit(upsert(order(), owner="1"))
        assert not verify(on.app.app, "children").ok, "verify calls proven what hangs on somebody else"
        on.deliver()
        assert list(self.parents(on.stand_in)) == [on.link(1).remote_id], on.errors()
        assert verify(on.app.app, "children").ok

    def test_a_child_that_was_hung_elsewhere_is_named_and_hung_back(self, on: Stage) -> None:
        """Somebody at the target empties the reference to its parent, or lets it point at another record."""
        self._with_child(on)
        link = on.app.app.store.link("children", "shop", "order", "900")
        assert link is not None, on.errors()
        if not callable(getattr(on.sink, "read", None)) or not self._readable(on, link.object):
            pytest.skip("this sink cannot read its child records back")
        tried = [there for there in ("", on.link(1).remote_id) if self._was_hung_back(on, link.remote_id, there)]
        if not tried:
            pytest.skip("nobody hangs anything elsewhere there (else write rehang)")

    def _was_hung_back(self, on: Stage, child: str, there: str) -> bool:
        if not self.rehang(on.stand_in, child, there):
            return False
        named = verify(on.app.app, "children", repair=True)
        assert named.moved == ["900"], "read() does not say that a child hangs elsewhere (Hanging): verify proves it"
        on.deliver()
        assert list(self.parents(on.stand_in)) == [on.link(0).remote_id], f"it stays where it was hung: {on.errors()}"
        assert verify(on.app.app, "children").ok
        return True

    def test_a_child_whose_parent_is_gone_waits_for_another_one(self, on: Stage) -> None:
        """Somebody deleted it at the target, or it was forgotten by mistake: it may be made anew, and the child is no
        less to be delivered then."""
        if not self.child:
            pytest.skip("this sink has no child records (else set child)")
        on.emit(2)
        on.deliver()
        former = on.link(0).remote_id
        if not self.vanish(on.stand_in, former):
            pytest.skip("nobody deletes anything there (else write vanish)")
        on.app.emit(upsert(order(), owner="0"))
        on.app.drain()
        on.app.advance(timedelta(hours=1))
        assert "parked" not in on.app.states(), on.errors()
        gone = LinkUpdate(object=self.object, remote_id=former, sink="target", remove=True)
        on.app.app.store.put_link("people", "shop", "customer", "0", gone, on.app.clock.now())
        on.emit(last_name="Anew")
        on.deliver()
        assert on.link(0).remote_id != former, on.errors()
        assert list(self.parents(on.stand_in)) == [on.link(0).remote_id], on.errors()

    def test_a_child_is_as_sound_as_its_parent(self, on: Stage) -> None:
        """Its answer gets lost, it changes, it comes in bulk: it is there once, and as it was claimed."""
        if not self.child:
            pytest.skip("this sink has no child records (else set child)")
        on.emit(2)
        on.deliver()
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_drop()))
        on.app.emit(upsert(order(), owner="0"))
        on.deliver()
        self._child_is_there(on)
        for bulk in (False, True):
            total = Decimal("35.50") if bulk else Decimal("27.25")
            on.app.emit(upsert(attrs.evolve(order(), status="processing", total=total), owner="0"), bulk=bulk)
            on.deliver()
            self._child_is_there(on)

    def _child_is_there(self, on: Stage) -> None:
        assert list(self.parents(on.stand_in)) == [on.link(0).remote_id], on.errors()
        link = on.app.app.store.link("children", "shop", "order", "900")
        assert link is not None, on.errors()
        if callable(getattr(on.sink, "read", None)) and self._readable(on, link.object):
            (there,) = on.sink.read([link])
            assert there is not None, "read() does not find a child"
            wrong = [n for n, v in link.fields.items() if n not in link.left_out and there.get(n) != v]
            assert not wrong, f"a child holds something else than was claimed in {', '.join(wrong)}"

    def _readable(self, on: Stage, name: str) -> bool:
        return all(o.readable for o in on.app.app.sinks["target"].objects if o.name == name)

    def _with_child(self, on: Stage) -> None:
        """Two customers, and an order of the first."""
        if not self.child:
            pytest.skip("this sink has no child records (else set child)")
        on.emit(2)
        on.app.emit(upsert(order(), owner="0"))
        on.deliver()
        assert list(self.parents(on.stand_in)) == [on.link(0).remote_id], on.errors()

    def test_an_event_is_told_once(self, on: Stage) -> None:
        """However often it is sent: answers get lost, sources repeat themselves; told it is, after an outage too."""
        if not self.event:
            pytest.skip("this sink takes no events (else set event)")
        on.emit()
        on.deliver()
        facts = [failed_payment(n, self.customer(0).email) for n in range(3)]
        troubles = (Fault.status(503), self.rate_limited(), Fault.commit_then_drop())
        on.stand_in.fail_next(*map(self._only_writes, troubles))
        on.app.emit(*facts)
        on.deliver()
        on.app.emit(*facts)
        on.deliver()
        told = list(self.events(on.stand_in))
        assert len(told) == len(set(told)) == 3, on.errors()

    def test_the_past_fires_no_automation(self, on: Stage) -> None:
        """A backfill sends nobody a welcome mail: `operation.bulk`."""
        before = self.fired(on.stand_in)
        if before is None:
            pytest.skip("this target has no automations (else write fired)")
        count = self.jobs_from or 3
        self._in_bulk(on, count)
        assert on.held() == on.expected(count)
        assert self.fired(on.stand_in) == before, "the past was told as news"
        if self.event:
            on.app.emit(failed_payment(0, self.customer(0).email), bulk=True)
            on.deliver()
            assert self.fired(on.stand_in) == before, "an event of the past was told as news"
        on.sink.erase(on.link(0))
        self._in_bulk(on, count, last_name="Back")
        assert self.fired(on.stand_in) == before, "who was deleted by hand and made again in bulk was greeted as new"

    def test_an_emptied_field_is_emptied_or_refused(self, on: Stage) -> None:
        """`clear = true` on the route: None arrives where a text was."""
        on.emit()
        on.deliver()
        (operation,) = self._operations(on, 1)
        link = attrs.evolve(on.link(0), etag=None)
        for name in operation.fields:
            asked = attrs.evolve(
                operation,
                link=link,
                fields={**operation.fields, name: None},
                changed=frozenset({name}),
                options={name: FieldOptions(clear=True)},
            )
            try:
                (outcome,) = on.sink.deliver([asked])
            except (Rejected, BatchRejected):
                continue
            error = outcome.error if isinstance(outcome, Failed) else None
            assert error is None or isinstance(error, Rejected), f"{name}: {error!r}"

    # -- cases: for the operator

    def test_the_default_mapping_fits_what_is_described(self, on: Stage) -> None:
        """Else `synccore check` is red on every installation."""
        from ..._verbs.parts.check_mapping import check_mapping

        described = {o.name: o for o in on.sink.describe()}
        findings = check_mapping(on.app.app.routes["people"], described)
        assert not [f for f in findings if f.level == "error"], findings
        for info in described[self.object].fields:
            assert info.type, f"field {info.name} has no type"
            assert info.length is None or info.length > 0, f"field {info.name} has length {info.length}"
        names = [info.name for info in described[self.object].fields]
        assert len(names) == len(set(names)), "describe() names a field twice"

    def test_secrets_are_masked(self, on: Stage) -> None:
        """Of type Secret, and in no error whatever the vendor answers."""
        config = on.app.app.sinks["target"].settings.config
        plain = secrets_as_text(config)
        assert not plain, f"of type str, not Secret: {', '.join(plain)}"
        values = [getattr(config, a.name) for a in attrs.fields(type(config))]
        # One letter is found in any text.
        secrets = [v.reveal() for v in values if isinstance(v, Secret) and len(v.reveal()) > 3]
        for fault in (self.unauthorised(), Fault.status(400, {"error": "bad"}), Fault.html(502), Fault.reset()):
            on.emit(2)
            on.stand_in.fail_next(fault)
            on.app.drain()
            on.app.app.store.put_lane(attrs.evolve(on.app.app.store.lane("target"), state="ok", until=None))
            on.app.advance(timedelta(minutes=10))
        shown = f"{on.errors()}\n{config!r}\n{on.sink!r}"
        assert not [s for s in secrets if s in shown], "a secret is shown"


def order() -> Order:
    """The order of customer 0."""
    return Order(
        key="900",
        number="900",
        status="completed",
        currency="EUR",
        total=Decimal("20.00"),
        customer_key="0",
        created_at=datetime(2025, 12, 1, tzinfo=UTC),
    )


def failed_payment(number: int, email: str | None) -> Any:
    """An attempt to collect a renewal of customer 0."""
    moment = datetime(2025, 12, 1, 12, number, tzinfo=UTC)
    fact = Payment(
        key="5",  # the attempts of one: it is the event's id that tells them apart
        succeeded=False,
        amount=Decimal("19.95"),
        currency="EUR",
        at=moment,
        customer_key="0",
        subscription_key="5",
        attempt=number + 1,
        email=email,
    )
    return upsert(fact, op="event", owner="0", event_id=f"5:{number}", at=moment)
