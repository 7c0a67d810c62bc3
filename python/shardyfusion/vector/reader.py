"""The synchronous reader."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from shardyfusion import _core
from shardyfusion import _values as values
from shardyfusion._builtin_format import BuiltinFormat
from shardyfusion._custom import check_narrowing, split_queries, unsupported
from shardyfusion._custom_sync import SyncCustomShards
from shardyfusion._options import (
    ReaderOptions,
    Reporter,
    health_of,
    keyword_search,
    narrowing_of,
    shard_details_of,
    shard_of,
    snapshot_info_of,
    warn,
)
from shardyfusion._runtime import register_reader
from shardyfusion._store import LoadedManifest, SyncStore, load_live, run_unwaiting
from shardyfusion.errors import ReaderStateError, ShardyfusionError
from shardyfusion.vector.types import SearchResult, VectorSearchResponse, VectorShardDetail, VectorSnapshotInfo
from shardyfusion.vector.types import VectorReaderHealth as VectorReaderHealth

if TYPE_CHECKING:
    from shardyfusion._store import ManifestSource
    from shardyfusion._types import VectorShardReaderFactory
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.metrics import MetricsCollector
    from shardyfusion._rate_limiter import SyncRateLimiter
    from shardyfusion.s3 import S3ConnectionOptions
    from shardyfusion.vector.types import Queries, Query, RoutingContext

__all__ = ["ShardedVectorReader"]

_T = TypeVar("_T")

CLOSE_TIMEOUT_SECONDS = 10.0
"""How long `close` waits for searches in flight before it cancels them."""


class ShardedVectorReader:
    """The same reader as `AsyncShardedVectorReader`, with blocking calls.

    Any thread may use it; calls release the GIL while they wait, and Ctrl-C interrupts them. `manifest_store`,
    `reader_factory` and `rate_limiter` are synchronous here: plain methods, and `acquire(tokens)`.
    """

    # For an instance whose `__init__` was not called, which a subclass may forget.
    _process: int | None = None
    _is_closed: bool = True
    _is_opened: bool = False

    def __init__(
        self,
        *,
        s3_prefix: str | os.PathLike[str],
        local_root: str | os.PathLike[str],
        manifest_store: ManifestSource | None = None,
        max_workers: int | None = None,
        max_fallback_attempts: int = 3,
        rate_limiter: SyncRateLimiter | None = None,
        reader_factory: VectorShardReaderFactory | BuiltinFormat | None = None,
        preload_shards: bool = False,
        max_cached_shards: int | None = None,
        metrics_collector: MetricsCollector | None = None,
        credential_provider: CredentialProvider | None = None,
        s3_connection_options: S3ConnectionOptions | None = None,
        max_cache_bytes: int | None = None,
        max_filter_bytes: int | None = None,
        thread_nice: int | None = None,
    ) -> None:
        """Opens the live snapshot below `s3_prefix`. The arguments are those of `AsyncShardedVectorReader.open`, with
        `max_workers` instead of `max_concurrency`."""
        if self._is_opened:
            raise ReaderStateError("the reader is open already: its __init__ was called before")
        builtin = reader_factory if isinstance(reader_factory, BuiltinFormat) else None
        self._options = ReaderOptions.check(
            s3_prefix=s3_prefix,
            local_root=local_root,
            max_concurrency=max_workers,
            max_fallback_attempts=max_fallback_attempts,
            max_cached_shards=max_cached_shards,
            max_cache_bytes=max_cache_bytes,
            max_filter_bytes=max_filter_bytes,
            thread_nice=thread_nice,
            preload_shards=preload_shards and (reader_factory is None or builtin is not None),
            shard_format=None if builtin is None else builtin.shard_format,
            credential_provider=credential_provider,
            s3_connection_options=s3_connection_options,
            concurrency_name="max_workers",
        )
        self._reporter = Reporter(metrics_collector, self._options.root)
        self._limiter = rate_limiter
        self._store = None if manifest_store is None else SyncStore(manifest_store)
        self._store_failure: str | None = None
        self._payload: LoadedManifest | None = None
        self._custom: SyncCustomShards | None = None
        self._lock = threading.Lock()  # one refresh from a store, or close, at a time
        self._handle = self._open()
        self._process = os.getpid()
        self._is_opened = True
        self._is_closed = False
        register_reader(self)
        if reader_factory is not None and not isinstance(reader_factory, BuiltinFormat):
            self._open_custom(reader_factory, preload_shards)

    @classmethod
    def open(cls, **options: Any) -> Self:
        """The same as the constructor."""
        return cls(**options)

    def _open(self) -> _core.Reader:
        keywords = self._options.for_core()
        if self._store is not None:
            loaded = run_unwaiting(load_live(self._store, self._reporter, self._options.max_fallback_attempts))
            assert loaded is not None
            self._payload = loaded
            keywords |= {
                "manifest": loaded.payload,
                "manifest_ref": loaded.ref,
                "published_seconds": loaded.published_seconds,
            }
        return self._wait(_core.open(None, None, self._options.root, self._reporter.sink, **keywords))

    def _open_custom(self, factory: VectorShardReaderFactory, preload_shards: bool) -> None:
        self._custom = SyncCustomShards(factory, self._options, self._reporter, self._read_manifest, preload_shards)
        try:
            self._custom.use_live(self._handle)
        except BaseException:
            self.close()
            raise

    def _read_manifest(self, ref: str) -> bytes:
        if self._payload is not None and self._payload.ref == ref:
            return self._payload.payload
        return _core.read_object(
            None, None, self._options.root, self._reporter.sink, reference=ref, **self._options.storage()
        ).wait()

    def _wait(self, operation: _core.Operation[_T]) -> _T:
        try:
            outcome = operation.wait()
        except Exception:
            self._reporter.report()
            raise
        self._reporter.report()
        return outcome

    def _check(self) -> None:
        if self._process is None:
            raise ReaderStateError("the reader was never opened: its __init__ was not called, or failed")
        if self._process != os.getpid():
            raise ReaderStateError(
                f"the reader was opened by process {self._process} and can't be used after a fork: "
                "open one in this process"
            )
        if self._is_closed:
            raise ReaderStateError("the reader is closed")

    def search(
        self,
        query: Query,
        top_k: int | None = 10,
        *,
        shard_ids: Iterable[int] | None = None,
        num_probes: int | None = None,
        routing_context: RoutingContext | None = None,
        recall: float | None = None,
        filter: str | None = None,
        max_score: float | None = None,
        max_results: int = 10_000,
        offset: int = 0,
        include_vectors: bool = False,
        include_payloads: bool = True,
        explain: bool = False,
    ) -> VectorSearchResponse:
        """See `AsyncShardedVectorReader.search`."""
        self._check()
        narrowing = narrowing_of(
            filter, max_score, max_results, offset, include_vectors, include_payloads, explain, recall
        )
        if self._limiter is not None:
            self._limiter.acquire(1)
        if self._custom is not None:
            keywords = keyword_search(shard_ids, num_probes, routing_context)
            top_k = check_narrowing(top_k, narrowing)
            return self._custom.search(self._handle, query, top_k, keywords)
        return self._wait(
            self._handle.search(None, None, query, top_k, shard_ids, num_probes, routing_context, narrowing)
        )

    def batch_search(
        self,
        queries: Queries,
        top_k: int | None = 10,
        *,
        shard_ids: Iterable[int] | None = None,
        num_probes: int | None = None,
        routing_context: RoutingContext | None = None,
        recall: float | None = None,
        filter: str | None = None,
        max_score: float | None = None,
        max_results: int = 10_000,
        offset: int = 0,
        include_vectors: bool = False,
        include_payloads: bool = True,
        explain: bool = False,
    ) -> list[VectorSearchResponse]:
        """See `AsyncShardedVectorReader.batch_search`."""
        self._check()
        narrowing = narrowing_of(
            filter, max_score, max_results, offset, include_vectors, include_payloads, explain, recall
        )
        if self._limiter is not None or self._custom is not None:
            queries = split_queries(queries)
            for _ in queries if self._limiter is not None else ():
                self._limiter.acquire(1)  # type: ignore[union-attr]
        if self._custom is not None:
            keywords = keyword_search(shard_ids, num_probes, routing_context)
            top_k = check_narrowing(top_k, narrowing)
            return [self._custom.search(self._handle, query, top_k, keywords) for query in split_queries(queries)]
        return self._wait(
            self._handle.batch_search(None, None, queries, top_k, shard_ids, num_probes, routing_context, narrowing)
        )

    def fetch(
        self,
        ids: Iterable[int | str],
        *,
        include_vectors: bool = False,
        include_payloads: bool = True,
        shard_ids: Iterable[int] | None = None,
    ) -> list[SearchResult | None]:
        """See `AsyncShardedVectorReader.fetch`."""
        self._check()
        if self._custom is not None:
            raise unsupported("fetch")
        wanted = values.row_ids(ids)
        return self._wait(self._handle.fetch(None, None, wanted, shard_ids, include_vectors, include_payloads))

    def count(self, filter: str | None = None, *, shard_ids: Iterable[int] | None = None) -> int:
        """See `AsyncShardedVectorReader.count`."""
        self._check()
        if self._custom is not None:
            raise unsupported("count")
        return self._wait(self._handle.count(None, None, filter, shard_ids))

    def route_vector(
        self, query: Query, *, num_probes: int | None = None, routing_context: RoutingContext | None = None
    ) -> list[int]:
        """See `AsyncShardedVectorReader.route_vector`."""
        self._check()
        return self._handle.route(query, None, num_probes, routing_context)

    def shard_for_id(self, shard_id: int) -> VectorShardDetail:
        """Returns the manifest's description of one shard: without a URL and vectors, for one that the snapshot does not have."""
        return shard_of(self.shard_details(), shard_id)

    def shard_details(self) -> list[VectorShardDetail]:
        """Returns the manifest's description of each of its `num_dbs` shards."""
        self._check()
        return shard_details_of(self._handle)

    def snapshot_info(self) -> VectorSnapshotInfo:
        """Returns a description of the served snapshot."""
        self._check()
        return snapshot_info_of(self._handle, None if self._payload is None else self._payload.run_id)

    def health(self, *, staleness_threshold: timedelta | None = None) -> VectorReaderHealth:
        """See `AsyncShardedVectorReader.health`."""
        if self._process is None:
            self._check()
        return health_of(self._handle, staleness_threshold, self._store_failure)

    def refresh(self) -> bool:
        """See `AsyncShardedVectorReader.refresh`."""
        self._check()
        if self._store is None:
            changed = self._wait(self._handle.refresh(None, None))
        else:
            with self._lock:
                changed = self._refresh_from(self._store)
        if changed and self._custom is not None:
            self._custom.use_live(self._handle)
        return changed

    def _refresh_from(self, store: SyncStore) -> bool:
        self._store_failure = None
        try:
            loaded = run_unwaiting(load_live(store, self._reporter, 0, self._handle.manifest_ref()))
        except ShardyfusionError as error:
            self._store_failure = str(error)
            warn("refresh: keeping the snapshot that is served: %s: %s", type(error).__name__, error)
            return False
        if loaded is None:
            return False
        changed = self._wait(self._handle.refresh(None, None, loaded.payload, loaded.ref, loaded.published_seconds))
        if changed:
            self._payload = loaded
        return changed

    def close(self) -> None:
        """Refuses new work, waits up to 10 seconds for searches in flight, cancels the rest, and frees all resources.
        Idempotent."""
        if self._process is None:
            return
        if self._process != os.getpid():
            self._check()
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        try:
            if self._custom is not None:
                self._custom.close()
        finally:
            try:
                operation = self._handle.close(None, None, int(CLOSE_TIMEOUT_SECONDS * 1000))
            except ReaderStateError:
                self._is_closed = False  # nothing was begun
                raise
            self._wait(operation)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} can't be copied or pickled: open another one")

    def __repr__(self) -> str:
        if self._process is None:
            return f"<{type(self).__name__} that was never opened>"
        if self._process != os.getpid():
            return f"<{type(self).__name__} {self._options.root!r} of process {self._process}>"
        if self._is_closed:
            return f"<{type(self).__name__} {self._options.root!r} closed>"
        info = snapshot_info_of(self._handle)
        return (
            f"<{type(self).__name__} {self._options.root!r} run_id={info.run_id!r} vectors={info.total_vectors} "
            f"dim={info.dim} shards={info.num_dbs} metric={info.metric} sharding={info.sharding}>"
        )

    def __del__(self) -> None:
        if getattr(self, "_is_closed", True) or self._process != os.getpid():
            return
        warnings.warn(f"unclosed reader {self!r}", ResourceWarning, stacklevel=2, source=self)

    def _abandon(self) -> None:
        self._is_closed = True
        self._handle.abandon()
