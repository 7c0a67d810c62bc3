"""The types of `shardyfusion.vector.types`, in a module that imports nothing that imports them."""

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
    """A query vector of `dim` components: an object with the buffer protocol (one dimension; float32 and float64 are not
    copied) or with `__array__`, or an iterable of numbers."""

    Queries: TypeAlias = Buffer | Array | Iterable[Query]
    """Several queries: an array or data frame of two dimensions with one query per row, or an iterable of queries."""

    RoutingContext: TypeAlias = Mapping[str, Any]
    """The variables of a CEL routing expression: numbers, strings, booleans, bytes."""

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


class Explanation:
    """What a search did: `str()` of it is to be read, `as_dict()` has the figures (docs/c-api.md describes the members)."""

    __slots__ = ("_json", "_text")

    def __init__(self, json: str, text: str) -> None:
        self._json = json
        self._text = text

    def as_dict(self) -> dict[str, Any]:
        """Returns the figures as a new dict of JSON values."""
        from json import loads

        figures: dict[str, Any] = loads(self._json)
        return figures

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>\n{self._text}"


class DistanceMetric(StrEnum):
    """The distance metric."""

    COSINE = "cosine"
    L2 = "l2"
    DOT_PRODUCT = "dot_product"


class VectorShardingStrategy(StrEnum):
    """How rows are distributed over shards and queries are routed to them."""

    CLUSTER = "cluster"
    LSH = "lsh"
    EXPLICIT = "explicit"
    CEL = "cel"


@dataclass(frozen=True, slots=True)
class VectorIndexConfig:
    """The vectors of a snapshot: `index_config` of a write and of a custom reader factory.

    `index_type` and `index_params` are meant for engines that build an approximate index. Shards are searched exactly, without
    an index: a write accepts both and ignores them. For a write, `quantization` must be None.
    """

    dim: int
    metric: DistanceMetric = DistanceMetric.COSINE
    index_type: str | None = "hnsw"
    index_params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    quantization: str | None = None


@dataclass(slots=True)
class VectorRecord:
    """A row to write.

    `shard_id` is for explicit sharding, `routing_context` for CEL. A payload is a mapping of JSON values or a JSON object as
    text. Dates, times, `Decimal`, `UUID` and enums become text, as with `str`; NumPy scalars and arrays become numbers and
    lists.
    """

    id: int | str
    vector: Query
    payload: Mapping[str, Any] | str | None = None
    shard_id: int | None = None
    routing_context: RoutingContext | None = None


@dataclass(frozen=True, slots=True)
class VectorShardDetail:
    """One shard of the served snapshot.

    `db_url` is None if the shard has no rows; `vector_count` is its number of rows in the manifest.
    """

    db_id: int
    db_url: str | None
    vector_count: int
    checkpoint_id: str | None


@dataclass(frozen=True, slots=True)
class VectorSnapshotInfo:
    """The served snapshot."""

    run_id: str
    num_dbs: int
    dim: int
    metric: DistanceMetric
    sharding: VectorShardingStrategy
    manifest_ref: str
    total_vectors: int


@dataclass(frozen=True, slots=True)
class VectorReaderHealth:
    """The health of a reader: `status` is "healthy", "degraded" (the manifest is older than the threshold) or "unhealthy"
    (the reader is closed).

    `manifest_age_seconds` is the time since the manifest was published. `refresh_error` says why the last refresh kept the
    old snapshot, or is None.
    """

    status: str
    manifest_ref: str | None
    manifest_age_seconds: float
    num_shards: int
    is_closed: bool
    refresh_error: str | None = None
