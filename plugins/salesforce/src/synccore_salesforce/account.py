"""Signing in to one org and staying with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import jwt

from synccore.errors import AuthError, ConfigError, SynccoreError
from synccore.oauth import Browser, OAuth, TokenError, Tokens
from synccore.types import Account, Context

from .client import org_of
from .config import Config

__all__ = ["Session"]

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
_PIN = "org"
_WRITTEN = "org_written"


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
            grant=None if config.auth == "web" else self._form,
        )
        self._config = config
        self._about = context
        self._pinned: str | None = None

    # -- server flows

    def _form(self) -> dict[str, str]:
        if self._config.auth == "client_credentials":
            return {"grant_type": "client_credentials"}
        return {"grant_type": _JWT_GRANT, "assertion": self._assertion()}

    def _assertion(self) -> str:
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
        """Tokens to use now. Raises ConfigError where they are for another org than before."""
        with self._explained():
            tokens = super().valid(rejected)
        org = org_of(tokens)
        if org is not None and org != self._pinned:
            self._pin(org)
        return tokens

    def _pin(self, org: str) -> None:
        state = self._about.state()
        known = state.get(_PIN)
        if known is not None and known != org:
            raise ConfigError(
                f"this is org {org}, and what was delivered so far is in org {known}: "
                "sign in to that one, or give the new org a sink of its own"
            )
        if known is None:
            state.put({_PIN: org})
        self._pinned = org

    def mark_written(self) -> None:
        """From now on records of this org are linked: another org can no longer take its place."""
        state = self._about.state()
        if not state.get(_WRITTEN):
            state.put({_WRITTEN: True})

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
        if org is not None:
            try:
                self._pin(org)
            except SynccoreError:
                # Not ours to keep: the grant for the other org is given back.
                self._drop(tokens)
                raise
        self.store(tokens)
        return tokens

    def _drop(self, tokens: Tokens) -> None:
        kept = self.tokens()
        self.store(tokens)
        self.revoke()
        if kept is not None:
            self.store(kept)
        else:
            self.forget()

    def sign_out(self, *, keep_grant: bool) -> str:
        """Revoke and wipe. The pin stays once records were written, so that links keep meaning something."""
        trouble = None if keep_grant else self.revoke()
        self.forget()
        state = self._about.state()
        if not state.get(_WRITTEN):
            state.put({_PIN: None})
            self._pinned = None
        if keep_grant:
            return "The stored tokens are erased; the grant in Salesforce stays."
        if trouble:
            return (
                f"The stored tokens are erased. Salesforce could not be told ({trouble}): revoke the app under Setup."
            )
        return "The grant is revoked and the stored tokens are erased."


def account_of(tokens: Tokens, user: Any, org: Any) -> Account:
    """Whom we are connected to, for people; `user` and `org` may be empty where the scope does not allow asking."""
    instance = str(tokens.extra.get("instance_url") or "")
    name = str(org.get("Name") or instance.rsplit("//", maxsplit=1)[-1])
    kind = "" if "IsSandbox" not in org else ("sandbox" if org["IsSandbox"] else "production")
    label = " · ".join(p for p in (name, str(user.get("preferred_username") or "")) if p)
    return Account(id=org_of(tokens) or quote(instance, safe=""), label=label, detail=kind)
