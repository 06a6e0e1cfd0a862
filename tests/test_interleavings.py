"""Two things at once: in both orders, and each in the middle of the other, at its transactions one after the other.

What is refreshed while it is connected is tried in `core/tests/oauth/test_oauth_interleaving.py`.
"""

import os
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import pytest
from simulation.books import Ended
from simulation.ledger import Ledger
from simulation.meeting import Meeting
from simulation.targets import Klaviyo, Salesforce
from simulation.truth import faults
from simulation.turns import Turns, seen_locks
from simulation.world import STEPS, World

from synccore._plugins import load_plugins
from synccore._verbs.deliveries import retry
from synccore._verbs.lanes import pause
from synccore._verbs.restore import settle_in
from synccore._verbs.verify import verify
from synccore.testing import Fault
from synccore.types import WebhookRequest

#: Every so many moments; every one at night, and more where the sabotages have to be seen.
STEP = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 2 if "SUITE_LIVES" in os.environ else 17

#: How Salesforce refuses one record.
REFUSAL = [{"errorCode": "FIELD_INTEGRITY_EXCEPTION", "message": "no"}]
#: More than Klaviyo's `bulk_threshold` of these lives.
MANY = 25

Pair = tuple[Callable[[], object], Callable[[], object]]


def renamed(world: World, name: str) -> None:
    """The newest account of all."""
    world.clock.advance(timedelta(seconds=1))
    world.shop.edit_customer(max(world.shop.customers), first_name=name)


def listed(world: World) -> None:
    world.worker.queue_reconcile(world.clock.now())
    while world.worker.work_job():
        pass


def sweep_and_webhook(world: World) -> Pair:
    def webhook() -> None:
        renamed(world, "Fay" if world.clock.now().minute % 2 else "Ben")
        world.shop.run_queue()

    return lambda: listed(world), webhook


def _sent(world: World, *changes: Callable[[], object]) -> list[Callable[[], object]]:
    """What follows each of these changes of the shop: its webhooks come, and what there is to do because of them."""
    heard = []
    for change in changes:
        world.network.withheld = held = []
        change()
        world.shop.run_queue()
        world.network.withheld = None

        def follow(requests: Sequence[WebhookRequest] = tuple(held)) -> None:
            for request in requests:
                world.receive(request)
            world.turn()

        heard.append(follow)
    return heard


def _newcomer(world: World) -> tuple[int, str]:
    """Number and address of somebody who registered and is there."""
    world.register(Random(4))
    world.shop.run_queue()
    world.turn()
    number = max(world.shop.customers)
    return number, world.shop.customers[number]["email"]


def two_webhooks(world: World) -> Pair:
    first, second = _sent(world, lambda: renamed(world, "Ben"), lambda: renamed(world, "Ada"))
    return first, second


def order_and_heir(world: World) -> Pair:
    """An order is given to an account that is made just now, and has the order's number."""
    owner = max(world.shop.customers)
    billing = {"email": world.shop.customers[owner]["email"], "first_name": "Ada"}
    order = world.shop.place_order(customer_id=owner, status="processing", billing=billing)
    world.shop.run_queue()
    world.turn()
    while max(world.shop.customers) < order - 1:
        world.register(Random(3))
    email = world.new_address()
    made, given = _sent(
        world,
        lambda: world.shop.add_customer(email, first_name="Ben", last_name="Heir"),
        lambda: world.shop.edit_order(order, customer_id=max(world.shop.customers), billing={"email": email}),
    )
    return made, given


def writes(request: Any) -> bool:
    return request.method == "PATCH"


def retry_and_settle(world: World) -> Pair:
    """One state of a record is parked while the next is delivered, which is another one each time: where nothing but
    refusals followed each other, the route would be held."""
    for name in ("Ben", f"Ada {world.clock.now():%d%H%M%S}"):
        renamed(world, name)
        world.shop.run_queue()
        world.worker.follow_hints()
        if name == "Ben":
            world.targets["crm"].server.fail_next(Fault.status(400, REFUSAL, when=writes))
            world.app.engine.drain()
            assert world.store.counts_by_sink()["crm"].parked == 1
    return world.app.engine.drain, lambda: retry(world.app, [], None)


