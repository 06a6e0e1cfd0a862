"""`verify` with trouble at each of its calls: it says of nobody what is not so, and repairs nothing that is whole."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count

from synccore.errors import SynccoreError

from .calls import Nth
from .truth import faults, verified
from .world import World

__all__ = ["false_words"]


def false_words(world: World, between: Callable[[], object]) -> Iterator[str]:
    """What is said or done that is not so; `between` happens each time before."""
    (target,) = world.targets.values()
    for trouble in target.can_go_wrong:
        for moment in count():
            world.rest()
            between()
            nth = Nth(moment)
            target.trouble_at(nth, trouble)
            said = _said(world, repair=True)
            target.come_back()
            # A quota that was spent is there again, and what is shown late is shown.
            world.clock.advance(timedelta(minutes=2))
            world.rest()
            found = [*sorted(said - _said(world)), *faults(world)]
            yield from (f"{trouble} at call {moment} of verify: {words}" for words in found)
            if not nth.met:
                break


def _said(world: World, *, repair: bool = False) -> set[str]:
    """Whatever is no more than a word on how it was asked left out."""
    found = set[str]()
    for route in world.app.routes:
        with suppress(SynccoreError):
            findings = verified(world, route, repair=repair).findings
            found |= {finding.message for finding in findings if finding.level != "info"}
    return found
