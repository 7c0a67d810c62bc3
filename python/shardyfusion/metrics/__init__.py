"""What a metrics collector is told: any object with `emit(event, fields)`.

`emit` is called on the loop's thread (of a synchronous reader and of a write: on the caller's) when an operation has ended, for all that
happened since the last time. What it raises reaches the caller of that operation unchanged.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

__all__ = ["MetricEvent", "MetricsCollector"]


class MetricEvent(StrEnum):
    """What happens, and the fields that come with it. `duration_ms` comes with all but `FALLBACK`
    and where it says so.

    Where `error` is a field, it is None or the name of the exception, and `message` says why.
    """

    READER_INITIALIZED = "reader_initialized"
    """A reader serves its first snapshot: `manifest_ref`, `run_id`, `num_shards`."""
    READER_REFRESHED = "reader_refreshed"
    """A refresh ended: `changed`, `manifest_ref`, `run_id`, `num_shards` (of what is served now), `error`, `message`."""
    READER_CLOSED = "reader_closed"
    """A reader was closed: `manifest_ref`."""
    SEARCH = "search"
    """A search ended: `top_k`, `num_results`, `num_shards_queried`, `error`, `message`."""
    SHARD_SEARCH = "shard_search"
    """A search is done with a shard: `shard_id`, `num_vectors`, `num_not_finite`; from when the shard was loaded to its last vector."""
    SHARD_LOAD = "shard_load"
    """A shard was loaded, or could not be: `shard_id`, `num_vectors`, `num_not_finite`, `error`, `message`."""
    FALLBACK = "fallback"
    """A manifest is malformed, and older ones are tried: `manifest_ref`, `error`, `message`."""
    VECTOR_WRITE_STARTED = "vector_write_started"
    """A write begins: `s3_prefix`, and `run_id` where one was given (else None). No `duration_ms`."""
    VECTOR_SHARD_WRITE_COMPLETED = "vector_shard_write_completed"
    """A shard was written, and its snapshot is live: `db_id`, `row_count`. No `duration_ms`."""
    VECTOR_WRITE_COMPLETED = "vector_write_completed"
    """A snapshot was written and is live: `run_id`, `total_vectors`, `num_shards`."""


class MetricsCollector(Protocol):
    """Takes events as they are told."""

    def emit(self, event: MetricEvent, fields: dict[str, Any], /) -> object: ...
