"""Writes rows by sObject Collections and sees each one through: locks, races, duplicates, merged records."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from synccore.errors import AuthError, ConfigError, RateLimited, Rejected, SynccoreError, Transient
from synccore.types import Clock, Delivered, Failed, Outcome, Unchanged

from ..client import COLLECTION, Client, Save
from ..errors import GONE_CODES, Problem, Refused, error_of, held, problems_of, waits_for
from ..mapping.regions import without_region
from ..mapping.row import Row
from ..schema import Catalog
from .follow import Follower

__all__ = ["Saver", "delivered", "unchanged", "writable"]

#: Collections that travel in one composite request.
_TOGETHER = 5
_LOCK_WAITS = (1, 2, 4, 8)
_ROUNDS = 8

_ADVICE = {
    "hold": 'duplicate_rule = "save" or "link" decides such cases by itself',
    "save": 'This rule blocks, so nothing can be saved past it: duplicate_rule = "link", or merge them in Salesforce',
    "link": "Which one it is cannot be told: merge them in Salesforce, or {key} on the right one, then retry",
}

Result = Mapping[str, Any] | SynccoreError


def writable(row: Row) -> bool:
    """False for an update that would change nothing."""
    return bool(row.fields) or row.id is None


def delivered(row: Row) -> Delivered:
    """The outcome of a row that was written."""
    return Delivered(
        remote_id=row.id,
        fields=row.held(),
        left_out=row.reasons(),
        note=_note(row),
        adopted=row.takes_over,
        made=row.made,
    )


def unchanged(row: Row) -> Delivered | Unchanged:
    """The outcome of a row of which nothing is left to write; what was made for it before has to be remembered."""
    if row.made:
        return delivered(row)
    return Unchanged(
        remote_id=row.id, fields=row.held(), left_out=row.reasons(), note=_note(row), adopted=row.takes_over
    )


class Saver:
    """Carries rows to the org."""

    def __init__(self, client: Client, catalog: Catalog, clock: Clock, follower: Follower, duplicate_rule: str) -> None:
        self._client = client
        self._catalog = catalog
        self._clock = clock
        self._follower = follower
        self._duplicate_rule = duplicate_rule

    def write(self, rows: Sequence[Row]) -> dict[int, Outcome]:
        """Write the rows; an outcome for each, by operation id."""
        outcomes: dict[int, Outcome] = {}
        pending = list(rows)
        for _ in range(_ROUNDS):
            ready = [r for r in pending if writable(r)]
            for row in pending:
                if not writable(row):
                    outcomes[row.op.id] = unchanged(row)
            pending = self._round(ready, outcomes)
            if not pending:
                return outcomes
        for row in pending:
            outcomes[row.op.id] = Failed(Transient("Salesforce gave no final answer for this record", outage=False))
        return outcomes

    def _round(self, rows: Sequence[Row], outcomes: dict[int, Outcome]) -> list[Row]:
        """Send each row once; what is left to send again."""
        again: list[Row] = []
        gone: list[tuple[Row, Problem]] = []
        locked: list[Row] = []
        met: list[Row] = []
        for row, result in self.save(rows):
            if isinstance(result, SynccoreError):
                outcomes[row.op.id] = Failed(result)
                continue
            if result.get("success"):
                row.id = str(result.get("id") or row.id)
                outcomes[row.op.id] = delivered(row)
                continue
            problem = (*problems_of(result.get("errors")), Problem("UNKNOWN_EXCEPTION", "no reason given"))[0]
            if problem.is_lock and len([t for t in row.tried if t.startswith("lock")]) < len(_LOCK_WAITS):
                locked.append(row)
            elif problem.code in GONE_CODES and (row.id or row.op.parent) and "follow" not in row.tried:
                gone.append((row, problem))
            elif problem.code == "DUPLICATE_VALUE" and row.outright:
                met.append(row)
            else:
                self._second_try(row, problem, again, outcomes)
        if gone:
            again += self._follow(gone, outcomes)
        if met:
            again += self._meet(met, outcomes)
        if locked:
            # The rows were not written, so even creates may go again.
            tries = max(len([t for t in r.tried if t.startswith("lock")]) for r in locked)
            self._clock.sleep(timedelta(seconds=_LOCK_WAITS[tries]))
            for row in locked:
                row.tried.add(f"lock{len([t for t in row.tried if t.startswith('lock')])}")
        return again + locked

    def _second_try(self, row: Row, problem: Problem, again: list[Row], outcomes: dict[int, Outcome]) -> None:
        try:
            if self._remedy(row, problem):
                again.append(row)
            else:
                outcomes[row.op.id] = Failed(self.verdict(row, problem))
        except SynccoreError as error:
            # Asking for more failed; the other rows' outcomes stand.
            outcomes[row.op.id] = Failed(error)

    def verdict(self, row: Row, problem: Problem) -> SynccoreError:
        """What a refusal that no remedy helped against means."""
        parent = (row.op.parent.entity, row.op.parent.key) if row.op.parent and row.op.parent.entity else None
        waiting = waits_for(problem, row.op.source, parent)
        if waiting is not None:
            return waiting
        if problem.code == "DUPLICATES_DETECTED":
            found = ", ".join(problem.duplicates) or "a record that the connected user may not see"
            key = f"put {row.key[0]} = {row.key[1]}" if row.key else "put the key"
            advice = _ADVICE[self._duplicate_rule].format(key=key)
            return Rejected(f"{problem.text} Found: {found}. {advice}", fields=problem.fields)
        if hold := held(problem):
            # What changed in the org is seen at the next try.
            self._catalog.second_look(row.object)
            return hold
        return error_of(problem)

    # -- remedies: each is tried once per row

    def _remedy(self, row: Row, problem: Problem) -> bool:
        """Change the row so that it may pass now; False where nothing is left to try."""
        remedies: dict[str, Callable[[Row, Problem], bool]] = {
            "DUPLICATE_VALUE": self._lost_race,
            "DUPLICATES_DETECTED": self._link_duplicate,
            "FIELD_INTEGRITY_EXCEPTION": self._without_region,
            "INVALID_EMAIL_ADDRESS": self._without_email,
            "INVALID_FIELD_FOR_INSERT_UPDATE": self._without_fixed,
        }
        remedy = remedies.get(problem.code)
        return remedy is not None and remedy(row, problem)

    @staticmethod
    def _lost_race(row: Row, problem: Problem) -> bool:
        """Another writer made the record with our key a moment ago: it is the one."""
        if "race" in row.tried or row.key is None:
            return False
        row.tried.add("race")
        if "Duplicate external id specified" in problem.message:
            return True
        names = (*problem.fields, problem.message)
        if not any(row.key[0].lower() in n.lower() for n in names):
            return False
        if problem.record_id:
            row.id = problem.record_id
            row.drop(row.key[0])
        return True

    def _link_duplicate(self, row: Row, problem: Problem) -> bool:
        if self._duplicate_rule != "link" or "link" in row.tried or row.id is not None:
            return False
        row.tried.add("link")
        found = problem.duplicates or self._ask_duplicates(row)
        if len(found) != 1:
            return False
        row.notes.append("linked to the record a duplicate rule found")
        self._follower.take_over(row, found[0])
        return True

    def _ask_duplicates(self, row: Row) -> tuple[str, ...]:
        """Rows of a collection may lack the matches; the same write on its own names them."""
        try:
            result = self._client.save_one(row.object, row.key, row.body(), self._headers([row]))
        except Refused as error:
            return error.problem.duplicates
        return (str(result["id"]),) if result.get("id") else ()

    def _without_region(self, row: Row, problem: Problem) -> bool:
        return without_region(row, self._catalog, problem.fields)

    @staticmethod
    def _without_email(row: Row, problem: Problem) -> bool:
        if row.op.settings.get("invalid_email") != "drop" or "email" in row.tried:
            return False
        row.tried.add("email")
        names = [n for n in row.fields if n in problem.fields or (not problem.fields and n.endswith("Email"))]
        for name in names:
            row.refuse(name, "Salesforce refuses the address")
        row.notes.append(f"{', '.join(names)} left out: Salesforce refuses the address")
        return bool(names)

    @staticmethod
    def _without_fixed(row: Row, problem: Problem) -> bool:
        """The upsert met a record that exists, and these fields can only be set when one is made."""
        names = [n for n in problem.fields if n in row.fields]
        if row.id is not None or row.key is None or "fixed" in row.tried or not names:
            return False
        row.tried.add("fixed")
        for name in names:
            row.drop(name, "Salesforce does not let it be changed")
        return True

    def _follow(self, gone: Sequence[tuple[Row, Problem]], outcomes: dict[int, Outcome]) -> list[Row]:
        again = []
        try:
            verdicts = self._follower.follow([row for row, _ in gone])
        except SynccoreError as error:
            outcomes.update({row.op.id: Failed(error) for row, _ in gone})
            return []
        for row, problem in gone:
            row.tried.add("follow")
            if row.op.id not in verdicts:
                again.append(row)
            else:
                outcomes[row.op.id] = Failed(verdicts[row.op.id] or self.verdict(row, problem))
        return again

    def _meet(self, rows: Sequence[Row], outcomes: dict[int, Outcome]) -> list[Row]:
        """The keys of rows that were to be made are there already: what is to be kept is looked at now."""
        try:
            failures: dict[int, SynccoreError] = self._follower.meet(rows)
        except SynccoreError as error:
            failures = {row.op.id: error for row in rows}
        outcomes.update({i: Failed(e) for i, e in failures.items()})
        return [row for row in rows if row.op.id not in failures]

    # -- requests

    def _headers(self, rows: Sequence[Row]) -> dict[str, str]:
        headers = {}
        if self._duplicate_rule == "save":
            headers["Sforce-Duplicate-Rule-Header"] = (
                "allowSave=true; includeRecordDetails=false; runAsCurrentUser=true"
            )
        if rows[0].object in ("Lead", "Case") and rows[0].op.bulk:
            # The past is no news: nobody is to be assigned to it.
            headers["Sforce-Auto-Assign"] = "FALSE"
        return headers

    def save(self, rows: Sequence[Row]) -> list[tuple[Row, Result]]:
        """Send each row once, in as few requests as possible."""
        groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in rows:
            if row.id is not None:
                groups["update", ""].append(row)
            elif row.key is not None and not row.outright:
                groups[row.object, row.key[0]].append(row)
            else:
                groups["create", ""].append(row)
        results: list[tuple[Row, Result]] = []
        stop: SynccoreError | None = None
        for several in _requests(groups.values()):
            if stop is not None:
                results += [(row, stop) for chunk in several for row in chunk]
                continue
            sent = self._save_chunks(several)
            results += sent
            stop = next((_unsent(r) for _, r in sent if isinstance(r, SynccoreError) and _stops(r)), None)
        return results

    def _save_chunks(self, chunks: Sequence[Sequence[Row]]) -> list[tuple[Row, Result]]:
        """One request, at most 200 rows to a chunk; the later of two rows for one record wins."""
        lasts = [{_target(r): r for r in rows} for rows in chunks]
        try:
            answers = self._client.save([self._request(list(last.values())) for last in lasts])
        except Refused as error:
            answers = [error] * len(chunks)
        except SynccoreError as error:
            return [(row, error) for rows in chunks for row in rows]
        results: list[tuple[Row, Result]] = []
        for rows, last, answer in zip(chunks, lasts, answers, strict=True):
            if isinstance(answer, Refused):
                results += self._divide(rows, answer)
            elif isinstance(answer, SynccoreError):
                results += [(row, answer) for row in rows]
            elif isinstance(answer, list):
                by_target = dict(zip(last, answer, strict=True))
                for row, result in ((r, by_target[_target(r)]) for r in rows):
                    row.created = bool(result.get("created", row.id is None and (row.key is None or row.outright)))
                    results.append((row, result))
            else:
                raise answer
        return results

    def _request(self, rows: Sequence[Row]) -> Save:
        first = rows[0]
        records = [{"attributes": {"type": r.object}, **r.body()} for r in rows]
        if first.id is not None:
            records = [{**record, "id": r.id} for record, r in zip(records, rows, strict=True)]
            return Save(method="PATCH", path="composite/sobjects", records=records, headers=self._headers(rows))
        if first.key is None or first.outright:
            records = [{**rec, r.key[0]: r.key[1]} if r.key else rec for rec, r in zip(records, rows, strict=True)]
            return Save(method="POST", path="composite/sobjects", records=records, headers=self._headers(rows))
        records = [{**record, r.key[0]: r.key[1]} for record, r in zip(records, rows, strict=True) if r.key]
        path = f"composite/sobjects/{first.object}/{first.key[0]}"
        return Save(method="PATCH", path=path, records=records, headers=self._headers(rows))

    def _divide(self, rows: Sequence[Row], error: Refused) -> list[tuple[Row, Result]]:
        """A request refused as a whole wrote nothing: the rows at fault stand aside, the others go again."""
        column = error.problem.column if error.problem.code == "INVALID_FIELD" else None
        guilty = [r for r in rows if column and any(column in n.split(".") for n in r.fields)]
        if guilty and len(guilty) < len(rows):
            rest = [r for r in rows if r not in guilty]
            return [*((r, self.verdict(r, error.problem)) for r in guilty), *self._save_chunks([rest])]
        hold = held(error.problem, error.status)
        if hold is not None:
            # What changed in the org is seen at the next try.
            self._catalog.second_look(rows[0].object)
        if hold or len(rows) == 1 or guilty or error.status in (405, 414, 431):
            return [(row, hold or error) for row in rows]
        half = len(rows) // 2
        return [*self._save_chunks([rows[:half]]), *self._save_chunks([rows[half:]])]


def _requests(groups: Iterable[Sequence[Row]]) -> Iterator[list[list[Row]]]:
    """Collections that travel in one request, 200 rows together: what an org does with a row takes its time, and a lost
    answer is one about all of them."""
    request: list[list[Row]] = []
    for group in groups:
        rows = sorted(group, key=lambda r: (r.object, r.parent))
        while rows:
            room = COLLECTION - sum(map(len, request))
            if not room or len(request) == _TOGETHER:
                yield request
                request, room = [], COLLECTION
            request.append(rows[:room])
            rows = rows[room:]
    if request:
        yield request


def _target(row: Row) -> tuple[str, ...]:
    if row.id is not None:
        return ("id", row.id[:15])
    return ("key", row.key[1].casefold()) if row.key is not None else ("new", str(row.op.id))


def _stops(error: SynccoreError) -> bool:
    """True for what will meet the next request as well."""
    return isinstance(error, AuthError | RateLimited | ConfigError | Transient)


def _unsent(error: SynccoreError) -> SynccoreError:
    return error.unsent() if isinstance(error, Transient) else error


def _note(row: Row) -> str | None:
    return "; ".join(row.notes) or None
