"""What a listing brings may be leased as it is written, and nothing else is different for it."""

from datetime import timedelta
from typing import Any

from ....entities import guest_key
from ....store import DirtyRule, Ingest, Ingested, Loan
from ....types import Change
from .desk import Desk

LEASE = timedelta(minutes=2)


def take(desk: Desk, *pages: tuple[Change, ...], size: int = 2, loans: int = 1, **unit: Any) -> Ingested:
    """Take pages of a listing in one commit, with loans of the route of people; what is told of the last."""
    asked = [Loan(route="people", token=f"loan{n}", size=size, lease=LEASE) for n in range(loans)]
    units = [Ingest(source="shop", changes=p, rules=desk.rules, bulk=True, loans=asked, **unit) for p in pages]
    done: Ingested = desk.store.ingest(units, desk.now)[-1]
    return done


def people(desk: Desk, *keys: str) -> tuple[Change, ...]:
    return tuple(desk.customer(key) for key in keys)


class LendingRules:
    """What a listing brings may be leased as it is written, and nothing else is different for it."""

    def test_a_full_loan_is_a_batch_as_a_claim_would_give_it(self, desk: Desk) -> None:
        done = take(desk, people(desk, "1"), people(desk, "2", "3"))
        assert (done.accepted, done.dirtied, done.sinks) == (2, 2, frozenset({"crm"}))
        (batch,) = done.lent.values()
        assert list(batch) == desk.store.deliveries(limit=None, state="running")[::-1]
        assert [(d.key, d.bulk, d.lease_token, d.lease_until) for d in batch] == [
            ("1", True, "loan0", desk.now + LEASE),
            ("2", True, "loan0", desk.now + LEASE),
        ]
        assert [work.snapshot.data.email for work in desk.store.load(batch)] == ["c1@shop.test", "c2@shop.test"]
        assert [d.key for d in desk.claim()] == ["3"]
        assert all(desk.settle(delivery, link=desk.link(f"r-{delivery.key}")) for delivery in batch)
        assert desk.rows(state="done") == ["people 1 upsert done", "people 2 upsert done"]

    def test_what_changed_since_it_was_lent_is_loaded_as_it_is_now(self, desk: Desk) -> None:
        (batch,) = take(desk, people(desk, "1", "2")).lent.values()
        desk.take(desk.customer("1", "New"))
        assert [work.snapshot.data.first_name for work in desk.store.load(batch)] == ["New", "Ada"]
        assert [work.snapshot.data.first_name for work in desk.store.load(batch)] == ["New", "Ada"]

    def test_of_several_loans_each_is_full_or_none(self, desk: Desk) -> None:
        done = take(desk, people(desk, "1", "2", "3"), people(desk, "4", "5"), loans=3)
        assert {token: [d.key for d in batch] for token, batch in done.lent.items()} == {
            "loan0": ["1", "2"],
            "loan1": ["3", "4"],
        }
        assert desk.rows(state="ready") == ["people 5 upsert ready"]
        assert done.sinks == frozenset({"crm"})

    def test_what_does_not_fill_a_loan_is_owed_as_always(self, desk: Desk) -> None:
        done = take(desk, people(desk, "1", "2"), size=3)
        assert (done.lent, done.dirtied, done.sinks) == ({}, 2, frozenset({"crm"}))
        assert [(d.key, d.maybe_applied) for d in desk.claim()] == [("1", False), ("2", False)]

    def test_nothing_is_lent_while_something_of_the_route_could_be_claimed(self, desk: Desk) -> None:
        desk.take(desk.customer("0"), bulk=True)
        assert take(desk, people(desk, "1", "2")).lent == {}
        assert [d.key for d in desk.claim()] == ["0", "1", "2"]

    def test_only_what_nothing_is_known_of_is_lent(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.deliver_all()
        desk.take(desk.gone("customer", "1"))
        desk.deliver_all()
        desk.take(desk.touch("customer", "2"))
        guest = guest_key("c3@shop.test")
        desk.take(desk.customer(guest, email="c3@shop.test", guest=True))
        desk.deliver_all()
        account = desk.customer("3", replaces=(guest,))
        lent = take(desk, (*people(desk, "1", "2"), account, *people(desk, "4")), size=1, loans=4).lent
        assert [[d.key for d in batch] for batch in lent.values()] == [["4"]]
        assert desk.rows(state="running") == ["people 4 upsert running"]

    def test_a_newer_state_waits_for_the_one_that_was_lent(self, desk: Desk) -> None:
        (batch,) = take(desk, people(desk, "1", "2")).lent.values()
        desk.take(desk.customer("1", "New"))
        assert desk.claim() == []
        assert desk.settle(batch[0], link=desk.link("r-1"))
        assert [d.key for d in desk.claim()] == ["1"]

    def test_a_second_state_in_the_same_commit_is_owed_behind_it(self, desk: Desk) -> None:
        (batch,) = take(desk, people(desk, "1", "2"), (desk.customer("1", "New"),)).lent.values()
        assert desk.rows() == ["people 1 upsert running", "people 2 upsert running", "people 1 upsert ready"]
        assert desk.claim() == []
        assert desk.settle(batch[0], link=desk.link("r-1"))
        assert [d.key for d in desk.claim()] == ["1"]

    def test_a_second_state_folds_what_a_short_loan_gives_back(self, desk: Desk) -> None:
        assert take(desk, people(desk, "1", "2"), (desk.customer("1", "New"),), size=3).lent == {}
        assert sorted(d.key for d in desk.claim()) == ["1", "2"]

    def test_another_route_to_the_sink_waits(self, desk: Desk) -> None:
        desk.rules["customer"].append(DirtyRule(route="leads", sink="crm", entity="customer"))
        (batch,) = take(desk, people(desk, "1", "2")).lent.values()
        rules = [desk.claim_rule(route) for route in ("people", "leads")]
        assert desk.claim(rules) == []
        assert desk.settle(batch[0], link=desk.link("r-1"))
        assert [(d.route, d.key) for d in desk.claim(rules)] == [("leads", "1")]

    def test_live_changes_are_not_lent(self, desk: Desk) -> None:
        loan = Loan(route="people", token="loan", size=1, lease=LEASE)
        assert desk.take(desk.customer("1"), loans=[loan]).lent == {}
        assert desk.rows() == ["people 1 upsert ready"]

    def test_after_a_restore_nothing_is_lent(self, desk: Desk) -> None:
        desk.store.doubt(["shop"], desk.now)
        assert take(desk, people(desk, "1", "2")).lent == {}
        assert [d.maybe_applied for d in desk.claim()] == [True, True]

    def test_what_was_lent_to_a_process_that_died_is_claimed_in_doubt(self, desk: Desk) -> None:
        take(desk, people(desk, "1", "2"))
        desk.tick(minutes=3)
        assert desk.store.rescue(desk.now) == 2
        assert [(d.key, d.maybe_applied) for d in desk.claim()] == [("1", True), ("2", True)]

    def test_the_counts_know_of_it(self, desk: Desk) -> None:
        take(desk, people(desk, "1", "2", "3"))
        counts = desk.store.counts_by_route()["people"]
        assert (counts.running, counts.ready) == (2, 1)
