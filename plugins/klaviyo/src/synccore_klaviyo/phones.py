"""Telephone numbers that may be somebody else's.

A number identifies a profile as an address does: with one that belongs to another person Klaviyo refuses the write, or
takes that person for the one who is meant. A family shares a number, so whose it is is asked before it is first sent.
What one profile gives up and another gets in the same call (people who exchanged their addresses have each other's
profiles) is taken off the first one before.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from synccore.entities import normalize_email
from synccore.types import Clock, Link, Operation

from .client import PROFILE_IMPORT, Client
from .errors import ApiError, MissingScope
from .match import find
from .profile import EXTRA_IDENTIFIERS, FOREIGN, Profile, may_be_there

__all__ = ["Phones"]

#: A profile may be found by what was just written to it after this long.
UNSEEN = timedelta(minutes=10)


class Phones:
    """Leaves out the numbers of other people."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        #: Number -> the record and the address it was last sent with, and when: before Klaviyo can be asked about it.
        self._lately: dict[str, tuple[frozenset[str], datetime]] = {}

    def sort_out(self, operations: Sequence[Operation], profiles: Mapping[int, Profile]) -> dict[int, Profile]:
        """The profiles without numbers that are somebody else's. Raises what asking raises."""
        self._take_off(operations, profiles)
        asked = dict(_new_numbers(operations, profiles))
        if not asked:
            return dict(profiles)
        owners = self._owners(set(asked.values()))
        found = dict(profiles)
        by_id = {op.id: op for op in operations}
        with self._lock:
            now = self._clock.now()
            self._lately = {n: one for n, one in self._lately.items() if now - one[1] < UNSEEN}
            for number, phone in asked.items():
                profile, operation = profiles[number], by_id[number]
                address, link = str(profile.email), operation.link
                owner, their_address = owners.get(phone, (None, None))
                mine = owner is None or their_address in (None, address) or (link and link.remote_id == owner)
                who = frozenset({operation.uid, address})  # either of them may change
                if not mine or not self._lately.get(phone, (who, now))[0] & who:
                    found[number] = profile.without(["phone_number"], FOREIGN)
                else:
                    self._lately[phone] = who, now
        return found

    def _take_off(self, operations: Sequence[Operation], profiles: Mapping[int, Profile]) -> None:
        """Off each profile what it has no more and another one of these gets."""
        wanted = {(name, profile.attributes.get(name)) for profile in profiles.values() for name in EXTRA_IDENTIFIERS}
        linked = [(op.link, profiles[op.id]) for op in operations if op.link and op.id in profiles]
        for link, name, value in [(one, *what) for one, profile in linked for what in _given_up(one, profile)]:
            if (name, value) not in wanted:
                continue
            try:
                off = Profile(attributes={name: None}).resource(link.remote_id)
                self._client.call(PROFILE_IMPORT, body={"data": off})
            except ApiError as error:
                if error.status != 404:
                    raise
            with self._lock:
                self._lately.pop(str(value), None)

    def _owners(self, phones: set[str]) -> dict[str, tuple[str, str | None]]:
        """Number -> the id and address of whose it is."""
        try:
            people = find(self._client, "phone_number", phones)
        except MissingScope:
            return {}  # Klaviyo will say it by refusing; `check` names the scope
        emails = {phone: person["attributes"].get("email") for phone, person in people.items()}
        return {phone: (str(people[phone]["id"]), email and normalize_email(email)) for phone, email in emails.items()}


def _given_up(link: Link, profile: Profile) -> Iterator[tuple[str, Any]]:
    """Identifiers that the profile holds, or may, for this record alone, and is to hold no more."""
    for name in EXTRA_IDENTIFIERS:
        value = may_be_there(link, name)
        if link.shared <= 1 and value not in (None, profile.attributes.get(name)):
            yield name, value


def _new_numbers(operations: Sequence[Operation], profiles: Mapping[int, Profile]) -> Iterator[tuple[int, str]]:
    """Those that Klaviyo does not hold of this very record yet. Without an address the number is who it is."""
    for op in operations:
        if (profile := profiles.get(op.id)) is None or not profile.email:
            continue
        phone = profile.attributes.get("phone_number")
        if phone and not (op.link and op.link.fields.get("phone_number") == phone):
            yield op.id, str(phone)
