"""The shard formats that the library supports itself."""

from __future__ import annotations

from typing import ClassVar, Protocol


class BuiltinFormat:
    """Restricts a reader to one shard format. When it is passed as `reader_factory`, the library opens and searches the
    shards itself."""

    shard_format: str


class BuiltinWriterFactory(Protocol):
    """As `adapter_factory` of a write: the library writes the shards itself, in that format."""

    shard_format: ClassVar[str]
