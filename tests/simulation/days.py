"""Jobs that take their time."""

from datetime import timedelta

from .world import World

__all__ = ["jobs_are_waited_for", "jobs_take_a_day"]


def jobs_take_a_day(world: World) -> None:
    """Wherever there are any. What waits for one is waited for, in longer steps."""
    world.patience, world.steps = timedelta(days=4), (timedelta(hours=2), timedelta(hours=2))
    for target in world.targets.values():
        target.takes_a_day()


def jobs_are_waited_for(world: World) -> None:
    """As long as they take, with a look now and then: a look each second, for minutes, is most of such a test."""
    world.steps = (timedelta(seconds=30), world.steps[1])
