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
from ._outbox._desk import Desk, NewOutbox
from ._outbox.claim import ClaimingRules
from ._outbox.guests import GuestsRules
from ._outbox.hints import HintsRules
from ._outbox.ingest import TakingInRules
from ._outbox.late import LateRules
from ._outbox.machine import OutboxMachine
from ._outbox.people import PeopleRules
from ._outbox.settle import SettlingRules

__all__ = ["OutboxMachine", "StoreContract"]


class StoreContract(ClaimingRules, GuestsRules, HintsRules, LateRules, PeopleRules, SettlingRules, TakingInRules):
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
            barrier.wait(10)
            desk.take(desk.customer("1", "B"))

        def claim() -> list[object]:
            with closing(opener()) as other:
                barrier.wait(10)
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
            thread.join(10)
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
