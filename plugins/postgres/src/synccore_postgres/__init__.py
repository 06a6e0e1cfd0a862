"""The outbox on PostgreSQL: several daemons on several hosts share it."""

from collections.abc import Iterable

from synccore import hookimpl
from synccore.hookspecs import StoreType
from synccore.secrets import Secret
from synccore.types import Clock

__all__ = ["STORE"]


def _open(url: str, clock: Clock, password: Secret | None = None) -> object:
    from .engine import PostgresStore

    return PostgresStore(url, password=password)


STORE = StoreType(
    name="postgres",
    summary="the outbox on PostgreSQL, shared by several daemons",
    schemes=("postgresql", "postgres"),
    open=_open,
)


@hookimpl
def synccore_stores() -> Iterable[StoreType]:
    """The engine."""
    return [STORE]
