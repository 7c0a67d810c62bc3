"""Events for metrics collectors. A collector is any object with `emit(event, fields)`.

`emit` is called when an operation has ended, once for each event since the last time: on the event loop's thread, or, for a
synchronous reader and a write, on the caller's thread. Its exceptions reach the caller of that operation unchanged. A collector
ignores events that it does not know: later versions may have more.
"""

from shardyfusion.metrics._events import MetricEvent, MetricsCollector

__all__ = ["MetricEvent", "MetricsCollector"]
