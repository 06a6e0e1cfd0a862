"""What must be so once everything is quiet, asked of the shop and of the targets alone."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve

from synccore._verbs.status import overview
from synccore._verbs.verify import Proof, verify

from .belongings import belongings, in_book, in_profiles
from .ledger import FAILED, Ledger
from .targets import Google, Held, Klaviyo, Salesforce, Target
from .telling import Telling, in_events
from .words import against
from .world import World

__all__ = ["FREED", "claims", "early", "faults", "given_up", "verified"]

DRAFT = "checkout-draft"
#: No longer than this does anybody wait in a call: whatever takes longer is done later, and something else before.
NAP = timedelta(minutes=1)
#: What `verify` says of a number that was left out, for another profile had it, and that none has now.
FREED = "was delivered without what the target takes now: phone_number"

#: What is known of each order that is at the ledger: its status, and the record of whoever it is of.
KNOWN_BILLS = """
SELECT o.key, o.data ->> 'status' AS status, o.owner_key, l.remote_id AS bill, p.remote_id AS owner
FROM snapshot o
CROSS JOIN link l ON l.route = 'bills' AND l.source = o.source AND l.entity = o.entity AND l.key = o.key
LEFT JOIN snapshot c ON c.source = o.source AND c.entity = o.owner_entity AND c.key = o.owner_key
LEFT JOIN link p ON p.route = 'entries' AND p.source = c.source AND p.entity = c.entity AND p.key = c.key
WHERE o.source = 'shop' AND o.entity = 'order' AND o.deleted = 0 AND o.owner_key IS NOT NULL
    AND coalesce(c.deleted, 0) = 0
"""


def verified(world: World, route: str, *, sample: int = 1000, repair: bool = False) -> Proof:
    """What `verify` says. Who asks sits there, and waits for a quota as well: no thread of the process's does."""
    longest = world.machine.longest
    said = verify(world.app, route, sample=sample, repair=repair)
    world.machine.longest = longest
    return said


def claims(world: World, target: Ledger) -> Iterator[str]:
    """At any moment: where `verify` says that all is well, the target has what is known here, and where it belongs."""
    if not verified(world, "bills").ok:
        return
    with world.store.peek() as view:
        known = view.execute(KNOWN_BILLS).fetchall()
    for row in known:
        entry = target.entries.get(row["bill"])
        if entry is None:
            continue  # its owner deleted it: a sample shows that
        if entry.fields["status"] != row["status"] or entry.parent not in (None, row["owner"]):
            yield f"verify bills: ok, and that of {row['key']} is not as it is known, or not under {row['owner_key']}"


#: What is said of records that a target does not take, whoever asks it again, and where the ledger's trouble was a bug
#: of its sink three times, as docs/delivery.md has it; and of what hangs on one.
REFUSALS = (
    "is not taken",
    "no room",
    "is full",
    "invalid argument",
    "recreate = true",
    "run forget again",
    "bug in the plugin: KeyError: 'id'",
)
HANGS = "for longer than a day"


def given_up(world: World) -> list[str]:
    """Nothing is given up that another try saves."""
    parked = world.store.deliveries(state="parked", limit=1000)
    refused = [row for row in parked if any(words in (row.error or "") for words in REFUSALS)]
    saved = [row for row in parked if row not in refused and not (refused and HANGS in (row.error or ""))]
    return [f"{row.sink}: {row.entity} {row.key} was given up: {row.error}" for row in saved]


def early(world: World) -> list[str]:
    """What is wrong before anything is compared or tried again that was given up. Where every webhook came, and no
    process died with what it had heard, nothing is."""
    parked, found = world.store.deliveries(state="parked", limit=1), given_up(world)
    if world.network.heard_all and not (parked or world.deaths or world.forgetting):
        found += faults(world)
    return [f"before all is compared: {fault}" for fault in found]


