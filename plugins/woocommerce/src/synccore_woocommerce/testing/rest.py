"""The shop's REST API over HTTP."""

import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from attrs import frozen

from synccore.testing import LoopbackServer, Reply, Request
from synccore.types import Clock

from .auth import Gate, Key
from .lists import RestError, only_fields, page_of, rows_of
from .quirks import Quirks
from .records import SUBSCRIPTION_STATUSES, Record, refund_record
from .resources import ALL_METHODS, Resources
from .shop import Shop
from .webhooks import Webhooks

__all__ = ["KEY", "READ_KEY", "FakeWooCommerce"]

KEY = Key(key="ck_" + "0a" * 20, secret="cs_" + "0b" * 20)
READ_KEY = Key(key="ck_" + "1a" * 20, secret="cs_" + "1b" * 20, permissions="read")

_JSON = "application/json; charset=UTF-8"
_NO_CACHE = "no-cache, must-revalidate, max-age=0, no-store, private"
_NAMESPACES = ["oembed/1.0", "wc/v3", "wc/v1", "wc-analytics", "wc/store", "wc/store/v1", "wc/v2", "wp/v2"]
_MEMBERS = ["wc/v2/memberships", "wc/v3/memberships", "wc/v4/memberships"]


@frozen(kw_only=True)
class _Route:
    """An address under `/wp-json/`, taken apart."""

    kind: str
    number: int | None = None
    extra: str = ""


