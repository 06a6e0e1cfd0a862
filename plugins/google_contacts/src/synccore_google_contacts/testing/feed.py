"""What the stand-in's listing shows: a log of changes that becomes visible late, read by tokens that expire."""

import hashlib
from bisect import insort
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, field

from .rules import invalid, precondition

#: Sync tokens live so long after the full listing they come from.
LIFETIME = timedelta(days=7)


@define
class Row:
    """One contact as it is kept."""

    name: str
    fields: dict[str, list[dict[str, Any]]] = field(factory=dict)
    revision: int = 0
    updated: datetime = field(default=datetime.min.replace(tzinfo=UTC))
    previous: list[str] = field(factory=list)
    photo: str | None = None

    def etag(self) -> str:
        """The person's etag."""
        return f"%EgUBAi43{self.revision:x}=="

    def source_etag(self) -> str:
        """The etag of its CONTACT source, another one."""
        return f"#{self.revision:x}/Ab="

    def source(self) -> dict[str, Any]:
        """Its CONTACT source."""
        when = self.updated.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"type": "CONTACT", "id": self.name[-12:], "etag": self.source_etag(), "updateTime": when}

    def groups(self) -> list[str]:
        """Resource names of its labels."""
        return [m["contactGroupMembership"]["contactGroupResourceName"] for m in self.fields.get("memberships", ())]

    def join(self, group: str) -> None:
        """Put a label on."""
        self.fields.setdefault("memberships", []).append(
            {"contactGroupMembership": {"contactGroupResourceName": group}, "metadata": {"source": {"type": "CONTACT"}}}
        )

    def leave(self, group: str) -> None:
        """Take a label off."""
        self.fields["memberships"] = [
            m for m in self.fields["memberships"] if m["contactGroupMembership"]["contactGroupResourceName"] != group
        ]


class Feed:
    """All changes in order; each is seen `lag` after it was made."""

    def __init__(self, now: Callable[[], datetime], lag: timedelta) -> None:
        self._now = now
        self.lag = lag
        self._log: list[tuple[datetime, str, dict[str, Any]]] = []
        #: Sync token -> position in the log, time of the full listing, fingerprint of the parameters.
        self._tokens: dict[str, tuple[int, datetime, str]] = {}
        #: Page token -> the listing it goes on with.
        self._pages: dict[str, tuple[list[dict[str, Any]], str | None, str]] = {}
        self._count = 0

    def add(self, name: str, person: dict[str, Any], early: timedelta = timedelta(0)) -> None:
        """A contact is now like this; `early` (less than the lag): seen so long before its time."""
        insort(self._log, (self._now() - early, name, person), key=lambda entry: entry[0])

    def last(self, name: str) -> dict[str, Any]:
        """The last state of a contact, visible or not; empty where there never was one."""
        return next((person for _, n, person in reversed(self._log) if n == name), {})

    def _visible(self, lag: timedelta | None = None) -> int:
        horizon = self._now() - (self.lag if lag is None else lag)
        end = len(self._log)
        while end and self._log[end - 1][0] > horizon:
            end -= 1
        return end

    def _latest(self, start: int, end: int) -> list[dict[str, Any]]:
        """The last state of all that changed, renamed contacts under their new name only."""
        latest: dict[str, dict[str, Any]] = {}
        for _, name, person in self._log[start:end]:
            for former in (person.get("metadata") or {}).get("previousResourceNames", ()):
                latest.pop(former, None)
            latest.pop(name, None)
            latest[name] = person
        return list(latest.values())

    def snapshot(self, lag: timedelta | None = None) -> list[dict[str, Any]]:
        """All contacts, as far as they are visible: after `lag`, where that is another one than the listing's."""
        people = self._latest(0, self._visible(lag))
        return [p for p in people if not (p.get("metadata") or {}).get("deleted")]

    def expire(self) -> None:
        """All sync tokens are too old now."""
        self._tokens = {t: (n, at - LIFETIME, p) for t, (n, at, p) in self._tokens.items()}

    def page(
        self, params: Mapping[str, str], size: int, shown: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any]:
        """One page. Raises Refused where the tokens and parameters do not fit."""
        own = {k: v for k, v in params.items() if k not in ("pageToken", "syncToken")}
        bound = hashlib.sha256(repr(sorted(own.items())).encode()).hexdigest()
        if page_token := params.get("pageToken"):
            if page_token not in self._pages:
                raise invalid("Invalid page token.", "page_token")
            people, token, parameters = self._pages.pop(page_token)
            if parameters != bound + str(params.get("syncToken")):
                raise invalid("Request parameters must match the call that gave the page token.", "page_token")
        else:
            people, token = self._begin(params.get("syncToken"), bound, params.get("requestSyncToken") == "true")
        answer: dict[str, Any] = {"connections": [shown(p) for p in people[:size]], "totalItems": len(people)}
        if len(people) > size:
            answer["nextPageToken"] = self._next("page")
            self._pages[answer["nextPageToken"]] = (people[size:], token, bound + str(params.get("syncToken")))
        elif token is not None:
            answer["nextSyncToken"] = token
        return answer if people else {k: v for k, v in answer.items() if k == "nextSyncToken"}

    def _begin(self, sync_token: str | None, bound: str, wanted: bool) -> tuple[list[dict[str, Any]], str | None]:
        end = self._visible()
        if sync_token is None:
            people, started = self.snapshot(), self._now()
        else:
            if sync_token not in self._tokens:
                raise invalid("Invalid sync token.", "sync_token")
            start, started, parameters = self._tokens[sync_token]
            if self._now() - started >= LIFETIME:
                text = "Sync token is expired. Clear local cache and retry call without the sync token."
                raise precondition(text, "EXPIRED_SYNC_TOKEN")
            if parameters != bound:
                raise invalid("Request parameters must match the call that gave the sync token.", "sync_token")
            people = self._latest(start, end)
        if not wanted:
            return people, None
        token = self._next("sync")
        self._tokens[token] = (end, started, bound)
        return people, token

    def _next(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self._count}"
