"""A batch that fails as a whole, cut in halves until the record at fault stands alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from .._plain import Plain
from .._swift import swiftly
from ..errors import AuthError, BatchRejected, ConfigError, RateLimited, Rejected, SynccoreError, Transient
from ..store import StoreError, together
from ..types import Ambiguous, Failed, Link, Operation, Outcome, Retry
from .policy import error_text

__all__ = ["MANY", "Answer", "cause_of", "deliver_halving", "in_doubt", "twin"]

#: More equal refusals than this in a row, without one success, are the target's fault and no record's.
MANY = 5


@frozen(weakref_slot=False)
class Answer(Plain):
    """What came of one operation.

    `sent` is False where it was not tried, since its mates failed as it would; `unsure`: it may have been carried out
    before, so where it failed it is looked up before it is tried again.
    """

    outcome: Outcome
    sent: bool = True
    unsure: bool = False

    @property
    def unsure_of_it(self) -> bool:
        """Whether something of it may be there, as far as core or the sink knows."""
        return self.unsure or (isinstance(self.outcome, Failed) and self.outcome.partly)


_new_answer = swiftly(Answer)


def cause_of(outcome: Outcome) -> str | None:
    """What is equal for refusals with one cause; None for what is no refusal. A bug refuses too."""
    if not isinstance(outcome, Failed):
        return None
    error = outcome.error
    if isinstance(error, Rejected | BatchRejected):
        return f"rejected: {error.message}"
    return None if isinstance(error, SynccoreError) else f"bug: {type(error).__name__}: {error_text(error)}"


def twin(found: Link, unheard: Mapping[str, Any] | None = None) -> Link:
    """A record found after a lost answer: made by that call where it carries our marker, else it was there before.

    `unheard`: what such calls may have written there; `found.asked`: what is known to have been.
    """
    asked = (together(unheard or {}, found.asked or {}) or None) if found.marked else None
    return evolve(found, fields={}, asked=asked, adopted=found.adopted or not found.marked)


def deliver_halving(call: Any, operations: Sequence[Operation]) -> list[Answer]:
    """One answer per operation, in order. `call` is the guarded sink (`Caller`).

    What is the target's own fault (credentials, limits, configuration, an outage) is nobody's and is not halved.
    """
    return _Halving(call).deliver(operations)


class _Halving:
    def __init__(self, call: Any) -> None:
        self._call = call
        self._refusal: Exception | None = None
        self._alike = 0
        self._through = False

    def deliver(self, operations: Sequence[Operation]) -> list[Answer]:
        if not operations:
            return []
        if self._refusal is not None and self._alike > MANY and not self._through:
            return [Answer(Failed(self._refusal), sent=False)] * len(operations)
        try:
            outcomes: Sequence[Outcome] = self._call.deliver(operations)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a plugin raises, the policy decides
            if _is_the_targets(error) or (len(operations) > 1 and not self._may_repeat(operations, error)):
                return [Answer(Failed(error))] * len(operations)
            return self._alone(error) if len(operations) == 1 else self._halved(operations, error)
        self._through = self._through or any(not isinstance(o, Failed) for o in outcomes)
        return list(map(_new_answer, outcomes))

    def _alone(self, error: Exception) -> list[Answer]:
        lone: Exception = Rejected(str(error.args[0])) if isinstance(error, BatchRejected) else error
        same = self._refusal is not None and cause_of(Failed(lone)) == cause_of(Failed(self._refusal))
        self._refusal, self._alike = lone, self._alike + 1 if same else 1
        return [Answer(Failed(lone))]

    def _may_repeat(self, operations: Sequence[Operation], error: Exception) -> bool:
        """Nobody knows how far a bug, or a call whose answer was lost, got: only what can be looked up is repeated."""
        return not in_doubt(error) or not any(map(_creates, operations)) or bool(self._call.can("lookup"))

    def _halved(self, operations: Sequence[Operation], error: Exception) -> list[Answer]:
        middle = len(operations) // 2
        answers: list[Answer] = []
        for half in (operations[:middle], operations[middle:]):
            answers += self._asked(half) if in_doubt(error) else self.deliver(half)
        return answers

    def _asked(self, operations: Sequence[Operation]) -> list[Answer]:
        """Deliver what is sure; of creates the target is asked first whether they were carried out."""
        unsure = [o for o in operations if _creates(o)]
        try:
            found = dict(zip((o.id for o in unsure), self._call.lookup(unsure), strict=True)) if unsure else {}
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  the policy decides
            return [Answer(Failed(error), unsure=True)] * len(operations)
        settled: dict[int, Answer] = {}
        going: list[Operation] = []
        for operation in operations:
            match found.get(operation.id):
                case Link() as known:
                    going.append(evolve(operation, link=twin(known), maybe_applied=True))
                case Ambiguous() as several:
                    text = f"{len(several.candidates)} records at the target could be this one"
                    settled[operation.id] = Answer(Failed(Rejected(text)))
                case Retry() as later:
                    wait = RateLimited(later.reason, retry_after=later.after, scope="operation")
                    settled[operation.id] = Answer(Failed(wait))
                case Failed() as failed:
                    settled[operation.id] = Answer(failed)
                case _:
                    going.append(evolve(operation, maybe_applied=True))
        settled |= zip((o.id for o in going), self.deliver(going), strict=True)
        # What was found is known to this call alone: a later one has to look it up again. And whatever becomes of a
        # change now, the first call may have written it.
        return [evolve(settled[o.id], unsure=True) for o in operations]


def _creates(operation: Operation) -> bool:
    return operation.op == "upsert" and operation.link is None


def in_doubt(error: BaseException) -> bool:
    """Whether nobody knows how far the plugin got."""
    return not isinstance(error, SynccoreError) or (isinstance(error, Transient) and error.maybe_applied)


def _is_the_targets(error: Exception) -> bool:
    if isinstance(error, Transient):
        return error.outage
    return isinstance(error, AuthError | ConfigError | RateLimited)
