"""Trouble at one call to a target after the other, and something else that happens before the next try: to the person
who is delivered, to what is told of them, at the target, or here.

What a process was about when it died is tried in `test_crash_points.py`.
"""

import os

import pytest
from simulation.anew import ANEW
from simulation.asking import false_words
from simulation.backups import MADE_ANEW, RESTORED
from simulation.books import OWNED, TYPED, Cut, Personal, Searched, typed_before
from simulation.calls import (
    BEGINNINGS,
    TOLD,
    again,
    changed,
    each_call,
    saved_before,
    saved_between,
    with_a_guest,
    with_another,
)
from simulation.changes import (
    BILLED,
    BILLS,
    FATES,
    FIRMS,
    HERE,
    HIRED,
    JOINED,
    LEAVING,
    NUMBERED,
    ONE,
    OTHERS,
    SET_BACK,
    THEIRS,
)
from simulation.days import jobs_are_waited_for
from simulation.firms import Firms
from simulation.going import GOING
from simulation.hanging import HANGING
from simulation.heirs import INHERITED, REGISTERED
from simulation.instead import INSTEAD
from simulation.lacking import Forgetful, Holey
from simulation.ledger import Ledger
from simulation.mails import IN_A_JOB, JOBBED, MAILED, UNSUBSCRIBED, Dropping, Importing
from simulation.numbers import CALLED, HANDED_ON, NUMBERS, RENUMBERED, Calling, Numbering
from simulation.orgs import Keyless, Known, Recreating, Selling, Unkeyed
from simulation.owning import BOXES, OWNING, at_once
from simulation.rounds import ROUNDS, Falling
from simulation.targets import Adopting, Google, Klaviyo, Salesforce
from simulation.telling import Telling
from simulation.traces import FORGOTTEN_LATER, LEFT, MADE_ONE
from simulation.turned_away import TURNED_AWAY
from simulation.world import World

from synccore._plugins import load_plugins

#: Every one at night; the sabotages have to be seen by more than a handful.
ALL, MORE = os.environ.get("HYPOTHESIS_PROFILE") == "nightly", "SUITE_LIVES" in os.environ
TARGETS = (Klaviyo, Google, Recreating, Ledger)
ASKED = (Forgetful, *TARGETS, Holey) if ALL or MORE else (Forgetful,)

KNOWN = {name: begin for name, begin in (BEGINNINGS | TOLD).items() if "new" not in name and "guest" not in name}
#: What nobody needs to be looked for afterwards; who moves twice before anything is known may be found nowhere.
STAYING = {name: act for name, act in THEIRS.items() if name in ("says no", "says yes", "lives nowhere")}
BESIDE = {name: act for name, act in OTHERS.items() if not name.startswith("the owner")}

LEAVES = {name: act for name, act in (FATES | BESIDE).items() if "leave" in name}
STAYS = {name: act for name, act in (FATES | BESIDE).items() if name not in LEAVES}

#: And what changes nothing of an order.
SAID = {name: act for name, act in (THEIRS | OTHERS).items() if name in ("says no", "retry", "restart")}

#: Where no key tells, what a lost create made is the org's own to `forget`: a known limit.
UNKEYED = {name: act for name, act in (THEIRS | OTHERS).items() if name != "forget"}

#: What was written at a company without an answer is known for ours.
NEW_THERE = {name: begin for name, begin in HIRED.items() if name.startswith("new")}

MOVED = {name: act for name, act in THEIRS.items() if name.startswith("moves")}

#: Whose records an owner made one, under one's own name and with both marks.
KEPT = {name: act for name, act in JOINED.items() if name.endswith("kept, both")}

#: Whoever sales had before the shop is known by address, and has our key from then on.
FOUND = {name: OTHERS[f"the owner {name}"] for name in ("types", "deletes")} | STAYING

#: An order that needs an account: of who left before they were ever there it is parked, and what is nameless by then
#: stays where `forget` finds an order that nobody knew of.
SOLD = {name: begin for name, begin in TOLD.items() if "who is new" not in name}
AFTER = {name: act for name, act in (FATES | BESIDE).items() if name != "forget"}

#: Who is new in any way, and so is known a moment later.
NEW = {name: begin for name, begin in BEGINNINGS.items() if "new" in name}
SEEN = {name: begin for name, begin in BEGINNINGS.items() if name not in NEW}
GUESTS = {name: begin for name, begin in BEGINNINGS.items() if "guest" in name}
ACCOUNTS = {name: begin for name, begin in BEGINNINGS.items() if name not in GUESTS}
NEW_HERE = {name: begin for name, begin in NEW.items() if "guest" not in name}

