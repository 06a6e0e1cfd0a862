"""Delivering profiles: consent first, then single writes and import jobs, and what is let go of."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import define, evolve, field

from synccore.entities import normalize_email
from synccore.errors import Conflict, RateLimited, Rejected, SynccoreError
from synccore.types import Context, Delivered, Failed, Link, Operation, Outcome, each

from .client import MAX_BATCH, PROFILE_IMPORT, SUPPRESS, Client
from .config import Config
from .consent import Consent, Said, address_of, gets_mail, is_by_us, keep_word, old_email
from .dropping import Dropping
from .errors import ApiError
from .former import Former
from .jobs import Jobs
from .match import Resource, find, find_by_email, find_subscribed
from .merges import Merges
from .phones import Phones
from .profile import EXTRA_IDENTIFIERS, FOREIGN, INVALID_PHONE, Profile, build, empty
from .read import Reader

__all__ = ["Writer"]

#: How long the rest of a bulk batch waits when too many of its records need single calls.
SNOOZE = timedelta(seconds=5)
#: How long one `deliver` writes one by one; the rest comes again. So a thread is never far, whatever the quota.
PATIENCE = timedelta(seconds=4)
AT_ONCE = timedelta(seconds=1)
#: A profile older than this when we first wrote to it was there before us.
OURS = timedelta(minutes=15)
MERGED = "merged with the profile that has the new e-mail address"
#: Answers that mean: these identifiers do not all belong to the profile you mean.
CLASH = (404, 409)


@define
class _Course:
    """What one `deliver` learns on its way.

    Attributes:
        followed: operation id -> the profile that it was linked to, and which was joined into another one.
        begun: profiles that something was taken off, for somebody else to have it, or that are merged into others.
        made: operations that made a profile.
        left: operation id -> the profile that its person had, where they go over to another one.
    """

    followed: dict[int, str] = field(factory=dict)
    begun: set[str] = field(factory=set)
    made: set[int] = field(factory=set)
    left: dict[int, Resource] = field(factory=dict)


class Writer:
    """Writes the object `profile`."""

    def __init__(self, client: Client, config: Config, context: Context, jobs: Jobs, dropping: Dropping) -> None:
        self._client = client
        self._clock = context.clock
        self._dropping = dropping
        self._consent = Consent(client, context, config.list)
        self._jobs = jobs
        self._merges = Merges(client, context)
        self._former = Former(context)
        self._phones = Phones(client, context)
        self._job_from = min(MAX_BATCH, config.bulk_threshold)

    def deliver(self, operations: Sequence[Operation]) -> list[Outcome]:
        """One outcome per operation, in order."""
        course = _Course()
        operations, outcomes, course.followed = self._merges.follow(operations)
        going = [op for op in operations if op.id not in outcomes]
        outcomes |= self._deliver(going, course) if going else {}
        self._withdraw(going, outcomes)
        done = [(op, one) for op in operations if isinstance(one := outcomes[op.id], Delivered)]
        self._merges.end([course.followed[op.id] for op, _ in done if op.id in course.followed])
        self._former.take(one.remote_id for _, one in done if one.remote_id)
        for op, _ in done:
            if op.id in course.left and _adopts(op):
                self._former.leave(op)
        # What was taken off a profile, for somebody else to have it, is a part of what was to be written there.
        return [
            evolve(one, partly=True)
            if isinstance(one, Failed) and op.link and op.link.remote_id in course.begun
            else one
            if op.id in course.followed
            else keep_word(op, one)
            for op in operations
            for one in (outcomes[op.id],)
        ]

    def _withdraw(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> None:
        """Take those who went elsewhere, or left, out of the profile that an earlier try may have brought them to."""
        found = self._former.strays(operations)
        for op in (op for op in operations if op.id in found):
            one, link = outcomes[op.id], op.link
            if not isinstance(one, Delivered) or link is None:
                continue
            strays = [remote_id for remote_id in found[op.id] if remote_id != one.remote_id]
            try:
                for stray in strays:
                    self._clear(evolve(link, remote_id=stray))
                people = find_subscribed(self._client, strays) if strays else {}
            except SynccoreError as error:
                outcomes[op.id] = _but_for(one, error)
                continue
            for there in people.values():
                if gets_mail(there) and is_by_us(there, op.source):
                    said = self._consent.opt_out([op], address=lambda _, there=there: _known_as(there))  # type: ignore[misc]
                    _take_over(said, outcomes)
            if isinstance(outcomes[op.id], Delivered):
                self._former.take(strays)

    def _deliver(self, operations: Sequence[Operation], course: _Course) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        changes = self._consent.changes(operations)
        leaving = [op for op in operations if changes.get(op.id) is False]
        # Opt-outs go before all else: nothing may hold them up.
        notes = self._leave([op for op in leaving if not old_email(op)], outcomes)
        going = [op for op in operations if op.op in ("delete", "leave")]
        # A job that holds them still, and that nobody heard of, would make them anew.
        held = self._jobs.held([op for op in going if op.maybe_applied])
        outcomes |= held | self._each([op for op in going if op.id not in held], self._take_away)
        upserts = [op for op in operations if op.op == "upsert" and op.id not in outcomes]
        profiles = self._build(upserts, outcomes, course.begun)
        wanted = [op for op in operations if op.id in profiles]
        singles, bulk = self._divide(wanted, profiles, {*changes, *course.followed}, outcomes)
        if bulk:
            outcomes |= self._jobs.submit(bulk, profiles)
        outcomes |= self._each(singles, lambda op: self._write(op, profiles[op.id], course))
        notes |= self._leave_moving([op for op in leaving if old_email(op)], outcomes)
        leavers = [op for op in operations if op.id in course.left]
        over = [op for op in leavers if isinstance(outcomes[op.id], Delivered) or not _adopts(op)]
        notes |= self._go_over(over, outcomes, course)
        arrived = [op for op in upserts if op.id not in {*changes, *course.made} and _has_arrived(op, outcomes, course)]
        notes |= self._refuse(arrived, outcomes)
        notes |= self._join([op for op in operations if changes.get(op.id)], outcomes)
        self._consent.settle(op for op in operations if isinstance(outcomes[op.id], Delivered))
        return {op.id: _noted(outcomes[op.id], notes.get(op.id)) for op in operations}

    def collected(self, operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """What became of an import job; who came to a profile by it may not want what it consents to."""
        found = {op.id: outcome for op, outcome in zip(operations, outcomes, strict=True)}
        self._former.take(one.remote_id for one in outcomes if isinstance(one, Delivered) and one.remote_id)
        adopting = [op for op in operations if isinstance(one := found[op.id], Delivered) and one.adopted]
        notes = self._refuse(adopting, found)
        return [keep_word(op, _noted(found[op.id], notes.get(op.id))) for op in operations]

    def overtake(self, operations: Sequence[Operation]) -> list[Delivered | Failed | None]:
        """An older state of these is in an import job: consent does not wait for it and touches none of its fields."""
        outcomes: dict[int, Outcome] = {}
        changes = self._consent.changes(operations)
        leaving = [op for op in operations if changes.get(op.id) is False]
        notes = self._leave([op for op in leaving if not old_email(op)], outcomes)
        notes |= self._leave_moving([op for op in leaving if old_email(op)], outcomes)
        # Who has another address than the job knows is subscribed under it when it is written.
        joining = [op for op in operations if changes.get(op.id) and address_of(op) and not old_email(op)]
        notes |= self._subscribe(joining, outcomes)
        found: list[Delivered | Failed | None] = []
        for op in operations:
            failed, note = outcomes.get(op.id), notes.get(op.id)
            if isinstance(failed, Failed):
                found.append(failed)
            else:
                found.append(Delivered(note=f"{note}, ahead of the import job") if note else None)
        return found

    # -- consent

    def _leave(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> dict[int, str]:
        """Opt out, by the address that is theirs."""
        return _take_over(self._consent.opt_out([op for op in operations if address_of(op)]), outcomes)

    def _leave_moving(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> dict[int, str]:
        """Opt out who gets another address: by that one where it is theirs now, else by the one Klaviyo knows.

        An opt-out is carried out later, and who has the address no more would be made anew by it.
        """
        moved = [op for op in operations if isinstance(outcomes.get(op.id), Delivered) and address_of(op)]
        doubted = [op for op in operations if op.link and address_of(op) and _may_have_moved(op, outcomes.get(op.id))]
        try:
            there = find(self._client, "id", {op.link.remote_id for op in doubted if op.link}) if doubted else {}
        except SynccoreError as error:
            # Told by the wrong address it would make somebody: these are not told before Klaviyo says which it knows.
            outcomes |= {op.id: outcomes.get(op.id, Failed(error)) for op in doubted}
            operations = [op for op in operations if op not in doubted]
        else:
            moved += [op for op in doubted if op.link and _known_as(there.get(op.link.remote_id)) == address_of(op)]
        staying = [op for op in operations if op not in moved]
        waiting = {op.id: outcomes[op.id] for op in (*moved, *staying) if op.id in outcomes}
        said = self._consent.opt_out(moved) | self._consent.opt_out(staying, address=old_email)
        notes = _take_over(said, outcomes)
        outcomes |= {number: outcome for number, outcome in waiting.items() if number in notes}
        return notes

    def _go_over(
        self, operations: Sequence[Operation], outcomes: dict[int, Outcome], course: _Course
    ) -> dict[int, str]:
        """Those who have another profile from now on: what they consent to goes along, and nothing of it stays behind.

        First where they are, for what was there is seen no more once it is taken back.
        """
        mailed = [op for op in operations if gets_mail(course.left[op.id])]
        saying = [op for op in mailed if op.fields.get("accepts_marketing") is True and address_of(op)]
        before = {op.id: outcomes[op.id] for op in saying}
        notes = self._subscribe(saying, outcomes)
        outcomes |= {number: before[number] for number in notes}
        behind = [op for op in mailed if _stays_behind(op, course.left[op.id]) and (op in saying) <= (op.id in notes)]
        said = self._consent.opt_out(behind, address=lambda op: _known_as(course.left[op.id]))
        for number, note in _take_over(said, outcomes).items():
            notes[number] = "; ".join([*([notes[number]] if number in notes else []), f"{note} where they were before"])
        return notes

    def _refuse(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> dict[int, str]:
        """Who came to a profile that gets mail, and is not to get any."""
        there = [(op, one.remote_id) for op in operations if isinstance(one := outcomes[op.id], Delivered)]
        try:
            unwanted = self._consent.unwanted([(op, remote_id) for op, remote_id in there if remote_id])
        except SynccoreError as error:
            outcomes |= {op.id: _but_for(outcomes[op.id], error) for op, _ in there}
            return {}
        return _take_over(self._consent.opt_out([op for op in unwanted if address_of(op)]), outcomes)

    def _join(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> dict[int, str]:
        """Opt-ins go last, for a welcome mail should find the name in place; but who is there waits for no quota.

        Klaviyo makes a profile for an opt-in: where there is none under the address it waits for the one we write, for
        nothing would lead to it if the address changed meanwhile.
        """
        joining = [op for op in operations if address_of(op) and _may_join(op, outcomes[op.id])]
        waiting = {op.id: outcomes[op.id] for op in joining if isinstance(outcomes[op.id], Failed)}
        notes = self._subscribe(joining, outcomes)
        outcomes |= waiting
        return notes

    def _subscribe(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> dict[int, str]:
        try:
            return _take_over(self._consent.opt_in(operations), outcomes)
        except SynccoreError as error:
            outcomes |= {op.id: _but_for(outcomes.get(op.id), error) for op in operations}
            return {}

    # -- what goes how

    def _build(
        self, operations: Sequence[Operation], outcomes: dict[int, Outcome], begun: set[str]
    ) -> dict[int, Profile]:
        """What is to be sent; `begun` gets the ids of profiles that something was taken off for it."""
        keep = Reader(self._client).kept(operations)
        profiles = {}
        for op in operations:
            try:
                profiles[op.id] = build(op, keep.get(op.id))
            except Rejected as error:
                outcomes[op.id] = Failed(error)
        try:
            return self._phones.sort_out(operations, profiles, begun)
        except SynccoreError as error:
            outcomes |= {number: Failed(error) for number in profiles}
            return {}

    def _divide(
        self,
        operations: Sequence[Operation],
        profiles: Mapping[int, Profile],
        alone: Collection[int],
        outcomes: dict[int, Outcome],
    ) -> tuple[list[Operation], list[Operation]]:
        """(one by one, by job). Jobs ignore nulls, cannot move an address and know no consent."""
        unsure = any(op.maybe_applied for op in operations)
        held = self._jobs.held(operations) if len(operations) > self._job_from or unsure else {}
        outcomes |= held
        operations = [op for op in operations if op.id not in held]
        if len(operations) <= self._job_from:
            return list(operations), []
        singles, bulk, addresses = [], [], set()
        for op in operations:
            profile = profiles[op.id]
            singly = profile.clears or profile.left_out.get("phone_number") == FOREIGN
            if singly or op.id in alone or old_email(op) or not profile.email:
                singles.append(op)
            elif profile.email in addresses:
                # A job may drop the second record of one address; it goes after the first is through.
                outcomes[op.id] = _later("its e-mail address is in this job already")
            else:
                bulk.append(op)
                addresses.add(profile.email)
        outcomes |= {op.id: _later("waits for its turn among single calls") for op in singles[MAX_BATCH:]}
        return singles[:MAX_BATCH], bulk

    def _each(self, operations: Sequence[Operation], do: Callable[[Operation], Outcome]) -> dict[int, Outcome]:
        until = self._clock.now() + PATIENCE

        def in_time(operation: Operation) -> Outcome:
            if self._clock.now() > until:
                return _later("waits for its turn", AT_ONCE)
            return do(operation)

        return {op.id: outcome for op, outcome in zip(operations, each(operations, in_time), strict=True)}

    # -- one profile

    def _write(self, operation: Operation, profile: Profile, course: _Course) -> Delivered:
        """Create or update; with a link it is the linked one, so that an e-mail change follows the person.

        Klaviyo's upsert answers 409 where a phone number or external id belongs to somebody else, and 404 for an id
        it knows when the e-mail address does. Neither sinks the record, nor does a number that only Klaviyo dislikes.
        """
        known = operation.link.remote_id if operation.link else None
        try:
            return self._import(operation, profile, known, course, MERGED if operation.id in course.followed else "")
        except ApiError as error:
            if error.status in CLASH:
                return self._resolve(operation, profile, known, error, course)
            if profile.email and error.problems and {p.field_name for p in error.problems} == {"phone_number"}:
                return self._import(operation, profile.without(["phone_number"], INVALID_PHONE), known, course)
            raise

    def _import(
        self, operation: Operation, profile: Profile, remote_id: str | None, course: _Course, note: str = ""
    ) -> Delivered:
        answer = self._client.send(PROFILE_IMPORT, body={"data": profile.resource(remote_id)})
        data = answer.body["data"]
        if answer.status != 200:
            course.made.add(operation.id)
        linked = bool(remote_id) and operation.id not in course.followed
        return Delivered(
            remote_id=str(data["id"]),
            fields=profile.held,
            left_out=profile.left_out,
            note=note or None,
            adopted=None if linked else answer.status == 200 and self._was_there(data, operation),
        )

    def _was_there(self, data: Mapping[str, Any], operation: Operation) -> bool | None:
        if operation.maybe_applied:
            return None  # an earlier try of ours may have made it
        created = (data.get("attributes") or {}).get("created")
        # An event of ours a moment ago makes the profile too.
        return not created or self._clock.now() - datetime.fromisoformat(created) > OURS

    def _resolve(
        self, operation: Operation, profile: Profile, known: str | None, error: ApiError, course: _Course
    ) -> Delivered:
        owner = find_by_email(self._client, profile.email)
        extras = [n for n in EXTRA_IDENTIFIERS if profile.attributes.get(n)]
        target, note = known, ""
        if known and owner and owner != known:
            target, note = None, self._change(operation, known, owner, course)
        elif known and owner is None and error.status == 404:
            target, note = None, "the profile it was linked to is gone: found or made by its e-mail address"
        attempts = [profile] if target != known else []
        if extras and profile.email:
            attempts.append(profile.without(extras, FOREIGN))
        for attempt in attempts:
            try:
                return self._import(operation, attempt, target, course, note)
            except ApiError as again:
                if again.status not in CLASH:
                    raise
        raise Conflict(error.message) from error

    def _change(self, operation: Operation, known: str, owner: str, course: _Course) -> str:
        """What becomes of the linked profile when its new e-mail address already has a profile."""
        left = find_subscribed(self._client, [known]).get(known)
        if _adopts(operation):
            course.left |= {operation.id: left} if left is not None else {}
            self._former.go(operation, owner)
            self._give_up(operation.link, left, course)
            return "the new e-mail address has a profile already: that one is kept up to date from now on"
        if not self._merges.begin(known, _known_as(left), owner, operation.fields.get("email", "")):
            return "the profile it was linked to is gone"
        course.begun.add(known)
        course.left |= {operation.id: left} if left is not None else {}
        self._merges.wait(known)
        return MERGED

    def _give_up(self, link: Link | None, left: Resource | None, course: _Course) -> None:
        """Who gets the profile that they leave is not to get what was theirs; and their number they take along."""
        if link is None or left is None or link.shared > 1:
            return
        course.begun.add(link.remote_id)
        self._client.call(PROFILE_IMPORT, body={"data": empty(link).resource(link.remote_id)})

    # -- deleted in the shop, or wanted no longer

    def _take_away(self, operation: Operation) -> Delivered:
        if (operation.op == "delete" or operation.gone) and operation.settings.get("on_delete") == "erase":
            former = self._former.of([operation.uid], ours=True)
            for remote_id, profile in find(self._client, "id", former).items():
                self._dropping.ask(remote_id, _known_as(profile))
            self._former.take(former)
        return self._delete(operation) if operation.op == "delete" else self._let_go(operation)

    def _delete(self, operation: Operation) -> Delivered:
        how, link = operation.settings.get("on_delete", "keep"), operation.link
        if how == "keep" or link is None:
            return Delivered(note="profile kept: on_delete is keep")
        if how == "erase":
            return self._remove(link)
        email = link.fields.get("email")
        if not email:
            return Delivered(note="not suppressed: no e-mail address was delivered")
        people = {"profiles": {"data": [{"type": "profile", "attributes": {"email": email}}]}}
        kind = "profile-suppression-bulk-create-job"
        self._client.call(SUPPRESS, body={"data": {"type": kind, "attributes": people}})
        return Delivered(note="suppressed")

    def _let_go(self, operation: Operation) -> Delivered:
        if operation.link is None:
            return Delivered(note="nothing was delivered")
        return self._remove(operation.link) if operation.on_leave == "delete" else self._clear(operation.link)

    def _remove(self, link: Link) -> Delivered:
        if not link.ours:
            return self._clear(link, "not deleted, for it was there before or is shared: ")
        self._dropping.ask(link.remote_id, link.fields.get("email"))
        return Delivered(note="deletion of the profile requested")

    def _clear(self, link: Link, why: str = "") -> Delivered:
        try:
            self._client.call(PROFILE_IMPORT, body={"data": empty(link).resource(link.remote_id)})
        except ApiError as error:
            if error.status != 404:
                raise
            return Delivered(note="the profile is gone")
        return Delivered(note=f"{why}our values were taken out of the profile")


def _later(reason: str, wait: timedelta = SNOOZE) -> Failed:
    return Failed(RateLimited(reason, retry_after=wait, scope="operation"))


def _may_have_moved(operation: Operation, outcome: Outcome | None) -> bool:
    """Whether Klaviyo may know the new address by now though nobody said so: an answer was lost."""
    return operation.maybe_applied or (isinstance(outcome, Failed) and getattr(outcome.error, "maybe_applied", False))


def _known_as(profile: Mapping[str, Any] | None) -> str | None:
    return normalize_email((profile or {}).get("attributes", {}).get("email") or "") or None


def _has_arrived(operation: Operation, outcomes: Mapping[int, Outcome], course: _Course) -> bool:
    """Whether it is at a profile that was not its own before: found, exchanged, or gone over to."""
    outcome, link = outcomes[operation.id], operation.link
    if not isinstance(outcome, Delivered):
        return False
    return (
        link is None
        or link.delivered_at is None
        or outcome.remote_id != link.remote_id
        or operation.id in course.followed
    )


def _adopts(operation: Operation) -> bool:
    return operation.settings.get("on_conflict") != "merge"


def _stays_behind(operation: Operation, left: Resource) -> bool:
    """Whether a profile that nobody of the shop has any more gets mail on the shop's word."""
    if not _adopts(operation) or (operation.link and operation.link.shared > 1):
        return False
    return operation.previous.get("accepts_marketing") is True or is_by_us(left, operation.source)


def _may_join(operation: Operation, outcome: Outcome) -> bool:
    if isinstance(outcome, Delivered):
        return True
    is_there = operation.link is not None and not old_email(operation)
    return is_there and isinstance(outcome, Failed) and isinstance(outcome.error, RateLimited)


def _take_over(said: Said, outcomes: dict[int, Outcome]) -> dict[int, str]:
    notes = {}
    for number, one in said.items():
        if isinstance(one, SynccoreError):
            outcomes[number] = _but_for(outcomes.get(number), one)
        else:
            notes[number] = one
    return notes


def _but_for(outcome: Outcome | None, error: SynccoreError) -> Failed:
    """The consent did not get through; what did is at Klaviyo."""
    return Failed(error, partly=isinstance(outcome, Delivered))


def _noted(outcome: Outcome, note: str | None) -> Outcome:
    if note and isinstance(outcome, Delivered):
        return evolve(outcome, note=f"{outcome.note}; {note}" if outcome.note else note)
    if note and isinstance(outcome, Failed):
        return evolve(outcome, partly=True)  # the consent did get through
    return outcome
