"""Whose key it is."""

from typing import Any

from attrs import asdict

from synccore.errors import RateLimited
from synccore.types import Account, Context

from .client import ACCOUNTS, Client
from .config import KlaviyoConfig

__all__ = ["account", "account_of_key"]

_KEY = "account"


def account(client: Client) -> Account:
    """The account the key belongs to. Raises MissingScope where the key may not ask (`accounts:read`)."""
    try:
        answer = client.call(ACCOUNTS)
    except RateLimited:
        # One call a second for everybody: a second look waits until Klaviyo said it may.
        answer = client.call(ACCOUNTS)
    found = answer["data"][0]
    attributes = found["attributes"]
    label = (attributes.get("contact_information") or {}).get("organization_name") or found["id"]
    details = [str(attributes.get("timezone") or ""), str(attributes.get("preferred_currency") or "")]
    if attributes.get("test_account"):
        details.append("test account")
    return Account(id=str(found["id"]), label=str(label), detail=", ".join(d for d in details if d))


def account_of_key(client: Client, config: KlaviyoConfig, context: Context) -> Account:
    """As `account`; while the quota of that question is spent, what was answered for this very key before.

    A key belongs to one account for good, and an opt-out must not wait for a quota that it does not need.
    """
    state, key = context.state(), config.key_digest
    try:
        found = account(client)
    except RateLimited:
        known: dict[str, Any] = state.get(_KEY) or {}
        if known.get("key") != key:
            raise
        return Account(**known["account"])
    said = {"key": key, "account": asdict(found)}
    if state.get(_KEY) != said:
        state.put({_KEY: said})
    return found