#: Who leaves nothing but a name where they go, and no word: of who is parked anything else may stay, a known limit.
BARE = at_once({"new, with a no": BEGINNINGS["new, with a no"]}, {"lives nowhere": THEIRS["lives nowhere"]})

#: Who leaves, and has an account with that address again.
GONE = {"leaves": THEIRS["leaves"]}
COMING = {"registers": OTHERS["registers"]}

#: What is made anew by a change without an answer, since its owner deleted it, is made once more by some targets; who
#: exchanges the address that they have since a change without an answer may be one with whoever has the one in between:
#: known limits. Who exchanges back is not.
FIRST = {name: act for name, act in OTHERS.items() if name != "the owner deletes"}
SECOND = {name: act for name, act in OTHERS.items() if name != "exchanges it"}
BACK = {name: act for name, act in OTHERS.items() if name == "exchanges it"}

#: What may come before it is through that somebody gets an address which has a profile.
SOON = {**STAYING, **SAID, **{name: LEAVES[name] for name in ("leaves", "leaves and comes back")}, **MOVED}

FORGOTTEN = {name: act for name, act in JOINED.items() if "forgotten" in name}

#: What is told of who is not there yet makes them, by the address that they have then.
TOLD_KNOWN = {name: begin for name, begin in SOLD.items() if "guest" not in name}
#: What becomes of a subscription, three times.
AGAIN = changed(changed(changed({"with a box": OWNING["with a box"]}, BOXES), BOXES), BOXES)

#: Who says yes, with an account or a guest.
SUBSCRIBED = {name: begin for name, begin in BEGINNINGS.items() if "yes" in name and "to no" not in name} | MAILED

#: Who begins, what comes before the next try, at which targets; and every so many of all meetings of a beginning, a
#: call, a trouble and a change are tried, prime so that they are others at each call.
GROUPS = {
    "what they do themselves": (BEGINNINGS, THEIRS, TARGETS, 101),
    "what they do after trouble again": (again(BEGINNINGS, STAYING), THEIRS, TARGETS, 653),
    "who unsubscribes at the target": (saved_between(SUBSCRIBED), UNSUBSCRIBED, (Klaviyo, Importing), 199),
    "whose no a job must not hold up": (IN_A_JOB, THEIRS | HERE, (Importing,), 23),
    "a clock that goes back": (BEGINNINGS | TOLD, SET_BACK, (Klaviyo, Cut, Recreating, Ledger), 97),
    "what others do": (BEGINNINGS, OTHERS, TARGETS, 199),
    "what an owner does that is shown late": (SEEN, OWNED, (Google, Searched), 211),
    "who was typed in a moment before": (typed_before(NEW), TYPED, (Google, Searched), 211),
    "whom the owner typed in by a name of their own": (typed_before(NEW, 1), STAYING, (Personal,), 211),
    "who is forgotten instead of another one": (
        changed(typed_before(NEW_HERE, 1), STAYING),
        INSTEAD,
        (Known,),
        61,
    ),
    "whom the owner typed in, and who moves": (typed_before(NEW_HERE, 1), MOVED, (Google, Personal), 19),
    "what is told of them": (TOLD, STAYS, (Klaviyo, Recreating, Ledger), 251),
    "what is told of who leaves": (TOLD, LEAVES, (Klaviyo, Recreating, Ledger), 61),
    "what is told of who left and comes again": (BEGINNINGS | TOLD_KNOWN, ANEW, (Klaviyo, Recreating, Ledger), 151),
    "what becomes of what they have": (changed(OWNING, BOXES), BOXES | MOVED, (Telling,), 307),
    "what becomes of it again and again": (AGAIN, HERE, (Telling,), 101),
    "states that are told of them": (TOLD_KNOWN, FATES, (Telling,), 307),
    "states that are told of who does something else": (at_once(TOLD_KNOWN, MOVED), HERE, (Telling,), 307),
    "whom an owner deletes while theirs is told": (TOLD, HANGING, (Recreating, Ledger), 251),
    "what is told of them where orders need an account": (SOLD, AFTER, (Selling, Unkeyed), 251),
    "whom an order is billed to": (BILLED, BILLS, (Selling,), 151),
    "an order and an account of one number": (NUMBERED, BILLS | SAID, (Selling, Ledger), 61),
    "whom somebody works for": (HIRED | again(NEW_THERE, STAYING), FIRMS, (Firms,), 307),
    "where sales were first": (BEGINNINGS, FOUND, (Known,), 61),
    "whose answer lacks a column": (typed_before(NEW_HERE, 1), STAYING, (Holey,), 41),
    "where no key tells": (BEGINNINGS, UNKEYED, (Keyless,), 101),
    "a backup of before where no key tells": (saved_before(BEGINNINGS), RESTORED, (Keyless,), 17),
    "what they do themselves twice": (changed(NEW, THEIRS), THEIRS, TARGETS, 307),
    "what others do twice": (changed(NEW, FIRST), THEIRS | SECOND, TARGETS, 401),
    "a number that goes to another": (changed(NEW_HERE | BARE, RENUMBERED), HANDED_ON, (Numbering,), 101),
    "whose address somebody has while they are turned away": (BARE, TURNED_AWAY, (Klaviyo, Recreating), 31),
    "who exchange the address of a change without an answer": (changed(NEW_HERE, MOVED), BACK, (Klaviyo,), 5),
    "who gets the address of who signed up": (changed(NEW_HERE, GOING), SOON, (Klaviyo, Adopting), 499),
    "numbers that go from one to another": (CALLED, NUMBERS, (Calling,), 13),
    "addresses that go round": (NEW_HERE | changed(NEW_HERE, BACK), ROUNDS, (Falling,), 23),
    "who exchange addresses while a job has one": (at_once(JOBBED, BACK), HERE, (Importing,), 13),
    "who exchange it back": (changed(NEW, BACK), BACK, TARGETS, 13),
    "one of an account and a guest": (changed(with_a_guest(NEW), ONE), THEIRS, TARGETS, 211),
    "an owner who joins two": (with_another(BEGINNINGS), JOINED, (Klaviyo, Google, Salesforce), 307),
    "one of two who were joined is forgotten": (with_another(NEW), FORGOTTEN, (Google,), 19),
    "who was joined, left and is forgotten": (
        changed(changed(with_another(NEW_HERE), MADE_ONE), LEFT),
        FORGOTTEN_LATER,
        (Google,),
        11,
    ),
    "who left and comes again while they are deleted": (changed(NEW, GONE), COMING, (Dropping,), 13),
    "two who were joined leave": (
        changed(changed(with_another(NEW_HERE), KEPT), LEAVING),
        HERE,
        (Google, Salesforce),
        31,
    ),
    "an account and a guest who become one": (with_a_guest(BEGINNINGS), ONE, TARGETS, 61),
    "a guest who registers, and what comes then": (GUESTS, REGISTERED, TARGETS, 23),
    "who gets a guest's address, and what comes then": (with_a_guest(ACCOUNTS), INHERITED, TARGETS, 101),
    "a backup of before": (saved_before(BEGINNINGS | TOLD), RESTORED, TARGETS, 79),
    "a backup of before their owner deleted them": (saved_between(changed(NEW_HERE, MADE_ANEW)), RESTORED, TARGETS, 79),
    "a backup of between": (saved_between(KNOWN), RESTORED, TARGETS, 17),
}


