"""A shop, an address book and the installed program, as an operator has them."""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest
import tomlkit
from attrs import frozen
from click.testing import CliRunner

from synccore._cli import cli
from synccore._cli._session import Session
from synccore.testing import FakeClock
from synccore_google_contacts.testing import AutoBrowser, FakePeople, approve, settings
from synccore_woocommerce.testing.rest import FakeWooCommerce
from synccore_woocommerce.testing.rest import settings as woocommerce_settings

WEBHOOK_SECRET = "a webhook secret for tests"


@frozen
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def wait_until(true: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """Waits for another process: the one place where tests look at the machine's own clock."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Daemon:
    """`synccore run` in a process of its own."""

    def __init__(self, world: "World") -> None:
        self._world = world
        # A pipe that nobody reads would hold up one that has much to say.
        self._log = world.folder / f"daemon-{uuid4()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*world.command, "run"],
                cwd=world.folder,
                env=world.environ | world.daemons_environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(lambda: self.process.poll() is not None or self.ask("/readyz")[0] == 200, what="ready")
        except AssertionError:
            self.kill()
            raise
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended at once: {self.output()}")

    def ask(self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        request = urllib.request.Request(f"{self._world.url}{path}", body, dict(headers or {}))  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return 0, ""

    def hook(self, topic: str, record: Mapping[str, Any], secret: str = WEBHOOK_SECRET) -> int:
        """Sends a webhook as the shop does."""
        body = json.dumps(record).encode()
        signature = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
        resource, _, event = topic.partition(".")
        headers = {
            "Content-Type": "application/json",
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Source": f"{self._world.shop.url}/",
            "X-WC-Webhook-Signature": signature,
            "X-WC-Webhook-ID": "1",
            "X-WC-Webhook-Delivery-ID": "abc",
        }
        return self.ask("/hooks/shop", body, headers)[0]

    def metric(self, start: str) -> float:
        lines = [line for line in self.ask("/metrics")[1].splitlines() if line.startswith(start)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def stop(self) -> int:
        """SIGTERM, and wait."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """kill -9."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class World:
    """One shop, one Google account, one folder with a configuration."""

    def __init__(self, folder: Path, clock: FakeClock | None = None) -> None:
        self.folder = folder
        self.clock = clock
        #: What the daemon's environment has besides.
        self.daemons_environ: dict[str, str] = {}
        self.shop = FakeWooCommerce(clock=clock)
        self.google = FakePeople(clock=clock.now if clock else None)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config: dict[str, Any] = {
            "server": {"listen": f"127.0.0.1:{self.port}"},
            "sources": {"shop": woocommerce_settings(self.shop, WEBHOOK_SECRET, ["customer"])},
            "sinks": {"contacts": settings(self.google)},
            "routes": {"people": {"source": "shop", "entity": "customer", "sink": "contacts", "object": "contact"}},
        }
        self.write_config()

    # -- the program

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "synccore"]

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SYNCCORE_")}
        return kept | {"SYNCCORE_CONFIG": str(self.path), "NO_COLOR": "1"}

    @property
    def path(self) -> Path:
        return self.folder / "synccore.toml"

    def write_config(self) -> None:
        self.path.write_text(tomlkit.dumps(self.config), encoding="utf-8")

    def cli(self, *arguments: str) -> Result:
        """A verb, in this process: starting the whole program is the dearest part of these tests."""
        session = Session(self.environ, interactive=False)
        done = CliRunner().invoke(cli, arguments, obj=session)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Result(done.exit_code, done.stdout, done.stderr)

    def program(self, *arguments: str, given: str | None = None, timeout: float = 120) -> Result:
        """The same as a program of its own, where what is tried is that it is one."""
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environ,
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def connect(self) -> None:
        """As `synccore connect contacts`, with a person who agrees."""
        from synccore._app.app import App
        from synccore._verbs.connect import connect

        with App.open(self.path, environ={}) as app:
            connect(app, "contacts", AutoBrowser())

    def connect_by_hand(self) -> str:
        """`connect contacts --no-browser`, with a person who opens the printed address and pastes the answer."""
        with subprocess.Popen(
            [*self.command, "connect", "contacts", "--no-browser"],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdin
            assert process.stdout
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("http"):
                    break
            process.stdin.write(approve(lines[-1].strip()) + "\n")
            process.stdin.close()
            lines += process.stdout.readlines()
            assert process.wait(30) == 0, "".join(lines)
        return "".join(lines)

    def daemon(self) -> Daemon:
        return Daemon(self)

    # -- in this process

    def open(self) -> Any:
        """The app, connected, with the clock of this world."""
        from synccore._app.app import App
        from synccore._verbs.connect import connect

        app = App.open(self.path, environ={}, clock=self.clock)
        connect(app, "contacts", AutoBrowser())
        return app

    # -- the two sides

    def customers(self, count: int) -> list[int]:
        found = []
        for n in range(count):
            billing = {"phone": f"+49 221 {n:06d}", "country": "DE", "city": "Köln", "postcode": "50667"}
            found.append(
                self.shop.add_customer(f"buyer{n}@shop.test", first_name=f"First{n}", last_name="Last", billing=billing)
            )
        self.shop.hooks.waiting.clear()
        return found

    def hooks_to_daemon(self) -> None:
        for topic in ("customer.created", "customer.updated", "customer.deleted"):
            self.shop.webhook(topic, f"{self.url}/hooks/shop", WEBHOOK_SECRET)

    def emails(self) -> list[str]:
        return sorted(e["value"] for c in self.google.contacts() for e in c.get("emailAddresses", ()))

    def writes(self) -> list[str]:
        """Paths of all calls that write contacts."""
        paths = [r.path for r in self.google.requests if r.method in ("POST", "PATCH", "DELETE")]
        return [p for p in paths if "people" in p and "search" not in p and "batchGet" not in p]

    def close(self) -> None:
        self.shop.close()
        self.google.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """With the machine's clock: for the program in processes of its own."""
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def still_world(tmp_path: Path) -> Iterator[World]:
    """With a clock that only the test moves: for the app in this process."""
    made = World(tmp_path, FakeClock())
    yield made
    made.close()


@pytest.fixture
def until() -> Callable[..., Any]:
    return wait_until


@pytest.fixture
def settle_down() -> Callable[..., None]:
    def settle(app: Any, clock: FakeClock, limit: timedelta = timedelta(days=2)) -> None:
        """Move the clock from due time to due time until nothing is owed."""
        end = clock.now() + limit
        app.engine.drain()
        while (upcoming := app.engine.next_try()) is not None and upcoming < end:
            clock.advance(max(upcoming - clock.now(), timedelta(milliseconds=1)))
            app.engine.drain()

    return settle
