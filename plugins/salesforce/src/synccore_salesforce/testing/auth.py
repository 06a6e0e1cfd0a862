"""The sign-in side of a make-believe org: authorize page, token endpoint, revocation."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt

from synccore.testing import Reply, Request

from .switches import Switches

__all__ = ["SignIn"]


class SignIn:
    """Grants and tokens."""

    def __init__(self, server: Switches) -> None:
        self._server = server
        self._codes: dict[str, dict[str, str]] = {}
        #: Refresh tokens that still work.
        self.refresh_tokens: set[str] = set()
        #: Access token -> calls it is still good for (None: no end).
        self.access_tokens: dict[str, int | None] = {}
        self.refreshes = 0
        self.used: set[str] = set()

    def answer(self, request: Request) -> Reply:
        """Serve `/services/oauth2/...`."""
        what = request.path.rsplit("/", 1)[-1]
        if what == "authorize" and request.method == "GET":
            return self._authorize(dict(request.query))
        if what == "token" and request.method == "POST":
            return self._token(request.form())
        if what == "revoke" and request.method == "POST":
            return self._revoke(request.form().get("token", ""))
        return Reply(404, "<html><body>URL No Longer Exists</body></html>")

    def user(self) -> Reply:
        """Who the session is."""
        server = self._server
        return Reply(
            200,
            {
                "sub": f"{server.url}/id/{server.org.id}/{server.user_id}",
                "user_id": server.user_id,
                "organization_id": server.org.id,
                "preferred_username": server.username,
                "name": "Sync User",
            },
        )

    # -- the browser's side

    def _authorize(self, query: Mapping[str, str]) -> Reply:
        server = self._server
        if query.get("client_id") != server.client_id:
            return Reply(400, "<html><body>error=invalid_client_id</body></html>")
        if query.get("redirect_uri") not in server.redirect_uris:
            return Reply(400, "<html><body>error=redirect_uri_mismatch</body></html>")
        if not server.installed:
            # No callback: the person is left in front of an error page.
            return Reply(400, "<html><body>OAUTH_APPROVAL_ERROR_GENERIC</body></html>")
        back = {"state": query.get("state", "")}
        if query.get("response_type") != "code" or "code_challenge" not in query:
            back["error"] = "invalid_request"
        else:
            code = secrets.token_urlsafe(24)
            self._codes[code] = dict(query)
            back["code"] = code
        return Reply(302, None, {"Location": f"{query['redirect_uri']}?{urlencode(back)}"})

    def approve(self, url: str) -> str:
        """Play the person who signs in and allows: the address the browser lands on."""
        reply = self._authorize(dict(parse_qsl(urlsplit(url).query)))
        if reply.status != 302:
            raise AssertionError(f"the authorize page refuses: {reply.body}")
        return str(reply.headers["Location"])

    # -- the token endpoint

    def _token(self, form: Mapping[str, str]) -> Reply:
        if form.get("client_id") != self._server.client_id and "assertion" not in form:
            return _refuse("invalid_client_id", "client identifier invalid")
        kinds = {
            "authorization_code": self._code,
            "refresh_token": self._refresh,
            "client_credentials": self._credentials,
            "urn:ietf:params:oauth:grant-type:jwt-bearer": self._jwt,
        }
        kind = kinds.get(form.get("grant_type", ""))
        return kind(form) if kind else _refuse("unsupported_grant_type", "grant type not supported")

    def _secret_ok(self, form: Mapping[str, str]) -> bool:
        return form.get("client_secret") in (None, self._server.client_secret)

    def _code(self, form: Mapping[str, str]) -> Reply:
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None:
            return _refuse("invalid_grant", "expired authorization code")
        if not self._secret_ok(form):
            return _refuse("invalid_client", "invalid client credentials")
        if form.get("redirect_uri") != asked["redirect_uri"]:
            return _refuse("redirect_uri_mismatch", "redirect_uri must match configuration")
        verifier = form.get("code_verifier")
        if not verifier:
            return _refuse("invalid_grant", "code verifier is missing")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if digest != asked["code_challenge"]:
            return _refuse("invalid_request", "invalid code verifier")
        return self._grant(refresh="refresh_token" in asked.get("scope", "").split())

    def _refresh(self, form: Mapping[str, str]) -> Reply:
        token = form.get("refresh_token", "")
        if token not in self.refresh_tokens or not self._secret_ok(form):
            return _refuse("invalid_grant", "expired access/refresh token")
        self.refreshes += 1
        if self._server.rotate:
            # The old one is dead from here on, whether or not the answer arrives.
            self.refresh_tokens.discard(token)
            self.used.add(token)
        return self._grant(refresh=self._server.rotate)

    def _credentials(self, form: Mapping[str, str]) -> Reply:
        if not self._server.my_domain:
            return _refuse("invalid_grant", "request not supported on this domain")
        if form.get("client_secret") != self._server.client_secret:
            return _refuse("invalid_client", "invalid client credentials")
        return self._grant(refresh=False)

    def _jwt(self, form: Mapping[str, str]) -> Reply:
        server = self._server
        try:
            claims = jwt.decode(
                form.get("assertion", ""),
                server.public_key,
                algorithms=["RS256"],
                audience=["https://login.salesforce.com", "https://test.salesforce.com"],
                options={"require": ["iss", "sub", "aud", "exp"], "verify_exp": False},
            )
        except jwt.PyJWTError as error:
            return _refuse("invalid_grant", f"invalid assertion: {type(error).__name__}")
        if claims["iss"] != server.client_id:
            return _refuse("invalid_client_id", "client identifier invalid")
        if claims["sub"] != server.username:
            return _refuse("invalid_grant", "user hasn't approved this consumer")
        return self._grant(refresh=False)

    def _grant(self, *, refresh: bool) -> Reply:
        server = self._server
        token = f"{server.org.id[:15]}!{secrets.token_urlsafe(48)}"
        self.access_tokens[token] = server.session_calls
        body: dict[str, Any] = {
            "access_token": token,
            "instance_url": server.instance_url or server.url,
            "id": f"{server.url}/id/{server.org.id}/{server.user_id}",
            "token_type": "Bearer",
            "issued_at": "1763700000000",
            "signature": "c2lnbmF0dXJl",
            "scope": "api refresh_token",
        }
        if refresh:
            body["refresh_token"] = secrets.token_urlsafe(40)
            self.refresh_tokens.add(body["refresh_token"])
        return Reply(200, body)

    def _revoke(self, token: str) -> Reply:
        if token in self.refresh_tokens:
            self.refresh_tokens.discard(token)
            self.access_tokens.clear()
            return Reply(200)
        if self.access_tokens.pop(token, "no") == "no":
            return Reply(400, {"error": "invalid_token", "error_description": "invalid token"})
        return Reply(200)

    # -- sessions

    def use(self, request: Request) -> bool:
        """True where the request carries a session that still works; counts it."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.access_tokens:
            return False
        left = self.access_tokens[token]
        if left is None:
            return True
        if left <= 0:
            del self.access_tokens[token]
            return False
        self.access_tokens[token] = left - 1
        return True

    def expire(self) -> None:
        """End all sessions now; refresh tokens live on."""
        self.access_tokens.clear()


def _refuse(error: str, text: str) -> Reply:
    return Reply(400, {"error": error, "error_description": text})
