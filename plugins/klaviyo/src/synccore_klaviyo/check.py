"""What `synccore check` asks Klaviyo."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from attrs import frozen

from synccore.errors import AuthError
from synccore.types import Account, Check, Context, Finding, ObjectInfo, RouteSpec

from .account import Connection
from .client import (
    BULK_IMPORT,
    ERASE,
    EVENT,
    LIST,
    LISTS,
    PROFILE_IMPORT,
    PROFILES,
    SUPPRESS,
    Client,
    Endpoint,
)
from .client import (
    METRICS as METRICS_ENDPOINT,
)
from .config import REVISION, Config
from .errors import ApiError, MissingScope
from .events import METRICS
from .mapping.defaults import describe

__all__ = ["Checker"]

#: Metrics of one account; the 201st is dropped.
METRICS_LIMIT = 200
METRICS_WARNING = 180
#: The first revision with `backfill` on events.
OLDEST_REVISION = "2026-04-15"
#: A body that no endpoint that writes can take.
_NOTHING: Mapping[str, Any] = {"data": {"type": "nothing"}}
#: Small quotas allow one probe in two seconds.
PROBE_WAIT = timedelta(seconds=10)
#: Scope -> the endpoint that shows it, and what is missed without it; those a later one needs too come first.
_SCOPES: Mapping[str, tuple[Endpoint, str]] = {
    "profiles:read": (PROFILES, "profiles cannot be found or read back"),
    "lists:read": (LISTS, "import jobs cannot be watched"),
    "profiles:write": (PROFILE_IMPORT, "no profile can be written"),
    "lists:write": (BULK_IMPORT, "no import job can be made, and consent cannot be told"),
    "subscriptions:write": (SUPPRESS, "opt-ins and opt-outs cannot be told"),
    "events:write": (EVENT, "no event can be sent"),
    "data-privacy:write": (ERASE, "`synccore forget` cannot erase anybody"),
}
#: How long Klaviyo serves a revision.
SERVED = timedelta(days=730)


@frozen
class Checker:
    """Looks at one key and what it may do."""

    config: Config
    context: Context
    connection: Connection
    client: Client

    def check(self) -> Check:
        """Reach the account and find what is missing. Raises AuthError for a key that Klaviyo does not know."""
        client, config = self.client, self.config
        path, routes, today = f"sinks.{self.context.name}", self.context.routes, self.context.clock.now()
        findings: list[Finding] = []
        whose = self._account(path, findings)
        _revision(config, path, today.date(), findings)
        _scopes(client, path, routes, findings)
        _metrics(client, config, path, routes, findings)
        _list(client, config, path, findings)
        where = whose.label if whose else "key accepted; the account is not named without accounts:read"
        return Check(
            account=whose,
            detail=f"{where}, revision {config.revision}",
            findings=tuple(findings),
            claims=_claims(self.context, config),
        )

    def describe(self) -> list[ObjectInfo]:
        """Klaviyo's own attributes, and as custom properties whatever else the routes name."""
        return describe(self.context.routes)

    def _account(self, path: str, findings: list[Finding]) -> Account | None:
        try:
            return self.connection.named()
        except MissingScope:
            if (unsaid := self.connection.another_key()) is not None:
                findings.append(Finding(level="error", path=f"{path}.api_key", message=unsaid))
                return None
            _missing(findings, path, "warning", "accounts:read", "the account cannot be named")
            return None


def _revision(config: Config, path: str, today: date, findings: list[Finding]) -> None:
    revision = date.fromisoformat(config.revision)
    if config.revision < OLDEST_REVISION:
        message = f"revision {config.revision} knows no backfill for events: use {REVISION}"
        findings.append(Finding(level="error", path=f"{path}.revision", message=message))
    elif revision + SERVED < today:
        message = f"revision {config.revision} is no longer served: use a newer one"
        findings.append(Finding(level="error", path=f"{path}.revision", message=message))
    elif config.revision != REVISION:
        message = f"revision {config.revision} is not the one this version was built for ({REVISION})"
        findings.append(Finding(level="warning", path=f"{path}.revision", message=message))


