"""Nearest-neighbour search over sharded vector snapshots, exact within the shards that are searched.

The readers are `shardyfusion.vector.AsyncShardedVectorReader` (asyncio) and `shardyfusion.vector.ShardedVectorReader`.

Most names here are those that code written for the format's first library imports from it; each belongs to a module of its own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from shardyfusion import errors
from shardyfusion._core import SearchResult as _SearchResult
from shardyfusion._core import VectorSearchResponse as _VectorSearchResponse
from shardyfusion._core import kernel_name
from shardyfusion._core import version as _version
from shardyfusion._lazy import LazyFields as _LazyFields

if TYPE_CHECKING:
    from shardyfusion._rate_limiter import AcquireResult, RateLimiter, ThreadSafeTokenBucket, TokenBucket
    from shardyfusion.async_manifest_store import AsyncManifestStore, AsyncS3ManifestStore
    from shardyfusion.cel import CelColumn, CelType, cel_sharding, cel_sharding_by_columns
    from shardyfusion.config import (
        UnifiedVectorWriteConfig,
        VectorColumnInput,
        VectorSpec,
        VectorWriteRateLimitConfig,
        WriterLifecycleConfig,
        WriterManifestConfig,
        WriterObservabilityConfig,
        WriterOutputConfig,
        WriterStorageConfig,
    )
    from shardyfusion.credentials import (
        CredentialProvider,
        EnvCredentialProvider,
        S3Credentials,
        StaticCredentialProvider,
    )
    from shardyfusion.errors import (
        ConfigValidationError,
        DbAdapterError,
        ManifestBuildError,
        ManifestParseError,
        ManifestStoreError,
        PoolExhaustedError,
        PublishCurrentError,
        PublishManifestError,
        ReaderStateError,
        S3TransientError,
        ShardAssignmentError,
        ShardCoverageError,
        ShardWriteError,
        ShardyfusionError,
    )
    from shardyfusion.logging import FailureSeverity, JsonFormatter, LogContext, configure_logging, get_logger
    from shardyfusion.manifest import (
        SQLITE_MANIFEST_CONTENT_TYPE,
        BuildDurations,
        BuildResult,
        BuildStats,
        CurrentPointer,
        ManifestArtifact,
        ManifestRef,
        ManifestShardingSpec,
        ParsedManifest,
        RequiredBuildMeta,
        RequiredShardMeta,
        SqliteManifestBuilder,
        WriterInfo,
    )
    from shardyfusion.manifest_store import (
        InMemoryManifestStore,
        ManifestStore,
        S3ManifestStore,
        load_sqlite_build_meta,
        parse_manifest_payload,
        parse_sqlite_manifest,
    )
    from shardyfusion.metrics import MetricEvent, MetricsCollector
    from shardyfusion.run_registry import (
        InMemoryRunRegistry,
        RunRecord,
        RunRecordLifecycle,
        RunRegistry,
        RunStatus,
        S3RunRegistry,
    )
    from shardyfusion.s3 import S3ConnectionOptions
    from shardyfusion.sharding_types import (
        CelShardingSpec,
        HashShardingSpec,
        KeyEncoding,
        ShardHashAlgorithm,
        ShardingSpec,
        ShardingStrategy,
    )

__version__ = _version()

__all__ = [
    "AcquireResult",
    "AsyncManifestStore",
    "AsyncS3ManifestStore",
    "BuildDurations",
    "BuildResult",
    "BuildStats",
    "CelColumn",
    "CelShardingSpec",
    "CelType",
    "ConfigValidationError",
    "CredentialProvider",
    "CurrentPointer",
    "DbAdapterError",
    "EnvCredentialProvider",
    "FailureSeverity",
    "HashShardingSpec",
    "InMemoryManifestStore",
    "InMemoryRunRegistry",
    "JsonFormatter",
    "KeyEncoding",
    "LogContext",
    "ManifestArtifact",
    "ManifestBuildError",
    "ManifestParseError",
    "ManifestRef",
    "ManifestShardingSpec",
    "ManifestStore",
    "ManifestStoreError",
    "MetricEvent",
    "MetricsCollector",
    "ParsedManifest",
    "PoolExhaustedError",
    "PublishCurrentError",
    "PublishManifestError",
    "RateLimiter",
    "ReaderStateError",
    "RequiredBuildMeta",
    "RequiredShardMeta",
    "RunRecord",
    "RunRecordLifecycle",
    "RunRegistry",
    "RunStatus",
    "S3ConnectionOptions",
    "S3Credentials",
    "S3ManifestStore",
    "S3RunRegistry",
    "S3TransientError",
    "SQLITE_MANIFEST_CONTENT_TYPE",
    "ShardAssignmentError",
    "ShardCoverageError",
    "ShardHashAlgorithm",
    "ShardWriteError",
    "ShardingSpec",
    "ShardingStrategy",
    "ShardyfusionError",
    "SqliteManifestBuilder",
    "StaticCredentialProvider",
    "ThreadSafeTokenBucket",
    "TokenBucket",
    "UnifiedVectorWriteConfig",
    "VectorColumnInput",
    "VectorSpec",
    "VectorWriteRateLimitConfig",
    "WriterInfo",
    "WriterLifecycleConfig",
    "WriterManifestConfig",
    "WriterObservabilityConfig",
    "WriterOutputConfig",
    "WriterStorageConfig",
    "cel_sharding",
    "cel_sharding_by_columns",
    "configure_logging",
    "errors",
    "get_logger",
    "kernel_name",
    "load_sqlite_build_meta",
    "parse_manifest_payload",
    "parse_sqlite_manifest",
]

# The modules that have the names, in the order in which they are looked through.
_MODULES = (
    "errors",
    "_rate_limiter",
    "credentials",
    "s3",
    "metrics",
    "sharding_types",
    "manifest",
    "manifest_store",
    "async_manifest_store",
    "config",
    "logging",
    "run_registry",
    "cel",
)

# Results are made by the library: what `dataclasses` looks for is added to their types.
_LazyFields.add_to(_SearchResult, id="int | str", score="float", vector=None, payload=None)
_LazyFields.add_to(_VectorSearchResponse, results="list", num_shards_queried="int", latency_ms="float")


def __getattr__(name: str) -> Any:
    """Imports a name on first use."""
    for module in _MODULES if name in __all__ else ():
        found = import_module(f"{__name__}.{module}")
        if name in found.__all__:
            value = globals()[name] = getattr(found, name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
