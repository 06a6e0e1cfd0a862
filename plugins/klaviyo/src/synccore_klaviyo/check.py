"""What `synccore check` asks Klaviyo."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from synccore.errors import AuthError
from synccore.types import Account, Check, Finding, RouteSpec

from .account import account
from .client import (
    LIST,
    LISTS,
    PROFILES,
    Client,
    Endpoint,
)
from .client import (
    METRICS as METRICS_ENDPOINT,
)
from .config import REVISION, KlaviyoConfig
from .errors import ApiError, MissingScope
from .events import METRICS

__all__ = ["check"]

#: Metrics of one account; the 201st is dropped.
METRICS_LIMIT = 200
METRICS_WARNING = 180
#: The first revision with `backfill` on events.
OLDEST_REVISION = "2026-04-15"
#: How long Klaviyo serves a revision.
SERVED = timedelta(days=730)


def check(client: Client, config: KlaviyoConfig, routes: Sequence[RouteSpec], name: str, today: datetime) -> Check:
    """Reach the account and find what is missing. Raises AuthError for a key that Klaviyo does not know."""
    path = f"sinks.{name}"
    findings: list[Finding] = []
    whose = _account(client, path, findings)
    _revision(config, path, today.date(), findings)
    _scopes(client, path, routes, findings)
    _metrics(client, config, path, routes, findings)
    _list(client, config, path, findings)
    where = whose.label if whose else "key accepted; the account is not named without accounts:read"
    return Check(account=whose, detail=f"{where}, revision {config.revision}", findings=tuple(findings))


def _account(client: Client, path: str, findings: list[Finding]) -> Account | None:
    try:
        return account(client)
    except MissingScope:
        _missing(findings, path, "warning", "accounts:read", "the account cannot be named")
        return None


def _revision(config: KlaviyoConfig, path: str, today: date, findings: list[Finding]) -> None:
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
    """Read scopes are tried; write scopes cannot be tried without writing, so they are named."""
    profiles = any(r.object == "profile" for r in routes) or not routes
    events = any(r.object == "event" for r in routes)
    probes: list[tuple[Endpoint, dict[str, Any], str, str]] = [
        (PROFILES, {"page[size]": 1}, "profiles:read", "profiles cannot be found or read back"),
        (LISTS, {}, "lists:read", "import jobs cannot be watched"),
    ]
    for endpoint, params, scope, consequence in probes:
        try:
            client.call(endpoint, params=params)
        except MissingScope:
            _missing(findings, path, "error" if profiles else "warning", scope, consequence)
    writes = {"profiles:write", "lists:write", "subscriptions:write"} if profiles else set()
    writes |= {"events:write"} if events else set()
    message = f"the key also needs {', '.join(sorted(writes | {'data-privacy:write'}))}: writing alone could prove them"
    findings.append(Finding(level="info", path=f"{path}.api_key", message=message))


def _metrics(
    client: Client, config: KlaviyoConfig, path: str, routes: Sequence[RouteSpec], findings: list[Finding]
) -> None:
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
    names = {m["name"] for m in found if (m.get("integration") or {}).get("name") in (None, "API")}
    total = len(found) + len(ours - names)
    if total > METRICS_LIMIT:
        message = f"{len(found)} metrics and {len(ours - names)} new ones: an account holds {METRICS_LIMIT}"
        message += ", events of further ones are dropped"
        findings.append(Finding(level="error", path=path, message=message))
    elif total > METRICS_WARNING:
        message = f"{total} of {METRICS_LIMIT} metrics in use: events of further ones will be dropped"
        findings.append(Finding(level="warning", path=path, message=message))


def _list(client: Client, config: KlaviyoConfig, path: str, findings: list[Finding]) -> None:
    if not config.list:
        return
    try:
        client.call(LIST, config.list)
    except ApiError as error:
        message = "there is no list with this id" if error.status == 404 else error.message
        findings.append(Finding(level="error", path=f"{path}.list", message=message))
    except AuthError:
        return  # lists:read is named above


def _missing(findings: list[Finding], path: str, level: Any, scope: str, consequence: str) -> None:
    message = f"the key lacks the scope {scope}: {consequence}"
    findings.append(Finding(level=level, path=f"{path}.api_key", message=message))
