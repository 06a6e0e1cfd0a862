"""An outbox moved to another place: every table copied, then compared."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from .._app.base import open_outbox
from .._plain import Plain
from .._plugins import Plugins
from ..errors import ConfigError
from ..secrets import Secret
from ..store import Store
from ..store.copying import COUNTED, TABLES, UNDER_WAY
from ..types import Clock

__all__ = ["Copied", "copy", "opened"]

Watch = Callable[[str, int], None]


@frozen(kw_only=True)
class Copied(Plain):
    """What was copied: table -> rows, each compared by count and digest."""

    rows: dict[str, int]


@contextmanager
def opened(place: str, plugins: Plugins, clock: Clock, password: Secret | None, *, there: bool) -> Iterator[Store]:
    """The outbox in a file or at an address. `there`: one that has to be there already. Raises ConfigError."""
    if there and "://" not in place and not Path(place).is_file():
        raise ConfigError(f"there is no database {place}")
    store = open_outbox(place, plugins, clock, password)
    try:
        yield store
    finally:
        store.close()


def copy(origin: Store, target: Store, name: str, watch: Watch = lambda *_: None) -> Copied:
    """Copy everything and prove it; a copy that was broken off goes on where it stopped.

    `name` is the origin's: what was begun from another one is not gone on with. Raises ConfigError where a daemon runs
    on either, the target is not empty, or what arrived is not what was sent.
    """
    with ExitStack() as stack:
        for store in (origin, target):
            if store.daemon_running():
                raise ConfigError("a daemon runs on one of the two: stop it first, then copy")
            stack.enter_context(store.daemon_lock())
        _begin(target, name)
        for table in TABLES:
            done = 0
            for rows in origin.pages(table, None if table in COUNTED else target.last_key(table)):
                target.put_page(table, rows)
                done += len(rows)
                watch(table, done)
        proof = {table: _same(table, origin.tally(table), target.tally(table)) for table in TABLES}
        target.state(UNDER_WAY).clear()
    return Copied(rows=proof)


def _begin(target: Store, name: str) -> None:
    state = target.state(UNDER_WAY)
    begun = state.get("from")
    if begun is None:
        if full := [table for table in TABLES if target.last_key(table) is not None]:
            raise ConfigError(f"the target is not empty (it has rows in {', '.join(full[:3])}): nothing was copied")
        state.put({"from": name})
    elif begun != name:
        raise ConfigError(f"a copy of {begun} into the target was begun and not ended: go on with that, or empty it")


def _same(table: str, sent: tuple[int, str], arrived: tuple[int, str]) -> int:
    if sent != arrived:
        raise ConfigError(
            f"{table} differs after the copy ({sent[0]:,} rows sent, {arrived[0]:,} there): the origin changed "
            "meanwhile? Empty the target and copy again; the origin is as it was"
        )
    return sent[0]
