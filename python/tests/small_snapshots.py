"""Snapshots of a few rows that a test writes with the package: one sqlite-vec shard, unless it asks for others."""

from __future__ import annotations

from shardyfusion.sqlite_vec_adapter import SqliteVecFactory
from shardyfusion.vector import ShardedVectorReader
from shardyfusion.vector.writer import VectorIndexConfig, VectorShardedWriteConfig, VectorShardingConfig


def small_config(root, dim, *, metric="l2", batch_size=None, **sharding):
    return VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=dim, metric=metric),
        sharding=VectorShardingConfig(**(sharding or {"num_dbs": 1, "train_centroids": True})),
        s3_prefix=root,
        adapter_factory=SqliteVecFactory(),
        **({} if batch_size is None else {"batch_size": batch_size}),
    )


def open_reader(root):
    return ShardedVectorReader(s3_prefix=root, local_root=root.parent / "cache")


def nearest(root, vectors):
    """The nearest row of each vector, over all shards."""
    with open_reader(root) as reader:
        return [response[0] for response in reader.batch_search(vectors, top_k=1, num_probes=64)]
