"""A web endpoint over a real app: one shop, one target, an outbox in a temporary folder."""

import html
import http.client
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest
from attrs import field, frozen

from synccore._app.app import App
from synccore._web import Metrics, WebServer, create_web
from synccore.config import option
from synccore.errors import Rejected
from synccore.hookspecs import SinkType
from synccore.secrets import Secret
from synccore.store import LaneRecord
from synccore.testing import FakeClock, Harness, ScriptedSink, customer
from synccore.types import Account, Check, Context, Limits, ObjectType, WebhookRequest


@frozen(kw_only=True)
class CrmConfig:
    url: str = option(help="address of the target")
    key: Secret = option(help="its key")
    pause: timedelta = option(default=timedelta(seconds=2), help="between two pages")


@frozen(kw_only=True)
class Video:
    title: str
    preview_url: str
    view_url: str


class Crm(ScriptedSink):
    """A target whose account is known; a test may give it `videos` and a `connect`."""

    def check(self) -> Check:
        return Check(account=Account(id="1", label="Ada"))


class Gate:
    """The daemon's door (`synccore._web.Door`); a test sets what happens to a webhook."""

    def __init__(self) -> None:
        self.app: Any = None
        self.metrics = Metrics()
        self.waiting: str | None = None
        self.received: list[tuple[str, WebhookRequest]] = []
        self.on_receive: Callable[[str, WebhookRequest], None] = lambda source, request: None

    def not_ready(self) -> str | None:
        return self.waiting

    def not_well(self) -> str | None:
        return self.waiting

    def receive(self, source: str, request: WebhookRequest) -> None:
        self.on_receive(source, request)
        self.received.append((source, request))


class House:
    """What is behind the endpoint."""

    def __init__(self, folder: Path, *, routes: Mapping[str, Any] | None = None, **server: Any) -> None:
        self.crm = Crm()
        self.door = Gate()
        self._harness = Harness(
            folder,
            routes=routes or {"people": {"entity": "customer", "fields": {"email": "customer.email"}}},
            sink_types={
                "crm": (self._type("fakecrm"), {"url": "https://crm.test", "key": {"secret": "CRM"}}),
                "idle": (self._type("idle"), None),
            },
            server={"listen": "127.0.0.1:0", **server},
        )
        self.app: App = self._harness.app
        self.door.app = self.app
        self.clock: FakeClock = self._harness.clock
        self.shop = self._harness.source
        self.emit, self.drain = self._harness.emit, self._harness.drain
        self.close = self._harness.close

    def _type(self, name: str) -> SinkType:
        return SinkType(
            name=name,
            summary=f"A made-up target ({name}).",
            config=CrmConfig,
            open=self._open,
            objects=(ObjectType(name="thing", summary="Anything."),),
            limits=Limits(max_batch=10),
        )

    def _open(self, _config: CrmConfig, context: Context) -> Crm:
        self.crm.context = context
        return self.crm

    def lane(self, state: str, reason: str | None = None, name: str = "crm") -> None:
        """Put a sink's lane (`source:NAME`: a source) into a state."""
        self.app.store.put_lane(LaneRecord(sink=name, state=state, reason=reason, changed_at=self.clock.now()))  # type: ignore[arg-type]

    def reached(self) -> None:
        """Shop and target have answered once."""
        self.lane("ok", name="source:shop")
        self.lane("ok")

    def owe(self, count: int) -> None:
        """Let the shop report new customers."""
        known = self.app.store.snapshot_counts("shop").get("customer", 0)
        self._harness.emit(*(customer(str(known + n), email=f"{known + n}@shop.test") for n in range(1, count + 1)))

    def deliver(self, count: int) -> None:
        """Let new customers arrive."""
        self.owe(count)
        self._harness.drain()

    def park(self, count: int, why: str = "too long") -> None:
        """Let the target refuse new customers."""
        self.crm.always(lambda _: Rejected(why))
        self.deliver(count)
        self.crm.always(None)


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

    def act(self, path: str, page: str = "/people", **form: str) -> Answer:
        """Send a form as the button on `page` does, and follow where it leads."""
        answer = self.post(path, urlencode({"token": self.token(page), **form}))
        while answer.status == 303:
            answer = self.get(urljoin(path, answer.headers["location"]))
        return answer

    def login(self, password: str) -> Answer:
        return self.post("/login", f"token={self.token('/login')}&password={password}")


@frozen
class Site:
    house: House
    server: WebServer
    visitors: list[Visitor] = field(factory=list)

    def visitor(self) -> Visitor:
        return Visitor(self.server.port)


def words(answer: Answer) -> str:
    """A page's text without markup."""
    text = re.sub(r"(?s)<(script|style).*?</\1>", "", answer.text)
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", text).split()))


#: A shop with people, orders and renewals, on routes of their own.
FULL: Mapping[str, Any] = {
    "people": {
        "entity": "customer",
        "include": ["order"],
        "when": "customer.email",
        "fields": {"email": "customer.email", "name": "customer.name", "orders": "orders | length"},
    },
    "orders": {"entity": "order", "after": "people", "fields": {"number": "order.number", "total": "order.total"}},
}


@pytest.fixture
def full() -> Mapping[str, Any]:
    return FULL


@pytest.fixture(name="words")
def words_() -> Callable[[Answer], str]:
    return words


@pytest.fixture
def new_house(tmp_path) -> Iterator[Callable[..., House]]:
    """Makes apps with these `[server]` settings; all are closed at the end."""
    made: list[House] = []

    def make(**server: Any) -> House:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(House(folder, **server))
        return made[-1]

    yield make
    for house in made:
        house.close()


@pytest.fixture
def open_site(new_house) -> Iterator[Callable[..., Site]]:
    """Starts endpoints; all are stopped at the end and must have left no thread of their own."""
    running: list[WebServer] = []

    def start(**server: Any) -> Site:
        house = new_house(**server)
        endpoint = WebServer(create_web(house.door), "127.0.0.1", 0)
        endpoint.start()
        running.append(endpoint)
        return Site(house, endpoint)

    yield start
    for endpoint in running:
        endpoint.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("synccore-web")]


@pytest.fixture
def video() -> type[Video]:
    return Video
