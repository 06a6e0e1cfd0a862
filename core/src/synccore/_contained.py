"""Plugins' code that raises what no `except Exception` meets: it ends nobody's thread and nobody's process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ForeignExit", "contained"]


class ForeignExit(RuntimeError):
    """A plugin wanted to end the process, or raised what is no `Exception`: a bug as any other."""


@contextmanager
def contained() -> Iterator[None]:
    """Make a bug of whatever is no `Exception` (SystemExit, a cancelled task, another library's timeout).

    Ctrl-C stays what it is: signals arrive in the main thread only.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        # Under its own name: that is what people are shown of a bug.
        named = type(type(error).__name__, (ForeignExit,), {})
        raise named(*error.args).with_traceback(error.__traceback__) from None
