"""How long a piece of work may take, known to every call made within it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

__all__ = ["time_left", "time_limit"]

#: When the work under way in this thread has to be over, by the monotonic clock: sockets know no other time.
_END: ContextVar[float | None] = ContextVar("synccore_http_end", default=None)


@contextmanager
def time_limit(duration: timedelta) -> Iterator[None]:
    """Let no call made inside go on for longer than this in all. Inside another limit the earlier end counts."""
    end = time.monotonic() + duration.total_seconds()
    outer = _END.get()
    token = _END.set(end if outer is None else min(end, outer))
    try:
        yield
    finally:
        _END.reset(token)


def time_left() -> timedelta | None:
    """What is left for the work under way (`Limits.deadline` inside `deliver`), zero or more; None: no limit.

    A sink that makes many calls may look here and leave the rest to the next batch.
    """
    end = _END.get()
    return None if end is None else timedelta(seconds=max(end - time.monotonic(), 0))
