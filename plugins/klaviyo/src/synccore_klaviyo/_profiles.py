"""Delivering profiles: consent, single writes, and handing large batches to jobs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from attrs import evolve

from synccore.errors import AuthError, ConfigError, RateLimited, Rejected, SynccoreError, Transient
from synccore.types import Delivered, Failed, Link, Operation, Outcome

from . import _consent, _reading
from ._jobs import Jobs
from ._profile import Profile, build
from ._writing import write
from .client import ERASE, SUPPRESS, Client
from .config import KlaviyoConfig

__all__ = ["MAX_BATCH", "Profiles", "each"]

#: Profiles written one by one in one `deliver`; consent changes of a batch share one call.
MAX_BATCH = 50
#: How long the rest of a bulk batch waits when too many of its records need single calls.
SNOOZE = timedelta(seconds=5)


class Profiles:
    """Writes the object `profile`."""

    def __init__(self, client: Client, config: KlaviyoConfig, jobs: Jobs) -> None:
        self._client = client
        self._list = config.list
        self._jobs = jobs
        self._job_from = min(MAX_BATCH, config.bulk_threshold)

    def deliver(self, operations: Sequence[Operation]) -> list[Outcome]:
        """One outcome per operation, in order."""
        outcomes: dict[int, Outcome] = {}
        deletes = [op for op in operations if op.op == "delete"]
        outcomes |= each(deletes, self._delete)
        profiles = self._build([op for op in operations if op.op != "delete"], outcomes)
        wanted = [op for op in operations if op.id in profiles]
        leaving = [op for op in wanted if profiles[op.id].email and _consent.change(op) is False]
        # Whoever leaves with a new address does so once the address is theirs: unsubscribing an unknown one makes
        # another profile.
        moving = [op for op in leaving if _moves(op, profiles[op.id])]
        # All other opt-outs go first: nothing may hold them up.
        notes = self._leave([op for op in leaving if op not in moving], outcomes)
        singles, bulk = self._divide([op for op in wanted if op.id not in outcomes], profiles, outcomes)
        if bulk:
            outcomes |= self._jobs.submit(bulk, profiles)
        outcomes |= each(singles, lambda op: write(self._client, op, profiles[op.id]))
        notes |= self._leave([op for op in moving if isinstance(outcomes[op.id], Delivered)], outcomes)
        notes |= self._join(singles, outcomes)
        return [_noted(outcomes[op.id], notes.get(op.id)) for op in operations]

    def _build(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> dict[int, Profile]:
        keep = self._kept(operations)
        profiles = {}
        for op in operations:
            try:
                profiles[op.id] = build(op, keep.get(op.id))
            except Rejected as error:
                outcomes[op.id] = Failed(error)
        return profiles

    def _kept(self, operations: Sequence[Operation]) -> Mapping[int, Mapping[str, Any]]:
        """What the target holds, for operations with a field it must not overwrite."""
        asking = [op for op in operations if any(o.keep_existing for o in op.options.values())]
        if not asking:
            return {}
        links: dict[int, Link] = {}
        for op, twin in zip(asking, _reading.lookup(self._client, asking), strict=True):
            found = op.link or twin
            if isinstance(found, Link):
                # With the fields as names, so that the very ones at stake are read.
                links[op.id] = evolve(found, fields=op.fields)
        held = _reading.read(self._client, list(links.values()))
        return {number: fields or {} for number, fields in zip(links, held, strict=True)}

    def _leave(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> dict[int, str]:
        return _take_over(_consent.opt_out(self._client, operations), outcomes)

    def _join(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> dict[int, str]:
        """Opt-ins go last: a welcome mail should find the name in place."""
        joining = [op for op in operations if _consent.change(op) and op.fields.get("email")]
        joining = [op for op in joining if isinstance(outcomes[op.id], Delivered)]
        try:
            return _take_over(_consent.opt_in(self._client, joining, self._list), outcomes)
        except SynccoreError as error:
            outcomes |= {op.id: Failed(error) for op in joining}
            return {}

    def _divide(
        self, operations: Sequence[Operation], profiles: Mapping[int, Profile], outcomes: dict[int, Outcome]
    ) -> tuple[list[Operation], list[Operation]]:
        """(one by one, by job). Jobs ignore nulls, cannot move an address and know no consent."""
        held = self._jobs.held(operations) if len(operations) > self._job_from or _unsure(operations) else {}
        outcomes |= held
        operations = [op for op in operations if op.id not in held]
        if len(operations) <= self._job_from:
            return list(operations), []
        singles, bulk, addresses = [], [], set()
        for op in operations:
            profile = profiles[op.id]
            if profile.clears or _consent.change(op) or _moves(op, profile) or not profile.email:
                singles.append(op)
            elif profile.email in addresses:
                # A job may drop the second record of one address; it goes after the first is through.
                outcomes[op.id] = Failed(
                    RateLimited("its e-mail address is in this job already", retry_after=SNOOZE, scope="operation")
                )
            else:
                bulk.append(op)
                addresses.add(profile.email)
        for op in singles[MAX_BATCH:]:
            outcomes[op.id] = Failed(
                RateLimited("waits for its turn among single calls", retry_after=SNOOZE, scope="operation")
            )
        return singles[:MAX_BATCH], bulk

    def _delete(self, operation: Operation) -> Delivered:
        how = operation.settings.get("on_delete", "keep")
        link = operation.link
        email = operation.previous.get("email")
        if how == "keep" or link is None:
            return Delivered(note="profile kept: on_delete is keep")
        if how == "erase":
            erase(self._client, link.remote_id)
            return Delivered(note="deletion of the profile requested")
        if not email:
            return Delivered(note="not suppressed: no e-mail address was delivered")
        people = {"profiles": {"data": [{"type": "profile", "attributes": {"email": email}}]}}
        self._client.call(
            SUPPRESS, body={"data": {"type": "profile-suppression-bulk-create-job", "attributes": people}}
        )
        return Delivered(note="suppressed")


def erase(client: Client, remote_id: str = "", email: str = "") -> None:
    """Ask Klaviyo to delete a person and all events for good, by exactly one identifier."""
    person: dict[str, Any] = {"type": "profile", "attributes": {} if remote_id else {"email": email}}
    if remote_id:
        person["id"] = remote_id
    attributes = {"profile": {"data": person}}
    client.call(ERASE, body={"data": {"type": "data-privacy-deletion-job", "attributes": attributes}})


def each(operations: Sequence[Operation], do: Callable[[Operation], Outcome]) -> dict[int, Outcome]:
    """Carry out one by one. What concerns the whole account ends the round: the rest fails with it, unsent."""
    outcomes: dict[int, Outcome] = {}
    stop: SynccoreError | None = None
    for op in operations:
        if stop is not None:
            outcomes[op.id] = Failed(stop)
            continue
        try:
            outcomes[op.id] = do(op)
        except Transient as error:
            outcomes[op.id] = Failed(error)
            # The others were never sent, so nothing of theirs can have been carried out.
            stop = Transient(str(error), outage=True) if error.outage else None
        except (AuthError, ConfigError, RateLimited) as error:
            outcomes[op.id] = Failed(error)
            stop = error
        except SynccoreError as error:
            outcomes[op.id] = Failed(error)
    return outcomes


def _unsure(operations: Sequence[Operation]) -> bool:
    return any(op.maybe_applied for op in operations)


def _moves(operation: Operation, profile: Profile) -> bool:
    before = operation.previous.get("email")
    return bool(before) and str(before).lower() != profile.email


def _take_over(consent: _consent.Consent, outcomes: dict[int, Outcome]) -> dict[int, str]:
    notes = {}
    for number, said in consent.items():
        if isinstance(said, SynccoreError):
            outcomes[number] = Failed(said)
        else:
            notes[number] = said
    return notes


def _noted(outcome: Outcome, note: str | None) -> Outcome:
    if note and isinstance(outcome, Delivered):
        return evolve(outcome, note=f"{outcome.note}; {note}" if outcome.note else note)
    return outcome
