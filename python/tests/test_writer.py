"""What write_sharded writes is found again, and it refuses wrong settings before anything is published."""

import dataclasses

import numpy as np
import pytest
from shardyfusion.config import VectorSpec, WriterOutputConfig
from shardyfusion.errors import ConfigValidationError, ShardyfusionError
from shardyfusion.sqlite_vec_adapter import SqliteVecFactory
from shardyfusion.vector import DistanceMetric
from shardyfusion.vector.writer import (
    BuildResult,
    VectorIndexConfig,
    VectorRecord,
    VectorShardedWriteConfig,
    VectorShardingConfig,
    VectorWriteOptions,
    write_sharded,
)
import writing
from writing import (
    BACKENDS,
    CEL,
    STRATEGIES,
    TRAINED,
    assert_finds,
    configure,
    language_of,
    make_records,
    open_reader,
    payload_of,
    shard_of,
)

DIM, ROWS, SEED = writing.DIM, writing.ROWS, writing.SEED


# ----------------------------------------------------------------------------------------------------------- Round trips


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("metric", list(DistanceMetric))
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_written_rows_are_found(root, vectors, backend, metric, strategy):
    if backend == "sqlite-vec" and metric == DistanceMetric.DOT_PRODUCT:
        with pytest.raises(ConfigValidationError, match="dot_product"):
            write_sharded(make_records(vectors), configure(root, STRATEGIES[strategy], metric=metric))
        assert not (root / "_CURRENT").exists()
        return
    config = configure(root, STRATEGIES[strategy], metric=metric, adapter_factory=BACKENDS[backend])
    result = write_sharded(make_records(vectors), config)
    assert isinstance(result, BuildResult)
    assert result.stats.rows_written == ROWS == sum(shard.row_count for shard in result.winners)
    assert result.manifest_ref.endswith("/manifest")
    assert_finds(root, vectors, metric, rows_with_payload=payload_of)
    with open_reader(root) as reader:
        assert reader.snapshot_info().run_id == result.run_id
        for row in range(0, ROWS, 29):
            routing = {
                "explicit": {"shard_ids": [shard_of(row)]},
                "cel": {"routing_context": {"language": language_of(row)}},
            }.get(strategy, {})
            nearest = [result.id for result in reader.search(vectors[row], top_k=50, **routing)]
            assert str(row) in map(str, nearest)  # where a reader that asks one shard looks for it


def test_lance_shards_are_the_default(root, vectors):
    write_sharded(make_records(vectors), configure(root, adapter_factory=None))
    assert list(root.glob("shards/*/*/*/vector_index.lance"))


def test_the_same_rows_and_seed_give_the_same_shards(tmp_path, vectors):
    def counts(name, seed):
        sharding = TRAINED | {"seed": seed}
        return [shard.row_count for shard in write_sharded(vectors, configure(tmp_path / name, sharding)).winners]

    assert counts("a", 1) == counts("b", 1) != counts("c", 2)


def test_a_second_write_replaces_the_first(root, vectors):
    first = write_sharded(vectors, configure(root))
    second = write_sharded(vectors[:100], configure(root, output=WriterOutputConfig(run_id="second")))
    assert (second.run_id, second.stats.rows_written) == ("second", 100)
    assert first.run_id != "second"
    assert_finds(root, vectors[:100])


@pytest.mark.parametrize("given", ["centroids", "hyperplanes"])
@pytest.mark.parametrize("form", [np.asarray, np.float64, lambda array: array.tolist()], ids=["f4", "f8", "lists"])
def test_centroids_and_hyperplanes_may_be_given(root, vectors, given, form):
    if given == "centroids":
        sharding = {"centroids": form(vectors[:3])}
    else:
        sharding = {"num_dbs": 3, "strategy": "lsh", "num_hash_bits": 5, "hyperplanes": form(vectors[:5])}
    write_sharded(vectors, configure(root, sharding))
    assert_finds(root, vectors)
    (path,) = root.glob(f"vector_meta/*/{given}.npy")
    np.testing.assert_array_equal(np.load(path), vectors[: 3 if given == "centroids" else 5])


# ---------------------------------------------------------------------------------------------------------- Configuration


