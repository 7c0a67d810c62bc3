"""Custom shard readers for the synchronous reader: searched one after the other, on the calling thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from shardyfusion import _core
from shardyfusion._lazy import pathlib
from shardyfusion._custom import check_top_k, index_config_of, merge
from shardyfusion._options import ReaderOptions, Reporter, shard_details_of
from shardyfusion.manifest import ParsedManifest
from shardyfusion.manifest_store import parse_manifest_payload
from shardyfusion.metrics import MetricEvent
from shardyfusion._types import SearchResult, VectorIndexConfig, VectorSearchResponse

if TYPE_CHECKING:
    from shardyfusion._types import Query


class ShardReader(Protocol):
    """One open shard, created by a factory."""

    def search(self, query: Any, top_k: int, /) -> Sequence[SearchResult]: ...

    def close(self) -> None: ...


class ReaderFactory(Protocol):
    """Opens a shard."""

    def __call__(
        self, *, db_url: str, local_dir: pathlib.Path, index_config: VectorIndexConfig, manifest: ParsedManifest
    ) -> ShardReader: ...


@dataclass(slots=True)
class _Snapshot:
    manifest_ref: str
    manifest: ParsedManifest
    index_config: VectorIndexConfig
    urls: list[str | None]
    shards: dict[int, ShardReader] = field(default_factory=dict[int, ShardReader])  # least recently used first


class SyncCustomShards:
    """Searches the shards of a factory, one search at a time: the lock keeps shards open while they are searched."""

    def __init__(
        self,
        factory: ReaderFactory,
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
        self._lock = threading.RLock()
        self._snapshot: _Snapshot | None = None

    def search(
        self, handle: _core.Reader, query: Query, top_k: int, keywords: tuple[Any, Any, Any]
    ) -> VectorSearchResponse:
        started = time.monotonic()
        check_top_k(top_k)
        with self._lock:
            snapshot, route = self._route(handle, query, keywords)
            found = [(shard_id, self._search_shard(snapshot, shard_id, query, top_k)) for shard_id in route]
        response = merge(found, top_k, started)
        fields = {
            "top_k": top_k,
            "num_results": len(response),
            "num_shards_queried": len(found),
            "error": None,
            "message": None,
        }
        self._tell(MetricEvent.SEARCH, started, fields)
        return response

    def use_live(self, handle: _core.Reader) -> _Snapshot:
        """Returns the shards of the manifest that the handle serves, and closes those of earlier manifests."""
        with self._lock:
            ref = handle.manifest_ref()
            if self._snapshot is not None and self._snapshot.manifest_ref == ref:
                return self._snapshot
            manifest = parse_manifest_payload(self._read_manifest(ref))
            urls = [detail.db_url for detail in shard_details_of(handle)]
            made = _Snapshot(ref, manifest, index_config_of(handle, manifest), urls)
            self.close()
            self._snapshot = made
            if self._preload_shards:
                ids = [shard_id for shard_id, url in enumerate(urls) if url is not None]
                for shard_id in ids[: self._options.max_cached_shards or len(ids)]:
                    self._open(made, shard_id)
            return made

    def close(self) -> None:
        with self._lock:
            snapshot, self._snapshot = self._snapshot, None
            while snapshot is not None and snapshot.shards:
                snapshot.shards.popitem()[1].close()

    def _route(
        self, handle: _core.Reader, query: Query, keywords: tuple[Any, Any, Any]
    ) -> tuple[_Snapshot, list[int]]:
        while True:
            snapshot = self.use_live(handle)
            route = handle.route(query, *keywords)
            if handle.manifest_ref() == snapshot.manifest_ref:
                return snapshot, [shard_id for shard_id in route if snapshot.urls[shard_id] is not None]

    def _search_shard(
        self, snapshot: _Snapshot, shard_id: int, query: Query, top_k: int
    ) -> Sequence[SearchResult]:
        reader = self._open(snapshot, shard_id)
        started = time.monotonic()
        results = reader.search(query, top_k)
        vectors = next((s.row_count for s in snapshot.manifest.shards if s.db_id == shard_id), 0)
        self._tell(MetricEvent.SHARD_SEARCH, started, {"shard_id": shard_id, "num_vectors": vectors})
        return results

    def _open(self, snapshot: _Snapshot, shard_id: int) -> ShardReader:
        """Returns the shard's reader; closes the least recently used other ones if there are too many."""
        reader = snapshot.shards.pop(shard_id, None)
        if reader is None:
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
        snapshot.shards[shard_id] = reader
        limit = self._options.max_cached_shards
        while limit and len(snapshot.shards) > limit:
            snapshot.shards.pop(next(iter(snapshot.shards))).close()
        return reader

    def _tell(self, event: MetricEvent, started: float, fields: dict[str, Any]) -> None:
        self._reporter.emit(event, fields | {"duration_ms": (time.monotonic() - started) * 1e3})
