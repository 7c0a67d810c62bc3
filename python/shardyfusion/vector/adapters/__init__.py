"""Factories that select the format of shards. Without one, a reader detects the format of each shard."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shardyfusion.vector.adapters.lancedb_adapter import LanceDbReaderFactory, LanceDbWriterFactory

__all__ = ["LanceDbReaderFactory", "LanceDbWriterFactory"]


def __getattr__(name: str) -> Any:
    """Imports a name on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from shardyfusion.vector.adapters import lancedb_adapter

    return getattr(lancedb_adapter, name)
