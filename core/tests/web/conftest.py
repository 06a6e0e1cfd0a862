"""A web endpoint over a made-up daemon."""

import http.client
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import field, frozen

from synccore._web import InstanceView, Metrics, WebServer, create_web
from synccore.config import option
from synccore.secrets import Secret
from synccore.testing import FakeClock
from synccore.types import Account, WebhookRequest


@frozen(kw_only=True)
class ShopConfig:
    url: str = option(help="address of the shop")
    key: Secret = option(help="its key")
    pause: timedelta = option(default=timedelta(seconds=2), help="between two pages")


@frozen(kw_only=True)
class Video:
    title: str
    preview_url: str
    view_url: str


class FakeStore:
    def __init__(self) -> None:
        self.causes: list[Any] = []
        self.lines: list[Any] = []
        self.active: dict[str, Any] = {}

    def parked_causes(self, limit: int = 50) -> list[Any]:
        return self.causes[:limit]

    def history(self, *, limit: int | None = 200) -> list[Any]:
        return self.lines[-(limit or 0) :]

    def last_activity(self) -> Mapping[str, Any]:
        return self.active


class FakeServices:
    """A `WebServices` whose every answer a test can set."""

    def __init__(self, *, host: str = "127.0.0.1", password: str | None = None, public_url: str | None = None) -> None:
        shop = SimpleNamespace(
            name="shop",
            type="fakeshop",
            descriptor=SimpleNamespace(summary="A made-up shop."),
            config=ShopConfig(url="https://shop.test", key=Secret("hunter2", "env SHOP_KEY")),
        )
        crm = SimpleNamespace(
            name="crm",
            type="fakecrm",
            descriptor=SimpleNamespace(summary="A made-up target."),
            config=ShopConfig(url="https://crm.test", key=Secret("hunter3", "secret CRM")),
        )
        self.settings: Any = SimpleNamespace(
            server=SimpleNamespace(
                host=host,
                port=0,
                public_url=public_url,
                dashboard_password=Secret(password) if password else None,
            ),
            sources={"shop": shop},
            sinks={"crm": crm},
            routes={
                "people": SimpleNamespace(name="people", source="shop", entity="customer", sink="crm", object="person")
            },
        )
        self.plugins: Any = SimpleNamespace(
            sources={"fakeshop": SimpleNamespace(summary="A made-up shop.")},
            sinks={"fakecrm": SimpleNamespace(summary="A made-up target."), "idle": SimpleNamespace(summary="Unused.")},
        )
        self.store: Any = FakeStore()
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.waiting: str | None = None
        self.received: list[tuple[str, WebhookRequest]] = []
        self.on_receive: Callable[[str, WebhookRequest], None] = lambda source, request: None
        self.document: dict[str, Any] = {
            "sources": {
                "shop": {
                    "type": "fakeshop",
                    "state": "ok",
                    "reason": None,
                    "entities": {"customer": {"snapshots": 1234, "cursor": "x", "last_poll_at": None}},
                }
            },
            "sinks": {
                "crm": {
                    "type": "fakecrm",
                    "state": "ok",
                    "reason": None,
                    "ready": 3,
                    "running": 2,
                    "parked": 0,
                    "done": 1200,
                    "skipped": 4,
                    "oldest_ready_seconds": 5,
                }
            },
            "routes": {},
        }
        self.views: dict[str, InstanceView] = {}
        self.on_connect: Callable[[str, Any], Account] = lambda name, browser: Account(id="1", label="Ada")

    def not_ready(self) -> str | None:
        return self.waiting

    def receive(self, source: str, request: WebhookRequest) -> None:
        self.on_receive(source, request)
        self.received.append((source, request))

    def status(self) -> Mapping[str, Any]:
        return self.document

    def calls(self, name: str) -> int:
        return {"crm": 17}.get(name, 0)

    def instance(self, name: str) -> InstanceView:
        return self.views.get(name, InstanceView(plugin=SimpleNamespace()))

    def connect(self, name: str, browser: Any) -> Account:
        return self.on_connect(name, browser)


@frozen
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Visitor:
    """A browser without a screen: keeps cookies, follows nothing."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self.set_cookie = ""

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = dict(headers or {})
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                self.set_cookie = value
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.split(";")[0].strip('"')
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, content)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, form: str = "", **headers: str) -> Answer:
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, form, sent | {k.replace("_", "-"): v for k, v in headers.items()})

    def token(self, path: str) -> str:
        found = re.search(r'name="token" value="(\w+)"', self.get(path).text)
        assert found, f"no form on {path}"
        return found[1]

    def login(self, password: str) -> Answer:
        return self.post("/login", f"token={self.token('/login')}&password={password}")


@frozen
class Site:
    services: FakeServices
    server: WebServer
    visitors: list[Visitor] = field(factory=list)

    def visitor(self) -> Visitor:
        return Visitor(self.server.port)


@pytest.fixture
def open_site() -> Iterator[Callable[..., Site]]:
    """Starts endpoints; all are stopped at the end and must have left no thread of their own."""
    running: list[WebServer] = []

    def start(services: FakeServices | None = None) -> Site:
        services = services or FakeServices()
        server = WebServer(create_web(services), "127.0.0.1", 0)
        server.start()
        running.append(server)
        return Site(services, server)

    yield start
    for server in running:
        server.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("synccore-web")]


@pytest.fixture
def services_type() -> type[FakeServices]:
    return FakeServices


@pytest.fixture
def video() -> type[Video]:
    return Video
