"""OAuth 2.0 for plugins: authorization code with PKCE, refresh, revocation; tokens encrypted at rest.

A refresh happens once, however many threads and processes notice the expiry together: the winner holds the
instance's lock, stores the new tokens, and only then uses them; the others read what it stored. A rotated refresh
token is therefore never lost and never used twice.

Whatever changes the stored credentials of an instance does so under that one lock (`credentials_lock`): a refresh
under way can neither bring back tokens that a person has just wiped nor replace those of a new account.
"""

import base64
import hashlib
import json
import secrets as random_secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

from attrs import evolve, field, frozen

from .errors import AuthError, ConfigError, Transient
from .http import SECONDS, Client, Kind, Response, Shape, WrongShape
from .types import Context

__all__ = ["Browser", "OAuth", "TokenError", "Tokens", "credentials_lock"]

_VAULT_KEY = "oauth"
#: Answers without an OAuth error code that no outage gives: the address is wrong.
_NO_TOKEN_ENDPOINT = (400, 404, 405, 410)
#: A token this close to its end is refreshed before it is used.
_MARGIN = timedelta(seconds=60)
_TOKENS = Shape(
    {
        "access_token": Kind("a token", str, lambda value: bool(value) and value.isascii() and value.isprintable()),
        "refresh_token?": str,
        "expires_in?": SECONDS,
        "scope?": (str, [str]),
    }
)
_NO_MORE = Shape({})
_REFUSAL = Shape({"error": str})


def credentials_lock(context: Context) -> AbstractContextManager[None]:
    """The lock under which an instance's stored credentials change, and nothing else; re-entrant in one thread."""
    return context.lock(f"oauth:{context.name}")


