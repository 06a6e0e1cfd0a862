"""Whose key it is."""

from typing import Any

from attrs import asdict

from synccore.errors import AnotherAccount, RateLimited, Transient
from synccore.types import Account, Context

from .client import ACCOUNTS, Client
from .config import Config
from .errors import MissingScope

__all__ = ["Connection"]

_KEY = "account"


class Connection:
    """The account that one key leads to."""

    def __init__(self, config: Config, context: Context, client: Client) -> None:
        self._config = config
        self._context = context
        self._client = client

    def account(self) -> Account:
        """As `named`; while the quota of that question is spent, what was answered for this very key before.

        A key belongs to one account for good, and an opt-out must not wait for a quota that it does not need.
        Raises AnotherAccount for a new key that may not say whose it is: the old one's records could be in another
        account.
        """
        state, key = self._context.state(), self._config.key_digest
        try:
            found = self.named()
        except RateLimited:
            known: dict[str, Any] = state.get(_KEY) or {}
            if known.get("key") != key:
                raise
            return Account(**known["account"])
        except MissingScope:
            if (unsaid := self.another_key()) is not None:
                raise AnotherAccount(unsaid) from None
            raise
        said = {"key": key, "account": asdict(found)}
        if state.get(_KEY) != said:
            state.put({_KEY: said})
        return found

    def named(self) -> Account:
        """The account the key belongs to. Raises MissingScope where the key may not ask (`accounts:read`)."""
        try:
            answer = self._client.call(ACCOUNTS)
        except RateLimited:
            # One call a second for everybody: a second look waits until Klaviyo said it may.
            answer = self._client.call(ACCOUNTS)
        if not answer["data"]:
            raise Transient("what answers names no account: is api_url the address of Klaviyo's API?")
        number, attributes = answer["data"][0]["id"], answer["data"][0]["attributes"]
        contact: dict[str, Any] = attributes.get("contact_information", {})
        label = contact.get("organization_name") or number
        details = [attributes.get("timezone", ""), attributes.get("preferred_currency", "")]
        if attributes.get("test_account"):
            details.append("test account")
        return Account(id=number, label=label, detail=", ".join(d for d in details if d))

    def another_key(self) -> str | None:
        """What is to be done about this key, which may not say whose it is, where another key's account is known."""
        known: dict[str, Any] = self._context.state().get(_KEY) or {}
        if not known or known["key"] == self._config.key_digest:
            return None
        return (
            f"the key is another one than before and lacks the scope accounts:read, so nobody can tell whether its"
            f" account is the one the records are in ({known['account']['label']}): nothing is written. Make a key with"
            " accounts:read, or put the old one back"
        )
