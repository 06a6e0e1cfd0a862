"""One night in one process: a shop, an org, the daemon's parts under a clock that only the test moves, and two hands.

What the test believes comes from the stand-ins alone: which contacts the org holds, which messages the pager got.
"""

import io
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import tomlkit
from attrs import define, field, frozen
from click.testing import CliRunner

from synccore._app.app import App
from synccore._cli import cli
from synccore._cli._session import Session
from synccore._daemon.alerts import AlertWatch
from synccore._daemon.sources import SourceWorker
from synccore._plugins import load_plugins
from synccore._verbs.connect import connect
from synccore._verbs.parts.changed import note_routes
from synccore._web import Metrics, WebServer, create_web
from synccore.testing import AutoBrowser, FakeClock, LoopbackServer, Reply, Request
from synccore.types import WebhookRequest
from synccore_salesforce.testing import FakeSalesforce
from synccore_woocommerce.testing.rest import FakeWooCommerce
from synccore_woocommerce.testing.rest import settings as woocommerce_settings

__all__ = ["Dashboard", "Night", "Pager", "Terminal"]

_PLUGINS = load_plugins(environ={})


class Pager(LoopbackServer):
    """Where the alert's webhook arrives."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.recovered: list[str] = []
        self.messages = 0
        super().__init__()

    def handle(self, request: Request) -> Reply:
        notice = request.json()
        self.messages += 1
        self.told += [trouble["sentence"] for trouble in notice["troubles"]]
        self.recovered += [trouble["sentence"] for trouble in notice["recovered"]]
        return Reply(204)

    def take(self) -> tuple[int, int]:
        """How many troubles and recoveries were told since the last time."""
        counts = len(self.told), len(self.recovered)
        self.told, self.recovered = [], []
        return counts


class Night:
    """The installed plugins against their stand-ins; `hours` lets time go by as the daemon's threads would."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.shop = FakeWooCommerce(clock=self.clock)
        self.org = FakeSalesforce()
        self.org.add_field("Contact", "WooId__c", length=100, external_id=True, unique=True)
        self.org.add_field("Contact", "Share__c", type="double")
        self.pager = Pager()
        self.path = folder / "synccore.toml"
        self.metrics = Metrics()
        self.config: dict[str, Any] = {
            "server": {"listen": "127.0.0.1:0"},
            "alerts": {"night": {"type": "webhook", "url": f"{self.pager.url}/", "every": "1m"}},
            "sources": {"shop": woocommerce_settings(self.shop, "a webhook secret for tests", ["customer"])},
            "sinks": {
                "crm": {
                    "type": "salesforce",
                    "login_url": self.org.url,
                    "client_id": self.org.client_id,
                    "client_secret": self.org.client_secret,
                }
            },
            "routes": {
                "people": {
                    "source": "shop",
                    "entity": "customer",
                    "sink": "crm",
                    "object": "Contact",
                    "match": ["WooId__c", "Email"],
                    "when": "customer.billing.country != 'FR'",
                    "defaults": False,
                    "fields": {
                        "WooId__c": "uid",
                        "Email": "customer.email",
                        "FirstName": "customer.first_name",
                        "LastName": "customer.last_name",
                        "Share__c": "100 // (customer.meta.visits | default(1) | int)",
                    },
                }
            },
        }
        self.write()
        self._open()
        self.web = WebServer(create_web(self), "127.0.0.1", 0)
        self.web.start()
        self.org.redirect_uris += [f"{self.web.url}/oauth/callback"]
        connect(self.app, "crm", AutoBrowser(self.org.approve))
        for topic in ("customer.created", "customer.updated", "customer.deleted"):
            self.shop.webhook(topic, f"{self.web.url}/hooks/shop", "a webhook secret for tests")
        self.worker.poll_all()
        self.work()

    def write(self) -> None:
        self.path.write_text(tomlkit.dumps(self.config), encoding="utf-8")

    def _open(self) -> None:
        self.app = App.open(self.path, environ={}, clock=self.clock, plugins=_PLUGINS)
        self.worker = SourceWorker(self.app, self.app.sources["shop"])
        self.alerts = AlertWatch(self.app)
        note_routes(self.app)

    def restart(self) -> None:
        """The daemon ends and begins again, with the file as it is now."""
        self.alerts.close()
        self.app.close()
        self._open()
        self.app.engine.recover()

    # -- the endpoint's door

    def not_ready(self) -> str | None:
        return None

    not_well = not_ready

    def receive(self, source: str, request: WebhookRequest) -> None:
        self.worker.receive(request)

    # -- time

    def work(self) -> None:
        """One round of what the daemon does by itself."""
        self.shop.run_queue()
        while self.worker.follow_hints():
            pass
        while self.worker.work_job():
            pass
        self.app.engine.drain()
        self.alerts.look()

    def hours(self, count: int) -> None:
        """Let hours go by: the shop is polled once in each, the daemon works every 20 minutes."""
        for n in range(3 * count):
            self.clock.advance(timedelta(minutes=20))
            if n % 3 == 1:
                self.worker.poll_all()
            self.work()

    # -- the truth

    def buy(self, name: str, **more: Any) -> tuple[int, str]:
        """Somebody registers; the webhook waits in the shop's queue. Gives their number and address."""
        email = f"{name}@shop.test"
        billing = {"country": "DE", **more.pop("billing", {})}
        return self.shop.add_customer(email, first_name=name.title(), last_name="Night", billing=billing, **more), email

    def arrived(self, number: int) -> bool:
        """Whether the org holds exactly one contact of that customer, under the shop's own key."""
        keys = [str(c.get("WooId__c", "")) for c in self.org.records("Contact")]
        return sum(key.rpartition(":")[2] == str(number) for key in keys) == 1

    def close(self) -> None:
        self.web.stop()
        self.alerts.close()
        self.app.close()
        for server in (self.shop, self.org, self.pager):
            server.close()


