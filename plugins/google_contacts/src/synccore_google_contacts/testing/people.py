"""The stand-in itself: Google's sign-in and the address books behind it on one loopback server."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from synccore.testing import Fault, LoopbackServer, Reply, Request

from .book import Book, Group
from .feed import Feed
from .quota import Quota
from .rules import Refused
from .signin import Grant, SignIn

CONTACTS = "https://www.googleapis.com/auth/contacts"
DISABLED = (
    "People API has not been used in project 1234567890 before or it is disabled. Enable it by visiting "
    "https://console.developers.google.com/apis/api/people.googleapis.com/overview?project=1234567890 then retry."
)


class FakePeople(LoopbackServer):
    """Google on loopback: sign-in, People API, the parts of userinfo, tokeninfo and Drive the sink uses.

    One project, and an address book for each account that signs in. Strict where Google is: masks, etags, singletons,
    one writer, quotas, sync tokens that expire and lag, a search that has to be warmed up, an account that fills up.

    Args:
        clock: gives the time; the machine's by default.
        quota: units per minute by name (critical_read, critical_write, write, group_read, full_sync); those left out
            keep Google's reported defaults.
        sync_lag: how long a write stays invisible to listings, and to searches (`Book.search_lag` for another).
        capacity: contacts the account holds, those in the bin included.

    Attributes:
        sign_in: people, grants and what they refuse; see `SignIn`.
        enabled: whether the People API is switched on for the project.
        written: account and path of every change asked for, refused ones included.
        refuse: called with each person to write; a text is Google's reason to refuse it.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        quota: Mapping[str, int] | None = None,
        sync_lag: timedelta = timedelta(0),
        capacity: int = 25_000,
    ) -> None:
        self.now = clock or (lambda: datetime.now(UTC))
        self.sign_in = SignIn(self.now)
        self.quota = Quota(self.now, quota or {})
        self.enabled = True
        self.refuse: Callable[[Mapping[str, Any]], str | None] = lambda person: None
        #: Account and path of every change that reached an address book.
        self.written: list[tuple[str, str]] = []
        self._lag = sync_lag
        self._capacity = capacity
        self._books: dict[str, Book] = {}
        self._writers = 0
        self._gate = threading.Lock()
        super().__init__()

    def book(self, user: str | None = None) -> Book:
        """The address book of an account; by default of the person who signed in last."""
        user = user or self.sign_in.person["id"]
        if user not in self._books:
            book = self._books[user] = Book(user, self.now, self.quota, self._lag)
            book.capacity = self._capacity
            book.refuse = self._reason
        return self._books[user]

    def _reason(self, person: Mapping[str, Any]) -> str | None:
        return self.refuse(person)

    # -- the owner at the keyboard, of the address book of the person who signed in last

    def contacts(self) -> list[dict[str, Any]]:
        """All contacts, as a read with every mask shows them."""
        with self._lock:
            return self.book().contacts()

    def contact(self, name: str) -> dict[str, Any]:
        """One contact. Raises KeyError where there is none."""
        with self._lock:
            return self.book().contact(name)

    def add(self, **fields: list[dict[str, Any]]) -> str:
        """The owner types a contact in; gives its resource name."""
        with self._lock:
            return self.book().add(**fields)

    def edit(self, name: str, **fields: list[dict[str, Any]]) -> None:
        """The owner changes fields of a contact."""
        with self._lock:
            self.book().edit(name, **fields)

    def remove(self, name: str) -> None:
        """The owner deletes a contact."""
        with self._lock:
            self.book().remove(name)

    def rename(self, name: str) -> str:
        """Google gives a contact another name; gives that."""
        with self._lock:
            return self.book().rename(name)

    def merge(self, kept: str, other: str, **how: Any) -> str:
        """The owner merges two contacts: see `Book.merge`."""
        with self._lock:
            return self.book().merge(kept, other, **how)

    def set_photo(self, name: str, url: str) -> None:
        """The owner chooses a picture."""
        with self._lock:
            self.book().set_photo(name, url)

    def members(self, label: str) -> set[str]:
        """Resource names of the contacts under the label of that name."""
        with self._lock:
            return self.book().members(label)

    def remove_group(self, name: str) -> None:
        """The owner deletes a label; its contacts stay."""
        with self._lock:
            self.book().remove_group(name)

    @property
    def groups(self) -> dict[str, Group]:
        """The labels by resource name."""
        return self.book().groups

    @property
    def feed(self) -> Feed:
        """The log of changes behind the listing."""
        return self.book().feed

    @property
    def capacity(self) -> int:
        """How many contacts the account holds, those in the bin included."""
        return self.book().capacity

    @capacity.setter
    def capacity(self, count: int) -> None:
        self.book().capacity = count

    # -- serving

    def answer(self, request: Request) -> tuple[Reply, Fault | None]:
        """Google wants one mutation at a time per user: count those that are under way."""
        writes = request.path.startswith("/v1/") and request.method != "GET"
        with self._gate:
            self._writers += writes
        try:
            return super().answer(request)
        finally:
            with self._gate:
                self._writers -= writes

    def handle(self, request: Request) -> Reply:
        """Answer one request."""
        path = unquote(request.path)
        sign_in = {
            ("GET", "/o/oauth2/v2/auth"): self.sign_in.authorize,
            ("POST", "/token"): self.sign_in.token,
            ("POST", "/revoke"): self.sign_in.revoke,
            ("POST", "/oauth2/v2/tokeninfo"): self.sign_in.tokeninfo,
        }.get((request.method, path))
        if sign_in is not None:
            return sign_in(request)
        if path.startswith("/drive/v3/files/"):
            return self.sign_in.drive_file(request, path.rsplit("/", 1)[1])
        try:
            grant = self._granted(request)
            if path == "/oauth2/v2/userinfo":
                return self.sign_in.userinfo(grant)
            return Reply(200, self._route(request, path, grant.user))
        except Refused as refused:
            return refused.reply()

    def _granted(self, request: Request) -> Grant:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        grant = self.sign_in.grant_of(token)
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "googleapis.com"}
        if grant is None:
            text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            raise Refused(401, "UNAUTHENTICATED", text, ({**info, "reason": "ACCESS_TOKEN_EXPIRED"},))
        if request.path.startswith("/v1/"):
            if not self.enabled:
                link = {
                    "activationUrl": "https://console.developers.google.com/apis/api/people.googleapis.com/overview"
                }
                raise Refused(
                    403, "PERMISSION_DENIED", DISABLED, ({**info, "reason": "SERVICE_DISABLED", "metadata": link},)
                )
            if CONTACTS not in grant.scopes:
                text = "Request had insufficient authentication scopes."
                detail = {**info, "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
                raise Refused(403, "PERMISSION_DENIED", text, (detail,))
        return grant

    def _route(self, request: Request, path: str, user: str) -> dict[str, Any]:
        if request.method != "GET":
            if self._writers > 1:
                raise Refused(409, "ABORTED", "Concurrent mutations of one user.")
            self.written.append((user, path))
        return self.book(user).route(request, path)
