"""What needs a person, a sentence each with the one button that helps."""

from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import quote, urlencode

from attrs import evolve, field, frozen

from .._app.app import App
from .._verbs.changed import changed_routes
from .._verbs.check_mapping import lost_routes
from .._verbs.troubles import pressing, strangers
from ..types import Trouble

__all__ = ["Need", "needs"]


@frozen(kw_only=True)
class Need:
    """A sentence, and a button: a form where it does something (`post`), a link where it leads somewhere."""

    colour: Literal["red", "amber"]
    sentence: str
    label: str = ""
    path: str = ""
    post: bool = False
    values: Mapping[str, str] = field(factory=dict)


def needs(app: App) -> list[Need]:
    """The gravest first."""
    found = [*_store(app), *map(_need, pressing(app)), *_strangers(app), *_routes(app), *_unreadable(app)]
    return sorted(found, key=lambda need: need.colour != "red")


def _store(app: App) -> Iterator[Need]:
    if (trouble := app.store_trouble()) is not None:
        yield Need(colour="red", sentence=f"Nothing more is taken in: {trouble}")


def _strangers(app: App) -> Iterator[Need]:
    for name in strangers(app):
        sentence, path = f"{name}: never reached so far", f"connect/{quote(name)}"
        yield Need(colour="red", sentence=sentence, label=f"Connect {name}", path=path, post=True)


def _need(trouble: Trouble) -> Need:
    name, sentence = trouble.name, trouble.sentence
    page = f"plugins/{quote(name)}"
    home = {"name": name, "to": "home"}
    match trouble.kind:
        case "needs_auth":
            return Need(
                colour="red", sentence=sentence, label=f"Connect {name}", path=f"connect/{quote(name)}", post=True
            )
        case "error" if trouble.cause:  # a route that is held
            label = "Try again now"
            return Need(colour="red", sentence=sentence, label=label, path="lanes/resume", post=True, values=home)
        case "error":
            return Need(colour="red", sentence=sentence, label=f"Look at {name}", path=page)
        case "paused":
            label = f"Resume {name}"
            return Need(colour="amber", sentence=sentence, label=label, path="lanes/resume", post=True, values=home)
        case "circuit_open" | "rate_limited":
            label = "Try again now"
            return Need(colour="amber", sentence=sentence, label=label, path="lanes/resume", post=True, values=home)
        case "parked":
            path = "parked/cause?" + urlencode({"route": name, "cause": trouble.cause})
            return Need(colour="red", sentence=sentence, label="Look at them", path=path)
        case "disk":
            return Need(colour="red", sentence=f"Only {sentence}: make room before it is full")
        case "stale":
            return Need(colour="amber", sentence=sentence, label="Reload", path="reload", post=True)
        case "backlog":
            return Need(colour="amber", sentence=sentence, label="See what it waits for", path="work")
    return Need(colour="amber", sentence=sentence, label=f"Look at {name}", path=page)


def _routes(app: App) -> Iterator[Need]:
    for changed in changed_routes(app):
        need = Need(colour="amber", sentence=changed.text)
        if changed.since is not None:
            values = {"what": f"route {changed.route}", "to": "home"}
            need = evolve(need, label="Send them again", path="work/begin", post=True, values=values)
        yield need
    yield from (Need(colour="amber", sentence=text) for _, text in lost_routes(app))


def _unreadable(app: App) -> Iterator[Need]:
    for source, counts in app.store.unreadable_counts().items():
        total = sum(counts.values())
        what = f"{source}: {total:,} {'record' if total == 1 else 'records'} could not be read"
        yield Need(colour="amber", sentence=what, label="See which", path=f"plugins/{quote(source)}")
