"""The stand-in's sign-in: consent screen, tokens, revocation, account, Drive files."""

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
from attrs import define, field

from synccore.testing import Reply, Request

EMAIL = "https://www.googleapis.com/auth/userinfo.email"
PROFILE = "https://www.googleapis.com/auth/userinfo.profile"
ALL_SCOPES = {"openid", "https://www.googleapis.com/auth/contacts", EMAIL, PROFILE}


@define
class Grant:
    """What a person agreed to."""

    client: str
    scopes: frozenset[str]
    user: str
    ended: bool = False
    ends_at: datetime | None = None


@define
class SignIn:
    """Tokens and people. Attributes that a test may set:

    Attributes:
        person: who signs in: id, email, name.
        refuses: the person clicks "Cancel".
        unticked: scopes the person takes the tick off.
        testing: the app is not published: grants end after 7 days.
        service_key: public key of a service account with delegation, its client id and the users it may act for.
        files: Drive files by id that anyone can see.
        people: everybody who ever signed in, by id.
    """

    now: Callable[[], datetime]
    client_id: str = "demo-client"
    client_secret: str = "demo-secret"
    person: dict[str, str] = field(
        factory=lambda: {"id": "1001", "email": "owner@shop.test", "name": "Olive Owner", "verified_email": "true"}
    )
    refuses: bool = False
    unticked: set[str] = field(factory=set)
    testing: bool = False
    token_lifetime: int = 3599
    service_key: str | None = None
    service_users: set[str] = field(factory=set)
    drive_key: str = "drive-key"
    files: dict[str, dict[str, Any]] = field(factory=dict)
    people: dict[str, dict[str, str]] = field(factory=dict)
    codes: dict[str, dict[str, Any]] = field(factory=dict)
    access: dict[str, tuple[Grant, datetime]] = field(factory=dict)
    refresh: dict[str, Grant] = field(factory=dict)
    _count: int = 0

    def _next(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count:06d}"

    # -- who may do what

    def grant_of(self, token: str) -> Grant | None:
        """The grant behind a live access token."""
        grant, until = self.access.get(token, (None, None))
        if grant is None or until is None or grant.ended or until <= self.now():
            return None
        return grant

    def revoke_all(self) -> None:
        """Everybody takes the app's access away."""
        for grant in [*self.refresh.values(), *(g for g, _ in self.access.values())]:
            grant.ended = True

    def expire_tokens(self) -> None:
        """All access tokens run out now."""
        self.access = {token: (grant, self.now()) for token, (grant, _) in self.access.items()}

    # -- consent

    def authorize(self, request: Request) -> Reply:
        """The consent screen; the person answers at once."""
        query = dict(request.query)
        redirect = query.get("redirect_uri", "")
        parts = urlsplit(redirect)
        local = parts.scheme == "http" and (parts.hostname in ("127.0.0.1", "::1", "localhost"))
        if query.get("client_id") != self.client_id:
            return Reply(401, "<h1>Error 401: invalid_client</h1>")
        if not local and parts.scheme != "https":
            return Reply(400, "<h1>Error 400: redirect_uri_mismatch</h1>")
        problem = self._asked(query)
        if problem:
            return Reply(400, f"<h1>Error 400: {problem}</h1>")
        back = {"state": query.get("state", "")}
        if self.refuses:
            return _redirect(redirect, {**back, "error": "access_denied"})
        code = self._next("4/0A")
        scopes = frozenset(query["scope"].split()) - self.unticked
        self.people[self.person["id"]] = dict(self.person)
        self.codes[code] = {**query, "granted": scopes}
        return _redirect(redirect, {**back, "code": code, "scope": " ".join(sorted(scopes))})

    @staticmethod
    def _asked(query: dict[str, str]) -> str | None:
        if query.get("response_type") != "code" or not query.get("scope"):
            return "invalid_request"
        if set(query["scope"].split()) - ALL_SCOPES:
            return "invalid_scope"
        if query.get("code_challenge") and query.get("code_challenge_method") != "S256":
            return "invalid_request"
        return None

    # -- tokens

    def token(self, request: Request) -> Reply:
        """The token endpoint."""
        form = request.form()
        kind = form.get("grant_type")
        if kind == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self._assertion(form)
        if form.get("client_id") != self.client_id:
            return _refusal("invalid_client", "The OAuth client was not found.", 401)
        if not form.get("client_secret"):
            return _refusal("invalid_request", "client_secret is missing.")
        if form["client_secret"] != self.client_secret:
            return _refusal("invalid_client", "Unauthorized", 401)
        if kind == "authorization_code":
            return self._exchange(form)
        if kind == "refresh_token":
            return self._refresh(form)
        return _refusal("unsupported_grant_type", f"Invalid grant_type: {kind}")

    def _exchange(self, form: dict[str, str]) -> Reply:
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None:
            return _refusal("invalid_grant", "Malformed auth code.")
        if asked.get("redirect_uri") != form.get("redirect_uri"):
            return _refusal("redirect_uri_mismatch", "Bad Request")
        if challenge := asked.get("code_challenge"):
            verifier = form.get("code_verifier", "")
            if not 43 <= len(verifier) <= 128:
                return _refusal("invalid_grant", "Missing code verifier.")
            digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
            if digest != challenge:
                return _refusal("invalid_grant", "Invalid code verifier.")
        grant = Grant(form["client_id"], asked["granted"], self.person["id"])
        answer = self._issue(grant)
        if asked.get("access_type") == "offline":
            if self.testing:
                grant.ends_at = self.now() + timedelta(days=7)
                answer["refresh_token_expires_in"] = 604799
            answer["refresh_token"] = self._next("1//0e")
            self.refresh[answer["refresh_token"]] = grant
        return Reply(200, answer)

    def _refresh(self, form: dict[str, str]) -> Reply:
        grant = self.refresh.get(form.get("refresh_token", ""))
        if grant is None or grant.ended or (grant.ends_at and grant.ends_at <= self.now()):
            return _refusal("invalid_grant", "Token has been expired or revoked.")
        return Reply(200, self._issue(grant))

    def _assertion(self, form: dict[str, str]) -> Reply:
        if self.service_key is None:
            return _refusal("invalid_grant", "Invalid JWT Signature.")
        try:
            claims = jwt.decode(
                form.get("assertion", ""), self.service_key, ["RS256"], audience="https://oauth2.googleapis.com/token",
                options={"verify_exp": False, "verify_iat": False},
            )  # fmt: skip
        except jwt.PyJWTError:
            return _refusal("invalid_grant", "Invalid JWT Signature.")
        age = self.now().timestamp() - claims["iat"]
        if not -300 < age < 3600 or claims["exp"] - claims["iat"] > 3600:
            return _refusal("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes).")
        if claims.get("sub") not in self.service_users:
            return _refusal(
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any "
                "of the scopes requested.",
                401,
            )
        return Reply(200, self._issue(Grant(claims["iss"], frozenset(claims["scope"].split()), claims["sub"])))

    def _issue(self, grant: Grant) -> dict[str, Any]:
        token = self._next("ya29.a0")
        self.access[token] = (grant, self.now() + timedelta(seconds=self.token_lifetime))
        scope = " ".join(sorted(grant.scopes))
        return {"access_token": token, "expires_in": self.token_lifetime, "scope": scope, "token_type": "Bearer"}

    def revoke(self, request: Request) -> Reply:
        """The revocation endpoint: ends every grant of the project for that person."""
        token = request.form().get("token", "")
        grant = self.refresh.get(token) or (self.access[token][0] if token in self.access else None)
        if grant is None or grant.ended:
            return _refusal("invalid_token", "Token expired or revoked")
        for other in [*self.refresh.values(), *(g for g, _ in self.access.values())]:
            other.ended = other.ended or other.user == grant.user
        return Reply(200, {})

    # -- people and files

    def userinfo(self, grant: Grant) -> Reply:
        """Who it is, as far as the person agreed to tell."""
        if not grant.scopes & {"openid", EMAIL, PROFILE}:
            text = "Request is missing required authentication credential or scope."
            return Reply(403, {"error": {"code": 403, "message": text, "status": "PERMISSION_DENIED"}})
        stranger = {"id": "ws-" + grant.user, "email": grant.user, "name": ""}
        whole: dict[str, Any] = {**self.people.get(grant.user, stranger), "verified_email": True}
        hidden = set() if EMAIL in grant.scopes else {"email", "verified_email"}
        hidden |= set() if PROFILE in grant.scopes else {"name"}
        return Reply(200, {k: v for k, v in whole.items() if k not in hidden})

    def tokeninfo(self, request: Request) -> Reply:
        """What a token may do."""
        grant = self.grant_of(request.param("access_token") or "")
        if grant is None:
            return _refusal("invalid_token", "Invalid Value")
        return Reply(200, {"audience": grant.client, "scope": " ".join(sorted(grant.scopes)), "user_id": grant.user})

    def drive_file(self, request: Request, file_id: str) -> Reply:
        """A file's metadata, for an API key: public files only."""
        if request.param("key") != self.drive_key:
            return Reply(400, {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
                                         "details": [{"reason": "API_KEY_INVALID"}]}})  # fmt: skip
        found = self.files.get(file_id)
        needed = (found or {}).get("resourceKey")
        sent = request.headers.get("x-goog-drive-resource-keys", "")
        if found is None or (needed and f"{file_id}/{needed}" not in sent.split(",")):
            return Reply(404, {"error": {"code": 404, "message": f"File not found: {file_id}."}})
        return Reply(200, {"id": file_id, **found})


def _redirect(uri: str, query: dict[str, str]) -> Reply:
    return Reply(302, None, {"Location": f"{uri}{'&' if '?' in uri else '?'}{urlencode(query)}"})


def _refusal(code: str, description: str, status: int = 400) -> Reply:
    return Reply(status, {"error": code, "error_description": description})
