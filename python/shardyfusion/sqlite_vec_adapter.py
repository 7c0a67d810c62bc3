"""Shards as sqlite-vec writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from shardyfusion._builtin_factory import BuiltinReaderFactory

__all__ = ["AsyncSqliteVecReaderFactory", "SqliteVecFactory", "SqliteVecReaderFactory"]


class AsyncSqliteVecReaderFactory(BuiltinReaderFactory):
    """As `reader_factory`: the shards are sqlite-vec's; one of another format is a `DbAdapterError`."""

    shard_format: ClassVar[str] = "sqlite-vec"


class SqliteVecReaderFactory(AsyncSqliteVecReaderFactory):
    """The same, for the synchronous reader."""


@dataclass(frozen=True, slots=True)
class SqliteVecFactory:
    """As `adapter_factory` of a write: its shards are sqlite-vec's, written by the library itself. Their vectors are
    compared by cosine or L2."""

    shard_format: ClassVar[str] = "sqlite-vec"
