"""`synccore export`: everything held on a person, as one document. The twin of `forget`: what it shows, that erases."""

from typing import Any

from .._app.app import App
from ..store import email_digest

__all__ = ["export"]

#: Section -> the table behind it.
_SECTIONS = {
    "records": "snapshot",
    "events": "event",
    "links": "link",
    "archived_links": "link_archive",
    "deliveries": "delivery",
    "history": "history",
    "hints": "hint",
    "unreadable": "unreadable",
    "comparisons": "sweep_seen",
    "plugin_state": "plugin_state",
    "mentions": "mentions",
    "forgotten": "tombstone",
}


def export(app: App, email: str) -> dict[str, Any]:
    """Every row of every table that is of the people with this address and of what belongs to them.

    Beside them what plugins remember of these people, the words of targets about others that name them, and when they
    were forgotten. What targets and the shop hold is not asked: it is theirs to export.
    """
    held = app.store.held(email, email_digest(email))
    sections = {name: held[table] for name, table in _SECTIONS.items()}
    return {"email": email, "exported_at": app.clock.now(), **sections}
