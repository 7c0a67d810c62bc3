"""Events for metrics collectors. A collector is any object with `emit(event, fields)`.

`emit` is called when an operation has ended, once for each event since the last time: on the event loop's thread, or, for a
synchronous reader and a write, on the caller's thread. Its exceptions reach the caller of that operation unchanged.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

__all__ = ["MetricEvent", "MetricsCollector"]


class MetricEvent(StrEnum):
    """Events and their fields. All have `duration_ms`, except `FALLBACK` and those marked below.

    If there is a field `error`, it is None or the name of the exception, and `message` is the exception's message.
    """

    READER_INITIALIZED = "reader_initialized"
    """A reader opened its first snapshot: `manifest_ref`, `run_id`, `num_shards`."""
    READER_REFRESHED = "reader_refreshed"
    """A refresh ended: `changed`, `manifest_ref`, `run_id`, `num_shards` (of the snapshot that is now served), `error`,
    `message`."""
    READER_CLOSED = "reader_closed"
    """A reader was closed: `manifest_ref`."""
    SEARCH = "search"
    """A search ended: `top_k`, `num_results`, `num_shards_queried`, `error`, `message`."""
    SHARD_SEARCH = "shard_search"
    """A search finished scanning a shard: `shard_id`, `num_vectors`, `num_not_finite`. The duration is from when the shard was
    loaded until its last vector was scanned."""
    SHARD_LOAD = "shard_load"
    """A shard was loaded, or failed to load: `shard_id`, `num_vectors`, `num_not_finite`, `error`, `message`."""
    FALLBACK = "fallback"
    """A manifest is malformed, and older ones are tried: `manifest_ref`, `error`, `message`."""
    VECTOR_WRITE_STARTED = "vector_write_started"
    """A write began: `s3_prefix`, and `run_id` if one was given (else None). No `duration_ms`."""
    VECTOR_SHARD_WRITE_COMPLETED = "vector_shard_write_completed"
    """A shard was written, and its snapshot is live: `db_id`, `row_count`. No `duration_ms`."""
    VECTOR_WRITE_COMPLETED = "vector_write_completed"
    """A snapshot was written and is live: `run_id`, `total_vectors`, `num_shards`."""


class MetricsCollector(Protocol):
    """Receives events."""

    def emit(self, event: MetricEvent, fields: dict[str, Any], /) -> object: ...
