"""What hangs on another record (`after`), beside what it hangs on at the target: a reference that somebody there
emptied, or let point at another record."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from ..._app.app import App
from ..._app.records import read_back, reader
from ..._plain import Plain
from ...store import LinkUpdate, Work
from ...types import Hanging, Link, RouteSpec, Successor

__all__ = ["Elsewhere", "elsewhere", "hung_back", "silent"]

#: A record as it was delivered, and what was read of it.
Pair = tuple[Link, Mapping[str, Any] | None]


@frozen(kw_only=True)
class Elsewhere(Plain):
    """Where a record hangs at the target that hangs on another one here.

    Attributes:
        reference: what the target calls what says so.
        there: the remote id of the record that it hangs on there; empty: on none.
        due: the remote id of the one that it should hang on.
        gone: the one that it should hang on is not there any more: once that is, this follows.
    """

    reference: str
    there: str
    due: str
    gone: bool = False


def elsewhere(app: App, route: RouteSpec, pairs: Sequence[Pair], works: Sequence[Work]) -> dict[str, Elsewhere]:
    """Of records that were read, key -> where it hangs, for those that hang elsewhere than they were delivered.

    Raises what the sink raises where it is asked for the parents of such ones.
    """
    found, parents = {}, {}
    for (link, remote), work in zip(pairs, works, strict=True):
        parent = work.parent
        if not isinstance(remote, Hanging) or remote.parent_id is None or parent is None or link.parent_id is None:
            continue  # nothing is said of it, or it has nothing to hang on
        if remote.parent_id in (link.parent_id, parent.remote_id) or _is_a_mates(app, link, remote.parent_id):
            continue
        parents[link.key] = parent
        found[link.key] = Elsewhere(reference=remote.reference, there=remote.parent_id, due=parent.remote_id)
    if found:
        # What was merged takes along what hung on it, before we hear of it: that hangs where it should.
        seen = _parents(app, app.route(str(route.after)), parents.values())
        found = {key: _beside(odd, *seen.get(odd.due, (False, ""))) for key, odd in found.items()}
    return {key: odd for key, odd in found.items() if odd.there != odd.due}


def _is_a_mates(app: App, link: Link, parent_id: str) -> bool:
    """Whether it hangs on the parent of another one that is the same record there."""
    if link.shared <= 1 or not parent_id:
        return False
    return any(x.sink == link.sink and x.parent_id == parent_id for x in app.store.links_to(link.remote_id, 20))


def _parents(app: App, route: RouteSpec, parents: Iterable[Link]) -> dict[str, tuple[bool, str]]:
    """Remote id -> whether the record is gone, and the id of the one that took its place."""
    if reader(app, route) is None:
        return {}
    links = list({parent.remote_id: parent for parent in parents}.values())
    return {
        link.remote_id: (remote is None, remote.remote_id if isinstance(remote, Successor) else "")
        for link, remote in read_back(app, route, links)
    }


def _beside(odd: Elsewhere, gone: bool, successor: str) -> Elsewhere:
    return evolve(odd, gone=gone, due=successor or odd.due)


def silent(pairs: Sequence[Pair]) -> bool:
    """Whether the target says of none of these what it hangs on, where they were delivered under something."""
    told = [remote for link, remote in pairs if link.parent_id is not None and remote is not None]
    return bool(told) and not any(isinstance(x, Successor) or getattr(x, "parent_id", None) is not None for x in told)


def hung_back(update: LinkUpdate, odd: Elsewhere) -> LinkUpdate:
    """What is known of a record, and that it hangs there: it is then sent again, under its own parent."""
    return evolve(update, parent_id=odd.there)
