"""One real PostgreSQL for each test process."""

import pytest

from synccore_postgres.testing import one_server


@pytest.fixture(scope="session")
def server():
    with one_server() as found:
        yield found
