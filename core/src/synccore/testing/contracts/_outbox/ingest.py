"""What a change leaves behind: snapshot, debt, or nothing."""

from collections import Counter
from datetime import timedelta

import pytest

from ....store import NEWS_SINCE, DirtyRule, Ingest
from ....types import Change, EntityRef
from .desk import Desk


class TakingInRules:
    """What a change leaves behind: snapshot, debt, or nothing."""

    def test_a_new_record_is_kept_and_owed(self, desk: Desk) -> None:
        done = desk.take(desk.customer("1", version=7))
        assert (done.accepted, done.dirtied, done.sinks) == (1, 1, frozenset({"crm"}))
        kept = desk.store.snapshot("shop", "customer", "1")
        assert (kept.version, kept.data.first_name, kept.deleted) == (7, "Ada", False)
        assert desk.rows() == ["people 1 upsert ready"]

    def test_an_equal_state_leaves_no_trace(self, desk: Desk) -> None:
        desk.take(desk.customer("1", raw={"a": 1}))
        desk.deliver_all()
        done = desk.take(desk.customer("1", raw={"b": 2}, updated_at=desk.now))
        assert (done.accepted, done.unchanged, done.dirtied, done.sinks) == (0, 1, 0, frozenset())
        assert desk.rows() == ["people 1 upsert done"]

    def test_an_equal_state_with_a_newer_version_makes_what_lies_between_stale(self, desk: Desk) -> None:
        desk.take(desk.customer("1", version=1))
        desk.take(desk.customer("1", version=5))
        assert desk.take(desk.customer("1", "Old", version=3)).stale == 1

    def test_an_older_version_is_dropped_and_an_equal_or_unknown_one_taken(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A", version=5))
        assert desk.take(desk.customer("1", "B", version=4)).stale == 1
        assert desk.take(desk.customer("1", "C", version=5)).accepted == 1
        assert desk.take(desk.customer("1", "D")).accepted == 1
        kept = desk.store.snapshot("shop", "customer", "1")
        assert (kept.data.first_name, kept.version) == ("D", 5)

    def test_many_changes_are_one_delivery_of_the_newest(self, desk: Desk) -> None:
        for name in "ABC":
            desk.take(desk.customer("1", name))
        assert desk.rows() == ["people 1 upsert ready"]
        work = desk.store.load(desk.claim())
        assert work[0].snapshot.data.first_name == "C"

    def test_a_change_while_the_key_runs_is_owed_again_and_waits_for_it(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        running = desk.claim()[0]
        desk.take(desk.customer("1", "B"))
        assert desk.rows() == ["people 1 upsert running", "people 1 upsert ready"]
        assert desk.claim() == []
        assert desk.store.next_due("crm") is None
        desk.settle(running)
        assert desk.store.load(desk.claim())[0].snapshot.data.first_name == "B"

    def test_units_of_one_commit_end_as_one_after_the_other(self, desk: Desk) -> None:
        """What a later one needs to know of an earlier one is known, though both are read and written together."""
        alone = [
            desk.customer("1", "A", version=2),
            desk.customer("1", "B", version=3),
            desk.customer("1", "Old", version=1),
            desk.customer("1", "B", version=3),
            desk.order("o1", "1"),
            desk.customer("2", email="c3@shop.test"),
            desk.customer("3"),
            desk.gone("customer", "1"),
        ]
        units = [Ingest(source="shop", changes=[change], rules=desk.rules) for change in alone]
        done = desk.store.ingest(units, desk.now)
        assert [(d.accepted, d.unchanged, d.stale, d.dirtied) for d in done] == [
            (1, 0, 0, 1),
            (1, 0, 0, 1),
            (0, 0, 1, 0),
            (0, 1, 0, 0),
            (1, 0, 0, 2),  # the order, and its customer's route
            (1, 0, 0, 1),
            (1, 0, 0, 1),
            (1, 0, 0, 1),
        ]
        assert desk.rows() == [
            "people 1 delete ready",
            "orders o1 upsert ready",
            *(f"people {n} upsert ready" for n in "23"),
        ]
        # Two accounts have one address: the one that was there is asked for, and both wait.
        assert [(h.op, h.key) for h in desk.store.hints("shop", desk.now, 10)] == [("touch", "2")]
        assert [(d.route, d.key) for d in desk.claim()] == [("people", "1")]

    def test_what_waits_for_a_record_that_is_deleted_is_asked_for(self, desk: Desk) -> None:
        """It may be nobody's by now. What can go as it is does."""
        desk.take(desk.order("o1", "1"), desk.order("o2", "2"), desk.order("o3", "1"))
        later = desk.now + timedelta(hours=1)
        first, second, third = desk.claim()
        desk.settle(first, "ready", due_at=later, wait=("people", "customer", "1"))
        desk.settle(second, "ready", due_at=later, wait=("people", "customer", "2"))
        desk.take(desk.customer("1"))
        assert desk.take(desk.gone("customer", "1")).hinted == 1
        assert [h.key for h in desk.store.hints("shop", desk.now, 10)] == ["o1"]
        # And so is what comes to wait for it later.
        desk.settle(third, "ready", due_at=later, wait=("people", "customer", "1"))
        assert sorted(h.key for h in desk.store.hints("shop", desk.now, 10)) == ["o1", "o3"]

    def test_keys_and_former_states_are_owed_as_they_are(self, desk: Desk) -> None:
        """Whatever a shop calls its records, and in one unit with others."""
        keys = ["plain", "a\"b'c\\d", "ümlaut 😀", "tab\tand\nline", "$.x", "1"]
        desk.take(*(desk.customer(key, name=key) for key in keys))
        assert desk.take(*(desk.customer(key, name="Eve") for key in keys)).dirtied == len(keys)
        works = desk.store.load(desk.claim())
        assert [(w.delivery.key, w.before and w.before.data.first_name) for w in works] == [(k, k) for k in keys]

    def test_a_key_that_comes_twice_in_a_unit_is_owed_as_it_came_last(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.customer("2"))
        desk.deliver_all()
        desk.take(desk.customer("1", "Eve"), desk.gone("customer", "2"), desk.gone("customer", "1"))
        desk.take(desk.customer("2", "Bob"))
        assert desk.rows(state="ready") == ["people 1 delete ready", "people 2 upsert ready"]

    def test_a_delete_turns_the_waiting_upsert_and_back(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        assert desk.take(desk.gone("customer", "1")).accepted == 1
        assert desk.rows() == ["people 1 delete ready"]
        desk.take(desk.customer("1"))
        assert desk.rows() == ["people 1 upsert ready"]

    def test_deleting_the_unknown_or_the_deleted_does_nothing(self, desk: Desk) -> None:
        assert desk.take(desk.gone("customer", "9")).unchanged == 1
        desk.take(desk.customer("1"), desk.gone("customer", "1"))
        assert desk.take(desk.gone("customer", "1")).unchanged == 1
        assert desk.store.snapshot_counts("shop") == {"customer": 0}

    def test_a_tombstone_remembers_its_version(self, desk: Desk) -> None:
        desk.take(desk.customer("1", version=3), desk.gone("customer", "1", version=6))
        assert desk.take(desk.customer("1", version=5)).stale == 1
        assert desk.store.snapshot("shop", "customer", "1").deleted
        assert desk.take(desk.customer("1", version=7)).accepted == 1
        assert not desk.store.snapshot("shop", "customer", "1").deleted

    def test_a_deleted_record_comes_back_without_a_version(self, desk: Desk) -> None:
        desk.take(desk.customer("1", version=3), desk.gone("customer", "1"))
        assert desk.take(desk.customer("1")).accepted == 1

    def test_an_older_delete_is_stale(self, desk: Desk) -> None:
        desk.take(desk.customer("1", version=3))
        assert desk.take(desk.gone("customer", "1", version=2)).stale == 1

    def test_an_event_counts_once_per_route(self, desk: Desk) -> None:
        desk.rules["payment"].append(DirtyRule(route="mails", sink="mail", entity="payment"))
        assert desk.take(desk.payment("e1"), desk.payment("e1")).unchanged == 1
        assert desk.rows() == ["facts e1 event ready", "mails e1 event ready"]

    def test_an_event_seen_again_after_its_delivery_was_pruned_stays_delivered(self, desk: Desk) -> None:
        desk.take(desk.payment("e1"))
        desk.deliver_all()
        desk.store.prune(desk.now + timedelta(days=1))
        assert desk.rows() == []
        assert desk.take(desk.payment("e1"), force=frozenset({"facts"}), bulk=True).dirtied == 0

    def test_a_backfill_gives_a_new_route_the_old_events(self, desk: Desk) -> None:
        desk.take(desk.payment("e1"))
        desk.rules["payment"].append(DirtyRule(route="mails", sink="mail", entity="payment"))
        assert desk.take(desk.payment("e1"), force=frozenset({"mails"}), bulk=True).dirtied == 1
        assert desk.rows(sink="mail") == ["mails e1 event ready"]

    def test_an_event_without_its_id_is_a_fault_of_the_source(self, desk: Desk) -> None:
        with pytest.raises(ValueError, match="event_id"):
            desk.take(Change(entity="payment", key="p", op="event", data=desk.payment("e").data))
        with pytest.raises(ValueError, match="needs data"):
            desk.take(Change(entity="customer", key="1", op="upsert"))

    def test_one_bad_unit_takes_nothing_of_the_group(self, desk: Desk) -> None:
        good = Ingest(source="shop", changes=[desk.customer("1")], rules=desk.rules, cursor=("poll:customer", "2"))
        bad = Ingest(source="shop", changes=[Change(entity="customer", key="2", op="upsert")], rules=desk.rules)
        with pytest.raises(ValueError, match="needs data"):
            desk.store.ingest([good, bad], desk.now)
        assert desk.store.snapshot("shop", "customer", "1") is None
        assert desk.store.get_cursor("shop", "poll:customer") is None

    def test_an_owned_record_dirties_the_route_that_includes_it(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.deliver_all()
        desk.take(desk.order("o1", "1"))
        assert desk.rows(state="ready") == ["orders o1 upsert ready", "people 1 upsert ready"]
        work = desk.store.load(desk.claim([desk.claim_rule("people")]), include=["order"])
        assert [s.key for s in work[0].included["order"]] == ["o1"]

    def test_a_new_owner_and_the_old_one_both_hear_of_it(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.customer("2"), desk.order("o1", "1"))
        desk.deliver_all()
        assert desk.take(desk.order("o1", "2")).accepted == 1
        assert sorted(desk.rows(state="ready")) == [
            "orders o1 upsert ready",
            "people 1 upsert ready",
            "people 2 upsert ready",
        ]

    def test_a_deleted_record_tells_its_owner(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.order("o1", "1"))
        desk.deliver_all()
        desk.take(desk.gone("order", "o1"))
        assert desk.rows(state="ready") == ["orders o1 delete ready", "people 1 upsert ready"]

    def test_an_unknown_or_deleted_owner_is_not_owed(self, desk: Desk) -> None:
        desk.take(desk.order("o1", "1"))
        assert desk.rows() == ["orders o1 upsert ready"]
        desk.take(desk.customer("1"), desk.gone("customer", "1"))
        desk.take(desk.order("o1", "1", "paid"))
        assert desk.rows(route="people") == ["people 1 delete ready"]

    def test_a_route_that_includes_its_siblings_hears_of_them(self, desk: Desk) -> None:
        desk.rules["payment"] = [DirtyRule(route="orders", sink="crm", entity="order", target="owner")]
        desk.take(desk.customer("1"), desk.order("o1", "1"), desk.order("o2", "1"))
        desk.deliver_all()
        desk.take(desk.payment("e1", owner="1"))
        assert desk.rows(state="ready") == ["orders o1 upsert ready", "orders o2 upsert ready"]
        work = desk.store.load(desk.claim(), include=["payment", "order"])
        assert [s.key for s in work[0].included["payment"]] == ["p"]
        assert [s.key for s in work[0].included["order"]] == ["o1", "o2"]

    def test_delay_counts_from_the_last_change_but_not_for_ever(self, desk: Desk) -> None:
        desk.rules["customer"] = [DirtyRule(route="people", sink="crm", entity="customer", delay=timedelta(minutes=5))]
        start = desk.now
        for minute in (0, 4, 8, 12, 16, 19):
            desk.now = start + timedelta(minutes=minute)
            desk.take(desk.customer("1", f"name {minute}"))
            assert desk.store.next_due("crm") == min(desk.now + timedelta(minutes=5), start + timedelta(minutes=20))
        desk.now = start + timedelta(minutes=20)
        assert len(desk.claim()) == 1

    def test_a_change_does_not_hurry_a_row_that_backs_off(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        later = desk.now + timedelta(hours=1)
        desk.settle(desk.claim()[0], "ready", due_at=later, counted=True, error_kind="transient", error="locked")
        desk.take(desk.customer("1", "B"))
        assert desk.store.next_due("crm") == later

    def test_a_live_change_makes_a_bulk_row_live_and_never_the_reverse(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"), bulk=True)
        assert desk.store.deliveries()[0].bulk
        desk.take(desk.customer("1", "B"))
        assert not desk.store.deliveries()[0].bulk
        desk.take(desk.customer("1", "C"), bulk=True)
        assert not desk.store.deliveries()[0].bulk

    def test_what_a_comparison_is_the_first_to_tell_is_news_and_not_the_past(self, desk: Desk) -> None:
        """A lost webhook's fact is told by whoever finds it; what was so before the first listing ended is history."""
        before, since, after = (desk.now + timedelta(minutes=n) for n in (-1, 0, 1))
        desk.take(desk.customer("1", "A", at=before), desk.customer("2", "A", at=before), desk.customer("3"))
        desk.deliver_all()
        desk.store.put_cursor("shop", f"{NEWS_SINCE}customer", since.isoformat(), desk.now)
        desk.store.put_cursor("shop", f"{NEWS_SINCE}payment", since.isoformat(), desk.now)
        desk.take(
            desk.payment("e1", at=before),
            desk.payment("e2", at=after),
            desk.payment("e3"),
            desk.customer("1", "B", at=before),  # the source reads more of it than it did
            desk.customer("2", "B", at=after),
            desk.customer("3", "B"),
            desk.customer("4", at=before),
            desk.customer("5", at=after),
            desk.customer("6"),
            bulk=True,
            sweep="s",
        )
        told = {d.event_id or d.key: d.bulk for d in desk.store.deliveries(state="ready")}
        past, news = dict.fromkeys(("e1", "e3", "1", "4", "6"), True), dict.fromkeys(("e2", "2", "3", "5"), False)
        assert told == past | news
        heard = Counter(h.key for h in desk.store.history() if h.outcome == "received")
        assert heard == {"1": 1, "2": 2, "3": 2, "5": 1, "p": 1}

    def test_a_deletion_that_a_comparison_finds_is_news(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.deliver_all()
        desk.store.put_cursor("shop", f"{NEWS_SINCE}customer", desk.now.isoformat(), desk.now)
        desk.take(desk.gone("customer", "1"), bulk=True, sweep="s")
        assert [d.bulk for d in desk.store.deliveries(state="ready")] == [False]

    def test_a_backfill_gives_a_new_route_the_old_events_as_the_past(self, desk: Desk) -> None:
        desk.store.put_cursor("shop", f"{NEWS_SINCE}payment", desk.now.isoformat(), desk.now)
        desk.take(desk.payment("e1", at=desk.now + timedelta(minutes=1)))
        desk.rules["payment"].append(DirtyRule(route="mails", sink="mail", entity="payment"))
        fact = desk.payment("e1", at=desk.now + timedelta(minutes=1))
        assert desk.take(fact, force=frozenset({"mails"}), bulk=True).dirtied == 1
        assert [d.bulk for d in desk.store.deliveries(sink="mail")] == [True]

    def test_force_owes_what_did_not_change_and_only_there(self, desk: Desk) -> None:
        desk.rules["customer"].append(DirtyRule(route="news", sink="mail", entity="customer"))
        desk.take(desk.customer("1", version=2))
        desk.deliver_all()
        desk.store.prune(desk.now + timedelta(days=1))
        done = desk.take(desk.customer("1", version=2), bulk=True, force=frozenset({"people"}))
        assert (done.unchanged, done.dirtied, done.sinks) == (1, 1, frozenset({"crm"}))
        assert desk.rows(sink="crm") == ["people 1 upsert ready"]
        # A listing that lags behind still says which records there are.
        desk.deliver_all()
        assert desk.take(desk.customer("1", "Old", version=1), bulk=True, force=frozenset({"people"})).dirtied == 1

    def test_force_does_not_delay_what_is_owed_already(self, desk: Desk) -> None:
        desk.rules["customer"] = [DirtyRule(route="people", sink="crm", entity="customer", delay=timedelta(minutes=5))]
        desk.take(desk.customer("1"))
        due = desk.store.next_due("crm")
        desk.tick(minutes=3)
        assert desk.take(desk.customer("1"), bulk=True, force=frozenset({"people"})).dirtied == 0
        assert desk.store.next_due("crm") == due
        assert not desk.store.deliveries()[0].bulk

    def test_a_cursor_is_stored_with_its_page(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), cursor=("poll:customer", "next"))
        desk.take(cursor=("poll:order", None))
        assert desk.store.get_cursor("shop", "poll:customer") == "next"
        assert desk.store.cursors("shop") == {"poll:customer": ("next", desk.now), "poll:order": (None, desk.now)}
        desk.store.put_cursor("shop", "poll:customer", None, desk.now)
        assert desk.store.get_cursor("shop", "poll:customer") is None

    def test_a_sweep_names_the_keys_it_did_not_see(self, desk: Desk) -> None:
        desk.take(*[desk.customer(k, version=2) for k in ("1", "2", "3", "4")])
        desk.take(desk.customer("1", version=2), sweep="s", bulk=True)  # unchanged
        desk.take(desk.customer("2", version=1), sweep="s", bulk=True)  # stale
        desk.take(desk.customer("5", version=1))  # learned while the sweep runs
        assert desk.store.missing("shop", "customer", "s", "", 10) == ["3", "4"]
        assert desk.store.missing("shop", "customer", "s", "3", 10) == ["4"]
        assert desk.store.missing("shop", "customer", "s", "", 1) == ["3"]
        assert desk.store.sweep_counts("shop", "customer", "s") == (4, 2)
        desk.store.end_sweeps("shop", ())
        assert desk.store.sweep_counts("shop", "customer", "s") == (5, 5)

    def test_a_sweep_ends_with_all_that_it_marked(self, desk: Desk) -> None:
        """What stays would be marked again by every change that comes, for ever."""
        desk.take(desk.customer("1"), desk.order("o1", "1"), sweep="s")
        desk.store.end_sweeps("shop", ())
        desk.take(desk.customer("1", version=2), desk.order("o1", "1", version=2))
        assert [desk.store.sweep_counts("shop", of, "s") for of in ("customer", "order")] == [(1, 1), (1, 1)]

    @pytest.mark.parametrize("state", ["done", "failed"])
    def test_a_listing_takes_along_its_marks_and_where_it_stood(self, desk: Desk, state: str) -> None:
        jobs = [desk.store.queue_backfill("reconcile", "shop", of, {}, None, desk.now) for of in ("customer", "order")]
        names = [f"reconcile:{job.id}:{job.entity}" for job in jobs]
        desk.take(desk.customer("1"))
        for job, name in zip(jobs, names, strict=True):
            desk.take(desk.customer("1"), sweep=str(job.id), cursor=(name, "page 2"))
        desk.store.update_backfill(jobs[0].id, state="running", seen=1, now=desk.now)
        assert desk.store.sweep_counts("shop", "customer", str(jobs[0].id)) == (1, 0)
        desk.store.update_backfill(jobs[0].id, state=state, now=desk.now)
        assert desk.store.sweep_counts("shop", "customer", str(jobs[0].id)) == (1, 1)
        assert desk.store.sweep_counts("shop", "customer", str(jobs[1].id)) == (1, 0), "another one's"
        assert set(desk.store.cursors("shop")) == {names[1]}

    def test_sweeps_that_nobody_goes_on_with_end(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        for name in ("1", "2", "3"):
            desk.take(desk.customer("1"), sweep=name)
        desk.store.end_sweeps("elsewhere", ())
        desk.store.end_sweeps("shop", ("2", "9"))
        assert [desk.store.sweep_counts("shop", "customer", n)[1] for n in ("1", "2", "3")] == [1, 0, 1]

    def test_what_comes_back_during_a_sweep_is_not_missing(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.customer("2"), desk.gone("customer", "1"))
        desk.take(sweep="s")
        desk.take(desk.customer("1"))
        assert desk.store.missing("shop", "customer", "s", "", 10) == ["2"]

    def test_live_changes_leave_a_line_in_the_trail(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.take(desk.customer("1"))
        desk.take(desk.customer("2"), bulk=True)
        assert [(h.key, h.outcome, h.at) for h in desk.store.history()] == [("1", "received", desk.now)]

    def test_half_a_character_is_kept_as_the_sign_for_what_cannot_be_read(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "bad \ud800 text", meta={"k": "\udfff"}))
        kept = desk.store.snapshot("shop", "customer", "1").data
        assert (kept.first_name, kept.meta["k"]) == ("bad \ufffd text", "\ufffd")

    def test_the_owner_of_a_snapshot_is_kept(self, desk: Desk) -> None:
        desk.take(desk.order("o1", "1"))
        assert desk.store.snapshot("shop", "order", "o1").owner == EntityRef("customer", "1")

    def test_a_route_that_moves_to_another_sink_takes_its_waiting_row_along(self, desk: Desk) -> None:
        desk.rules["customer"].append(DirtyRule(route="news", sink="mail", entity="customer"))
        desk.take(desk.customer("1", "A"))
        running = desk.claim([desk.claim_rule("news")], sink="mail")[0]
        desk.rules["customer"] = [DirtyRule(route="people", sink="mail", entity="customer")]
        desk.take(desk.customer("1", "B"))
        assert desk.rows(sink="crm") == []
        assert desk.claim([desk.claim_rule("people")], sink="mail") == []
        desk.settle(running)
        assert [d.route for d in desk.claim([desk.claim_rule("people")], sink="mail")] == ["people"]

    def test_the_past_is_due_at_once_whatever_the_delay(self, desk: Desk) -> None:
        desk.rules["customer"] = [DirtyRule(route="people", sink="crm", entity="customer", delay=timedelta(minutes=5))]
        desk.take(desk.customer("1", "A"), bulk=True)
        desk.take(desk.customer("1", "B"), bulk=True)
        assert desk.store.deliveries()[0].due_at == desk.now
        desk.take(desk.customer("1", "C"))
        assert desk.store.deliveries()[0].due_at == desk.now + timedelta(minutes=5)

    @pytest.mark.parametrize(("version", "owed"), [(1, 0), (2, 1), (None, 1)])
    def test_what_may_have_changed_and_changed_back_since_a_backup_is_owed_in_full(
        self, desk: Desk, version: int | None, owed: int
    ) -> None:
        desk.take(desk.customer(version=1))
        desk.deliver_all()
        desk.store.doubt(["shop"], desk.now)
        desk.take(desk.customer(version=version), bulk=True)
        assert [d.maybe_applied for d in desk.claim()] == [True] * owed
        desk.take(desk.customer("2", version=1))
        desk.store.believe_again("shop", desk.now)
        desk.take(desk.customer("3", version=1))
        assert [(d.key, d.maybe_applied) for d in desk.claim()] == [("2", True), ("3", False)]

    def test_what_was_owed_in_a_backup_may_have_been_delivered_since(self, desk: Desk) -> None:
        """Of a record with a link as well: the shop may change back, and what the link says is not what is there."""
        desk.take(desk.customer(version=1))
        desk.deliver_all()
        desk.take(desk.customer(name="B", version=2), desk.customer("2"))
        assert desk.store.doubt(["shop"], desk.now) == 1
        assert [d.maybe_applied for d in desk.claim()] == [True, True]
