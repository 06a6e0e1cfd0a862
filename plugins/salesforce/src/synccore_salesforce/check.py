"""What `synccore check` says about a connection and its routes, in the order things can be wrong."""

import re
from ast import literal_eval
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve

from synccore.errors import ConfigError, Rejected
from synccore.types import Check, Context, FieldInfo, Finding, ObjectInfo, RouteSpec

from .account import Connection
from .client import Client
from .config import Config
from .errors import Refused
from .mapping.defaults import ITEMS, KEY_FIELD, LAST_NAME_FALLBACK, NAME_FALLBACK, default_fields, is_default_match
from .mapping.values import convert
from .schema import PERSON_ACCOUNT, Catalog, Field, Schema

__all__ = ["Checker"]

#: Keys hold `source:entity:key`; a guest's key alone has 38 characters.
_KEY_LENGTH = 80
_CHOICES = {
    "on_delete": ("keep", "delete", "flag"),
    "invalid_email": ("hold", "drop"),
    "existing": ("keep", "overwrite"),
}
_PSEUDO = {
    NAME_FALLBACK: FieldInfo(
        name=NAME_FALLBACK, help="stands in for an account's Name where the customer has no company; never shared"
    ),
    ITEMS: FieldInfo(name=ITEMS, type="items", help='the order\'s lines: [{"sku", "name", "quantity", "price"}]'),
    LAST_NAME_FALLBACK: FieldInfo(
        name=LAST_NAME_FALLBACK, help="stands in for LastName, which Salesforce requires, where there is none"
    ),
}
_REQUIRED = {
    "Contact": ("LastName",),
    "Lead": ("LastName", "Company"),
    PERSON_ACCOUNT: ("LastName",),
    "Account": ("Name",),
}
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
#: Of each pair an org has use for one, depending on its state and country picklists.
_PAIRED = ("StateCode", "CountryCode")


class Checker:
    """Looks at one connection."""

    def __init__(
        self, config: Config, context: Context, connection: Connection, client: Client, catalog: Catalog
    ) -> None:
        self._config = config
        self._context = context
        self._connection = connection
        self._client = client
        self._catalog = catalog

    def check(self) -> Check:
        """Raises AuthError, ConfigError and Transient where the connection itself does not work."""
        self._version()
        try:
            self._client.limits()
        except Refused as error:
            raise ConfigError(f"the API answers but does not let us in: {error.message}") from error
        account, org = self._connection.look()
        self._catalog.forget()
        findings = [*self._environment(org), *self._usage()]
        for route in self._context.routes:
            findings += route_findings(route, self._catalog)
        governor = self._client.governor
        detail = f"API v{self._config.api_version}, {governor.used} of {governor.limit} calls used in 24 hours"
        return Check(account=account, detail=detail, findings=tuple(findings))

    def describe(self) -> list[ObjectInfo]:
        """The objects of the routes, with what the sink takes beyond their own fields."""
        return _described(self._catalog, self._context.routes)

    def describe_object(self, name: str) -> ObjectInfo:
        """Any object of the org. Raises ConfigError where the connected user sees none of that name."""
        return _described_object(self._catalog, self._context.routes, name)

    def _version(self) -> None:
        served = [str(v.get("version")) for v in self._client.versions()]
        if served and self._config.api_version not in served:
            raise ConfigError(
                f"this org does not serve API version {self._config.api_version}; its newest is {served[-1]}",
                path="api_version",
            )

    def _environment(self, org: Mapping[str, Any]) -> Iterator[Finding]:
        wanted = self._config.is_sandbox
        if wanted is not None and org and bool(org.get("IsSandbox")) != wanted:
            found = "a sandbox" if org.get("IsSandbox") else "a production org"
            yield Finding(level="warning", path="environment", message=f"environment says otherwise: this is {found}")

    def _usage(self) -> Iterator[Finding]:
        governor = self._client.governor
        if governor.ratio >= governor.soft:
            yield Finding(
                level="warning",
                path="api_share",
                message=f"{governor.used} of {governor.limit} API calls of the last 24 hours are used: backfills wait",
            )


# -- routes


