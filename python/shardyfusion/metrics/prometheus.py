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
    """The metrics of one registry, shared by all readers of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Histogram

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"shardyfusion_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"shardyfusion_{name}", text, buckets=_BUCKETS, registry=registry)

        self.searches = counter("searches", "Finished searches, by exception.", "error")
        self.search_seconds = histogram("search_seconds", "Duration of searches in seconds.")
        self.shard_search_seconds = histogram("shard_search_seconds", "Duration of a search in one shard in seconds.")
        self.shard_loads = counter("shard_loads", "Loaded shards and failed loads, by exception.", "error")
        self.shard_load_seconds = histogram("shard_load_seconds", "Duration of loading a shard in seconds.")
        self.refreshes = counter("refreshes", "Refreshes, by outcome: changed, unchanged, failed.", "outcome")
        self.fallbacks = counter("fallbacks", "Fallbacks after malformed manifests.")
        self.opened = counter("readers_opened", "Opened readers.")
        self.closed = counter("readers_closed", "Closed readers.")
        self.writes = counter("writes", "Written snapshots.")
        self.rows_written = counter("rows_written", "Rows of written snapshots.")


_lock = threading.Lock()
_by_registry: weakref.WeakKeyDictionary[CollectorRegistry, _Metrics] = weakref.WeakKeyDictionary()


class PrometheusCollector:
    """A `metrics_collector`. Collectors of one registry (default: that of the process) update the same metrics."""

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
