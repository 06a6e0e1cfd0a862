"""Prometheus metrics, in a registry of their own: nothing global, instance names as the only labels.

What happens is counted as it happens (`settled`, `batch`, `webhook`); what simply is (rows owed, lane states, HTTP
calls) is read when the page is asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ..types import Settled

__all__ = ["CONTENT_TYPE", "LANE_STATES", "REFUSALS", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LANE_STATES = ("ok", "paused", "rate_limited", "needs_auth", "circuit_open", "error")
REFUSALS = ("signature", "too_large", "incomplete", "not_ready", "error")
_OWED = ("ready", "running", "submitted", "parked")


class Metrics:
    """Counters of one daemon."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        counter = partial(Counter, registry=self.registry)
        self._deliveries = counter("synccore_deliveries", "Deliveries settled, by outcome.", ("sink", "outcome"))
        self._received = counter("synccore_webhooks_received", "Webhooks taken in.", ("source",))
        self._refused = counter("synccore_webhooks_refused", "Webhooks refused.", ("source", "reason"))
        self._batch = Histogram(
            "synccore_batch_size",
            "Operations handed to a sink in one call.",
            ("sink",),
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000),
            registry=self.registry,
        )
        self._duration = Histogram(
            "synccore_deliver_seconds",
            "How long a sink took for one call.",
            ("sink",),
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
            registry=self.registry,
        )

    def settled(self, event: Settled) -> None:
        """Count a settled delivery; changes of a lane's state are read when asked for."""
        if event.outcome != "lane":
            self._deliveries.labels(event.sink, event.outcome).inc()

    def batch(self, sink: str, size: int, duration: timedelta) -> None:
        """Count one call of a sink's `deliver`."""
        self._batch.labels(sink).observe(size)
        self._duration.labels(sink).observe(max(duration.total_seconds(), 0.0))

    def received(self, source: str) -> None:
        """Count a webhook that was committed."""
        self._received.labels(source).inc()

    def refused(self, source: str, reason: str) -> None:
        """Count a webhook that was not taken. `reason`: one of REFUSALS, or unknown_source."""
        self._refused.labels(source, reason).inc()

    def page(self, status: Mapping[str, Any], calls: Callable[[str], int]) -> bytes:
        """The page in Prometheus' text format; `status` is the document of `synccore status --json`."""
        for name in status["sources"]:
            # What is there from the first look on can be seen to grow.
            self._received.labels(name)
            for reason in REFUSALS:
                self._refused.labels(name, reason)
        now = CollectorRegistry(auto_describe=False)
        now.register(_Present(status, calls))
        return generate_latest(self.registry) + generate_latest(now)


class _Present:
    """What is read rather than counted."""

    def __init__(self, status: Mapping[str, Any], calls: Callable[[str], int]) -> None:
        self._status, self._calls = status, calls

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        status = self._status
        owed = GaugeMetricFamily("synccore_owed", "Deliveries that are not done.", labels=("sink", "state"))
        oldest = GaugeMetricFamily(
            "synccore_oldest_ready_seconds", "Age of the oldest delivery that is due.", labels=("sink",)
        )
        lanes = GaugeMetricFamily("synccore_lane_state", "1 for the state a lane is in.", labels=("sink", "state"))
        for name, sink in status["sinks"].items():
            submitted = sink.get("submitted", 0)
            # The document counts what is in a vendor's bulk job as running.
            counts = {**sink, "submitted": submitted, "running": sink["running"] - submitted}
            for state in _OWED:
                owed.add_metric((name, state), counts[state])
            oldest.add_metric((name,), sink.get("oldest_ready_seconds") or 0)
            for state in LANE_STATES:
                lanes.add_metric((name, state), float(state == sink["state"]))
        calls = CounterMetricFamily(
            "synccore_http_calls", "HTTP calls made by an instance since the daemon started.", labels=("instance",)
        )
        snapshots = GaugeMetricFamily("synccore_snapshots", "Records known.", labels=("source", "entity"))
        for name, source in status["sources"].items():
            for entity, facts in source["entities"].items():
                snapshots.add_metric((name, entity), facts["snapshots"])
        for name in (*status["sources"], *status["sinks"]):
            calls.add_metric((name,), self._calls(name))
        yield from (owed, oldest, lanes, calls, snapshots)