def faults(world: World) -> list[str]:
    """Everything that is not as it should be; empty where all is well."""
    found = list(_outbox(world))
    found += [f"{email} cannot be forgotten" for email in sorted(world.forgetting)]
    for target in world.targets.values():
        found += _people(world, target)
        if isinstance(target, Klaviyo | Ledger):
            found += _payments(world, target)
            found += _consent(world, target)
        if isinstance(target, Klaviyo):
            found += in_profiles(world, target)
        if isinstance(target, Telling):
            found += in_events(world, target)
        if isinstance(target, Salesforce | Ledger) and any(r["entity"] == "order" for r in target.routes.values()):
            found += _deals(world, target)
        if isinstance(target, Salesforce):
            found += belongings(world, target)
        if isinstance(target, Google):
            found += in_book(world, target)
        if isinstance(target, Ledger):
            found += _bills(world, target)
            found += target.seen
    found += world.words.seen
    if world.machine.longest > NAP:
        found.append(f"somebody waited for {world.machine.longest} and did nothing else")
    return found + list(_statements(world, silent=bool(found)))


def registered(world: World) -> dict[str, Held]:
    """Who has an account in the shop and is no staff, by address."""
    return {c["email"]: _held(c["email"], c, c["billing"]) for c in world.accounts().values()}


def guests(world: World) -> set[str]:
    """Who bought something without an account that still exists; staff buy as guests too."""
    accounts = world.accounts()
    orders = [o for o in world.shop.orders.values() if o["status"] != DRAFT and o["customer_id"] not in accounts]
    return {o["billing"]["email"] for o in orders if o["id"] not in world.left} - registered(world).keys()


def strangers(world: World) -> dict[str, Held]:
    """Guests of whom it is known who they are: as their newest order says, whatever becomes of an older one."""
    vague = world.binned | world.given_up.keys() | world.excuses.guests | world.excuses.lost
    newest: dict[str, Mapping[str, Any]] = {}
    for order in world.shop.orders.values():
        email = order["billing"]["email"]
        if not order["customer_id"] and (
            email not in newest or order["date_created_gmt"] > newest[email]["date_created_gmt"]
        ):
            newest[email] = order
    return {
        email: _held(email, order["billing"], order["billing"])
        for email, order in newest.items()
        if email in guests(world) - vague
    }


def _held(email: str, names: Mapping[str, Any], billing: Mapping[str, Any]) -> Held:
    return Held(
        email=email,
        first=names["first_name"],
        last=names["last_name"],
        phone=Held.digits(billing["phone"]),
        place=Held.at(billing, "address_1", "city", "postcode"),
    )


def _outbox(world: World) -> Iterator[str]:
    for sink, counts in world.store.counts_by_sink().items():
        for state in ("ready", "running", "submitted", "parked"):
            if number := getattr(counts, state):
                rows = world.store.deliveries(sink=sink, state=state, limit=3)
                why = "; ".join(f"{r.entity} {r.key}: {r.error}" for r in rows)
                yield f"{sink}: {number} {state} after all is quiet ({why})"


def _people(world: World, target: Target) -> Iterator[str]:
    wanted, bought = registered(world), guests(world)
    known = wanted.keys() | bought | world.excuses.guests | world.excuses.lost
    held = target.people()
    counts = Counter(h.email for h in held)
    if isinstance(target, Salesforce):
        yield from _swallowed(world, target, counts)
    for email in wanted.keys() | bought:
        if email in world.forgotten or (counts[email] == 0 and email in _joined(world, target)):
            continue
        if counts[email] and counts[email] - _beside(world, target, email) - len(world.excuses.strays(email)) <= 1:
            continue
        if email in _made_one(world, target) or (counts[email] == 0 and _stands_beside(target, email)):
            continue
        if counts[email] != 1 and not (counts[email] == 0 and email in world.excuses.guests - wanted.keys()):
            yield f"{target.name}: {email} is there {counts[email]} times"
    yield from _held_people(world, target, held, known)


