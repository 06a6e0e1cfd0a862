"""What hosts, caches and plugins do to a shop's answers: all of it off, until a test switches it on.

shop.quirks.cap = 20            # no page holds more, whatever `per_page` says
shop.quirks.no_total = True     # a proxy takes X-WP-Total away
"""

import gzip
import json
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from synccore.testing import Reply, Request

__all__ = ["Quirks"]

_LISTS = ("meta_data", "line_items", "refunds", "fee_lines", "coupon_lines", "tax_lines", "shipping_lines")
_OBJECTS = ("image", "shipping")
_HTML = "<!DOCTYPE html><html><head><title>Shop</title></head><body>Welcome, Ada Berg</body></html>"


@define(kw_only=True)
class Quirks:
    """The misbehaviour of one shop."""

    #: The most rows a page holds.
    cap: int | None = None
    no_total: bool = False
    #: Parameters that never reach WordPress; "everything" is the whole query.
    ignore: frozenset[str] = frozenset()
    #: PHP's arrays: lists with a gap as objects, empty objects as lists.
    php_arrays: bool = False
    #: Rows that are no records, by list: they come first, and are counted.
    odd_rows: dict[str, list[Any]] = field(factory=dict)
    #: Values laid over records, by list and id.
    overlay: dict[tuple[str, int], Mapping[str, Any]] = field(factory=dict)
    #: Bodies compressed without a header that says so.
    gzip: bool = False
    #: Text before every body: a notice of some plugin.
    prefix: str = ""
    #: A plugin for JSON web tokens refuses every Authorization header.
    jwt: tuple[int, str] | None = None
    #: Every address without a slash at its end is redirected to the one with it.
    slash: bool = False
    #: The web server sends every path to the front page.
    front_page: bool = False
    #: WooCommerce's version: `orderby=modified` came with 4.4, `modified_after` with 5.8.
    version: str = "11.0.1"
    #: Status and code of products: a key's user may not read them.
    no_products: bool = False

    def before(self, request: Request) -> Reply | None:
        """What answers in WordPress's stead."""
        if self.front_page and "rest_route" not in dict(request.query):
            return Reply(200, _HTML)
        if self.slash and not request.path.endswith("/"):
            query = request.target.partition("?")[2]
            return Reply(301, None, {"Location": f"{request.path}/" + (f"?{query}" if query else "")})
        if self.jwt is not None and "authorization" in request.headers and request.path.startswith("/wp-json"):
            status, code = self.jwt
            body = {"code": code, "message": "Authorization header malformed.", "data": {"status": status}}
            return Reply(status, body)
        return None

    def query(self, query: Mapping[str, str]) -> dict[str, str]:
        """What of a query arrives."""
        if "everything" in self.ignore:
            return {}
        left = {name: value for name, value in query.items() if name not in self.ignore}
        if self._before(5, 8):
            left.pop("modified_after", None)
            left.pop("modified_before", None)
        return left

    def knows_modified(self) -> bool:
        """Whether lists can be ordered by modified time."""
        return not self._before(4, 4)

    def laid(self, kind: str, row: Any) -> Any:
        """A row of a list as it is here."""
        return {**row, **self.overlay.get((kind, row["id"]), {})}

    def after(self, reply: Reply) -> Reply:
        """An answer as it arrives."""
        if reply.body is None or isinstance(reply.body, bytes) or not (self.php_arrays or self.gzip or self.prefix):
            return reply
        body = _php(reply.body) if self.php_arrays else reply.body
        text = body if isinstance(body, str) else json.dumps(body)
        data = (self.prefix + text).encode()
        return Reply(reply.status, gzip.compress(data) if self.gzip else data, reply.headers)

    def _before(self, major: int, minor: int) -> bool:
        one, other, *_ = (int(part) for part in self.version.split("."))
        return (one, other) < (major, minor)


def _php(value: Any) -> Any:
    """Nested lists with a gap in their numbers, and nothing where an object is empty."""
    if isinstance(value, list):
        return [_php(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for name, inner in value.items():
        if name in _LISTS and isinstance(inner, list) and inner:
            out[name] = {str(2 * place + 1): _php(row) for place, row in enumerate(inner)}
        elif name in _OBJECTS and isinstance(inner, dict) and not any(inner.values()):
            out[name] = []
        else:
            out[name] = _php(inner)
    return out
