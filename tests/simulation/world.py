"""A shop, the network, the targets and one process after another; and the steps that a life is made of."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from synccore._app.app import App
from synccore._app.base import Base
from synccore._closing import Closing
from synccore._daemon.sources import SourceWorker
from synccore._plugins import Plugins, load_plugins
from synccore._verbs.backfill import CONFIRMED
from synccore._verbs.connect import connect
from synccore._verbs.deliveries import retry
from synccore._verbs.forget import forget
from synccore._verbs.lanes import resume
from synccore._verbs.parts.changed import note_routes
from synccore._verbs.restore import put_in_place, settle_in
from synccore.errors import SynccoreError
from synccore.store import email_of
from synccore.testing import FakeClock
from synccore.types import WebhookRequest
from synccore_woocommerce.testing import FakeWooCommerce

from .clock import MachineClock
from .config import ENTITIES, write_config
from .excuses import Excuses
from .heard import Heard
from .ledger import Ledger
from .moments import CONSENT, Witness, meanwhile
from .mortal import Died, MortalStore
from .network import Network
from .step import Step, one
from .targets import TARGETS, Target
from .wire import Wire
from .words import Words

__all__ = ["ALL_TARGETS", "NAMES", "STEPS", "World"]

ALL_TARGETS: tuple[type[Target], ...] = (*TARGETS, Ledger)
ACCOUNTS_OF = "SELECT key FROM snapshot WHERE source = 'shop' AND entity = 'customer' AND email = :email"
NAMES = ("Ada", "Ben", "Cléo", "Dörte", "Emre", "Fay", "李")


class World(Closing):
    """Everything there is. Nothing happens but in `live` and `rest`."""

    def __init__(
        self, folder: Path, seed: int, plugins: Plugins, targets: Iterable[type[Target]] = ALL_TARGETS
    ) -> None:
        luck = Random(f"world {seed}")
        self.folder = folder
        self._config = folder / "synccore.toml"
        self.clock = FakeClock()
        #: The machine's, which somebody may set, and the shop's; all others go right.
        self.machine, self.shops = MachineClock(self.clock), MachineClock(self.clock)
        self.seed = seed
        self.shop = FakeWooCommerce(clock=self.shops)
        self.shop.quirks.cap = Random(f"pages {seed}").choice((1, 2, 3, 100))
        # Over TLS nothing is signed, and no shop asks what time it is here.
        self.shop.gate.window = 10**9
        self.network = Network(Random(f"network {seed}"), self.receive)
        self.shop.hooks.post = self.network.arrive
        vendors = [kind for kind in targets if not issubclass(kind, Ledger)]
        self.targets: dict[str, Target] = {kind.name: kind(self.clock, luck) for kind in vendors}
        self.heard = Heard(self.machine.now)
        servers = {"shop": self.shop, **{name: vendor.server for name, vendor in self.targets.items()}}
        self._wire = Wire(servers, self.heard.call, lambda: self.store)
        self._plugins = plugins
        ledger = next((kind for kind in targets if issubclass(kind, Ledger)), None)
        self.ledger = ledger(self.clock, Random(f"ledger {seed}")) if ledger is not None else None
        #: Those that a step may choose. What happens to one of them may happen to the ledger as well.
        self.vendors: list[Target] = list(self.targets.values())
        if self.ledger is not None:
            self.vendors = self.vendors or [self.ledger]
            self.targets[Ledger.name] = self.ledger
            self.ledger.meanwhile, self.ledger.witness = partial(meanwhile, self), Witness(self)
            self.ledger.heard = partial(self.heard.call, Ledger.name)
            self.ledger.caller = lambda: self.store
            self._plugins = load_plugins(environ={}, entry_points=[self.ledger.plugin], beside=plugins)
        #: Orders that an account left behind when it was deleted: they make no guest of who is gone.
        self.left: set[int] = set()
        #: Orders that somebody changed by hand.
        self.edited: set[int] = set()
        #: Addresses of which an order went: whatever it said of its guest stays.
        self.binned: set[str] = set()
        self.words = Words(self)
        #: Address that an account had before its own, for others to take -> that account.
        self.given_up: dict[str, int] = {}
        #: Addresses that were forgotten, for good.
        self.forgotten: set[str] = set()
        #: Address that was forgotten, or is to be -> the accounts that were known to have it.
        self.erased: dict[str, set[str]] = {}
        #: Accounts that were forgotten and are in the shop still.
        self.kept: set[int] = set()
        #: Whom a target could not forget yet: the operator asks again.
        self.forgetting: set[str] = set()
        self._met: set[str] = set()
        #: How many addresses there have been.
        self.people = 0
        self._backup: Path | None = None
        self.excuses = Excuses(self)
        self.deaths = 0
        #: How long anything may be owed once all is well, and the steps in which it is waited for.
        self.patience, self.steps = timedelta(hours=3), (timedelta(seconds=1), timedelta(minutes=5))
        #: When the last thing that happened began, where that was a round of everything a daemon does.
        self.worked: datetime | None = None
        self.write_config()
        for _ in range(4):
            self.register(luck)
        self.listen()
        self._start()
        self._connect()
        self.turn()

    def close(self) -> None:
        """End the process and the servers."""
        self.app.close()
        for thing in (self._wire, self.shop, *self.targets.values()):
            thing.close()

    # -- the process

    def write_config(self, more: Mapping[str, Mapping[str, Any]] = {}) -> None:
        """The file, with more routes than those of the targets."""
        write_config(self._config, self.shop, self.targets, more)

    def _start(self) -> None:
        self.store = MortalStore(self.folder / "outbox.db")
        self.app = App(
            self._config,
            plugins=self._plugins,
            environ={},
            clock=self.machine,
            random=Random(self.seed),
            store=self.store,
        )
        self.worker = SourceWorker(self.app, self.app.sources["shop"])
        note_routes(self.app)
        self.worker.hold_first()
        self.app.engine.recover()

    def _connect(self) -> None:
        for name, target in self.targets.items():
            if browser := getattr(target, "browser", None):
                connect(self.app, name, browser)

    def _bury(self) -> None:
        """What a dead process leaves: its file. The next one starts."""
        self.deaths += 1
        self.app.close()
        self._start()
        self.heard.look(self.app)
        self.excuses.dies()

    def run(self, work: Callable[[], object]) -> None:
        """Let the process do something, if it lives that long."""
        try:
            work()
        except Died:
            self._bury()

    def turn(self) -> None:
        """One round of everything a daemon does."""
        self.words.before_a_round()
        deaths, began = self.deaths, self.machine.now()
        with self.heard.round():
            self.run(self._turn)
        self.worked = began if self.deaths == deaths else None
        if self.deaths == deaths:
            self.words.look()

    def _turn(self) -> None:
        while self.worker.follow_hints():
            pass
        self.worker.poll_due()
        while self.worker.work_job():
            pass
        while self.worker.follow_hints():
            pass
        self.app.engine.drain()

    # -- the network

    def receive(self, request: WebhookRequest) -> int:
        """Let the process take a delivery; what it answers."""
        try:
            self.worker.receive(request)
        except Died:
            self._bury()
            return 502
        except SynccoreError:
            return 400
        return 200

    def some(self, luck: Random) -> list[Target]:
        """A vendor, and as often as not the ledger as well."""
        chosen = [luck.choice(self.vendors)]
        return [*chosen, self.ledger] if self.ledger is not None and luck.random() < 0.5 else chosen

    # -- quiet

    def rest(self) -> None:
        """All is well from here on: move on until nothing is owed and everything was compared once more."""
        self.quiet()
        self.settled()

    def quiet(self) -> None:
        """All is well from here on: move on until nothing is owed, with what was heard and what polls bring."""
        self.store.fuse = self.store.calls = self.store.look = None
        if self.store.dead:
            self._bury()
        for name, target in self.targets.items():
            target.come_back()
            self._go_on(name)
        self._go_on("shop")
        self.shop.clear_faults()
        self.network.rest()
        self.shop.run_queue()
        self.settle()

    def settled(self) -> None:
        """Compare everything once more, try again what was given up, and forget who could not be forgotten."""
        self._compare()
        self.settle()
        if self.forgotten and self.machine.ahead < timedelta(0):
            # Who was forgotten instead of another one is known by that time to be there once it has passed again.
            self.clock.advance(-self.machine.ahead)
            self._compare()
            self.settle()
        retry(self.app, [], None)
        self.settle()
        for _ in range(5):  # after a restored backup a wait is longer where the clock was set back by an hour
            if not self.forgetting:
                break
            self.clock.advance(timedelta(minutes=15))  # what a target shows late is seen by now
            for email in sorted(self.forgetting):
                self.forget_everywhere(email)
            self.settle()
        self.clock.advance(timedelta(seconds=1))  # what a vendor carries out a moment later is done

    def _compare(self) -> None:
        """As `reconcile --confirm`: half of a shop this small may well be gone."""
        for entity in ENTITIES:
            self.store.queue_backfill("reconcile", "shop", entity, CONFIRMED, None, self.machine.now())

    def settle(self) -> None:
        """Move on until nothing is owed."""
        end = self.machine.now() + self.patience
        while self.machine.now() < end:
            self.turn()
            upcoming = self.app.engine.next_try()
            owed = any(c.owed for c in self.app.store.counts_by_sink().values())
            if not owed and not self.app.store.hints("shop", end, 1) and self.store.next_backfill("shop") is None:
                return
            soon = self.machine.now() + self.steps[1]
            self.clock.advance(max(min(upcoming or soon, soon) - self.machine.now(), self.steps[0]))

    # -- living

    def live(self, step: Step, act: "Callable[[World, Random], Any]") -> None:
        """Let one thing happen, a second after the last."""
        self.clock.advance(timedelta(seconds=1))
        self.worked = None
        self.words.look_again()
        act(self, Random(f"{self.seed} {step.name} {step.luck}"))
        self.listen()

    def overlap(self, change: Callable[[], None]) -> None:
        """Let that happen once between the shop's next answer and what the process does with it."""
        asked = len(self.shop.requests)

        def look() -> None:
            if any(
                r.method == "GET" and r.path.endswith(("/customers", "/orders")) for r in self.shop.requests[asked:]
            ):
                self.store.look = None
                self.unharmed(change)

        self.store.look = look

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is asked meanwhile is no part of the life: nothing burns, and nothing happens in between."""
        look, self.store.look = self.store.look, None
        with self.store.spared(), self.store.asked_by_a_stranger():
            yield
        self.store.look = look

    def unharmed(self, act: Callable[[], object]) -> None:
        """Nobody dies of what happens in between."""
        with self.store.spared():
            act()

    def listen(self) -> None:
        """Remember what people say about marketing."""
        self.words.listen()

    def register(self, luck: Random) -> None:
        """Somebody makes an account."""
        address, first = self.new_address(), luck.choice(NAMES)
        email = self._from_another(luck) or address
        consent = [{"key": CONSENT, "value": "yes"}] if luck.random() < 0.4 else []
        self.shop.add_customer(email, first_name=first, last_name=f"Nr{self.people}", meta_data=consent)

    @property
    def gone(self) -> set[str]:
        """Who was forgotten, or is to be."""
        return self.forgotten | self.forgetting

    def _from_another(self, luck: Random) -> str | None:
        """An address that somebody gave up, now and then."""
        taken = {c["email"] for c in self.shop.customers.values()}
        free = sorted(self.given_up.keys() - taken - self.gone)
        return luck.choice(free) if free and luck.random() < 0.3 else None

    def accounts(self) -> dict[int, dict[str, Any]]:
        """All accounts, staff left out."""
        return {n: c for n, c in self.shop.customers.items() if c["role"] in ("customer", "subscriber")}

    def customer(self, luck: Random) -> int | None:
        """Somebody with an account."""
        return one(luck, list(self.accounts()))

    def new_address(self) -> str:
        """An address that nobody had before."""
        self.people += 1
        return f"p{self.people}@shop.test"

    def _edit(self, luck: Random) -> None:
        if (number := self.customer(luck)) is None:
            return
        if luck.random() < 0.2:
            address = self.new_address()
            email = self._from_another(luck) or address
            self.give_up(number, self.shop.customers[number]["email"])
            self.shop.edit_customer(number, email=email)
        else:
            self.shop.edit_customer(number, first_name=luck.choice(NAMES))

    def give_up(self, number: int, email: str) -> None:
        """An account is about to have another address: others may have this one."""
        self.excuses.gives_up(number, email)
        self.given_up[email] = number

    def _consent(self, luck: Random) -> None:
        if (number := self.customer(luck)) is not None:
            word = luck.choice(("yes", "no"))
            self.shop.edit_customer(number, meta_data=[{"key": CONSENT, "value": word}])

    def _leave(self, luck: Random) -> None:
        if (number := self.customer(luck)) is not None:
            self.delete(number)

    def delete(self, number: int) -> None:
        """The shop deletes an account."""
        email, role = (self.shop.customers[number][name] for name in ("email", "role"))
        self.network.heard_all = self.network.heard_all and role == "customer"  # else the shop says nothing
        self.excuses.leaves(number)
        for name, order in self.shop.orders.items():
            if order["billing"]["email"] == email or order["customer_id"] == number:
                self.left.add(name)
        self.shop.delete_customer(number)

    # -- the machine, the network, the operator

    def _pass(self, luck: Random) -> None:
        self.clock.advance(timedelta(seconds=luck.choice((1, 20, 400, 4000, 40_000))))

    def _cron(self, luck: Random) -> None:
        self.shop.run_queue()
        self.turn()

    def _replay(self, luck: Random) -> None:
        self.network.replay(luck)

    def _lose(self, luck: Random) -> None:
        self.network.lose(luck.choice((0.0, 0.2, 0.5)))

    def _light(self, luck: Random) -> None:
        self.store.fuse = luck.choice((0, 1, 2, 3, 5, 8, 20, 60, 150)) + luck.randrange(4)

    def _restart(self, luck: Random) -> None:
        self.restart()

    def restart(self) -> None:
        """The process ends, and the next one reads the file."""
        self.app.close()
        self._start()

    def _trouble(self, luck: Random) -> None:
        for target in self.some(luck):
            target.fail(luck)

    def _outage(self, luck: Random) -> None:
        for target in self.some(luck):
            target.go_away(luck)

    def _relief(self, luck: Random) -> None:
        for target in self.some(luck):
            target.come_back()
            self.run(partial(self._go_on, target.name))
        self.run(lambda: self._go_on("shop"))

    def _go_on(self, name: str) -> None:
        """What the operator held goes on."""
        if self.app.lane_of(name).state == "paused":
            resume(self.app, name)
        self.heard.held.discard(name)

    def _owner(self, luck: Random) -> None:
        luck.choice(self.vendors).owner(luck)

    def save(self) -> None:
        """The operator makes a backup."""
        backup = self.folder / "backup.db"
        self.run(lambda: self.store.backup(backup))
        self._backup = backup if backup.exists() else None
        self.excuses.saves()

    def restore(self) -> None:
        """The operator puts the last backup in the database's place."""
        if self._backup is None or self.forgotten or self.forgetting:
            return  # a backup from before somebody was forgotten brings them back, and says so
        self.excuses.restores()
        self.app.close()
        with Base.open_store(self._config, environ={}, plugins=self._plugins, clock=self.machine) as base:
            put_in_place(base, self._backup)
        self.network.heard_all = False  # what came since then did so in vain
        self._start()
        self.heard.look(self.app)
        self.excuses.restored()
        settle_in(self.app)
        if self.ledger is not None:
            self.ledger.witness = Witness(self, restored=True)  # what was written since is unknown

    def _forget(self, luck: Random) -> None:
        """The shop deletes somebody, and the operator forgets them everywhere."""
        if (number := self.customer(luck)) is None:
            return
        email = self.shop.customers[number]["email"]
        for order in [n for n, o in self.shop.orders.items() if o["billing"]["email"] == email]:
            with self.store.asked_by_a_stranger():
                known = self.store.snapshot("shop", "order", str(order))
            # An order that is deleted for good sends nothing: whose it was is not known to have it is not asked for it.
            self.network.heard_all &= known is None or email_of(known.data) == email
            self.shop.delete_order(order)
        self.delete(number)
        self.run(lambda: self.forget_everywhere(email))

    def forget_everywhere(self, email: str) -> None:
        """What the operator does, until it is complete."""
        self.forgetting.add(email)
        with self.store.peek() as view:
            known = view.execute(ACCOUNTS_OF, {"email": email}).fetchall()
        self.erased.setdefault(email, set()).update(row["key"] for row in known)
        told = forget(self.app, email)
        if (told.people or told.erased) and not told.failed:
            self._met.add(email)
        if told.complete:
            self.forgetting.discard(email)
            self.excuses.forgets(email)
            self.forgotten |= self._met & {email}  # of whom nothing is known here it leaves nothing


#: What happens, and how often beside the others.
STEPS: Mapping[str, Callable[[World, Random], Any]] = {
    "register": World.register,
    "edit": World._edit,
    "consent": World._consent,
    "leave": World._leave,
    "pass": World._pass,
    "cron": World._cron,
    "replay": World._replay,
    "lose": World._lose,
    "light": World._light,
    "restart": World._restart,
    "trouble": World._trouble,
    "outage": World._outage,
    "relief": World._relief,
    "owner": World._owner,
    "retry": lambda world, _: world.run(lambda: retry(world.app, [], None)),
    "sweep": lambda world, _: world.run(lambda: world.worker.queue_reconcile(world.machine.now())),
    "save": lambda world, _: world.save(),
    "restore": lambda world, _: world.restore(),
    "forget": World._forget,
}
