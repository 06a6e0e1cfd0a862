"""A daemon under many webhooks at once: `uv run python benchmarks/webhooks.py [--senders 200] [--seconds 60]`.

A daemon of its own process with the WooCommerce source and two targets, one slow; every sender posts signed customers
as fast as it is answered, over loopback. Prints the latency, how many webhooks shared a commit, what each target got
and the daemon's memory. Needs synccore-woocommerce; its stand-in gives the records.
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from rig import Target, open_app, percentile, resident

from synccore._daemon.run import Daemon
from synccore.types import Limits

SECRET = "a-secret-of-this-benchmark"  # noqa: S105
#: A shop that saves a customer twice in a row sends two webhooks: so do the senders.
CUSTOMERS = 5000
SLOW = timedelta(milliseconds=250)


def serve(folder: Path, source: dict[str, Any]) -> None:
    """The daemon: prints its address, works until its standard input ends, then prints what it did."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    targets = {"quick": Target(), "slow": Target(SLOW)}
    server = {"listen": "127.0.0.1:0"}
    with open_app(folder, None, targets, limits=Limits(max_batch=100), source=source, server=server) as app:
        commits: list[int] = []
        ingest = app.store.ingest

        def counted(batch: Any, now: Any) -> Any:
            commits.append(len(batch))
            return ingest(batch, now)

        app.store.ingest = counted  # type: ignore[method-assign]
        with app.store.daemon_lock():
            daemon = Daemon(app)
            daemon.start()
            print(json.dumps({"url": daemon.url, "memory": resident()}), flush=True)
            sys.stdin.readline()
            counts = app.store.counts_by_sink()
            memory, spent = resident(), time.process_time()
            began = time.perf_counter()
            while any(c.ready + c.running for c in app.store.counts_by_sink().values()):
                time.sleep(0.1)
            figures = {
                "memory": memory,
                "spent": spent,
                "commits": len(commits),
                "largest": max(commits, default=0),
                "taken": sum(commits),
                "owed": {name: c.ready + c.running for name, c in counts.items()},
                "drained": time.perf_counter() - began,
                "got": {name: [t.operations, t.calls] for name, t in targets.items()},
                "parked": sum(c.parked for c in app.store.counts_by_sink().values()),
            }
            print(json.dumps(figures), flush=True)
            daemon.stop()


class Senders:
    """Threads that post webhooks until the time is over."""

    def __init__(self, url: str, record: dict[str, Any]) -> None:
        self._host = urlsplit(url).netloc
        self._record = record
        self._numbers = itertools.count(1)
        self.times: list[float] = []
        self.answers: Counter[str] = Counter()

    def send_for(self, senders: int, seconds: float) -> None:
        """Send from so many threads for so long."""
        end = time.perf_counter() + seconds
        threads = [threading.Thread(target=self._send, args=(end,)) for _ in range(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send(self, end: float) -> None:
        while time.perf_counter() < end:
            body = self._body(next(self._numbers))
            signature = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
            headers = {
                "Content-Type": "application/json",
                "X-WC-Webhook-Topic": "customer.updated",
                "X-WC-Webhook-Signature": signature,
            }
            began = time.perf_counter()
            try:
                # A shop opens a connection for each webhook.
                with closing(http.client.HTTPConnection(self._host, timeout=30)) as connection:
                    connection.request("POST", "/hooks/shop", body, headers)
                    answer = str(connection.getresponse().status)
            except OSError as error:
                answer = type(error).__name__
            self.times.append(time.perf_counter() - began)
            self.answers[answer] += 1

    def _body(self, number: int) -> bytes:
        who = number // 2 % CUSTOMERS + 1000
        return json.dumps(
            {
                **self._record,
                "id": who,
                "email": f"buyer{who}@shop.test",
                "first_name": f"Ada {number // 2}",
                "date_modified_gmt": f"2026-01-02T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}",
            }
        ).encode()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(Path(given.serve[0]), json.loads(given.serve[1]))
        return
    from synccore_woocommerce.testing.demo import DemoShop

    with tempfile.TemporaryDirectory(prefix="webhooks-") as folder:
        demo = DemoShop("http://127.0.0.1:9/hooks/shop")
        try:
            demo.seed(3)
            source = {**demo.config, "webhook_secret": SECRET, "entities": ["customer"], "poll": "1h"}
            arguments = [sys.executable, __file__, "--serve", folder, json.dumps(source)]
            with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as daemon:
                try:
                    record = demo.shop.hooks.payload("customer", demo._people[0])  # noqa: SLF001  a record as sent
                    measure(daemon, record, given.senders, given.seconds)
                finally:
                    daemon.terminate()
        finally:
            demo.close()


def measure(daemon: "subprocess.Popen[str]", record: dict[str, Any], senders: int, seconds: float) -> None:
    """Send, and print what came of it."""
    assert daemon.stdout is not None
    assert daemon.stdin is not None
    ready = json.loads(daemon.stdout.readline())
    work = Senders(ready["url"], record)
    work.send_for(senders, seconds)
    daemon.stdin.write("\n")
    daemon.stdin.flush()
    done = json.loads(daemon.stdout.readline())
    milliseconds = [t * 1000 for t in work.times]
    count = len(work.times)
    print(f"webhooks       {count:,} in {seconds:g} s from {senders} senders, {count / seconds:,.0f}/s")
    print(f"answers        {dict(work.answers)}")
    print("latency, ms    " + ", ".join(f"{n}: {percentile(milliseconds, s):,.0f}" for n, s in SHARES))
    print(f"commits        {done['commits']:,} for {done['taken']:,}, at most {done['largest']} in one")
    for name, (operations, calls) in done["got"].items():
        print(f"target {name:7} {operations:,} in {calls:,} calls; {done['owed'][name]:,} owed when the last was sent")
    print(f"parked         {done['parked']}; nothing owed {done['drained']:.1f} s after the last webhook")
    print(f"processor      {done['spent'] / count * 1000:.1f} ms of the daemon per webhook, its deliveries included")
    print(f"memory, MB     {ready['memory']:.0f} before, {done['memory']:.0f} after")


SHARES = (("median", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))


if __name__ == "__main__":
    main()
