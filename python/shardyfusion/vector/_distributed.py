"""The steps of a write, one by one: routing, a shard by an adapter, routing artifacts, the manifest. `write_sharded` of the engines
does all of them, and better: these are for programs that have a loop of their own. Needs NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from shardyfusion import _core, _json, _values
from shardyfusion._text import describe
from shardyfusion._types import DistanceMetric, VectorShardingStrategy
from shardyfusion.errors import ConfigValidationError

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from shardyfusion.manifest import RequiredShardMeta
    from shardyfusion.vector.config import VectorIndexConfig, VectorShardedWriteConfig

__all__ = [
    "ResolvedVectorRouting",
    "VectorTuple",
    "assign_vector_shard",
    "coerce_vector_value",
    "publish_vector_manifest",
    "resolve_adapter_factory",
    "resolve_vector_routing",
    "upload_routing_metadata",
    "write_vector_shard",
]

VectorTuple: TypeAlias = "tuple[int | str, NDArray[numpy.float32], dict[str, Any] | None]"
"""The id, vector and payload of a row."""

_METRICS = list(DistanceMetric)
_STRATEGIES = list(VectorShardingStrategy)


@dataclass(frozen=True)
class ResolvedVectorRouting:
    """All that decides which shard a row goes to. It is pickled to workers."""

    strategy: VectorShardingStrategy
    num_dbs: int
    metric: DistanceMetric
    centroids: NDArray[numpy.float32] | None = None
    hyperplanes: NDArray[numpy.float32] | None = None
    routing_values: list[int | str | bytes] | None = None
    cel_expr: str | None = None
    cel_columns: dict[str, str] | None = field(default=None, kw_only=True)

    def router(self, routing_context_cols: Mapping[str, str] | None = None) -> _core.RowRouter:
        """Returns what assigns rows; `routing_context_cols` has the types of the expression's variables."""
        options: dict[str, Any] = {
            "strategy": _STRATEGIES.index(self.strategy),
            "metric": _METRICS.index(self.metric),
            "num_dbs": self.num_dbs,
            "num_probes": 1,
        }
        if self.strategy == VectorShardingStrategy.CLUSTER and self.centroids is not None:
            options |= {"dim": self.centroids.shape[1], "centroids": self.centroids}
        if self.strategy == VectorShardingStrategy.LSH and self.hyperplanes is not None:
            planes = self.hyperplanes
            options |= {"dim": planes.shape[1], "hyperplanes": planes, "num_hash_bits": planes.shape[0]}
        if self.strategy == VectorShardingStrategy.CEL:
            columns = routing_context_cols or self.cel_columns or {}
            values = self.routing_values
            options |= {"cel_expr": self.cel_expr, "cel_columns": _json.dumps(dict(columns))}
            options["routing_values"] = None if values is None else _json.dumps([_values.scalar(value) for value in values])
        return _core.RowRouter(options)

    def assign(self, router: _core.RowRouter, vectors: Any, shard_ids: Any, contexts: Any) -> list[int]:
        """Returns the shard of each row, by what the strategy needs. Contexts are JSON."""
        match self.strategy:
            case VectorShardingStrategy.EXPLICIT:
                if shard_ids is None:
                    raise ConfigValidationError("shard_id: expected one for each row, because the sharding is explicit, found none")
                return router.assign(None, shard_ids, None)
            case VectorShardingStrategy.CEL:
                if contexts is None:
                    raise ConfigValidationError("routing_context: expected one for each row, because the sharding is cel, found none")
                return router.assign(None, None, contexts)
            case _:
                return router.assign(vectors, None, None)


def _artifact(value: Any, name: str, dim: int) -> NDArray[numpy.float32]:
    import numpy

    array = numpy.ascontiguousarray(value, dtype=numpy.float32)
    if array.ndim != 2 or array.shape[1] != dim:
        raise ConfigValidationError(f"sharding.{name}: expected rows of {dim} components, found {describe(value)}")
    return array


