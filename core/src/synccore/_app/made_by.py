"""What a route's mapper is: where nothing of that changed, nor of a record, there is no need to map it again."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from .. import __version__
from .._plugins import Plugins
from ..types import RouteSpec
from .units import SinkUnit

__all__ = ["NOTES", "made_by"]

#: Plugin state in which it is kept since when each route is as it is.
NOTES = "synccore:routes"
_PREVIOUS = re.compile(r"\bprevious\b")


def made_by(
    route: RouteSpec, sink: SinkUnit, plugins: Plugins, *, zone: str | None, note: Mapping[str, Any] | None
) -> str | None:
    """A digest of all that a mapping's results depend on beside the records; None where that cannot be told.

    A mapping that looks at what was last delivered, one by a plugin's mapper, and a parent that may have moved: these
    are looked at each time.
    """
    texts = [route.when, *route.fields.values()]
    if route.mapper != "jinja" or route.after or any(isinstance(t, str) and _PREVIOUS.search(t) for t in texts):
        return None
    versions = [__version__, *(f"{s.name} {s.version}" for s in plugins.statuses if s.status == "loaded")]
    since = (note or {}).get("since")
    # A set's order is another one in each process.
    spec = (evolve(route, defaulted=frozenset()), sorted(route.defaulted))
    # Filters of an instance may follow its settings; secrets show no more than that they are there.
    parts = (spec, sink.settings.config, zone, since, versions)
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:32]
