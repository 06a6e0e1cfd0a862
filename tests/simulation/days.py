"""Jobs that take a day."""

from datetime import timedelta

from .world import World

__all__ = ["jobs_take_a_day"]


def jobs_take_a_day(world: World) -> None:
    """Wherever there are any. What waits for one is waited for, in longer steps."""
    world.patience, world.steps = timedelta(days=4), (timedelta(hours=2), timedelta(hours=2))
    for target in world.targets.values():
        target.takes_a_day()