def _held_people(world: World, target: Target, held: Sequence[Held], known: Set[str]) -> Iterator[str]:
    """Whether each of them is somebody of the shop, as they are there."""
    wanted = strangers(world) | registered(world)
    for person in held:
        if person.email in world.forgotten:
            if not world.excuses.came_again(person.email, target):
                yield f"{target.name}: {person.email} was forgotten and is there"
        elif person.email not in known | _left(world, target, known) | _joined(world, target):
            yield f"{target.name}: {person.email} is there and nobody in the shop has that address"
        elif known_as := wanted.get(person.email):
            beside = [one for one in held if one.email == person.email]
            if not (_is(world, target, person, known_as) or _is_stray(world, target, known_as, beside)):
                yield f"{target.name}: {person} is not {known_as}"


def _is_stray(world: World, target: Target, wanted: Held, there: Sequence[Held]) -> bool:
    """Whether it is one of whom a restored backup knows nothing, who has gone since: they themselves are there as well,
    or on that one's record, which has a name where they have none."""
    if not world.excuses.strays(wanted.email):
        return False
    return any(_is(world, target, one, wanted) for one in there) or (len(there) == 1 and not wanted.first)


def _beside(world: World, target: Target, email: str) -> int:
    """On how many contacts of several people it was left by somebody who is gone from the shop, or of whom a restored
    backup knows nothing: another one has it by now."""
    if not isinstance(target, Google) or not target.merged:
        return 0
    former = world.given_up.get(email)
    unknown = email in world.excuses.lost or email in world.excuses.since
    left = unknown or (former is not None and former not in world.accounts())
    return sum(left and email in addresses and len(addresses) > 1 for addresses in target.addresses())


def _stands_beside(target: Target, email: str) -> bool:
    """Whether the owner typed it in and made one of that contact and another customer's."""
    if not isinstance(target, Google) or not target.merged or email not in target.typed:
        return False
    return any(email in addresses and len(addresses) > 1 for addresses in target.addresses())


def _left(world: World, target: Target, known: Set[str]) -> set[str]:
    """Who is on one contact with somebody who is there: whoever of them goes from the shop, it is left as it is. And
    who was known by a fact alone when they went, or by nothing: the owner merged what we had just made. And profiles of
    people who signed up at a target by themselves, or whom somebody left behind."""
    if isinstance(target, Klaviyo):
        return target.made_by_facts() | target.beside(world)
    if not isinstance(target, Google) or not target.merged:
        return set()
    shared = {address for addresses in target.addresses() if known.intersection(addresses) for address in addresses}
    return shared | target.unmarked


def _made_one(world: World, target: Target) -> set[str]:
    """The addresses of those whom a target with one record for an address has made one with whoever had theirs in
    between: `verify` says so."""
    if not isinstance(target, Klaviyo):
        return set()
    return world.excuses.between & registered(world).keys() - {person.email for person in target.people()}


def _joined(world: World, target: Target) -> set[str]:
    """The addresses of those whose contacts were made one in a CRM: it has what its owner chose of them, and may have
    none of theirs."""
    if not isinstance(target, Salesforce) or not target.joined:
        return set()
    mine = {c["email"] for n, c in world.accounts().items() if f"shop:customer:{n}" in target.joined}
    return target.joined | mine | {""}


def _swallowed(world: World, target: Salesforce, counts: Mapping[str, int]) -> Iterator[str]:
    """Whose contact the owner took for a double of another one, and who is nowhere since that one went."""
    for uid in target.swallowed():
        customer = world.accounts().get(int(number)) if (number := uid.rsplit(":", 1)[-1]).isdigit() else None
        if customer is not None and not counts[customer["email"]] and customer["email"] not in world.forgotten:
            yield f"{target.name}: {customer['email']} went with somebody else"


