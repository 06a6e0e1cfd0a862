"""What we know of one Google account: all its contacts by marker, e-mail and phone, kept current by sync tokens.

The People API finds no contact by its marker, refuses no second equal contact and takes no request id, so the only
way to make none twice is to know what is there. The index lives in the account's durable state, shared by all
sinks on that account; only the keys are held in memory:

    person:NAME   the contact as last seen
    own:NAME      what we wrote on it (kept when the account is disconnected)
    alias:NAME    its name now, where Google renamed it
    intent:UID    a create that was sent and not yet answered
    log:N         the contacts that write N touched
    sync, write, lag, version, pause, full    single records
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field

from synccore.entities import normalize_email
from synccore.types import Context

from .client import People
from .errors import SyncTokenExpired
from .mapping import phone_key
from .merge import markers
from .schema import Person, contact_source, updated

#: Writes of other processes an index catches up with one by one before it loads everything anew.
JOURNAL = 100
#: How old the picture may be before a delivery asks for changes.
SYNC_EVERY = timedelta(minutes=5)
#: A sync token lives 7 days after its full listing (connections.list reference).
FULL_EVERY = timedelta(days=6)
#: Writes may need several minutes to show up in a listing (connections.list reference).
LONGEST_LAG = timedelta(minutes=10)
#: A request that was cut off may still be carried out for so long.
SHORTEST_LAG = timedelta(seconds=30)


@define
class Own:
    """What we did to a contact: the values we wrote, whether we made it, the label we gave it."""

    fields: dict[str, Any] = field(factory=dict)
    made: bool = False
    label: str | None = None


@define
class _Keys:
    markers: set[str]
    emails: set[str]
    phones: set[str]


class Index:
    """Use it only while holding the account's lock."""

    def __init__(self, context: Context, account: str, people: People) -> None:
        self._clock = context.clock
        self._log = context.log
        self._people = people
        self.account = account
        self.state = context.state(account)
        self._version: int | None = None
        self._keys: dict[str, _Keys] = {}
        self._by: dict[str, dict[str, set[str]]] = {"markers": {}, "emails": {}, "phones": {}}

    # -- questions

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    def person(self, name: str) -> Person:
        """The contact as last seen; empty where it is not known."""
        return self.state.get(f"person:{name}") or {}

    def own(self, name: str) -> Own | None:
        """What we did to it; None where we never wrote on it, or forgot."""
        data = self.state.get(f"own:{name}")
        if data is None:
            return None
        return Own(fields=data.get("fields", {}), made=data.get("made", False), label=data.get("label"))

    def made(self, name: str) -> bool:
        """Whether we made it."""
        own = self.own(name)
        return own is not None and own.made

    def resolve(self, name: str) -> str:
        """Its name now."""
        seen = {name}
        while name not in self._keys and (later := self.state.get(f"alias:{name}")) and later not in seen:
            seen.add(later)
            name = later
        return name

    def with_marker(self, uid: str) -> set[str]:
        """Contacts that carry the marker."""
        return set(self._by["markers"].get(uid, ()))

    def with_email(self, email: str) -> set[str]:
        """Contacts that have the address."""
        return set(self._by["emails"].get(email, ()))

    def with_phone(self, phone: str) -> set[str]:
        """Contacts that have the number (E.164)."""
        return set(self._by["phones"].get(phone, ()))

    def markers_of(self, name: str) -> set[str]:
        """The markers on a contact."""
        return self._keys[name].markers

    def emails_of(self, name: str) -> set[str]:
        """The addresses of a contact, in the form they are compared in."""
        return self._keys[name].emails

    def doubled(self) -> int:
        """How many markers stand on more than one contact."""
        return sum(1 for names in self._by["markers"].values() if len(names) > 1)

    # -- opening and writing through

    def open(self) -> None:
        """Load the keys, if this process has not, or if another one wrote since."""
        version = self.state.get("version") or 0
        if self._version is not None and version - JOURNAL < self._version <= version:
            for missed in range(self._version + 1, version + 1):
                for name in self.state.get(f"log:{missed}") or ():
                    self._unlearn(name)
                    if person := self.state.get(f"person:{name}"):
                        self._learn(name, person)
            self._version = version
            return
        self._keys.clear()
        for names in self._by.values():
            names.clear()
        for key, person in self.state.scan("person:"):
            self._learn(key.removeprefix("person:"), person)
        self._version = version

    def store(self, people: Iterable[Person], own: Mapping[str, Own] | None = None, done: Iterable[str] = ()) -> None:
        """Keep answers of writes: contacts, what we wrote on them, and the intents (uids) this settles."""
        items: dict[str, Any] = {}
        last: Person | None = None
        for person in people:
            items |= self._renamed(person)
            items[f"person:{person['resourceName']}"] = person
            self._learn(person["resourceName"], person)
            last = person
        for name, record in (own or {}).items():
            items[f"own:{name}"] = {"fields": record.fields, "made": record.made, "label": record.label}
        for uid in done:
            items[f"intent:{uid}"] = None
        if last is not None:
            items["write"] = {
                "name": last["resourceName"], "updated": updated(last), "at": self._clock.now().isoformat()
            }  # fmt: skip
        self._put(items)

    def drop(self, names: Iterable[str]) -> None:
        """Forget contacts that are gone."""
        items: dict[str, Any] = {}
        for name in names:
            self._unlearn(name)
            items |= {f"person:{name}": None, f"own:{name}": None}
        self._put(items)

    def forget(self) -> None:
        """Forget the owner's contacts; what we wrote on which stays, so that a reconnect makes none twice."""
        self.state.clear("person:")
        # Too far for any other process to catch up by the journal: it loads anew.
        version = (self.state.get("version") or 0) + JOURNAL
        self.state.put({"sync": None, "write": None, "lag": None, "version": version})
        self._version = None

    def _put(self, items: dict[str, Any]) -> None:
        if not items:
            return
        version = (self._version or 0) + 1
        names = [key.removeprefix("person:") for key in items if key.startswith("person:")]
        self.state.put({**items, "version": version, f"log:{version}": names, f"log:{version - JOURNAL}": None})
        self._version = version

    def _learn(self, name: str, person: Person) -> None:
        self._unlearn(name)
        keys = self._keys[name] = _keys_of(person)
        for kind, table in self._by.items():
            for value in getattr(keys, kind):
                table.setdefault(value, set()).add(name)

    def _unlearn(self, name: str) -> None:
        keys = self._keys.pop(name, None)
        if keys is None:
            return
        for kind, table in self._by.items():
            for value in getattr(keys, kind):
                table[value].discard(name)
                if not table[value]:
                    del table[value]

    def _renamed(self, person: Person) -> dict[str, Any]:
        """Follow a contact to its new name, with what we know of it."""
        items: dict[str, Any] = {}
        name = person["resourceName"]
        for former in (person.get("metadata") or {}).get("previousResourceNames", ()):
            if former == name:
                continue
            items[f"alias:{former}"] = name
            if record := self.state.get(f"own:{former}"):
                items |= {f"own:{name}": record, f"own:{former}": None}
            if former in self._keys:
                self._unlearn(former)
                items[f"person:{former}"] = None
        return items

    # -- intents: creates whose answer is not known

    def intend(self, uids: Iterable[str]) -> None:
        """Note, before it is sent, that a contact with this marker may come into being."""
        now = self._clock.now().isoformat()
        self.state.put({f"intent:{uid}": {"at": now} for uid in uids})

    def doubt(self, uids: Iterable[str]) -> None:
        """Google refused the batch and very likely made none of it: a short look is enough."""
        now = self._clock.now().isoformat()
        self.state.put({f"intent:{uid}": {"at": now, "refused": True} for uid in uids})

    def withdraw(self, uids: Iterable[str]) -> None:
        """Google said for certain that it made none of these."""
        self.state.put({f"intent:{uid}": None for uid in uids})

    def intended(self, uid: str) -> bool:
        """Whether a create of this marker was sent whose answer is not known."""
        return self.state.get(f"intent:{uid}") is not None

    def left(self, uid: str) -> tuple[timedelta, timedelta] | None:
        """How long ago such a create was sent, and how long it may still take to show up; None where none was."""
        record = self.state.get(f"intent:{uid}")
        if record is None:
            return None
        age = self._clock.now() - datetime.fromisoformat(record["at"])
        patience = SHORTEST_LAG if record.get("refused") else self._patience()
        return age, patience - age

    def _patience(self) -> timedelta:
        """How long a create may stay invisible before it counts as not carried out.

        Ten minutes, unless the account's own listing was just seen to be faster: then three times what it took for
        our last write to show up, and at least half a minute for a request that was cut off on its way.
        """
        lag = self.state.get("lag")
        if lag is None or self._clock.now() - datetime.fromisoformat(lag["at"]) > timedelta(hours=1):
            return LONGEST_LAG
        return min(max(timedelta(seconds=3 * lag["seconds"]), SHORTEST_LAG), LONGEST_LAG)

    # -- following the account

    def sync(self, *, now: bool = False) -> None:
        """Bring the picture up to date: changes since the sync token, or everything where there is none.

        Args:
            now: even though the last time was a moment ago.
        """
        record = self.state.get("sync") or {}
        moment = self._clock.now()
        params = _fingerprint(self._people.listing())
        if record.get("params") != params or moment - _time(record, "full_at") >= FULL_EVERY:
            self._full(params)
        elif now or moment - _time(record, "synced_at") > SYNC_EVERY:
            try:
                token = self._follow(record["token"])
            except SyncTokenExpired:
                self._log.info("sync token expired, listing all contacts")
                self._full(params)
            else:
                self.state.put({"sync": {**record, "token": token, "synced_at": moment.isoformat()}})

    def _full(self, params: str) -> None:
        started = self._clock.now()
        unseen = set(self._keys)
        self.state.put({"sync": None})
        token = self._follow(None, unseen)
        # A write of the last minutes may be missing from the listing; what is older and missing is gone.
        self.drop(n for n in unseen if started - _update_time(self.person(n)) > 2 * LONGEST_LAG)
        moment = started.isoformat()
        self.state.put({"sync": {"token": token, "params": params, "full_at": moment, "synced_at": moment}})

    def _follow(self, sync_token: str | None, unseen: set[str] | None = None) -> str:
        for page in self._pages(sync_token):
            people = [p for p in page.get("connections", ()) if p.get("resourceName")]
            self._take(people)
            if unseen is not None:
                unseen.difference_update(p["resourceName"] for p in people)
            if token := page.get("nextSyncToken"):
                return str(token)
        raise SyncTokenExpired("Google's listing ended without a sync token")

    def _pages(self, sync_token: str | None) -> Iterator[dict[str, Any]]:
        page_token: str | None = None
        while True:
            page = self._people.connections(sync_token, page_token)
            yield page
            page_token = page.get("nextPageToken")
            if not page_token:
                return

    def _take(self, people: list[Person]) -> None:
        """One page of a listing. It may be older than what we wrote since."""
        items: dict[str, Any] = {}
        written = self.state.get("write")
        for person in people:
            name = person["resourceName"]
            items |= self._renamed(person)
            if (person.get("metadata") or {}).get("deleted"):
                self._unlearn(name)
                items |= {f"person:{name}": None, f"own:{name}": None}
                continue
            if written and written["name"] == name and updated(person) >= written["updated"]:
                took = self._clock.now() - datetime.fromisoformat(written["at"])
                items |= {"write": None, "lag": {"seconds": took.total_seconds(), "at": self._clock.now().isoformat()}}
            if name in self._keys and updated(self.person(name)) > updated(person):
                continue
            items[f"person:{name}"] = person
            self._learn(name, person)
        self._put(items)


def _update_time(person: Mapping[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(str(contact_source(person)["updateTime"]))
    except (KeyError, ValueError):
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _keys_of(person: Person) -> _Keys:
    return _Keys(
        markers=markers(person),
        emails={normalize_email(str(e["value"])) for e in person.get("emailAddresses", ()) if e.get("value")},
        phones={
            key
            for p in person.get("phoneNumbers", ())
            if p.get("value") and (key := phone_key(str(p["value"]), p.get("canonicalForm")))
        },
    )


def _fingerprint(params: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(params.items())).encode()).hexdigest()[:16]


def _time(record: Mapping[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(record.get(name) or "1970-01-01T00:00:00+00:00")
