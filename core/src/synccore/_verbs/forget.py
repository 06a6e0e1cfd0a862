"""`synccore forget`: erase a person at every target that can, and here.

The targets come first, by every link and by who the person is, for a record may be there without a link. Only when
none of them failed is what is known here erased too, so that a target that failed can be tried again. Afterwards a hash
stays, and nothing of that address is taken in again. What a target cannot prove yet (a record in a job) is erased here
all the same, lest anything more be delivered, and is not called done.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from .._app.app import App
from .._delivery.writeback import route_name as write_back_route
from ..entities import ENTITIES, Customer, normalize_email
from ..errors import SynccoreError, redact
from ..store import email_digest
from ..types import Erased as Outcome
from ..types import Identity, Link
from ..values import phone

__all__ = ["Erased", "Forgotten", "forget", "identity_of", "targets_of"]


@frozen(kw_only=True)
class Erased:
    """What came of one record at one target: `outcome` and `note` in the sink's words, or the error.

    Route, entity and key are empty for a record that only the sink knew.
    """

    sink: str
    route: str
    entity: str
    key: str
    error: str | None = None
    outcome: str = "deleted"
    note: str = ""


@define
class Forgotten:
    """What came of all: `complete` once nothing is left anywhere."""

    people: int
    erased: list[Erased] = field(factory=list)
    complete: bool = False

    @property
    def failed(self) -> list[Erased]:
        """What has to be tried again."""
        return [e for e in self.erased if e.error is not None]

    @property
    def pending(self) -> list[Erased]:
        """What cannot be proven yet."""
        return [e for e in self.erased if e.error is None and e.outcome == "pending"]


def targets_of(app: App, email: str) -> list[Link]:
    """Every linked record of the people with this address, what belongs to them first."""
    links: dict[tuple[str, str, str], Link] = {}
    for source, key in app.store.keys_by_email(email):
        for entity, owned in _owned(app, source, key):
            _collect(links, app.store.links_of(source, entity, owned))
        _collect(links, app.store.links_of(source, "customer", key))
    # Write-back leaves links too, at the source itself: erasing there is the shop's own business.
    return [x for x in links.values() if x.route != write_back_route(x.source, x.entity)]


def _owned(app: App, source: str, key: str) -> Iterable[tuple[str, str]]:
    others = [entity for entity in ENTITIES if entity != "customer"]
    work = app.store.work_for("", source, "customer", [key], include=others)[0]
    return [(entity, s.key) for entity, snapshots in work.included.items() for s in snapshots]


def _collect(links: dict[tuple[str, str, str], Link], more: Iterable[Link]) -> None:
    for link in more:
        links.setdefault((link.route, link.entity, link.key), link)


def forget(app: App, email: str) -> Forgotten:
    """Erase the person at every target, then here. Running it again after a failure is safe."""
    people = len(app.store.keys_by_email(email))
    result = Forgotten(people=people)
    identity = identity_of(app, email)
    done: set[tuple[str, str]] = set()
    for link in targets_of(app, email):
        result.erased.append(_erase(app, link))
        done.add((link.route, link.remote_id))
    _erase_found(app, identity, result, {(_sink_of(app, route), remote_id) for route, remote_id in done})
    if result.failed or not (people or result.erased):
        return result
    # A delivery that ran meanwhile may have made a link more; the tombstone keeps further ones from coming.
    for link in app.store.forget(email, email_digest(email), app.clock.now()):
        fresh = (link.route, link.remote_id) not in done
        if fresh and link.route != write_back_route(link.source, link.entity):
            result.erased.append(_erase(app, link))
    result.complete = not result.failed and not result.pending
    return result


def identity_of(app: App, email: str) -> Identity:
    """What is known of the person beside the address."""
    emails: dict[str, None] = {normalize_email(email): None}
    phones: dict[str, None] = {}
    uids: dict[str, None] = {}
    for source, key in app.store.keys_by_email(email):
        uids |= {f"{source}:{entity}:{owned}": None for entity, owned in _owned(app, source, key)}
        uids[f"{source}:customer:{key}"] = None
        snapshot = app.store.snapshot(source, "customer", key)
        if snapshot is not None and isinstance(snapshot.data, Customer):
            data = snapshot.data
            for place, number in ((data.billing, data.phone), (data.billing, data.billing.phone)):
                if number:
                    phones[phone(number, place.country) or number] = None
    return Identity(emails=tuple(emails), phones=tuple(phones), uids=tuple(uids))


def _erase_found(app: App, identity: Identity, result: Forgotten, done: set[tuple[str, str]]) -> None:
    """Ask each sink that can for the person, whether linked or not."""
    for name, unit in app.sinks.items():
        find = getattr(unit.instance, "find", None)
        if find is None:
            continue
        report = Erased(sink=name, route="", entity="", key="")
        try:
            found = [link for link in find(identity) if (name, link.remote_id) not in done]
        except Exception as error:  # noqa: BLE001  one target must not keep the others from erasing
            result.erased.append(_with_error(report, _words(error)))
            continue
        result.erased += [_told(unit.instance, link, report) for link in found]


def _sink_of(app: App, route: str) -> str:
    return app.routes[route].sink if route in app.routes else ""


def _erase(app: App, link: Link) -> Erased:
    route = app.routes.get(link.route)
    report = Erased(sink=route.sink if route else "?", route=link.route, entity=link.entity, key=link.key)
    if route is None:
        return _with_error(report, "the route is not configured any more: put it back to erase there")
    unit = app.sinks[route.sink]
    if unit.instance is None:
        return _with_error(report, unit.error or "it could not be opened")
    return _told(unit.instance, link, report)


def _told(instance: Any, link: Link, report: Erased) -> Erased:
    try:
        outcome = instance.erase(link) or Outcome("deleted")
    except Exception as error:  # noqa: BLE001  one target's bug must not keep the others from erasing
        return _with_error(report, _words(error))
    return evolve(report, outcome=outcome.outcome, note=outcome.note)


def _words(error: Exception) -> str:
    return error.message if isinstance(error, SynccoreError) else redact(f"{type(error).__name__}: {error}")


def _with_error(report: Erased, error: str) -> Erased:
    return evolve(report, error=error)


def by_sink(links: Iterable[Link], app: App) -> Mapping[str, int]:
    """How many records are at which target, for the question before."""
    counts: dict[str, int] = {}
    for link in links:
        route = app.routes.get(link.route)
        name = route.sink if route else link.route
        counts[name] = counts.get(name, 0) + 1
    return counts
