"""What a source tells, and the record as core remembers it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from attrs import field, frozen

from .._plain import Plain
from .._swift import swift
from ..entities import Entity

#: What a row of the outbox asks for.
Op = Literal["upsert", "delete", "event"]
#: What a source may report: `touch` is a hint without data, `forget` a wish to be forgotten.
ChangeOp = Literal["upsert", "delete", "event", "touch", "forget"]
BackfillFilters = Mapping[str, str]


@frozen(weakref_slot=False)
class EntityRef(Plain):
    """Names one record of a source."""

    entity: str
    key: str

    def __str__(self) -> str:
        return f"{self.entity} {self.key}"


@frozen(weakref_slot=False)
class Uid(Plain):
    """Names one record of any source: its natural external id at a target that several shops may share.

    As a text it is `source:entity:key`. A key may have colons of its own.
    """

    source: str
    entity: str
    key: str

    def __str__(self) -> str:
        return self.text(self.source, self.entity, self.key)

    @staticmethod
    def text(source: str, entity: str, key: str) -> str:
        """That of a record."""
        return f"{source}:{entity}:{key}"

    @classmethod
    def parse(cls, borne: object) -> "Uid":
        """Of what a record at a target bears; its parts are empty where that is no uid."""
        parts = borne.split(":", 2) if isinstance(borne, str) else ()
        return cls(*parts) if len(parts) == 3 else cls("", "", "")


@swift
@frozen(kw_only=True, weakref_slot=False)
class Change(Plain):
    """One observation by a source.

    `upsert` and `delete` are state: core keeps the newest and owes each route one delivery of it. `event` is a fact:
    every one is delivered, in order, once per `event_id`. `touch` says that something changed and not what: core asks
    `fetch` before anything of that key is delivered. `forget` (of a customer) says that the shop has erased a person
    and the targets are to forget them: core then does what `synccore forget` does.
    """

    entity: str
    key: str
    op: ChangeOp
    #: The record; None only for `delete`, `touch` and `forget`. Whoever gives it does not change what it holds (`raw`)
    #: any more: it may be looked at until it is delivered.
    data: Entity | None = None
    #: Grows with every change of this record (usually its modified time in ms). An older version is not
    #: taken, but the source is asked for the record, and believed. None means unknown: the later observation wins.
    version: int | None = None
    #: When it happened by the source's clock, if known.
    at: datetime | None = None
    #: Required for events: unique per source and entity, the same each time the same fact is observed.
    event_id: str | None = None
    #: Whom it belongs to (an order's customer).
    owner: EntityRef | None = None
    #: Keys this record takes the place of (a guest who registered): their links move here and nothing is deleted
    #: at the targets.
    replaces: tuple[str, ...] = ()
    #: Events only: still news where the record's stored state is newer already (a payment is, a status derived from
    #: an old state is not). Such a fact is stored in either case.
    late_ok: bool = False


@frozen(kw_only=True)
class Unreadable(Plain):
    """A record the source could not make sense of; it never stops the others.

    Core counts it per source and entity and shows it in `status`; with a key a `fetch` is owed.

    Attributes:
        where: the place for people, without values: "page 3, row 17", "delivery 9f2c".
        reason: what was wrong, without values.
    """

    where: str
    reason: str
    entity: str
    key: str | None = None


@frozen(kw_only=True)
class Page(Plain):
    """One page of a listing.

    Attributes:
        cursor: where to go on. Core stores it with the page's commit, so a listing resumes after a kill. After the
            last page it is what the next `poll` starts from.
        total: how many records the whole listing has, if known.
        rows: how many of those this page was, where that is not the number of its changes of the listed kind: one order
            may tell of its buyer too, or of nobody. For people who watch: "120 of 3,060 listed".
        unreadable: records of this page that could not be read.
        read_at: when the page's request was sent (aware UTC); None: core takes the time before it asked for the page.
            What was stored later than that by something else is not overwritten by a change without a newer version.
    """

    changes: Sequence[Change]
    cursor: str | None = None
    total: int | None = None
    rows: int | None = None
    unreadable: tuple[Unreadable, ...] = ()
    read_at: datetime | None = None


@frozen(kw_only=True)
class WebhookRequest(Plain):
    """A request to `POST /hooks/{source}`, body as raw bytes. Header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class WriteBack(Plain):
    """Remote ids to store at the source beside a record: `links` is sink instance -> remote id."""

    entity: str
    key: str
    links: Mapping[str, str]
    at: datetime


@frozen(kw_only=True, weakref_slot=False)
class Snapshot(Plain):
    """The last known state of one record."""

    source: str
    entity: str
    key: str
    data: Entity
    version: int | None = None
    owner: EntityRef | None = None
    deleted: bool = False
    changed_at: datetime | None = None
