"""Common parts of both readers: options, and passing events to collectors and logs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from shardyfusion import _core
from shardyfusion._lazy import lazy_module, logging
from shardyfusion._paths import path_option
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError
from shardyfusion.metrics._events import MetricEvent, MetricsCollector, events_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from shardyfusion import _types as types
    from shardyfusion import _values as values
    from shardyfusion._types import VectorReaderHealth, VectorShardDetail, VectorSnapshotInfo
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.s3 import S3ConnectionOptions
else:
    types = lazy_module("shardyfusion._types")
    values = lazy_module("shardyfusion._values")

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_MAX_COUNT = 2**31 - 1
_MAX_BYTES = 2**64 - 1
_MAX_NICE = 19


def warn(message: str, *arguments: object) -> None:
    """Logs a warning."""
    logging.getLogger("shardyfusion").warning(message, *arguments)


def count_option(name: str, value: int | None, minimum: int, maximum: int = _MAX_COUNT) -> int:
    """Checks an option; None becomes 0, which means no limit."""
    if value is None:
        return 0
    if not isinstance(value, int) or not minimum <= value <= maximum:  # pyright: ignore[reportUnnecessaryIsInstance]
        bound = f" and at most {maximum}" if maximum < _MAX_COUNT else ""
        raise ConfigValidationError(f"{name}: expected an integer of at least {minimum}{bound}, found {describe(value)}")
    return value


class ReaderOptions(NamedTuple):
    """The checked options of a reader."""

    root: str
    local_root: str
    max_concurrency: int
    max_fallback_attempts: int
    max_cached_shards: int
    max_cache_bytes: int
    max_filter_bytes: int
    thread_nice: int
    preload_shards: bool
    shard_format: str | None
    s3: dict[str, Any]

    @classmethod
    def check(
        cls,
        *,
        s3_prefix: str | os.PathLike[str],
        local_root: str | os.PathLike[str],
        max_concurrency: int | None,
        max_fallback_attempts: int,
        max_cached_shards: int | None,
        max_cache_bytes: int | None,
        max_filter_bytes: int | None,
        thread_nice: int | None,
        preload_shards: bool,
        shard_format: str | None,
        credential_provider: CredentialProvider | None,
        s3_connection_options: S3ConnectionOptions | None,
        concurrency_name: str = "max_concurrency",
    ) -> ReaderOptions:
        from shardyfusion.s3 import core_options

        return cls(
            root=path_option("s3_prefix", s3_prefix),
            local_root=path_option("local_root", local_root),
            max_concurrency=count_option(concurrency_name, max_concurrency, 1),
            max_fallback_attempts=count_option("max_fallback_attempts", max_fallback_attempts, 0),
            max_cached_shards=count_option("max_cached_shards", max_cached_shards, 1),
            max_cache_bytes=count_option("max_cache_bytes", max_cache_bytes, 1, _MAX_BYTES),
            max_filter_bytes=count_option("max_filter_bytes", max_filter_bytes, 1, _MAX_BYTES),
            thread_nice=count_option("thread_nice", thread_nice, 0, _MAX_NICE),
            preload_shards=bool(preload_shards),
            shard_format=shard_format,
            s3=core_options(s3_connection_options, credential_provider),
        )

    def storage(self) -> dict[str, Any]:
        """Returns the options for accessing the root."""
        return {"s3": self.s3} if self.s3 else {}

    def for_core(self) -> dict[str, Any]:
        """Returns the keyword arguments for `open` of the extension module."""
        return {
            "cache_dir": self.local_root,
            "max_concurrency": self.max_concurrency,
            "max_fallback_attempts": self.max_fallback_attempts,
            "max_cached_shards": self.max_cached_shards,
            "max_cache_bytes": self.max_cache_bytes,
            "max_filter_bytes": self.max_filter_bytes,
            "thread_nice": self.thread_nice,
            "preload_shards": self.preload_shards,
            "shard_format": self.shard_format,
            "manifest": None,
            "manifest_ref": None,
            "published_seconds": 0.0,
        } | self.storage()


class Reporter:
    """Passes on the records of the library's sink: events to the collector, messages to `logging`."""

    def __init__(self, collector: MetricsCollector | None, root: str = "") -> None:
        self._collector = collector
        self._root = root
        self.sink = _core.Sink(collector is not None)

    def report(self) -> None:
        """Passes on everything; raises what the collector raised, after the rest was passed on."""
        records = self.sink.take()
        if records is not None:
            self._pass_on(records)

    def _pass_on(self, records: list[tuple[str | int, Any]]) -> None:
        failure: BaseException | None = None
        for kind, content in records:
            try:
                if isinstance(kind, int):
                    logging.getLogger("shardyfusion").log(getattr(logging, _LOG_LEVELS[kind]), "%s", content)
                else:
                    self.emit(MetricEvent(kind), content)
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def emit(self, event: MetricEvent, fields: dict[str, Any]) -> None:
        """Calls the collector, if there is one; also with what the format's first library tells of the same."""
        if self._collector is not None:
            for each, each_fields in events_of(event, fields, self._root):
                self._collector.emit(each, each_fields)


