"""The asyncio reader."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from shardyfusion import _core
from shardyfusion._builtin_format import BuiltinFormat
from shardyfusion._lazy import asyncio, lazy_module
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
from shardyfusion._runtime import LoopQueue, queue_of, register_reader
from shardyfusion.errors import ReaderStateError, ShardyfusionError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from types import TracebackType

    from shardyfusion import _custom as custom
    from shardyfusion import _store as store
    from shardyfusion import _values as values
    from shardyfusion._custom import CustomShards
    from shardyfusion._types import AsyncVectorShardReaderFactory
    from shardyfusion._store import AsyncManifestSource, LoadedManifest
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.metrics import MetricsCollector
    from shardyfusion.rate_limiter import AsyncRateLimiter
    from shardyfusion.s3 import S3ConnectionOptions
    from shardyfusion.vector.types import (
        Queries,
        Query,
        RoutingContext,
        SearchResult,
        VectorReaderHealth,
        VectorSearchResponse,
        VectorShardDetail,
        VectorSnapshotInfo,
    )
else:
    custom = lazy_module("shardyfusion._custom")
    store = lazy_module("shardyfusion._store")
    values = lazy_module("shardyfusion._values")

__all__ = ["AsyncShardedVectorReader"]

_T = TypeVar("_T")

CLOSE_TIMEOUT_SECONDS = 10.0
"""How long `close` waits for searches in flight before it cancels them."""


class AsyncShardedVectorReader:
    """An open snapshot: routes queries to shards and returns the nearest neighbours, exact within the shards that are searched.

    `open` creates a reader, which belongs to the running event loop; `close` or `async with` closes it. Searches run on
    threads of the library without the GIL; any number may be in flight. A reader serves the manifest of its `open` or of the
    last successful `refresh`.
    """

    _handle: _core.Reader
    _queue: LoopQueue
    _reporter: Reporter
    _options: ReaderOptions
    _limiter: AsyncRateLimiter | None
    _store: AsyncManifestSource | None
    _factory: AsyncVectorShardReaderFactory | None
    _preload_custom: bool
    _custom: CustomShards | None
    _closing: asyncio.Task[None] | None = None
    _is_closed: bool = True
    _store_failure: str | None
    _payload: LoadedManifest | None
    _process: int | None = None  # that opened it

    def __init__(
        self,
        *,
        s3_prefix: str | os.PathLike[str],
        local_root: str | os.PathLike[str],
        manifest_store: AsyncManifestSource | None = None,
        max_concurrency: int | None = None,
        max_fallback_attempts: int = 3,
        rate_limiter: AsyncRateLimiter | None = None,
        reader_factory: AsyncVectorShardReaderFactory | BuiltinFormat | None = None,
        preload_shards: bool = False,
        max_cached_shards: int | None = None,
        metrics_collector: MetricsCollector | None = None,
        credential_provider: CredentialProvider | None = None,
        s3_connection_options: S3ConnectionOptions | None = None,
        max_cache_bytes: int | None = None,
        max_filter_bytes: int | None = None,
        thread_nice: int | None = None,
    ) -> None:
        """Checks the options; `open` opens the reader, and so does `async with`."""
        if self._process is not None:
            raise ReaderStateError("the reader is open already: its __init__ was called before")
        builtin = reader_factory if isinstance(reader_factory, BuiltinFormat) else None
        self._options = ReaderOptions.check(
            s3_prefix=s3_prefix,
            local_root=local_root,
            max_concurrency=max_concurrency,
            max_fallback_attempts=max_fallback_attempts,
            max_cached_shards=max_cached_shards,
            max_cache_bytes=max_cache_bytes,
            max_filter_bytes=max_filter_bytes,
            thread_nice=thread_nice,
            preload_shards=preload_shards and (reader_factory is None or builtin is not None),
            shard_format=None if builtin is None else builtin.shard_format,
            credential_provider=credential_provider,
            s3_connection_options=s3_connection_options,
        )
        self._reporter = Reporter(metrics_collector, self._options.root)
        self._limiter = rate_limiter
        self._store = manifest_store
        self._factory = None if isinstance(reader_factory, BuiltinFormat) else reader_factory
        self._preload_custom = preload_shards
        self._custom = None
        self._closing = None
        self._store_failure = None
        self._payload = None

    @classmethod
    async def open(
        cls,
        *,
        s3_prefix: str | os.PathLike[str],
        local_root: str | os.PathLike[str],
        manifest_store: AsyncManifestSource | None = None,
        max_concurrency: int | None = None,
        max_fallback_attempts: int = 3,
        rate_limiter: AsyncRateLimiter | None = None,
        reader_factory: AsyncVectorShardReaderFactory | BuiltinFormat | None = None,
        preload_shards: bool = False,
        max_cached_shards: int | None = None,
        metrics_collector: MetricsCollector | None = None,
        credential_provider: CredentialProvider | None = None,
        s3_connection_options: S3ConnectionOptions | None = None,
        max_cache_bytes: int | None = None,
        max_filter_bytes: int | None = None,
        thread_nice: int | None = None,
    ) -> Self:
        """Opens the live snapshot below `s3_prefix`.

        :param s3_prefix: `s3://bucket/prefix`, `file:///path`, or a path.
        :param local_root: Folder of the local cache, made when missing. Several processes may share it. One that another user
            could have filled is refused.
        :param manifest_store: A store of manifests, instead of those below `s3_prefix`: any object with `load_current`,
            `load_manifest` and `list_manifests`.
        :param max_concurrency: Maximum number of shards that one search loads or scans at a time; None: no limit.
        :param max_fallback_attempts: How many older manifests to try if the live one does not parse.
        :param rate_limiter: Any object with `async acquire_async(tokens)`; awaited once per search (for a batch: once per
            query).
        :param reader_factory: Opens shards of other formats; `AsyncSqliteVecReaderFactory` or `AsyncLanceDbReaderFactory`
            restrict the reader to one format. By default the format of each shard is detected.
        :param preload_shards: Load all shards when opening and refreshing.
        :param max_cached_shards: Maximum number of loaded shards; the least recently used are evicted first. None: no limit.
        :param metrics_collector: Any object with `emit(event, fields)`; see `shardyfusion.metrics`.
        :param credential_provider: Any object with `resolve()`; see `shardyfusion.credentials`.
        :param s3_connection_options: See `shardyfusion.s3.S3ConnectionOptions`.
        :param max_cache_bytes: Maximum size of `local_root` on disk in bytes; the least recently used shards are evicted first.
        :param max_filter_bytes: Memory for the results of filters (which rows match) that are kept for later searches; 64 MiB.
            None: no limit. Shards that any process has loaded are kept even above it: limit them with `max_cached_shards`.
        :param thread_nice: Added to the process's nice value for the threads that work for this reader, 0 to 19; None or 0: the
            value of the environment variable `SHARDYFUSION_THREAD_NICE`, or no change.

        :raises ReaderStateError: There is no snapshot, it has no vectors, or a routing artifact is missing or has the wrong
            shape.
        :raises ManifestParseError: The manifest is malformed, and so are the older ones that were tried.
        :raises ConfigValidationError: An argument is invalid.
        :raises S3TransientError: Storage could not be reached, after retries.
        :raises ShardyfusionError: Storage denies access.
        """
        reader = cls(
            s3_prefix=s3_prefix,
            local_root=local_root,
            manifest_store=manifest_store,
            max_concurrency=max_concurrency,
            max_fallback_attempts=max_fallback_attempts,
            rate_limiter=rate_limiter,
            reader_factory=reader_factory,
            preload_shards=preload_shards,
            max_cached_shards=max_cached_shards,
            metrics_collector=metrics_collector,
            credential_provider=credential_provider,
            s3_connection_options=s3_connection_options,
            max_cache_bytes=max_cache_bytes,
            max_filter_bytes=max_filter_bytes,
            thread_nice=thread_nice,
        )
        await reader._start()
        return reader

    async def _start(self) -> None:
        self._process = os.getpid()
        self._queue = queue_of(asyncio.get_running_loop())
        await self._open()
        if self._factory is not None:
            await self._open_custom(self._factory, self._preload_custom)

    async def _open(self) -> None:
        keywords = self._options.for_core()
        if self._store is not None:
            loaded = await store.load_live(self._store, self._reporter, self._options.max_fallback_attempts)
            assert loaded is not None
            self._payload = loaded
            keywords |= {
                "manifest": loaded.payload,
                "manifest_ref": loaded.ref,
                "published_seconds": loaded.published_seconds,
            }
        future: asyncio.Future[_core.Reader] = self._queue.loop.create_future()
        operation = _core.open(
            self._queue.core, future, self._options.root, self._reporter.sink, **keywords
        )
        self._handle = await self._finish(operation, future)
        self._is_closed = False
        register_reader(self)

    async def _open_custom(self, factory: AsyncVectorShardReaderFactory, preload_shards: bool) -> None:
        self._custom = custom.CustomShards(factory, self._options, self._reporter, self._read_manifest, preload_shards)
        try:
            await self._custom.use_live(self._handle)
        except BaseException:
            await self.close()
            raise

    async def _read_manifest(self, ref: str) -> bytes:
        if self._payload is not None and self._payload.ref == ref:
            return self._payload.payload
        future: asyncio.Future[bytes] = self._queue.loop.create_future()
        operation = _core.read_object(
            self._queue.core, future, self._options.root, self._reporter.sink, reference=ref, **self._options.storage()
        )
        return await self._queue.wait_for(operation, future)

    async def _finish(self, operation: _core.Operation[_T], future: asyncio.Future[_T]) -> _T:
        """Waits for an operation, then passes on events and log messages. Cancelling the waiting task cancels the operation."""
        try:
            outcome = await future
        except asyncio.CancelledError:
            operation.cancel()
            raise
        except BaseException:
            self._reporter.report()
            raise
        self._reporter.report()
        return outcome

    def _check_open(self) -> None:
        """Fails unless the reader is open and in its own process."""
        if self._process is None:
            raise ReaderStateError("the reader was never opened: use await AsyncShardedVectorReader.open(…), or async with")
        if self._process != os.getpid():
            raise ReaderStateError(
                f"the reader was opened by process {self._process} and can't be used after a fork: "
                "open one in this process"
            )
        if self._is_closed or self._closing is not None:
            raise ReaderStateError("the reader is closed")

    def _check(self) -> None:
        """Fails unless the reader is open, in its own process and on its own loop."""
        self._check_open()
        if asyncio.get_running_loop() is not self._queue.loop:
            raise ReaderStateError("the reader belongs to the loop that opened it: open one for this loop")

    async def search(
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
        """Returns the `top_k` nearest neighbours of `query` that match, exact within the shards that are searched unless
        `recall` asks for less.

        :param query: `dim` finite components: an object with the buffer protocol (float32 or float64, one dimension) or a
            sequence of numbers. float64 is rounded to float32, the precision of the stored vectors.
        :param top_k: Number of neighbours, at least 1.
        :param shard_ids: Search these shards instead of routing; ids that the manifest does not have are ignored.
        :param num_probes: How many shards to search, instead of the manifest's number.
        :param routing_context: The variables of a CEL routing expression.
        :param recall: The share of the true `top_k` to find, on average over queries: above 0 and up to 1. Without `num_probes`,
            `shard_ids` and `routing_context` a share of the results of the whole snapshot, whose shards are all searched, and
            some lists of each may be read (see the page on recall); else, and with 1, the search is exact. `response.is_exact`
            says which it was.
        :param filter: A CEL expression over `id` and `payload`, such as `payload.lang == "en" && payload.year >= 2020`: only rows
            that match are neighbours. A row for which it fails (a missing field, a value of another type) does not match.
        :param max_score: Only results that score at most this. With `top_k=None` all of them, of which there may be `max_results`.
        :param offset: Leaves out so many of the nearest: the pages of a query join without gap or repeat.
        :param include_vectors: Results have the stored vector, a read-only buffer of float32.
        :param include_payloads: False: results have no payload, and none is read.
        :param explain: The response's `explain()` has a line for each shard, too.

        Results are sorted by ascending score: lower is closer, in the convention of the shards' own engine. Equal scores are
        ordered by shard id, then by row.

        :raises ConfigValidationError: An argument is invalid.
        :raises UnknownRoutingTokenError: The routing expression returned a value for which the snapshot has no shard.
        :raises DbAdapterError: A shard is missing or damaged.
        :raises S3TransientError: Storage could not be reached, after retries.
        :raises ReaderStateError: The reader is closed, belongs to another loop, or was inherited by a fork.
        """
        self._check()
        narrowing = narrowing_of(
            filter, max_score, max_results, offset, include_vectors, include_payloads, explain, recall
        )
        if self._limiter is not None:
            await self._limiter.acquire_async(1)
        if self._custom is not None:
            keywords = keyword_search(shard_ids, num_probes, routing_context)
            top_k = custom.check_narrowing(top_k, narrowing)
            return await self._custom.search(self._handle, query, top_k, keywords)
        queue = self._queue
        future: asyncio.Future[VectorSearchResponse] = queue.loop.create_future()
        operation = self._handle.search(
            queue.core, future, query, top_k, shard_ids, num_probes, routing_context, narrowing
        )
        # The same as _finish, without another coroutine.
        try:
            response = await future
        except asyncio.CancelledError:
            operation.cancel()
            raise
        except BaseException:
            self._reporter.report()
            raise
        self._reporter.report()
        return response

    async def batch_search(
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
        """Runs several queries together on one snapshot and returns their responses in order. All or none: the first
        failure (in query order) fails the batch.

        :param queries: An array of shape (n, dim), or an iterable of queries as for `search`.

        The other arguments and the errors are those of `search`.
        """
        self._check()
        narrowing = narrowing_of(
            filter, max_score, max_results, offset, include_vectors, include_payloads, explain, recall
        )
        if self._custom is not None:
            top_k = custom.check_narrowing(top_k, narrowing)
            return await self._batch_custom(queries, top_k, keyword_search(shard_ids, num_probes, routing_context))
        if not isinstance(queries, (list, tuple)) and self._limiter is not None:
            queries = custom.split_queries(queries)
        if self._limiter is not None:
            await self._acquire(len(queries))  # type: ignore[arg-type]
        queue = self._queue
        future: asyncio.Future[list[VectorSearchResponse]] = queue.loop.create_future()
        operation = self._handle.batch_search(
            queue.core, future, queries, top_k, shard_ids, num_probes, routing_context, narrowing
        )
        return await self._finish(operation, future)

    async def _batch_custom(
        self, queries: Queries, top_k: int, keywords: tuple[Any, Any, Any]
    ) -> list[VectorSearchResponse]:
        assert self._custom is not None
        all_queries = custom.split_queries(queries)
        await self._acquire(len(all_queries))
        searches = [self._custom.search(self._handle, query, top_k, keywords) for query in all_queries]
        tasks = [asyncio.ensure_future(search) for search in searches]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _acquire(self, count: int) -> None:
        for _ in range(count if self._limiter is not None else 0):
            await self._limiter.acquire_async(1)  # type: ignore[union-attr]

    async def fetch(
        self,
        ids: Iterable[int | str],
        *,
        include_vectors: bool = False,
        include_payloads: bool = True,
        shard_ids: Iterable[int] | None = None,
    ) -> list[SearchResult | None]:
        """Returns the rows with these ids, in their order, with `score` 0.0; None where no row has the id.

        :param ids: Integers and strings. In Lance snapshots, whose ids are text, an integer is the same as its decimal text.
        :param shard_ids: Look only in these shards: a row is found in one shard as fast as the others are left out.
        """
        self._check()
        if self._custom is not None:
            raise custom.unsupported("fetch")
        wanted = values.row_ids(ids)
        future: asyncio.Future[list[SearchResult | None]] = self._queue.loop.create_future()
        operation = self._handle.fetch(self._queue.core, future, wanted, shard_ids, include_vectors, include_payloads)
        return await self._finish(operation, future)

    async def count(self, filter: str | None = None, *, shard_ids: Iterable[int] | None = None) -> int:
        """Returns how many rows match `filter` (None: all rows), in all shards or in those of `shard_ids`.

        :raises ConfigValidationError: The filter is no expression of CEL that is a bool, or reaches a limit on its cost.
        """
        self._check()
        if self._custom is not None:
            raise custom.unsupported("count")
        future: asyncio.Future[int] = self._queue.loop.create_future()
        return await self._finish(self._handle.count(self._queue.core, future, filter, shard_ids), future)

    def route_vector(
        self, query: Query, *, num_probes: int | None = None, routing_context: RoutingContext | None = None
    ) -> list[int]:
        """Returns the ids of the shards that a query is routed to, in order. Never waits for storage.

        Raises the same errors as `search` for the same arguments.
        """
        self._check_open()
        return self._handle.route(query, None, num_probes, routing_context)

    def shard_for_id(self, shard_id: int) -> VectorShardDetail:
        """Returns the manifest's description of one shard: without a URL and vectors, for one that the snapshot does not have."""
        return shard_of(self.shard_details(), shard_id)

    def shard_details(self) -> list[VectorShardDetail]:
        """Returns the manifest's description of each of its `num_dbs` shards."""
        self._check_open()
        return shard_details_of(self._handle)

    def snapshot_info(self) -> VectorSnapshotInfo:
        """Returns a description of the served snapshot."""
        self._check_open()
        return snapshot_info_of(self._handle, None if self._payload is None else self._payload.run_id)

    def health(self, *, staleness_threshold: timedelta | None = None) -> VectorReaderHealth:
        """Returns the health of the reader; works after `close` and from any thread.

        :param staleness_threshold: The reader is "degraded" if its manifest is older than this.
        """
        if self._process is None:
            self._check_open()
        return health_of(self._handle, staleness_threshold, self._store_failure)

    async def refresh(self) -> bool:
        """Checks for a newer snapshot and returns whether one is now served.

        If the newer snapshot can't be loaded, the old one stays served and the result is False: the log and
        `health().refresh_error` say why. Searches in flight finish on the snapshot on which they began.
        """
        self._check()
        if self._store is None:
            future: asyncio.Future[bool] = self._queue.loop.create_future()
            changed = await self._finish(self._handle.refresh(self._queue.core, future), future)
        else:
            changed = await self._refresh_from(self._store)
        if changed and self._custom is not None:
            await self._custom.use_live(self._handle)
        return changed

    async def _refresh_from(self, manifest_store: AsyncManifestSource) -> bool:
        self._store_failure = None
        try:
            loaded = await store.load_live(manifest_store, self._reporter, 0, self._handle.manifest_ref())
        except ShardyfusionError as error:
            self._store_failure = str(error)
            warn("refresh: keeping the snapshot that is served: %s: %s", type(error).__name__, error)
            return False
        if loaded is None:
            return False
        self._check()
        future: asyncio.Future[bool] = self._queue.loop.create_future()
        operation = self._handle.refresh(
            self._queue.core, future, loaded.payload, loaded.ref, loaded.published_seconds
        )
        changed = await self._finish(operation, future)
        if changed:
            self._payload = loaded
        return changed

    async def close(self) -> None:
        """Refuses new work, waits up to 10 seconds for searches in flight, cancels the rest, and frees all resources.

        Idempotent. If the waiting task is cancelled, closing continues in the background; another `close` waits for it.
        """
        if self._process is None:
            return
        if self._process != os.getpid():
            self._check()
        if self._closing is None:
            if self._is_closed:
                return
            if asyncio.get_running_loop() is not self._queue.loop:
                self._check()
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        future: asyncio.Future[None] = self._queue.loop.create_future()
        operation = self._handle.close(self._queue.core, future, int(CLOSE_TIMEOUT_SECONDS * 1000))
        try:
            if self._custom is not None:
                await self._custom.close()
            await self._finish(operation, future)
        finally:
            self._is_closed = True

    async def __aenter__(self) -> Self:
        if self._process is None:
            await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} can't be copied or pickled: open another one")

    def __repr__(self) -> str:
        if self._process is None:
            return f"<{type(self).__name__} that was never opened>"
        if self._process != os.getpid():
            return f"<{type(self).__name__} {self._options.root!r} of process {self._process}>"
        if self._is_closed or self._closing is not None:
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
