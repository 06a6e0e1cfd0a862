"""PostgreSQL is held to the rules of the outbox, as SQLite is."""

import os
import random
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from synccore._store.sqlite import open_sqlite
from synccore.testing.contracts import OutboxMachine, StoreContract
from synccore_postgres.engine import PostgresStore


def _place(server):
    url = server.url()
    return lambda: PostgresStore(url, own_clock=False)


class TestPostgres(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server

    def place(self):
        return _place(self.server)


#: The sabotages have to be seen by more, the same each time, and need no smallest life that sees them.
SEEN = "SUITE_LIVES" in os.environ
LIVES = settings(
    max_examples=60 if SEEN else 8,
    phases=[Phase.generate] if SEEN else tuple(Phase),
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def lived(place, number):
    """What each life that this seed gives left in the outbox."""
    left = []

    class Machine(OutboxMachine):
        def place(self):
            return place()

        def quiet(self):
            super().quiet()
            rows = self.store.deliveries(limit=None)
            left.append(sorted((d.route, d.key, d.op, d.state, d.event_id or "", d.attempts) for d in rows))

    run_state_machine_as_test(seed(number)(Machine), settings=LIVES)
    return left


def test_the_same_lives_end_alike_on_both_engines(server, tmp_path_factory):
    """Each is held to the model, and to the other one."""
    number = 5 if SEEN else random.getrandbits(32)
    here = lived(lambda: _place(server), number)
    there = lived(lambda: partial(open_sqlite, tmp_path_factory.mktemp("life") / "outbox.db"), number)
    assert len(here) >= 8
    assert any(here)
    assert here == there, f"seed {number}"
