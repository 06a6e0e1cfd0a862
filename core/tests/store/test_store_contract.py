"""SQLite is held to the rules of the outbox, as any engine is."""

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from synccore._store.sqlite import open_sqlite
from synccore.testing.contracts import OutboxMachine, StoreContract


class TestSqlite(StoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path_factory):
        self.file = lambda: tmp_path_factory.mktemp("outbox") / "outbox.db"

    def place(self):
        path = self.file()
        return lambda: open_sqlite(path)


class SqliteMachine(OutboxMachine):
    def place(self):
        self.folder = tempfile.TemporaryDirectory(prefix="outbox")
        path = Path(self.folder.name) / "outbox.db"
        return lambda: open_sqlite(path)

    def clear_away(self):
        self.folder.cleanup()


TestOutbox = SqliteMachine.TestCase
TestOutbox.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_daemon_of_a_file_is_alone(tmp_path):
    with closing(open_sqlite(tmp_path / "outbox.db")) as store, store.daemon_lock():
        assert store.leads()
