"""Two things at once, in a chosen order: one starts in the middle of the other's request, without a sleep.

with meanwhile(vendor, context, is_token_request, lambda: sink.disconnect()) as other:
    sink.check()                    # its token request is answered once the disconnect is done, or waits for a lock
assert other.ran
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .server import Fault, LoopbackServer, Reply, Request

__all__ = ["Meanwhile", "meanwhile"]

#: A test that waits longer than this hangs.
_PATIENCE = 20


class Meanwhile:
    """The second thing. `ran`: it was started; `error`: what it raised; `waited`: it had to wait for a lock."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self._thread = threading.Thread(target=self._run, args=(action,), daemon=True)
        self._quiet = threading.Event()
        self.ran = False
        self.waited = False
        self.error: BaseException | None = None

    def _run(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001  told to the test
            self.error = error
        finally:
            self._quiet.set()

    def start(self) -> None:
        """Run it until it is done or waits for a lock that somebody holds."""
        self.ran = True
        self._thread.start()
        assert self._quiet.wait(_PATIENCE), "the other thread neither ended nor waited for a lock"

    def is_me(self) -> bool:
        """Whether this is its thread."""
        return threading.current_thread() is self._thread

    def blocked(self) -> None:
        """It has to wait for a lock."""
        self.waited = True
        self._quiet.set()

    def end(self) -> None:
        """Wait until it is done."""
        if self.ran:
            self._thread.join(_PATIENCE)
            assert not self._thread.is_alive(), "the other thread never ended"


@contextmanager
def meanwhile(
    stand_in: LoopbackServer, context: Any, when: Callable[[Request], bool], action: Callable[[], Any]
) -> Iterator[Meanwhile]:
    """Run `action` in a thread of its own in the middle of the first request that `when` matches.

    The request has been carried out by then; its answer goes back once the action has ended, or waits for one of the
    context's locks that is held.
    """
    other = Meanwhile(action)
    serve, lock = stand_in.answer, context.lock
    holders: dict[str, list[int]] = {}
    guard = threading.Lock()

    @contextmanager
    def watched(name: str) -> Iterator[None]:
        me = threading.get_ident()
        with guard:
            if other.is_me() and any(holder != me for holder in holders.get(name, ())):
                other.blocked()
        with lock(name):
            with guard:
                holders.setdefault(name, []).append(me)
            try:
                yield
            finally:
                with guard:
                    holders[name].remove(me)

    def answer(request: Request) -> tuple[Reply, Fault | None]:
        reply = serve(request)
        with guard:
            first = not other.ran and when(request)
            other.ran = other.ran or first
        if first:
            other.start()
        return reply

    stand_in.answer = answer  # type: ignore[method-assign]
    context.lock = watched
    try:
        yield other
        other.end()
    finally:
        stand_in.answer, context.lock = serve, lock  # type: ignore[method-assign]