class FakeWooCommerce(LoopbackServer):
    """A shop. The actions of `testing.shop.Shop` are its methods too (`shop.add_customer(...)`).

    Args:
        clock: the shop's clock; the machine's own where left out.
        hpos: orders in tables of their own, as new shops have it.
        subscriptions, memberships: whether those plugins are there.
        permalinks: False is a shop with plain permalinks, which has no `/wp-json/`.
        home: the address the shop believes to have, where it is another than the one that is dialled.
        tls: https with a certificate of its own; trust `ca_file`.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        clock: Clock | None = None,
        hpos: bool = True,
        subscriptions: bool = True,
        memberships: bool = True,
        permalinks: bool = True,
        home: str | None = None,
        tls: bool = False,
        name: str = "Synthetic Shop",
    ) -> None:
        self._clock = clock
        self._home_setting = home
        #: What its index gives where another shop has taken over this one's address.
        self.names_itself: str | None = None
        self._tls = tls
        #: Whether PHP knows that it is asked over https; False with `tls` is a proxy that does not tell.
        self.php_knows_https = tls
        self.name = name
        self.quirks = Quirks()
        self.has_subscriptions = subscriptions
        self.has_memberships = memberships
        self.permalinks = permalinks
        self.ca_file: Path | None = None
        self.hooks = Webhooks(self.now, self.home)
        self.shop = Shop(self.now, self.home, hpos=hpos)
        self.shop.queue = self.hooks.queue
        self.resources = Resources(self.shop, self.hooks, self.home)
        self.hooks.payload = self.resources.payload
        self.gate = Gate(self.now, self.home)
        for key in (KEY, READ_KEY):
            self.gate.keys[key.key] = key
        super().__init__(port)
        if tls:
            self._use_tls()

    def __getattr__(self, name: str) -> Any:
        """The shop's actions."""
        if name.startswith("_") or "shop" not in self.__dict__:
            raise AttributeError(name)
        action = getattr(self.shop, name)

        def locked(*args: Any, **fields: Any) -> Any:
            with self._lock:
                return action(*args, **fields)

        return locked if callable(action) else action

    def now(self) -> datetime:
        """The shop's time, whole seconds."""
        now = self._clock.now() if self._clock is not None else datetime.now(UTC)
        return now.replace(microsecond=0)

    @property
    def url(self) -> str:
        """The address to dial."""
        return super().url.replace("http://", "https://") if self._tls else super().url

    def home(self) -> str:
        """The address the shop believes to have."""
        return self.names_itself or self._home_setting or self.url

    def webhook(self, topic: str, delivery_url: str, secret: str) -> int:
        """A webhook that was made before; no ping."""
        with self._lock:
            return int(
                self.hooks.create({"topic": topic, "delivery_url": delivery_url, "secret": secret}, ping=False)["id"]
            )

    def run_queue(self) -> int:
        """WP-Cron runs: everything that waits is sent now. Gives the number of deliveries."""
        return self.hooks.run()

    # -- HTTP

    def handle(self, request: Request) -> Reply:
        """Answer as WordPress does, and what stands around it."""
        return self.quirks.before(request) or self.quirks.after(self._answer(request))

    def _answer(self, request: Request) -> Reply:
        if not request.path.startswith("/wp-json"):
            return self._outside(request)
        if not self.permalinks:
            return Reply(404, "<!DOCTYPE html><html><body>404 Not Found</body></html>")
        query = self.quirks.query(dict(request.query))
        path = request.path.removeprefix("/wp-json").strip("/")
        if path == "":
            return self._reply(
                200, only_fields(self._index(), query.get("_fields"), links=False), allow="GET", cached=True
            )
        try:
            user = self.gate.user(request, https=self.php_knows_https)
        except RestError as error:
            return self._reply(error.status, error.body, cached=not error.known)
        try:
            return self._routed(request, path, query, user)
        except RestError as error:
            allow = self._allow(path, user) if error.allow else None
            return self._reply(error.status, error.body, allow=allow, cached=user is None)

    def _outside(self, request: Request) -> Reply:
        route = request.param("rest_route")
        if request.path == "/" and route is not None:
            if route == "/":
                return self._reply(200, self._index(), cached=True)
            # Keys are only looked at under /wp-json/.
            return self._reply(401, _cannot_view(401).body, cached=True)
        return Reply(404, "<!DOCTYPE html><html><body>nothing here</body></html>")

    def _index(self) -> Record:
        return {
            "name": self.name,
            "description": "",
            "url": self.home(),
            "home": self.home(),
            "gmt_offset": -5,
            "timezone_string": "America/New_York",
            "namespaces": _NAMESPACES + (_MEMBERS if self.has_memberships else []),
        }

    def _reply(
        self,
        status: int,
        body: Any,
        *,
        allow: str | None = None,
        cached: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        out = {"Content-Type": _JSON, "Link": f'<{self.home()}/wp-json/>; rel="https://api.w.org/"'}
        if not cached:
            out["Cache-Control"] = _NO_CACHE
        if allow:
            out["Allow"] = allow
        return Reply(status, body, {**out, **(headers or {})})

    def _allow(self, path: str, user: Key | None = None) -> str:
        """What the caller may do with an address; nobody may delete the administrator who asks."""
        route = self._route(path)
        if route is None:
            return ""
        record = self.shop.customers.get(route.number or 0) if route.kind == "customers" else None
        if record is not None and record["role"] == "administrator":
            return "GET" if user is not None and user.role == "shop_manager" else "GET, POST, PUT, PATCH"
        if route.kind == "system_status" or route.kind == "memberships/plans" or route.extra in ("orders", "statuses"):
            return "GET"
        if route.extra == "batch":
            return "POST, PUT, PATCH"
        return "GET, POST" if route.number is None or route.extra else ALL_METHODS

    def _route(self, path: str) -> _Route | None:
        parts = path.split("/")
        if parts[0] != "wc" or parts[1:2] not in (["v3"], ["v2"], ["v4"]):
            return None
        rest = parts[2:]
        if rest[:1] == ["memberships"]:
            rest = ["/".join(rest[:2]), *rest[2:]]
        if not rest or (parts[1] != "v3" and not rest[0].startswith("memberships/")):
            return None
        known = {"customers", "orders", "webhooks", "system_status", "products"}
        known |= {"subscriptions"} if self.has_subscriptions else set()
        known |= {"memberships/members", "memberships/plans"} if self.has_memberships else set()
        if rest[0] not in known:
            return None
        if len(rest) == 1:
            return _Route(kind=rest[0])
        if rest[1].isdigit():
            return _Route(kind=rest[0], number=int(rest[1]), extra="/".join(rest[2:]))
        return _Route(kind=rest[0], extra=rest[1]) if rest[1] in ("batch", "statuses") else None

    def _routed(self, request: Request, path: str, query: dict[str, str], user: Key | None) -> Reply:
        route = self._route(path)
        if route is None:
            error = RestError(404, "rest_no_route", "No route was found matching the URL and request method.")
            error.allow = False
            raise error
        self._permit(request, route, user)
        body = self._body(request)
        if route.kind == "system_status":
            return self._status(query)
        if route.extra == "batch":
            return self._batch(route.kind, body, user)
        if route.extra:
            return self._inner(request, route, body)
        if route.number is None:
            return (
                self._list(request, route.kind, query)
                if request.method in ("GET", "HEAD")
                else self._create(route, body, query)
            )
        return self._single(request, route, query, body, user)

    def _body(self, request: Request) -> Any:
        if request.method in ("GET", "HEAD", "DELETE") or not request.body:
            return {}
        try:
            return request.json()
        except ValueError:
            raise RestError(
                400,
                "rest_invalid_json",
                "Invalid JSON body passed.",
                json_error_code=4,
                json_error_message="Syntax error",
            ) from None

    def _permit(self, request: Request, route: _Route, user: Key | None) -> None:
        if user is None:
            error = _cannot_view(401)
            error.allow = False
            raise error
        if user.role == "editor" or (route.kind == "products" and self.quirks.no_products):
            error = _cannot_view(403)
            error.allow = False
            raise error
        if user.role == "shop_manager" and route.kind == "customers" and route.extra == "batch":
            error = RestError(
                403, "woocommerce_rest_cannot_batch", "Sorry, you are not allowed to batch manipulate this resource."
            )
            error.allow = False
            raise error

    # -- lists and single records

    def _list(self, request: Request, kind: str, query: dict[str, str]) -> Reply:
        size, page, offset = page_of(kind, query)
        if query.get("orderby") == "modified" and not self.quirks.knows_modified():
            raise RestError.parameter("orderby", "orderby is not one of date, id.", "rest_not_in_enum")
        if self.quirks.cap is not None and size > self.quirks.cap:
            size = self.quirks.cap
            offset = offset if query.get("offset") else (page - 1) * size
        rows = self.resources.webhook_rows(query) if kind == "webhooks" else rows_of(kind, self.shop, query)
        odd = self.quirks.odd_rows.get(kind, ())
        total = len(odd) + len(rows)
        pages = -(-total // size)
        own = slice(max(0, offset - len(odd)), max(0, offset + size - len(odd)))
        shown = (self.quirks.laid(kind, self.resources.linked(kind, row)) for row in rows[own])
        part: list[Any] = [*odd[offset : offset + size], *shown]
        body = [only_fields(row, query.get("_fields"), links=False) if isinstance(row, dict) else row for row in part]
        if kind in ("orders", "subscriptions") and not part and offset and self.shop.hpos:
            total = pages = 0
        headers = {} if self.quirks.no_total else {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)}
        if page < pages and "offset" not in query:
            headers["Link"] = self._page_link(request, query, page + 1, "next")
        elif page > 1:
            headers["Link"] = self._page_link(request, query, min(page - 1, pages), "prev")
        allow = self._allow(f"wc/v3/{kind}")
        return self._reply(200, body, allow=allow, headers=headers)

    def _page_link(self, request: Request, query: Mapping[str, str], page: int, rel: str) -> str:
        others = {k: v for k, v in query.items() if k != "page"}
        return f'<{self.home()}{request.path}?{urlencode({**others, "page": page})}>; rel="{rel}"'

    def _single(self, request: Request, route: _Route, query: dict[str, str], body: Any, user: Key | None) -> Reply:
        kind, number = route.kind, route.number or 0
        if request.method == "DELETE":
            old = self.resources.delete(kind, number, force=query.get("force", "").lower() in ("1", "true"))
            allow = None if kind == "customers" else self._allow(f"wc/v3/{kind}/1")
            return self._reply(200, only_fields(old, query.get("_fields"), links=True), allow=allow)
        record = {**self.resources.find(kind, number), **self.quirks.overlay.get((kind, number), {})}
        if request.method not in ("GET", "HEAD"):
            if (
                kind == "customers"
                and user is not None
                and user.role == "shop_manager"
                and record["role"] == "administrator"
            ):
                raise RestError(
                    403, "woocommerce_rest_cannot_edit", "Sorry, you are not allowed to edit this resource."
                )
            self.resources.write(kind, number, body)
            record = self.resources.find(kind, number)
        return self._reply(
            200,
            only_fields(self.resources.linked(kind, record), query.get("_fields"), links=True),
            allow=self._allow(f"wc/v3/{kind}/{number}", user),
        )

    def _inner(self, request: Request, route: _Route, body: Any) -> Reply:
        number = route.number or 0
        if route.extra == "statuses" and route.kind == "subscriptions":
            return self._reply(200, SUBSCRIPTION_STATUSES, allow="GET")
        if route.kind == "orders" and route.extra == "refunds" and request.method == "POST":
            return self._refund(number, body)
        if route.kind == "orders" and route.extra == "notes":
            self.resources.find("orders", number)
            return self._reply(200, self.shop.notes.get(number, []), allow="GET, POST")
        if route.kind == "subscriptions" and route.extra == "orders":
            self.resources.find("subscriptions", number)
            meta = {"key": "_subscription_renewal", "value": str(number)}
            rows = [o for o in self.shop.orders.values() if meta.items() <= (o["meta_data"] or [{}])[0].items()]
            body = [_renewal(self.resources.linked("orders", row)) for row in reversed(rows)]
            headers = {"X-WP-Total": str(len(rows)), "X-WP-TotalPages": "1"}
            return self._reply(200, body, allow="GET", headers=headers)
        raise RestError(404, "rest_no_route", "No route was found matching the URL and request method.")

    def _refund(self, order: int, body: Any) -> Reply:
        self.resources.find("orders", order)
        number = self.shop.refund(order, str(body["amount"]), str(body.get("reason", "")))
        base = f"{self.home()}/wp-json/wc/v3/orders"
        # The pattern in the address is the real shop's own slip.
        location = f"{base}/(?P<order_id>[\\d]+)/refunds/{number}"
        return self._reply(
            201, refund_record(number, order, self.now(), body, base), allow="GET, POST", headers={"Location": location}
        )

    def _status(self, query: Mapping[str, str]) -> Reply:
        status = {"environment": {"version": self.quirks.version}, "settings": {"HPOS_enabled": self.shop.hpos}}
        return self._reply(200, only_fields(status, query.get("_fields"), links=False), allow="GET")

    # -- writes

    def _create(self, route: _Route, body: Any, query: Mapping[str, str]) -> Reply:
        kind = route.kind
        number = self.resources.new(kind, body)
        record = self.resources.linked(kind, self.resources.find(kind, number))
        location = f"{self.home()}/wp-json/wc/v3/{kind}/{number}"
        return self._reply(
            201,
            only_fields(record, query.get("_fields"), links=True),
            allow=self._allow(f"wc/v3/{kind}"),
            headers={"Location": location},
        )

    def _batch(self, kind: str, body: Mapping[str, Any], user: Key | None) -> Reply:
        if sum(len(body.get(part, ())) for part in ("create", "update", "delete")) > 100:
            raise RestError(
                413,
                "woocommerce_rest_request_entity_too_large",
                "Unable to accept more than 100 items for this request.",
            )
        out: dict[str, list[Any]] = {}
        for part in ("create", "update", "delete"):
            for row in body.get(part, ()):
                number = int(row if part == "delete" else row.get("id", 0))
                out.setdefault(part, []).append(self.resources.batch_row(kind, part, number, row))
        return self._reply(200, out, allow="POST, PUT, PATCH")

    # -- TLS

    def _use_tls(self) -> None:
        from .certificate import self_signed

        self.ca_file = self_signed()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)


def _cannot_view(status: int) -> RestError:
    return RestError(status, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")


def _renewal(order: Record) -> Record:
    """An order as `/subscriptions/ID/orders` shows it: some fields less, one more."""
    links = order.pop("_links")
    shown = {name: value for name, value in order.items() if name not in ("refunds", "currency_symbol")}
    return {**shown, "order_type": "renewal_order", "_links": links}


def settings(shop: FakeWooCommerce, webhook_secret: str, entities: Iterable[str], **more: Any) -> dict[str, Any]:
    """The `[sources.NAME]` table that reaches the stand-in; `more` of its settings."""
    return {
        "type": "woocommerce",
        "url": shop.url,
        "consumer_key": KEY.key,
        "consumer_secret": KEY.secret,
        "webhook_secret": webhook_secret,
        "entities": list(entities),
        **more,
    }
