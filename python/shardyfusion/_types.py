"""The types of `shardyfusion.vector.types`, where nothing that imports them is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from shardyfusion._core import SearchResult, VectorSearchResponse

if TYPE_CHECKING:
    from typing_extensions import Buffer

    class Array(Protocol):
        """A NumPy array (which type checkers know to be a `Buffer` from Python 3.12 on)."""

        @property
        def __array_interface__(self) -> dict[str, Any]: ...

    Query: TypeAlias = Buffer | Array | Iterable[float]
    """A query vector of `dim` components: anything with the buffer protocol (numbers of one dimension; float32 and float64
    are not copied), with `__array__`, or that gives numbers in order."""

    Queries: TypeAlias = Buffer | Array | Iterable[Query]
    """Queries: an array or a frame of two dimensions, one query a row, or queries one by one."""

    RoutingContext: TypeAlias = Mapping[str, Any]
    """The variables of a CEL routing expression: numbers, strings, booleans, bytes."""

__all__ = [
    "DistanceMetric",
    "SearchResult",
    "VectorIndexConfig",
    "VectorReaderHealth",
    "VectorRecord",
    "VectorSearchResponse",
    "VectorShardDetail",
    "VectorShardingStrategy",
    "VectorSnapshotInfo",
]


class DistanceMetric(StrEnum):
    """How the distance between two vectors is measured."""

    COSINE = "cosine"
    L2 = "l2"
    DOT_PRODUCT = "dot_product"


class VectorShardingStrategy(StrEnum):
    """How queries are routed to shards."""

    CLUSTER = "cluster"
    LSH = "lsh"
    EXPLICIT = "explicit"
    CEL = "cel"


@dataclass(frozen=True, slots=True)
class VectorIndexConfig:
    """What the vectors of a snapshot are: `index_config` of a write, and of a custom reader factory.

    `index_type` and `index_params` are for engines that build an approximate index. Shards are searched exactly, without
    one: a write takes both and uses neither. `quantization` can only be None in a write.
    """

    dim: int
    metric: DistanceMetric = DistanceMetric.COSINE
    index_type: str | None = "hnsw"
    index_params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    quantization: str | None = None


@dataclass(slots=True)
class VectorRecord:
    """A row to write.

    `shard_id` is for explicit sharding, `routing_context` for CEL. A payload is a mapping of what JSON can hold, or such an
    object as text. Dates, times, `Decimal`, `UUID` and enums become text, as `str` has it; scalars and arrays of NumPy become
    numbers and lists.
    """

    id: int | str
    vector: Query
    payload: Mapping[str, Any] | str | None = None
    shard_id: int | None = None
    routing_context: RoutingContext | None = None


@dataclass(frozen=True, slots=True)
class VectorShardDetail:
    """One shard of the snapshot that is served.

    `db_url` is None where the shard has no rows; `vector_count` is the manifest's count of its rows.
    """

    db_id: int
    db_url: str | None
    vector_count: int
    checkpoint_id: str | None


@dataclass(frozen=True, slots=True)
class VectorSnapshotInfo:
    """The snapshot that is served."""

    run_id: str
    num_dbs: int
    dim: int
    metric: DistanceMetric
    sharding: VectorShardingStrategy
    manifest_ref: str
    total_vectors: int


@dataclass(frozen=True, slots=True)
class VectorReaderHealth:
    """How a reader is: `status` is "healthy", "degraded" (the manifest is older than the threshold) or "unhealthy" (closed).

    `manifest_age_seconds` counts from when the manifest was published. `refresh_error` says why the last refresh kept the
    old snapshot, or is None.
    """

    status: str
    manifest_ref: str | None
    manifest_age_seconds: float
    num_shards: int
    is_closed: bool
    refresh_error: str | None = None
