"""Figures of the service, as Prometheus reads them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from vecrecall.arrays._results import RecallStats
from vecrecall.serve._jobs import Piece
from vecrecall.serve._system import System

log = logging.getLogger("vecrecall.serve")

_SECONDS = (*(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),)
_USERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that makes the client add up the figures of all workers."""


class Metrics:
    """The figures of one process, or, with several workers, its share of them."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "vecrecall_requests", "Requests by route and status.", ["route", "status"],
            registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "vecrecall_request_seconds", "From the last byte of a request to its reply.", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.channel_seconds = Histogram(
            "vecrecall_channel_seconds", "A channel's part of a recall.", ["channel"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.channel_errors = Counter(
            "vecrecall_channel_errors", "Recalls that are without a channel, by reason.",
            ["channel", "reason"],
            registry=registry,
        )  # fmt: skip
        self.batch_users = Histogram(
            "vecrecall_batch_users", "Users of one scan.", ["route"], buckets=_USERS,
            registry=registry,
        )  # fmt: skip
        self.batch_requests = Histogram(
            "vecrecall_batch_requests", "Requests of one scan.", ["route"], buckets=_USERS,
            registry=registry,
        )  # fmt: skip
        self.batch_seconds = Histogram(
            "vecrecall_batch_seconds", "Seconds of one scan.", ["route"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.dropped = Counter(
            "vecrecall_dropped", "Requests that were not answered, by reason.", ["reason"],
            registry=registry,
        )  # fmt: skip
        self.changes = Counter(
            "vecrecall_changes", "Acknowledged changes.", ["kind"], registry=registry
        )
        self._queue = Gauge(
            "vecrecall_queue_requests", "Requests that wait.", registry=registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self._queue_work = Gauge(
            "vecrecall_queue_work", "Users x k x channels that wait.", registry=registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self._version = Gauge(
            "vecrecall_version", "The version that is served.", registry=registry,
            multiprocess_mode="livemin",
        )  # fmt: skip
        self._position = Gauge(
            "vecrecall_position", "The last change that is served.", registry=registry,
            multiprocess_mode="livemin",
        )  # fmt: skip
        self._changed = Gauge(
            "vecrecall_artifact_changed_timestamp_seconds",
            "When an artifact was published, folded or changed.", ["artifact"], registry=registry,
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self._age = Gauge(
            "vecrecall_artifact_age_seconds",
            "Since an artifact was published, folded or changed.",
            ["artifact"], registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self._items = Gauge(
            "vecrecall_index_items", "Items of an index.", ["index"], registry=registry,
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self._bytes = Gauge(
            "vecrecall_index_bytes", "Memory of an index, mapped files too.", ["index"],
            registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip

        self._artifacts: set[str] = set()

    def batch(self, pieces: Sequence[Piece], seconds: float) -> None:
        """Count a scan."""
        route = pieces[0].job.kind
        self.batch_users.labels(route).observe(sum(map(len, pieces)))
        self.batch_requests.labels(route).observe(len(pieces))
        self.batch_seconds.labels(route).observe(seconds)

    def channels(self, stats: RecallStats) -> None:
        """Count what the channels of a recall did."""
        for name, seconds in stats.seconds.items():
            self.channel_seconds.labels(name).observe(seconds)
        for name, reason in stats.missing.items():
            self.channel_errors.labels(name, reason).inc()
        for name, error in stats.errors.items():
            log.warning(
                "a channel failed", extra={"fields": {"channel": name, "error": repr(error)}}
            )

    def note(self, system: System, waiting: int, work: int) -> None:
        """Take what changes by itself; called once in a while and before figures are given."""
        self._queue.set(waiting)
        self._queue_work.set(work)
        self._version.set(system.version)
        self._position.set(system.position)
        now = time.time()
        artifacts = set(system.artifacts)
        for gone in self._artifacts - artifacts if SHARED not in os.environ else ():
            self._changed.remove(gone)  # several processes keep it: their files cannot forget
            self._age.remove(gone)
        self._artifacts = artifacts
        for name in artifacts:
            changed = system.changed_at.get(name, system.made_at)
            self._changed.labels(name).set(changed)
            self._age.labels(name).set(now - changed)
        for name, index in system.parts.indexes.items():
            self._items.labels(name).set(len(index))
            self._bytes.labels(name).set(index.nbytes)

    def text(self) -> tuple[bytes, str]:
        """Return the figures of all workers, and their media type."""
        if SHARED not in os.environ:
            return generate_latest(self._registry), CONTENT_TYPE_LATEST
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
