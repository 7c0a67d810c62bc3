"""Shards in the format of LanceDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from shardyfusion._builtin_factory import BuiltinReaderFactory

__all__ = ["AsyncLanceDbReaderFactory", "LanceDbReaderFactory", "LanceDbWriterFactory"]


class AsyncLanceDbReaderFactory(BuiltinReaderFactory):
    """As `reader_factory`: accepts only Lance shards; a shard of another format is a `DbAdapterError`."""

    shard_format: ClassVar[str] = "lance"


class LanceDbReaderFactory(AsyncLanceDbReaderFactory):
    """Like `AsyncLanceDbReaderFactory`, for the synchronous reader."""


@dataclass(frozen=True, slots=True)
class LanceDbWriterFactory:
    """As `adapter_factory` of a write: writes Lance datasets as shards."""

    shard_format: ClassVar[str] = "lance"
