"""The world of one case: an app, the sink inside it, the stand-in it talks to, and what a subclass gives for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, get_args, get_type_hints

import pytest
from attrs import evolve, fields

from ...entities import Address, Customer
from ...errors import SynccoreError
from ...hookspecs import SinkType
from ...secrets import Secret
from ...types import Check, Link, Operation
from ..clock import FakeClock
from ..harness import Harness, upsert
from ..server import Fault, LoopbackServer, Request

__all__ = ["PowerCutError", "SinkStand", "Stage", "checked_among_strangers", "secrets_as_text"]

_SECRETIVE = ("token", "secret", "password", "passphrase", "api_key", "private_key")
#: What another service answers to a question it was never asked before.
_ODD: tuple[Any, ...] = ({}, [], ["x"], 7, "null", "hello")
STRANGERS = (Fault.status(404, {"error": "not found"}), *(Fault.status(200, body) for body in _ODD))


def checked_among_strangers(stand_in: LoopbackServer, check: Callable[[], Check]) -> None:
    """Have `check` ask whoever else may stand at the vendor's address; it names no account that nobody told it."""
    known = check().account
    for answer in STRANGERS:
        stand_in.clear_faults()
        stand_in.fail_always(answer)
        with suppress(SynccoreError):
            told = check()
            assert told.account in (None, known), "somebody else answers, and check() names an account that is nobody's"


def secrets_as_text(config: Any) -> list[str]:
    """The settings that are secrets by their name and text by their type, whatever this value of them is."""
    types = get_type_hints(type(config))
    options = {a.name: types.get(a.name, a.type) for a in fields(type(config)) if not a.name.endswith("_url")}
    secretive = [name for name in options if any(word in name for word in _SECRETIVE)]
    return [name for name in secretive if _is_text(options[name]) or isinstance(getattr(config, name), str)]


def _is_text(annotation: Any) -> bool:
    kinds = get_args(annotation) or (annotation,)
    return str in kinds and Secret not in kinds


class PowerCutError(BaseException):
    """The process dies here."""


class Stage:
    """One case's world: the app, the sink inside it, the stand-in it talks to."""

    def __init__(self, app: Harness, stand_in: LoopbackServer, contract: "SinkStand") -> None:
        self.app = app
        self.stand_in = stand_in
        self.contract = contract

    @property
    def sink(self) -> Any:
        """The open instance."""
        return self.app.app.sinks["target"].instance

    def emit(self, count: int = 1, *, first: int = 0, **values: Any) -> None:
        """Customers `first` to `first + count - 1` change."""
        self.app.emit(*(upsert(self.contract.customer(n, **values)) for n in range(first, first + count)))

    def deliver(self) -> None:
        """Let everything arrive that can, waiting as long as it takes (two days at most)."""
        self.app.settle_down()

    def held(self) -> list[str]:
        """E-mail addresses the target holds, sorted, doubles included."""
        return sorted(self.contract.held(self.stand_in))

    def expected(self, count: int) -> list[str]:
        """The addresses of the first `count` customers."""
        return sorted(email for n in range(count) if (email := self.contract.customer(n).email))

    def link(self, number: int) -> Link:
        """The link of a customer that was delivered."""
        link = self.app.app.store.link("people", "shop", "customer", str(number))
        assert link is not None, f"customer {number} was delivered without a remote id"
        return link

    def errors(self) -> str:
        """Every word that was kept about what went wrong."""
        kept = [d.error or "" for d in self.app.deliveries()]
        kept += [f"{h.error} {h.note}" for h in self.app.history()]
        kept.append(self.app.app.store.lane("target").reason or "")
        return "\n".join(kept)


