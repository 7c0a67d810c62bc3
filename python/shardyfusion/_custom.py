"""Custom shard readers (`reader_factory`): opens them once, keeps them while they are used, searches them and merges results.

The library still does the routing. The factory is responsible for everything else about such shards.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardyfusion import _core, _values
from shardyfusion._lazy import asyncio, pathlib
from shardyfusion._options import Narrowing, ReaderOptions, Reporter, shard_details_of, snapshot_info_of
from shardyfusion.errors import ConfigValidationError, ReaderStateError
from shardyfusion.manifest import ParsedManifest
from shardyfusion.manifest_store import parse_manifest_payload
from shardyfusion.metrics import MetricEvent
from shardyfusion._types import (
    AsyncVectorShardReader,
    AsyncVectorShardReaderFactory,
    SearchResult,
    VectorIndexConfig,
    VectorSearchResponse,
)

if TYPE_CHECKING:
    from shardyfusion._types import Queries, Query


def check_top_k(top_k: int) -> None:
    if top_k < 1:
        raise ConfigValidationError(f"top_k: expected at least 1, found {top_k}")


def unsupported(name: str) -> ConfigValidationError:
    return ConfigValidationError(f"{name}: not supported with a reader_factory, whose shards are searched by it alone")


def check_narrowing(
    top_k: int | None, narrowing: Narrowing | None
) -> int:
    """Returns `top_k`; refuses what a factory's shards can't be asked for."""
    if narrowing is not None:
        names = ("filter", "max_score", "max_results", "offset", "include_vectors", "include_payloads", "explain", "recall")
        for name, value, default in zip(names, narrowing, (None, None, 10_000, 0, False, True, False, None)):
            if value is not default and value != default:
                raise unsupported(name)
    if top_k is None:
        raise unsupported("top_k=None")
    return top_k


def merge(found: list[tuple[int, Sequence[SearchResult]]], top_k: int, started: float) -> VectorSearchResponse:
    """Merges the results of all shards; equal scores are ordered by shard id, then as in the shard's results."""
    ranked = [
        (result.score, shard_id, position, result)
        for shard_id, results in found
        for position, result in enumerate(results)
    ]
    ranked.sort(key=lambda row: row[:3])
    latency_ms = (time.monotonic() - started) * 1e3
    return VectorSearchResponse([row[3] for row in ranked[:top_k]], len(found), latency_ms)


def index_config_of(handle: _core.Reader, manifest: ParsedManifest) -> VectorIndexConfig:
    info = snapshot_info_of(handle)
    vector = manifest.custom["vector"]
    return VectorIndexConfig(
        info.dim, info.metric, vector.get("index_type"), quantization=vector.get("quantization")
    )


def split_queries(queries: Queries) -> list[Query]:
    """Splits queries into single ones, which the shards of a factory accept."""
    return _values.split(queries)


@dataclass(slots=True)
class _Shard:
    """A shard that is open or being opened."""

    opening: asyncio.Task[AsyncVectorShardReader]
    num_users: int = 0


@dataclass(slots=True)
class _Snapshot:
    """The shards of one manifest. They are closed when it is no longer served and its last search has ended."""

    manifest_ref: str
    manifest: ParsedManifest
    index_config: VectorIndexConfig
    urls: list[str | None]
    shards: dict[int, _Shard] = field(default_factory=dict[int, _Shard])  # least recently used first
    num_searches: int = 0
    is_retired: bool = False


def _has_failed(opening: asyncio.Task[AsyncVectorShardReader]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None)


