"""Nearest-neighbour search over sharded vector snapshots: the readers and their types."""

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