def forget_and_job(world: World) -> Pair:
    while len(world.shop.customers) < MANY:
        world.register(Random(2))
    for number in world.shop.customers:
        world.shop.edit_customer(number, first_name=f"Ada {world.clock.now():%H%M%S}")
    gone = max(world.shop.customers)
    email = world.shop.customers[gone]["email"]
    listed(world)

    def job() -> None:
        for _ in range(3):
            world.app.engine.drain()
            world.clock.advance(timedelta(hours=1))

    def forgotten() -> None:
        world.delete(gone)
        world.forget_everywhere(email)

    return job, forgotten


def listed_and_leaving(world: World) -> Pair:
    """Somebody leaves while a page with them is on its way."""
    number, _ = _newcomer(world)

    def leaves() -> None:
        world.delete(number)
        world.shop.run_queue()

    return lambda: listed(world), leaves


def forget_and_page(world: World) -> Pair:
    """Somebody is forgotten while a page with them is on its way."""
    world.register(Random(4))
    gone = max(world.shop.customers)
    email = world.shop.customers[gone]["email"]

    def forgotten() -> None:
        world.delete(gone)
        world.forget_everywhere(email)

    return lambda: listed(world), forgotten


def forget_and_webhook(world: World) -> Pair:
    """The last webhook of an account comes as it is forgotten."""
    gone, email = _newcomer(world)
    (webhook,) = _sent(world, lambda: renamed(world, "Fay"))
    world.delete(gone)
    return webhook, lambda: world.forget_everywhere(email)


def restore_and_webhook(world: World) -> Pair:
    """The daemon is there again while a restored backup is settled in."""
    STEPS["save"](world, Random(0))
    renamed(world, "Ben")
    world.shop.run_queue()
    world.turn()
    STEPS["restore"](world, Random(0))
    (webhook,) = _sent(world, lambda: renamed(world, "Fay"))
    return webhook, lambda: settle_in(world.app)


def exchange_and_page(world: World) -> Pair:
    """Two exchange their addresses while a page with them is on its way."""
    one, other = sorted(world.accounts())[-2:]
    emails = {number: world.shop.customers[number]["email"] for number in (one, other)}

    def exchanged() -> None:
        world.excuses.exchanged |= {one, other}
        world.given_up |= {email: number for number, email in emails.items()}
        for number, email in ((one, f"between{other}@shop.test"), (other, emails[one]), (one, emails[other])):
            world.shop.edit_customer(number, email=email)
        world.listen()
        world.shop.run_queue()
        world.turn()

    return lambda: listed(world), exchanged


def deletion_and_guest(world: World) -> Pair:
    """Who left buys as a guest afterwards; before it is heard that they left, that passes for what they left behind."""
    gone, email = _newcomer(world)
    billing = {"email": email, "first_name": "Ada", "last_name": "Byron"}
    world.excuses.guests.add(email)
    deletion, order = _sent(world, lambda: world.delete(gone), lambda: world.shop.place_order(billing=billing))
    return deletion, order


def two_words_of_an_order(world: World) -> Pair:
    billing = {"email": world.shop.customers[number := max(world.accounts())]["email"]}
    order = world.shop.place_order(customer_id=number, status="pending", billing=billing)
    world.shop.run_queue()
    world.turn()
    world.edited.add(order)
    paid, cancelled = _sent(
        world,
        lambda: world.shop.edit_order(order, status="processing"),
        lambda: world.shop.edit_order(order, status="cancelled"),
    )
    return paid, cancelled


def merge_and_delivery(world: World) -> Pair:
    """The owner of a CRM takes the contact that is written for a double of another one, or that one for a double."""
    renamed(world, "Ben")
    world.shop.run_queue()
    world.worker.follow_hints()
    mine, other = (world.accounts()[number]["email"] for number in sorted(world.accounts())[:-3:-1])
    pair = (mine, other) if world.clock.now().second % 2 else (other, mine)
    return world.app.engine.drain, lambda: world.targets["crm"].joins(*pair)


def rename_and_delivery(world: World) -> Pair:
    """The owner of an address book does what gives the contact that is written another name."""
    renamed(world, f"Ada {world.clock.now():%H%M%S}")
    world.shop.run_queue()
    world.worker.follow_hints()
    email = world.shop.customers[max(world.shop.customers)]["email"]
    # `verify` may name the former contact beside it, as after a merge.
    world.targets["ended"].merged = True
    return world.app.engine.drain, lambda: world.targets["ended"].renames(email)