def _centroids(config: VectorShardedWriteConfig, sample: Any) -> NDArray[numpy.float32]:
    import numpy

    sharding, dim = config.sharding, config.index_config.dim
    if not sharding.train_centroids:
        return _artifact(sharding.centroids, "centroids", dim)
    if sample is None:
        raise ConfigValidationError("sample_vectors: expected vectors to train centroids with, found None")
    options = {
        "metric": _METRICS.index(DistanceMetric(config.index_config.metric)),
        "num_dbs": config.num_dbs,
        "seed": sharding.seed,
        "training_iterations": sharding.training_iterations,
    }
    trained = _core.train_centroids(options, _artifact(sample, "sample_vectors", dim))
    return numpy.frombuffer(trained, dtype=numpy.float32).reshape(-1, dim).copy()


def _hyperplanes(config: VectorShardedWriteConfig) -> NDArray[numpy.float32]:
    import numpy

    sharding, dim = config.sharding, config.index_config.dim
    if sharding.hyperplanes is not None:
        return _artifact(sharding.hyperplanes, "hyperplanes", dim)
    options = {
        "strategy": _STRATEGIES.index(VectorShardingStrategy.LSH),
        "dim": dim,
        "num_dbs": config.num_dbs,
        "num_hash_bits": sharding.num_hash_bits,
        "seed": sharding.seed,
    }
    drawn = _core.RowRouter(options).vectors() or b""
    return numpy.frombuffer(drawn, dtype=numpy.float32).reshape(-1, dim).copy()


def resolve_vector_routing(
    config: VectorShardedWriteConfig, *, sample_vectors: NDArray[numpy.float32] | None = None
) -> ResolvedVectorRouting:
    """Returns the routing that a write with this config uses. Centroids are trained from `sample_vectors`."""
    config.validate()
    sharding = config.sharding
    strategy = VectorShardingStrategy(sharding.strategy)
    is_cel = strategy == VectorShardingStrategy.CEL
    centroids = _centroids(config, sample_vectors) if strategy == VectorShardingStrategy.CLUSTER else None
    hyperplanes = _hyperplanes(config) if strategy == VectorShardingStrategy.LSH else None
    values = list(sharding.routing_values) if is_cel and sharding.routing_values is not None else None
    num_dbs = config.num_dbs
    if num_dbs is None:
        num_dbs = len(values) if values is not None else 0 if centroids is None else len(centroids)
    return ResolvedVectorRouting(
        strategy,
        num_dbs,
        DistanceMetric(config.index_config.metric),
        centroids,
        hyperplanes,
        values,
        sharding.cel_expr if is_cel else None,
        cel_columns=dict(sharding.cel_columns) if is_cel and sharding.cel_columns else None,
    )


def assign_vector_shard(
    *,
    vector: Any,
    routing: ResolvedVectorRouting,
    shard_id: int | None = None,
    routing_context: Mapping[str, Any] | None = None,
) -> int:
    """Returns the shard of one row. Many are assigned faster together: see `add_vector_db_id_column`."""
    contexts = None if routing_context is None else [_json.dump_context(routing_context)]
    shard_ids = None if shard_id is None else [shard_id]
    return routing.assign(routing.router(), coerce_vector_value(vector).reshape(1, -1), shard_ids, contexts)[0]


def coerce_vector_value(value: Any) -> NDArray[numpy.float32]:
    """Returns a vector as an array of float32: of numbers in order, or of text that looks like a list of them."""
    import numpy

    if isinstance(value, str):
        value = value.strip("[] \n").replace(",", " ").split()
    try:
        array = numpy.asarray(value, dtype=numpy.float32)
    except (TypeError, ValueError) as error:
        raise ConfigValidationError(f"vector: expected numbers, found {describe(value)}: {error}") from None
    if array.ndim != 1:
        raise ConfigValidationError(f"vector: expected one dimension, found {describe(value)}")
    return array


