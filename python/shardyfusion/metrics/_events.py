"""The events, and those that the format's first library has for the same."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol

__all__ = ["MetricEvent", "MetricsCollector", "events_of"]


class MetricEvent(StrEnum):
    """Events and their fields. All have `duration_ms`, except `FALLBACK` and those marked below.

    If there is a field `error`, it is None or the name of the exception, and `message` is the exception's message.

    What a reader does is also told by the events that the format's first library has for it, whose names begin with
    `VECTOR_`: a collector takes the ones or the others.
    """

    READER_INITIALIZED = "reader_initialized"
    """A reader opened its first snapshot: `manifest_ref`, `run_id`, `num_shards`."""
    READER_REFRESHED = "reader_refreshed"
    """A refresh ended: `changed`, `manifest_ref`, `run_id`, `num_shards` (of the snapshot that is now served), `error`,
    `message`."""
    READER_CLOSED = "reader_closed"
    """A reader was closed: `manifest_ref`."""
    SEARCH = "search"
    """A search ended: `top_k`, `num_results`, `num_shards_queried`, `error`, `message`; with a filter, `num_matching` and
    `filter_ms`."""
    SHARD_SEARCH = "shard_search"
    """A search finished scanning a shard: `shard_id`, `num_vectors`, `num_not_finite`, `top_k`. The duration is from when the
    shard was loaded until its last vector was scanned."""
    SHARD_LOAD = "shard_load"
    """A shard was loaded, or failed to load: `shard_id`, `num_vectors`, `num_not_finite`, `error`, `message`."""
    FALLBACK = "fallback"
    """A manifest is malformed, and older ones are tried: `manifest_ref`, `error`, `message`."""
    LISTS_LOAD = "lists_load"
    """A shard's lists were opened, or refused, so that searches with a recall are exact: `shard_id`, `num_vectors`, `error`,
    `message`."""
    VECTOR_READER_INITIALIZED = "vector.reader.initialized"
    """A reader opened its first snapshot: `s3_prefix`, `num_shards`. No `duration_ms`, here and below."""
    VECTOR_READER_REFRESHED = "vector.reader.refreshed"
    """A refresh changed the served snapshot: `manifest_ref`."""
    VECTOR_READER_CLOSED = "vector.reader.closed"
    """A reader was closed."""
    VECTOR_SEARCH = "vector.reader.search"
    """A search succeeded: `top_k`, `num_shards_queried`, `num_results`, `elapsed_ms`."""
    VECTOR_SHARD_SEARCH = "vector.reader.shard_search"
    """A search finished scanning a shard: `shard_id`, `top_k`, `num_results` (`top_k`, or as many vectors as the shard has),
    `elapsed_ms`."""
    VECTOR_WRITE_STARTED = "vector.write.started"
    """A write began: `run_id`, `s3_prefix`."""
    VECTOR_SHARD_WRITE_COMPLETED = "vector.write.shard.completed"
    """A shard was written, and its snapshot is live: `db_id`, `row_count`."""
    VECTOR_WRITE_COMPLETED = "vector.write.completed"
    """A snapshot was written and is live: `run_id`, `total_vectors`, `num_shards`, `elapsed_ms`, and `duration_ms`."""
    RATE_LIMITER_THROTTLED = "rate_limiter.throttled"
    """A caller waits for a rate limiter: `wait_seconds`, `limiter_type`."""
    RATE_LIMITER_DENIED = "rate_limiter.denied"
    """A rate limiter took no tokens: `deficit_seconds`, `limiter_type`."""
    S3_RETRY = "s3.retry"
    """Of the first library alone: requests are repeated within the library, and are not told one by one."""
    S3_RETRY_EXHAUSTED = "s3.retry_exhausted"
    """Of the first library alone: a request that keeps failing is an `S3TransientError`."""


class MetricsCollector(Protocol):
    """Receives events."""

    def emit(self, event: MetricEvent, payload: dict[str, Any], /) -> object: ...


Event = tuple[MetricEvent, dict[str, Any]]


def _initialized(fields: dict[str, Any], root: str) -> Event | None:
    return MetricEvent.VECTOR_READER_INITIALIZED, {"s3_prefix": root, "num_shards": fields["num_shards"]}


def _refreshed(fields: dict[str, Any], root: str) -> Event | None:
    if not fields["changed"] or fields["error"]:
        return None
    return MetricEvent.VECTOR_READER_REFRESHED, {"manifest_ref": fields["manifest_ref"]}


def _closed(fields: dict[str, Any], root: str) -> Event | None:
    return MetricEvent.VECTOR_READER_CLOSED, {}


def _searched(fields: dict[str, Any], root: str) -> Event | None:
    if fields["error"]:
        return None
    told = {name: fields[name] for name in ("top_k", "num_shards_queried", "num_results")}
    return MetricEvent.VECTOR_SEARCH, told | {"elapsed_ms": fields["duration_ms"]}


def _searched_shard(fields: dict[str, Any], root: str) -> Event | None:
    top_k = fields["top_k"]
    return MetricEvent.VECTOR_SHARD_SEARCH, {
        "shard_id": fields["shard_id"],
        "top_k": top_k,
        "num_results": min(top_k, fields["num_vectors"]) if top_k else fields["num_vectors"],
        "elapsed_ms": fields["duration_ms"],
    }


_FIRST_LIBRARY: dict[MetricEvent, Callable[[dict[str, Any], str], Event | None]] = {
    MetricEvent.READER_INITIALIZED: _initialized,
    MetricEvent.READER_REFRESHED: _refreshed,
    MetricEvent.READER_CLOSED: _closed,
    MetricEvent.SEARCH: _searched,
    MetricEvent.SHARD_SEARCH: _searched_shard,
}


def events_of(event: MetricEvent, fields: dict[str, Any], root: str) -> list[Event]:
    """Returns an event, and before it that of the first library for the same, if there is one. `root` is the snapshot's."""
    translate = _FIRST_LIBRARY.get(event)
    first = None if translate is None else translate(fields, root)
    return [(event, fields)] if first is None else [first, (event, fields)]