def test_settings_have_the_names_and_defaults_of_the_first_writer(root):
    config = VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=3), sharding=VectorShardingConfig(**TRAINED), s3_prefix="s3://b/p"
    )
    assert (config.batch_size, config.shard_id_col, config.s3_prefix) == (10_000, "_vector_db_id", "s3://b/p")
    assert (config.output.db_path_template, config.output.shard_prefix) == ("db={db_id:05d}", "shards")
    assert config.index_config == VectorIndexConfig(3, DistanceMetric.COSINE, "hnsw", {}, None)
    sharding = config.sharding
    assert (sharding.strategy, sharding.num_probes, sharding.num_hash_bits) == ("cluster", 1, 8)
    assert sharding.centroids_training_sample_size == 100_000
    assert [field.name for field in dataclasses.fields(VectorRecord)] == [
        "id", "vector", "payload", "shard_id", "routing_context",
    ]  # fmt: skip
    assert VectorWriteOptions().verify_routing


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"index_config": VectorIndexConfig(dim=0)}, "index_config.dim: expected an integer of at least 1, found 0"),
        ({"index_config": VectorIndexConfig(dim=3, metric="x")}, "index_config.metric: expected cosine, l2, dot_product"),
        ({"sharding": VectorShardingConfig(num_dbs=2)}, "sharding: cluster: expected centroids, or train_centroids=True"),
        ({"sharding": VectorShardingConfig(num_dbs=2, strategy="cel")}, "sharding: cel: expected cel_expr and cel_columns"),
        ({"sharding": VectorShardingConfig(num_dbs=2, strategy="x")}, "sharding.strategy: expected cluster, lsh"),
        ({"sharding": VectorShardingConfig(num_dbs=0, strategy="lsh")}, "num_dbs: expected an integer of at least 1"),
        ({"sharding": VectorShardingConfig(num_dbs=2, strategy="explicit", num_probes=2)}, "sharding.num_probes: expected 1"),
        ({"sharding": VectorShardingConfig(num_dbs=2, strategy="lsh"), "num_dbs": 3}, "num_dbs: expected sharding's 2"),
        ({"s3_prefix": ""}, "s3_prefix: expected a path or URL"),
        ({"batch_size": 0}, "adapter.batch_size: expected an integer of at least 1, found 0"),
        ({"adapter_factory": 5}, "adapter_factory: expected LanceDbWriterFactory, SqliteVecFactory or a function"),
        ({"max_writes_per_second": 0}, "rate_limits.max_writes_per_second: expected a number above 0"),
        ({"metrics_collector": 5}, r"metrics_collector: expected emit\(event, fields\)"),
        ({"run_registry": 5}, r"lifecycle.run_registry: expected create\(record\), found 5"),
    ],
)
def test_settings_that_are_wrong_are_named(settings, message):
    given = {"index_config": VectorIndexConfig(dim=3), "s3_prefix": "x"} | settings
    if "sharding" not in given:
        given["sharding"] = VectorShardingConfig(**TRAINED)
    with pytest.raises(ConfigValidationError, match=f"^{message}"):
        VectorShardedWriteConfig(**given)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"index_config": VectorIndexConfig(dim=3, quantization="i8")}, "index_config.quantization .*: expected None"),
        ({"sharding": VectorShardingConfig(train_centroids=True)}, "num_dbs: expected the number of shards"),
        ({"output": WriterOutputConfig(shard_prefix="x")}, "output.shard_prefix: expected 'shards', found 'x'"),
        ({"output": WriterOutputConfig(db_path_template="{db_id}")}, "output.db_path_template: expected 'db="),
        ({"output": WriterOutputConfig(run_registry_prefix="x")}, "output.run_registry_prefix: expected 'runs', found 'x'"),
        ({"adapter_factory": SqliteVecFactory(page_size=1000)}, "adapter_factory: page_size: expected 4096"),
        ({"adapter_factory": SqliteVecFactory(VectorSpec(4))}, "adapter_factory: vector_spec: expected index_config's 3"),
    ],
)
def test_what_a_write_can_not_do_is_refused_when_it_begins(tmp_path, settings, message):
    given = {"index_config": VectorIndexConfig(dim=3), "s3_prefix": tmp_path / "root"} | settings
    given.setdefault("sharding", VectorShardingConfig(**TRAINED))
    config = VectorShardedWriteConfig(**given)
    with pytest.raises(ConfigValidationError, match=f"^{message}"):
        write_sharded([], config)
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    "sharding",
    [
        {"centroids": np.zeros((3, 5), np.float32)},
        {"centroids": np.zeros((3, DIM), np.float32), "num_dbs": 4},
        {"centroids": "x"},
        {"num_dbs": 3, "strategy": "lsh", "hyperplanes": np.zeros((3, DIM)), "num_hash_bits": 8},
        {**CEL, "cel_expr": "language +"},
        {**CEL, "cel_columns": {"language": "text"}},
        {**CEL, "routing_values": [1.5, 2, 3, 4]},
    ],
)
def test_sharding_that_is_wrong_is_refused_before_anything_is_written(root, vectors, sharding):
    with pytest.raises(ShardyfusionError):
        write_sharded(make_records(vectors), configure(root, sharding))
    assert not (root / "_CURRENT").exists()


def test_a_run_id_is_used_once(root, vectors):
    config = configure(root, output=WriterOutputConfig(run_id="one"))
    write_sharded(vectors, config)
    with pytest.raises(ShardyfusionError, match="one"):
        write_sharded(vectors, config)
