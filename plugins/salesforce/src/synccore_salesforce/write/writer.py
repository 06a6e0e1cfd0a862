"""Writes rows by sObject Collections and sees each one through: locks, races, duplicates, merged records."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from synccore.errors import AuthError, ConfigError, RateLimited, Rejected, SynccoreError, Transient
from synccore.types import Clock, Delivered, Failed, Outcome, Unchanged

from ..client import COLLECTION, Client, chunked
from ..errors import GONE_CODES, Problem, Refused, classify, problems_of, waits_for
from ..mapping.record import Row
from .follow import Follower

__all__ = ["Writer", "writable"]

_LOCK_WAITS = (1, 2, 4, 8)
_ROUNDS = 8
_REGIONS = ("StateCode", "CountryCode", "State", "Country")

_ADVICE = {
    "hold": 'duplicate_rule = "save" or "link" decides such cases by itself',
    "save": 'This rule blocks, so nothing can be saved past it: duplicate_rule = "link", or merge them in Salesforce',
    "link": "Which one it is cannot be told: merge them in Salesforce, or put the key on the right one, then retry",
}

Result = Mapping[str, Any] | SynccoreError


def writable(row: Row) -> bool:
    """False for an update that would change nothing."""
    return bool(row.fields) or row.id is None


class Writer:
    """Carries rows to the org."""

    def __init__(self, client: Client, clock: Clock, follower: Follower, duplicate_rule: str) -> None:
        self._client = client
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
                    outcomes[row.op.id] = Unchanged(remote_id=row.id, note=_note(row))
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
        for row, result in self.save(rows):
            if isinstance(result, SynccoreError):
                outcomes[row.op.id] = Failed(result)
                continue
            if result.get("success"):
                row.id = str(result.get("id") or row.id)
                outcomes[row.op.id] = Delivered(remote_id=row.id, note=_note(row))
                continue
            problem = (*problems_of(result.get("errors")), Problem("UNKNOWN_EXCEPTION", "no reason given"))[0]
            if problem.is_lock and len([t for t in row.tried if t.startswith("lock")]) < len(_LOCK_WAITS):
                locked.append(row)
            elif problem.code in GONE_CODES and (row.id or row.op.parent) and "follow" not in row.tried:
                gone.append((row, problem))
            else:
                self._second_try(row, problem, again, outcomes)
        if gone:
            again += self._follow(gone, outcomes)
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
        if problem.duplicates:
            return Rejected(
                f"{problem.text} Found: {', '.join(problem.duplicates)}. {_ADVICE[self._duplicate_rule]}",
                fields=problem.fields,
            )
        return classify(problem)

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
        row.id = found[0]
        row.notes.append("linked to the record a duplicate rule found")
        self._follower.stamp(row)
        return True

    def _ask_duplicates(self, row: Row) -> tuple[str, ...]:
        """Rows of a collection may lack the matches; the same write on its own names them."""
        try:
            result = self._client.save_one(row.object, row.key, row.body(), self._headers([row]))
        except Refused as error:
            return error.problem.duplicates
        return (str(result["id"]),) if result.get("id") else ()

    @staticmethod
    def _without_region(row: Row, _: Problem) -> bool:
        """State and country picklists: without the state first, then without the country."""
        for kind, endings in (("state", ("StateCode", "State")), ("country", _REGIONS)):
            names = [n for n in row.fields if n.endswith(endings)]
            if kind not in row.tried and names:
                row.tried.add(kind)
                for name in names:
                    row.drop(name)
                row.notes.append(f"{', '.join(names)} left out: the org's picklist refuses the value")
                return True
        return False

    @staticmethod
    def _without_email(row: Row, problem: Problem) -> bool:
        if row.op.settings.get("invalid_email") != "drop" or "email" in row.tried:
            return False
        row.tried.add("email")
        names = [n for n in row.fields if n in problem.fields or (not problem.fields and n.endswith("Email"))]
        for name in names:
            row.drop(name)
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
            row.drop(name)
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
            elif row.key is not None:
                groups[row.object, row.key[0]].append(row)
            else:
                groups["create", ""].append(row)
        results: list[tuple[Row, Result]] = []
        stop: SynccoreError | None = None
        for group in groups.values():
            for chunk in chunked(sorted(group, key=lambda r: (r.object, r.parent)), COLLECTION):
                if stop is not None:
                    results += [(row, stop) for row in chunk]
                    continue
                sent = self._save_chunk(chunk)
                results += sent
                stop = next((_unsent(r) for _, r in sent if isinstance(r, SynccoreError) and _stops(r)), None)
        return results

    def _save_chunk(self, rows: Sequence[Row]) -> list[tuple[Row, Result]]:
        """One request, at most 200 rows; the later of two rows for one record wins."""
        last = {_target(r): r for r in rows}
        sent = list(last.values())
        try:
            answers: list[Result] = list(self._send(sent))
        except Refused as error:
            return self._divide(rows, error)
        except SynccoreError as error:
            answers = [error] * len(sent)
        by_target = {_target(r): a for r, a in zip(sent, answers, strict=True)}
        return [(row, by_target[_target(row)]) for row in rows]

    def _send(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        first = rows[0]
        attributes = [{"attributes": {"type": r.object}, **r.body()} for r in rows]
        headers = self._headers(rows)
        if first.id is not None:
            return self._client.update([{**a, "id": r.id} for a, r in zip(attributes, rows, strict=True)], headers)
        if first.key is not None:
            keyed = [{**a, r.key[0]: r.key[1]} for a, r in zip(attributes, rows, strict=True) if r.key]
            results = self._client.upsert(first.object, first.key[0], keyed, headers)
        else:
            results = self._client.create(attributes, headers)
        for row, result in zip(rows, results, strict=True):
            row.created = bool(result.get("created", first.key is None))
        return results

    def _divide(self, rows: Sequence[Row], error: Refused) -> list[tuple[Row, Result]]:
        """A request refused as a whole wrote nothing: the rows at fault stand aside, the others go again."""
        column = error.problem.column if error.problem.code == "INVALID_FIELD" else None
        guilty = [r for r in rows if column and any(column in n.split(".") for n in r.fields)]
        if guilty and len(guilty) < len(rows):
            rest = [r for r in rows if r not in guilty]
            return [*((r, error) for r in guilty), *self._save_chunk(rest)]
        if len(rows) == 1 or guilty or error.status in (404, 405, 414, 431):
            return [(row, error) for row in rows]
        half = len(rows) // 2
        return [*self._save_chunk(rows[:half]), *self._save_chunk(rows[half:])]


def _target(row: Row) -> tuple[str, ...]:
    if row.id is not None:
        return ("id", row.id[:15])
    return ("key", row.key[1].casefold()) if row.key is not None else ("new", str(row.op.id))


def _stops(error: SynccoreError) -> bool:
    """True for what will meet the next request as well."""
    return isinstance(error, AuthError | RateLimited | ConfigError | Transient)


def _unsent(error: SynccoreError) -> SynccoreError:
    return Transient(error.message) if isinstance(error, Transient) else error


def _note(row: Row) -> str | None:
    return "; ".join(row.notes) or None
