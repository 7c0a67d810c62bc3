"""Rows and settings that the tests of code written for the format's first library share."""

import numpy as np
from shardyfusion.vector import (
    DistanceMetric,
    VectorIndexConfig,
    VectorRecord,
    VectorShardedWriteConfig,
    VectorShardingSpec,
    VectorShardingStrategy,
)

DIM, ROWS = 8, 120


def random_vectors():
    return np.random.default_rng(3).standard_normal((ROWS, DIM)).astype(np.float32)


def records_of(vectors):
    return [VectorRecord(id=i, vector=vectors[i], payload={"n": i}, shard_id=i % 4) for i in range(ROWS)]


def explicit(root, **settings):
    sharding = VectorShardingSpec(num_dbs=4, strategy=VectorShardingStrategy.EXPLICIT)
    index = VectorIndexConfig(dim=DIM, metric=DistanceMetric.L2)
    return VectorShardedWriteConfig(index_config=index, sharding=sharding, s3_prefix=str(root), **settings)


def nearest(vectors, query, count):
    distances = ((vectors - query) ** 2).sum(axis=1)
    return np.argsort(distances, kind="stable")[:count].tolist()


class Collector:
    def __init__(self):
        self.events = []

    def emit(self, event, payload):
        self.events.append((event, payload))

    def named(self, event):
        return [payload for name, payload in self.events if name == event]
