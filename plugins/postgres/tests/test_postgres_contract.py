"""PostgreSQL is held to the rules of the outbox, as SQLite is."""

from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings

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


class PostgresMachine(OutboxMachine):
    server: ClassVar = None

    def place(self):
        return _place(self.server)


@pytest.fixture(autouse=True)
def _machine(server):
    PostgresMachine.server = server


TestPostgresMachine = PostgresMachine.TestCase
TestPostgresMachine.settings = settings(
    max_examples=8, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