def _is(world: World, target: Target, person: Held, wanted: Held) -> bool:
    """A target that has to have a family name gets one where the shop has none; Klaviyo has a number for one alone."""
    if not wanted.last:
        wanted = evolve(wanted, last=person.last)
    may_lack = person.phone != wanted.phone and (not person.phone or world.excuses.of_number(person.email))
    if may_lack and isinstance(target, Klaviyo) and person.email in _without_number(world, target):
        wanted = evolve(wanted, phone=person.phone)
    wanted = world.excuses.emptied(person, wanted)
    if not any(wanted.place) and person.place in {registered(world)[one].place for one in _made_one(world, target)}:
        wanted = evolve(wanted, place=person.place)  # that of the one it was made one with
    wanted = target.as_typed(person, wanted)
    if person.email in _joined(world, target) or (isinstance(target, Google) and target.merged):
        return True  # one name for two, the one that changed last; whose addresses are there is what counts
    return person == wanted


def _without_number(world: World, target: Klaviyo) -> set[str]:
    """Whose number is on another profile; or on none any more, and `verify` says so."""
    has = {person.phone: person.email for person in target.people()}
    said = {finding.message for finding in verified(world, "profiles").findings}
    wanted = {email: held.phone for email, held in (strangers(world) | registered(world)).items()}
    freed = {c["email"] for number, c in world.accounts().items() if f"customer {number} {FREED}" in said}
    freed &= freed if target.frees_numbers else set()
    return freed | {email for email, phone in wanted.items() if has.get(phone, email) != email}


def _payments(world: World, target: Klaviyo | Ledger) -> Iterator[str]:
    told = Counter(target.payments())
    for fact, times in told.items():
        # Klaviyo drops what is told twice of one profile, and who exchanged their addresses have each other's.
        order = world.shop.orders.get(int(fact.partition("/")[0]), {})
        exchanged = isinstance(target, Klaviyo) and order.get("customer_id") in world.excuses.exchanged
        if times > (2 if exchanged else 1):
            yield f"{target.name}: {fact} was told {times} times"
    if world.network.heard_all and world.deaths == 0:
        yield from _order_of_facts(world, target)
    accounts = world.accounts()
    # Who exchanged their addresses have each other's facts, which go with the other one.
    taken = isinstance(target, Klaviyo) and not world.excuses.exchanged <= accounts.keys()
    for number, order in world.shop.orders.items():
        if taken and order["customer_id"] in world.excuses.exchanged:
            continue
        renewal = any(row["key"] == "_subscription_renewal" for row in order["meta_data"])
        if not renewal or order["customer_id"] not in accounts or _is_forgotten(world, order):
            continue
        if order["date_paid_gmt"] and not told[f"{number}/Renewed Subscription"]:
            yield f"{target.name}: {number} was paid and is not told of"
        if order["status"] == "failed" and not told[f"{number}/Failed Subscription Renewal"]:
            yield f"{target.name}: {number} failed and is not told of"


def _order_of_facts(world: World, target: Klaviyo | Ledger) -> Iterator[str]:
    """Where every webhook came, a person's facts are told in the order in which they happened. When a renewal failed
    is known by its order's last change alone; and a webhook owed for an order that somebody then paid by hand tells
    that ahead of what happened in between. What was refused, and so parked, holds up nothing. A date may be any of the
    moments at which the shop's clock showed it."""
    last: dict[str, datetime] = {}
    passed = target.passed if isinstance(target, Ledger) else set()
    for (whose, at), fact in zip(target.told(), target.payments(), strict=True):
        number, _, event = fact.partition("/")
        by_hand = int(number) in world.edited
        if (by_hand and event == FAILED) or fact in passed:
            continue
        thread = f"{whose} {number}" if by_hand else whose
        moments = world.shops.showed(at)
        if thread in last and max(moments) < last[thread]:
            yield f"{target.name}: a fact of {whose} was told after a later one"
        last[thread] = min(moments)


