"""The address of a request, put together from what is known of it.

httpx reads an address three times for each request, character by character: two thirds of what a request takes.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

import httpx

__all__ = ["Addresses"]

#: What stands in an address as it is written.
_PATH = re.compile(r"[A-Za-z0-9_.~:@,;+=&$!()*'/-]*(?:%[0-9A-Fa-f]{2}[A-Za-z0-9_.~:@,;+=&$!()*'/-]*)*")
_QUERY = re.compile(r"[A-Za-z0-9_.~:@,;+=&$!()*'/?-]*(?:%[0-9A-Fa-f]{2}[A-Za-z0-9_.~:@,;+=&$!()*'/?-]*)*")
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
#: What `quote_plus` makes of each character, which it looks at one by one.
_ESCAPED = {code: quote_plus(chr(code)) for code in range(128)}
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:-]+/")
#: Longer ones are left to httpx, which has a limit of its own.
_SHORT = 10_000

#: The address of a path that ends in a slash, with what is put behind it: a path, a query or None.
Behind = Callable[[str, str | None], httpx.URL]


class Addresses:
    """Addresses below the one of a client."""

    def __init__(self, base: httpx.URL) -> None:
        plain = base.is_absolute_url and not base.query and not base.fragment
        #: What a path is put behind; it ends with a slash, or a path would go on with the name of the host.
        self._base = str(base) + "/" * (not str(base).endswith("/")) if plain else None
        self._behind = _behind(self._base) if self._base is not None else None

    def of(self, url: str, params: list[tuple[str, Any]] | None) -> httpx.URL | None:
        """The address of a plain path, or of an address of another host, with its query: the one httpx would make.

        None for any other. Raises httpx.InvalidURL.
        """
        path, mark, query = url.partition("?")
        if "#" in url or (mark and params is not None):
            return None
        told = (query if mark else None) if params is None else _query(params) or None
        if (origin := _ORIGIN.match(path)) is not None:
            behind, rest = _behind(origin[0]), path[origin.end() :]
        else:
            behind, rest = self._behind, path[path[:1] == "/" :]
        if behind is not None and path and _is_plain(rest, told or ""):
            return behind(rest, told)
        if self._base is None or path[:1] != "/" or path[1:2] == "/":
            return None
        return httpx.URL(f"{self._base}{path[1:]}{f'?{told}' if told is not None else ''}")


def _is_plain(path: str, query: str) -> bool:
    """Whether httpx would leave every character of them as it is."""
    if path[:1] == "/" or len(path) + len(query) > _SHORT:
        return False
    if "/." in f"/{path}" or ":" in path.partition("/")[0]:
        return False  # one goes up, the other one begins with a scheme, perhaps
    return _PATH.fullmatch(path) is not None and _QUERY.fullmatch(query) is not None


def _query(params: list[tuple[str, Any]]) -> str:
    if len(dict(params)) == len(params) and all(type(value) is str for _, value in params):
        return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in params])
    return str(httpx.QueryParams(params))


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return text.translate(_ESCAPED) if text.isascii() else quote_plus(text)


@lru_cache(maxsize=100)
def _behind(base: str) -> Behind | None:
    """None where this httpx keeps an address otherwise: its parts are no part of what it promises."""
    url = httpx.URL(base)
    parts: Any = getattr(url, "_uri_reference", None)
    if not hasattr(parts, "_replace") or str(url) != base:
        return None
    beginning = url.path

    def behind(path: str, query: str | None) -> httpx.URL:
        whole = httpx.URL(url)
        whole._uri_reference = parts._replace(path=beginning + path, query=query)  # noqa: SLF001  see above
        return whole

    return behind
