"""Metrics for OpenTelemetry. Needs `opentelemetry-api` (the extra `otel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardyfusion.metrics import MetricEvent

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, MeterProvider

__all__ = ["OpenTelemetryCollector", "OtelCollector"]

_DURATIONS = {
    MetricEvent.SEARCH: ("search.duration", "Duration of searches."),
    MetricEvent.SHARD_SEARCH: ("shard.search.duration", "Duration of a search in one shard."),
    MetricEvent.SHARD_LOAD: ("shard.load.duration", "Duration of loading a shard."),
    MetricEvent.READER_REFRESHED: ("reader.refresh.duration", "Duration of refreshes."),
    MetricEvent.READER_INITIALIZED: ("reader.open.duration", "Duration of opening readers."),
    MetricEvent.READER_CLOSED: ("reader.close.duration", "Duration of closing readers."),
    MetricEvent.VECTOR_WRITE_COMPLETED: ("write.duration", "Duration of writing a snapshot."),
}


class OtelCollector:
    """A `metrics_collector`: histograms `shardyfusion.….duration` in seconds, with `error.type` for failures, and the counter
    `shardyfusion.fallbacks`, `shardyfusion.rate_limiter_throttled` and `shardyfusion.rate_limiter_denied`, and the histogram
    `shardyfusion.rate_limiter_wait`. A field that is missing is left out."""

    def __init__(self, meter_provider: MeterProvider | None = None, meter_name: str = "shardyfusion") -> None:
        from opentelemetry.metrics import get_meter

        from shardyfusion import __version__

        meter = get_meter(meter_name, __version__, meter_provider)
        self._durations: dict[MetricEvent, Histogram] = {
            event: meter.create_histogram(f"shardyfusion.{name}", unit="s", description=description)
            for event, (name, description) in _DURATIONS.items()
        }
        self._waits = meter.create_histogram(
            "shardyfusion.rate_limiter_wait", unit="s", description="Time that callers wait for a rate limiter."
        )
        self._counters = {
            MetricEvent.FALLBACK: meter.create_counter(
                "shardyfusion.fallbacks", description="Fallbacks after malformed manifests."
            ),
            MetricEvent.RATE_LIMITER_THROTTLED: meter.create_counter(
                "shardyfusion.rate_limiter_throttled", description="Waits for a rate limiter."
            ),
            MetricEvent.RATE_LIMITER_DENIED: meter.create_counter(
                "shardyfusion.rate_limiter_denied", description="Tokens that a rate limiter did not have."
            ),
        }

    def _record(self, event: MetricEvent, payload: dict[str, Any]) -> None:
        attributes: dict[str, str | bool] = {}
        if payload.get("error"):
            attributes["error.type"] = payload["error"]
        if "changed" in payload:
            attributes["changed"] = payload["changed"]
        if "duration_ms" in payload:
            self._durations[event].record(payload["duration_ms"] / 1e3, attributes)

    def emit(self, event: MetricEvent, payload: dict[str, Any]) -> None:
        if event in self._counters:
            self._counters[event].add(1)
        elif event in self._durations:
            self._record(event, payload)
        if event is MetricEvent.RATE_LIMITER_THROTTLED and "wait_seconds" in payload:
            self._waits.record(payload["wait_seconds"])


OpenTelemetryCollector = OtelCollector
