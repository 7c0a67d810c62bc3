"""Rows to write, configurations, and what a snapshot of them has to answer."""

import numpy as np
import pyarrow as pa
from shardyfusion.config import VectorColumnInput
from shardyfusion.sqlite_vec_adapter import SqliteVecFactory
from shardyfusion.vector.adapters.lancedb_adapter import LanceDbWriterFactory
from shardyfusion.vector.config import VectorIndexConfig, VectorShardedWriteConfig, VectorShardingConfig
from shardyfusion.vector.reader import ShardedVectorReader

DIM = 8
NUM_DBS = 4
COLOURS = ["red", "green", "blue"]
STRATEGIES = ["cluster", "lsh", "explicit", "cel"]
BACKENDS = {"lance": LanceDbWriterFactory, "sqlite-vec": SqliteVecFactory}


def table(num_rows=600, seed=1, first_id=0):
    """Rows with an id, a vector, payload columns, a shard and a tenant, in chunks of 100."""
    vectors = np.random.default_rng(seed).standard_normal((num_rows, DIM)).astype(np.float32)
    ids = np.arange(first_id, first_id + num_rows)
    columns = {
        "id": pa.array(ids),
        "vec": pa.array(vectors.tolist(), pa.list_(pa.float32())),
        "colour": pa.array([COLOURS[i % 3] for i in ids]),
        "size": pa.array([float(i) / 4 for i in ids]),
        "shard": pa.array(ids % NUM_DBS, pa.int64()),
        "tenant": pa.array([f"t{i % 5}" for i in ids]),
    }
    whole = pa.table(columns)
    return pa.concat_tables([whole.slice(first, 100) for first in range(0, num_rows, 100)])


def vectors_of(rows):
    return np.array(rows.column("vec").to_pylist(), dtype=np.float32)


def config(root, strategy="cluster", backend="lance", **settings):
    settings = {"num_dbs": NUM_DBS} | settings
    if strategy == "cluster":
        settings.setdefault("train_centroids", True)
    if strategy == "cel":
        settings = {
            "cel_expr": "tenant",
            "cel_columns": {"tenant": "string"},
            "routing_values": ["t0", "t1", "t2", "t3", "t4"],
            **settings,
            "num_dbs": None,
        }
    return VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=DIM, metric="l2"),
        sharding=VectorShardingConfig(strategy=strategy, **settings),
        s3_prefix=str(root),
        adapter_factory=None if backend == "lance" else SqliteVecFactory(),
    )


def columns(strategy="cluster", **given):
    settings = {"vector_col": "vec", "id_col": "id", "payload_cols": ["colour", "size"]}
    if strategy == "explicit":
        settings["shard_id_col"] = "shard"
    if strategy == "cel":
        settings["routing_context_cols"] = {"tenant": "string"}
    return VectorColumnInput(**settings | given)


def open_reader(root, tmp_path, **options):
    return ShardedVectorReader(s3_prefix=str(root), local_root=str(tmp_path / "cache"), **options)


def nearest(rows, query, count):
    """Ids of the nearest rows, as text: Lance has them so."""
    vectors = vectors_of(rows).astype(np.float64)
    distances = ((vectors - query) ** 2).sum(axis=1)
    return [str(rows.column("id")[int(i)].as_py()) for i in np.argsort(distances, kind="stable")[:count]]


def check_answers(root, rows, tmp_path, **options):
    """All rows are there, once, with their payloads, and searches find the nearest."""
    with open_reader(root, tmp_path, **options) as reader:
        assert reader.snapshot_info().total_vectors == rows.num_rows
        details = reader.shard_details()
        assert sum(detail.vector_count for detail in details) == rows.num_rows
        every_shard = [detail.db_id for detail in details]
        for query in np.random.default_rng(2).standard_normal((5, DIM)).astype(np.float32):
            results = reader.search(query, 10, shard_ids=every_shard).results
            assert [str(result.id) for result in results] == nearest(rows, query, 10)
            for result in results:
                number = int(result.id)
                assert result.payload == {"colour": COLOURS[number % 3], "size": number / 4}
        return reader.snapshot_info().run_id


def shards_of(root, ids, tmp_path):
    """The shard of each id."""
    found = {}
    with open_reader(root, tmp_path) as reader:
        for detail in reader.shard_details():
            for row_id, result in zip(ids, reader.fetch(ids, shard_ids=[detail.db_id]), strict=True):
                if result is not None:
                    assert row_id not in found
                    found[row_id] = detail.db_id
    return found


def objects_below(root):
    """Relative paths of all files below a directory."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
