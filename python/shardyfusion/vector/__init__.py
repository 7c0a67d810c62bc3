"""The readers and the writer of sharded vector snapshots, and their types."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shardyfusion.vector.async_reader import AsyncShardedVectorReader
    from shardyfusion.vector.config import (
        VectorRecordInput,
        VectorShardedWriteConfig,
        VectorShardingConfig,
        VectorShardingSpec,
        VectorWriteOptions,
    )
    from shardyfusion.vector.index import IndexResult, index_snapshot
    from shardyfusion.vector.reader import ShardedVectorReader
    from shardyfusion.vector.types import (
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
        VectorShardingStrategy,
        VectorShardReader,
        VectorShardReaderFactory,
        VectorSnapshotInfo,
    )
    from shardyfusion.vector.writer import write_sharded

__all__ = [
    "AsyncShardedVectorReader",
    "AsyncVectorShardReader",
    "AsyncVectorShardReaderFactory",
    "DistanceMetric",
    "Explanation",
    "IndexResult",
    "SearchResult",
    "ShardedVectorReader",
    "VectorIndexConfig",
    "VectorIndexWriter",
    "VectorIndexWriterFactory",
    "VectorReaderHealth",
    "VectorRecord",
    "VectorRecordInput",
    "VectorSearchResponse",
    "VectorShardDetail",
    "VectorShardReader",
    "VectorShardReaderFactory",
    "VectorShardedWriteConfig",
    "VectorShardingConfig",
    "VectorShardingSpec",
    "VectorShardingStrategy",
    "VectorSnapshotInfo",
    "VectorWriteOptions",
    "index_snapshot",
    "write_sharded",
]

# Modules of the names that are not in types.
_MODULES = {
    "AsyncShardedVectorReader": "async_reader",
    "IndexResult": "index",
    "ShardedVectorReader": "reader",
    "VectorRecordInput": "config",
    "VectorShardedWriteConfig": "config",
    "VectorShardingConfig": "config",
    "VectorShardingSpec": "config",
    "VectorWriteOptions": "config",
    "index_snapshot": "index",
    "write_sharded": "writer",
}


def __getattr__(name: str) -> Any:
    """Imports a name on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'types')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
