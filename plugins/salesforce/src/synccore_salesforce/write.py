"""Delivering: by sObject Collections, or a backlog by Bulk API 2.0; and what came of a job."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from synccore.errors import SynccoreError, Transient
from synccore.types import Context, Failed, Job, Operation, Outcome

from .client import COLLECTION, Client, chunked
from .config import Config
from .errors import GONE_CODES, Problem, Refused, failed_alike, held, unsent
from .jobs import Ended, Jobs
from .limits import SLICE
from .mapping.row import Row
from .match import AfterAnother
from .route import Route, Routes
from .rows.save import delivered, unchanged, writable

__all__ = ["Writer"]

_REMOVALS = ("delete", "leave")
#: Operations of a job whose keys and addresses are asked for at once: five queries of 1,000.
_WAVE = 5000
#: Refusals of a bulk row that the same row may survive when it is written on its own.
_WORTH_A_TRY = (
    *GONE_CODES,
    "DUPLICATE_VALUE",
    "DUPLICATES_DETECTED",
    "FIELD_INTEGRITY_EXCEPTION",
    "INVALID_EMAIL_ADDRESS",
)


class Writer:
    """Writes the operations of one sink."""

    def __init__(self, config: Config, context: Context, client: Client, jobs: Jobs, routes: Routes) -> None:
        self._config = config
        self._context = context
        self._client = client
        self._jobs = jobs
        self._routes = routes

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Write the operations of one route, 200 to a request, or hand them to Bulk API 2.0."""
        if not operations:
            return []
        self._admit(operations)
        outcomes: dict[int, Outcome] = self._jobs.held(operations)
        # More than a lane hands over otherwise, or than the operator says, are worth a job.
        if len(operations) - len(outcomes) > min(SLICE, max(COLLECTION, self._config.bulk_threshold)):
            rest = [op for op in operations if op.id not in outcomes] if outcomes else operations
            outcomes.update(self._in_bulk(rest))
        outcomes.update(self._in_collections([op for op in operations if op.id not in outcomes]))
        return self._answer(operations, outcomes)

    def _in_collections(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """As many at a time as one look takes; what stops one request stops the rest."""
        outcomes: dict[int, Outcome] = {}
        stop: SynccoreError | None = None
        for chunk in chunked(operations, SLICE):
            found = {op.id: Failed(stop) for op in chunk} if stop else self._guarded(chunk)
            stop = stop or unsent(list(found.values()))
            outcomes.update(found)
        return outcomes

    def _admit(self, operations: Sequence[Operation]) -> None:
        governor = self._client.governor
        if governor.is_stale:
            self._client.limits()
        governor.admit(bulk=operations[0].bulk, full=len(operations) >= COLLECTION)

    def _answer(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> list[Outcome]:
        nothing = Failed(Transient("nothing came of it", outage=False))
        found = [outcomes.get(op.id) or nothing for op in operations]
        if error := failed_alike(found):
            raise error
        return found

    def _guarded(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """A look's worth of operations; an error that stops it is the outcome of each."""
        try:
            outcomes = self._live(operations)
            if later := [op for op in operations if _leader(outcomes[op.id]) is not None]:
                outcomes.update(self._live(later))
        except Refused as error:
            # A request as a whole: what it asks for is not there, or hidden.
            return {op.id: Failed(held(error.problem, error.status) or error) for op in operations}
        except SynccoreError as error:
            return {op.id: Failed(error) for op in operations}
        return outcomes

    def _live(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        route = self._routes.of(operations[0])
        outcomes: dict[int, Outcome] = {}
        if removals := [op for op in operations if op.op in _REMOVALS]:
            outcomes.update(route.remove(removals))
        with self._alone(route):
            rows = route.rows([op for op in operations if op.op not in _REMOVALS], outcomes)
            outcomes.update(route.write(rows))
        return outcomes

    def _alone(self, route: Route) -> AbstractContextManager[None]:
        """Search and create are two steps: no other process may come in between."""
        return self._context.lock(f"salesforce:{route.schema.name}") if route.searches else nullcontext()

    def _in_bulk(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """What a job can take of a backlog; the rest, and all where jobs cannot be used, is left out."""
        if self._config.duplicate_rule == "save":
            # The header that saves duplicates has no effect on jobs.
            return {}
        try:
            route = self._routes.of(operations[0])
            if route.has_items:
                return {}
            outcomes: dict[int, Outcome] = {}
            outcomes.update(self._jobs.submit(self._bulk_rows(route, operations, outcomes)))
        except SynccoreError as error:
            return {op.id: Failed(error) for op in operations}
        # Records that share a value are written one after the other, which a job cannot promise.
        return {i: o for i, o in outcomes.items() if _leader(o) is None}

    def _bulk_rows(self, route: Route, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> Iterator[Row]:
        """The rows of a job, a slice at a time. Those that others with the same value wait for are left out."""
        twins = route.twins(op for op in operations if op.op not in _REMOVALS)
        going = [n for n, op in enumerate(operations) if op.op not in _REMOVALS and op.id not in twins]
        for wave in chunked(going, _WAVE):
            # Operations are held packed: by their places, a look's worth is never out of it at once.
            route.finder.ahead(lambda wave=wave: (operations[n] for n in wave))  # type: ignore[misc]
            for part in chunked(wave, COLLECTION):
                for row in route.rows([operations[n] for n in part], outcomes, bulk=True):
                    if writable(row):
                        yield row
                    else:
                        outcomes[row.op.id] = unchanged(row)

    def collect(self, job: Job) -> Iterable[Outcome] | None:
        """What came of a bulk job, or None while it runs. Rows that may pass on their own are written on their own."""
        ended = self._jobs.collect(job)
        return None if ended is None else self._told(job.operations, ended)

    def _told(self, operations: Sequence[Operation], ended: Ended) -> Iterator[Outcome]:
        route = self._routes.of(operations[0]) if ended.done else None
        again = self._in_collections([op for op in operations if _worth_a_try(ended.of(op))])
        for op in operations:
            found = ended.of(op)
            if isinstance(found, str) and route is not None:
                row = route.shaper.row(op)
                ended.settle(row, found)
                yield delivered(row)
            elif isinstance(found, Problem):
                yield again.get(op.id) or Failed(self._verdict(op, found))
            elif isinstance(found, SynccoreError):
                yield Failed(found)

    def _verdict(self, op: Operation, problem: Problem) -> SynccoreError:
        route = self._routes.of(op)
        return route.saver.verdict(route.shaper.row(op), problem)


def _leader(outcome: Outcome) -> int | None:
    error = outcome.error if isinstance(outcome, Failed) else None
    return error.leader if isinstance(error, AfterAnother) else None


def _worth_a_try(found: str | Problem | SynccoreError) -> bool:
    return isinstance(found, Problem) and (found.is_lock or found.code in _WORTH_A_TRY)
