"""Delivering profiles: consent, single writes, and handing large batches to jobs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from attrs import evolve

from synccore.errors import Conflict, RateLimited, Rejected, SynccoreError
from synccore.types import Delivered, Failed, Link, Operation, Outcome, each

from . import consent
from .client import ERASE, MAX_BATCH, PROFILE_IMPORT, PROFILE_MERGE, SUPPRESS, Client
from .config import KlaviyoConfig
from .errors import ApiError
from .jobs import Jobs
from .match import find_by_email, lookup
from .profile import EXTRA_IDENTIFIERS, Profile, build
from .read import read

__all__ = ["Profiles", "erase", "write"]

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
        outcomes |= _numbered(deletes, self._delete)
        profiles = self._build([op for op in operations if op.op != "delete"], outcomes)
        wanted = [op for op in operations if op.id in profiles]
        leaving = [op for op in wanted if profiles[op.id].email and consent.change(op) is False]
        # Whoever leaves with a new address does so once the address is theirs: unsubscribing an unknown one makes
        # another profile.
        moving = [op for op in leaving if _moves(op, profiles[op.id])]
        # All other opt-outs go first: nothing may hold them up.
        notes = self._leave([op for op in leaving if op not in moving], outcomes)
        singles, bulk = self._divide([op for op in wanted if op.id not in outcomes], profiles, outcomes)
        if bulk:
            outcomes |= self._jobs.submit(bulk, profiles)
        outcomes |= _numbered(singles, lambda op: write(self._client, op, profiles[op.id]))
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
        for op, twin in zip(asking, lookup(self._client, asking), strict=True):
            found = op.link or twin
            if isinstance(found, Link):
                # With the fields as names, so that the very ones at stake are read.
                links[op.id] = evolve(found, fields=op.fields)
        held = read(self._client, list(links.values()))
        return {number: fields or {} for number, fields in zip(links, held, strict=True)}

    def _leave(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> dict[int, str]:
        return _take_over(consent.opt_out(self._client, operations), outcomes)

    def _join(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> dict[int, str]:
        """Opt-ins go last: a welcome mail should find the name in place."""
        joining = [op for op in operations if consent.change(op) and op.fields.get("email")]
        joining = [op for op in joining if isinstance(outcomes[op.id], Delivered)]
        try:
            return _take_over(consent.opt_in(self._client, joining, self._list), outcomes)
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
            if profile.clears or consent.change(op) or _moves(op, profile) or not profile.email:
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


def _numbered(operations: Sequence[Operation], do: Callable[[Operation], Outcome]) -> dict[int, Outcome]:
    return {op.id: outcome for op, outcome in zip(operations, each(operations, do), strict=True)}


def _unsure(operations: Sequence[Operation]) -> bool:
    return any(op.maybe_applied for op in operations)


def _moves(operation: Operation, profile: Profile) -> bool:
    before = operation.previous.get("email")
    return bool(before) and str(before).lower() != profile.email


def _take_over(said_of: consent.Consent, outcomes: dict[int, Outcome]) -> dict[int, str]:
    notes = {}
    for number, said in said_of.items():
        if isinstance(said, SynccoreError):
            outcomes[number] = Failed(said)
        else:
            notes[number] = said
    return notes


def _noted(outcome: Outcome, note: str | None) -> Outcome:
    if note and isinstance(outcome, Delivered):
        return evolve(outcome, note=f"{outcome.note}; {note}" if outcome.note else note)
    return outcome


# -- one profile

#: Answers that mean: these identifiers do not all belong to the profile you mean.
CLASH = (404, 409)


def write(client: Client, operation: Operation, profile: Profile) -> Delivered:
    """Create or update the profile; with a link it is the linked one, so that an e-mail change follows the person.

    Klaviyo's upsert answers 409 where a phone number or external id belongs to somebody else, and 404 for an id it
    knows when the e-mail address does. Neither sinks the record.
    """
    known = operation.link.remote_id if operation.link else None
    try:
        remote_id = _import(client, profile, known)
    except ApiError as error:
        if error.status not in CLASH:
            raise
        return _resolve(client, operation, profile, known, error)
    return Delivered(remote_id=remote_id, note="; ".join(profile.notes) or None)


def _import(client: Client, profile: Profile, remote_id: str | None, without: Collection[str] = ()) -> str:
    answer = client.call(PROFILE_IMPORT, body={"data": profile.resource(remote_id, without)})
    return str(answer["data"]["id"])


def _resolve(client: Client, operation: Operation, profile: Profile, known: str | None, error: ApiError) -> Delivered:
    owner = find_by_email(client, profile.email)
    extras = [n for n in EXTRA_IDENTIFIERS if n in profile.attributes]
    notes = list(profile.notes)
    target = known
    if known and owner and owner != known:
        target = None
        notes.append(_join(client, operation, known, owner))
    elif known and owner is None and error.status == 404:
        target = None
        notes.append("the profile it was linked to is gone: found or made by its e-mail address")
    attempts: list[Collection[str]] = [()] if target != known else []
    if extras and profile.email:
        attempts.append(extras)
    for without in attempts:
        try:
            remote_id = _import(client, profile, target, without)
        except ApiError as again:
            if again.status not in CLASH:
                raise
            continue
        if without:
            notes.append(f"{', '.join(without)} left out: it belongs to another profile")
        return Delivered(remote_id=remote_id, note="; ".join(notes) or None)
    raise Conflict(error.message) from error


def _join(client: Client, operation: Operation, known: str, owner: str) -> str:
    """What becomes of the linked profile when its new e-mail address already has a profile."""
    if operation.settings.get("on_conflict") != "merge":
        return "the new e-mail address has a profile already: that one is kept up to date from now on"
    relationships = {"profiles": {"data": [{"type": "profile", "id": known}]}}
    try:
        client.call(
            PROFILE_MERGE, body={"data": {"type": "profile-merge", "id": owner, "relationships": relationships}}
        )
    except ApiError as error:
        if error.status != 404:
            raise
        return "the profile it was linked to is gone"
    return "merged with the profile that has the new e-mail address"
