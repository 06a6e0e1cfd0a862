"""What is counted rather than timed, for the table of `peers.py`: calls of the shipped sinks, the outbox, a bulk job.

Needs the shipped plugins; their stand-ins count.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import outbox as rows_of
import salesforce_calls
from attrs import evolve
from stage import Line

from synccore._store.sqlite import open_sqlite
from synccore.entities import Customer
from synccore.testing import Harness
from synccore.types import Change

#: Records in one call of the API, at most.
GOOGLE_BATCH = SALESFORCE_BATCH = 200


def calls(options: argparse.Namespace, _: str) -> Iterator[Line]:
    """Calls for a backlog, beside what the API needs at least: as many records in each as it takes."""
    count = options.records
    least = -(-count // SALESFORCE_BATCH)
    made, _seconds, _peak = salesforce_calls.run(salesforce_calls.KEY, salesforce_calls.NEVER, 0, count=count)
    yield _line("Salesforce", count, made, least)
    yield _line("Google Contacts", count, _google(count), -(-count // GOOGLE_BATCH))
    yield _line("Klaviyo, by jobs", count, _klaviyo(count), 1)


def _line(vendor: str, count: int, made: int, least: int) -> Line:
    return Line(f"calls that write {count:,} customers to {vendor} / least", f"{made}", f"{least}", made / least, 1.05)


def _google(count: int) -> int:
    from synccore.testing import FakeClock
    from synccore_google_contacts.sink import SINK
    from synccore_google_contacts.testing import FakePeople
    from synccore_google_contacts.testing.demo import AutoBrowser, settings

    clock = FakeClock()
    with tempfile.TemporaryDirectory() as folder, FakePeople(clock=clock.now) as google:
        table = {name: value for name, value in settings(google).items() if name != "type"}
        routes = {"people": {"sink": "contacts", "entity": "customer", "object": "contact"}}
        with Harness(Path(folder), routes, sink_types={"contacts": (SINK, table)}, clock=clock, installed=True) as app:
            app.app.sinks["contacts"].instance.connect(AutoBrowser())
            _deliver(app, count)
            return sum(google.count("POST", path) for path in ("/v1/people:batchCreateContacts",))


def _klaviyo(count: int) -> int:
    from synccore.testing import FakeClock
    from synccore_klaviyo.sink import SINK
    from synccore_klaviyo.testing import FakeKlaviyo

    clock = FakeClock()
    with tempfile.TemporaryDirectory() as folder, FakeKlaviyo(clock=clock.now) as klaviyo:
        table = {"api_key": klaviyo.key, "api_url": klaviyo.url}
        routes = {"people": {"sink": "marketing", "entity": "customer", "object": "profile"}}
        with Harness(Path(folder), routes, sink_types={"marketing": (SINK, table)}, clock=clock, installed=True) as app:
            _deliver(app, count)
            return klaviyo.count("POST", "/api/profile-bulk-import-jobs")


def _deliver(app: Harness, count: int) -> None:
    app.emit(*map(_alone, salesforce_calls.people(count)), bulk=True)
    app.settle_down()
    wrong = [d for d in app.deliveries() if d.state not in ("done", "skipped")]
    assert not wrong, wrong[:3]


def _alone(change: Change) -> Change:
    """With a number of their own: of those who share one all but the first are written one by one."""
    assert isinstance(change.data, Customer)
    return evolve(change, data=evolve(change.data, phone=f"+4930{90_000_000 + int(change.key)}"))


def outbox(options: argparse.Namespace, _: str) -> Iterator[Line]:
    """A step with ten rows owed, and with very many."""
    with tempfile.TemporaryDirectory(prefix="outbox-") as folder:
        few, many = (open_sqlite(Path(folder) / name) for name in ("few.db", "many.db"))
        rows_of.listing(few, 10)
        known = min(options.rows, 10_000)
        rows_of.listing(many, known)
        rows_of.copy(Path(folder) / "many.db", known, options.rows)
        for what, a, b in zip(("claim of ten", "settle of ten"), rows_of.work(few), rows_of.work(many), strict=True):
            yield Line(f"{what}, {options.rows:,} owed / 10 owed", f"{b:.2f} ms", f"{a:.2f} ms", b / a, 1.3)
        few.close()
        many.close()


def bulk(options: argparse.Namespace, _: str) -> Iterator[Line]:
    """The peak of a backfill through a vendor's job, all plugins loaded."""
    script = Path(__file__).with_name("jobs.py")
    told = subprocess.check_output(
        [sys.executable, str(script), "--customers", str(options.records)], text=True, stderr=subprocess.DEVNULL
    )
    found: Mapping[str, Any] = re.search(r"peak (?P<peak>\d+) MB", told).groupdict()  # type: ignore[union-attr]
    peak = float(found["peak"])
    yield Line("memory, all plugins and a bulk job / 120 MB", f"{peak:.0f} MB", "120 MB", peak / 120, 1.0)
