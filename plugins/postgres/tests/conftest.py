"""One real PostgreSQL for each test process."""

import os

import pytest

from synccore_postgres.testing import NoServerError, Server


@pytest.fixture(scope="session")
def server():
    try:
        found = Server()
    except NoServerError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield found
    found.close()
