"""What an outbox engine brings: transactions, locks, a schema. The rules of the outbox are not its business.

The roles (`Taking`, `Owing`, `Settling`, ...) hold the rules and work on an `Engine`. An engine is a subclass of
`Store` that implements this class, and gives its tables the columns, partial unique indexes and CHECKs of the schema.

Statements are written once, in the plain SQL that SQLite and PostgreSQL share: ON CONFLICT, RETURNING, partial unique
indexes. What an engine's `Transaction` has to translate, if its database says it otherwise:

    :name                      a parameter; ? where they come in order. Truth values come as 0 and 1
    json_each(:ids)            the members of a JSON array, in the column `value`: whole numbers of `:ids`, else texts
    json_each(:owed)           the members of a JSON object: texts in the columns `key` and `value` (may be NULL)
    json_extract(text, '$.a')  a member
    min(a, b), max(a, b)       of two values: least and greatest
    a IS :b                    equal, or both NULL
    iif(a, b, c)               CASE
    /* FOR UPDATE SKIP LOCKED */   where several write at once: take these rows, and none that another one holds
    INDEXED BY, CROSS JOIN     which way to go; may be dropped, as may the plus of +sink

What both databases read is written so: columns of the stored row bear the table's name in DO UPDATE, a LIMIT is not
negative, a condition is no number.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen

from .._plain import Plain
from ..errors import SynccoreError

__all__ = ["Engine", "Result", "Row", "RunningDaemon", "StoreError", "Transaction", "UnderWay"]


class StoreError(SynccoreError):
    """The database cannot be used just now (full disk, locked file).

    Nothing of the call was stored, and nothing stored before is lost: the caller may try again.
    """

    kind = "store"


class DiskFull(StoreError):
    """There is no room on the database's disk; a small write may still find some."""


class UnderWay(StoreError):
    """A person cannot be forgotten while calls may be under way that make them anew; `sinks`: where to."""

    def __init__(self, sinks: Sequence[str]) -> None:
        self.sinks = tuple(sinks)
        super().__init__(f"being sent to {', '.join(sinks)} at this moment: run forget again in some minutes")


class Row(Protocol):
    """A row of an answer: columns by name, `dict(row)`, and its values in the order of their columns."""

    def __getitem__(self, name: str, /) -> Any:
        """The value of a column."""
        ...

    def keys(self) -> Iterable[str]:
        """The names of the columns."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Result(Protocol):
    """What a statement gives."""

    @property
    def rowcount(self) -> int:
        """Rows that an INSERT, UPDATE or DELETE touched."""
        ...

    def fetchone(self) -> Any:
        """The next `Row`, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """All `Row`s that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Transaction(Protocol):
    """A transaction, or one consistent view. A `sqlite3.Connection` is one as it stands."""

    def execute(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ..., /) -> Result:
        """Carry out one statement."""
        ...

    def executemany(self, statement: str, values: Iterable[Any], /) -> Result:
        """Carry it out once for each."""
        ...


@frozen(kw_only=True)
class RunningDaemon(Plain):
    """One of the daemons on a database.

    Attributes:
        name: host and process.
        leads: whether it polls, lists, prunes and alerts for all.
    """

    name: str
    since: datetime | None
    leads: bool


class Engine(ABC):
    """One database. All methods are safe to call from any thread; times come in, none is read.

    Attributes:
        holder: what the lease tokens of this process begin with, so that others see who runs what.
        look_every: how often an idle lane looks at what others may have written.
        in_process: whether statements are carried out by this process's own threads. Those who work on batches then go
            one after the other; where they wait for a server they do so side by side.
    """

    holder: str = ""
    look_every: timedelta = timedelta(seconds=1)
    in_process: bool = False

    @abstractmethod
    def writing(self) -> AbstractContextManager[Transaction]:
        """A transaction that is alone in writing what it touches: durable when the block ends, or undone.

        Raises StoreError where the database cannot be used just now.
        """

    def claiming(self, sink: str) -> AbstractContextManager[Transaction]:
        """As `writing`, for claims of one sink: an engine may let those of several sinks go side by side."""
        return self.writing()

    def noting(self, name: str) -> AbstractContextManager[Transaction]:
        """As `writing`, for one value of the plugins' state: an engine may let it go beside everything else but those
        of the same name."""
        return self.writing()

    @abstractmethod
    def reading(self) -> AbstractContextManager[Transaction]:
        """One consistent view that waits for no writer and holds up none."""

    @abstractmethod
    def migrate(self) -> tuple[str, ...]:
        """Bring the schema up to date; names of the migrations applied. Called by the opener as well."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""

    @abstractmethod
    def daemon_lock(self) -> AbstractContextManager[None]:
        """Be the one daemon of this database. Raises ConfigError naming the other one's process id."""

    @abstractmethod
    def daemon_running(self) -> bool:
        """Whether some process holds the daemon lock now."""

    def leads(self) -> bool:
        """Whether this process does what one of those on this database does for all: polls, listings, alerts, pruning.

        The only daemon of a database always does. Asked again before each turn: another may have taken over.
        """
        return True

    def daemons(self) -> Sequence[RunningDaemon]:
        """The daemons that share this database, this process's own too; empty where there is never more than one."""
        return ()

    def listening(self, heard: Callable[[str], None]) -> AbstractContextManager[None]:
        """Meanwhile call `heard` with the name of each sink that has news, whoever brought them; from any thread.

        Where nobody else can (one daemon knows its own news), it is never called.
        """
        return nullcontext()

    def lease_clock(self, tx: Transaction, now: int) -> int:
        """The time that leases are judged by, in milliseconds; `now` is the caller's.

        An engine whose daemons run on several hosts gives its database's: a host's clock may be minutes off.
        """
        return now

    @abstractmethod
    def lock(self, name: str) -> AbstractContextManager[None]:
        """A named lock among all threads and processes of this database (re-entrant in one thread)."""

    @abstractmethod
    def backup(self, target: Path) -> None:
        """A consistent copy while others write. Raises ConfigError where `target` cannot be written."""

    @abstractmethod
    def scrub(self) -> None:
        """Leave nothing of deleted rows in the files. Called after a person was forgotten.

        Raises StoreError where that cannot be done now, saying what has to happen first.
        """

    def one(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> Any:
        """The first row of a statement's answer, or None."""
        with self.reading() as view:
            return view.execute(statement, values).fetchone()
