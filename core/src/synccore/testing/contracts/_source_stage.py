"""The world of one case: the open source, the stand-in it talks to, and what a subclass gives for them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from ...entities import Customer
from ...hookspecs import SourceType
from ...types import Change, Page, WebhookRequest, WriteBack
from ..clock import FakeClock
from ..context import FakeContext
from ..server import Fault, LoopbackServer

__all__ = ["NAMES", "SLOW_DOWN", "SourceStage", "SourceStand", "fingerprint_of", "own", "told_by"]

#: Asked to wait, and for how long.
SLOW_DOWN = Fault.status(429, {"error": "slow down"}, headers={"Retry-After": "7"})
#: Whoever these are: no word about a record that cannot be read holds them.
NAMES = ("Schmidt", "Lindenweg")


class SourceStage:
    """One case's world: the open source and the stand-in it talks to."""

    def __init__(self, source: Any, stand_in: LoopbackServer, contract: "SourceStand", context: FakeContext) -> None:
        self.source = source
        self.stand_in = stand_in
        self.contract = contract
        self.context = context

    def restart(self) -> None:
        """A new process goes on: what the source had in memory is gone."""
        self.source.close()
        self.source = self.contract.source_type.open(self.contract.config(self.stand_in), self.context)

    def put(self, count: int) -> None:
        """The shop has customers 0 to `count - 1`."""
        for number in range(count):
            self.contract.put(self.stand_in, number)

    def pages(self, cursor: str | None = None) -> list[Page]:
        """A whole listing."""
        return list(self.source.poll("customer", cursor, {}))

    def links(self, remote_id: str) -> list[WriteBack]:
        """The remote ids of every customer, for `write_back`."""
        now = self.context.clock.now()
        return [WriteBack(entity="customer", key=k, links={"crm": f"{remote_id}{k}"}, at=now) for k in self.customers()]

    def customers(self, cursor: str | None = None) -> dict[str, Change]:
        """Key -> change, of a whole listing; the last one of a key counts."""
        found: dict[str, Change] = {}
        for page in self.pages(cursor):
            for change in page.changes:
                if change.entity == "customer":
                    found[change.key] = change
        return found


class SourceStand:
    """Subclass it; set `source_type`, write `start`, `config` and `put`, and what else your source can do.

    Attributes:
        many: how many customers make three pages of a listing or more.
        most: how many customers the largest listing has that is tried.
        exempt: case -> why it cannot hold for this source; the case is skipped with that reason.
    """

    source_type: ClassVar[SourceType]
    many: ClassVar[int] = 25
    most: ClassVar[int] = 1200
    exempt: ClassVar[Mapping[str, str]] = {}

    # -- what a subclass gives

    def start(self, clock: FakeClock) -> LoopbackServer:
        """Start the vendor's stand-in, empty of customers."""
        raise NotImplementedError("write start(): it starts your stand-in")

    def config(self, stand_in: Any) -> Any:
        """The open configuration object (an instance of `source_type.config`) that reaches it."""
        raise NotImplementedError("write config(): the configuration that reaches your stand-in")

    def put(self, stand_in: Any, number: int) -> None:
        """Make a customer with the address person{number}@shop.test exist."""
        raise NotImplementedError("write put(): make a customer exist in your stand-in")

    def edit(self, stand_in: Any, number: int) -> None:
        """Change that customer's name."""
        pytest.skip("edit() is not written")

    def remove(self, stand_in: Any, number: int) -> None:
        """Delete that customer."""
        pytest.skip("remove() is not written")

    def webhook(self, stand_in: Any, number: int) -> WebhookRequest:
        """The request the vendor sends for that customer."""
        pytest.skip("webhook() is not written")

    def deletion(self, stand_in: Any, number: int) -> WebhookRequest:
        """The request the vendor sends once that customer, whom `remove` has deleted, is gone."""
        pytest.skip("deletion() is not written")

    def exchange_account(self, stand_in: Any) -> None:
        """Let the same address and keys lead to another shop."""
        pytest.skip("exchange_account() is not written")

    def cap(self, stand_in: Any, rows: int) -> None:
        """Let the stand-in give at most so many rows a page, whatever is asked for (hosts and caches do)."""
        pytest.skip("cap() is not written")

    def repeat(self, stand_in: Any) -> None:
        """Let the stand-in ignore where a page begins: it gives the first one whatever is asked for."""
        pytest.skip("repeat() is not written")

    def tie(self, stand_in: Any, numbers: Sequence[int]) -> None:
        """Give these customers the first one's time of change, as an import does."""
        pytest.skip("tie() is not written")

    def bare(self, stand_in: Any, number: int) -> None:
        """Make a customer of which the vendor holds nothing but the key."""
        pytest.skip("bare() is not written")

    def holds(self, stand_in: Any, number: int) -> Mapping[str, Any]:
        """What the shop holds of that customer: every field of `Customer` that records tell, None for nothing."""
        pytest.skip("holds() is not written")

    def fill(self, stand_in: Any, number: int, text: str) -> None:
        """Let the shop hold this text of that customer wherever people may type one: names, company, streets."""
        pytest.skip("fill() is not written")

    def spoil(self, stand_in: Any, name: str) -> None:
        """Let the listing of customers hold one more row, of a kind that is no customer, with this name in it."""
        pytest.skip("spoil() is not written")

    def only(self, stand_in: Any, number: int) -> Mapping[str, str]:
        """The filters of a `backfill --filter` that wants this customer and nobody else."""
        pytest.skip("only() is not written")

    def signed(self, stand_in: Any, body: bytes) -> WebhookRequest:
        """A webhook with this body, whatever it is, signed as the vendor does."""
        pytest.skip("signed() is not written")

    def unauthorised(self) -> Fault:
        """How the vendor answers to keys it does not accept."""
        return Fault.status(401, {"error": "unauthorized"})

    def forbidden(self) -> Fault:
        """How the vendor answers to keys that lack a permission."""
        return Fault.status(403, {"error": "forbidden"})

    # -- the stage

    @pytest.fixture
    def on(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SourceStage]:
        """The stage of one case; skipped where the subclass exempts it."""
        case = request.node.originalname.removeprefix("test_")
        if reason := self.exempt.get(case):
            pytest.skip(reason)
        clock = FakeClock()
        with self.start(clock) as stand_in:
            context = FakeContext("shop", self.source_type.name, clock=clock)
            source = self.source_type.open(self.config(stand_in), context)
            stage = SourceStage(source, stand_in, self, context)
            yield stage
            stage.source.close()


def own(found: Change | Sequence[Change] | None, key: str) -> Change:
    """The record itself among what `fetch` told."""
    told = [found] if isinstance(found, Change) else found or []
    return next(c for c in told if c.key == key and c.op == "upsert")


def fingerprint_of(change: Change) -> str:
    from ...store.codec import fingerprint

    return fingerprint(change.data) if change.data is not None else ""


#: What a record tells of itself and not of the person: proved elsewhere, or for people to look at.
_OF_THE_RECORD = frozenset({"key", "raw", "guest", "admin_url"})


def told_by(data: Customer) -> set[str]:
    """The names of the fields that it tells."""
    plain = Customer(key=data.key)
    names = {a.name for a in attrs.fields(Customer)} - _OF_THE_RECORD
    return {name for name in names if getattr(data, name) != getattr(plain, name)}
