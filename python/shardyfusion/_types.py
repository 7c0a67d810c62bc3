"""The types of `shardyfusion.vector.types`, in a module that imports nothing that imports them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeAlias

from shardyfusion._core import SearchResult, VectorSearchResponse

if TYPE_CHECKING:
    from pathlib import Path

    from shardyfusion.type_defs import Manifest
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


@dataclass(slots=True)
class VectorIndexConfig:
    """The vectors of a snapshot: `index_config` of a write and of a custom reader factory.

    `index_type` and `index_params` are meant for engines that build an approximate index. Shards are searched exactly, without
    an index: a write accepts both and ignores them. For a write, `quantization` must be None.
    """

    dim: int
    metric: DistanceMetric = DistanceMetric.COSINE
    index_type: str = "hnsw"
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

    `manifest_age_seconds` is the time since the manifest was published. Of a closed reader, it and `manifest_ref` are None, and
    `num_shards` is 0. `refresh_error` says why the last refresh kept the old snapshot, or is None.
    """

    status: Literal["healthy", "degraded", "unhealthy"]
    manifest_ref: str | None
    manifest_age_seconds: float | None
    num_shards: int
    is_closed: bool
    refresh_error: str | None = None


# ------------------------------------------------------------------------------------------------- What users may implement


class VectorIndexWriter(Protocol):
    """Writes one shard: made by a `VectorIndexWriterFactory`, and used as a context manager.

    `add_batch` gets ids as a NumPy array (int64 where all are integers, else objects), vectors as a float32 array of two dimensions,
    and payloads as dicts (empty for a row without one) or None. `flush` is called when all rows were added, `seal` when nothing
    follows: after it the shard is stored at its `db_url`. `db_bytes` returns its size.
    """

    def add_batch(self, ids: Any, vectors: Any, payloads: list[dict[str, Any]] | None = None) -> None: ...

    def flush(self) -> None: ...

    def seal(self) -> None: ...

    def db_bytes(self) -> int: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class VectorIndexWriterFactory(Protocol):
    """The `adapter_factory` of a write: makes the writer of one shard, which stores it at `db_url`. `local_dir` is a folder for its
    files, which may not exist yet."""

    def __call__(self, *, db_url: str, local_dir: Path, index_config: VectorIndexConfig) -> VectorIndexWriter: ...


class VectorShardReader(Protocol):
    """One open shard, made by a `VectorShardReaderFactory`. `search` returns the nearest neighbours of the query (the object that the
    caller passed), nearest first, at most `top_k`."""

    def search(self, query: Any, top_k: int) -> list[SearchResult]: ...

    def close(self) -> None: ...


class VectorShardReaderFactory(Protocol):
    """The `reader_factory` of a synchronous reader: opens a shard. `local_dir` is a folder for files of the shard; it may not exist
    yet."""

    def __call__(
        self, *, db_url: str, local_dir: Path, index_config: VectorIndexConfig, manifest: Manifest
    ) -> VectorShardReader: ...


class AsyncVectorShardReader(Protocol):
    """As `VectorShardReader`, for the asyncio reader."""

    async def search(self, query: Any, top_k: int) -> list[SearchResult]: ...

    async def close(self) -> None: ...


class AsyncVectorShardReaderFactory(Protocol):
    """As `VectorShardReaderFactory`, for the asyncio reader."""

    async def __call__(
        self, *, db_url: str, local_dir: Path, index_config: VectorIndexConfig, manifest: Manifest
    ) -> AsyncVectorShardReader: ...