# -- the terminal


class _Consent(io.RawIOBase):
    """The keyboard of a person who opens the address that was printed, allows, and pastes where they landed."""

    def __init__(self, org: FakeSalesforce) -> None:
        self._org = org

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        printed = sys.stdout.buffer.getvalue().decode()  # type: ignore[attr-defined]  click's own
        url = next(line for line in printed.splitlines() if line.startswith("http"))
        typed = (self._org.approve(url) + "\n").encode()
        buffer[: len(typed)] = typed
        return len(typed)


@frozen
class Terminal:
    """`synccore VERB ...` beside the daemon."""

    night: Night

    def run(self, *words: str, code: int | None = None) -> str:
        session = Session({"SYNCCORE_CONFIG": str(self.night.path)}, plugins=_PLUGINS, clock=self.night.clock)
        keyboard = io.BufferedReader(_Consent(self.night.org)) if "--no-browser" in words else None
        done = CliRunner().invoke(cli, list(words), obj=session, input=keyboard)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert code is None or done.exit_code == code, done.output
        return done.output

    def why(self, email: str) -> str:
        """What the night's command says."""
        return " ".join(self.run("why", email).split())

    def next(self, email: str, verb: str) -> str:
        """Run the command that `why` names, as it stands there."""
        found = re.search(rf"synccore ({verb}[^;]*?)(?:;|$| next:)", self.why(email))
        assert found, f"why names no {verb}"
        return self.run(*found[1].split())


# -- the dashboard


@define
class _Form:
    action: str
    method: str
    label: str = ""
    values: dict[str, str] = field(factory=dict)
    typed: list[str] = field(factory=list)


class _Page(HTMLParser):
    """What a person can see and press on a page without JavaScript."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self.links: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self._href = ""
        self._text = ""
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("script", "style"):
            self._inside.append(tag)
        elif tag == "form":
            self.forms.append(_Form(given.get("action", ""), given.get("method", "get")))
        elif tag == "input" and self.forms:
            self._input(given)
        elif tag in ("select", "textarea") and self.forms:
            self.forms[-1].typed.append(given["name"])
            self._href = given["name"] if tag == "select" else ""
        elif tag == "option" and self.forms and ("selected" in given or self._href not in self.forms[-1].values):
            self._text = "option"
            self.forms[-1].values[self._href] = given.get("value", "")
        elif tag == "a":
            self._href, self._text = given.get("href", ""), ""
        elif tag == "button":
            self._text = ""

    def _input(self, given: dict[str, str]) -> None:
        self.forms[-1].values[given["name"]] = given.get("value", "")
        if given.get("type") != "hidden":
            self.forms[-1].typed.append(given["name"])

    def handle_data(self, data: str) -> None:
        if self._inside:
            return
        if self._text == "option":
            self.forms[-1].values[self._href] = self.forms[-1].values[self._href] or data.strip()
            self._text = ""
        self.words.append(data)
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside.pop()
        elif tag == "a":
            self.links.append((" ".join(self._text.split()), self._href))
        elif tag == "button" and self.forms:
            self.forms[-1].label = " ".join(self._text.split())


class Dashboard:
    """A browser without JavaScript: reads pages, follows links, fills in forms and presses buttons. Nothing else."""

    def __init__(self, night: Night) -> None:
        self._night = night
        self._client = httpx.Client(base_url=night.web.url, follow_redirects=True, timeout=20)
        self._at = "/"
        self._page = _Page("")

    def _show(self, answer: httpx.Response) -> str:
        assert answer.status_code == 200, answer.text
        self._at, self._page = str(answer.url), _Page(answer.text)
        return self._page.text

    def open(self) -> str:
        """Type the dashboard's address."""
        return self._show(self._client.get("/"))

    def follow(self, label: str) -> str:
        """The link of that text."""
        href = next(href for text, href in self._page.links if text.startswith(label))
        return self._show(self._client.get(urljoin(self._at, href)))

    def press(self, label: str, **typed: str) -> str:
        """The button of that text, with what is typed into its form."""
        form = next((f for f in self._page.forms if f.label == label), None)
        assert form, f"no button {label!r}; there are {[f.label for f in self._page.forms]}"
        assert typed.keys() <= set(form.typed), form.typed
        values = {**form.values, **typed}
        if form.method == "get":
            return self._show(self._client.get(urljoin(self._at, form.action), params=values))
        return self._show(self._client.post(urljoin(self._at, form.action), data=values))

    def who(self, email: str) -> str:
        """Look for somebody, from the first page on."""
        self.open()
        self.follow("People")
        return self.press("Find", q=email)

    def consent(self, org: FakeSalesforce) -> str:
        """Go on to the vendor's screen, allow, and come back."""
        url = next(href for _, href in self._page.links if href.startswith(org.url))
        return self._show(self._client.get(org.approve(url)))

    def close(self) -> None:
        self._client.close()
