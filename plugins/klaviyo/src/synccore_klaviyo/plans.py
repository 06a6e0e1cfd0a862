"""What a plan is called in property names: once given, for life.

Segments and flows are built on `woo_plan_gold_status`. So the name belongs to the plan's id: it comes from the slug the
plan had when it was first seen, and neither a new slug nor another plan with a like one changes it.
"""

import re
import threading
from collections.abc import Mapping

from synccore.entities import Membership
from synccore.types import Context

__all__ = ["PlanNames", "by_slug"]

_PLAN = "plan:"


def by_slug(membership: Membership, source: str = "") -> str:
    """The name a plan is given: its slug, else `plan_` and its id, in [a-z0-9_]."""
    return _plain(membership.plan_slug or "") or "plan_" + _plain(membership.plan_key)


class PlanNames:
    """The names one sink has given to plans.

    Args:
        chosen: plan id -> name, from the settings: a person's choice counts more than what was given.
    """

    def __init__(self, context: Context, chosen: Mapping[str, str]) -> None:
        self._context = context
        self._state = context.state()
        self._chosen = dict(chosen)
        self._known: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def name(self, membership: Membership, source: str = "") -> str:
        """The plan's name. `source` is the shop's: two shops number their plans alike."""
        plan = membership.plan_key
        if plan in self._chosen:
            return self._chosen[plan]
        place = source, plan
        if place not in self._known:
            with self._lock:
                self._known[place] = self._state.get(_key(source, plan)) or self._give(membership, source)
        return self._known[place]

    def _give(self, membership: Membership, source: str) -> str:
        with self._context.lock("plans"):
            key = _key(source, membership.plan_key)
            if name := self._state.get(key):
                return str(name)
            taken = {name for _, name in self._state.scan(f"{_PLAN}{source}:")} | set(self._chosen.values())
            name = by_slug(membership)
            if name in taken:
                name = f"{name}_{_plain(membership.plan_key)}"
            self._state.put({key: name})
            return name


def _key(source: str, plan: str) -> str:
    return f"{_PLAN}{source}:{plan}"


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
