"""A SQLite file and short words for what shops and workers do to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from synccore._store.sqlite import open_sqlite
from synccore.testing.contracts._outbox.desk import NOW
from synccore.testing.contracts._outbox.desk import Desk as AnyDesk

__all__ = ["NOW", "Desk"]


class Desk(AnyDesk):
    """The outbox in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(open_sqlite(path))
        self.path = path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "outbox.db")
    yield made
    made.store.close()
