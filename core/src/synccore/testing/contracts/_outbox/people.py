"""What persons see and do: lists, counts, retry, dismiss, forget, verify, links, and the small things kept."""

from datetime import timedelta
from typing import Any

import pytest

from ....store import HistoryEntry, LaneRecord, RouteCounts, Settlement, UnderWay, email_digest, key_digest
from .desk import Desk


def park(desk: Desk, delivery: Any, error: Any = "no such field", kind: Any = "rejected") -> Any:
    return desk.settle(delivery, "parked", error_kind=kind, error=error, counted=True)


class PeopleRules:
    """What persons see and do: lists, counts, retry, dismiss, forget, verify, links, and the small things kept."""

    def test_parked_rows_are_grouped_by_cause(self, desk: Desk) -> None:
        desk.take(*[desk.customer(str(n)) for n in range(3)], desk.payment("e1"))
        for number, delivery in enumerate(desk.claim()):
            park(desk, delivery, "a" if number < 2 else "b")
        park(desk, desk.claim()[0], "a")
        causes = [(c.route, c.error_kind, c.error, c.count) for c in desk.store.parked_causes()]
        assert causes[0] == ("people", "rejected", "a", 2)
        assert len(causes) == 3
        assert len(desk.store.parked_causes(limit=1)) == 1

    def test_retry_gives_a_parked_row_a_clean_slate(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        delivery = desk.claim()[0]
        park(desk, delivery)
        desk.tick(hours=1)
        assert desk.store.retry([delivery.id, 99], desk.now) == 1
        again = desk.claim()[0]
        assert (again.id, again.attempts, again.error_kind, again.first_failed_at) == (delivery.id, 0, None, None)
        assert desk.store.history()[-1].outcome == "retried"

    def test_retry_folds_into_a_newer_row(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        old = desk.claim()[0]
        park(desk, old)
        desk.take(desk.customer("1", "B"))
        assert desk.store.retry([old.id], desk.now) == 1
        assert desk.rows() == ["people 1 upsert ready"]
        assert desk.store.deliveries()[0].id > old.id

    def test_retry_hurries_a_newer_row_that_backs_off(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        old = desk.claim()[0]
        park(desk, old)
        desk.take(desk.customer("1", "B"))
        desk.settle(
            desk.claim()[0], "ready", due_at=desk.now + timedelta(hours=1), counted=True, error_kind="transient"
        )
        desk.store.retry([old.id], desk.now)
        assert [(d.attempts, d.error_kind) for d in desk.claim()] == [(0, None)]

    def test_a_retried_row_waits_while_its_key_runs(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        old = desk.claim()[0]
        park(desk, old)
        desk.take(desk.customer("1", "B"))
        running = desk.claim()[0]
        assert desk.store.retry([old.id], desk.now) == 1
        assert desk.claim() == []
        desk.settle(running, "done")
        assert [d.id for d in desk.claim()] == [old.id]

    def test_only_parked_rows_are_retried_or_dismissed(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        row = desk.store.deliveries()[0]
        assert desk.store.retry([row.id], desk.now) == desk.store.dismiss([row.id], desk.now) == 0

    def test_dismissed_is_final(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        delivery = desk.claim()[0]
        park(desk, delivery)
        assert desk.store.dismiss([delivery.id], desk.now) == 1
        assert desk.rows() == ["people 1 upsert dismissed"]
        assert desk.store.deliveries()[0].settled_at == desk.now
        assert desk.store.history()[-1].outcome == "dismissed"

    def test_what_a_try_without_an_answer_may_have_made_is_doubted_also_once_that_was_dismissed(
        self, desk: Desk
    ) -> None:
        desk.take(desk.customer("1", "A"))
        unheard = {"email": "first@shop.test"}
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", maybe_applied=True, unheard=unheard)
        desk.store.dismiss([d.id for d in desk.store.deliveries()], desk.now)
        desk.take(desk.customer("1", "B"))
        (again,) = desk.claim()
        assert again.maybe_applied
        (work,) = desk.store.load([again])
        assert work.unheard == unheard
        desk.settle(again, link=desk.link("R1"))
        desk.take(desk.customer("1", "C"))
        assert not desk.claim()[0].maybe_applied, "what is linked was found"

    def test_nothing_is_kept_of_what_a_newer_delivery_made_pointless(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        unheard = {"email": "first@shop.test"}
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", maybe_applied=True, unheard=unheard)
        desk.take(desk.customer("1", "B"))
        desk.settle(desk.claim()[0], link=desk.link("R1"))
        with desk.store.reading() as view:
            rows = view.execute("SELECT state, sent, before, maybe_applied FROM delivery ORDER BY id").fetchall()
        kept = [(row["state"], row["sent"], row["before"], row["maybe_applied"]) for row in rows]
        assert kept == [("skipped", None, None, 0), ("done", None, None, 0)]

    def test_an_address_that_others_may_have_been_written_with_is_forgotten_too(self, desk: Desk) -> None:
        """Somebody had it for a moment and gave it up; whoever has it now is forgotten."""
        desk.take(desk.customer("1", "A"), desk.customer("2", email="ada@shop.test"))
        mine = next(d for d in desk.claim() if d.key == "1")
        unheard = {"email": "Ada@shop.test", "phone": "+4930555018"}
        desk.settle(mine, "parked", error_kind="rejected", maybe_applied=True, unheard=unheard)
        desk.tick(minutes=5)
        desk.store.forget("ada@shop.test", email_digest("ada@shop.test"), desk.now)
        desk.take(desk.customer("1", "B"))
        (again,) = desk.claim()
        assert desk.store.load([again])[0].unheard == {"phone": "+4930555018"}

    def test_deliveries_are_listed_newest_first_by_any_word(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.customer("2"), desk.order("o1", None))
        desk.settle(desk.claim()[0])
        assert [d.key for d in desk.store.deliveries()] == ["o1", "2", "1"]
        assert [d.key for d in desk.store.deliveries(state="done")] == ["1"]
        assert [d.key for d in desk.store.deliveries(route="people", limit=1)] == ["2"]
        assert [d.key for d in desk.store.deliveries(key="o1", sink="crm")] == ["o1"]
        assert [d.key for d in desk.store.deliveries(ids=[1, 3])] == ["o1", "1"]
        assert desk.store.deliveries(ids=[]) == []
        with pytest.raises(ValueError, match="unknown state"):
            desk.store.deliveries(state="lost")

    def test_counts_say_what_is_owed_and_how_old(self, desk: Desk) -> None:
        first = desk.now
        desk.take(desk.customer("1"), desk.customer("2"))
        desk.tick(minutes=1)
        desk.take(desk.order("o1", None))
        batch = desk.claim()
        desk.settle(batch[0])
        park(desk, batch[1])
        desk.take(desk.customer("3"))
        assert desk.store.counts_by_route() == {
            "people": RouteCounts(ready=1, done=1, parked=1, oldest_ready_at=desk.now),
            "orders": RouteCounts(ready=1, oldest_ready_at=desk.now),
        }
        assert desk.store.counts_by_sink() == {"crm": RouteCounts(ready=2, done=1, parked=1, oldest_ready_at=desk.now)}
        assert first < desk.now

    def test_the_balance_counts_each_live_record_once(self, desk: Desk) -> None:
        desk.take(*[desk.customer(str(n)) for n in range(7)], desk.gone("customer", "6"))
        batch = {d.key: d for d in desk.claim()}
        desk.settle(batch["0"], link=desk.link("R0"))
        desk.settle(batch["1"], "skipped")
        park(desk, batch["2"])
        desk.settle(batch["3"], link=desk.link("R3"))
        desk.take(desk.customer("3", "again"))
        desk.settle(batch["4"], "done")
        desk.store.prune(desk.now + timedelta(days=1))
        assert desk.store.route_balance("people", "shop", "customer") == {
            "in": 6,
            "linked": 1,
            "parked": 1,
            "skipped": 1,
            "open": 2,
            "missing": 1,
        }

    def test_a_linked_record_whose_newer_state_is_parked_is_parked_in_the_balance(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.settle(desk.claim()[0], link=desk.link("R1"))
        desk.take(desk.customer("1", "again"))
        park(desk, desk.claim()[0])
        balance = desk.store.route_balance("people", "shop", "customer")
        assert (balance["in"], balance["linked"], balance["parked"]) == (1, 0, 1)

    def test_what_was_skipped_or_given_up_is_in_the_balance_however_long_ago(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.customer("2"))
        skipped, refused = desk.claim()
        desk.settle(skipped, "skipped")
        park(desk, refused)
        desk.store.dismiss([refused.id], desk.now)
        for _ in range(2):
            assert desk.store.route_balance("people", "shop", "customer")["skipped"] == 2
            desk.store.prune(desk.now + timedelta(days=1))

    def test_prune_takes_what_is_final_and_old_and_never_what_is_parked(self, desk: Desk) -> None:
        desk.take(*[desk.customer(str(n)) for n in range(1203)])
        while batch := desk.claim([desk.claim_rule("people", max_batch=500)]):
            for delivery in [d for d in batch if d.key == "7"]:
                park(desk, delivery)
            ended = [Settlement(delivery_id=d.id, token=str(d.lease_token), to="done") for d in batch if d.key != "7"]
            assert desk.store.settle(ended, desk.now) == frozenset()
        assert desk.store.prune(desk.now)["delivery"] == 0
        gone = desk.store.prune(desk.now + timedelta(milliseconds=1))
        assert (gone["delivery"], gone["history"]) == (1202, 1203)
        assert desk.rows() == ["people 7 upsert parked"]

    def test_the_trail_is_read_oldest_first_by_person_sink_and_time(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.order("o1", "1"), desk.customer("2"))
        lines = [
            HistoryEntry(
                at=desk.now + timedelta(minutes=n),
                route="people",
                sink=sink,
                source="shop",
                entity="customer",
                key=key,
                op="upsert",
                outcome="delivered",
            )
            for n, (sink, key) in enumerate([("crm", "1"), ("mail", "1"), ("crm", "2")])
        ]
        desk.store.overtaken((), lines)
        read = desk.store.history
        assert [(h.key, h.sink) for h in read(keys=[("shop", "1")])] == [
            ("1", ""),
            ("o1", ""),
            ("1", "crm"),
            ("1", "mail"),
        ]
        assert [h.key for h in read(sink="crm")] == ["1", "2"]
        assert [h.key for h in read(key="2")] == ["2", "2"]
        assert [h.sink for h in read(since=desk.now + timedelta(minutes=1))] == ["mail", "crm"]
        assert [h.sink for h in read(limit=2)] == ["mail", "crm"]
        last = read()[-2]
        assert [h.id for h in read(after_id=last.id)] == [last.id + 1]
        assert read(keys=[]) == []
        assert desk.store.last_activity() == {
            "crm": desk.now + timedelta(minutes=2),
            "mail": desk.now + timedelta(minutes=1),
        }

    def test_links_are_paged_by_key_and_sampled_repeatably(self, desk: Desk) -> None:
        for number in range(30):
            desk.store.put_link("people", "shop", "customer", f"{number:02}", desk.link(f"R{number}"), desk.now)
        page = desk.store.links("people", after="09", limit=3)
        assert [link.key for link in page] == ["10", "11", "12"]
        sample = desk.store.sample_links("people", 5, seed=7)
        assert len(sample) == 5
        assert desk.store.sample_links("people", 5, seed=7) == sample
        assert any(desk.store.sample_links("people", 5, seed=s) != sample for s in (1, 2, 3))
        assert [link.route for link in desk.store.links_of("shop", "customer", "03")] == ["people"]

    def test_people_are_found_by_any_spelling_of_their_address(self, desk: Desk) -> None:
        desk.take(desk.customer("1", email="Ada@Shop.test"), desk.customer("2", email="b@shop.test"))
        assert desk.store.keys_by_email(" ADA@shop.TEST ") == [("shop", "1")]

    def test_changes_of_the_forgotten_are_dropped(self, desk: Desk) -> None:
        mail = "ada@shop.test"
        desk.take(desk.customer("1", email=mail))
        assert desk.store.forgotten_at(email_digest(mail)) is None
        desk.store.forget(mail, email_digest(mail), desk.now)
        assert desk.store.forgotten_at("nobody's", email_digest(mail)) == desk.now
        assert desk.store.forgotten_at(key_digest("shop", "customer", "1")) == desk.now
        done = desk.take(
            desk.customer("1", email="ADA@shop.test"),
            desk.order("o1", "1", email=mail),
            desk.order("o2", "1", email="billed.to@shop.test"),
            desk.payment("e1", owner="1"),
            desk.customer("2"),
            sweep="s",
        )
        assert (done.forgotten, done.accepted) == (4, 1)
        assert desk.rows() == ["people 2 upsert ready"]
        with desk.store.reading() as view:
            assert [row["key"] for row in view.execute("SELECT key FROM sweep_seen").fetchall()] == ["2"]
        assert desk.take(desk.customer("1", email="new@shop.test")).accepted == 1

    def test_the_trail_does_not_name_the_forgotten_again_where_nothing_is_said_of_them(self, desk: Desk) -> None:
        mail = "ada@shop.test"
        desk.take(desk.customer("1", email=mail))
        desk.store.forget(mail, email_digest(mail), desk.now)
        assert desk.take(desk.touch("customer", "1")).hinted == 1, "the shop may have the account still"
        assert desk.store.history() == []
        desk.take(desk.customer("1", email="new@shop.test"))
        assert [line.outcome for line in desk.store.history()] == ["received"]

    def test_how_somebody_was_before_they_were_forgotten_brings_them_back_under_no_address(self, desk: Desk) -> None:
        mail, first = "ada@shop.test", desk.now
        former = desk.customer("1", email="former@shop.test", at=first)
        desk.take(former, desk.customer("1", email=mail))
        desk.tick(minutes=1)
        desk.store.forget(mail, email_digest(mail), desk.now)
        desk.tick(minutes=1)
        assert desk.take(former).forgotten == 1, "a webhook from before comes late"
        assert desk.take(former, read_at=first).forgotten == 1, "a page from before is taken in late"
        assert desk.take(former, read_at=desk.now).accepted == 1, "the shop has the account still"

    def test_nobody_is_forgotten_while_a_call_may_make_them_anew(self, desk: Desk) -> None:
        mail = "ada@shop.test"
        desk.take(desk.customer("1", email=mail), desk.order("o1", "1", email=mail))
        desk.claim(minutes=2)
        with pytest.raises(UnderWay, match="crm"):
            desk.store.forget(mail, email_digest(mail), desk.now)
        assert desk.store.keys_by_email(mail), "half of it was done"
        desk.store.forget(mail, email_digest(mail), desk.now + timedelta(minutes=3))
        assert not desk.store.keys_by_email(mail), "the lease of who died ends by itself"

    @pytest.mark.parametrize("to", ["submitted", "done"])
    def test_nobody_is_forgotten_who_was_sent_after_the_targets_were_asked(self, desk: Desk, to: str) -> None:
        mail = "ada@shop.test"
        desk.take(desk.customer("1", email=mail))
        [row] = desk.claim()
        known = desk.store.sent_of(mail)
        desk.settle(row, to, **({"job": "J", "sent": {}} if to == "submitted" else {}))
        with pytest.raises(UnderWay, match="crm"):
            desk.store.forget(mail, email_digest(mail), desk.now, known=known)
        assert desk.store.keys_by_email(mail), "half of it was done"
        desk.store.forget(mail, email_digest(mail), desk.now, known=desk.store.sent_of(mail))
        assert not desk.store.keys_by_email(mail)

    def test_a_lane_keeps_its_state(self, desk: Desk) -> None:
        assert desk.store.lane("crm") == LaneRecord(sink="crm")
        paused = LaneRecord(
            sink="crm", state="rate_limited", reason="429", until=desk.now, changed_at=desk.now, failures=3
        )
        desk.store.put_lane(paused)
        assert desk.store.lane("crm") == paused

    def test_a_backfill_is_resumed_not_doubled(self, desk: Desk) -> None:
        queue = desk.store.queue_backfill
        job = queue("backfill", "shop", "customer", {"b": "2", "a": "1"}, None, desk.now)
        assert queue("backfill", "shop", "customer", {"a": "1", "b": "2"}, None, desk.now) == job
        other = queue("backfill", "shop", "customer", {}, "people", desk.now)
        assert other.id != job.id
        assert desk.store.next_backfill() == job
        assert desk.store.next_backfill("elsewhere") is None
        desk.store.update_backfill(job.id, state="running", cursor="c", seen=5, total=9, now=desk.now)
        kept = desk.store.get_backfill(job.id)
        assert (kept.state, kept.cursor, kept.seen, kept.total, kept.finished_at) == ("running", "c", 5, 9, None)
        assert kept.filters == {"a": "1", "b": "2"}
        desk.store.update_backfill(job.id, state="done", now=desk.now)
        assert desk.store.get_backfill(job.id).finished_at == desk.now
        assert desk.store.next_backfill("shop") == other
        assert queue("backfill", "shop", "customer", {"a": "1", "b": "2"}, None, desk.now).id not in (job.id, other.id)

    def test_secrets_are_named_and_forgotten(self, desk: Desk) -> None:
        desk.store.put_secret("crm/token", "x", desk.now)
        desk.store.put_secret("crm/token", "y", desk.now)
        desk.store.put_secret("mail/token", "z", desk.now)
        assert desk.store.get_secret("crm/token") == "y"
        assert desk.store.secret_names("crm/") == [("crm/token", desk.now)]
        assert desk.store.delete_secret("crm/token")
        assert not desk.store.delete_secret("crm/token")
        assert desk.store.get_secret("crm/token") is None

    def test_plugin_state_is_scanned_by_prefix_in_order(self, desk: Desk) -> None:
        state = desk.store.state("crm")
        state.put({f"a/{n:04}": n for n in range(1201)} | {"b": {"x": [1]}, "a": None})
        assert [v for _, v in state.scan("a/")] == list(range(1201))
        assert state.get("b") == {"x": [1]}
        assert [k for k, _ in desk.store.state("other").scan()] == []
        assert state.get_all(["a/0007", "b", "nobody's"]) == {"a/0007": 7, "b": {"x": [1]}}
        assert state.get_all([]) == {}
        state.put({"b": None, "a/0000": "new"})
        assert (state.get("b"), state.get("a/0000")) == (None, "new")
        state.clear("a/1")
        assert len(list(state.scan())) == 1000
        state.clear()
        assert list(state.scan()) == []
