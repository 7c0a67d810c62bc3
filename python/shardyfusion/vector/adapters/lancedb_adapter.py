"""Shards as LanceDB writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from shardyfusion._builtin_factory import BuiltinReaderFactory

__all__ = ["AsyncLanceDbReaderFactory", "LanceDbReaderFactory", "LanceDbWriterFactory"]


class AsyncLanceDbReaderFactory(BuiltinReaderFactory):
    """As `reader_factory`: the shards are Lance datasets; one of another format is a `DbAdapterError`."""

    shard_format: ClassVar[str] = "lance"


class LanceDbReaderFactory(AsyncLanceDbReaderFactory):
    """The same, for the synchronous reader."""


@dataclass(frozen=True, slots=True)
class LanceDbWriterFactory:
    """As `adapter_factory` of a write: its shards are Lance datasets, written by the library itself."""

    shard_format: ClassVar[str] = "lance"
