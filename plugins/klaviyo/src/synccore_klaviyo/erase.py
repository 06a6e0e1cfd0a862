"""Erasing a person for good, and proving that nobody is left.

Klaviyo answers a deletion with 202 and no job to ask, and an import job that still holds the person makes them again
once it is through. So nothing is called deleted before it was looked for, and what a job may bring back is followed up:
the address waits encrypted until the job has ended and the profile is deleted once more.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from synccore.entities import normalize_email
from synccore.errors import Rejected, SynccoreError
from synccore.types import Context, Erased, Identity, Link, Uid

from .client import ERASE, Client
from .digest import digest
from .former import Former
from .jobs import Holding, Jobs
from .match import find, find_by_email
from .profile import check_email, valid_phone
from .wanted import Wanted

__all__ = ["Eraser", "request_deletion"]

#: How long after a deletion was taken the profile is looked for.
LOOKS = (timedelta(0), timedelta(seconds=1), timedelta(seconds=4))
#: How often, beside the collection of jobs, it is asked whether a job is through that may bring somebody back.
EVERY = timedelta(minutes=1)
_OWED = "erase:"
_IN_JOB = "job:"


def request_deletion(client: Client, remote_id: str) -> None:
    """Ask Klaviyo to delete a person and all events for good."""
    person = {"type": "profile", "id": remote_id, "attributes": {}}
    attributes = {"profile": {"data": person}}
    client.call(ERASE, body={"data": {"type": "data-privacy-deletion-job", "attributes": attributes}})


class Eraser:
    """Finds and erases people of one account."""

    def __init__(self, client: Client, context: Context, jobs: Jobs) -> None:
        self._client = client
        self._context = context
        self._clock = context.clock
        self._state = context.state()
        self._jobs = jobs
        self._former = Former(context)
        self._wanted = Wanted(context)
        self._next_look: datetime | None = None

    # -- finding

    def find(self, identity: Identity) -> list[Link]:
        """The person's profiles, linked or not, and (with a remote id `job:...`) a job that may still make one."""
        emails = sorted({e for text in identity.emails if (e := _email(text))})
        # Before the profiles: a job that ends in between has made what is then found.
        in_jobs = list(self._in_jobs(identity, emails))
        people = list(find(self._client, "email", emails).values())
        if emails:  # else it is asked what carries their marks, and what they left is no double of theirs
            people += find(self._client, "id", self._former.of(identity.uids)).values()
        for name, values in (("external_id", identity.uids), ("phone_number", filter(valid_phone, identity.phones))):
            for profile in find(self._client, name, values).values():
                # A telephone may be shared in a family: with an address of its own it is somebody else.
                theirs = profile["attributes"].get("email")
                if not theirs or normalize_email(theirs) in emails:
                    people.append(profile)
        return [*{p["id"]: _link(p["id"], p["attributes"]) for p in people}.values(), *in_jobs]

    def _in_jobs(self, identity: Identity, emails: Iterable[str]) -> Iterator[Link]:
        """Jobs that may still make the person."""
        routes = [r.name for r in self._context.routes if r.object == "profile"]
        holding = self._jobs.holding(routes, identity.uids)
        for email in emails:
            owed = self._state.get(_owed(email))
            job = (holding.job or "") if holding else (owed or {}).get("job")
            if job is not None and (holding or self._runs(job)):
                since = holding.since.isoformat() if holding else owed["since"]
                yield Link(object="profile", remote_id=_IN_JOB + job, fields={"email": email}, made={"since": since})

    # -- erasing

    def erase(self, link: Link) -> Erased:
        """Erase the person behind the link: whatever it was before, in Klaviyo a profile is one person."""
        email = _email(link.fields.get("email") or link.mapped.get("email"))
        self._wanted.forget([link.remote_id, *([link.uid] if link.key else [])])
        holding = self._holding(link)
        if link.remote_id.startswith(_IN_JOB):
            remote_id = find_by_email(self._client, email)
        elif link.object == "event":
            # What we know of events has no id at Klaviyo: they hang on the profile of the address.
            remote_id = find_by_email(self._client, email)
        else:
            remote_id = link.remote_id
            if reason := self._not_theirs(link, email):
                return Erased("released", reason)
        left = bool(remote_id) and not self._gone(str(remote_id))
        if holding is not None:
            self._owe(email, holding)
            return Erased("pending", _waits(holding))
        if left:
            return Erased("pending", "Klaviyo has taken the deletion and still shows the profile: run it again")
        return Erased("deleted")

    def follow_up(self, job: str | None = None) -> None:
        """Delete whom a job has brought back; `job` has just been collected."""
        now = self._clock.now()
        if job is None and self._next_look is not None and now < self._next_look:
            return
        self._next_look = now + EVERY
        for name, owed in list(self._state.scan(_OWED)):
            if job is not None and owed["job"] != job:
                continue
            try:
                if not self._runs(owed["job"]):
                    self._erase_again(name)
            except SynccoreError as error:
                # It stays owed; the next look comes soon.
                self._context.log.warning("erasure waits", job=owed["job"], reason=error.message)

    def _erase_again(self, name: str) -> None:
        email = self._context.vault.get(name)
        if email and (remote_id := find_by_email(self._client, email)):
            request_deletion(self._client, remote_id)
        self._context.vault.delete(name)
        self._state.put({name: None})

    def _gone(self, remote_id: str) -> bool:
        """Ask for the deletion, and look whether it was done."""
        if not find(self._client, "id", [remote_id]):
            return True
        request_deletion(self._client, remote_id)
        for wait in LOOKS:
            self._clock.sleep(wait)
            if not find(self._client, "id", [remote_id]):
                return True
        return False

    def _not_theirs(self, link: Link, email: str | None) -> str | None:
        """Why a linked profile is not this person's: it has another address by now, and others are linked to it."""
        if link.ours or not email:
            return None
        found = find(self._client, "id", [link.remote_id]).get(link.remote_id)
        theirs = ((found or {}).get("attributes") or {}).get("email")
        if not theirs or normalize_email(theirs) in {email, *map(normalize_email, link.addresses)}:
            return None
        return "not deleted: the profile belongs to another e-mail address"

    def _holding(self, link: Link) -> Holding | None:
        if link.remote_id.startswith(_IN_JOB):
            return Holding(link.remote_id.removeprefix(_IN_JOB) or None, datetime.fromisoformat(link.made["since"]))
        if not link.source or link.object != "profile":
            return None
        return self._jobs.holding([link.route], [link.uid])

    def _owe(self, email: str | None, holding: Holding) -> None:
        if email:
            self._context.vault.put(_owed(email), email)
            self._state.put({_owed(email): {"job": holding.job or "", "since": holding.since.isoformat()}})

    def _runs(self, job: str) -> bool:
        # A job whose id was never learnt is found, or given up, when its records are delivered again.
        return bool(job) and self._jobs.runs(job)


def _link(remote_id: str, held: Mapping[str, Any]) -> Link:
    email, who = held.get("email"), Uid.parse(held.get("external_id"))
    fields = {"email": email} if email else {}
    return Link(object="profile", remote_id=remote_id, source=who.source, entity=who.entity, key=who.key, fields=fields)


def _waits(holding: Holding) -> str:
    job = f"import job {holding.job}" if holding.job else "an import job"
    at = holding.since.strftime("%H:%M")
    return f"still in {job}, submitted {at} UTC, which makes the profile again; then it is deleted: run again"


def _owed(email: str) -> str:
    return _OWED + digest(email)


def _email(text: Any) -> str | None:
    try:
        return check_email(str(text or ""))
    except Rejected:
        return None
