"""The outbox and the engine under everything that can happen, against a model of what must be true afterwards."""

import contextlib
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from synccore.entities import Customer, Payment
from synccore.errors import Conflict, RateLimited, Rejected, Transient
from synccore.store import LaneRecord
from synccore.testing import START, Harness, upsert
from synccore.types import Change, EntityRef, Limits

ROUTES = {
    "people": {"entity": "customer", "fields": {"email": "customer.email"}},
    "slow": {"entity": "customer", "object": "other", "delay": "5m", "fields": {"email": "customer.email"}},
    "pay": {"entity": "payment", "fields": {"n": "payment.attempt"}},
}
KEYS = st.sampled_from(["1", "2", "3"])
FAULTS: list[Callable[[], object]] = [
    lambda: Transient("503"),
    lambda: Transient("reset", maybe_applied=True),
    lambda: RateLimited("slow", retry_after=timedelta(seconds=30)),
    lambda: lambda o: Conflict() if o.key == "1" else None,
    lambda: lambda o: Transient("locked", outage=False) if o.key == "2" else None,
    lambda: lambda o: Rejected("no") if o.key == "3" and o.op != "event" else None,
]


class PowerCutError(BaseException):
    """The process dies here."""


class Machine(RuleBasedStateMachine):
    """A shop with three customers, two routes of state and one of events, one target."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.app = Harness(Path(self.folder.name), ROUTES, limits=Limits(max_batch=2, max_in_flight=1))
        self.accepted: dict[str, tuple[int, str | None]] = {}
        self.events: dict[str, list[int]] = {}
        self.paused = False

    @rule(key=KEYS, version=st.integers(1, 6), email=st.sampled_from(["a@shop.test", "b@shop.test"]))
    def change(self, key, version, email):
        self.app.emit(upsert(Customer(key=key, email=email), version=version))
        known = self.accepted.get(key)
        # What was sent again after a deletion is no newer than it.
        if known is None or version > known[0] or (version == known[0] and known[1] is not None):
            self.accepted[key] = (version, email)
        # Whatever is sent again, the shop itself knows what is.
        version, email = self.accepted[key]
        self.app.source.records.pop(("customer", key), None)
        if email is not None:
            self.app.source.put(upsert(Customer(key=key, email=email), version=version))

    @rule()
    def follow(self):
        self.app.follow()

    @rule(key=KEYS)
    def delete(self, key):
        if self.accepted.get(key, (0, None))[1] is not None:
            self.app.emit(Change(entity="customer", key=key, op="delete"))
            self.accepted[key] = (self.accepted[key][0], None)

    @rule(key=KEYS, number=st.integers(1, 4))
    def pay(self, key, number):
        data = Payment(key=key, succeeded=True, amount=1, currency="USD", at=START, attempt=number)
        self.app.emit(
            Change(
                entity="payment",
                key=key,
                op="event",
                data=data,
                event_id=f"{key}:{number}",
                owner=EntityRef("customer", key),
            )
        )
        if number not in self.events.setdefault(key, []):
            self.events[key].append(number)

    @rule(fault=st.sampled_from(FAULTS))
    def misbehave(self, fault):
        self.app.sink.then(fault())

    @rule()
    def step(self):
        self.app.app.engine.lanes["crm"].step()

    @rule()
    def drain(self):
        self.app.drain()

    @rule(seconds=st.integers(-120, 4000))
    def clock_steps(self, seconds):
        self.app.clock.advance(timedelta(seconds=seconds))

    @rule()
    def crash_before_settling(self):
        """The target has it and we die before we know."""

        def cut(*_, **__):
            raise PowerCutError

        store = self.app.app.store
        store.settle = cut
        store.release = lambda *_, **__: 0
        with contextlib.suppress(PowerCutError):
            self.app.app.engine.lanes["crm"].step()
        self.app.crash()

    @rule()
    def crash(self):
        self.app.crash()

    @rule(paused=st.booleans())
    def pause(self, paused):
        self.paused = paused
        self.app.app.store.put_lane(LaneRecord(sink="crm", state="paused" if paused else "ok"))

    @rule()
    def retry_parked(self):
        ids = [d.id for d in self.app.deliveries(state="parked")]
        self.app.app.store.retry(ids, self.app.clock.now())

    @invariant()
    def one_ready_row_per_route_and_key(self):
        if not hasattr(self, "app"):
            return
        ready = [(d.route, d.key) for d in self.app.deliveries(state="ready") if d.op != "event"]
        assert len(ready) == len(set(ready))

    @invariant()
    def events_arrived_once_and_in_order(self):
        if not hasattr(self, "app"):
            return
        arrived: dict[str, list[int]] = {}
        for key, fields in self.by_key():
            arrived.setdefault(key, []).append(fields["n"])
        for key, numbers in arrived.items():
            assert numbers == self.events[key][: len(numbers)]

    def by_key(self):
        keys = {o.idempotency_key: o.key for call in self.app.sink.calls for o in call if o.op == "event"}
        return [(keys[key], fields) for key, fields in self.app.sink.events]

    def teardown(self) -> None:
        if not hasattr(self, "app"):
            return
        try:
            self.come_to_rest()
            self.target_equals_what_was_accepted()
        finally:
            self.app.close()
            self.folder.cleanup()

    def come_to_rest(self):
        self.app.sink._script.clear()
        self.app.app.store.put_lane(evolve(LaneRecord(sink="crm")))
        self.retry_parked()
        self.app.settle_down(timedelta(days=1))
        assert not [d for d in self.app.deliveries() if d.state in ("ready", "running", "submitted", "parked")]

    def target_equals_what_was_accepted(self):
        for key, (_, email) in self.accepted.items():
            for route in ("people", "slow"):
                link = self.app.app.store.link(route, "shop", "customer", key)
                held = self.app.sink.records.get(link.remote_id) if link else None
                assert (held or {}).get("email") == email, (route, key)
        assert {k: [f["n"] for key, f in self.by_key() if key == k] for k in self.events} == self.events


TestStateful = Machine.TestCase
TestStateful.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_clock_that_is_set_back_holds_nothing_up_for_good(tmp_path):
    with Harness(tmp_path, ROUTES) as app:
        # The second one has to be asked for before anything of them is delivered: they have one address.
        app.emit(upsert(Customer(key="1", email="a@shop.test"), version=1))
        app.emit(upsert(Customer(key="3", email="a@shop.test"), version=1))
        app.clock.advance(timedelta(seconds=-72))
        app.settle_down()
        assert app.states() == {"done": 4}