def route_findings(route: RouteSpec, catalog: Catalog) -> Iterator[Finding]:
    """Everything about one route that this org will not like."""
    path = f"routes.{route.name}"
    schema = catalog.find(route.object)
    if schema is None:
        hint = " Orders are switched on under Setup, Order Settings." if route.object == "Order" else ""
        yield Finding(
            level="error",
            path=f"{path}.object",
            message=f"the connected user sees no object {route.object}: see its API name and permission set.{hint}",
        )
        return
    if not schema.createable:
        yield Finding(
            level="error", path=f"{path}.object", message=f"the connected user may not create {schema.name} records"
        )
    yield from _matching(route, schema, path)
    yield from _fields(route, schema, catalog, path)
    yield from _settings(route, schema, path)
    yield from _names(route, schema, path)
    if route.object == PERSON_ACCOUNT:
        yield from _person_account(route, schema, catalog, path)
    if route.entity == "order" and route.after is None:
        yield Finding(
            level="warning",
            path=f"{path}.after",
            message="orders are linked to their customers by the route named here: set after to the customers' route",
        )
    contact = schema.get("ContactId")
    if route.entity == "order" and route.after is not None and contact is not None and not contact.updateable:
        yield Finding(
            level="info",
            path=f"{path}.after",
            message=f"Salesforce fixes {schema.name}.ContactId when the record is made: an order that the shop gives "
            "to another customer later keeps its first contact there, and the trail says so",
        )


def _matching(route: RouteSpec, schema: Schema, path: str) -> Iterator[Finding]:
    usable = 0
    for name in route.match:
        target = schema.get(name)
        if target is None:
            default = is_default_match(route) and name == KEY_FIELD
            yield Finding(
                level="warning" if default else "error",
                path=f"{path}.match",
                message=f"{schema.name} has no field {name}: make a text field of {_KEY_LENGTH} characters or more, "
                "External ID and Unique, and let the connected user edit it",
            )
            continue
        usable += 1
        if target.external_id:
            if not target.unique:
                yield Finding(
                    level="warning",
                    path=f"{path}.match",
                    message=f"{name} is an External ID but not Unique: two records can end up with one key, "
                    "and upserts need the permission View All Data",
                )
            mapped = any(n.lower() == name.lower() for n in route.fields)
            if 0 < target.length < _KEY_LENGTH and not mapped:
                yield Finding(
                    level="warning",
                    path=f"{path}.match",
                    message=f"{name} takes {target.length} characters; keys of guests need up to {_KEY_LENGTH}",
                )
        elif not any(n.lower() == name.lower() for n in route.fields):
            yield Finding(
                level="error",
                path=f"{path}.match",
                message=f"{name} is no External ID and is not mapped: map it to match by it",
            )
    if not usable:
        yield Finding(
            level="warning",
            path=f"{path}.match",
            message="nothing to match by: existing records are not found, and a lost answer may leave a double",
        )


def _fields(route: RouteSpec, schema: Schema, catalog: Catalog, path: str) -> Iterator[Finding]:
    defaults = default_fields(route)
    absent = []
    for name in route.fields:
        if name in _PSEUDO:
            continue
        if "." in name:
            yield from _reference(name, schema, catalog, f"{path}.fields.{name}")
            continue
        if target := schema.get(name):
            yield from _constant(target, route.fields[name], catalog, f"{path}.fields.{name}")
        elif name in defaults:
            absent.append(name)
    if absent := [n for n in absent if not n.endswith(_PAIRED)]:
        yield Finding(
            level="warning",
            path=f"{path}.fields",
            message=f"left out, because the org has no such fields or hides them: {', '.join(absent)}",
        )


def _constant(target: Field, value: Any, catalog: Catalog, path: str) -> Iterator[Finding]:
    """What a field always gets must be of its type; texts and their picklists are compared for every sink alike."""
    try:
        # A text in quotes is an expression that always gives that text.
        constant = literal_eval(value.strip()) if isinstance(value, str) else value
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return
    if constant in (None, ""):
        return
    try:
        converted = convert(target, constant)
    except Rejected as error:
        yield Finding(level="error", path=path, message=error.message)
        return
    if target.type == "reference" and not _ID.fullmatch(converted):
        yield Finding(
            level="error",
            path=path,
            message=f"{target.name} takes a record id of 15 or 18 characters; "
            f'by external id it is written as "{target.relationship}.KEY_FIELD"',
        )
    elif target.type == "reference" and not catalog.exists(target.refers_to, converted):
        yield Finding(
            level="error",
            path=path,
            message=f"there is no {' or '.join(target.refers_to)} {converted} that the connected user may see",
        )
    if target.type == "multipicklist" and target.restricted:
        known = {v.lower() for v in target.picklist}
        if unknown := [v for v in converted.split(";") if v.lower() not in known]:
            yield Finding(
                level="error", path=path, message=f"{', '.join(unknown)}: not among the values of {target.name}"
            )


def _reference(name: str, schema: Schema, catalog: Catalog, path: str) -> Iterator[Finding]:
    relation, _, key = name.partition(".")
    lookup = schema.relation(relation)
    if lookup is None:
        yield Finding(level="error", path=path, message=f"{schema.name} has no relationship {relation}")
        return
    for target_name in lookup.refers_to:
        target = catalog.find(target_name)
        found = target.get(key) if target else None
        if found is not None and (found.external_id or found.id_lookup):
            return
    yield Finding(
        level="error",
        path=path,
        message=f"{' or '.join(lookup.refers_to)} has no external id field {key} to refer to",
    )


