"""Factories for the shard formats that the library supports itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardyfusion._builtin_format import BuiltinFormat
from shardyfusion._lazy import dataclasses, pathlib
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shardyfusion._types import SearchResult, VectorIndexConfig
    from shardyfusion.manifest import ManifestRef, ParsedManifest
    from shardyfusion.vector.async_reader import AsyncShardedVectorReader


class BuiltinReaderFactory(BuiltinFormat):
    """Restricts a reader to one shard format. When it is passed as `reader_factory`, the library opens and searches the
    shards itself. When it is called, for example by a custom factory that wraps the result, it opens a single shard."""

    async def __call__(
        self, *, db_url: str, local_dir: pathlib.Path, index_config: VectorIndexConfig, manifest: ParsedManifest
    ) -> OneShard:
        """Opens the shard at `db_url`, which must be in the manifest. `local_dir` is `<local_root>/shard_<db_id>`."""
        from shardyfusion.vector.async_reader import AsyncShardedVectorReader

        shard_id = next((shard.db_id for shard in manifest.shards if shard.db_url == db_url), None)
        if shard_id is None:
            raise ConfigValidationError(f"db_url: expected one of the manifest's shards, found {describe(db_url)}")
        reader = await AsyncShardedVectorReader.open(
            s3_prefix=manifest.required_build.s3_prefix,
            local_root=pathlib.Path(local_dir).parent,
            manifest_store=_OneManifest(manifest),
            reader_factory=self,
        )
        return OneShard(reader, shard_id)


class OneShard:
    """One open shard of a format that the library supports itself."""

    def __init__(self, reader: AsyncShardedVectorReader, shard_id: int) -> None:
        self._reader = reader
        self._shard_id = shard_id

    async def search(self, query: Any, top_k: int) -> Sequence[SearchResult]:
        """Returns the nearest neighbours of the query in this shard, nearest first."""
        response = await self._reader.search(query, top_k, shard_ids=[self._shard_id])
        return response.results

    async def close(self) -> None:
        await self._reader.close()


class _OneManifest:
    """A store with one manifest, changed to explicit sharding so that no routing artifact is loaded."""

    def __init__(self, manifest: ParsedManifest) -> None:
        vector = dict(manifest.custom.get("vector", {})) | {"sharding_strategy": "explicit"}
        self._manifest = dataclasses.replace(manifest, custom=dict(manifest.custom) | {"vector": vector})

    async def load_current(self) -> ManifestRef:
        from datetime import datetime, timezone

        from shardyfusion.manifest import ManifestRef

        run_id = self._manifest.required_build.run_id
        return ManifestRef(f"manifest of {run_id}", run_id, datetime.now(timezone.utc))

    async def load_manifest(self, ref: str, /) -> ParsedManifest:
        return self._manifest

    async def list_manifests(self, *, limit: int = 10) -> list[ManifestRef]:
        return []
