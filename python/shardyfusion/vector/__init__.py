"""Nearest-neighbour search over sharded vector snapshots: the readers and their types."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shardyfusion.vector.async_reader import AsyncShardedVectorReader
    from shardyfusion.vector.reader import ShardedVectorReader
    from shardyfusion.vector.types import (
        DistanceMetric,
        SearchResult,
        VectorIndexConfig,
        VectorReaderHealth,
        VectorSearchResponse,
        VectorShardDetail,
        VectorShardingStrategy,
        VectorSnapshotInfo,
    )

__all__ = [
    "AsyncShardedVectorReader",
    "DistanceMetric",
    "SearchResult",
    "ShardedVectorReader",
    "VectorIndexConfig",
    "VectorReaderHealth",
    "VectorSearchResponse",
    "VectorShardDetail",
    "VectorShardingStrategy",
    "VectorSnapshotInfo",
]

_READERS = {"AsyncShardedVectorReader": "async_reader", "ShardedVectorReader": "reader"}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, and nothing else."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_READERS.get(name, 'types')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