def _settings(route: RouteSpec, schema: Schema, path: str) -> Iterator[Finding]:
    for name, choices in _CHOICES.items():
        value = route.settings.get(name)
        if value is not None and value not in choices:
            yield Finding(level="error", path=f"{path}.{name}", message=f"{name} is one of {', '.join(choices)}")
    flag = str(route.settings.get("deleted_field") or "")
    if route.settings.get("on_delete") == "flag" and (not flag or schema.get(flag) is None):
        yield Finding(
            level="error",
            path=f"{path}.deleted_field",
            message='on_delete = "flag" needs a checkbox of the object here',
        )
    parent = str(route.settings.get("parent_field") or "")
    if parent and schema.get(parent) is None:
        yield Finding(level="error", path=f"{path}.parent_field", message=f"{schema.name} has no field {parent}")


def _names(route: RouteSpec, schema: Schema, path: str) -> Iterator[Finding]:
    """What Salesforce requires of every record, and may hide from the connected user all the same."""
    for name in _REQUIRED.get(route.object, ()):
        target = schema.get(name)
        if target is None or not target.createable:
            yield Finding(
                level="error",
                path=f"{path}.fields.{name}",
                message=f"{schema.name}.{name} is required, and the connected user may not write it: "
                "see field-level security and the permission set",
            )


def _person_account(route: RouteSpec, schema: Schema, catalog: Catalog, path: str) -> Iterator[Finding]:
    if not schema.has_person_accounts:
        yield Finding(
            level="error", path=f"{path}.object", message="person accounts are not switched on in this org: use Contact"
        )
        return
    yield from _record_type(route, catalog, path)
    if "Name" in route.fields:
        yield Finding(
            level="error",
            path=f"{path}.fields.Name",
            message="a person account has FirstName and LastName; Name is refused",
        )


def _record_type(route: RouteSpec, catalog: Catalog, path: str) -> Iterator[Finding]:
    wanted = str(route.settings.get("record_type") or "")
    if catalog.person_record_type(wanted) is not None or "RecordTypeId" in route.fields:
        return
    known = ", ".join(name for _, name in catalog.person_record_types()) or "none"
    if wanted:
        text = f"there is no record type {wanted!r} for person accounts; there are: {known}"
    elif known == "none":
        text = "there is no record type for person accounts that the connected user may see"
    else:
        text = f"person accounts have several record types ({known}): name one"
    yield Finding(level="error", path=f"{path}.record_type", message=text)


# -- describe


def _described(catalog: Catalog, routes: Iterable[RouteSpec]) -> list[ObjectInfo]:
    """The routes' objects; each also lists what the sink takes beyond the object's own fields."""
    by_object: dict[str, list[RouteSpec]] = {}
    for route in routes:
        by_object.setdefault(route.object, []).append(route)
    found = []
    for name, mine in by_object.items():
        if schema := catalog.find(name):
            extra = {info.name: info for route in mine for info in _extra(route, schema)}
            info = schema.describe_as(name, extra.values())
            found.append(evolve(info, fields=tuple(_eased(f, schema, mine) for f in info.fields)))
    return found


def _described_object(catalog: Catalog, routes: Iterable[RouteSpec], name: str) -> ObjectInfo:
    """Any object of the org; one of a route with what the sink takes beyond its fields. Raises ConfigError."""
    mine = [r for r in routes if r.object.lower() == name.lower()]
    if found := _described(catalog, mine):
        return found[0]
    schema = catalog.second_look(name)
    if schema is None:
        raise ConfigError(f"the connected user sees no object {name}: see its API name and permission set")
    return schema.describe_as(schema.name)


def _extra(route: RouteSpec, schema: Schema) -> Iterator[FieldInfo]:
    defaults = default_fields(route)
    for name in route.fields:
        if name in _PSEUDO:
            yield _PSEUDO[name]
        elif "." in name and schema.relation(name.partition(".")[0]):
            yield FieldInfo(name=name, type="reference", help="the parent's external id")
        elif name in defaults and schema.get(name) is None:
            text = "not in this org: left out of what is written"
            yield FieldInfo(name=name, unique=name == KEY_FIELD, help=text)


def _eased(info: FieldInfo, schema: Schema, routes: Sequence[RouteSpec]) -> FieldInfo:
    """What the sink or the platform fills is required of nobody."""
    target = schema.get(info.name)
    if not info.required or target is None:
        return info
    by_parent = bool(target.refers_to) and all(r.after or _refers(r, target) for r in routes)
    by_platform = info.name == "Name" and all(r.object == PERSON_ACCOUNT for r in routes)
    return evolve(info, required=False) if by_parent or by_platform else info


def _refers(route: RouteSpec, target: Field) -> bool:
    return any(n.partition(".")[0] == target.relationship for n in route.fields if "." in n)
