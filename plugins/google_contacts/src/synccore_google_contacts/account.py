"""Whom the sink is connected to: consent, service account, tokens, the end of a connection."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import frozen

from synccore.errors import AnotherAccount, AuthError, ConfigError, SynccoreError
from synccore.http import Client, Response
from synccore.oauth import Browser, OAuth, TokenError, Tokens
from synccore.types import Account, Context

from .config import Config
from .errors import error_of
from .shapes import OWNER, TOKENS

CONTACTS_SCOPE = "https://www.googleapis.com/auth/contacts"
#: Contacts, and who it is. No narrower scope writes contacts; no Drive scope, ever.
SCOPES = (
    CONTACTS_SCOPE,
    "openid",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
)
#: Google checks this audience wherever the request goes.
AUDIENCE = "https://oauth2.googleapis.com/token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: The token endpoint's words for a client that is set up wrongly: connecting again does not help.
CLIENT_ERRORS = ("invalid_client", "unauthorized_client", "deleted_client", "invalid_scope", "org_internal",
                 "redirect_uri_mismatch", "admin_policy_enforced")  # fmt: skip
#: Where people see and end what they granted.
CONNECTIONS = "https://myaccount.google.com/connections"
PUBLISH = (
    "the consent screen of the Google Cloud project is in testing, where a connection lasts 7 days: "
    "publish the app (Google Auth Platform, Audience, Publish app)"
)


@frozen
class Connected:
    """The account and since when."""

    account: Account
    #: When Google ends the grant by itself; None: it does not.
    ends_at: datetime | None = None


class Connection:
    """One instance's connection to its account."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._key = _service_key(config)
        self._http = Client(context)
        secret = config.client_secret
        self._oauth = OAuth(
            context,
            auth_url=config.auth_url,
            token_url=config.token_url,
            revoke_url=config.revoke_url,
            client_id=config.client_id or "",
            client_secret=secret.reveal if secret is not None else (lambda: None),
            scopes=SCOPES,
            # Without them Google gives no refresh token, or only at the first consent.
            authorize_params={"access_type": "offline", "prompt": "consent"},
            extra=TOKENS,
            grant=self._assertion if self._key is not None else None,
        )

    # -- tokens

    def token(self, rejected: str | None = None) -> str:
        """An access token, a new one where `rejected` was refused.

        Raises AuthError (nobody connected, grant ended), ConfigError (client set up wrongly), Transient.
        """
        try:
            return self._oauth.valid(rejected).access_token
        except TokenError as error:
            raise self._explained(error) from error

    def _explained(self, error: TokenError) -> AuthError | ConfigError:
        again = f"run synccore connect {self._context.name}"
        if error.code in CLIENT_ERRORS:
            hint = ""
            if self._key is not None:
                hint = (
                    f"; the Workspace administrator must allow client {self._key.get('client_id', '')} for the scopes "
                    f"{', '.join(SCOPES)}, and subject must be a user of that Workspace"
                )
            return ConfigError(f"Google refuses the client: {error.message}{hint}")
        record = self._record()
        if error.code == "invalid_grant" and record and record.get("ends_at"):
            return AuthError(f"Google ended the connection: {PUBLISH}, then {again}")
        if error.code == "invalid_grant":
            return AuthError(f"Google ended the connection (expired or revoked): {again}")
        return error

    def _assertion(self) -> Mapping[str, str]:
        import jwt

        key, now = self._key or {}, self._context.clock.now()
        claims = {
            "iss": key["client_email"],
            "sub": self._config.subject,
            "scope": " ".join(SCOPES),
            "aud": AUDIENCE,
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(hours=1)).timestamp()),
        }
        try:
            signed = jwt.encode(claims, key["private_key"], "RS256", {"kid": key.get("private_key_id", "")})
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise ConfigError(f"the service account's private key cannot be used: {error}") from error
        return {"grant_type": JWT_BEARER, "assertion": signed}

    # -- the account

    def noted(self) -> Account:
        """The account that was connected. Raises AuthError where nobody connected."""
        record = self._record()
        if record is not None and (self._key is not None or self._oauth.tokens() is not None):
            return _account(record)
        if self._key is not None:
            return self._remember(self.userinfo(self.token()), self._oauth.tokens())
        raise AuthError(f"not connected: run synccore connect {self._context.name}")

    def account(self) -> Account:
        """The account the token belongs to by Google's word, whatever was noted here. Raises AuthError, Transient."""
        self.noted()
        info = self._info(self._whose())
        return Account(
            id=str(info["id"]), label=info.get("email") or info.get("name") or str(info["id"]),
            detail=info.get("name") or "",
        )  # fmt: skip

    def check_same(self) -> None:
        """Raise AnotherAccount where the tokens are not those of the account that is known here."""
        self._check_same({"id": (found := self.account()).id, "email": found.label})

    def known(self) -> Account | None:
        """The connected account; None where nobody connected. Asks nobody."""
        record = self._record()
        return _account(record) if record is not None else None

    def known_id(self) -> str:
        """The connected account's id; "" where nobody connected. Asks nobody."""
        record = self._record()
        return str(record["id"]) if record is not None else ""

    def ends_at(self) -> datetime | None:
        """When Google ends the grant by itself (app in testing); None: it does not."""
        record = self._record()
        return datetime.fromisoformat(record["ends_at"]) if record and record.get("ends_at") else None

    def _record(self) -> dict[str, Any] | None:
        # In the vault beside the tokens: it names a person, and whoever restores the one restores the other.
        text = self._context.vault.get("account")
        return json.loads(text) if text else None

    def _remember(self, info: Mapping[str, Any], tokens: Tokens | None) -> Account:
        lifetime = (tokens.extra if tokens else {}).get("refresh_token_expires_in")
        ends = self._context.clock.now() + timedelta(seconds=int(lifetime)) if lifetime else None
        record = {
            "id": str(info["id"]),
            "email": info.get("email") or "",
            "name": info.get("name") or "",
            "ends_at": ends.isoformat() if ends else None,
        }
        self._context.vault.put("account", json.dumps(record))
        account = _account(record)
        self._context.state(account.id).put({f"connected:{self._context.name}": True})
        return account

    def userinfo(self, token: str) -> dict[str, Any]:
        """Who the token belongs to. Raises AuthError, Transient."""
        return self._info(self._ask(token))

    def _whose(self) -> Response:
        """Asked with the token in use: one that Google calls old is renewed once, as for any other call."""
        token = self.token()
        answer = self._ask(token)
        return self._ask(self.token(token)) if answer.status == 401 else answer

    def _ask(self, token: str) -> Response:
        return self._http.get(self._config.userinfo_url, headers={"Authorization": f"Bearer {token}"})

    def _info(self, answer: Response) -> dict[str, Any]:
        if answer.status == 403:
            raise AuthError(
                "Google does not say whose account it is, because the permission to see the e-mail address was not "
                "given: connect again and leave every box ticked"
            )
        if not answer.ok:
            raise error_of(answer, self._context.clock.now())
        info: dict[str, Any] = answer.json_as(OWNER)
        return info

    def scopes(self, token: str) -> frozenset[str] | None:
        """What the token may do, as Google sees it now; None where that cannot be told."""
        address = self._config.userinfo_url.rsplit("/", 1)[0] + "/tokeninfo"
        answer = self._http.post(address, params={"access_token": token})
        data = answer.json_or_none()
        if not answer.ok or not isinstance(data, dict) or "scope" not in data:
            return None
        return frozenset(str(data["scope"]).split())

    # -- connecting and ending

    def connect(self, browser: Browser) -> Account:
        """Send the person to Google, check what was granted and for whom, keep the tokens.

        A grant that does not count is given back. Raises AuthError: refused, contacts not granted, or another account
        than before.
        """
        try:
            tokens = self._oauth.request_tokens() if self._key is not None else self._oauth.connect(browser)
        except TokenError as error:
            if error.code in CLIENT_ERRORS:
                raise self._explained(error) from error
            raise
        try:
            if self._key is None:
                self._check_granted(tokens)
            info = self.userinfo(tokens.access_token)
            self._check_same(info)
        except AuthError as error:
            raise type(error)(f"{error.args[0]}{self._give_back(tokens)}") from error
        with self._oauth.held():
            self._oauth.store(tokens)
            account = self._remember(info, tokens)
        if ends := self.ends_at():
            browser.say(f"This connection ends on {ends.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {PUBLISH}.")
        return account

    def _check_granted(self, tokens: Tokens) -> None:
        if tokens.scopes and CONTACTS_SCOPE not in tokens.scopes:
            raise AuthError(
                "the permission to manage contacts was not given: connect again and leave the box for contacts ticked"
            )
        if not tokens.refresh_token:
            raise AuthError(f"Google gave no refresh token: remove the app's access on {CONNECTIONS} and connect again")

    def _check_same(self, info: Mapping[str, Any]) -> None:
        before = self._record()
        if before is not None and before["id"] != str(info["id"]):
            raise AnotherAccount(
                f"{self._context.name} belongs to {_account(before).label}, and this is another account "
                f"({info.get('email') or info.get('name') or info['id']}): sign in as the first, or leave it for good: "
                f"synccore connect {self._context.name} --switch-account"
            )

    def _give_back(self, tokens: Tokens) -> str:
        """End a grant that is not kept; gives what the person has to know of it.

        Revoking ends every grant of the project for that account: not where one of them is in use here.
        """
        if self._key is not None:
            return ""
        try:
            account = str(self.userinfo(tokens.access_token)["id"])
        except SynccoreError:
            return f". The permissions just given stay: take them back on {CONNECTIONS}"
        if any(True for _ in self._context.state(account).scan("connected:")):
            return ""
        problem = self._oauth.revoke(tokens)
        return f". Google could not be told to end the grant ({problem}): do it on {CONNECTIONS}" if problem else ""

    def disconnect(self, *, keep_grant: bool) -> tuple[str, bool]:
        """End the grant at Google and wipe the tokens here, even where Google could not be told.

        Gives a sentence, and whether this was the account's last connection here.
        """
        record = self._record()
        last = True
        if record is not None:
            shared = self._context.state(record["id"])
            shared.put({f"connected:{self._context.name}": None})
            last = not any(True for _ in shared.scan("connected:"))
        with self._oauth.held():
            connected = self._oauth.tokens() is not None
            problem = self._oauth.end(keep_grant=keep_grant or not last or self._key is not None)
            self._context.vault.delete("account")
        return self._said(connected, keep_grant, last, problem), last

    def _said(self, connected: bool, keep_grant: bool, last: bool, problem: str | None) -> str:
        if self._key is not None:
            return "Forgot the token; the service account's rights end in the Workspace admin console."
        if not connected:
            return "There was no connection."
        if keep_grant:
            return "Wiped the tokens here; the grant at Google stays."
        if not last:
            return (
                "Wiped the tokens here; the grant at Google stays, because another sink uses the same account and "
                "revoking ends all grants of the project."
            )
        if problem is not None:
            return (
                f"Wiped the tokens here, but Google could not be told ({problem}): remove the app's access on "
                f"{CONNECTIONS}"
            )
        return "Revoked the grant at Google (for every app of the same Cloud project) and wiped the tokens here."

    def close(self) -> None:
        """Close the connection pools."""
        self._oauth.close()
        self._http.close()


def _account(record: Mapping[str, Any]) -> Account:
    return Account(id=record["id"], label=record["email"] or record["name"] or record["id"], detail=record["name"])


def _service_key(config: Config) -> dict[str, Any] | None:
    if config.service_account is None:
        if not config.client_id:
            raise ConfigError(
                "set client_id and client_secret (then run synccore connect), or service_account and subject"
            )
        return None
    if not config.subject:
        # Without it everything would land in the robot's own address book, which nobody sees.
        raise ConfigError("service_account needs subject: the e-mail address of the user whose contacts these are")
    text = config.service_account.reveal().strip()
    if not text.startswith("{"):
        try:
            text = Path(text).read_text()
        except OSError as error:
            raise ConfigError(f"the service account's key file cannot be read: {error.strerror}") from error
    try:
        key = json.loads(text)
    except ValueError as error:
        raise ConfigError("the service account's key is not JSON: use the file Google gave, unchanged") from error
    if not isinstance(key, dict) or not key.get("client_email") or not key.get("private_key"):
        raise ConfigError("the service account's key lacks client_email or private_key: use the file Google gave")
    return key
