"""A process that dies at one statement after the other, with each target: before it, and right after each commit; and
at one call after the other, to the shop or a target: before it goes out, once it was carried out, and when its answer
was read."""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count
from random import Random

import pytest
from simulation.calls import Whom, somebody
from simulation.changes import OTHERS, THEIRS
from simulation.days import jobs_are_waited_for, jobs_take_a_day
from simulation.deaths import DEATHS, MET, each_death
from simulation.ledger import Ledger
from simulation.mails import Importing
from simulation.orgs import Busy, Selling
from simulation.statements import standing
from simulation.targets import TARGETS, Adopting
from simulation.truth import faults
from simulation.world import World

from synccore._plugins import load_plugins

#: Every so many statements with each change; every one at night.
STEP = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 47
#: Whether the sabotages have to be seen, or it is night.
DENSE = STEP == 1 or "SUITE_LIVES" in os.environ
#: The same while some are handed over, of some fifty statements.
STEP_OF_JOBS = 1 if STEP == 1 else 7 if DENSE else 61
#: And of some fourteen moments of calls, of which each call has three: no multiple of that.
STEP_OF_JOBS_CALLS = 1 if STEP == 1 else 2 if DENSE else 13
#: The same of moments of calls, of some hundreds; prime, so that they are others at each call.
STEP_OF_CALLS = 1 if STEP == 1 else 3 if DENSE else 67
#: And of some thousands, with what becomes of somebody in between.
STEP_OF_MET = 1 if STEP == 1 else 31 if DENSE else 397
#: More than go one by one.
SOME = 5
#: What becomes of one of them before the next try.
MEANWHILE: Mapping[str, Callable[[World, Whom], object]] = {
    name: act for name, act in (THEIRS | OTHERS).items() if name in ("leaves", "moves on", "forget")
}
#: And before it once it died in a call.
CALLED = [change for change in MEANWHILE if DENSE or change == "leaves"]


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


@pytest.mark.parametrize("target", [*TARGETS, Ledger], ids=lambda target: target.name)
def test_a_death_at_any_statement_loses_and_doubles_nobody(plugins, tmp_path, target):
    """Somebody registers; their webhooks, what is read because of them, and the delivery end at the n-th statement."""
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        for moment in count(0, STEP):
            deaths = world.deaths
            world.register(Random(moment))
            world.listen()
            world.store.fuse = moment
            world.shop.run_queue()
            world.turn()
            world.store.fuse = None
            if world.deaths == deaths:
                break
            world.turn()
        assert world.deaths * STEP > 50, "nothing was enumerated"
        world.rest()
        assert faults(world) == []


@pytest.mark.parametrize("target", [*TARGETS, Ledger, Adopting, Selling], ids=lambda target: target.__name__)
def test_a_death_at_any_call_loses_and_doubles_nobody(plugins, tmp_path, target):
    """Whoever or whatever is delivered, found by a comparison, or forgotten: the calls end at the n-th moment."""
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        world.shop.quirks.cap = 100  # one page: how the shop is listed is tried elsewhere
        assert each_death(world, DEATHS, STEP_OF_CALLS), "nothing was enumerated"


@pytest.mark.parametrize("target", [*TARGETS, Ledger, Adopting, Selling], ids=lambda target: target.__name__)
def test_a_death_at_any_call_and_a_change_before_the_next_process_lose_and_double_nobody(plugins, tmp_path, target):
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        world.shop.quirks.cap = 100
        # Where orders need an account there is none for what somebody left behind.
        met = {case: death for case, death in MET.items() if target is not Selling or not case.endswith("leaves")}
        assert each_death(world, met, STEP_OF_MET), "nothing was enumerated"


@pytest.mark.parametrize("target", [Busy, Importing], ids=lambda target: target.name)
@pytest.mark.parametrize(
    ("fuse", "step", "change"),
    [
        *(pytest.param("fuse", STEP_OF_JOBS, change, id=f"statement, {change}") for change in MEANWHILE),
        *(pytest.param("calls", STEP_OF_JOBS_CALLS, change, id=f"call, {change}") for change in CALLED),
    ],
)
def test_a_death_while_some_are_handed_over_in_a_job_loses_and_doubles_nobody(
    plugins, tmp_path, monkeypatch, fuse, step, change, target
):
    """Whom the job has, and what becomes of one of them before it is carried out."""
    # A job of some is as one of more than two hundred, which would take too long.
    monkeypatch.setattr("synccore_salesforce.write.COLLECTION", 1)
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        if fuse == "calls":
            jobs_take_a_day(world)
        else:
            jobs_are_waited_for(world)
        for moment in count(0, step):
            deaths = world.deaths
            world.rest()
            while len(world.accounts()) < SOME:
                world.register(Random(moment))
            if deaths % 2:
                world.rest()  # else they are new
            for number in world.accounts():
                world.shop.edit_customer(number, first_name=f"Ada{moment}")
            world.shop.run_queue()
            while world.worker.follow_hints():
                pass
            setattr(world.store, fuse, moment)
            world.run(world.app.engine.drain)
            setattr(world.store, fuse, None)
            assert list(standing(world)) == [], f"it died at moment {moment}"
            number = max(world.accounts())
            MEANWHILE[change](world, Whom(world.shop.customers[number]["email"], number))
            world.listen()
            world.shop.run_queue()
            world.turn()
            world.rest()
            assert faults(world) == [], f"it died at moment {moment}"
            if world.deaths == deaths:
                break
        assert moment, "nothing was enumerated"


@pytest.mark.parametrize("change", MEANWHILE)
def test_a_job_that_is_forgotten_once_it_was_carried_out_loses_and_doubles_nobody(
    plugins, tmp_path, monkeypatch, change
):
    """Whom it brought there, and what becomes of one of them before it is known that nobody can be asked."""
    monkeypatch.setattr("synccore_salesforce.write.COLLECTION", 1)
    with World(tmp_path, 1, plugins, targets=[Busy]) as world:
        jobs_are_waited_for(world)
        (target,) = world.targets.values()
        world.rest()
        began = len(target.server.jobs.jobs)
        new = [somebody(world, "") for _ in range(SOME)]
        world.shop.run_queue()
        world.turn()
        assert len(target.server.jobs.jobs) > began, "none was handed over"
        world.clock.advance(target.server.job_time)
        target.server.jobs.advance()
        target.server.jobs.jobs.clear()
        MEANWHILE[change](world, new[0])
        world.listen()
        world.shop.run_queue()
        world.rest()
        assert faults(world) == []


@pytest.mark.parametrize("word", ["says no", "moves and says no"])
def test_nobody_gets_mail_for_the_day_that_a_job_with_them_takes(plugins, tmp_path, word):
    with World(tmp_path, 1, plugins, targets=[Importing]) as world:
        jobs_are_waited_for(world)
        (target,) = world.targets.values()
        people = [somebody(world, "yes") for _ in range(SOME)]
        world.listen()
        world.rest()
        jobs_take_a_day(world)
        for whom in people:
            world.shop.edit_customer(whom.number, first_name="Bea")
        world.shop.run_queue()
        world.turn()
        assert {whom.email for whom in people} <= target.mailed()
        began = world.clock.now()
        addresses = [whom.email for whom in people]
        for whom in people:
            THEIRS[word](world, whom)
        world.listen()
        world.shop.run_queue()
        for _ in range(4):
            world.turn()
            world.clock.advance(timedelta(seconds=30))
        assert not target.mailed().intersection(addresses)
        world.rest()
        assert world.clock.now() - began > timedelta(hours=23), "the job took no day"
        assert faults(world) == []
