"""What the tests of write_sharded share: how they shard, the records they write, and the rows that a search must find."""


import numpy as np
from shardyfusion.sqlite_vec_adapter import SqliteVecFactory
from shardyfusion.vector import DistanceMetric, ShardedVectorReader, VectorShardingStrategy
from shardyfusion.vector.adapters.lancedb_adapter import LanceDbWriterFactory
from shardyfusion.vector.writer import VectorIndexConfig, VectorRecord, VectorShardedWriteConfig, VectorShardingConfig

DIM, ROWS, SHARDS, SEED = 12, 400, 4, 7
BACKENDS = {"lance": LanceDbWriterFactory(), "sqlite-vec": SqliteVecFactory()}
TRAINED = {"num_dbs": SHARDS, "train_centroids": True}
EXPLICIT = {"num_dbs": SHARDS, "strategy": VectorShardingStrategy.EXPLICIT}
CEL = {
    "num_dbs": SHARDS,
    "strategy": VectorShardingStrategy.CEL,
    "cel_expr": "language",
    "cel_columns": {"language": "string"},
    "routing_values": ["da", "de", "en", "fr"],
}
STRATEGIES = {
    "cluster": TRAINED,
    "lsh": {"num_dbs": SHARDS, "strategy": VectorShardingStrategy.LSH},
    "explicit": EXPLICIT,
    "cel": CEL,
}



def configure(root, sharding=None, *, dim=DIM, metric=DistanceMetric.COSINE, **settings):
    return VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=dim, metric=metric),
        sharding=VectorShardingConfig(**(TRAINED if sharding is None else sharding)),
        s3_prefix=str(root),
        **({"adapter_factory": SqliteVecFactory()} | settings),
    )


def shard_of(row):
    return row % SHARDS


def language_of(row):
    return CEL["routing_values"][shard_of(row)]


def make_records(vectors, identify=lambda row: row):
    for row, vector in enumerate(vectors):
        payload = {"row": row, "word": "naïve \"quoted\"\n"} if row % 3 else None
        context = {"language": language_of(row)}
        yield VectorRecord(identify(row), vector, payload, shard_of(row), context)


def open_reader(root):
    return ShardedVectorReader(s3_prefix=str(root), local_root=str(root.parent / "cache"))


def distances(vectors, query, metric):
    vectors, query = vectors.astype(np.float64), query.astype(np.float64)
    if metric == DistanceMetric.L2:
        return ((vectors - query) ** 2).sum(axis=1)
    products = vectors @ query
    if metric == DistanceMetric.DOT_PRODUCT:
        return 1 - products
    return 1 - products / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)


def assert_finds(root, vectors, metric=DistanceMetric.COSINE, identify=lambda row: row, rows_with_payload=None):
    """Every shard is searched, and the nearest rows are those of NumPy."""
    with open_reader(root) as reader:
        assert reader.snapshot_info().total_vectors == len(vectors)
        for query in vectors[::37]:
            expected = np.argsort(distances(vectors, query, metric), kind="stable")[:5]
            found = reader.search(query, top_k=5, shard_ids=range(reader.snapshot_info().num_dbs))
            assert [str(result.id) for result in found] == [str(identify(row)) for row in expected]
            for row, result in zip(expected, found, strict=True):
                if rows_with_payload is not None:
                    assert result.payload == rows_with_payload(row)


def payload_of(row):
    return {"row": row, "word": "naïve \"quoted\"\n"} if row % 3 else None