class SinkStand:
    """Subclass it; set `sink_type` and `object`, write `start`, `config` and `held`.

    Attributes:
        sink_type: the descriptor under test.
        object: the object the cases write.
        route: more of the route's table (fields, match, sink settings).
        exempt: case -> why it cannot hold for this target; the case is skipped with that reason.
        child: the table of a route whose records hang on the customer's, such as
            `{"entity": "order", "object": "deal"}`; write `parents` with it.
        event: the table of a route that delivers payments as events; write `events` with it.
        many: how many records are looked up at once: more than a page of the vendor's answers.
        lag: how long the vendor's search needs to find what was written.
        jobs_from: how many records at once the sink hands over as one bulk job, under this `config`; 0: it has none.
    """

    sink_type: ClassVar[SinkType]
    object: ClassVar[str]
    route: ClassVar[Mapping[str, Any]] = {}
    exempt: ClassVar[Mapping[str, str]] = {}
    child: ClassVar[Mapping[str, Any]] = {}
    event: ClassVar[Mapping[str, Any]] = {}
    jobs_from: ClassVar[int] = 0
    many: ClassVar[int] = 25
    lag: ClassVar[timedelta] = timedelta(minutes=15)

    # -- what a subclass gives

    def start(self, clock: FakeClock) -> LoopbackServer:
        """Start the vendor's stand-in."""
        raise NotImplementedError("write start(): it starts your stand-in")

    def config(self, stand_in: Any) -> Mapping[str, Any]:
        """The `[sinks.target]` table that reaches it, without `type`."""
        raise NotImplementedError("write config(): the table that reaches your stand-in")

    def held(self, stand_in: Any) -> Sequence[str]:
        """The e-mail address of every record the stand-in holds, doubles included."""
        raise NotImplementedError("write held(): what your stand-in holds")

    def connect(self, sink: Any, stand_in: Any) -> None:
        """Sign in, for targets that need it."""

    def refuse(self, stand_in: Any, email: str) -> bool:
        """Make the stand-in refuse the record with this address for good; False where no target would."""
        return False

    def parents(self, stand_in: Any) -> Sequence[str]:
        """For every child record the stand-in holds: the remote id of the record it hangs on."""
        raise NotImplementedError("write parents(): whom your stand-in's child records hang on")

    def rehang(self, stand_in: Any, remote_id: str, parent_id: str) -> bool:
        """Let somebody at the target hang a child record on another record, or (`parent_id` empty) on none; True once
        it does."""
        return False

    def events(self, stand_in: Any) -> Sequence[str]:
        """Something that tells apart every event the stand-in holds, doubles included."""
        raise NotImplementedError("write events(): the events your stand-in holds")

    def told(self, stand_in: Any) -> Sequence[Mapping[str, Any]] | None:
        """What each event holds under the names of the mapping; None where the stand-in cannot tell."""
        return None

    def fired(self, stand_in: Any) -> int | None:
        """How many automations (welcome mails, flows) the stand-in has begun; None where the target has none."""
        return None

    def record(self, stand_in: Any, remote_id: str) -> Mapping[str, Any] | None:
        """What the stand-in itself holds of a record under the names of the mapping: as many as it can tell."""
        return None

    def exchange_account(self, stand_in: Any) -> bool:
        """Let the same credentials lead to another account; False where the stand-in has one only."""
        return False

    def enlarge(self, stand_in: Any) -> bool:
        """Let the target take a mapped field that it did not take before (somebody made it, or gave the permission to
        write it); False where all targets of the kind take the same."""
        return False

    def theirs(self, stand_in: Any, fields: Mapping[str, Any]) -> str | None:
        """Let the stand-in hold a record that its owner made, with these values under the names of the mapping.

        Gives its remote id; it carries no marker of ours. None where the stand-in can hold no such record.
        """
        return None

    def rewrite(self, stand_in: Any, remote_id: str, fields: Mapping[str, Any]) -> bool:
        """Let the owner of a record write these values over ours, under the names of the mapping; True once it did."""
        return False

    def vanish(self, stand_in: Any, remote_id: str) -> bool:
        """Let somebody at the target delete a record; True once it is gone."""
        return False

    def merge(self, stand_in: Any, kept: str, other: str) -> str | None:
        """Let somebody at the target merge the second record into the first; gives the remote id of what is left. None
        where nobody can."""
        return None

    def unauthorised(self) -> Fault:
        """How the vendor answers to credentials it does not accept any more."""
        return Fault.status(401, {"error": "unauthorized"})

    def forbidden(self) -> Fault:
        """How the vendor answers where a permission is missing."""
        return Fault.status(403, {"error": "forbidden"})

    def unknown_job(self) -> Fault:
        """How the vendor answers to a question about a job that it does not know (any more); `when` tells such one."""
        return Fault.status(
            404, {"error": "not found"}, when=lambda r: not self.is_write(r) and "job" in r.path.lower()
        )

    def rate_limited(self) -> Fault:
        """How the vendor asks to slow down."""
        return Fault.status(429, {"error": "slow down"}, {"Retry-After": "120"})

    def is_write(self, request: Request) -> bool:
        """Whether a request changes something at the vendor."""
        return request.method != "GET"

    def customer(self, number: int, **values: Any) -> Customer:
        """The customer with this number."""
        data: dict[str, Any] = {
            "key": str(number),
            "email": f"person{number}@shop.test",
            "first_name": "Ann",
            "last_name": f"Person {number}",
            "phone": f"+1 212 555 {1000 + number:04}",
            "created_at": datetime(2025, 3, 1, tzinfo=UTC),
            "billing": Address(line1="1 Main St", city="Boston", postcode="02101", state="MA", country="US"),
        }
        return Customer(**{**data, **values})

    # -- the stage

    def routes(self) -> dict[str, dict[str, Any]]:
        """The routes of the stage."""
        routes = {"people": {"entity": "customer", "sink": "target", "object": self.object, **self.route}}
        if self.child:
            routes["children"] = {"sink": "target", "after": "people", **self.child}
        if self.event:
            routes["events"] = {"entity": "payment", "sink": "target", **self.event}
        return routes

    @contextmanager
    def stage(self, folder: Path) -> Iterator[Stage]:
        """An app around the sink, connected."""
        clock = FakeClock()
        stand_in = self.start(clock)
        try:
            config = dict(self.config(stand_in))
            routes = self.routes()
            with Harness(
                folder, routes, sink_types={"target": (self.sink_type, config)}, clock=clock, installed=True
            ) as app:
                stage = Stage(app, stand_in, self)
                self.connect(stage.sink, stand_in)
                yield stage
        finally:
            stand_in.close()

    @pytest.fixture
    def on(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
        """The stage of one case; skipped where the subclass exempts it."""
        case = request.node.originalname.removeprefix("test_")
        if reason := self.exempt.get(case):
            pytest.skip(reason)
        with self.stage(tmp_path) as stage:
            yield stage

    # -- for cases

    def _operations(self, on: Stage, count: int) -> list[Operation]:
        """What the engine would ask for these customers if it knew no links."""
        app = on.app.app
        on.emit(count)
        store = app.store
        works = store.work_for("people", "shop", "customer", [str(n) for n in range(count)])
        prepared = [
            app.preparer("people").prepare(evolve(work, link=None), number) for number, work in enumerate(works)
        ]
        return [p.operation for p in prepared if p.operation is not None]

    def _in_bulk(self, on: Stage, count: int, **values: Any) -> None:
        """The first `count` customers as a backfill or a comparison tells them, delivered."""
        on.app.emit(*(upsert(self.customer(n, **values)) for n in range(count)), bulk=True)
        on.app.settle_down(timedelta(minutes=30))  # a job that never ends is asked for every few seconds

    def _link_of(self, operation: Operation, remote_id: str) -> Link:
        return Link(
            object=operation.object,
            remote_id=remote_id,
            source=operation.source,
            entity=operation.entity,
            key=operation.key,
            route=operation.route,
        )

    def _changed(self, number: int) -> Customer:
        """The customer once everything about them is another, but for who they are."""
        place = Address(line1="9 Other Rd", city="Salem", postcode="97301", state="OR", country="US")
        values = {"first_name": "Bea", "last_name": f"Moved {number}", "company": "Other Ltd"}
        return self.customer(number, **values, phone=f"+1 212 555 {3000 + number:04}", billing=place)

    def _writes(self, on: Stage) -> int:
        return sum(1 for request in on.stand_in.requests if self.is_write(request))

    def _is_as_mapped(self, on: Stage, link: Link) -> None:
        there = self.record(on.stand_in, link.remote_id)
        if there is None and callable(getattr(on.sink, "read", None)):
            there = next(iter(on.sink.read([link])))
        there = there or {}
        old = [name for name, value in link.mapped.items() if there.get(name, value) != value]
        assert not old, f"what was written and is not known of here stays in {', '.join(old)}"

    def _only_writes(self, fault: Fault) -> Fault:
        return evolve(fault, when=self.is_write)

    def _refuses_the_second_write(self, on: Stage, status: int) -> None:
        """From now on: of several calls for one record the first is carried out."""
        second = self._writes(on) + 2
        refusal = Fault.status(status, {"error": "no"}, when=lambda r: self.is_write(r) and self._writes(on) == second)
        on.stand_in.fail_next(refusal)
