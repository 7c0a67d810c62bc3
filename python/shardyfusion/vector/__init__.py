"""Nearest-neighbour search over sharded vector snapshots: the readers, the writer and their types."""

from shardyfusion.vector.async_reader import AsyncShardedVectorReader
from shardyfusion.vector.config import (
    VectorRecordInput,
    VectorShardedWriteConfig,
    VectorShardingConfig,
    VectorShardingSpec,
    VectorWriteOptions,
)
from shardyfusion.vector.reader import ShardedVectorReader
from shardyfusion.vector.types import (
    DistanceMetric,
    SearchResult,
    VectorIndexConfig,
    VectorReaderHealth,
    VectorRecord,
    VectorSearchResponse,
    VectorShardDetail,
    VectorShardingStrategy,
    VectorSnapshotInfo,
)
from shardyfusion.vector.writer import write_sharded

__all__ = [
    "AsyncShardedVectorReader",
    "DistanceMetric",
    "SearchResult",
    "ShardedVectorReader",
    "VectorIndexConfig",
    "VectorReaderHealth",
    "VectorRecord",
    "VectorRecordInput",
    "VectorSearchResponse",
    "VectorShardDetail",
    "VectorShardedWriteConfig",
    "VectorShardingConfig",
    "VectorShardingSpec",
    "VectorShardingStrategy",
    "VectorSnapshotInfo",
    "VectorWriteOptions",
    "write_sharded",
]