def _deals(world: World, target: Salesforce | Ledger) -> Iterator[str]:
    """One for every order that bears no forgotten address and is of nobody forgotten, with the stage of its status."""
    told = target.deals()
    held = Counter(number for number, _ in told)
    for number, order in world.shop.orders.items():
        wanted = 0 if order["status"] == DRAFT or _is_forgotten(world, order) else 1
        if held[number] != wanted:
            yield f"{target.name}: {number} ({order['status']}) is a deal {held[number]} times"
    for number, stage in told:
        if number not in world.shop.orders and str(number) in world.excuses.lost:
            continue
        status = world.shop.orders.get(number, {"status": None})["status"]
        if status is None or stage != (status if isinstance(target, Ledger) else target.stage(status)):
            yield f"{target.name}: the deal of {number} is {stage} and the order {status}"


def _is_forgotten(world: World, order: Mapping[str, Any]) -> bool:
    """Whether nothing of an order is to be anywhere, whatever address it bears."""
    return order["billing"]["email"] in world.forgotten or order["customer_id"] in world.kept


def _bills(world: World, target: Ledger) -> Iterator[str]:
    """Each order of an account hangs under that account's record, whosever it was before."""
    accounts = world.accounts()
    for number, order in world.shop.orders.items():
        if order["customer_id"] not in accounts or _is_forgotten(world, order):
            continue
        owner, above = accounts[order["customer_id"]]["email"], target.above(f"shop:order:{number}")
        if above not in (None, owner):
            yield f"{target.name}: the bill of {number} is under {above or 'nobody'} and not under {owner}"


def _by_themselves(world: World, target: Klaviyo) -> set[str]:
    """Who asked for mail at the target, also with the address they have since, and did not bring a no along from
    another one: an unticked box is none."""
    emails = {number: account["email"] for number, account in world.shop.customers.items()}
    asked = {emails[n] for email, n in world.given_up.items() if n in emails and email in target.asked_for_mail}
    moved = {emails[n] for n in set(world.given_up.values()) - world.excuses.newer if n in emails}
    forbidden = {email for email, (word, _) in world.words.said.items() if word == "no"}
    return (target.asked_for_mail | asked) - (moved & forbidden)


def _consent(world: World, target: Klaviyo | Ledger) -> Iterator[str]:
    # Klaviyo tells whom we subscribed ourselves, and takes who changes their address for whoever had the profile.
    mistaken = {c["email"] for n, c in world.accounts().items() if n in world.excuses.mistaken}
    unsure = world.excuses.unsure if isinstance(target, Ledger) else mistaken
    if isinstance(target, Klaviyo):
        unsure = unsure | _by_themselves(world, target)
    # An order that went before anybody heard of it said nothing.
    for email in target.mailed() - world.excuses.unheard - world.binned - unsure:
        if why := against(world, target, email):
            yield f"{target.name}: {email} gets mail: {why}"


def _statements(world: World, *, silent: bool) -> Iterator[str]:
    """`verify` says that all is well where it is, and never where it is not; `status` asks for nobody then."""
    if not silent:
        for need in overview(world.app).needs:
            # Whether the shop changed something after its last webhook: by its own clock, and that one by another.
            if need.kind != "silent" or not (world.machine.ahead or world.shops.was_set):
                yield f"status: {need.sentence}"
    for route in world.app.routes:
        report = verified(world, route, sample=20)
        if report.ok and silent:
            continue  # another route's fault
        target = world.targets[world.app.routes[route].sink]
        # Whose name gave way, and what hung under a contact that went, is named until the next change.
        merged = isinstance(target, Google | Salesforce) and target.merged
        made_one = route == "profiles" and bool(_made_one(world, target))
        if made_one and report.ok:
            yield f"verify {route}: ok, and two are one"
        wrong = [one for one in report.findings if one.level != "info" and not one.message.endswith(FREED)]
        if wrong and not silent and not merged and not made_one:
            yield f"verify {route}: not ok, and nothing is wrong: {report}"
