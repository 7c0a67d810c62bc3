"""Types of the readers and the writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shardyfusion._types import (
    DistanceMetric,
    Explanation,
    SearchResult,
    VectorIndexConfig,
    VectorReaderHealth,
    VectorRecord,
    VectorSearchResponse,
    VectorShardDetail,
    VectorShardingStrategy,
    VectorSnapshotInfo,
)

if TYPE_CHECKING:
    from shardyfusion._types import Queries as Queries
    from shardyfusion._types import Query as Query
    from shardyfusion._types import RoutingContext as RoutingContext

__all__ = [
    "DistanceMetric",
    "Explanation",
    "SearchResult",
    "VectorIndexConfig",
    "VectorReaderHealth",
    "VectorRecord",
    "VectorSearchResponse",
    "VectorShardDetail",
    "VectorShardingStrategy",
    "VectorSnapshotInfo",
]
