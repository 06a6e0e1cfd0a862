"""One call of core under the account's lock: what is to be written, what came of it, what has to be looked at again."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from attrs import define, field

from synccore.errors import AuthError, ConfigError, Conflict, RateLimited, SynccoreError, Transient
from synccore.types import Context, Delivered, Failed, Operation, Outcome, Unchanged

from .account import Connection
from .client import Client
from .config import Config
from .flat import held
from .index import Index
from .known import Own
from .labels import Labels
from .pause import check_held, hold
from .prints import alone
from .schema import Person, contact_source

#: Reads and writes of one contact before a conflict is handed back (seen to happen right after a read:
#: googleapis/google-api-python-client#2417), and the pauses between them in seconds.
TRIES = 5
PAUSES = (0, 0, 1, 2, 4, 8)
#: Errors that concern the account, not a contact: the round ends with them.
LANE = (AuthError, ConfigError, RateLimited, Transient)


@define(eq=False)
class Work:
    """What one operation needs written."""

    op: Operation
    #: The contact; None: it is to be made.
    name: str | None = None
    #: The person to send: etags and the masked fields, or the whole new contact.
    body: Person = field(factory=dict)
    mask: frozenset[str] = frozenset()
    #: What to remember as written by us once it is done.
    own: Own = field(factory=Own)
    #: Resource names of the label to put on, and of the one to take off.
    add: str | None = None
    remove: str | None = None
    delete: bool = False
    #: Field -> why it stays as it is.
    kept: Mapping[str, str] = field(factory=dict)
    note: str | None = None


@define(eq=False)
class Round:
    """One `deliver`, under the account's lock.

    Attributes:
        again: operations whose contact was read anew and that are to be planned again.
        stopped: what keeps everything else from being sent now.
        full: Google refused a new contact in this round because the account is full.
        listed: the listing was read in this round.
        sought: operations without a contact of which was decided whether it is searched for.
    """

    context: Context
    config: Config
    people: Client
    index: Index
    labels: Labels
    operations: Sequence[Operation]
    outcomes: dict[int, Outcome] = field(factory=dict)
    again: list[Operation] = field(factory=list)
    stopped: SynccoreError | None = None
    full: bool = False
    listed: bool = False
    sought: set[int] = field(factory=set)
    #: Operations of which the contacts between which nothing decides were read by name.
    doubted: set[int] = field(factory=set)
    _tries: dict[int, int] = field(factory=dict)

    def done(self, work: Work, name: str, person: Mapping[str, Any]) -> None:
        """It is at Google."""
        op = work.op
        self.outcomes[op.id] = Delivered(
            remote_id=name, etag=contact_source(person).get("etag"), note=work.note, adopted=not work.own.made,
            left_out=work.kept, fields=held(person, op.fields, alone(work.own, op.uid), work.kept),
        )  # fmt: skip

    def unchanged(
        self,
        op: Operation,
        name: str,
        person: Mapping[str, Any],
        own: Own,
        kept: Mapping[str, str],
        note: str | None,
    ) -> None:
        """It is there already."""
        self.outcomes[op.id] = Unchanged(
            remote_id=name, etag=contact_source(person).get("etag"), note=note, adopted=not own.made,
            left_out=kept, fields=held(person, op.fields, alone(own, op.uid), kept),
        )  # fmt: skip

    def fail(self, op: Operation, error: SynccoreError, *, partly: bool = False) -> None:
        """It is not, or only a part of it."""
        self.outcomes[op.id] = Failed(error, partly=partly)

    def tries(self, op: Operation) -> int:
        """How often it had to be planned again."""
        return self._tries.get(op.id, 0)

    def retry(self, op: Operation, error: SynccoreError) -> None:
        """Plan it again, unless that was tried often enough."""
        self._tries[op.id] = self.tries(op) + 1
        self.outcomes.pop(op.id, None)
        if self._tries[op.id] > TRIES:
            self.fail(op, error if isinstance(error, Conflict) else Transient(error.message, outage=False))
        else:
            self.again.append(op)

    def stop(self, error: SynccoreError) -> SynccoreError:
        """Nothing more can be sent now; gives the error as it is to be reported."""
        self.stopped = hold(self.context, self.index.state, error) if isinstance(error, RateLimited) else error
        return self.stopped

    def pause(self) -> None:
        """Wait before contacts that met a conflict are written again."""
        worst = max((self.tries(op) for op in self.again), default=0)
        if worst > 1 and self.stopped is None:
            seconds = PAUSES[min(worst, len(PAUSES) - 1)] + self.context.random.random()
            self.context.clock.sleep(timedelta(seconds=seconds))

    def pending(self) -> list[Operation]:
        """The operations that have no outcome yet."""
        return [op for op in self.operations if op.id not in self.outcomes]

    def finish(self) -> list[Outcome]:
        """One outcome per operation, in order; what was not sent carries the error that stopped the round."""
        for op in self.pending():
            self.fail(op, _unsent(self.stopped))
        return [self.outcomes[op.id] for op in self.operations]

    def ambiguous(self, op: Operation) -> str:
        """What to do where several contacts could be the customer: skip, create or first."""
        return str(op.settings.get("ambiguous") or self.config.ambiguous)

    def label_name(self, op: Operation) -> str:
        """The label the operation's route gives; empty for none."""
        name = op.settings.get("label")
        return self.config.label if name is None else str(name)


class Rounds:
    """One writer per account among all threads and processes."""

    def __init__(self, config: Config, context: Context, client: Client, connection: Connection) -> None:
        self._config = config
        self._context = context
        self._client = client
        self._connection = connection
        self._index: Index | None = None

    @contextmanager
    def begin(self, operations: Sequence[Operation]) -> Iterator[Round]:
        """A round about these, under the account's lock."""
        with self.index() as index:
            labels = Labels(self._client, index.state)
            yield Round(self._context, self._config, self._client, index, labels, operations)

    @contextmanager
    def index(self) -> Iterator[Index]:
        """The account's index, locked."""
        account = self._connection.noted().id
        with self._context.lock(f"google:{account}"):
            if self._connection.noted().id != account:
                raise Transient("another account was connected a moment ago", outage=False)
            if self._index is None or self._index.account != account:
                # Once a process and connection: the tokens may be another account's than what was noted with them.
                self._connection.check_same()
                self._index = Index(self._context, account, self._client)
            check_held(self._context, self._index.state)
            self._index.open()
            try:
                yield self._index
            except RateLimited as error:
                raise hold(self._context, self._index.state, error) from error

    def forget(self) -> None:
        """The connection ended: the next one may be another account's."""
        self._index = None


def _unsent(error: SynccoreError | None) -> SynccoreError:
    if isinstance(error, Transient) or error is None:
        return Transient(error.message if error else "not sent", outage=error.outage if error else True)
    return error