def verify_and_delivery(world: World) -> Pair:
    renamed(world, "Ben")
    world.shop.run_queue()
    world.worker.follow_hints()
    return world.app.engine.drain, lambda: [verify(world.app, route) for route in world.app.routes]


def pause_and_delivery(world: World) -> Pair:
    renamed(world, "Ben")
    world.shop.run_queue()
    world.worker.follow_hints()
    return world.app.engine.drain, lambda: pause(world.app, "ledger", "by hand")


PAIRS = (
    (sweep_and_webhook, Salesforce),
    (two_webhooks, Salesforce),
    (order_and_heir, Ledger),
    (retry_and_settle, Salesforce),
    (forget_and_job, Klaviyo),
    (listed_and_leaving, Ledger),
    (forget_and_page, Ledger),
    (forget_and_webhook, Ledger),
    (restore_and_webhook, Ledger),
    (exchange_and_page, Ledger),
    (exchange_and_page, Klaviyo),
    (deletion_and_guest, Ledger),
    (two_words_of_an_order, Ledger),
    (merge_and_delivery, Salesforce),
    (rename_and_delivery, Ended),
    (verify_and_delivery, Salesforce),
    (pause_and_delivery, Ledger),
)


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


@pytest.fixture(autouse=True)
def _seen_locks():
    with seen_locks():
        yield


@pytest.mark.parametrize("outer", [0, 1], ids=["the second within the first", "the first within the second"])
@pytest.mark.parametrize(("pair", "target"), PAIRS, ids=lambda value: value.__name__)
def test_whoever_comes_in_between_each_target_ends_as_the_shop_is(plugins, tmp_path, pair, target, outer):
    """The last moment is the one after all others: one after the other. The first is before any: the other order."""
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        for moment in count(0, STEP):
            acts = pair(world)
            meeting = Meeting(world.store, acts[outer], acts[1 - outer])
            met = meeting.at(moment)
            world.rest()
            assert faults(world) == [], f"they met at moment {moment}"
            if not met:
                break
        # What an owner does is one moment.
        assert moment or (pair in (merge_and_delivery, rename_and_delivery) and outer), "nothing was enumerated"


@pytest.mark.parametrize("outer", [0, 1], ids=["the webhook within the listing", "the listing within the webhook"])
def test_what_is_said_while_a_page_is_read_is_there_without_another_look(plugins, tmp_path, outer):
    """Within one second: no date says which of two states is the newer one."""
    with World(tmp_path, 1, plugins, targets=[Ledger]) as world:
        number = max(world.shop.customers)
        for moment in count():
            world.clock.advance(timedelta(seconds=1))
            world.shop.edit_customer(number, first_name=f"Ben{moment}")

            def webhook(name=f"Ada{moment}") -> None:
                world.clock.advance(timedelta(milliseconds=1))
                world.shop.edit_customer(number, first_name=name)
                world.shop.run_queue()

            acts = (lambda: listed(world), webhook)
            met = Meeting(world.store, acts[outer], acts[1 - outer]).at(moment)
            world.turn()
            (held,) = (p for p in world.targets["ledger"].people() if p.email == world.shop.customers[number]["email"])
            assert held.first == f"Ada{moment}", f"they met at moment {moment}"
            if not met:
                break
        assert moment, "nothing was enumerated"


def test_who_waits_for_what_the_other_one_holds_goes_on_once_it_is_let_go_of():
    first, said = threading.Lock(), []

    def other() -> None:
        said.append("begins")
        with first:
            said.append("has it")

    turns = Turns(other)
    with first:
        said.append("through" if turns.begin() else "waits")
    said.append("goes on")
    turns.end()
    assert said == ["begins", "waits", "has it", "goes on"]


def test_who_waits_for_some_seconds_does_so_in_vain_and_at_once():
    changed, said = threading.Condition(), []

    def other() -> None:
        with changed:
            said.append(changed.wait_for(lambda: False, 3600.0))

    turns = Turns(other)
    assert turns.begin()
    turns.end()
    assert said == [False]


def test_two_who_wait_for_each_other_are_told_of():
    first, second = threading.Lock(), threading.Lock()

    def other() -> None:
        with second, first:
            pass

    turns = Turns(other)
    with first:
        turns.begin()
        with pytest.raises(AssertionError, match="each waits"), second:
            pass
    turns.end()
