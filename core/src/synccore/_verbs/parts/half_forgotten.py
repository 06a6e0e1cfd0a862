"""Whose records were erased by a `forget` that another target kept from its end.

Between two runs an address may turn out to have been somebody else's: it went from one account to another, and that was
not heard yet. Whoever is left in the shop when the forgetting ends, with another address, gets back what was erased.
"""

from collections.abc import Iterable
from typing import Literal

from attrs import evolve, frozen

from ..._app.app import App
from ..._plain import Plain
from ...store import DirtyRule, LinkUpdate, Store
from ...types import Link, State

__all__ = ["ErasedTwin", "give_back", "note_erased"]

#: Of the core's own state: digest of the address -> the records that were erased, all by their keys.
_ERASED = "synccore:erased"

#: What became of a twin; "unheard": no answer came.
_Left = Literal["gone", "emptied", "unheard"]


@frozen
class ErasedTwin(Plain):
    """A link whose twin a target was asked to erase, and what is left of that."""

    link: Link
    left: _Left


def note_erased(store: Store, digest: str, erased: Iterable[ErasedTwin]) -> None:
    """Remember them until all targets are done."""
    state = _state(store)
    known = {tuple(one[:5]): one for one in state.get(digest) or ()}
    for one in erased:
        place = (one.link.route, one.link.source, one.link.entity, one.link.key, one.link.remote_id)
        known[place] = [*place, one.left]
    if known:
        state.put({digest: list(known.values())})


def give_back(app: App, digest: str) -> None:
    """All of it is done: owe again what was erased of those who are known still, for they were not meant.

    Nobody who is known no more is remembered, whoever's forgetting it was.
    """
    state = _state(app.store)
    for other, noted in list(state.scan()):
        known = [one for one in noted if app.store.snapshot(*one[1:4]) is not None]
        for route, source, entity, key, remote_id, left in known if other == digest else ():
            _owe(app, Link(object="", remote_id=remote_id, route=route, source=source, entity=entity, key=key), left)
        state.put({other: known if known and other != digest else None})


def _owe(app: App, erased: Link, left: _Left) -> None:
    known = app.store.snapshot(erased.source, erased.entity, erased.key)
    if known is None or known.deleted or erased.route not in app.routes:
        return
    route, now = app.routes[erased.route], app.clock.now()
    link = app.store.link(erased.route, erased.source, erased.entity, erased.key)
    if link is not None and link.remote_id != erased.remote_id:
        return  # it has another twin by now
    gone = link is None or left == "gone" or (left == "unheard" and _is_gone(app, route.sink, link))
    update = LinkUpdate(object=link.object if link else "", remote_id=erased.remote_id, sink=route.sink, fields={})
    rule = DirtyRule(route=route.name, sink=route.sink, entity=erased.entity)
    app.store.repair(rule, erased.source, {erased.key: evolve(update, remove=gone)}, now)
    parked = app.store.deliveries(route=route.name, key=erased.key, state="parked")
    app.store.retry([row.id for row in parked if row.source == erased.source], now)


def _is_gone(app: App, sink: str, link: Link) -> bool:
    """Whether the target says that it is not there. One that cannot be asked is told all of it, and answers then."""
    read = getattr(app.sinks[sink].instance, "read", None)
    try:
        return read is not None and [*read([link])] == [None]
    except Exception:  # noqa: BLE001  what one target says keeps nobody from being forgotten
        return False


def _state(store: Store) -> State:
    return store.state(_ERASED)
