"""Shards in the format of sqlite-vec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from shardyfusion._builtin_factory import AsyncBuiltinReaderFactory, SyncBuiltinReaderFactory
from shardyfusion._builtin_writer import CallableWriterFactory
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError, ShardyfusionError

if TYPE_CHECKING:
    from shardyfusion.config import VectorSpec
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.s3 import S3ConnectionOptions
    from shardyfusion.vector.config import VectorIndexConfig

__all__ = [
    "AsyncSqliteVecRangeReaderFactory",
    "AsyncSqliteVecReaderFactory",
    "SqliteVecAdapterError",
    "SqliteVecFactory",
    "SqliteVecRangeReaderFactory",
    "SqliteVecReaderFactory",
    "make_async_sqlite_vec_reader_factory",
    "make_sqlite_vec_reader_factory",
]

PageSizeMode: TypeAlias = int | Literal["auto"]


class SqliteVecAdapterError(ShardyfusionError):
    """A shard can't be written or read. The library itself raises `DbAdapterError` for shards, and the error of the storage."""

    retryable: ClassVar[bool] = False


@dataclass(slots=True)
class SqliteVecReaderFactory(SyncBuiltinReaderFactory):
    """As `reader_factory`: accepts only sqlite-vec shards; a shard of another format is a `DbAdapterError`.

    `mmap_size` has no effect: shards are mapped whole. The options and credentials are for single shards that it is called for.
    """

    mmap_size: int = 268_435_456
    s3_connection_options: S3ConnectionOptions | None = None
    credential_provider: CredentialProvider | None = None
    shard_format: ClassVar[str] = "sqlite-vec"  # type: ignore[misc]


@dataclass(slots=True)
class AsyncSqliteVecReaderFactory(AsyncBuiltinReaderFactory):
    """Like `SqliteVecReaderFactory`, for the asyncio reader."""

    mmap_size: int = 268_435_456
    s3_connection_options: S3ConnectionOptions | None = None
    credential_provider: CredentialProvider | None = None
    shard_format: ClassVar[str] = "sqlite-vec"  # type: ignore[misc]


@dataclass(slots=True)
class SqliteVecRangeReaderFactory(SyncBuiltinReaderFactory):
    """The same as `SqliteVecReaderFactory`: shards are fetched whole into the local cache, and `page_cache_pages` has no effect."""

    page_cache_pages: int = 1024
    s3_connection_options: S3ConnectionOptions | None = None
    credential_provider: CredentialProvider | None = None
    shard_format: ClassVar[str] = "sqlite-vec"  # type: ignore[misc]


@dataclass(slots=True)
class AsyncSqliteVecRangeReaderFactory(AsyncBuiltinReaderFactory):
    """Like `SqliteVecRangeReaderFactory`, for the asyncio reader."""

    page_cache_pages: int = 1024
    s3_connection_options: S3ConnectionOptions | None = None
    credential_provider: CredentialProvider | None = None
    shard_format: ClassVar[str] = "sqlite-vec"  # type: ignore[misc]


@dataclass(slots=True)
class SqliteVecFactory(CallableWriterFactory):
    """As `adapter_factory` of a write: writes sqlite-vec shards. Their metric is cosine or L2. Called, it makes the writer of one shard.

    `vector_spec`, where it is given, must agree with the write's `index_config`. `page_size` is the size of a shard's database
    pages, a power of 2 from 4096 to 65536; "auto" and the default let the library choose by the dimension. `emit_sidecar` writes
    `shard.sidecar` beside each `shard.db`, for readers of ranges; the readers of this package need none. `cache_size_pages` has no
    effect: the writer needs no cache.
    """

    vector_spec: VectorSpec | None = None
    page_size: PageSizeMode = 4096
    cache_size_pages: int = -2000
    s3_connection_options: S3ConnectionOptions | None = None
    credential_provider: CredentialProvider | None = None
    supports_vector_writes: bool = True
    emit_sidecar: bool = True
    shard_format: ClassVar[str] = "sqlite-vec"  # type: ignore[misc]

    def _index_config(self, given: VectorIndexConfig | None) -> VectorIndexConfig:
        from shardyfusion._types import DistanceMetric
        from shardyfusion.vector.config import VectorIndexConfig

        if given is None and self.vector_spec is not None:
            given = VectorIndexConfig(dim=self.vector_spec.dim, metric=DistanceMetric(self.vector_spec.metric))
        return CallableWriterFactory._index_config(self, given)

    def check(self, index_config: Any) -> None:
        """Raises `ConfigValidationError` unless the factory can write such vectors."""
        spec = self.vector_spec
        if spec is not None and (spec.dim, str(spec.metric)) != (index_config.dim, str(index_config.metric)):
            raise ConfigValidationError(
                f"adapter_factory: vector_spec: expected index_config's {index_config.dim} components and "
                f"{index_config.metric}, found {spec.dim} and {spec.metric}"
            )
        if self.page_size != "auto" and self.page_size not in (4096, 8192, 16384, 32768, 65536):
            expected = "4096, 8192, 16384, 32768, 65536 or 'auto'"
            raise ConfigValidationError(f"adapter_factory: page_size: expected {expected}, found {describe(self.page_size)}")

    def vec_payload_bytes_in_kv_db(self) -> int:
        """Returns how many bytes of a vector are in a key-value row: all of them, as float32."""
        return 0 if self.vector_spec is None else 4 * self.vector_spec.dim


def make_sqlite_vec_reader_factory(
    *,
    mode: Literal["download", "range"],
    mmap_size: int = 268_435_456,
    page_cache_pages: int = 1024,
    s3_connection_options: S3ConnectionOptions | None = None,
    credential_provider: CredentialProvider | None = None,
) -> SqliteVecReaderFactory | SqliteVecRangeReaderFactory:
    """Returns a factory for the synchronous reader, by its name."""
    if mode == "download":
        return SqliteVecReaderFactory(mmap_size, s3_connection_options, credential_provider)
    if mode == "range":
        return SqliteVecRangeReaderFactory(page_cache_pages, s3_connection_options, credential_provider)
    raise SqliteVecAdapterError(f"mode: expected download or range, found {describe(mode)}")


def make_async_sqlite_vec_reader_factory(
    *,
    mode: Literal["download", "range"],
    mmap_size: int = 268_435_456,
    page_cache_pages: int = 1024,
    s3_connection_options: S3ConnectionOptions | None = None,
    credential_provider: CredentialProvider | None = None,
) -> AsyncSqliteVecReaderFactory | AsyncSqliteVecRangeReaderFactory:
    """Returns a factory for the asyncio reader, by its name."""
    if mode == "download":
        return AsyncSqliteVecReaderFactory(mmap_size, s3_connection_options, credential_provider)
    if mode == "range":
        return AsyncSqliteVecRangeReaderFactory(page_cache_pages, s3_connection_options, credential_provider)
    raise SqliteVecAdapterError(f"mode: expected download or range, found {describe(mode)}")
