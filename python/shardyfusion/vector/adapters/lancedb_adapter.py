"""Shards as LanceDB writes them."""

from __future__ import annotations

from typing import ClassVar

from shardyfusion._builtin_factory import BuiltinReaderFactory

__all__ = ["AsyncLanceDbReaderFactory", "LanceDbReaderFactory"]


class AsyncLanceDbReaderFactory(BuiltinReaderFactory):
    """As `reader_factory`: the shards are Lance datasets; one of another format is a `DbAdapterError`."""

    shard_format: ClassVar[str] = "lance"


class LanceDbReaderFactory(AsyncLanceDbReaderFactory):
    """The same, for the synchronous reader."""
