"""The one button that helps where something needs a person."""

from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote, urlencode

from attrs import field, frozen

from ..._verbs.needs import Need

__all__ = ["Card", "card"]


@frozen(kw_only=True)
class Card:
    """A need, and a button: a form where it does something (`post`), a link where it leads somewhere."""

    need: Need
    label: str = ""
    path: str = ""
    post: bool = False
    values: Mapping[str, str] = field(factory=dict)

    @property
    def colour(self) -> Literal["red", "amber"]:
        """Red where something waits for a person."""
        return "red" if self.need.grave else "amber"


def card(need: Need) -> Card:
    """With its button, where one helps."""
    name = need.name
    match need.kind:
        case "changed" if need.next:
            values = {"what": f"route {name}", "to": "home"}
            return Card(need=need, label="Send them again", path="work/begin", post=True, values=values)
        case "changed" | "store" | "disk" | "lost":
            return Card(need=need)
        case "needs_auth":
            return Card(need=need, label=f"Connect {name}", path=f"connect/{quote(name)}", post=True)
        case "error" if need.cause:  # a route that is held
            return _going_on(need, "Try again now")
        case "paused":
            return _going_on(need, f"Resume {name}")
        case "circuit_open" | "rate_limited":
            return _going_on(need, "Try again now")
        case "parked":
            path = "parked/cause?" + urlencode({"route": name, "cause": need.cause})
            return Card(need=need, label="Look at them", path=path)
        case "stale":
            return Card(need=need, label="Reload", path="reload", post=True)
        case "backlog":
            return Card(need=need, label="See what it waits for", path="work")
        case "unreadable":
            return Card(need=need, label="See which", path=f"plugins/{quote(name)}")
    return Card(need=need, label=f"Look at {name}", path=f"plugins/{quote(name)}")


def _going_on(need: Need, label: str) -> Card:
    return Card(need=need, label=label, path="lanes/resume", post=True, values={"name": need.name, "to": "home"})
