"""The routing of vectors to shards, as functions over NumPy arrays. Needs NumPy.

Readers and writers route by the library's own code, and so do these functions: what they return is what a snapshot has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shardyfusion import _core
from shardyfusion._json import dump_context, dumps
from shardyfusion._text import describe
from shardyfusion._types import DistanceMetric, VectorShardingStrategy
from shardyfusion.errors import ConfigValidationError
from shardyfusion.sharding_types import RoutingValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[Any]

__all__ = [
    "cluster_assign",
    "cluster_assign_batch",
    "cluster_probe_shards",
    "lsh_assign",
    "lsh_assign_batch",
    "lsh_generate_hyperplanes",
    "lsh_hash",
    "lsh_probe_shards",
    "route_vector_to_shards",
    "train_centroids_kmeans",
]

_METRICS = list(DistanceMetric)
_STRATEGIES = list(VectorShardingStrategy)


def _router(strategy: VectorShardingStrategy, num_dbs: int, **options: Any) -> _core.RowRouter:
    if num_dbs < 1:
        raise ConfigValidationError(f"num_dbs: expected at least 1, found {num_dbs}")
    return _core.RowRouter({"strategy": _STRATEGIES.index(strategy), "num_dbs": num_dbs, "num_probes": 1, **options})


def _cluster(centroids: Vectors, metric: DistanceMetric) -> _core.RowRouter:
    shape: tuple[int, ...] = getattr(centroids, "shape", ())
    if len(shape) != 2:
        raise ConfigValidationError(f"centroids: expected an array of two dimensions, found {describe(centroids)}")
    options = {"metric": _METRICS.index(DistanceMetric(metric)), "dim": shape[1], "centroids": centroids}
    return _router(VectorShardingStrategy.CLUSTER, shape[0], **options)


def _lsh(hyperplanes: Vectors, num_dbs: int) -> _core.RowRouter:
    shape: tuple[int, ...] = getattr(hyperplanes, "shape", ())
    if len(shape) != 2:
        raise ConfigValidationError(f"hyperplanes: expected an array of two dimensions, found {describe(hyperplanes)}")
    options = {"num_hash_bits": shape[0], "dim": shape[1], "hyperplanes": hyperplanes}
    return _router(VectorShardingStrategy.LSH, num_dbs, **options)


def _assign(router: _core.RowRouter, vectors: Vectors) -> NDArray[np.int64]:
    import numpy

    return numpy.array(router.assign(vectors, None, None), dtype=numpy.int64)


def cluster_assign(vector: Vectors, centroids: Vectors, metric: DistanceMetric = DistanceMetric.COSINE) -> int:
    """Returns the shard of a vector: that of its nearest centroid, of several the first."""
    return cluster_probe_shards(vector, centroids, 1, metric)[0]


def cluster_assign_batch(
    vectors: Vectors, centroids: Vectors, metric: DistanceMetric = DistanceMetric.COSINE
) -> NDArray[np.int64]:
    """Returns the shard of each row."""
    return _assign(_cluster(centroids, metric), vectors)


def cluster_probe_shards(
    query: Vectors, centroids: Vectors, num_probes: int, metric: DistanceMetric = DistanceMetric.COSINE
) -> list[int]:
    """Returns the shards of the `num_probes` nearest centroids, nearest first."""
    return _cluster(centroids, metric).route(query, None, num_probes)


def train_centroids_kmeans(vectors: Vectors, num_clusters: int, max_iter: int = 100, seed: int = 42) -> Vectors:
    """Returns `num_clusters` centroids of the rows by squared L2 distance, as float32. The same rows and seed give the same."""
    import numpy

    if num_clusters < 1 or max_iter < 1:
        raise ConfigValidationError(
            f"num_clusters and max_iter: expected at least 1, found {num_clusters} and {max_iter}"
        )
    options = {"metric": _METRICS.index(DistanceMetric.L2), "num_dbs": num_clusters, "seed": seed}
    trained = _core.train_centroids(options | {"training_iterations": max_iter}, vectors)
    return numpy.frombuffer(trained, dtype=numpy.float32).reshape(num_clusters, -1).copy()


def lsh_generate_hyperplanes(num_hash_bits: int, dim: int, seed: int = 42) -> Vectors:
    """Returns random hyperplanes, `num_hash_bits` × `dim` as float32: normally distributed, from NumPy's generator."""
    import numpy

    return numpy.random.default_rng(seed).standard_normal((num_hash_bits, dim)).astype(numpy.float32)