#: One in so many for the sabotages, where one in five is too few or takes too long.
DENSE = {
    "what they do after trouble again": 163,
    "what others do twice": 307,
    "an order and an account of one number": 3,
    "whom the owner typed in by a name of their own": 3,
    "who exchange the address of a change without an answer": 2,
    "addresses that go round": 3,
    "numbers that go from one to another": 3,
    "whom the owner typed in, and who moves": 1,
    "who exchange it back": 1,
    "whose answer lacks a column": 1,
    "a guest who registers, and what comes then": 1,
    "who gets a guest's address, and what comes then": 3,
    "who gets the address of who signed up": 29,
    "two who were joined leave": 3,
}


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


@pytest.mark.parametrize(
    ("group", "target"),
    [(name, target) for name, (_, _, targets, _) in GROUPS.items() for target in targets],
    ids=lambda value: getattr(value, "name", value),
)
def test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is(plugins, tmp_path, group, target):
    beginnings, changes, _, step = GROUPS[group]
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        world.shop.quirks.cap = 100  # one page: how the shop is listed is tried elsewhere
        if target is Importing:
            jobs_are_waited_for(world)
        meetings = each_call(world, beginnings, changes, 1 if ALL else DENSE.get(group, 5) if MORE else step)
        assert meetings, "nothing was enumerated"


@pytest.mark.parametrize("target", ASKED, ids=lambda target: target.name)
def test_with_trouble_at_any_of_its_calls_verify_says_nothing_that_is_not_so(plugins, tmp_path, target):
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        world.shop.quirks.cap = 100
        email = world.shop.customers[min(world.accounts())]["email"]
        assert list(false_words(world, lambda: world.targets[target.name].renames(email))) == []
