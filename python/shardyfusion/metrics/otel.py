"""Metrics for OpenTelemetry. Needs `opentelemetry-api` (the extra `otel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardyfusion.metrics import MetricEvent

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, MeterProvider

__all__ = ["OpenTelemetryCollector"]

_DURATIONS = {
    MetricEvent.SEARCH: ("search.duration", "Duration of searches."),
    MetricEvent.SHARD_SEARCH: ("shard.search.duration", "Duration of a search in one shard."),
    MetricEvent.SHARD_LOAD: ("shard.load.duration", "Duration of loading a shard."),
    MetricEvent.READER_REFRESHED: ("reader.refresh.duration", "Duration of refreshes."),
    MetricEvent.READER_INITIALIZED: ("reader.open.duration", "Duration of opening readers."),
    MetricEvent.READER_CLOSED: ("reader.close.duration", "Duration of closing readers."),
    MetricEvent.VECTOR_WRITE_COMPLETED: ("write.duration", "Duration of writing a snapshot."),
}


class OpenTelemetryCollector:
    """A `metrics_collector`: histograms `shardyfusion.….duration` in seconds, with `error.type` for failures, and the counter
    `shardyfusion.fallbacks`."""

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        from opentelemetry.metrics import get_meter

        from shardyfusion import __version__

        meter = get_meter("shardyfusion", __version__, meter_provider)
        self._durations: dict[MetricEvent, Histogram] = {
            event: meter.create_histogram(f"shardyfusion.{name}", unit="s", description=description)
            for event, (name, description) in _DURATIONS.items()
        }
        self._fallbacks = meter.create_counter("shardyfusion.fallbacks", description="Fallbacks after malformed manifests.")

    def emit(self, event: MetricEvent, fields: dict[str, Any], /) -> None:
        if event is MetricEvent.FALLBACK:
            self._fallbacks.add(1)
            return
        if event not in self._durations:
            return
        attributes: dict[str, str | bool] = {}
        if fields.get("error"):
            attributes["error.type"] = fields["error"]
        if event is MetricEvent.READER_REFRESHED:
            attributes["changed"] = fields["changed"]
        self._durations[event].record(fields["duration_ms"] / 1e3, attributes)
