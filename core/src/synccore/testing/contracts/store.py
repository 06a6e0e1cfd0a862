"""What every outbox engine must hold to: the rules of `synccore.store`, whatever two transactions do.

class TestMyEngine(StoreContract):
    def place(self):
        name = new_database()
        return lambda: MyStore(name)

class MyMachine(OutboxMachine):
    place = TestMyEngine.place

TestMyMachine = MyMachine.TestCase

`place` gives a new, empty outbox; each call of what it gives opens it once more, as another process would. An engine
that judges leases by a clock of its own opens here with the caller's: times are invented in these tests.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest

from ...store import Settlement, Store, StoreError
from ._outbox.claim import ClaimingRules
from ._outbox.desk import Desk, NewOutbox
from ._outbox.guests import GuestsRules
from ._outbox.handover import HandoverRules
from ._outbox.hints import HintsRules
from ._outbox.ingest import TakingInRules
from ._outbox.late import LateRules
from ._outbox.lending import LendingRules
from ._outbox.machine import OutboxMachine
from ._outbox.people import PeopleRules
from ._outbox.settle import SettlingRules

__all__ = ["OutboxMachine", "StoreContract"]


class StoreContract(
    ClaimingRules,
    GuestsRules,
    HandoverRules,
    HintsRules,
    LateRules,
    LendingRules,
    PeopleRules,
    SettlingRules,
    TakingInRules,
):
    """Subclass, give a `place`, run."""

    def place(self) -> Callable[[], Store]:
        """A new, empty outbox: each call of what is given opens it once more."""
        raise NotImplementedError

    def make(self) -> Store:
        """A new, empty outbox."""
        return self.place()()

    @pytest.fixture
    def new_outbox(self) -> NewOutbox:
        """Opens a new outbox each time."""
        return self.make

    @pytest.fixture
    def opener(self) -> Callable[[], Store]:
        """Opens the outbox of `desk`."""
        return self.place()

    @pytest.fixture
    def desk(self, opener: Callable[[], Store]) -> Iterator[Desk]:
        """One outbox, one clock, and words for what shops and workers do."""
        with closing(opener()) as store:
            yield Desk(store)

    # -- two at the same moment

    def test_what_one_process_commits_another_sees(self, desk: Desk, opener: Callable[[], Store]) -> None:
        desk.take(desk.customer("1"))
        with closing(opener()) as other:
            assert [d.key for d in other.deliveries()] == ["1"]

    def test_workers_that_claim_at_once_share_the_rows(self, desk: Desk, opener: Callable[[], Store]) -> None:
        desk.take(*[desk.customer(str(n)) for n in range(40)])
        stores = [opener() for _ in range(4)]
        try:
            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(lambda pair: _claim_all(desk, *pair), enumerate(stores)))
        finally:
            for store in stores:
                store.close()
        keys = [key for part in found for key in part]
        assert sorted(keys, key=int) == [str(n) for n in range(40)]

    def test_a_change_and_a_claim_of_its_key_at_once_leave_one_running_and_one_that_waits(
        self, desk: Desk, opener: Callable[[], Store]
    ) -> None:
        """Else the newer state could overtake the older one on its way to the target."""
        desk.take(desk.customer("1", "A"))
        barrier = threading.Barrier(2)

        def change() -> None:
            barrier.wait(60)
            desk.take(desk.customer("1", "B"))

        def claim() -> list[object]:
            with closing(opener()) as other:
                barrier.wait(60)
                return list(other.claim("crm", desk.claims, desk.now, timedelta(minutes=2), "other"))

        with ThreadPoolExecutor(2) as pool:
            changed, claimed = pool.submit(change), pool.submit(claim)
            changed.result()
            assert len(claimed.result()) == 1
        assert desk.claim() == []
        running = desk.store.deliveries(state="running")
        desk.store.settle([Settlement(delivery_id=running[0].id, token="other", to="done")], desk.now)
        assert desk.rows(state="running") == []

    def test_a_transaction_that_fails_leaves_nothing(self, desk: Desk) -> None:
        def fail() -> None:
            with desk.store.writing() as tx:
                tx.execute("INSERT INTO cursor (source, name, value, stored_at) VALUES ('shop', 'x', 'y', 1)")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert desk.store.get_cursor("shop", "x") is None

    @pytest.mark.parametrize("state", ["ready", "running"])
    def test_the_tables_themselves_allow_one_row_of_a_key(self, desk: Desk, state: str) -> None:
        """Whatever a rule above forgets: the second row is refused by a unique index."""
        desk.take(desk.customer("1"))
        if state == "running":
            desk.claim()
        columns = "route, sink, source, entity, key, op, state, bulk, due_at, first_change_at, last_change_at"
        lease = ", lease_token, lease_until" if state == "running" else ""
        values = ", 'x', 1" if state == "running" else ""
        route = "another" if state == "running" else "people"
        with pytest.raises(Exception, match=r"(?i)unique"), desk.store.writing() as tx:
            tx.execute(
                f"INSERT INTO delivery ({columns}{lease}, created_at) VALUES "  # noqa: S608  constants
                f"('{route}', 'crm', 'shop', 'customer', '1', 'upsert', '{state}', 0, 1, 1, 1{values}, 1)"
            )

    # -- what is looked at

    def test_every_look_answers(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.order("o1", "1"), desk.payment("e1", owner="1"))
        desk.deliver_all()
        desk.take(desk.customer("1", "B"), desk.customer("2"))
        job = desk.claim()[0]
        desk.settle(job, "submitted", job="j", sent={"fields": {}})
        desk.take(desk.customer("1", "C"))
        store, now, ago = desk.store, desk.now, desk.now - timedelta(hours=1)
        assert [(j.job, j.records, j.waiting) for j in store.running_jobs()] == [("j", 1, 1)]
        assert sum(rows for *_, rows in store.throughput(ago, timedelta(minutes=5), "crm")) == 0
        assert sum(rows for *_, rows in store.flow(ago, timedelta(minutes=5), None)) == 6
        assert store.skips("people", ago) == {}
        assert store.last_activity() == {}
        assert store.unjudged("people", "shop", "customer", ago) == 0
        assert store.event_balance("facts", "shop", "payment")["delivered"] == 1
        assert store.route_balance("people", "shop", "customer")["open"] == 2
        assert [s.key for s in store.containing("customer", ["Shop.TEST"], 9)] == ["2", "1"]
        assert [s.key for s in store.containing("customer", ["Shop.TEST"], 9, 1)] == ["2"]
        assert [link.remote_id for link in store.links_to("r-1", 9)] == ["r-1"]
        assert store.later("crm", now)[0] == 0
        assert store.noted_last() == now
        assert store.hurry("crm", now) == 0
        store.go_along(timedelta(hours=1), now, sink="crm", source="shop")
        assert len(store.behind_jobs("crm", 9)) == 1
        assert store.unreadable_counts() == {}
        assert store.doubt(["shop"], now) == 1
        assert store.abandon_jobs("crm", "left", now) == 1

    def test_what_was_delivered_goes_under_another_name(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.payment("e1", key="1"))
        desk.deliver_all()
        desk.take(desk.customer("1", "B"), desk.customer("2"))
        moved = {"source": "shop", "entity": "customer", "sink": "crm"}
        assert desk.store.rename_route("people", "persons", **moved) == 1
        assert desk.store.rename_route("people", "persons", **moved) == 0
        assert desk.store.linked_routes(known=[]) == {"persons": 1}
        assert desk.rows(route="persons", state="ready") == ["persons 1 upsert ready", "persons 2 upsert ready"]
        for _ in range(2):
            assert desk.store.archive_links("crm", "account", ["persons"]) == 1
            assert desk.store.archived_links("shop", "customer", "1") == [("crm", "account", "r-1")]
            assert desk.store.restore_links("crm", "account") == 1
        assert desk.store.linked_to("crm", "r-1") == [("shop", "customer", "1")]

    def test_a_value_is_changed_by_one_at_a_time_whoever_does_it(self, desk: Desk, opener: Callable[[], Store]) -> None:
        """What two read and write at the same moment counts twice: a vendor's quota is kept so."""

        def count(store: Store) -> None:
            for _ in range(10):
                store.state("klaviyo@a").change("used", desk.now, lambda used, _: (used or 0) + 1)

        with closing(opener()) as other, ThreadPoolExecutor(4) as pool:
            list(pool.map(count, [desk.store, other, desk.store, other]))
        assert desk.store.state("klaviyo@a").get("used") == 40

    # -- locks

    def test_a_named_lock_is_one_for_all_who_opened_the_outbox(self, desk: Desk, opener: Callable[[], Store]) -> None:
        entered = threading.Event()
        with closing(opener()) as other:

            def enter() -> None:
                with other.lock("oauth:crm"):
                    entered.set()

            with desk.store.lock("oauth:crm"), desk.store.lock("oauth:crm"):
                thread = threading.Thread(target=enter)
                thread.start()
                with other.lock("oauth:mail"):  # another name waits for nobody
                    pass
                assert not entered.is_set()
            thread.join(60)
            assert entered.is_set()

    def test_whether_a_daemon_runs_is_seen_by_others(self, desk: Desk, opener: Callable[[], Store]) -> None:
        with closing(opener()) as other:
            assert not other.daemon_running()
            with desk.store.daemon_lock():
                assert other.daemon_running()
                assert desk.store.leads()
            assert not other.daemon_running()

    def test_migrating_again_changes_nothing(self, desk: Desk) -> None:
        assert desk.store.migrate() == ()


def _claim_all(desk: Desk, number: int, store: Store) -> list[str]:
    keys: list[str] = []
    for turn in range(100):
        try:
            batch = store.claim("crm", desk.claims, desk.now, timedelta(minutes=2), f"w{number}-{turn}")
        except StoreError:
            continue
        if not batch:
            return keys
        keys += [d.key for d in batch]
    return keys