class CustomShards:
    """Searches the shards of a factory. Belongs to the event loop of its reader."""

    def __init__(
        self,
        factory: AsyncVectorShardReaderFactory,
        options: ReaderOptions,
        reporter: Reporter,
        read_manifest: Callable[[str], Awaitable[bytes]],
        preload_shards: bool,
    ) -> None:
        self._factory = factory
        self._options = options
        self._reporter = reporter
        self._read_manifest = read_manifest
        self._preload_shards = preload_shards
        self._snapshot: _Snapshot | None = None
        self._retired: list[_Snapshot] = []
        self._switching = asyncio.Lock()

    async def search(
        self, handle: _core.Reader, query: Query, top_k: int, keywords: tuple[Any, Any, Any]
    ) -> VectorSearchResponse:
        started = time.monotonic()
        check_top_k(top_k)
        snapshot, route = await self._route(handle, query, keywords)
        snapshot.num_searches += 1
        error: BaseException | None = None
        response: VectorSearchResponse | None = None
        try:
            found = await self._search_all(snapshot, route, query, top_k)
            response = merge(found, top_k, started)
            return response
        except BaseException as failure:
            error = failure
            raise
        finally:
            snapshot.num_searches -= 1
            await self._close_retired()
            if not isinstance(error, asyncio.CancelledError):
                self._tell_of_search(top_k, response, error, started)

    async def use_live(self, handle: _core.Reader) -> _Snapshot:
        """Returns the shards of the manifest that the handle serves, and retires those of earlier manifests."""
        ref = handle.manifest_ref()
        if self._snapshot is not None and self._snapshot.manifest_ref == ref:
            return self._snapshot
        async with self._switching:
            ref = handle.manifest_ref()
            if self._snapshot is not None and self._snapshot.manifest_ref == ref:
                return self._snapshot
            manifest = parse_manifest_payload(await self._read_manifest(ref))
            urls = [detail.db_url for detail in shard_details_of(handle)]
            made = _Snapshot(ref, manifest, index_config_of(handle, manifest), urls)
            self._retire()
            self._snapshot = made
            if self._preload_shards:
                await self._preload(made)
        await self._close_retired()
        return made

    async def close(self) -> None:
        """Closes all shards. No search is in flight any more."""
        self._retire()
        for snapshot in self._retired:
            snapshot.num_searches = 0
        await self._close_retired()

    async def _preload(self, snapshot: _Snapshot) -> None:
        ids = [shard_id for shard_id, url in enumerate(snapshot.urls) if url is not None]
        for shard_id in ids[: self._options.max_cached_shards or len(ids)]:
            await self._lend(snapshot, shard_id)
            await self._give_back(snapshot, shard_id)

    def _retire(self) -> None:
        if self._snapshot is not None:
            self._snapshot.is_retired = True
            self._retired.append(self._snapshot)
            self._snapshot = None

    async def _route(
        self, handle: _core.Reader, query: Query, keywords: tuple[Any, Any, Any]
    ) -> tuple[_Snapshot, list[int]]:
        """Returns a route and the snapshot that it was computed for."""
        while True:
            snapshot = await self.use_live(handle)
            route = handle.route(query, *keywords)
            if handle.manifest_ref() == snapshot.manifest_ref and not snapshot.is_retired:
                return snapshot, [shard_id for shard_id in route if snapshot.urls[shard_id] is not None]

    async def _search_all(
        self, snapshot: _Snapshot, route: list[int], query: Query, top_k: int
    ) -> list[tuple[int, Sequence[SearchResult]]]:
        limit = asyncio.Semaphore(self._options.max_concurrency or max(len(route), 1))

        async def search_one(shard_id: int) -> tuple[int, Sequence[SearchResult]]:
            async with limit:
                return shard_id, await self._search_shard(snapshot, shard_id, query, top_k)

        tasks = [asyncio.ensure_future(search_one(shard_id)) for shard_id in route]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _search_shard(
        self, snapshot: _Snapshot, shard_id: int, query: Query, top_k: int
    ) -> Sequence[SearchResult]:
        reader = await self._lend(snapshot, shard_id)
        started = time.monotonic()
        try:
            results = await reader.search(query, top_k)
        finally:
            await self._give_back(snapshot, shard_id)
        vectors = next((s.row_count for s in snapshot.manifest.shards if s.db_id == shard_id), 0)
        self._tell(MetricEvent.SHARD_SEARCH, started, {"shard_id": shard_id, "num_vectors": vectors, "top_k": top_k})
        return results

    async def _lend(self, snapshot: _Snapshot, shard_id: int) -> AsyncVectorShardReader:
        """Returns an open shard, which stays open until `_give_back`."""
        shard = snapshot.shards.pop(shard_id, None)
        if shard is None:
            shard = _Shard(asyncio.ensure_future(self._open(snapshot, shard_id)))
        snapshot.shards[shard_id] = shard
        shard.num_users += 1
        try:
            return await asyncio.shield(shard.opening)
        except BaseException:
            shard.num_users -= 1
            if _has_failed(shard.opening) and snapshot.shards.get(shard_id) is shard:
                del snapshot.shards[shard_id]  # the next search tries again
            raise

    async def _give_back(self, snapshot: _Snapshot, shard_id: int) -> None:
        snapshot.shards[shard_id].num_users -= 1
        limit = self._options.max_cached_shards
        idle = [key for key, shard in snapshot.shards.items() if shard.num_users == 0 and shard.opening.done()]
        while limit and len(snapshot.shards) > limit and idle:
            await self._close_shard(snapshot.shards.pop(idle.pop(0)))

    async def _open(self, snapshot: _Snapshot, shard_id: int) -> AsyncVectorShardReader:
        started = time.monotonic()
        url = snapshot.urls[shard_id]
        if url is None:
            raise ReaderStateError(f"shard {shard_id}: expected a db_url, found none")
        reader = await self._factory(
            db_url=url,
            local_dir=pathlib.Path(self._options.local_root) / f"shard_{shard_id:05d}",
            index_config=snapshot.index_config,
            manifest=snapshot.manifest,
        )
        fields = {"shard_id": shard_id, "num_vectors": None, "error": None, "message": None}
        self._tell(MetricEvent.SHARD_LOAD, started, fields)
        return reader

    async def _close_retired(self) -> None:
        done = [snapshot for snapshot in self._retired if snapshot.num_searches == 0]
        self._retired = [snapshot for snapshot in self._retired if snapshot.num_searches > 0]
        for snapshot in done:
            while snapshot.shards:
                await self._close_shard(snapshot.shards.popitem()[1])

    async def _close_shard(self, shard: _Shard) -> None:
        if not shard.opening.done():
            shard.opening.cancel()
        try:
            reader = await shard.opening
        except BaseException:
            return  # it never opened
        await reader.close()

    def _tell_of_search(
        self, top_k: int, response: VectorSearchResponse | None, error: BaseException | None, started: float
    ) -> None:
        fields = {
            "top_k": top_k,
            "num_results": 0 if response is None else len(response),
            "num_shards_queried": 0 if response is None else response.num_shards_queried,
            "error": None if error is None else type(error).__name__,
            "message": None if error is None else str(error),
        }
        self._tell(MetricEvent.SEARCH, started, fields)

    def _tell(self, event: MetricEvent, started: float, fields: dict[str, Any]) -> None:
        self._reporter.emit(event, fields | {"duration_ms": (time.monotonic() - started) * 1e3})
