"""What a process counts and measures, for Prometheus.

Every process has its own `Metrics`, with a registry of its own. Processes that share a port share a folder instead
(`PROMETHEUS_MULTIPROC_DIR`, set by their supervisor before they start): then whichever of them is asked tells of all.
No label holds what a client chose freely: names of operations are bounded in number.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from domain.events import TERMINAL, NodeCanceled, NodeFailed, NodeRetrying, NodeSucceeded
from runtime import metric_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.ports.runs import Group

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder of processes that are told of together."""
OTHERS: Final = "(other)"
_MAX_OPERATIONS: Final = 200
_SAMPLE_S: Final = 2.0
_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
_SPENDING: Final = (NodeSucceeded, NodeFailed, NodeRetrying, NodeCanceled)


class Metrics:
    """The counters, gauges and histograms of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._sampled: list[tuple[Gauge, Callable[[], float]]] = []
        self._operations: set[str] = set()
        labels = ("operation", "type", "transport", "outcome")
        self._requests = self._counter("requests", "Operations answered; a subscription counts when it ends.", *labels)
        self._request_s = self._histogram(
            "request_duration_seconds", "From a request to its answer; not of subscriptions.", _FAST, *labels[:3]
        )
        self._ended = self._counter("runs_ended", "Runs that ended in this process, by how.", "status")
        self._tokens = self._counter("model_tokens", "Tokens that models were sent and have returned.", "direction")
        self._commits = self._counter("log_commits", "Commits of the run log.")
        self._commit_events = self._histogram("log_commit_events", "Events in one commit of the run log.", _SIZES)
        self._commit_s = self._histogram("log_commit_duration_seconds", "How long a commit of the run log took.", _FAST)
        self._lag_s = self._histogram(
            "delivery_lag_seconds", "From an event's time to when a follower that keeps up takes it.", _FAST
        )
        self._overflows = self._counter("followers_overflowed", "Followers that were too slow and read the log again.")
        self._search_s = self._histogram("vector_search_duration_seconds", "Searches in collections.", _FAST)
        self._loop_lag_s = self._gauge(
            "event_loop_lag_seconds", "How late the event loop woke a sleeper at the last look.", is_summed=False
        )

    def watch(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is read every two seconds."""
        self._sampled.append((self._gauge(name, documentation), read))

    async def run(self) -> None:
        """Read what is sampled, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            for gauge, read in self._sampled:
                gauge.set(read())
            due = clock() + _SAMPLE_S
            await asyncio.sleep(_SAMPLE_S)
            self._loop_lag_s.set(max(clock() - due, 0.0))

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format; reads files where processes share a folder."""
        folder = os.environ.get(SHARED_FOLDER)
        return metric_files.exposition(folder) if folder else generate_latest(self.registry)

    # ── what others tell ──

    def answered(
        self, operation: str | None, kind: str, transport: str, outcome: str, duration_s: float | None
    ) -> None:
        """Count an operation: kind is `query`, `mutation`, `subscription`, `webhook` or `unknown`; transport `http` or `socket`."""
        name = self._known(operation)
        self._requests.labels(name, kind, transport, outcome).inc()
        if duration_s is not None:
            self._request_s.labels(name, kind, transport).observe(duration_s)

    def stored(self, group: Group, _base: int) -> None:
        """Count what a stored group tells."""
        for event in group.events:
            if isinstance(event, TERMINAL):
                self._ended.labels(type(event).__name__.removeprefix("Run").lower()).inc()
            elif isinstance(event, _SPENDING) and event.usage.total_tokens:
                self._tokens.labels("input").inc(event.usage.input_tokens)
                self._tokens.labels("output").inc(event.usage.output_tokens)

    def committed(self, events: int, duration_s: float) -> None:
        """Count a commit of the run log."""
        self._commits.inc()
        self._commit_events.observe(events)
        self._commit_s.observe(duration_s)

    def delivered(self, lag_s: float) -> None:
        """Measure how late a follower got an event that was published to it."""
        self._lag_s.observe(lag_s)

    def overflowed(self) -> None:
        """Count a follower that was too slow."""
        self._overflows.inc()

    def searched(self, duration_s: float) -> None:
        """Measure a search."""
        self._search_s.observe(duration_s)

    def _known(self, operation: str | None) -> str:
        """Return a name if it is one of the first; clients may invent any number of them."""
        name = operation or ""
        if name in self._operations:
            return name
        if len(self._operations) >= _MAX_OPERATIONS:
            return OTHERS
        self._operations.add(name)
        return name

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"anabranch_{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *, is_summed: bool = True) -> Gauge:
        mode = "livesum" if is_summed else "livemax"
        return Gauge(f"anabranch_{name}", documentation, registry=self.registry, multiprocess_mode=mode)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"anabranch_{name}", documentation, labels, buckets=buckets, registry=self.registry)
