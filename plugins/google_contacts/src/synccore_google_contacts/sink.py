"""The sink: synccore's operations on one side, one Google account's contacts on the other."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from synccore.errors import ConfigError
from synccore.hookspecs import SinkType
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

from .client import BATCH, LONGEST_LAG, Client
from .config import Config
from .errors import ADVICE
from .mapping import CONTACT

if TYPE_CHECKING:
    from synccore.oauth import Browser

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
        # With the first sink: who only names the types needs none of the rooms.
        from .account import Connection
        from .check import Checker
        from .erase import Eraser
        from .match import Finder
        from .read import Reader
        from .round import Rounds
        from .write import Writer

        for route in context.routes:
            _check_settings(route.name, route.settings)
        self._context = context
        self._connection = Connection(config, context)
        self._client = Client(context, config.api_url, self._connection.token, self._connection.known_id)
        self._rounds = Rounds(config, context, self._client, self._connection)
        self._checker = Checker(config, context, self._connection, self._client)
        self._finder = Finder(self._rounds)
        self._reader = Reader(self._rounds, [name for route in context.routes for name in route.fields])
        self._writer = Writer(self._rounds)
        self._eraser = Eraser(self._rounds, self._writer, context.clock)
        #: For the dashboard and `plugins show`.
        self.videos = tuple(VideoLink(v.title, v.preview_url, v.view_url) for v in config.videos)

    # -- delivering

    def deliver(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Create, update, label and delete contacts; one outcome per operation."""
        self._finder.forget()
        return self._writer.deliver(operations)

    def lookup(self, operations: Sequence[Operation]) -> list[LookupResult]:
        """The contact each operation would be written to. Writes nothing at Google."""
        return self._finder.lookup(operations)

    def adopted(self, links: Sequence[Link]) -> None:
        """These contacts are these customers' from now on."""
        self._finder.adopted(links)

    # -- reading and erasing

    def read(self, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
        """The contacts as they are now, under the names and in the shape `deliver` takes."""
        return self._reader.read(links)

    def find(self, identity: Identity) -> list[Link]:
        """The person's contacts, linked or not."""
        return self._eraser.find(identity)

    def namesakes(self) -> Mapping[str, str]:
        """Contacts that have the address of a customer's and are not theirs, as far as the listing shows by now."""
        from .match.twin import namesakes

        with self._rounds.index() as index:
            index.sync(now=True)
            return namesakes(index)

    def erase(self, link: Link) -> Erased | None:
        """Delete the contact that synccore made for this person alone; take what it wrote off any other."""
        return self._eraser.erase(link)

    # -- connection

    def account(self) -> Account:
        """Whom the stored token belongs to, by Google's word."""
        return self._connection.account()

    def check(self) -> Check:
        """Reach the account and say what could go wrong."""
        return self._checker.check()

    def describe(self) -> list[ObjectInfo]:
        """The fields of a contact, and the custom ones the routes use."""
        return self._checker.describe()

    def connect(self, browser: "Browser") -> Account:
        """Let a person connect their Google account."""
        return self._connection.connect(browser)

    def disconnect(self, keep_grant: bool = False) -> str:
        """End the grant, wipe the tokens, forget the owner's contacts (not what was written on which)."""
        from .index import Index

        account = self._connection.known()
        # What is on its way to the account ends first: it must not go on with another one's tokens.
        with self._context.lock(f"google:{account.id}") if account else nullcontext():
            said, last = self._connection.disconnect(keep_grant=keep_grant)
            if account and last:
                Index(self._context, account.id, self._client).forget()
            self._rounds.forget()
        return said

    def budgets(self) -> Sequence[Allowance]:
        """Google's quotas a minute."""
        return self._client.budgets()

    def page_of(self, link: Link) -> str | None:
        """The contact's page at Google."""
        return f"https://contacts.google.com/person/{link.remote_id.removeprefix('people/')}"

    def resume(self) -> None:
        """A person resumed the lane: the account need not be left alone any longer."""
        from .pause import release

        self._client.resume()
        if account := self._connection.known():
            release(self._context.state(account.id))

    def close(self) -> None:
        """Close the connection pools."""
        self._client.close()
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