# ---------------------------------------------------------------------------------------------------------------- Storing


def resolve_adapter_factory(config: VectorShardedWriteConfig) -> Callable[..., Any]:
    """Returns what writes shards: the configuration's adapter factory, or that of Lance."""
    from shardyfusion.vector.adapters.lancedb_adapter import LanceDbWriterFactory

    if config.adapter_factory is not None:
        factory: Callable[..., Any] = config.adapter_factory
        return factory
    return LanceDbWriterFactory(config.s3_connection_options, config.credential_provider)


def write_vector_shard(
    *,
    db_id: int,
    rows: Iterable[VectorTuple],
    run_id: str,
    s3_prefix: str,
    shard_prefix: str,
    db_path_template: str,
    local_root: str,
    index_config: VectorIndexConfig,
    adapter_factory: Callable[..., Any],
    batch_size: int,
    ops_limiter: Any = None,
    metrics_collector: Any = None,
) -> RequiredShardMeta:
    """Writes the rows of one shard by an adapter; returns what a manifest says of it.

    The shard is attempt 0: a second call for the same shard and run writes to the same place. `ops_limiter` is asked for a token
    before each batch.
    """
    from shardyfusion._adapter_shard import AdapterShard, shard_url
    from shardyfusion._custom_write import root_url
    from shardyfusion._options import Reporter
    from shardyfusion.metrics import MetricEvent

    def acquire() -> None:
        if ops_limiter is not None:
            ops_limiter.acquire(1)

    url = shard_url(root_url(s3_prefix), shard_prefix, run_id, db_path_template, db_id)
    with AdapterShard(adapter_factory, db_id, url, Path(local_root), index_config, batch_size, acquire) as shard:
        for row_id, vector, payload in rows:
            shard.add(row_id, coerce_vector_value(vector), payload)
        shard.finish()
    reporter = Reporter(metrics_collector)
    reporter.emit(MetricEvent.VECTOR_SHARD_WRITE_COMPLETED, {"db_id": db_id, "row_count": shard.row_count})
    return shard.describe()


def upload_routing_metadata(
    *,
    s3_prefix: str,
    run_id: str,
    centroids: NDArray[numpy.float32] | None,
    hyperplanes: NDArray[numpy.float32] | None,
    backend: Any = None,
) -> tuple[str | None, str | None]:
    """Stores the arrays that route queries; returns their references. `backend` is one of `shardyfusion.storage`."""
    from shardyfusion._custom_write import put_array, root_url
    from shardyfusion.storage import backend_of

    storage = backend if backend is not None else backend_of(s3_prefix, None, None)
    root = root_url(s3_prefix)
    centroids_ref = None if centroids is None else put_array(storage, root, run_id, "centroids", centroids)
    hyperplanes_ref = None if hyperplanes is None else put_array(storage, root, run_id, "hyperplanes", hyperplanes)
    return centroids_ref, hyperplanes_ref


def publish_vector_manifest(
    *,
    config: VectorShardedWriteConfig,
    run_id: str,
    num_dbs: int,
    winners: Iterable[RequiredShardMeta],
    total_vectors: int,
    centroids_ref: str | None,
    hyperplanes_ref: str | None,
) -> str:
    """Publishes a manifest of these shards, and makes it the live one; returns its reference. Raises `ShardCoverageError` unless
    the shards have `total_vectors` rows together, and each is there once."""
    from shardyfusion._custom_write import publish_manifest, vector_fields
    from shardyfusion.errors import ShardCoverageError

    shards = sorted(winners, key=lambda shard: shard.db_id)
    found = sum(shard.row_count for shard in shards)
    if found != total_vectors or len({shard.db_id for shard in shards}) != len(shards):
        raise ShardCoverageError(f"winners: expected {total_vectors} rows in shards of a number each, found {found}")
    fields = vector_fields(config, total_vectors, centroids_ref, hyperplanes_ref)
    return publish_manifest(config, run_id, num_dbs, shards, fields)
