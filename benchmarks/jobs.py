"""What memory a backfill through a vendor's bulk jobs takes.

    uv run python benchmarks/jobs.py [--customers 10000] [--database URL]

`synccore backfill` as a process of its own, with every plugin installed here loaded; the shop and the org are stand-ins
in this process. Prints the process's peak and what it was at the calls of the job: a target that keeps its records is
compared with the shop's at the end. Needs synccore-woocommerce and synccore-salesforce.
"""

import argparse
import base64
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from synccore_salesforce.testing import FakeSalesforce
from synccore_woocommerce.testing.rest import FakeWooCommerce
from synccore_woocommerce.testing.rest import settings as woocommerce_settings


def filled(count: int) -> FakeWooCommerce:
    """A shop with so many customers, as shops have them."""
    shop = FakeWooCommerce()
    for number in range(count):
        address = {
            "first_name": "Ann",
            "last_name": f"Lee{number}",
            "company": f"Firm {number % 400}",
            "address_1": f"{number} Main St",
            "city": "Town",
            "postcode": "94601",
            "state": "CA",
            "country": "US",
            "phone": "+1 510 555 1000",
            "email": f"ann.lee.number{number}@customers.shop.test",
        }
        shop.shop.add_customer(
            address["email"], first_name="Ann", last_name=address["last_name"], billing=address, shipping=address
        )
    return shop


def watched(command: list[str], folder: Path, environ: Mapping[str, str], org: FakeSalesforce) -> tuple[int, list[str]]:
    """Run it to its end; the peak in MB, and its size whenever the org was asked something new."""
    steps: list[str] = []
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=out, stderr=out)
        done = threading.Event()

        def look() -> None:
            seen, most = 0, 0
            while not done.wait(0.05):
                try:
                    status = Path(f"/proc/{process.pid}/status").read_text()
                except OSError:
                    continue
                peak = int(status.partition("VmHWM:")[2].split()[0]) // 1024 if "VmHWM:" in status else 0
                calls = org.requests
                if len(calls) > seen or peak >= most + 10:
                    seen, most = len(calls), max(peak, most)
                    said = (folder / "out").read_text(errors="replace").split("\n")[-2:]
                    last = f"{calls[-1].method} {calls[-1].path}" if calls else f"listing {' '.join(said).strip()}"
                    steps.append(f"  {peak} MB  {last}")

        watching = threading.Thread(target=look)
        watching.start()
        _, status, used = os.wait4(process.pid, 0)
        done.set()
        watching.join()
    if status:
        raise SystemExit((folder / "out").read_text())
    return used.ru_maxrss // 1024, steps


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--database")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, filled(asked.customers) as shop, FakeSalesforce(picklists=True) as org:
        folder = Path(name)
        org.add_field("Contact", "WooId__c", length=100, external_id=True, unique=True)
        config: dict[str, Any] = {
            "synccore": {"database": asked.database} if asked.database else {},
            "sources": {"shop": woocommerce_settings(shop, "s" * 16, ["customer"], poll="24h")},
            "sinks": {
                "crm": {
                    "type": "salesforce",
                    "login_url": org.url,
                    "auth": "client_credentials",
                    "client_id": org.client_id,
                    "client_secret": org.client_secret,
                }
            },
            "routes": {
                "people": {
                    "source": "shop", "entity": "customer", "sink": "crm", "object": "Contact", "match": ["WooId__c"]
                }
            },
        }  # fmt: skip
        (folder / "synccore.toml").write_text(tomlkit.dumps(config))
        environ = {k: v for k, v in os.environ.items() if not k.startswith("SYNCCORE_")}
        environ["SYNCCORE_KEY"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        say = [sys.executable, "-m", "synccore"]
        for words in (["connect", "shop"], ["connect", "crm"]):
            subprocess.run([*say, *words], cwd=folder, env=environ, check=True, stdout=subprocess.DEVNULL)
        org.requests.clear()
        start = time.perf_counter()
        peak, steps = watched([*say, "backfill", "shop", "customer"], folder, environ, org)
        seconds = time.perf_counter() - start
        print("\n".join(steps))
        there = {r["Email"] for r in org.records("Contact")}
        wanted = {f"ann.lee.number{n}@customers.shop.test" for n in range(asked.customers)}
        if there != wanted:
            raise SystemExit(f"{len(wanted - there)} are missing, {len(there - wanted)} are too many")
        print(f"{asked.customers:,} customers: peak {peak} MB, {seconds:.0f} s, {len(org.requests)} requests")


if __name__ == "__main__":
    main()
