"""What a person does to the outbox: try again, let go, forget. Held by the verbs of that name."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..entities import normalize_email
from ..types import Link
from ._convert import to_ms
from ._rules import people
from ._rules.held import held
from .engine import Engine

__all__ = ["People"]


class People(Engine):
    """People who use it, and people it is about."""

    def retry(self, ids: Sequence[int], now: datetime) -> int:
        """Parked -> ready, attempts reset; folded where a newer ready row exists. How many."""
        with self.writing() as tx:
            return people.retry(tx, ids, to_ms(now))

    def dismiss(self, ids: Sequence[int], now: datetime, note: str | None = None) -> int:
        """Parked -> dismissed; `note` says in the trail why. How many."""
        with self.writing() as tx:
            return people.dismiss(tx, ids, to_ms(now), note)

    def keys_by_email(self, email: str) -> list[tuple[str, str]]:
        """(source, customer key) of people with this address (normalised by the store)."""
        with self.reading() as view:
            return people.keys_by_email(view, email)

    def forgotten_at(self, *digests: str) -> datetime | None:
        """When somebody with one of these digests (`email_digest`, `key_digest`) was forgotten; None: nobody was."""
        with self.reading() as view:
            return people.forgotten_at(view, digests)

    def held(self, email: str, digest: str) -> Mapping[str, list[dict[str, Any]]]:
        """All that is held of a person: table -> rows, times as times and JSON as what it says."""
        with self.reading() as view:
            return held(view, email, digest)

    def sent_of(self, email: str) -> frozenset[str]:
        """Marks of what was sent of a person so far, for `forget`."""
        with self.reading() as view:
            return frozenset(people.sent(view, people.refs_of(view, normalize_email(email))))

    def forget(
        self,
        email: str,
        digest: str,
        now: datetime,
        *,
        known: Collection[str] | None = None,
        keys: Collection[tuple[str, str]] = (),
    ) -> list[Link]:
        """Erase a person here: snapshots, events, open deliveries, history of their keys, and their links, which are
        given back; `digest` stays as a tombstone, and `ingest` drops changes of people whose address has one.

        Raises UnderWay while one of their deliveries runs: whoever carries it out would make them anew. `known`: what
        had been sent (`sent_of`) before the targets were asked who is there; where more was sent since, they have to be
        asked again, and it is raised as well. `keys`: customers (source, key) who are the same person, whatever address
        they are known by.

        What was said of others keeps its place without the person's values. `scrub` afterwards."""
        with self.writing() as tx:
            return people.forget(tx, email, digest, to_ms(now), self.lease_clock(tx, to_ms(now)), known, keys)
