"""Custom shard readers (`reader_factory`) for the synchronous reader: opened once, kept while they are used, and searched by at most
`max_workers` threads at a time.

A shard's reader is used by one thread at a time. A refresh does not wait for searches: they end on the shards of the manifest on
which they began, and the last one closes those.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardyfusion import _core
from shardyfusion._lazy import pathlib
from shardyfusion._custom import check_top_k, index_config_of, merge
from shardyfusion._options import ReaderOptions, Reporter, shard_details_of
from shardyfusion._types import (
    SearchResult,
    VectorIndexConfig,
    VectorSearchResponse,
    VectorShardReader,
    VectorShardReaderFactory,
)
from shardyfusion.manifest import ParsedManifest
from shardyfusion.manifest_store import parse_manifest_payload
from shardyfusion.metrics import MetricEvent

if TYPE_CHECKING:
    from shardyfusion._types import Query


@dataclass(slots=True)
class _Shard:
    """A shard that is open or being opened. The lock is held by who opens, searches or closes it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    reader: VectorShardReader | None = None
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

    def num_vectors(self, shard_id: int) -> int:
        return next((shard.row_count for shard in self.manifest.shards if shard.db_id == shard_id), 0)


class SyncCustomShards:
    """Searches the shards of a factory. The lock guards the snapshots and their shards, and is never held while one is opened,
    searched or closed."""

    def __init__(
        self,
        factory: VectorShardReaderFactory,
        options: ReaderOptions,
        reporter: Reporter,
        read_manifest: Callable[[str], bytes],
        preload_shards: bool,
    ) -> None:
        self._factory = factory
        self._options = options
        self._reporter = reporter
        self._read_manifest = read_manifest
        self._preload_shards = preload_shards
        self._lock = threading.Lock()
        self._switching = threading.Lock()  # one manifest is taken up at a time
        self._snapshot: _Snapshot | None = None
        self._workers: ThreadPoolExecutor | None = None

    def search(
        self, handle: _core.Reader, query: Query, top_k: int, keywords: tuple[Any, Any, Any]
    ) -> VectorSearchResponse:
        started = time.monotonic()
        check_top_k(top_k)
        snapshot, route = self._begin(handle, query, keywords)
        error: BaseException | None = None
        response: VectorSearchResponse | None = None
        try:
            response = merge(self._search_all(snapshot, route, query, top_k), top_k, started)
            return response
        except BaseException as failure:
            error = failure
            raise
        finally:
            self._end(snapshot)
            fields = {
                "top_k": top_k,
                "num_results": 0 if response is None else len(response),
                "num_shards_queried": 0 if response is None else len(route),
                "error": None if error is None else type(error).__name__,
                "message": None if error is None else str(error),
            }
            self._tell(MetricEvent.SEARCH, started, fields)

    def use_live(self, handle: _core.Reader) -> _Snapshot:
        """Returns the shards of the manifest that the handle serves, and retires those of earlier manifests."""
        with self._switching:
            ref = handle.manifest_ref()
            current = self._snapshot
            if current is not None and current.manifest_ref == ref:
                return current
            manifest = parse_manifest_payload(self._read_manifest(ref))
            urls = [detail.db_url for detail in shard_details_of(handle)]
            made = _Snapshot(ref, manifest, index_config_of(handle, manifest), urls)
            if self._preload_shards:
                self._preload(made)
            self._replace(made)
            return made

    def close(self) -> None:
        """Closes all shards; those that are searched, when their searches have ended."""
        self._replace(None)
        with self._lock:
            workers, self._workers = self._workers, None
        if workers is not None:
            workers.shutdown()

    # -------------------------------------------------------------------------------------------------------- Snapshots

    def _begin(self, handle: _core.Reader, query: Query, keywords: tuple[Any, Any, Any]) -> tuple[_Snapshot, list[int]]:
        """Begins a search: returns the snapshot, which stays open until _end, and the shards of it to search."""
        while True:
            snapshot = self.use_live(handle)
            with self._lock:
                is_usable = not snapshot.is_retired
                snapshot.num_searches += is_usable
            if not is_usable:
                continue
            try:
                route = handle.route(query, *keywords)
                if handle.manifest_ref() == snapshot.manifest_ref:
                    return snapshot, [shard_id for shard_id in route if snapshot.urls[shard_id] is not None]
            except BaseException:
                self._end(snapshot)
                raise
            self._end(snapshot)

    def _end(self, snapshot: _Snapshot) -> None:
        with self._lock:
            snapshot.num_searches -= 1
            closed = self._take_closable(snapshot)
        self._close_shards(closed)

    def _replace(self, snapshot: _Snapshot | None) -> None:
        with self._lock:
            old, self._snapshot = self._snapshot, snapshot
            closed: list[_Shard] = []
            if old is not None:
                old.is_retired = True
                closed = self._take_closable(old)
        self._close_shards(closed)

    @staticmethod
    def _take_closable(snapshot: _Snapshot) -> list[_Shard]:
        """Takes the shards of a retired snapshot that is no longer searched."""
        if not snapshot.is_retired or snapshot.num_searches > 0:
            return []
        closed = list(snapshot.shards.values())
        snapshot.shards.clear()
        return closed

    @staticmethod
    def _close_shards(shards: list[_Shard]) -> None:
        for shard in shards:
            with shard.lock:
                reader, shard.reader = shard.reader, None
            if reader is not None:
                reader.close()

    # ----------------------------------------------------------------------------------------------------------- Shards

    def _search_all(
        self, snapshot: _Snapshot, route: list[int], query: Query, top_k: int
    ) -> list[tuple[int, Sequence[SearchResult]]]:
        if len(route) <= 1 or self._options.max_concurrency == 1:
            return [(shard_id, self._search_shard(snapshot, shard_id, query, top_k)) for shard_id in route]
        workers = self._get_workers()
        searches = [workers.submit(self._search_shard, snapshot, shard_id, query, top_k) for shard_id in route]
        try:
            return [(shard_id, search.result()) for shard_id, search in zip(route, searches)]
        finally:
            for search in searches:
                search.cancel()
            for search in searches:
                if not search.cancelled():
                    search.exception()  # waits: the snapshot is still in use

    def _get_workers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._workers is None:
                count = self._options.max_concurrency or None
                self._workers = ThreadPoolExecutor(count, thread_name_prefix="shardyfusion-shards")
            return self._workers

    def _search_shard(self, snapshot: _Snapshot, shard_id: int, query: Query, top_k: int) -> Sequence[SearchResult]:
        shard = self._lend(snapshot, shard_id)
        try:
            with shard.lock:
                if shard.reader is None:
                    shard.reader = self._open(snapshot, shard_id)
                started = time.monotonic()
                results = shard.reader.search(query, top_k)
        finally:
            self._give_back(snapshot, shard)
        fields = {"shard_id": shard_id, "num_vectors": snapshot.num_vectors(shard_id), "top_k": top_k}
        self._tell(MetricEvent.SHARD_SEARCH, started, fields)
        return results

    def _preload(self, snapshot: _Snapshot) -> None:
        ids = [shard_id for shard_id, url in enumerate(snapshot.urls) if url is not None]
        for shard_id in ids[: self._options.max_cached_shards or len(ids)]:
            shard = snapshot.shards[shard_id] = _Shard()
            shard.reader = self._open(snapshot, shard_id)

    def _lend(self, snapshot: _Snapshot, shard_id: int) -> _Shard:
        """Returns a shard, which is not closed before _give_back."""
        with self._lock:
            shard = snapshot.shards.pop(shard_id, None) or _Shard()
            snapshot.shards[shard_id] = shard
            shard.num_users += 1
            return shard

    def _give_back(self, snapshot: _Snapshot, shard: _Shard) -> None:
        limit = self._options.max_cached_shards
        closed: list[_Shard] = []
        with self._lock:
            shard.num_users -= 1
            idle = [shard_id for shard_id, each in snapshot.shards.items() if each.num_users == 0]
            while limit and len(snapshot.shards) > limit and idle:
                closed.append(snapshot.shards.pop(idle.pop(0)))
        self._close_shards(closed)

    def _open(self, snapshot: _Snapshot, shard_id: int) -> VectorShardReader:
        started = time.monotonic()
        url = snapshot.urls[shard_id]
        assert url is not None
        reader = self._factory(
            db_url=url,
            local_dir=pathlib.Path(self._options.local_root) / f"shard_{shard_id:05d}",
            index_config=snapshot.index_config,
            manifest=snapshot.manifest,
        )
        fields = {"shard_id": shard_id, "num_vectors": None, "error": None, "message": None}
        self._tell(MetricEvent.SHARD_LOAD, started, fields)
        return reader

    def _tell(self, event: MetricEvent, started: float, fields: dict[str, Any]) -> None:
        self._reporter.emit(event, fields | {"duration_ms": (time.monotonic() - started) * 1e3})