def snapshot_info_of(handle: _core.Reader, stored_run_id: str | None = None) -> VectorSnapshotInfo:
    """`stored_run_id` is what a manifest store calls the run; the manifest itself may say otherwise."""
    run_id, num_dbs, dim, metric, sharding, manifest_ref, total_vectors = handle.snapshot_info()
    return types.VectorSnapshotInfo(
        run_id if stored_run_id is None else stored_run_id,
        num_dbs,
        dim,
        types.DistanceMetric(metric),
        types.VectorShardingStrategy(sharding),
        manifest_ref,
        total_vectors,
    )


def shard_details_of(handle: _core.Reader) -> list[VectorShardDetail]:
    return [types.VectorShardDetail(*row) for row in handle.shard_details()]


def shard_of(details: list[VectorShardDetail], shard_id: int) -> VectorShardDetail:
    """One of the details; an empty one for a shard that the snapshot does not have."""
    if 0 <= shard_id < len(details):
        return details[shard_id]
    return types.VectorShardDetail(shard_id, None, 0, None)


def health_of(
    handle: _core.Reader, staleness_threshold: timedelta | None, store_failure: str | None
) -> VectorReaderHealth:
    """`store_failure` says why a manifest store could not refresh the reader; the library does not know it."""
    seconds = -1.0 if staleness_threshold is None else max(0.0, staleness_threshold.total_seconds())
    status, manifest_ref, age_seconds, num_shards, is_closed, refresh_error = handle.health(seconds)
    refresh_error = store_failure or refresh_error
    if is_closed:
        return types.VectorReaderHealth(status, None, None, 0, is_closed, refresh_error)
    return types.VectorReaderHealth(status, manifest_ref, age_seconds, num_shards, is_closed, refresh_error)


def keyword_search(
    shard_ids: Iterable[int] | None, num_probes: int | None, routing_context: Mapping[str, Any] | None
) -> tuple[list[int] | None, int | None, Mapping[str, Any] | None]:
    """Converts arguments of a search that are used more than once."""
    if shard_ids is None:
        return None, num_probes, routing_context
    ids = values.shard_ids(shard_ids)
    if isinstance(ids, str):
        raise ConfigValidationError(f"shard_ids: expected integers, found {ids}")
    return list(ids), num_probes, routing_context


Narrowing: TypeAlias = tuple[str | None, float | None, int, int, bool, bool, bool, float | None]
"""The filter, max_score, max_results, offset, include_vectors, include_payloads, explain and recall of a search."""


def narrowing_of(
    filter: str | None,
    max_score: float | None,
    max_results: int,
    offset: int,
    include_vectors: bool,
    include_payloads: bool,
    explain: bool,
    recall: float | None,
) -> Narrowing | None:
    """Returns what narrows a search as the extension takes it: None where nothing does."""
    if filter is None and max_score is None and max_results == 10_000 and offset == 0:
        if include_vectors is False and include_payloads is True and explain is False and recall is None:
            return None
    return filter, max_score, max_results, offset, include_vectors, include_payloads, explain, recall
