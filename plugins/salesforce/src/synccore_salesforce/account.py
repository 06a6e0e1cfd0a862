"""Signing in to one org and staying with it."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from attrs import evolve

from synccore.errors import AnotherAccount, AuthError, ConfigError, Rejected, Transient
from synccore.oauth import Browser, OAuth, TokenError, Tokens
from synccore.types import Account, Context

from .client import Client, org_of
from .config import Config
from .schema import Catalog
from .shapes import TOKENS

__all__ = ["Connection", "Session"]

_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: Salesforce refuses assertions that are valid for longer than a few minutes.
_JWT_SECONDS = 180
#: What is in the answer -> what it means (Salesforce Help, "OAuth Authorization Errors").
_HINTS = (
    ("OAUTH_APPROVAL_ERROR", "Nobody installed the app in this org: an administrator must do that first"),
    (
        "invalid_client_id",
        "{host} does not know this client_id: a new app takes some minutes, and a sandbox has its own",
    ),
    ("invalid_client", "client_secret does not belong to client_id, or {host} is not this app's login host"),
    ("hasn't approved", "An administrator must pre-approve the user for this app (OAuth policies, permission set)"),
    ("audience", "environment does not fit the org: production or sandbox"),
    ("grant type not supported", "Is {host} the org's login host? The flow must be switched on in the app, too"),
    ("not supported on this domain", "This flow works at the org's My Domain only: set environment to that host"),
    ("inactive_user", "The user was deactivated in Salesforce"),
    ("inactive_org", "The org is locked, closed or suspended"),
)
#: Entry of the vault: the org the tokens are for. Beside the tokens, so that it comes and goes with them.
_PIN = "org"
#: Key in a stored token's `extra`: what it was asked for.
_ASKED = "asked_for"


class Session(OAuth):
    """The OAuth grant of one sink, pinned to the org it was first given for."""

    def __init__(self, config: Config, context: Context) -> None:
        base = config.base_url
        super().__init__(
            context,
            auth_url=f"{base}/services/oauth2/authorize",
            token_url=f"{base}/services/oauth2/token",
            revoke_url=f"{base}/services/oauth2/revoke",
            client_id=config.client_id,
            client_secret=lambda: config.client_secret.reveal() if config.client_secret else None,
            scopes=("api", "refresh_token"),
            extra=TOKENS,
            grant=None if config.auth == "web" else self._form,
        )
        self._config = config
        self._about = context
        # A login host, an app, a user and a flow lead to one org; tokens of others are not ours to use.
        facts = (base, config.client_id, config.username or "", config.auth)
        self._asked = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]

    # -- what is stored

    def store(self, tokens: Tokens) -> None:
        """Keep the tokens with what they were asked for."""
        super().store(evolve(tokens, extra={**tokens.extra, _ASKED: self._asked}))

    def tokens(self) -> Tokens | None:
        """The stored tokens, or None: also where login_url, client_id, username or auth changed since."""
        found = super().tokens()
        return found if found is None or found.extra.get(_ASKED, self._asked) == self._asked else None

    # -- server flows

    def _form(self) -> dict[str, str]:
        if self._config.auth == "client_credentials":
            return {"grant_type": "client_credentials"}
        return {"grant_type": _JWT_GRANT, "assertion": self._assertion()}

    def _assertion(self) -> str:
        import jwt  # and all of cryptography: most commands sign nothing

        config = self._config
        if config.private_key is None or config.username is None:
            raise ConfigError('auth = "jwt" needs username and private_key', path="private_key")
        claims = {
            "iss": config.client_id,
            "sub": config.username,
            "aud": config.audience,
            "exp": int(self._about.clock.now().timestamp()) + _JWT_SECONDS,
        }
        try:
            return jwt.encode(claims, config.private_key.reveal(), algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise ConfigError(
                f"private_key is no RSA key in PEM form ({type(error).__name__})", path="private_key"
            ) from error

    # -- the org

    def valid(self, rejected: str | None = None) -> Tokens:
        """Tokens to use now.

        Raises AuthError where there are none, or none for these settings; AnotherAccount where they are for another
        org than the records delivered so far.
        """
        if self._config.auth == "web" and self.tokens() is None and super().tokens() is not None:
            raise AuthError(
                "the stored sign-in is for other settings (login_url, environment, client_id, username or auth "
                f"changed): run synccore connect {self._about.name}"
            )
        with self._explained():
            tokens = super().valid(rejected)
        org = org_of(tokens)
        if org is not None:
            self._compare(org)
        return tokens

    def _compare(self, org: str) -> None:
        known = self._about.vault.get(_PIN)
        if known is None:
            self._about.vault.put(_PIN, org)
        elif known != org:
            raise AnotherAccount(self._other(org, known))

    def _other(self, org: str, known: str) -> str:
        return (
            f"this is org {org}, and what was delivered so far is in org {known}: sign in to that one, give the new "
            f"org a sink of its own, or leave the old one for good: synccore connect {self._about.name} "
            "--switch-account"
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what Salesforce's word for a refusal usually means."""
        try:
            yield
        except TokenError as error:
            hint = next((h for word, h in _HINTS if word in f"{error.code} {error.args[0]}"), None)
            if hint is None:
                raise
            text = str(error.args[0]).rstrip(".")
            raise TokenError(f"{text}. {hint.format(host=self._config.base_url)}", code=error.code) from error

    # -- connecting

    def sign_in(self, browser: Browser) -> Tokens:
        """A first token by the configured flow, stored once it is known to be for the right org."""
        if self._config.auth == "web":
            port = self._config.redirect_port
            browser.say(
                "If Salesforce shows an error and never comes back: an administrator must install the app in this org "
                f"first, and its callback address must be exactly http://localhost:{port}/callback."
            )
            with self._explained():
                tokens = self.connect(browser, host="localhost", port=port, path="/callback")
            if not tokens.refresh_token:
                raise AuthError("Salesforce gave no refresh token: add the scope refresh_token to the app")
        else:
            with self._explained():
                tokens = self.request_tokens()
        if "instance_url" not in tokens.extra:
            raise AuthError("Salesforce gave no instance_url: add the scope api to the app")
        org = org_of(tokens)
        known = self._about.vault.get(_PIN)
        if org is not None and known not in (None, org):
            # Not ours to keep: the grant for the other org is given back.
            self.revoke(tokens)
            raise AnotherAccount(self._other(org, str(known)))
        with self.held():
            if org is not None:
                self._about.vault.put(_PIN, org)
            self.store(tokens)
        return tokens

    def sign_out(self, *, keep_grant: bool) -> str:
        """Revoke and wipe."""
        with self.held():
            trouble = self.end(keep_grant=keep_grant)
            self._about.vault.delete(_PIN)
        if keep_grant:
            return "The stored tokens are erased; the grant in Salesforce stays."
        if trouble:
            return (
                f"The stored tokens are erased. Salesforce could not be told ({trouble}): revoke the app under Setup."
            )
        return "The grant is revoked and the stored tokens are erased."


