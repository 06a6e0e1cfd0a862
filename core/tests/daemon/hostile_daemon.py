"""A daemon of its own process for test_daemon_hostile: one shop that tells of customers, a target that is hostile.

Run as: python hostile_daemon.py FOLDER VENDOR_URL SECONDS_TO_LEAVE
"""

import json
import sys
import threading
from datetime import timedelta
from pathlib import Path

import structlog
from attrs import frozen

from synccore._app.context import SystemClock
from synccore._cli.run import leave_in_time
from synccore._daemon.run import run_daemon
from synccore.errors import Rejected
from synccore.hookspecs import SinkType
from synccore.http import Client, target_fault
from synccore.testing import Harness, customer
from synccore.types import Delivered, Limits, ObjectType, each

ROUTES = {
    name: {"entity": "customer", "sink": name, "fields": {"email": "customer.email", "name": "customer.first_name"}}
    for name in ("hostile", "stuck")
}


@frozen
class NoSettings:
    """Nothing to set."""


class Hostile:
    """Tells the target of each record, as any plugin would."""

    def __init__(self, context, url):
        self._context = context
        self._http = Client(context, url, timeout=timedelta(seconds=1))

    def deliver(self, operations):
        return each(operations, self._write)

    def _write(self, operation):
        answer = self._http.post(f"/{operation.key}", json=dict(operation.fields))
        if (fault := target_fault(answer, self._context.clock.now())) is not None:
            raise fault
        if not answer.ok:
            raise Rejected(answer.excerpt())
        answer.json()
        return Delivered(remote_id=operation.key)

    def close(self):
        self._http.close()


class Stuck:
    """A plugin whose call never ends."""

    called = False

    def deliver(self, operations):
        self.called = True
        threading.Event().wait()

    def close(self):
        if self.called:
            threading.Event().wait()


def kind(name, opened):
    return SinkType(
        name=name,
        summary="for this test",
        config=NoSettings,
        open=opened,
        objects=(ObjectType(name="thing", summary=""),),
        limits=Limits(max_batch=3, max_in_flight=2, deadline=timedelta(seconds=3)),
    )


def main(folder, url, patience):
    # Nobody reads what stands on stdout after the address: a full pipe would hold up whoever logs.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    stopping = threading.Event()
    types = {
        "hostile": (kind("hostile", lambda _, context: Hostile(context, url)), {}),
        "stuck": (kind("stuck", lambda *_: Stuck()), {}),
    }
    house = Harness(
        Path(folder), ROUTES, sink_types=types, clock=SystemClock(stopping), server={"listen": "127.0.0.1:0"}
    )

    def receive(request):
        told = json.loads(request.body)
        return [customer(str(told["id"]), email=f"p{told['id']}@shop.test", first_name=str(told["name"]))]

    house.source.receive = receive

    def say(at):
        sys.stdout.write(at + "\n")
        sys.stdout.flush()

    def on_stop():
        stopping.set()
        leave_in_time(timedelta(seconds=float(patience)))

    sys.exit(run_daemon(house.app, on_ready=say, on_stop=on_stop))


if __name__ == "__main__":
    main(*sys.argv[1:])
