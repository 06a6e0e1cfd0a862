"""`synccore forget`: erase a person at every target that can, and here.

The targets come first. Only when all of them have erased the person is what is known here erased too, so that a
target that failed can be tried again. Afterwards a hash stays, and nothing of that address is taken in again.
"""

from collections.abc import Iterable, Mapping

from attrs import define, field, frozen

from .._app.app import App
from .._delivery.writeback import route_name as write_back_route
from ..entities import ENTITIES
from ..errors import SynccoreError, redact
from ..store import email_digest
from ..types import Link

__all__ = ["Erased", "Forgotten", "forget", "targets_of"]


@frozen(kw_only=True)
class Erased:
    """What came of one record at one target."""

    sink: str
    route: str
    entity: str
    key: str
    error: str | None = None


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
    if not people:
        return result
    done: set[tuple[str, str]] = set()
    for link in targets_of(app, email):
        result.erased.append(_erase(app, link))
        done.add((link.route, link.remote_id))
    if result.failed:
        return result
    # A delivery that ran meanwhile may have made a link more; the tombstone keeps further ones from coming.
    for link in app.store.forget(email, email_digest(email), app.clock.now()):
        fresh = (link.route, link.remote_id) not in done
        if fresh and link.route != write_back_route(link.source, link.entity):
            result.erased.append(_erase(app, link))
    result.complete = not result.failed
    return result


def _erase(app: App, link: Link) -> Erased:
    route = app.routes.get(link.route)
    report = Erased(sink=route.sink if route else "?", route=link.route, entity=link.entity, key=link.key)
    if route is None:
        return _with_error(report, "the route is not configured any more: put it back to erase there")
    unit = app.sinks[route.sink]
    if unit.instance is None:
        return _with_error(report, unit.error or "it could not be opened")
    try:
        unit.instance.erase(link)
    except SynccoreError as error:
        return _with_error(report, error.message)
    except Exception as error:  # noqa: BLE001  one target's bug must not keep the others from erasing
        return _with_error(report, redact(f"{type(error).__name__}: {error}"))
    return report


def _with_error(report: Erased, error: str) -> Erased:
    return Erased(sink=report.sink, route=report.route, entity=report.entity, key=report.key, error=error)


def by_sink(links: Iterable[Link], app: App) -> Mapping[str, int]:
    """How many records are at which target, for the question before."""
    counts: dict[str, int] = {}
    for link in links:
        route = app.routes.get(link.route)
        name = route.sink if route else link.route
        counts[name] = counts.get(name, 0) + 1
    return counts
