"""Shards in the format of sqlite-vec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from shardyfusion._builtin_factory import BuiltinReaderFactory

__all__ = ["AsyncSqliteVecReaderFactory", "SqliteVecFactory", "SqliteVecReaderFactory"]


class AsyncSqliteVecReaderFactory(BuiltinReaderFactory):
    """As `reader_factory`: accepts only sqlite-vec shards; a shard of another format is a `DbAdapterError`."""

    shard_format: ClassVar[str] = "sqlite-vec"


class SqliteVecReaderFactory(AsyncSqliteVecReaderFactory):
    """Like `AsyncSqliteVecReaderFactory`, for the synchronous reader."""


@dataclass(frozen=True, slots=True)
class SqliteVecFactory:
    """As `adapter_factory` of a write: writes sqlite-vec shards. Their metric is cosine or L2."""

    shard_format: ClassVar[str] = "sqlite-vec"
