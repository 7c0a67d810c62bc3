"""Shards in the format of LanceDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shardyfusion._builtin_factory import AsyncBuiltinReaderFactory, SyncBuiltinReaderFactory
from shardyfusion._builtin_writer import CallableWriterFactory

if TYPE_CHECKING:
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.s3 import S3ConnectionOptions

__all__ = ["AsyncLanceDbReaderFactory", "LanceDbReaderFactory", "LanceDbWriterFactory"]


@dataclass(slots=True)
class LanceDbReaderFactory(SyncBuiltinReaderFactory):
    """As `reader_factory`: accepts only Lance shards; a shard of another format is a `DbAdapterError`. The options and
    credentials are for single shards that it is called for."""

    s3_connection_options: S3ConnectionOptions | None = None
    credential_provider: CredentialProvider | None = None
    shard_format: ClassVar[str] = "lance"  # type: ignore[misc]


@dataclass(slots=True)
class AsyncLanceDbReaderFactory(AsyncBuiltinReaderFactory):
    """Like `LanceDbReaderFactory`, for the asyncio reader."""

    s3_connection_options: S3ConnectionOptions | None = None
    credential_provider: CredentialProvider | None = None
    shard_format: ClassVar[str] = "lance"  # type: ignore[misc]


@dataclass(slots=True)
class LanceDbWriterFactory(CallableWriterFactory):
    """As `adapter_factory` of a write: writes Lance datasets as shards. Called, it makes the writer of one shard."""

    s3_connection_options: S3ConnectionOptions | None = None
    credential_provider: CredentialProvider | None = None
    shard_format: ClassVar[str] = "lance"  # type: ignore[misc]