class Connection:
    """The org that a sink is connected to."""

    def __init__(self, session: Session, client: Client, catalog: Catalog) -> None:
        self._session = session
        self._client = client
        self._catalog = catalog

    def account(self) -> Account:
        """The org the session is for. No call beyond the session itself."""
        return account_of(self._session.valid(), {}, {})

    def look(self) -> tuple[Account, Mapping[str, Any]]:
        """Org and user, as far as the scope allows asking, and what the org says of itself."""
        tokens, user, org = self._session.valid(), self._user(), self._org()
        return account_of(tokens, user, org), org

    def connect(self, browser: Browser) -> Account:
        """Sign in by the configured flow and say which org and user it is."""
        self._session.sign_in(browser)
        return self.look()[0]

    def disconnect(self, *, keep_grant: bool) -> str:
        """Revoke the grant and wipe the tokens."""
        self._catalog.forget()
        return self._session.sign_out(keep_grant=keep_grant)

    def _user(self) -> Mapping[str, Any]:
        try:
            return self._client.userinfo()
        except (Rejected, AuthError, Transient):
            # For display only: a token with nothing but the scope api may not ask.
            return {}

    def _org(self) -> Mapping[str, Any]:
        try:
            found = list(self._client.query(["Id", "Name", "IsSandbox"], "Organization LIMIT 1"))
        except (Rejected, Transient):
            return {}
        return found[0] if found else {}


def account_of(tokens: Tokens, user: Any, org: Any) -> Account:
    """Whom we are connected to, for people; `user` and `org` may be empty where the scope does not allow asking."""
    instance = str(tokens.extra.get("instance_url") or "")
    name = str(org.get("Name") or instance.rsplit("//", maxsplit=1)[-1])
    kind = "" if "IsSandbox" not in org else ("sandbox" if org["IsSandbox"] else "production")
    label = " · ".join(p for p in (name, str(user.get("preferred_username") or "")) if p)
    return Account(id=org_of(tokens) or quote(instance, safe=""), label=label, detail=kind)
