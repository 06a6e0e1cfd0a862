"""Plugins' code that raises what no `except Exception` meets: it ends nobody's thread and nobody's process."""

import threading

__all__ = ["ForeignExit", "contained", "tellable"]


class ForeignExit(RuntimeError):
    """A plugin wanted to end the process, or raised what is no `Exception` or says nothing: a bug as any other."""


class contained:  # noqa: N801  read as a word of its own: `with contained():`
    """Makes a bug of whatever is no `Exception` (SystemExit, a cancelled task, another library's timeout).

    Ctrl-C stays what it is: signals arrive in the main thread only. A class, since it is entered for every record.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        if isinstance(error, Exception):
            if (told := tellable(error)) is not error:
                raise told from None
            return
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            return
        raise _named(error) from None


def tellable(error: Exception) -> Exception:
    """The error itself, or, where not even its own words can be had of it, one of its name without any."""
    try:
        str(error)
    except BaseException:  # noqa: BLE001  whatever its __str__ raises
        return _named(error)
    return error


def _named(error: BaseException) -> ForeignExit:
    # Under its own name: that is what people are shown of a bug. The first place is ours.
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    words = [a for a in error.args if isinstance(a, str | int)]
    named: ForeignExit = type(type(error).__name__, (ForeignExit,), {})(*words)
    return named.with_traceback(trace)
