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
    """The metrics of one registry and prefix, shared by all readers of a process."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        from prometheus_client import Counter, Histogram

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(prefix + name, text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(prefix + name, text, buckets=_BUCKETS, registry=registry)

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
        self.throttled = counter("rate_limiter_throttled", "Waits for a rate limiter.")
        self.wait_seconds = histogram("rate_limiter_wait_seconds", "Time that callers wait for a rate limiter in seconds.")
        self.denied = counter("rate_limiter_denied", "Tokens that a rate limiter did not have.")


_lock = threading.Lock()
_by_registry: weakref.WeakKeyDictionary[CollectorRegistry, dict[str, _Metrics]] = weakref.WeakKeyDictionary()


class PrometheusCollector:
    """A `metrics_collector`. Collectors of one registry (default: that of the process) and prefix update the same metrics."""

    def __init__(self, registry: CollectorRegistry | None = None, prefix: str = "shardyfusion_") -> None:
        from prometheus_client import REGISTRY

        registry = registry or REGISTRY
        with _lock:
            by_prefix = _by_registry.setdefault(registry, {})
            metrics = by_prefix.get(prefix)
            if metrics is None:
                metrics = by_prefix[prefix] = _Metrics(registry, prefix)
        self._metrics = metrics

    def emit(self, event: MetricEvent, payload: dict[str, Any]) -> None:
        """Updates the metrics of an event. Without its figures, it is only counted."""
        metrics = self._metrics
        match event:
            case MetricEvent.SEARCH:
                self._timed(metrics.searches, metrics.search_seconds, payload)
            case MetricEvent.SHARD_SEARCH:
                self._observe(metrics.shard_search_seconds, payload, "duration_ms", 1e-3)
            case MetricEvent.SHARD_LOAD:
                self._timed(metrics.shard_loads, metrics.shard_load_seconds, payload)
            case MetricEvent.READER_REFRESHED:
                outcome = "failed" if payload.get("error") else "changed" if payload.get("changed") else "unchanged"
                metrics.refreshes.labels(outcome).inc()
            case MetricEvent.FALLBACK:
                metrics.fallbacks.inc()
            case MetricEvent.READER_INITIALIZED:
                metrics.opened.inc()
            case MetricEvent.READER_CLOSED:
                metrics.closed.inc()
            case MetricEvent.VECTOR_WRITE_COMPLETED:
                metrics.writes.inc()
                metrics.rows_written.inc(payload.get("total_vectors", 0))
            case MetricEvent.RATE_LIMITER_THROTTLED:
                metrics.throttled.inc()
                self._observe(metrics.wait_seconds, payload, "wait_seconds", 1)
            case MetricEvent.RATE_LIMITER_DENIED:
                metrics.denied.inc()
            case _:
                pass

    @classmethod
    def _timed(cls, count: Counter, seconds: Histogram, payload: dict[str, Any]) -> None:
        count.labels(payload.get("error") or "").inc()
        cls._observe(seconds, payload, "duration_ms", 1e-3)

    @staticmethod
    def _observe(histogram: Histogram, payload: dict[str, Any], name: str, unit: float) -> None:
        if name in payload:
            histogram.observe(payload[name] * unit)
