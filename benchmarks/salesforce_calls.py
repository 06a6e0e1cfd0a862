"""What a backlog costs of an org's daily API calls, counted by the stand-in, and the memory it takes.

    uv run python benchmarks/salesforce_calls.py [COUNT] [--only WORD]

Prints the table of the Salesforce plugin's README ("Limits and costs"). Each line is an app of its own with COUNT
customers (10,000 by default); the calls are those the org counted, tokens apart.
"""

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from synccore.entities import Address
from synccore.testing import AutoBrowser, Harness, customer
from synccore_salesforce.sink import SINK
from synccore_salesforce.testing import FakeSalesforce

COUNT = int(next((a for a in sys.argv[1:] if a.isdigit()), "10000"))
ONLY = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
NEVER = 1_000_000

Routes = Mapping[str, Mapping[str, Any]]
KEY: Routes = {"people": {"object": "Contact", "match": ["WooId__c"]}}
EMAIL: Routes = {"people": {"object": "Contact", "match": ["WooId__c", "Email"]}}
BOTH: Routes = {
    "firms": {"object": "Account", "match": ["WooId__c"]},
    "people": {"object": "Contact", "match": ["WooId__c", "Email"], "after": "firms"},
}
NAMED: Routes = {**BOTH, "firms": {"object": "Account", "match": ["Name"]}}
FIRMS: Routes = {"firms": BOTH["firms"]}

#: Words of the README -> routes, from how many a job is used, how many contacts sales made beforehand.
CASES: tuple[tuple[str, Routes, int, int], ...] = (
    ("matched by external id", KEY, NEVER, 0),
    ("matched by e-mail too", EMAIL, NEVER, 0),
    ("matched by e-mail too, half of them known to sales", EMAIL, NEVER, COUNT // 2),
    ("accounts by external id, contacts by e-mail too", BOTH, NEVER, 0),
    ("accounts by company name, contacts by e-mail too", NAMED, NEVER, 0),
    ("bulk, by external id", KEY, 2000, 0),
    ("bulk, accounts by external id", FIRMS, 2000, 0),
    ("bulk, matched by e-mail too", EMAIL, 2000, 0),
    ("bulk, by e-mail, half of them known to sales", EMAIL, 2000, COUNT // 2),
)


def people(count: int) -> Iterator[Any]:
    """Customers with all a shop knows; every other one buys for a firm, every 20th lives where no state is known."""
    for n in range(count):
        place = {"country": "DE", "state": "DE-NW"} if n % 20 == 0 else {"country": "US", "state": "NY"}
        home = Address(
            first_name="Ann", last_name=f"Lee{n}", line1=f"{n} Main St", city="Town", postcode="10001", **place
        )
        yield customer(
            str(n), email=f"ann.lee.number{n}@customers.shop.test", first_name="Ann", last_name=f"Lee{n}",
            phone="+1 212 555 1000", company=f"Firm {n % 400}" if n % 2 else None, billing=home, shipping=home,
            accepts_marketing=True,
        )  # fmt: skip


def run(routes: Routes, threshold: int, known: int, *, count: int = COUNT) -> tuple[int, float, float]:
    """Deliver a backlog; calls of the org, seconds, and the peak of what Python allocated while delivering, in MB."""
    with tempfile.TemporaryDirectory() as folder, FakeSalesforce(picklists=True) as org:
        for name in ("Contact", "Account"):
            org.add_field(name, "WooId__c", length=100, external_id=True, unique=True)
        for n in range(known):
            values = {"LastName": "Known", "Email": f"ann.lee.number{n * 2}@customers.shop.test"}
            org.org.insert("Contact", values)
        table = {"login_url": org.url, "client_id": org.client_id, "client_secret": org.client_secret}
        spec = {n: {"sink": "sales", "entity": "customer", **r} for n, r in routes.items()}
        types = {"sales": (SINK, {**table, "bulk_threshold": threshold})}
        with Harness(Path(folder), spec, sink_types=types, installed=True) as app:
            app.app.sinks["sales"].instance.connect(AutoBrowser(org.approve))
            app.emit(*people(count), bulk=True)
            org.requests.clear()
            before, start = org.calls_used, time.perf_counter()
            if "--memory" in sys.argv:
                tracemalloc.start()
            app.settle_down()
            peak = tracemalloc.get_traced_memory()[1] / 1e6 if tracemalloc.is_tracing() else 0.0
            tracemalloc.stop()
            seconds = time.perf_counter() - start
            wrong = [d for d in app.deliveries() if d.state not in ("done", "skipped")]
            assert not wrong, wrong[:3]
            assert max(len(org.records(name)) for name in ("Contact", "Account")) == count
            return org.calls_used - before, seconds, peak


def main() -> None:
    """Print the table."""
    print(f"| {COUNT:,} customers | calls | s | MB |\n| --- | --- | --- | --- |")
    for words, routes, threshold, known in CASES:
        if ONLY in words:
            calls, seconds, peak = run(routes, threshold, known)
            print(f"| {words} | {calls} | {seconds:.0f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
