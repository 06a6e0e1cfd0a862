"""Reading contacts back, under the names that `deliver` takes."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from synccore.types import Link

from .flat import flat
from .index import Index
from .prints import alone
from .round import Rounds

__all__ = ["Reader"]


@frozen
class Reader:
    """Reads contacts back.

    Args:
        used: the fields the routes write.
    """

    rounds: Rounds
    used: Sequence[str]

    def read(self, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
        """The contacts as they are now, under the names and in the shape `deliver` takes."""
        with self.rounds.index() as index:
            index.sync()
            asked = [index.resolve(link.remote_id) for link in links]
            now = index.refresh(asked)
            return [self._flat(index, now[name], link) for name, link in zip(asked, links, strict=True)]

    def _flat(self, index: Index, name: str | None, link: Link) -> dict[str, Any] | None:
        if name is None:
            return None
        own = index.own(name)
        uid = link.uid
        return flat(index.person(name), link.fields, alone(own, uid) if own else (), self.used)
