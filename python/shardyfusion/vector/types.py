"""Types of the readers and the writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shardyfusion._types import (
    AsyncVectorShardReader,
    AsyncVectorShardReaderFactory,
    DistanceMetric,
    Explanation,
    SearchResult,
    VectorIndexConfig,
    VectorIndexWriter,
    VectorIndexWriterFactory,
    VectorReaderHealth,
    VectorRecord,
    VectorSearchResponse,
    VectorShardDetail,
    VectorShardReader,
    VectorShardReaderFactory,
    VectorShardingStrategy,
    VectorSnapshotInfo,
)

if TYPE_CHECKING:
    from shardyfusion._types import Queries as Queries
    from shardyfusion._types import Query as Query
    from shardyfusion._types import RoutingContext as RoutingContext

__all__ = [
    "AsyncVectorShardReader",
    "AsyncVectorShardReaderFactory",
    "DistanceMetric",
    "Explanation",
    "SearchResult",
    "VectorIndexConfig",
    "VectorIndexWriter",
    "VectorIndexWriterFactory",
    "VectorReaderHealth",
    "VectorRecord",
    "VectorSearchResponse",
    "VectorShardDetail",
    "VectorShardReader",
    "VectorShardReaderFactory",
    "VectorShardingStrategy",
    "VectorSnapshotInfo",
]