class Browser(Protocol):
    """The person's browser, whatever way it is reached: opened on this machine, pasted back, or the dashboard's."""

    def authorize(
        self,
        build_url: Callable[[str], str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "/",
    ) -> tuple[str, Mapping[str, str]]:
        """Send the person to `build_url(redirect_uri)` and wait until they come back.

        `host`, `port` (0: any free one) and `path` shape the loopback redirect address, for vendors that compare it
        exactly. Gives the redirect address used and the query parameters it was called with. Raises AuthError when
        nobody comes back in time.
        """
        ...

    def say(self, text: str) -> None:
        """Tell the person something."""
        ...


class TokenError(AuthError):
    """The token endpoint refuses for good (`invalid_grant`, `invalid_client`): a person must connect again."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@frozen(kw_only=True)
class Tokens:
    """What the token endpoint gave. `extra` holds its other fields (`instance_url`, `id`, ...)."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    #: None where the vendor states none (Salesforce): then only a 401 tells.
    expires_at: datetime | None = None
    scopes: frozenset[str] = frozenset()
    extra: Mapping[str, Any] = field(factory=dict, repr=False)

    def to_json(self) -> str:
        """For the vault."""
        return json.dumps(
            {
                "access_token": self.access_token,
                "refresh_token": self.refresh_token,
                "expires_at": self.expires_at.isoformat() if self.expires_at else None,
                "scopes": sorted(self.scopes),
                "extra": dict(self.extra),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Tokens":
        """From the vault."""
        data = json.loads(text)
        return cls(
            access_token=data["access_token"],
            refresh_token=data["refresh_token"],
            expires_at=datetime.fromisoformat(data["expires_at"]) if data["expires_at"] else None,
            scopes=frozenset(data["scopes"]),
            extra=data["extra"],
        )


class OAuth:
    """One instance's grant at one vendor.

    Args:
        extra: the other fields of a token answer that the plugin looks at.
        grant: for flows without a refresh token (JWT bearer, client credentials): gives the form fields of a new
            token request; called instead of a refresh.
    """

    def __init__(
        self,
        context: Context,
        *,
        auth_url: str,
        token_url: str,
        revoke_url: str | None,
        client_id: str,
        client_secret: Callable[[], str | None] = lambda: None,
        scopes: tuple[str, ...] = (),
        authorize_params: Mapping[str, str] | None = None,
        extra: Shape = _NO_MORE,
        grant: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self._context = context
        self._auth_url = auth_url
        self._token_url = token_url
        self._revoke_url = revoke_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._authorize_params = dict(authorize_params or {})
        self._extra = extra
        self._grant = grant
        self._http = Client(context)

    # -- connecting

    def connect(self, browser: Browser, *, host: str = "127.0.0.1", port: int = 0, path: str = "/") -> Tokens:
        """Send the person through the vendor's consent screen and exchange the code. Does not store the tokens.

        Raises AuthError when the person refuses, `state` does not match, or the exchange fails (a code is single
        use: run connect again).
        """
        verifier = random_secrets.token_urlsafe(64)[:96]
        state = random_secrets.token_urlsafe(24)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()

        def build_url(redirect_uri: str) -> str:
            query = {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": redirect_uri,
                "scope": " ".join(self._scopes),
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
                **self._authorize_params,
            }
            return f"{self._auth_url}?{urlencode(query)}"

        redirect_uri, params = browser.authorize(build_url, host=host, port=port, path=path)
        if error := params.get("error"):
            raise TokenError(
                f"the consent screen answered {error}: {params.get('error_description', 'no reason given')}",
                code=error,
            )
        if not random_secrets.compare_digest(params.get("state", ""), state):
            raise AuthError("the answer does not belong to this request (state differs): run connect again")
        if not params.get("code"):
            raise AuthError("the address holds no code: paste the whole address the browser landed on")
        return self._request(
            {
                "grant_type": "authorization_code",
                "code": params["code"],
                "redirect_uri": redirect_uri,
                "code_verifier": verifier,
            }
        )

    def held(self) -> AbstractContextManager[None]:
        """Keep refreshes, connects and disconnects out, to change the tokens and what belongs to them as one."""
        return credentials_lock(self._context)

    def store(self, tokens: Tokens) -> None:
        """Keep the tokens, encrypted, once a refresh under way is done."""
        with self.held():
            self._context.vault.put(_VAULT_KEY, tokens.to_json())

    def tokens(self) -> Tokens | None:
        """The stored tokens, or None where nobody connected."""
        text = self._context.vault.get(_VAULT_KEY)
        return Tokens.from_json(text) if text else None

    # -- using

    def valid(self, rejected: str | None = None) -> Tokens:
        """Tokens to use now, refreshed where they ran out or where `rejected` is the access token a 401 came for.

        Raises AuthError (connect first; grant revoked), Transient (token endpoint down: not a reason to connect
        again), ConfigError (client refused).
        """
        tokens = self.tokens()
        if tokens is not None and self._usable(tokens, rejected):
            return tokens
        with self.held():
            tokens = self.tokens()
            if tokens is not None and self._usable(tokens, rejected):
                return tokens
            fresh = self._renew(tokens)
            self.store(fresh)
            return fresh

    def _usable(self, tokens: Tokens, rejected: str | None) -> bool:
        if tokens.access_token == rejected:
            return False
        return tokens.expires_at is None or tokens.expires_at - _MARGIN > self._context.clock.now()

    def _renew(self, tokens: Tokens | None) -> Tokens:
        if self._grant is not None:
            return self._request(self._grant())
        if tokens is None:
            raise AuthError(f"not connected: run synccore connect {self._context.name}")
        if tokens.refresh_token is None:
            raise AuthError(f"the grant cannot be refreshed: run synccore connect {self._context.name}")
        fresh = self._request({"grant_type": "refresh_token", "refresh_token": tokens.refresh_token})
        return evolve(
            fresh,
            refresh_token=fresh.refresh_token or tokens.refresh_token,
            scopes=fresh.scopes or tokens.scopes,
            extra={**tokens.extra, **fresh.extra},
        )

    def request_tokens(self) -> Tokens:
        """A first token by `grant` (JWT bearer, client credentials). Does not store it."""
        if self._grant is None:
            raise ConfigError("this connection needs a person in a browser: run synccore connect")
        return self._request(self._grant())

    def _request(self, form: Mapping[str, str]) -> Tokens:
        # A service account has no client id: its assertion says who asks.
        fields = {**({"client_id": self._client_id} if self._client_id else {}), **form}
        if (secret := self._client_secret()) and "assertion" not in form:
            fields["client_secret"] = secret
        answer = self._http.post(self._token_url, form=fields)
        if not answer.ok:
            raise self._refusal(answer)
        try:
            data: dict[str, Any] = self._extra.read(_TOKENS.read(answer.json()))
        except WrongShape as error:
            raise Transient(f"the token endpoint answered without tokens: {error} ({answer.structure()})") from None
        lifetime = data.get("expires_in")
        scopes = data.get("scope") or ""
        known = ("access_token", "refresh_token", "expires_in", "scope")
        return Tokens(
            access_token=data["access_token"],
            refresh_token=data.get("refresh_token"),
            expires_at=self._context.clock.now() + timedelta(seconds=int(lifetime)) if lifetime else None,
            scopes=frozenset(scopes.split() if isinstance(scopes, str) else scopes),
            extra={k: v for k, v in data.items() if k not in known},
        )

    def _refusal(self, answer: Response) -> Exception:
        data = answer.json_or_none(_REFUSAL)
        code = data["error"] if data is not None else ""
        if answer.status in _NO_TOKEN_ENDPOINT and not code:
            return ConfigError(
                f"{self._token_url} is no token endpoint: HTTP {answer.status}: {answer.excerpt()}",
                path=self._context.name,
            )
        if answer.status >= 500 or answer.status == 429 or not code:
            return Transient(f"the token endpoint answered HTTP {answer.status}: {answer.excerpt()}")
        text = str(data.get("error_description") or "no reason given")
        if subtype := data.get("error_subtype"):
            text += f" ({subtype})"
        return TokenError(f"{code}: {text.rstrip('.')}. Run synccore connect {self._context.name}", code=code)

    # -- ending

    def revoke(self, tokens: Tokens | None = None) -> str | None:
        """Revoke the grant at the vendor; None when done, else why it could not be. An already dead token is done.

        Args:
            tokens: those of a grant that was not stored (a connect that must not count); the stored ones by default.
        """
        tokens = tokens or self.tokens()
        if tokens is None or self._revoke_url is None:
            return None
        try:
            answer = self._http.post(self._revoke_url, form={"token": tokens.refresh_token or tokens.access_token})
        except Transient as error:
            return error.message
        if answer.ok or answer.status == 400:
            return None
        return f"HTTP {answer.status}: {answer.excerpt()}"

    def forget(self) -> None:
        """Wipe the stored tokens, once a refresh under way is done."""
        with self.held():
            self._context.vault.delete(_VAULT_KEY)

    def end(self, *, keep_grant: bool = False) -> str | None:
        """Revoke the grant unless it is to stay, and wipe the tokens whatever the vendor says.

        Gives what kept the vendor from being told, or None.
        """
        with self.held():
            problem = None if keep_grant else self.revoke()
            self.forget()
        return problem

    def close(self) -> None:
        """Close the connection pool."""
        self._http.close()
