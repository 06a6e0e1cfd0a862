"""`synccore export`: everything held on a person, as one document. The twin of `forget`: what it shows, that erases."""

import json
from datetime import datetime
from typing import Any

from attrs import asdict

from .._app.app import App
from ..store import Delivery, HistoryEntry
from ..store.codec import dump_entity
from ..types import Link, Snapshot
from .why import records_of

__all__ = ["export"]


def export(app: App, email: str) -> dict[str, Any]:
    """Records, facts, links with the fields last delivered, deliveries and the trail of the people with this address.

    What targets and the shop hold is not asked: it is theirs to export.
    """
    people = app.store.keys_by_email(email)
    records = records_of(app, email)
    keys = [(r.source, r.entity, r.key) for r in records]
    return {
        "email": email,
        "exported_at": app.clock.now(),
        "records": [_record(r) for r in records],
        "events": [_record(e) for source, key in people for e in app.store.facts_of(source, "customer", key)],
        "links": [_link(x) for key in keys for x in app.store.links_of(*key)],
        "deliveries": [_delivery(d) for key in keys for d in _deliveries(app, key)],
        "history": [_line(h) for h in app.store.history(keys=people, limit=None)] if people else [],
    }


def _deliveries(app: App, key: tuple[str, str, str]) -> list[Delivery]:
    return [d for d in app.store.deliveries(key=key[2], limit=None) if (d.source, d.entity, d.key) == key]


def _record(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "source": snapshot.source,
        "entity": snapshot.entity,
        "key": snapshot.key,
        "owner": str(snapshot.owner) if snapshot.owner else None,
        "deleted": snapshot.deleted,
        "changed_at": snapshot.changed_at,
        "data": json.loads(dump_entity(snapshot.data)),
    }


def _link(link: Link) -> dict[str, Any]:
    named = ("source", "entity", "key", "route", "object", "remote_id", "fields", "left_out", "made", "delivered_at")
    return {name: getattr(link, name) for name in named}


def _delivery(delivery: Delivery) -> dict[str, Any]:
    named = ("id", "route", "sink", "entity", "key", "op", "state", "attempts", "error_kind", "error", "created_at")
    return {name: getattr(delivery, name) for name in named}


def _line(line: HistoryEntry) -> dict[str, Any]:
    return {k: v for k, v in asdict(line, recurse=False).items() if v is not None and not isinstance(v, datetime)} | {
        "at": line.at
    }
