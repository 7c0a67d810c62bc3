"""Shards as sqlite-vec writes them."""

from __future__ import annotations

from typing import ClassVar

from shardyfusion._builtin_factory import BuiltinReaderFactory

__all__ = ["AsyncSqliteVecReaderFactory", "SqliteVecReaderFactory"]


class AsyncSqliteVecReaderFactory(BuiltinReaderFactory):
    """As `reader_factory`: the shards are sqlite-vec's; one of another format is a `DbAdapterError`."""

    shard_format: ClassVar[str] = "sqlite-vec"


class SqliteVecReaderFactory(AsyncSqliteVecReaderFactory):
    """The same, for the synchronous reader."""
