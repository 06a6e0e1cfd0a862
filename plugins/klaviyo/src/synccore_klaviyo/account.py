"""Whose key it is."""

from typing import Any

from attrs import asdict

from synccore.errors import AnotherAccount, RateLimited, Transient
from synccore.types import Account, Context

from .client import ACCOUNTS, Client
from .config import KlaviyoConfig
from .errors import MissingScope

__all__ = ["account", "account_of_key", "known_by_another_key"]

_KEY = "account"


def account(client: Client) -> Account:
    """The account the key belongs to. Raises MissingScope where the key may not ask (`accounts:read`)."""
    try:
        answer = client.call(ACCOUNTS)
    except RateLimited:
        # One call a second for everybody: a second look waits until Klaviyo said it may.
        answer = client.call(ACCOUNTS)
    try:
        number, attributes = answer["data"][0]["id"], answer["data"][0]["attributes"]
        contact: dict[str, Any] = attributes.get("contact_information") or {}
    except (TypeError, LookupError, AttributeError):
        # Without the cause: what it says is foreign.
        raise Transient("what answers names no account: is api_url the address of Klaviyo's API?") from None
    label = contact.get("organization_name") or number
    details = [str(attributes.get("timezone") or ""), str(attributes.get("preferred_currency") or "")]
    if attributes.get("test_account"):
        details.append("test account")
    return Account(id=str(number), label=str(label), detail=", ".join(d for d in details if d))


def account_of_key(client: Client, config: KlaviyoConfig, context: Context) -> Account:
    """As `account`; while the quota of that question is spent, what was answered for this very key before.

    A key belongs to one account for good, and an opt-out must not wait for a quota that it does not need.
    Raises AnotherAccount for a new key that may not say whose it is: the old one's records could be in another account.
    """
    state, key = context.state(), config.key_digest
    try:
        found = account(client)
    except RateLimited:
        known: dict[str, Any] = state.get(_KEY) or {}
        if known.get("key") != key:
            raise
        return Account(**known["account"])
    except MissingScope:
        if (unsaid := known_by_another_key(config, context)) is not None:
            raise AnotherAccount(unsaid) from None
        raise
    said = {"key": key, "account": asdict(found)}
    if state.get(_KEY) != said:
        state.put({_KEY: said})
    return found


def known_by_another_key(config: KlaviyoConfig, context: Context) -> str | None:
    """What is to be done about this key, which may not say whose it is, where another key's account is known."""
    known: dict[str, Any] = context.state().get(_KEY) or {}
    if not known or known["key"] == config.key_digest:
        return None
    return (
        f"the key is another one than before and lacks the scope accounts:read, so nobody can tell whether its account"
        f" is the one the records are in ({known['account']['label']}): nothing is written. Make a key with"
        " accounts:read, or put the old one back"
    )
