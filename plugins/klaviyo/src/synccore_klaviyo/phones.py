"""Telephone numbers that may be somebody else's.

A number identifies a profile as an address does: with one that belongs to another person Klaviyo refuses the write, or
takes that person for the one who is meant. A family shares a number, so whose it is is asked before it is first sent.
What one profile gives up and another gets in the same call (people who exchanged their addresses have each other's
profiles) is taken off the first one before, and so is what stands on a profile that was this very person's. Who gets
one in another call than the one who gives it up goes without it first, and is owed again then (`Wanted`).
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import frozen

from synccore.entities import normalize_email
from synccore.types import Context, Operation

from .client import PROFILE_IMPORT, Client
from .errors import ApiError, MissingScope
from .match import Resource, find, is_named
from .profile import EXTRA_IDENTIFIERS, FOREIGN, Profile, may_be_there
from .wanted import Wanted

__all__ = ["Phones"]

#: A profile may be found by what was just written to it after this long.
UNSEEN = timedelta(minutes=10)


@frozen
class _Sent:
    """With which record and address a number was sent, and when."""

    uid: str
    email: str
    at: datetime

    def is_of(self, uid: str, email: str) -> bool:
        """Either of them may change."""
        return uid == self.uid or email == self.email


class Phones:
    """Leaves out the numbers of other people."""

    def __init__(self, client: Client, context: Context) -> None:
        self._client = client
        self._clock = context.clock
        self._wanted = Wanted(context)
        self._lock = threading.Lock()
        #: Number -> with what it was last sent, before Klaviyo can be asked about it.
        self._lately: dict[str, _Sent] = {}

    def sort_out(
        self, operations: Sequence[Operation], profiles: Mapping[int, Profile], begun: set[str]
    ) -> dict[int, Profile]:
        """The profiles without numbers that are somebody else's. Raises what asking raises.

        Whatever becomes of the call: `begun` gets the ids of profiles that something was taken off.
        """
        asked = dict(_new_numbers(operations, profiles))
        owners = self._owners(set(asked.values())) if asked else {}
        given_up = [*_given_up(operations, profiles, owners), *self._lately_given_up(operations, profiles)]
        for value in self._take_off(given_up, profiles, begun):
            owners.pop(value, None)
        found = dict(profiles)
        by_id = {op.id: op for op in operations}
        with self._lock:
            now = self._clock.now()
            self._lately = {n: one for n, one in self._lately.items() if now - one.at < UNSEEN}
            for number, phone in asked.items():
                profile, operation = profiles[number], by_id[number]
                email, sent = str(profile.email), self._lately.get(phone)
                owner = owners.get(phone)
                if owner is not None and not _is_theirs(operation, profile, owner):
                    holder = str(owner["id"])
                elif sent is not None and not sent.is_of(operation.uid, email):
                    holder = sent.uid
                else:
                    self._lately[phone] = _Sent(operation.uid, email, now)
                    continue
                found[number] = profile.without(["phone_number"], FOREIGN)
                self._wanted.add(operation, phone, holder)
        return found

    def _lately_given_up(
        self, operations: Sequence[Operation], profiles: Mapping[int, Profile]
    ) -> list[tuple[str, str, str]]:
        """What was sent of these just now, and is another number since: from now on Klaviyo says whose it is.

        Profile, name and value, where the profile is known.
        """
        found = []
        with self._lock:
            for op in operations:
                if (profile := profiles.get(op.id)) is None:
                    continue
                number = profile.attributes.get("phone_number")
                for phone in [n for n, sent in self._lately.items() if sent.uid == op.uid and n != number]:
                    del self._lately[phone]
                    if op.link is not None and op.link.shared <= 1:
                        found.append((op.link.remote_id, "phone_number", phone))
        return found

    def _take_off(
        self, given_up: Sequence[tuple[str, str, str]], profiles: Mapping[int, Profile], begun: set[str]
    ) -> Iterator[str]:
        """Off each profile what another one of these is to have; gives what was taken off."""
        wanted = {(name, profile.attributes.get(name)) for profile in profiles.values() for name in EXTRA_IDENTIFIERS}
        for remote_id, name, value in dict.fromkeys(given_up):
            if (name, value) not in wanted:
                continue
            begun.add(remote_id)
            try:
                off = Profile(attributes={name: None}).resource(remote_id)
                self._client.call(PROFILE_IMPORT, body={"data": off})
            except ApiError as error:
                if error.status != 404:
                    raise
            with self._lock:
                self._lately.pop(value, None)
            yield value

    def _owners(self, phones: set[str]) -> dict[str, Resource]:
        """Number -> the profile that has it."""
        try:
            return find(self._client, "phone_number", phones)
        except MissingScope:
            return {}  # Klaviyo will say it by refusing; `check` names the scope


def _given_up(
    operations: Sequence[Operation], profiles: Mapping[int, Profile], owners: Mapping[str, Resource]
) -> Iterator[tuple[str, str, str]]:
    """Profile, name and value of identifiers that stand where they are to stand no more."""
    for op in operations:
        if (profile := profiles.get(op.id)) is None or (link := op.link) is None:
            continue
        number = str(profile.attributes.get("phone_number") or "")
        if link.shared <= 1:
            for name in EXTRA_IDENTIFIERS:
                value = may_be_there(link, name)
                if value not in (None, profile.attributes.get(name)):
                    yield link.remote_id, name, str(value)
            # What a write without an answer left there only Klaviyo may know; of who has none it is taken off as well.
            there = [phone for phone, owner in owners.items() if owner["id"] == link.remote_id]
            mine = "phone_number" in profile.attributes
            yield from ((link.remote_id, "phone_number", phone) for phone in there if mine and phone != number)
        # Who was just given another profile, for addresses went round, had the one that names them still.
        former = owners.get(number) if link.delivered_at is None else None
        if former is not None and former["id"] != link.remote_id and is_named(op, former):
            yield str(former["id"]), "phone_number", number


def _is_theirs(operation: Operation, profile: Profile, owner: Resource) -> bool:
    """Whether the profile that has the number is the one that is written."""
    email = normalize_email(owner["attributes"].get("email") or "")
    return email in ("", profile.email) or (operation.link is not None and operation.link.remote_id == owner["id"])


def _new_numbers(operations: Sequence[Operation], profiles: Mapping[int, Profile]) -> Iterator[tuple[int, str]]:
    """Those that Klaviyo does not hold of this very record yet. Without an address the number is who it is."""
    for op in operations:
        if (profile := profiles.get(op.id)) is None or not profile.email:
            continue
        phone = profile.attributes.get("phone_number")
        if phone and not (op.link and op.link.fields.get("phone_number") == phone):
            yield op.id, str(phone)
