"""Whose key it is."""

from synccore.errors import RateLimited
from synccore.types import Account

from .client import ACCOUNTS, Client

__all__ = ["account"]


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
