"""What needs a person, the gravest first: what `status` and the first page say, exit code and colour included."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from .._app.app import App
from .._plain import Plain
from .._settings.conditions import DEFAULT, parse_condition
from .parts.changed import Changed
from .parts.check_mapping import lost_routes
from .parts.waits import remedy
from .troubles import troubles

__all__ = ["Need", "needs"]

#: What waits for a person is pressing at once, also where an alert leaves it a while.
_PRESSING = tuple(parse_condition(text) for text in (*DEFAULT, "paused", "stale", "rate_limited > 1h"))
#: Something stands still, or waits, until a person acts.
_GRAVE = ("store", "needs_auth", "error", "parked", "disk")
#: A full disk, another file than the daemon's, routes that changed or are gone, records nobody could read.
_NOTED = ("store", "disk", "stale", "changed", "lost", "unreadable")
#: States of an instance in which it works on nothing until a person acts.
_STOPPED = ("needs_auth", "error")


@frozen(kw_only=True)
class Need(Plain):
    """Something that is worth a person's time now.

    Attributes:
        kind: that of a trouble, or store, changed, lost, unreadable.
        name: an instance, a route, or what else it concerns.
        cause: the trouble's.
        next: what to run, where one command helps.
    """

    kind: str
    name: str
    sentence: str
    cause: str = ""
    next: str | None = None

    @property
    def grave(self) -> bool:
        """Whether something stands still, or waits, until a person acts."""
        return self.kind in _GRAVE

    @property
    def noted(self) -> bool:
        """Whether it is a note on the whole, beside what states and counts tell."""
        return self.kind in _NOTED


def needs(app: App, status: Mapping[str, Any], changed: Sequence[Changed]) -> tuple[Need, ...]:
    """All of it; `status` is the document of that verb, `changed` the routes that are not what they were."""
    found = [*_store(app), *_pressing(app)]
    known = {need.name for need in found if need.grave}
    found += [*_stopped(status, known), *_routes(app, changed), *_unreadable(app)]
    return tuple(sorted(found, key=lambda need: not need.grave))


def _store(app: App) -> Iterator[Need]:
    if (trouble := app.store_trouble()) is not None:
        yield Need(kind="store", name="database", sentence=f"nothing more is taken in: {trouble}")


def _pressing(app: App) -> Iterator[Need]:
    for t in troubles(app):
        if any(condition.fits(t) for condition in _PRESSING):
            sentence = f"only {t.sentence}: make room before it is full" if t.kind == "disk" else t.sentence
            yield Need(kind=t.kind, name=t.name, sentence=sentence, cause=t.cause, next=t.next)


def _stopped(status: Mapping[str, Any], known: set[str]) -> Iterator[Need]:
    """Instances that are no trouble yet which an alert would tell, those nobody ever reached above all."""
    for name, facts in {**status["sources"], **status["sinks"]}.items():
        state = facts["state"]
        if state in _STOPPED and name not in known:
            yield Need(kind=state, name=name, sentence=f"{name}: {facts['reason']}", next=remedy(state, name))


def _routes(app: App, changed: Sequence[Changed]) -> Iterator[Need]:
    for route in changed:
        command = route.command if route.since is not None else None
        yield Need(kind="changed", name=route.route, sentence=route.text, next=command)
    yield from (Need(kind="lost", name=name, sentence=text) for name, text in lost_routes(app))


def _unreadable(app: App) -> Iterator[Need]:
    """Records that a source could not make sense of, with the place of one of them."""
    for source, counts in app.store.unreadable_counts().items():
        for entity, count in counts.items():
            told = f"{source}: {count:,} x {entity} could not be read"
            one = next((r for r in app.store.unreadable(source) if r.entity == entity), None)
            times = f" ({one.times:,} times)" if one and one.times > 1 else ""
            sentence = f"{told}, for instance {one.place}: {one.reason}{times}" if one else told
            yield Need(kind="unreadable", name=source, sentence=sentence)