def lsh_hash(vector: Vectors, hyperplanes: Vectors) -> int:
    """Returns the hash code of a vector: bit i says on which side of hyperplane i it is."""
    return sum(1 << bit for bit, projection in enumerate(hyperplanes @ vector) if projection > 0)


def lsh_assign(vector: Vectors, hyperplanes: Vectors, num_dbs: int) -> int:
    """Returns the shard of a vector: its hash code modulo `num_dbs`."""
    return lsh_probe_shards(vector, hyperplanes, num_dbs, 1)[0]


def lsh_assign_batch(vectors: Vectors, hyperplanes: Vectors, num_dbs: int) -> NDArray[np.int64]:
    """Returns the shard of each row."""
    return _assign(_lsh(hyperplanes, num_dbs), vectors)


def lsh_probe_shards(query: Vectors, hyperplanes: Vectors, num_dbs: int, num_probes: int) -> list[int]:
    """Returns the shard of the query's hash code, then those of codes that differ in one bit, at most `num_probes`."""
    return _lsh(hyperplanes, num_dbs).route(query, None, num_probes)


def route_vector_to_shards(
    query: Vectors,
    *,
    strategy: VectorShardingStrategy,
    num_dbs: int,
    num_probes: int,
    metric: DistanceMetric = DistanceMetric.COSINE,
    centroids: Vectors | None = None,
    hyperplanes: Vectors | None = None,
    shard_ids: list[int] | None = None,
    routing_context: Mapping[str, Any] | None = None,
    cel_expr: str | None = None,
    cel_columns: Mapping[str, str] | None = None,
    routing_values: Sequence[RoutingValue] | None = None,
) -> list[int]:
    """Returns the shards that a reader of such a snapshot would search."""
    if shard_ids is not None:
        return shard_ids
    match VectorShardingStrategy(strategy):
        case VectorShardingStrategy.CLUSTER:
            if centroids is None:
                raise ConfigValidationError("centroids: expected them, because the sharding is cluster, found none")
            return cluster_probe_shards(query, centroids, num_probes, metric)
        case VectorShardingStrategy.LSH:
            if hyperplanes is None:
                raise ConfigValidationError("hyperplanes: expected them, because the sharding is lsh, found none")
            return lsh_probe_shards(query, hyperplanes, num_dbs, num_probes)
        case VectorShardingStrategy.EXPLICIT:
            raise ConfigValidationError("shard_ids: expected them, because the sharding is explicit, found none")
        case VectorShardingStrategy.CEL:
            return [_route_cel(num_dbs, routing_context, cel_expr, cel_columns, routing_values)]


def _route_cel(
    num_dbs: int,
    routing_context: Mapping[str, Any] | None,
    cel_expr: str | None,
    cel_columns: Mapping[str, str] | None,
    routing_values: Sequence[RoutingValue] | None,
) -> int:
    if routing_context is None:
        raise ConfigValidationError("routing_context: expected one, because the sharding is cel, found none")
    if cel_expr is None or cel_columns is None:
        raise ConfigValidationError("cel_expr and cel_columns: expected both, because the sharding is cel")
    values = None if routing_values is None else dumps(list(routing_values))
    options = {"cel_expr": cel_expr, "cel_columns": dumps(dict(cel_columns)), "routing_values": values}
    router = _router(VectorShardingStrategy.CEL, num_dbs, **options)
    return router.assign(None, None, [dump_context(routing_context)])[0]
