"""What we know of one Google account: all its contacts by marker, e-mail and phone, kept current by sync tokens.

The People API finds no contact by its marker, refuses no second equal contact and takes no request id, so the only
way to make none twice is to know what is there. The index lives in the account's durable state, shared by all
sinks on that account; only the keys are held in memory:

    person:NAME   the contact as last seen
    own:NAME      what we wrote on it (kept when the account is disconnected)
    alias:NAME    its name now, where Google renamed it
    intent:UID    a create that was sent and not yet answered (`Intents`)
    aim:UID       the contact on which something was to be written for the first time, until that is answered
    vanished:NAME a contact that Google no longer knows and whose end the listing has not told yet
    dropped:NAME  a contact that we deleted: a listing that lags may show it still
    gone:UID      a customer that was deleted in the shop: its marker counts no longer
    log:N         the contacts that write N touched
    sync, write, lag, version, pause, full    single records
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import asdict, evolve

from synccore.types import Context

from .client import LONGEST_LAG, Client
from .errors import SyncTokenExpired
from .intents import Intents
from .known import Keys, Own, age_of, keys_of
from .merge import surviving
from .prints import grew, still, went_in
from .schema import Person, updated, updated_at

#: Writes of other processes an index catches up with one by one before it loads everything anew.
JOURNAL = 100
#: How old the picture may be before a delivery asks for changes.
SYNC_EVERY = timedelta(minutes=5)
#: A sync token lives 7 days after its full listing (connections.list reference).
FULL_EVERY = timedelta(days=6)


class Index:
    """Use it only while holding the account's lock."""

    def __init__(self, context: Context, account: str, people: Client) -> None:
        self._clock = context.clock
        self._log = context.log
        self._people = people
        self.account = account
        self.state = context.state(account)
        self.intents = Intents(self.state, self._clock)
        self._version: int | None = None
        self._keys: dict[str, Keys] = {}
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
        return None if data is None else Own(**data)

    def made(self, name: str) -> bool:
        """Whether we made it: as noted, or by a create whose answer was lost, for only that put the marker there."""
        own = self.own(name)
        return any(map(self.intents.open, self.markers_of(name))) if own is None else own.made

    def resolve(self, name: str) -> str:
        """Its name now."""
        seen = {name}
        while name not in self._keys and (later := self.state.get(f"alias:{name}")) and later not in seen:
            seen.add(later)
            name = later
        return name

    def _known_as(self, name: str) -> Person | None:
        """The contact that had this name before, where it has another one now."""
        later = self.resolve(name)
        return None if later == name else self.person(later)

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

    def buried(self, uid: str) -> bool:
        """Whether the customer was deleted in the shop."""
        return self.state.get(f"gone:{uid}") is not None

    def bury(self, uid: str) -> None:
        """The customer was deleted in the shop: whoever comes with its address may have its contact."""
        self.state.put({f"gone:{uid}": self._clock.now().isoformat()})

    def revive(self, uid: str) -> None:
        """The customer is there (again)."""
        if self.buried(uid):
            self.state.put({f"gone:{uid}": None})

    def emails_of(self, name: str) -> set[str]:
        """The addresses of a contact, in the form they are compared in."""
        return self._keys[name].emails

    def alike(self, name: str) -> set[str]:
        """Further contacts with an address of this one."""
        return {other for email in self.emails_of(name) for other in self.with_email(email)} - {name}

    def addresses(self) -> dict[str, set[str]]:
        """Address -> the contacts that have it."""
        return self._by["emails"]

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
            items[f"own:{name}"] = asdict(record)
        for uid in done:
            items |= {f"intent:{uid}": None, f"aim:{uid}": None}
        if last is not None:
            items["write"] = {
                "name": last["resourceName"], "updated": updated(last), "at": self._clock.now().isoformat()
            }  # fmt: skip
        self._put(items)

    def expect(self, owners: Mapping[str, str]) -> None:
        """These customers (name -> uid) have contacts on which nothing was written for them yet."""
        items: dict[str, Any] = {}
        for name, uid in owners.items():
            own = self.own(name) or Own(made=self.made(name))
            items[f"own:{name}"] = asdict(evolve(own, wants={uid: [], **own.wants}))
        self._put(items)

    def unlearn(self, uids: Collection[str], there: Collection[str]) -> None:
        """Keep nothing of what was written for these on contacts where they are no more, as they are on these: where
        the answer to an erasure was lost, that is all there is of them."""
        items: dict[str, Any] = {}
        for key, data in self.state.scan("own:"):
            name, wants = key.removeprefix("own:"), data.get("wants", {})
            if name in self and name not in there and wants.keys() & uids:
                left = {uid: prints for uid, prints in wants.items() if uid not in uids}
                items[key] = {**data, "fields": surviving(data["fields"], self.person(name)), "wants": left}
        self._put(items)

    def drop(self, names: Iterable[str]) -> None:
        """Forget contacts that we deleted."""
        items: dict[str, Any] = {}
        now = self._clock.now().isoformat()
        for name in names:
            items[f"dropped:{name}"] = {"at": now, "updated": updated(self.person(name))}
            self._unlearn(name)
            items |= {f"person:{name}": None, f"own:{name}": None, f"vanished:{name}": None}
        self._put(items)

    def refresh(self, names: Iterable[str]) -> dict[str, str | None]:
        """Read contacts by name: what each is called now, None for those that Google knows no longer.

        One that was known and is not found has been deleted, or lives on under a name that only the listing will
        tell: see `vanished`.
        """
        asked = sorted(set(names))
        found = self._people.batch_get(asked)
        items: dict[str, Any] = {}
        for former, person in found.items():
            items |= self._seen(person, [former])
        now = self._clock.now().isoformat()
        for name in asked:
            if name not in found and name in self._keys:
                items |= {f"vanished:{name}": {"at": now, "person": self.person(name)}, f"person:{name}": None}
                self._unlearn(name)
        self._put(items)
        if len(found) < len(asked):
            self._went(self._vanished())
        return {
            name: found[name]["resourceName"] if name in found else self.state.get(f"alias:{name}") for name in asked
        }

    def learn(self, people: Iterable[Person]) -> None:
        """Contacts as a read by name shows them, met outside the listing."""
        items: dict[str, Any] = {}
        for person in people:
            items |= self._seen(person)
            items[f"vanished:{person['resourceName']}"] = None
        self._put(items)
        self._went(self._vanished())

    def forget(self) -> None:
        """Forget the owner's contacts; what we wrote on which stays, so that a reconnect makes none twice."""
        self.state.clear("person:")
        self.state.clear("vanished:")
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
        keys = self._keys[name] = keys_of(person)
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

    def _seen(self, person: Person, formers: Iterable[str] = ()) -> dict[str, Any]:
        """A contact as Google shows it, followed to its new name with what we know of it."""
        name = person["resourceName"]
        items = self._renamed(person, formers)
        own = self.own(name)
        if own is not None and f"own:{name}" not in items and went_in(self.person(name) or person, person):
            items[f"own:{name}"] = asdict(Own(surviving(own.fields, person), False, own.label, own.wants))
        items[f"person:{name}"] = person
        self._learn(name, person)
        return items

    def _renamed(self, person: Person, formers: Iterable[str] = ()) -> dict[str, Any]:
        name = person["resourceName"]
        told = [*(person.get("metadata") or {}).get("previousResourceNames", ()), *formers]
        fresh = [f for f in dict.fromkeys(told) if f != name and self.state.get(f"alias:{f}") != name]
        return self._became(fresh, person) if fresh else {}

    def _became(
        self, formers: Sequence[str], person: Person, last: Mapping[str, Person] | None = None
    ) -> dict[str, Any]:
        """Contacts that are this one now. More than one, or one beside it, were merged by the owner.

        What was written on any of them counts as ours as far as it is still there; the contact itself does only
        where all of them were made by us, and nothing came to it from one that was never seen.
        """
        name = person["resourceName"]
        items: dict[str, Any] = {}
        were = [(last or {}).get(former) or self._last_seen(former) for former in formers]
        # One that a listing showed under its new name first is no second one; one that is somebody else's is.
        whose = [set(own.wants) if (own := self.own(n)) else set() for n in (formers[0], name)]
        if name in self._keys and not (len(formers) == 1 and still(were[0], person) and whose[1] <= whose[0]):
            were.append(self.person(name))
        known = [n for n, was in zip([*formers, name], were, strict=False) if was or self.own(n)]  # not between looks
        owns = [own for n in known if (own := self.own(n))]
        for former in formers:
            items |= dict.fromkeys((f"own:{former}", f"person:{former}", f"vanished:{former}"))
            items[f"alias:{former}"] = name
            self._unlearn(former)
        if owns:
            fields: dict[str, Any] = {}
            for own in owns:
                for field_name, value in own.fields.items():
                    there = fields.get(field_name)
                    if isinstance(value, list) and isinstance(there, list):
                        value = [*there, *(e for e in value if e not in there)]
                    fields[field_name] = value
            label = next((own.label for own in owns if own.label), None)
            made = len(owns) == len(known) and all(own.made for own in owns) and not grew([*filter(None, were)], person)
            wants = {uid: prints for own in owns for uid, prints in own.wants.items()}
            items[f"own:{name}"] = asdict(Own(surviving(fields, person), made, label, wants))
        return items

    # -- contacts that Google no longer knows

    def _last_seen(self, name: str) -> Person:
        """How a contact was, also one that is not found any more."""
        return self.person(name) or (self.state.get(f"vanished:{name}") or {}).get("person") or {}

    def _vanished(self) -> dict[str, Person]:
        return {key.removeprefix("vanished:"): record["person"] for key, record in self.state.scan("vanished:")}

    def vanished(self, uid: str, name: str | None, emails: set[str], phones: set[str]) -> timedelta | None:
        """How long a contact of this customer may still turn up under another name; None: none is missing.

        Google said that a contact it belonged to is no longer there, and the listing does not show yet what became of
        it. Making a new one now could make a second one.
        """
        left: timedelta | None = None
        for key, record in self.state.scan("vanished:"):
            keys = keys_of(record["person"])
            whose = key.removeprefix("vanished:") == name or uid in keys.markers
            if whose or keys.emails & emails or (keys.phones & phones and not (keys.emails and emails)):
                wait = LONGEST_LAG - age_of(self.state, key, record, self._clock.now())
                left = max(wait, left or wait)
        return left if left is not None and left > timedelta(0) else None

    def _over(self, kind: str, moment: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
        """Those of which the listing would have told the end by now, and what would be kept for nothing."""
        for key, record in self.state.scan(kind):
            if age_of(self.state, key, record, moment) >= LONGEST_LAG:
                yield key.removeprefix(kind), record

    def _is_dropped(self, person: Person) -> bool:
        """Whether we deleted it, and it is shown as it was. Its owner may have put it back, which changes it."""
        dropped = self.state.get(f"dropped:{person['resourceName']}")
        return dropped is not None and updated(person) <= dropped["updated"]

    def _gone_under_later_names(self, names: Iterable[str]) -> set[str]:
        """Of these the ones that had another name since, under which they are gone: asked by name, for an owner may
        have undone a merge."""
        asked = [n for n in names if n not in self._keys and self._known_as(n) == {}]
        found = self._people.batch_get(asked) if asked else {}
        return {n for n in asked if n not in found or found[n]["resourceName"] != n}

    def _bury_vanished(self, ended: Mapping[str, Person]) -> None:
        """The listing has told the end of these."""
        went = self._went(ended)
        over = [name for name in ended if name not in went and name not in self._keys]
        self._put({f"{kind}:{name}": None for name in over for kind in ("own", "vanished")})

    def _went(self, ended: Mapping[str, Person]) -> set[str]:
        """Those of which address and number stand on another contact went into it, maybe several into one."""
        heirs: dict[str, dict[str, Person]] = {}
        for name, person in ended.items():
            heir = None if self.state.get(f"alias:{name}") else self._heir(name, person)
            if heir is not None:
                heirs.setdefault(heir, {})[name] = person
        items: dict[str, Any] = {}
        for heir, formers in heirs.items():
            items |= self._became(list(formers), self.person(heir), formers)
        self._put(items)
        return {name for formers in heirs.values() for name in formers}

    def _heir(self, name: str, person: Person) -> str | None:
        keys = keys_of(person)
        lists = [self.with_email(e) for e in keys.emails] + [self.with_phone(p) for p in keys.phones]
        lists = lists or [self.with_marker(m) for m in keys.markers]
        heirs = set[str].intersection(*lists) - {name} if lists else set()
        heirs = {h for h in heirs if updated(self.person(h)) >= updated(person)}
        return heirs.pop() if len(heirs) == 1 else None

    # -- following the account

    def sync(self, *, now: bool = False) -> bool:
        """Bring the picture up to date: changes since the sync token, or everything where there is none.

        Gives whether Google was asked. `now`: even though the last time was a moment ago.
        """
        record = self.state.get("sync") or {}
        moment = self._clock.now()
        params = _fingerprint(self._people.listing())
        if record.get("params") != params or moment - _time(record, "full_at") >= FULL_EVERY:
            self._full(params)
        elif not now and moment - _time(record, "synced_at") <= SYNC_EVERY:
            return False
        else:
            try:
                token = self._follow(record["token"])
            except SyncTokenExpired:
                self._log.info("sync token expired, listing all contacts")
                self._full(params)
            else:
                self.state.put({"sync": {**record, "token": token, "synced_at": moment.isoformat()}})
        self._bury_vanished({name: record["person"] for name, record in self._over("vanished:", moment)})
        self._put({f"dropped:{name}": None for name, _ in self._over("dropped:", moment)})
        return True

    def _full(self, params: str) -> None:
        started = self._clock.now()
        vanished = self._vanished()
        unseen = {*self._keys, *vanished}
        self.state.put({"sync": None})
        token = self._follow(None, unseen)
        # A write of the last minutes may be missing from the listing; what is older and missing is gone.
        known = {n: self.person(n) for n in unseen if n in self._keys}
        gone = {n: p for n, p in known.items() if started - updated_at(p) > 2 * LONGEST_LAG}
        for name in gone:
            self._unlearn(name)
        self._put({f"person:{name}": None for name in gone})
        self._bury_vanished(gone | {n: p for n, p in vanished.items() if n in unseen})
        moment = started.isoformat()
        self.state.put({"sync": {"token": token, "params": params, "full_at": moment, "synced_at": moment}})

    def _follow(self, sync_token: str | None, unseen: set[str] | None = None) -> str:
        ended: dict[str, Person] = {}
        for page in self._pages(sync_token):
            people = [p for p in page.get("connections", ()) if p.get("resourceName")]
            ended |= self._take(people)
            if unseen is not None:
                unseen.difference_update(p["resourceName"] for p in people)
            if token := page.get("nextSyncToken"):
                # Only now: what a contact went into may stand on a later page than its end.
                self._bury_vanished(ended)
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

    def _take(self, people: list[Person]) -> dict[str, Person]:
        """One page of a listing, maybe older than what we wrote since. Gives the contacts that came to an end."""
        items: dict[str, Any] = {}
        ended: dict[str, Person] = {}
        written = self.state.get("write")
        over = self._gone_under_later_names(p["resourceName"] for p in people)
        for person in people:
            name = person["resourceName"]
            missing = self.state.get(f"vanished:{name}")
            if (person.get("metadata") or {}).get("deleted"):
                ended[name] = self._last_seen(name)
                self._unlearn(name)
                items |= {f"person:{name}": None, f"dropped:{name}": None}
                continue
            if name in over or self._is_dropped(person):
                continue  # nor will it tell the end of a former name that it shows late
            late = missing["person"] if missing is not None else self._known_as(name)
            if late is not None and updated(person) <= updated(late):
                continue  # the listing does not know yet
            if written and written["name"] == name and updated(person) >= written["updated"]:
                took = self._clock.now() - datetime.fromisoformat(written["at"])
                items |= {"write": None, "lag": {"seconds": took.total_seconds(), "at": self._clock.now().isoformat()}}
            if name in self._keys and updated(self.person(name)) > updated(person):
                items |= self._renamed(person)
                continue
            items |= {f"vanished:{name}": None} if missing is not None else {}
            items |= self._seen(person)
        self._put(items)
        return ended


def _fingerprint(params: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(params.items())).encode()).hexdigest()[:16]


def _time(record: Mapping[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(record.get(name) or "1970-01-01T00:00:00+00:00")
