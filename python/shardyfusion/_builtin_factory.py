"""Factories for the shard formats that the library supports itself.

Passed as `reader_factory`, one restricts a reader to its format, and the library opens and searches the shards itself. Called, for
example by a custom factory that wraps the result, it opens a single shard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardyfusion._builtin_format import BuiltinFormat
from shardyfusion._lazy import dataclasses, pathlib
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError

if TYPE_CHECKING:
    from shardyfusion._types import SearchResult
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.manifest import ManifestRef, ParsedManifest
    from shardyfusion.s3 import S3ConnectionOptions
    from shardyfusion.vector.async_reader import AsyncShardedVectorReader
    from shardyfusion.vector.reader import ShardedVectorReader


class BuiltinReaderFactory(BuiltinFormat):
    """What the factories have in common: how the single shards that they open are accessed."""

    s3_connection_options: S3ConnectionOptions | None
    credential_provider: CredentialProvider | None

    def _options_for(self, db_url: str, local_dir: pathlib.Path, index_config: Any, manifest: Any) -> dict[str, Any]:
        """The arguments of a reader of the one shard."""
        from shardyfusion.manifest import ParsedManifest

        if not isinstance(manifest, ParsedManifest):
            manifest = _manifest_of(db_url, index_config)
        return {
            "s3_prefix": manifest.required_build.s3_prefix,
            "local_root": pathlib.Path(local_dir).parent,
            "credential_provider": self.credential_provider,
            "s3_connection_options": self.s3_connection_options,
            "reader_factory": _Restriction(self.shard_format),
            "manifest": manifest,
        }


class SyncBuiltinReaderFactory(BuiltinReaderFactory):
    """Factories for the synchronous reader."""

    def __call__(
        self,
        *,
        db_url: str,
        local_dir: pathlib.Path,
        checkpoint_id: str | None = None,
        index_config: Any = None,
        manifest: Any = None,
    ) -> SyncOneShard:
        """Opens the shard at `db_url`, one of the manifest's. Without a manifest, `index_config` says what the vectors are.
        `local_dir` is `<local_root>/shard_<db_id>`."""
        from shardyfusion.vector.reader import ShardedVectorReader

        options = self._options_for(db_url, local_dir, index_config, manifest)
        manifest = options.pop("manifest")
        reader = ShardedVectorReader(**options, manifest_store=_SyncOneManifest(manifest))
        return SyncOneShard(reader, _shard_id_of(manifest, db_url))


class AsyncBuiltinReaderFactory(BuiltinReaderFactory):
    """Factories for the asyncio reader."""

    async def __call__(
        self,
        *,
        db_url: str,
        local_dir: pathlib.Path,
        checkpoint_id: str | None = None,
        index_config: Any = None,
        manifest: Any = None,
    ) -> OneShard:
        """Opens the shard at `db_url`, one of the manifest's. Without a manifest, `index_config` says what the vectors are.
        `local_dir` is `<local_root>/shard_<db_id>`."""
        from shardyfusion.vector.async_reader import AsyncShardedVectorReader

        options = self._options_for(db_url, local_dir, index_config, manifest)
        manifest = options.pop("manifest")
        shard_id = _shard_id_of(manifest, db_url)
        reader = await AsyncShardedVectorReader.open(**options, manifest_store=_OneManifest(manifest))
        return OneShard(reader, shard_id)


class _Restriction(BuiltinFormat):
    def __init__(self, shard_format: str) -> None:
        self.shard_format = shard_format


def _shard_id_of(manifest: ParsedManifest, db_url: str) -> int:
    shard_id = next((shard.db_id for shard in manifest.shards if shard.db_url == db_url), None)
    if shard_id is None:
        raise ConfigValidationError(f"db_url: expected one of the manifest's shards, found {describe(db_url)}")
    return shard_id


def _manifest_of(db_url: str, index_config: Any) -> ParsedManifest:
    """The manifest of a snapshot that has the shard alone, of one row more or less: its number is not known."""
    from datetime import datetime, timezone

    from shardyfusion.manifest import ManifestShardingSpec, ParsedManifest, RequiredBuildMeta, RequiredShardMeta
    from shardyfusion.sharding_types import KeyEncoding

    dim = getattr(index_config, "dim", None)
    if dim is None:
        raise ConfigValidationError("manifest: expected one, or index_config with dim and metric, found neither")
    root = db_url.rstrip("/").rpartition("/")[0]
    created_at = datetime.now(timezone.utc)
    build = RequiredBuildMeta(
        "shard",
        created_at,
        1,
        root,
        "_vector_id",
        ManifestShardingSpec(),
        "db={db_id:05d}",
        "shards",
        key_encoding=KeyEncoding.RAW,
    )
    vector = {"dim": dim, "metric": str(getattr(index_config, "metric", "cosine")), "num_probes": 1}
    return ParsedManifest(build, [RequiredShardMeta(0, db_url, row_count=1)], {"vector": vector})


class OneShard:
    """One open shard of a format that the library supports itself."""

    def __init__(self, reader: AsyncShardedVectorReader, shard_id: int) -> None:
        self._reader = reader
        self._shard_id = shard_id

    async def search(self, query: Any, top_k: int) -> list[SearchResult]:
        """Returns the nearest neighbours of the query in this shard, nearest first."""
        response = await self._reader.search(query, top_k, shard_ids=[self._shard_id])
        return response.results

    async def close(self) -> None:
        await self._reader.close()

    async def __aenter__(self) -> OneShard:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class SyncOneShard:
    """The same for the synchronous reader."""

    def __init__(self, reader: ShardedVectorReader, shard_id: int) -> None:
        self._reader = reader
        self._shard_id = shard_id

    def search(self, query: Any, top_k: int) -> list[SearchResult]:
        """Returns the nearest neighbours of the query in this shard, nearest first."""
        return self._reader.search(query, top_k, shard_ids=[self._shard_id]).results

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> SyncOneShard:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _SyncOneManifest:
    """A store with one manifest, changed to explicit sharding so that no routing artifact is loaded."""

    def __init__(self, manifest: ParsedManifest) -> None:
        vector = dict(manifest.custom.get("vector", {})) | {"sharding_strategy": "explicit"}
        self._manifest = dataclasses.replace(manifest, custom=dict(manifest.custom) | {"vector": vector})

    def load_current(self) -> ManifestRef:
        from datetime import datetime, timezone

        from shardyfusion.manifest import ManifestRef

        run_id = self._manifest.required_build.run_id
        return ManifestRef(f"manifest of {run_id}", run_id, datetime.now(timezone.utc))

    def load_manifest(self, ref: str, /) -> ParsedManifest:
        return self._manifest

    def list_manifests(self, *, limit: int = 10) -> list[ManifestRef]:
        return []


class _OneManifest:
    """The same for the asyncio reader."""

    def __init__(self, manifest: ParsedManifest) -> None:
        self._store = _SyncOneManifest(manifest)

    async def load_current(self) -> ManifestRef:
        return self._store.load_current()

    async def load_manifest(self, ref: str, /) -> ParsedManifest:
        return self._store.load_manifest(ref)

    async def list_manifests(self, *, limit: int = 10) -> list[ManifestRef]:
        return []
