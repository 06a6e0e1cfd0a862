"""What the shop's refusals mean (WooCommerce REST API, "Errors"; codes as seen on real shops)."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

from synccore.errors import AuthError, ConfigError, RateLimited, Rejected, SynccoreError, Transient, redact
from synccore.http import Response, parse_retry_after

__all__ = ["Forbidden", "Gone", "KeysRefused", "NoApi", "NoRoute", "error_of", "not_json", "not_seen", "printed_before"]


class Forbidden(AuthError):
    """The key's user lacks a right."""


class KeysRefused(AuthError):
    """The shop does not take the keys themselves."""


class Gone(Rejected):
    """There is no record of that id."""


class NoApi(ConfigError):
    """Something answers at the address, but no REST API of WordPress."""

    def __init__(self, url: str, what: str) -> None:
        super().__init__(
            f"{url} answers, but not with WordPress's REST API ({what}): set url to the shop's front page, with its "
            "folder where it has one; where it is that, switch permalinks on and let nothing else answer for /wp-json/",
            path="url",
        )


class NoRoute(ConfigError):
    """The shop does not know this address: the plugin that brings it is missing."""


#: Maintenance mode says ten minutes whatever it takes, mostly seconds: a look costs next to nothing.
_MAINTENANCE = timedelta(seconds=30)


def error_of(answer: Response, now: datetime, url: str, *, signed: bool) -> SynccoreError:
    """The error an answer of the shop at `url` stands for. `signed`: whether only signed requests were tried."""
    status, body = answer.status, answer.json_or_none()
    if 300 <= status < 400:
        return ConfigError(_redirected(answer), path="url")
    wait = parse_retry_after(answer.headers.get("retry-after"), now)
    if status == 503 and (wait is not None or (isinstance(body, dict) and body.get("code") == "wp_die")):
        said = f"the shop is in maintenance mode (HTTP {status}), which mostly ends within a minute"
        return RateLimited(said, retry_after=min(wait or _MAINTENANCE, _MAINTENANCE))
    if status == 429:
        return RateLimited(f"the shop asks to wait (HTTP {status})", retry_after=wait)
    if not isinstance(body, dict) or "code" not in body:
        if status == 404 and isinstance(body, dict):
            return NoApi(url, answer.structure())
        return Transient(
            f"HTTP {status} with a page of something in front of the shop, a firewall or a security plugin "
            f"({answer.structure()}): let it leave out /wp-json/ for this machine's address"
            if status < 500
            else f"HTTP {status} from the web server"
        )
    code = str(body["code"])
    if status >= 500 and code != "woocommerce_rest_trash_not_supported":
        # A PHP error's message holds paths and data of the shop: the code is all that may be shown.
        where = ": PHP failed in the shop, and WooCommerce > Status > Logs says at what"
        return Transient(f"HTTP {status} {code}{where if code == 'internal_server_error' else ''}")
    if status in _IN_BETWEEN and code != "woocommerce_rest_request_entity_too_large":
        # A proxy or a firewall that answers in JSON: no record is to blame.
        return Transient(f"HTTP {status} {code}", outage=status != 413)
    words = _words(body)
    if status in (401, 403) and _is_foreign(code):
        return AuthError(_claimed(answer, code, words))
    if status == 401:
        return _unauthorized(code, words, signed=signed)
    if status == 403:
        return Forbidden(f"the key's user may not do this: {words} ({code})")
    if status == 404:
        return NoRoute(f"the shop does not know this address ({code})") if code == "rest_no_route" else Gone(words)
    data = body.get("data")
    named = data.get("params") if isinstance(data, dict) else None
    return Rejected(f"{words} ({code})", fields=tuple(named) if isinstance(named, dict | list) else ())


def printed_before(answer: Response) -> bool:
    """Whether a body is JSON with something printed before it: a PHP notice, or the output of some plugin."""
    body = answer.content.strip()
    return body[-1:] in (b"}", b"]") and body[:1] not in (b"{", b"[") and (b'{"' in body or b"[]" in body)


def not_json(answer: Response, *, wrote: bool = False) -> Transient:
    """The error of an answer that should be JSON. `wrote`: to a request that was to change something."""
    said = f"HTTP {answer.status} with a body that is not JSON: {answer.structure()}"
    if printed_before(answer):
        said = (
            f"HTTP {answer.status} with JSON behind something that was printed before it ({answer.structure()}), "
            "a notice of PHP or a plugin's output: switch WP_DEBUG_DISPLAY off in the shop's wp-config.php"
        )
    return Transient(said, maybe_applied=wrote)


def not_seen(answer: Response) -> bool:
    """Whether WooCommerce saw no usable keys at all: any 401 but that of its own check of the keys, or the refusal of
    something that stands before it."""
    if answer.status not in (401, 403):
        return False
    body = answer.json_or_none()
    code = str(body.get("code", "")) if isinstance(body, dict) else ""
    refused = answer.status == 401 and code != "woocommerce_rest_authentication_error"
    return refused or (code != "" and _is_foreign(code))


def _is_foreign(code: str) -> bool:
    """A refusal that is not WooCommerce's, which has codes of its own for whoever may not do a thing.

    Plugins that take the header for their own say so with codes of their own or with WordPress's (`rest_forbidden`).
    """
    return not code.startswith(("woocommerce_", "wc_"))


#: Answers that speak of the way there, as `synccore.http.target_fault` has them.
_IN_BETWEEN = (405, 407, 408, 413, 421, 425)


def _claimed(answer: Response, code: str, words: str) -> str:
    said = f"another plugin of the shop (for logging in, for security) answers for WooCommerce: {words} ({code})."
    if urlsplit(answer.url).path.rstrip("/").endswith("/wp-json"):
        return f"{said} It closes WordPress's REST API to whoever is not logged in: let it leave out /wp-json/."
    return (
        f"{said} Where it takes the Authorization header for its own (JWT and single sign-on plugins do) or closes the "
        "REST API, let it leave out /wp-json/wc/. Signed requests without that header were refused too."
    )


def _unauthorized(code: str, words: str, *, signed: bool) -> AuthError:
    if code == "woocommerce_rest_authentication_error":
        if "timestamp" in words.lower():
            return AuthError(f"the shop refuses the signature's time: set this machine's clock ({words})")
        return KeysRefused(f"the shop refuses the keys: {words}")
    how = "signed requests" if signed else "https with Basic authentication and signed requests"
    return KeysRefused(
        f"the shop does not accept the keys: {words} ({code}). The consumer key is unknown to it, or something in "
        f"front of it takes the keys out of the request. Tried {how}."
    )


def _redirected(answer: Response) -> str:
    asked = urlsplit(answer.url)
    target = urlsplit(urljoin(answer.url, answer.headers.get("location", "")))
    front, api, _ = target.path.partition("/wp-json")
    if target[:2] == asked[:2] and (not api or asked.path.startswith(f"{front}{api}")):
        said = f"the shop redirects {asked.path} to {target.path}"
        return f"{said}: let its redirects, and plugins that close it to visitors, leave out /wp-json/"
    where = f"{target.scheme}://{target.netloc}{front}"
    return f"the shop redirects to {where}: set url to the address that does not redirect"


def _words(body: Mapping[str, Any]) -> str:
    data = body.get("data")
    params = data.get("params") if isinstance(data, dict) else None
    said = str(body.get("message", ""))
    if isinstance(params, dict):
        said += " " + "; ".join(str(v) for v in params.values())
    return redact(" ".join(re.sub(r"<[^<>]*+>", " ", said).split()), 300)
