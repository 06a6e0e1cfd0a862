"""The `[sinks.NAME]` table of a Salesforce sink, and the addresses it stands for."""

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import Attribute, frozen

from synccore.config import option
from synccore.errors import ConfigError
from synccore.secrets import Secret

__all__ = ["Config", "is_safe_url"]

PRODUCTION = "https://login.salesforce.com"
SANDBOX = "https://test.salesforce.com"
#: The duplicate rule header exists since this version of the API (Salesforce REST guide, header list).
OLDEST_API = 52
_SUFFIXES = (".my.salesforce.com", ".my.salesforce.mil", ".my.sfcrmproducts.cn", ".my.salesforce.gov")


def is_safe_url(url: str) -> bool:
    """True for https, and for http on this very machine (stand-ins, local proxies)."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))
    )


def _environment(_: Any, attribute: "Attribute[str]", value: str) -> None:
    if value in ("production", "sandbox"):
        return
    host = _host(value)
    if host.endswith(".lightning.force.com"):
        raise ValueError(
            f"{host} is the address of the pages, not of the API: write "
            f"{host.removesuffix('.lightning.force.com')}.my.salesforce.com"
        )
    if not host.endswith(_SUFFIXES):
        raise ValueError(
            f"{attribute.name} is production, sandbox, or a My Domain host (acme.my.salesforce.com), not {value!r}"
        )


def _url(_: Any, attribute: "Attribute[str | None]", value: str | None) -> None:
    if value is not None and not is_safe_url(value):
        raise ValueError(f"{attribute.name} must begin with https:// (http:// only on this machine)")


def _version(_: Any, attribute: "Attribute[str]", value: str) -> None:
    if not re.fullmatch(r"\d{2,3}\.0", value):
        raise ValueError(f'{attribute.name} looks like "67.0", not {value!r}')
    if int(value[:-2]) < OLDEST_API:
        raise ValueError(f"{attribute.name} {value} is too old: {OLDEST_API}.0 is the oldest that works here")


def _share(_: Any, attribute: "Attribute[float]", value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{attribute.name} is a share between 0 and 1, for instance 0.8")


def _positive(_: Any, attribute: "Attribute[int]", value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name} must be 1 or more")


def _host(value: str) -> str:
    return (urlsplit(value).hostname or "") if "://" in value else value.strip("/ ").lower()


@frozen(kw_only=True)
class Config:
    """Settings of one connection to one org."""

    environment: str = option(
        default="production",
        help="production, sandbox, or the org's My Domain host (acme.my.salesforce.com)",
        validator=_environment,
    )
    login_url: str | None = option(
        default=None,
        help="address of the login host instead of the environment's (a proxy, a stand-in)",
        validator=_url,
    )
    auth: Literal["web", "jwt", "client_credentials"] = option(
        default="web", help="web (a person signs in once), jwt (certificate) or client_credentials (My Domain only)"
    )
    client_id: str = option(help="consumer key of the External Client App")
    client_secret: Secret | None = option(
        default=None, help="consumer secret; web may go without where the app does not require it"
    )
    username: str | None = option(default=None, help="jwt: the user to act as")
    private_key: Secret | None = option(default=None, help="jwt: private key of the app's certificate, PEM")
    redirect_port: int = option(
        default=1717,
        help="web: the callback address to register is http://localhost:PORT/callback",
        validator=_positive,
    )
    api_version: str = option(default="67.0", help="version of the REST API", validator=_version)
    duplicate_rule: Literal["hold", "save", "link"] = option(
        default="hold",
        help="where a duplicate rule of the org objects: hold the record for a person, save it all the same "
        "(rules that alert only), or link to the record it found if there is just one",
    )
    api_share: float = option(
        default=0.8,
        help="share of the org's daily API calls at which backfills wait; live changes may use most of the rest",
        validator=_share,
    )
    bulk_threshold: int = option(
        default=2000, help="more waiting deliveries of one route than this go through Bulk API 2.0", validator=_positive
    )

    @property
    def base_url(self) -> str:
        """The login host, no slash at the end."""
        if self.login_url is not None:
            return self.login_url.rstrip("/")
        if self.environment == "production":
            return PRODUCTION
        if self.environment == "sandbox":
            return SANDBOX
        return f"https://{_host(self.environment)}"

    @property
    def is_sandbox(self) -> bool | None:
        """What kind of org is meant; None where a My Domain host leaves it open."""
        if self.environment in ("production", "sandbox"):
            return self.environment == "sandbox"
        return True if ".sandbox." in _host(self.environment) else None

    @property
    def audience(self) -> str:
        """`aud` of a JWT: always one of the two login hosts, whatever host the token is asked from."""
        return SANDBOX if self.is_sandbox else PRODUCTION

    def require_complete(self) -> None:
        """Raise ConfigError for a flow that lacks one of its settings."""
        needs = {"web": (), "jwt": ("username", "private_key"), "client_credentials": ("client_secret",)}[self.auth]
        if missing := [name for name in needs if getattr(self, name) is None]:
            raise ConfigError(f'auth = "{self.auth}" needs {" and ".join(missing)}', path=missing[0])
        if (
            self.auth == "client_credentials"
            and self.login_url is None
            and self.environment in ("production", "sandbox")
        ):
            raise ConfigError(
                "the client credentials flow works at the org's My Domain only: "
                'set environment = "acme.my.salesforce.com"',
                path="environment",
            )