def _scopes(client: Client, path: str, routes: Sequence[RouteSpec], findings: list[Finding]) -> None:
    """Each scope by its name, and nothing is written: what writes is asked with a body that can only be refused.

    Klaviyo looks at the scope before the body: 403 means that it is missing, any other refusal that it is there.
    """
    profiles = any(r.object == "profile" for r in routes) or not routes
    events = any(r.object == "event" for r in routes)
    lacking: set[str] = set()
    for scope, (endpoint, consequence) in _SCOPES.items():
        needed = events if scope == "events:write" else profiles and scope != "data-privacy:write"
        reading = endpoint.method == "GET"
        try:
            client.call(
                endpoint,
                params={"page[size]": 1} if endpoint is PROFILES else None,
                body=None if reading else _NOTHING,
                max_wait=PROBE_WAIT,
            )
        except MissingScope as error:
            if scope not in error.scopes:
                continue
            if unseen := sorted(lacking.intersection(error.scopes)):
                # The call needs that one too, and the answer names both: it may only say what the call needs.
                message = f"whether the key has {scope} cannot be seen as long as it lacks {', '.join(unseen)}"
                findings.append(Finding(level="warning", path=f"{path}.api_key", message=message))
                continue
            lacking.add(scope)
            _missing(findings, path, "error" if needed else "warning", scope, consequence)
        except ApiError:
            continue


def _metrics(client: Client, config: Config, path: str, routes: Sequence[RouteSpec], findings: list[Finding]) -> None:
    try:
        found = [m["attributes"] for page in client.pages(METRICS_ENDPOINT, params={}) for m in page]
        foreign = list(
            client.call(METRICS_ENDPOINT, params={"filter": 'equals(integration.name,"WooCommerce")'})["data"]
        )
    except MissingScope:
        consequence = "Klaviyo's own WooCommerce integration and the number of metrics cannot be seen"
        _missing(findings, path, "warning", "metrics:read", consequence)
        return
    if foreign:
        message = "Klaviyo's own WooCommerce integration sends this shop's orders already"
        if config.commerce_events:
            message += ": with commerce_events each order and its revenue count twice; switch one of them off"
        else:
            message += "; leave commerce_events off, or each order would count twice"
        level = "error" if config.commerce_events else "warning"
        findings.append(Finding(level=level, path=f"{path}.commerce_events", message=message))  # type: ignore[arg-type]
    entities = {r.entity for r in routes if r.object == "event"}
    ours = {m for entity in entities for m in METRICS.get(entity, ()) if entity != "order" or config.commerce_events}
    names = {m.get("name") for m in found if (m.get("integration") or {}).get("name") in (None, "API")}
    total = len(found) + len(ours - names)
    if total > METRICS_LIMIT:
        message = f"{len(found)} metrics and {len(ours - names)} new ones: an account holds {METRICS_LIMIT}"
        message += ", events of further ones are dropped"
        findings.append(Finding(level="error", path=path, message=message))
    elif total > METRICS_WARNING:
        message = f"{total} of {METRICS_LIMIT} metrics in use: events of further ones will be dropped"
        findings.append(Finding(level="warning", path=path, message=message))


def _list(client: Client, config: Config, path: str, findings: list[Finding]) -> None:
    if not config.list:
        return
    try:
        client.call(LIST, config.list)
    except ApiError as error:
        message = "there is no list with this id" if error.status == 404 else error.message
        findings.append(Finding(level="error", path=f"{path}.list", message=message))
    except AuthError:
        return  # lists:read is named above


def _claims(context: Context, config: Config) -> Mapping[str, Sequence[str]]:
    """The properties under the prefix are each time the whole state of a person."""
    sources = sorted({r.source for r in context.routes if r.object == "profile"})
    return {f"{config.prefix}...": sources} if sources else {}


def _missing(findings: list[Finding], path: str, level: Any, scope: str, consequence: str) -> None:
    message = f"the key lacks the scope {scope}: {consequence}"
    findings.append(Finding(level=level, path=f"{path}.api_key", message=message))
