"""Two daemons on one PostgreSQL deliver a shop together, whatever dies.

    uv run python benchmarks/shared.py [--customers 50000] [--kills 10]

Two `synccore run` of their own processes, each with a folder of its own, as on two hosts. So many times one that holds
claimed rows is killed (SIGKILL) and started again, from the first page to the last delivery; the server is restarted
once, and all its connections are cut once. Meanwhile customers change, and the shop sends each webhook to one of the
two until it is taken. At the end the target's own records are compared with the shop's, name by name, and
`synccore verify` reads back a sample. Needs synccore-postgres, synccore-woocommerce and synccore-klaviyo: the
stand-ins are theirs.
"""

import argparse
import base64
import itertools
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomlkit

from synccore.store import StoreError
from synccore_klaviyo.testing import FakeKlaviyo
from synccore_postgres.engine import PostgresStore
from synccore_postgres.testing import Server
from synccore_woocommerce.testing.rest import FakeWooCommerce
from synccore_woocommerce.testing.rest import settings as woocommerce_settings

#: Roles that are customers of the shop.
CUSTOMERS = ("customer", "subscriber")
#: Seconds without any progress after which something is wrong.
PATIENCE = 600.0


class Daemon:
    """`synccore run` in a folder of its own."""

    def __init__(self, folder: Path, config: Mapping[str, Any], key: str) -> None:
        folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.config = folder / "synccore.toml"
        self.config.write_text(tomlkit.dumps({**config, "server": {"listen": self.url.removeprefix("http://")}}))
        self._folder = folder
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("SYNCCORE_")} | {"SYNCCORE_KEY": key}
        self.process: subprocess.Popen[bytes] | None = None
        #: How often it ended by itself.
        self.ended = 0

    def start(self) -> None:
        """Begin; it is ready a moment later."""
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "synccore", "run"], cwd=self._folder, env=self.environ, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """As a power cut does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def supervise(self) -> None:
        """As systemd does: start it again where it ended by itself (it began while the server was away)."""
        if self.process is not None and self.process.poll() is not None:
            self.ended += 1
            self.start()

    def say(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command beside it."""
        command = [sys.executable, "-m", "synccore", *words]
        return subprocess.run(
            command, cwd=self._folder, env=self.environ, capture_output=True, text=True, timeout=900, check=False
        )

    def answers(self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> int:
        """The status of an answer; 0 where nobody listens."""
        request = urllib.request.Request(self.url + path, body, dict(headers or {}))  # noqa: S310  our own loopback
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


class Play:
    """Shop, target, server and daemons; `run` tells what came of it."""

    def __init__(self, folder: Path, customers: int, server: Server, url: str) -> None:
        self._server, self._folder, self._customers = server, folder, customers
        self.shop, self.target = FakeWooCommerce(), FakeKlaviyo()
        for number in range(customers):
            self.shop.shop.add_customer(f"buyer{number}@shop.test", first_name=f"Ada{number}", last_name="Sample")
        #: What the daemons answered to webhooks, and how often one or both were seen to hold rows.
        self.answered: Counter[int] = Counter()
        self.held: Counter[int] = Counter()
        self._changing, self._given_up = threading.Event(), threading.Event()
        self._store = PostgresStore(url)
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        config = {
            "synccore": {"database": url},
            "sources": {"shop": woocommerce_settings(self.shop, "s" * 16, ["customer"], poll="24h")},
            "sinks": {"mail": {"type": "klaviyo", "api_key": self.target.key, "api_url": self.target.url}},
            "routes": {
                "people": {
                    "source": "shop",
                    "entity": "customer",
                    "sink": "mail",
                    "object": "profile",
                    # The end is not waited for: by default what may change again soon goes five minutes later.
                    "fields": {"properties": {"delay": "0s"}},
                }
            },
        }
        self.daemons = [Daemon(folder / name, config, key) for name in ("one", "two")]

    def close(self) -> None:
        """End all of it."""
        for daemon in self.daemons:
            daemon.kill()
        self._store.close()
        self.shop.close()
        self.target.close()

    # -- looking

    def progress(self) -> int:
        """Records taken in, and records settled: each record counts twice."""
        try:
            known = self._store.snapshot_counts("shop").get("customer", 0)
            counts = self._store.counts_by_sink().get("mail")
        except StoreError:
            return 0
        return known + (0 if counts is None else counts.done + counts.skipped + counts.parked)

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Ask until it is so, as long as anything goes on."""
        best, last = -1, time.monotonic()
        while not until():
            for daemon in self.daemons:
                daemon.supervise()
            self.held[sum(self.held_by(daemon) > 0 for daemon in self.daemons)] += 1
            if (now := self.progress()) > best:
                best, last = now, time.monotonic()
            assert time.monotonic() - last < PATIENCE, f"stuck at {best}: {what}"
            time.sleep(0.1)

    def _over(self) -> bool:
        """Whether all is taken in, and nothing is owed."""
        try:
            known = self._store.snapshot_counts("shop").get("customer", 0)
            return known == self._customers and self._store.counts_by_sink()["mail"].owed == 0
        except StoreError:
            return False

    def names(self) -> set[str]:
        """The daemons the database sees."""
        try:
            return {d.name for d in self._store.daemons()}
        except StoreError:
            return set()

    def held_by(self, daemon: Daemon) -> int:
        """How many rows its process has claimed and not settled."""
        try:
            held = self._store.running_by()
        except StoreError:
            return 0
        pid = "" if daemon.process is None else str(daemon.process.pid)
        return sum(sum(rows.values()) for name, rows in held.items() if name.rpartition(":")[2] == pid)

    def victim(self) -> tuple[Daemon, str] | None:
        """A daemon in the middle of something, and of what: rows that it holds, a listing."""
        for daemon in random.sample(self.daemons, 2):
            doing = [f"{held} rows"] if (held := self.held_by(daemon)) else []
            doing += ["lists"] if self._listing() and self._leads(daemon) else []
            if doing:
                return daemon, ", ".join(doing)
        return None

    def _listing(self) -> bool:
        try:
            return self._store.snapshot_counts("shop").get("customer", 0) < self._customers
        except StoreError:
            return False

    def _last_chance(self) -> bool:
        """Whether all is taken in, and there is nothing left that nobody has claimed."""
        try:
            known = self._store.snapshot_counts("shop").get("customer", 0)
            return known == self._customers and not self._store.counts_by_sink()["mail"].ready
        except StoreError:
            return False

    # -- what goes on meanwhile

    def change(self) -> None:
        """Customers change their names; each webhook is sent until one of the daemons takes it."""
        numbers = [n for n, r in self.shop.shop.customers.items() if r["role"] in CUSTOMERS]
        for turn in itertools.count():
            if self._changing.wait(0.5):
                return
            number = random.choice(numbers)
            self.shop.edit_customer(number, first_name=f"Eva{turn}")
            while self._hook(random.choice(self.daemons), number) != 200 and not self._given_up.wait(0.2):
                pass

    # -- the play

    def run(self, kills: int, *, restart: bool = True) -> dict[str, Any]:
        """All of it (`restart`: the server too); the figures."""
        one, two = self.daemons
        began = time.monotonic()
        one.start()
        two.start()
        self.wait(lambda: len(self.names()) == 2, "two daemons")
        changes = threading.Thread(target=self.change)
        changes.start()
        try:
            taken_over, held = self._kill(kills, restart=restart)
        except BaseException:
            self._given_up.set()
            raise
        finally:
            self._changing.set()
            changes.join()
        self.wait(self._over, "the end")
        self.wait(lambda: len(self.names()) == 2, "two daemons at the end")
        figures = {"under way when killed": held, "taken over": taken_over, "seconds": round(time.monotonic() - began)}
        return {**self._compared(), **figures}

    def _kill(self, kills: int, *, restart: bool) -> tuple[int, list[str]]:
        """So often, each in the middle of something; how often the other one led then, and what each victim did."""
        one, two = self.daemons
        taken_over, held = 0, list[str]()
        for turn in range(1, kills + 1):
            # From the first page to the last delivery: a record is taken in, and settled.
            goal = 2 * self._customers * turn // (kills + 1)
            self.wait(
                lambda goal=goal: (self.progress() >= goal or self._last_chance()) and self.victim() is not None,
                f"turn {turn}",
            )
            time.sleep(random.uniform(0, 0.5))
            while (found := self.victim()) is None:
                time.sleep(0.02)
            victim, doing = found
            other = two if victim is one else one
            leads = self._leads(victim)
            held.append(doing)
            victim.kill()
            if leads:
                self.wait(lambda other=other: self._leads(other), "the other one leads")
                taken_over += 1
            if restart and turn == (kills + 1) // 2:
                self._restart_the_server(other)
            if turn == (kills + 3) // 2:
                self._server.cut()
            victim.start()
        return taken_over, held

    def _leads(self, daemon: Daemon) -> bool:
        try:
            names = [d.name for d in self._store.daemons() if d.leads]
        except StoreError:
            return False
        return daemon.process is not None and [name.rpartition(":")[2] for name in names] == [str(daemon.process.pid)]

    def _restart_the_server(self, daemon: Daemon) -> None:
        """A webhook in that moment is refused, so that the shop sends it again."""
        self.wait(lambda: daemon.answers("/readyz") == 200, "the other one works")
        self._server.stop()
        answers: list[int] = []
        number = max(self.shop.shop.customers)
        asked = threading.Thread(target=lambda: answers.append(self._hook(daemon, number)))
        asked.start()
        asked.join(120)
        self._server.start()
        assert answers == [503], f"a webhook without a database was answered {answers}"

    def _hook(self, daemon: Daemon, number: int) -> int:
        body = json.dumps(self.shop.resources.payload("customer", number)).encode()
        answer = daemon.answers("/hooks/shop", body, signed(self.shop.url, body))
        self.answered[answer] += 1
        return answer

    def _compared(self) -> dict[str, Any]:
        """The target's own records beside the shop's own."""
        names = ("email", "first_name", "last_name")
        theirs = Counter(tuple(p.attributes.get(n) for n in names) for p in self.target.store.people.values())
        # Whoever works in the shop is no customer of it.
        ours = {tuple(r[n] for n in names) for r in self.shop.shop.customers.values() if r["role"] in CUSTOMERS}
        proof = json.loads(self.daemons[1].say("verify", "people", "--sample", "200", "--json").stdout)
        status = json.loads(self.daemons[1].say("status", "--json").stdout)
        writes = Counter((w.email, w.attributes.get("first_name")) for w in self.target.store.writes)
        return {
            "missing": len(ours - set(theirs)),
            "strange": len(set(theirs) - ours),
            "twice": len(self.target.store.people) - len({email for email, *_ in theirs}),
            "written again, the same": sum(times - 1 for times in writes.values()),
            "webhooks answered": dict(self.answered),
            "seen to hold rows, none/one/both": [self.held[number] for number in range(3)],
            "proved": proof["proved"],
            "owed": self._store.counts_by_sink()["mail"].owed,
            "parked": status["sinks"]["mail"]["parked"],
            "daemons": status.get("daemons", []),
            "ended by themselves": [daemon.ended for daemon in self.daemons],
        }


def signed(shop: str, body: bytes) -> dict[str, str]:
    """The headers of a webhook."""
    import hashlib
    import hmac

    signature = base64.b64encode(hmac.new(b"s" * 16, body, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "X-WC-Webhook-Topic": "customer.updated",
        "X-WC-Webhook-Resource": "customer",
        "X-WC-Webhook-Event": "updated",
        "X-WC-Webhook-Source": f"{shop}/",
        "X-WC-Webhook-Signature": signature,
        "X-WC-Webhook-ID": "1",
        "X-WC-Webhook-Delivery-ID": "abc",
    }


def main() -> None:
    """Play, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=10)
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(closing(Server()))
        play = stack.enter_context(closing(Play(folder, asked.customers, server, server.url())))
        print(f"{datetime.now(UTC):%H:%M:%S} {asked.customers} customers, {asked.kills} kills", flush=True)
        found = play.run(asked.kills)
        for name, value in found.items():
            print(f"{name:>32}  {value}")
        assert found["proved"]
        assert not any(found[name] for name in ("missing", "strange", "twice", "owed", "parked"))


if __name__ == "__main__":
    main()
