"""The shard formats that the library supports itself."""

from __future__ import annotations


class BuiltinFormat:
    """Restricts a reader to one shard format. When it is passed as `reader_factory`, the library opens and searches the
    shards itself."""

    shard_format: str
