"""Metrics for Prometheus. Needs `prometheus-client` (the extra `prometheus`)."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from shardyfusion.metrics import MetricEvent

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["PrometheusCollector"]

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class _Metrics:
    """The metrics of one registry, which all readers of a process share."""

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Histogram

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"shardyfusion_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"shardyfusion_{name}", text, buckets=_BUCKETS, registry=registry)

        self.searches = counter("searches", "Searches that ended, by the exception that they ended with.", "error")
        self.search_seconds = histogram("search_seconds", "How long searches took.")
        self.shard_search_seconds = histogram("shard_search_seconds", "How long a search was at one shard.")
        self.shard_loads = counter("shard_loads", "Shards that were loaded, or could not be.", "error")
        self.shard_load_seconds = histogram("shard_load_seconds", "How long loading a shard took.")
        self.refreshes = counter("refreshes", "Refreshes: changed, unchanged, failed.", "outcome")
        self.fallbacks = counter("fallbacks", "Malformed manifests that made older ones be tried.")
        self.opened = counter("readers_opened", "Readers that were opened.")
        self.closed = counter("readers_closed", "Readers that were closed.")
        self.writes = counter("writes", "Snapshots that were written.")
        self.rows_written = counter("rows_written", "Rows of snapshots that were written.")


_lock = threading.Lock()
_by_registry: weakref.WeakKeyDictionary[CollectorRegistry, _Metrics] = weakref.WeakKeyDictionary()


class PrometheusCollector:
    """A `metrics_collector`. Collectors of one registry (default: the process's) add to the same metrics."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        from prometheus_client import REGISTRY

        registry = registry or REGISTRY
        with _lock:
            metrics = _by_registry.get(registry)
            if metrics is None:
                metrics = _by_registry[registry] = _Metrics(registry)
        self._metrics = metrics

    def emit(self, event: MetricEvent, fields: dict[str, Any], /) -> None:
        metrics = self._metrics
        match event:
            case MetricEvent.SEARCH:
                self._timed(metrics.searches, metrics.search_seconds, fields)
            case MetricEvent.SHARD_SEARCH:
                metrics.shard_search_seconds.observe(fields["duration_ms"] / 1e3)
            case MetricEvent.SHARD_LOAD:
                self._timed(metrics.shard_loads, metrics.shard_load_seconds, fields)
            case MetricEvent.READER_REFRESHED:
                outcome = "failed" if fields["error"] else "changed" if fields["changed"] else "unchanged"
                metrics.refreshes.labels(outcome).inc()
            case MetricEvent.FALLBACK:
                metrics.fallbacks.inc()
            case MetricEvent.READER_INITIALIZED:
                metrics.opened.inc()
            case MetricEvent.READER_CLOSED:
                metrics.closed.inc()
            case MetricEvent.VECTOR_WRITE_COMPLETED:
                metrics.writes.inc()
                metrics.rows_written.inc(fields["total_vectors"])
            case MetricEvent.VECTOR_WRITE_STARTED | MetricEvent.VECTOR_SHARD_WRITE_COMPLETED:
                pass

    @staticmethod
    def _timed(count: Counter, seconds: Histogram, fields: dict[str, Any]) -> None:
        count.labels(fields["error"] or "").inc()
        seconds.observe(fields["duration_ms"] / 1e3)
