"""The sink: synccore's operations on one side, one Google account's contacts on the other."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any, NamedTuple

from synccore.errors import ConfigError, RateLimited, Transient
from synccore.hookspecs import SinkType
from synccore.oauth import Browser
from synccore.types import (
    Account,
    Allowance,
    Check,
    Context,
    Erased,
    Identity,
    Limits,
    Link,
    LookupResult,
    ObjectInfo,
    Operation,
    Outcome,
)

from .account import Connection
from .check import check
from .client import BATCH, People
from .config import Config
from .erase import erased, erasing, find_person
from .errors import ADVICE
from .index import LONGEST_LAG, Index
from .labels import Labels
from .mapping import CONTACT, describe
from .match import namesakes
from .pause import check_held, hold, release
from .read import flat
from .write import Promises, Round, deliver, lookup

__all__ = ["SINK", "GoogleContacts"]

CHOICES = {"on_delete": ("keep", "unlabel", "delete"), "ambiguous": ("skip", "create", "first")}


class VideoLink(NamedTuple):
    """A support video: its player for a frame, its page for a link."""

    title: str
    preview_url: str
    view_url: str


class GoogleContacts:
    """One Google account as a target."""

    def __init__(self, config: Config, context: Context) -> None:
        for route in context.routes:
            _check_settings(route.name, route.settings)
        self._config = config
        self._context = context
        self._connection = Connection(config, context)
        self._people = People(context, config.api_url, self._connection.token, self._connection.known_id)
        self._index: Index | None = None
        self._promises = Promises()
        #: For the dashboard and `plugins show`.
        self.videos = tuple(VideoLink(v.title, v.preview_url, v.view_url) for v in config.videos)

    # -- delivering

    def deliver(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Create, update, label and delete contacts; one outcome per operation."""
        with self._round(operations) as round_:
            self._promises.forget()
            return deliver(round_)

    def lookup(self, operations: Sequence[Operation]) -> list[LookupResult]:
        """The contact each operation would be written to. Writes nothing at Google."""
        with self._round(operations) as round_:
            return lookup(round_, self._promises)

    @contextmanager
    def _round(self, operations: Sequence[Operation]) -> Iterator[Round]:
        with self._account() as index:
            labels = Labels(self._people, index.state)
            yield Round(self._context, self._config, self._people, index, labels, operations)

    @contextmanager
    def _account(self) -> Iterator[Index]:
        """The account's index, locked: one writer per account among all threads and processes."""
        account = self._connection.account().id
        with self._context.lock(f"google:{account}"):
            if self._connection.account().id != account:
                raise Transient("another account was connected a moment ago", outage=False)
            if self._index is None or self._index.account != account:
                # Once a process and connection: the tokens may be another account's than what was noted with them.
                self._connection.check_same()
                self._index = Index(self._context, account, self._people)
            check_held(self._context, self._index.state)
            self._index.open()
            try:
                yield self._index
            except RateLimited as error:
                raise hold(self._context, self._index.state, error) from error

    # -- reading and erasing

    def read(self, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
        """The contacts as they are now, under the names and in the shape `deliver` takes."""
        with self._account() as index:
            index.sync()
            asked = [index.resolve(link.remote_id) for link in links]
            now = index.refresh(asked)
            return [self._flat(index, now[name], link) for name, link in zip(asked, links, strict=True)]

    def _flat(self, index: Index, name: str | None, link: Link) -> dict[str, Any] | None:
        if name is None:
            return None
        own = index.own(name)
        return flat(index.person(name), link.fields, own.fields if own else {}, self._used())

    def find(self, identity: Identity) -> list[Link]:
        """The person's contacts, linked or not."""
        with self._account() as index:
            return find_person(index, identity)

    def namesakes(self) -> Mapping[str, str]:
        """Contacts that have the address of a customer's and are not theirs, as far as the listing shows by now."""
        with self._account() as index:
            index.sync(now=True)
            return namesakes(index)

    def erase(self, link: Link) -> Erased | None:
        """Delete the contact that synccore made for this person alone; take what it wrote off any other."""
        with self._round([erasing(link, self._context.clock.now())]) as round_:
            return erased(deliver(round_)[0])

    # -- connection

    def account(self) -> Account:
        """Whom the stored token belongs to, by Google's word."""
        return self._connection.asked()

    def check(self) -> Check:
        """Reach the account and say what could go wrong."""
        return check(self._config, self._context, self._connection, self._people)

    def describe(self) -> list[ObjectInfo]:
        """The fields of a contact, and the custom ones the routes use."""
        return [ObjectInfo(name=CONTACT.name, label="Contact", fields=describe(self._used()))]

    def _used(self) -> list[str]:
        """The fields the routes write."""
        return [name for route in self._context.routes for name in route.fields]

    def connect(self, browser: Browser) -> Account:
        """Let a person connect their Google account."""
        return self._connection.connect(browser)

    def disconnect(self, keep_grant: bool = False) -> str:
        """End the grant, wipe the tokens, forget the owner's contacts (not what was written on which)."""
        account = self._connection.known()
        # What is on its way to the account ends first: it must not go on with another one's tokens.
        with self._context.lock(f"google:{account.id}") if account else nullcontext():
            said, last = self._connection.disconnect(keep_grant=keep_grant)
            if account and last:
                Index(self._context, account.id, self._people).forget()
            self._index = None
        return said

    def budgets(self) -> Sequence[Allowance]:
        """Google's quotas a minute."""
        return self._people.budgets()

    def page_of(self, link: Link) -> str | None:
        """The contact's page at Google."""
        return f"https://contacts.google.com/person/{link.remote_id.removeprefix('people/')}"

    def resume(self) -> None:
        """A person resumed the lane: the account need not be left alone any longer."""
        self._people.resume()
        if account := self._connection.known():
            release(self._context.state(account.id))

    def close(self) -> None:
        """Close the connection pools."""
        self._people.close()
        self._connection.close()


def _check_settings(route: str, settings: Mapping[str, Any]) -> None:
    for name, choices in CHOICES.items():
        value = settings.get(name)
        if value is not None and value not in choices:
            raise ConfigError(f"{name} is one of {', '.join(choices)}", path=f"routes.{route}.{name}")


SINK = SinkType(
    name="google_contacts",
    summary="Google Contacts: one contact per customer, the owner's own data kept",
    config=Config,
    open=GoogleContacts,
    objects=(CONTACT,),
    advice=ADVICE,
    # Google takes 200 contacts a call and wants one mutation at a time per account. Five batches fill the minute, full
    # or not: under load it pays to wait a moment for a fuller one.
    limits=Limits(max_batch=BATCH, max_in_flight=1, linger=timedelta(milliseconds=500), seen_within=LONGEST_LAG),
)
