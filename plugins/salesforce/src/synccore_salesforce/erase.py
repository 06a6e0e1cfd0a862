"""Finds a person's records in the org whether they are linked or not: by key, and by e-mail address."""

from collections.abc import Sequence
from typing import Any

from synccore.errors import Transient
from synccore.types import Context, Erased, Identity, Link, RouteSpec, Uid

from .client import Client
from .jobs import Jobs
from .mapping.defaults import KEY_FIELD
from .match import fold
from .route import Routes
from .schema import Catalog, Schema, api_name

__all__ = ["Eraser"]

_ADDRESSES = ("Email", "PersonEmail")


class Eraser:
    """Finds and takes away one person."""

    def __init__(self, context: Context, client: Client, catalog: Catalog, jobs: Jobs, routes: Routes) -> None:
        self._context = context
        self._client = client
        self._catalog = catalog
        self._jobs = jobs
        self._routes = routes

    def find(self, identity: Identity) -> Sequence[Link]:
        """The person's records on the routes' objects, by key and by address.

        Raises Transient while a job may still make one: nobody who is inside a job is gone.
        """
        if job := self._jobs.holding([r.name for r in self._context.routes], identity.uids):
            raise Transient(f"import job {job} may still write them: run forget again once it has ended", outage=False)
        return _find(self._client, self._catalog, self._context.routes, identity)

    def erase(self, link: Link) -> Erased:
        """Delete the record (it goes to the org's Recycle Bin, which Salesforce empties after 15 days).

        What others use or made is let go of; what Salesforce keeps for its orders is made nameless.
        """
        return self._routes.of_link(link).erase(link)


def _find(client: Client, catalog: Catalog, routes: Sequence[RouteSpec], identity: Identity) -> list[Link]:
    """The records on the routes' objects, and the accounts that orders made.

    A record found by its key was made (or stamped) by this sync; one found by its address alone was not, as far as we
    know: it says whose key it bears.
    """
    found: dict[str, Link] = {}
    names = dict.fromkeys(api_name(r.object) for r in routes)
    if "Order" in names:
        # `make_accounts` gives contacts accounts under their key.
        names |= {"Account": None, "Contact": None}
    for name in names:
        schema = catalog.find(name)
        if schema is None:
            continue
        route = next((r for r in routes if api_name(r.object) == name), None)
        # A converted lead is known by its contact's link (`made`).
        where = "IsConverted = false" if schema.get("IsConverted") else ""
        keys = _keys(schema, routes)
        for column in keys:
            for record in client.select(["Id", *keys], name, column, identity.uids, where=where):
                found[str(record["Id"])] = _link(name, record, route, record[column], adopted=False)
        for column in _ADDRESSES:
            target = schema.get(column)
            if target is None or not identity.emails:
                continue
            wanted = {fold(e) for e in identity.emails}
            for record in client.select(["Id", target.name, *keys], name, target.name, identity.emails, where=where):
                if fold(record[target.name]) in wanted:
                    key = next((record[k] for k in keys if record.get(k)), None)
                    found.setdefault(str(record["Id"]), _link(name, record, route, key, adopted=True))
    return list(found.values())


def _keys(schema: Schema, routes: Sequence[RouteSpec]) -> list[str]:
    names = {KEY_FIELD, *(m for r in routes if api_name(r.object) == schema.name for m in r.match)}
    return [t.name for n in sorted(names) if (t := schema.get(n)) is not None and t.external_id]


def _link(name: str, record: dict[str, Any], route: RouteSpec | None, uid: Any, *, adopted: bool) -> Link:
    who = Uid.parse(uid)
    return Link(
        source=who.source,
        entity=who.entity,
        key=who.key,
        object=route.object if route else name,
        remote_id=str(record["Id"]),
        route=route.name if route else "",
        adopted=adopted,
    )
