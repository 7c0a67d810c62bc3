"""What code written for the format's first library relies on, beyond names: adapters, readers and stores of its own."""

import dataclasses
import pickle
import threading
from datetime import datetime, timezone

import numpy as np
import pytest
from first_library_rows import DIM, ROWS, Collector, explicit, nearest, random_vectors, records_of
from shardyfusion import (
    AsyncS3ManifestStore,
    InMemoryManifestStore,
    ManifestRef,
    MetricEvent,
    RunStatus,
    S3ManifestStore,
    VectorSpec,
    WriterManifestConfig,
    WriterOutputConfig,
)
from shardyfusion.errors import ConfigValidationError, ShardyfusionError
from shardyfusion.run_registry import parse_run_record
from shardyfusion.sqlite_vec_adapter import SqliteVecFactory, SqliteVecReaderFactory
from shardyfusion.storage import AsyncMemoryBackend, MemoryBackend, backend_of
from shardyfusion.vector import (
    AsyncShardedVectorReader,
    DistanceMetric,
    SearchResult,
    ShardedVectorReader,
    VectorIndexConfig,
    VectorRecord,
    VectorShardDetail,
    VectorShardedWriteConfig,
    VectorShardingSpec,
    VectorShardingStrategy,
    write_sharded,
)
from shardyfusion.vector.adapters import LanceDbReaderFactory, LanceDbWriterFactory


@pytest.fixture
def vectors():
    return random_vectors()


@pytest.fixture
def records(vectors):
    return records_of(vectors)


# ---------------------------------------------------------------------------------------------------------------- Adapters


class FolderAdapter:
    """Writes a shard as one file of NumPy: what a user's own adapter might do."""

    made = []

    def __init__(self, *, db_url, local_dir, index_config):
        self.path = local_dir
        self.file = db_url.removeprefix("file://")
        self.rows, self.calls, self.dim = [], [], index_config.dim
        FolderAdapter.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def add_batch(self, ids, vectors, payloads=None):
        assert vectors.dtype == np.float32 and vectors.shape == (len(ids), self.dim)
        self.calls.append(len(ids))
        self.rows += zip(ids.tolist(), vectors, payloads or [None] * len(ids))

    def flush(self):
        self.calls.append("flush")

    def seal(self):
        import pathlib

        path = pathlib.Path(self.file)
        path.mkdir(parents=True)
        (path / "rows").write_bytes(pickle.dumps(self.rows))
        self.calls.append("seal")

    def db_bytes(self):
        return 17

    def close(self):
        self.calls.append("close")


class FolderReader:
    open_readers = 0
    most_searches = 0
    searches = 0
    lock = threading.Lock()

    def __init__(self, *, db_url, local_dir, index_config, manifest):
        import pathlib

        self.rows = pickle.loads((pathlib.Path(db_url.removeprefix("file://")) / "rows").read_bytes())
        self.wait = None
        with self.lock:
            FolderReader.open_readers += 1

    def search(self, query, top_k):
        with self.lock:
            FolderReader.searches += 1
            FolderReader.most_searches = max(FolderReader.most_searches, FolderReader.searches)
        try:
            if FolderReader.gate is not None:
                FolderReader.gate.wait(60)
            scored = [
                SearchResult(row_id, float(((vector - query) ** 2).sum()), payload=payload)
                for row_id, vector, payload in self.rows
            ]
            return sorted(scored, key=lambda result: result.score)[:top_k]
        finally:
            with self.lock:
                FolderReader.searches -= 1

    def close(self):
        with self.lock:
            FolderReader.open_readers -= 1


@pytest.fixture(autouse=True)
def _forget_readers():
    FolderAdapter.made = []
    FolderReader.open_readers = FolderReader.most_searches = FolderReader.searches = 0
    FolderReader.gate = None


@pytest.mark.parametrize("strategy", ["explicit", "cluster", "lsh", "cel"])
def test_an_adapter_and_a_reader_of_ones_own(tmp_path, vectors, strategy):
    sharding = {
        "explicit": {"num_dbs": 4},
        "cluster": {"num_dbs": 4, "train_centroids": True, "num_probes": 4},
        "lsh": {"num_dbs": 4, "num_hash_bits": 4, "num_probes": 4},
        "cel": {"num_dbs": 4, "cel_expr": "shard", "cel_columns": {"shard": "int"}},
    }[strategy]
    collector = Collector()
    config = VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=DIM, metric=DistanceMetric.L2),
        sharding=VectorShardingSpec(strategy=VectorShardingStrategy(strategy), **sharding),
        s3_prefix=str(tmp_path / "root"),
        adapter_factory=FolderAdapter,
        batch_size=11,
        output=WriterOutputConfig(local_root=str(tmp_path / "local"), run_id="mine"),
        metrics_collector=collector,
    )
    rows = [
        VectorRecord(f"id {i}", vectors[i], {"n": i} if i % 2 else None, i % 4, {"shard": i % 4, "other": object()})
        for i in range(ROWS)
    ]
    result = write_sharded(rows, config)
    assert result.run_id == "mine" and result.stats.rows_written == ROWS
    assert all(adapter.calls[-3:] == ["flush", "seal", "close"] for adapter in FolderAdapter.made)
    assert all(call <= 11 for adapter in FolderAdapter.made for call in adapter.calls[:-3])
    assert [shard.db_bytes for shard in result.winners] == [17] * len(result.winners)
    assert len(collector.named("vector.write.shard.completed")) == len(result.winners)
    record = parse_run_record(backend_of(tmp_path / "root").get(result.run_record_ref))
    assert record.status is RunStatus.SUCCEEDED
    keywords = {"explicit": {"shard_ids": [0, 1, 2, 3]}, "cel": {"routing_context": {"shard": 1, 7: {}, "x": object()}}}
    with ShardedVectorReader(
        s3_prefix=tmp_path / "root", local_root=tmp_path / "cache", reader_factory=FolderReader
    ) as reader:
        found = reader.search(vectors[9], 5, **keywords.get(strategy, {}))
        within = vectors if strategy != "cel" else np.where((np.arange(ROWS) % 4 == 1)[:, None], vectors, np.inf)
        if strategy in ("explicit", "cel", "cluster"):
            assert [each.id for each in found] == [f"id {i}" for i in nearest(within, vectors[9], 5)]
        assert found[0].payload == {"n": 9}
    assert FolderReader.open_readers == 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"id": 3}, "row 5: expected an id of its own, found 3 again"),
        ({"id": 1.5}, "row 5: id: expected an integer or a string, found 1.5"),
        ({"vector": [1.0]}, r"row 5: vector: expected 8 components, found shape \(1,\)"),
        ({"vector": [float("nan")] * DIM}, "row 5: vector: expected finite numbers"),
        ({"payload": "[1]"}, "row 5: payload: expected a mapping"),
        ({"shard_id": 4}, ".*expected a shard id from 0 to 3, found 4"),
        ({"shard_id": None}, "id 5: shard_id: expected an integer, found None"),
    ],
)
def test_rows_for_an_adapter_of_ones_own_are_checked(tmp_path, records, change, message):
    records[5] = dataclasses.replace(records[5], **change)
    with pytest.raises(ConfigValidationError, match=f"^{message}"):
        write_sharded(records, explicit(tmp_path / "root", adapter_factory=FolderAdapter))
    assert not (tmp_path / "root" / "_CURRENT").exists()
    assert all(adapter.calls[-1] == "close" for adapter in FolderAdapter.made)
    (path,) = (tmp_path / "root").glob("runs/*/run.yaml")
    assert parse_run_record(path.read_bytes()).status is RunStatus.FAILED


def test_a_reader_of_ones_own_is_searched_by_so_many_threads(tmp_path, records, vectors):
    write_sharded(records, explicit(tmp_path / "root", adapter_factory=FolderAdapter))
    where = {"s3_prefix": tmp_path / "root", "local_root": tmp_path / "cache", "reader_factory": FolderReader}
    for workers in (1, 3):
        FolderReader.most_searches = 0
        FolderReader.gate = None if workers == 1 else threading.Barrier(workers)
        with ShardedVectorReader(**where, max_workers=workers) as reader:
            # Three of the four shards wait for each other: they are searched at the same time, or never end.
            found = reader.search(vectors[3], 3, shard_ids=[0, 1, 2] if workers == 3 else [0, 1, 2, 3])
        assert FolderReader.most_searches == workers
        assert found.num_shards_queried == (3 if workers == 3 else 4)


def test_a_refresh_does_not_wait_for_searches_of_readers_of_ones_own(tmp_path, records, vectors):
    config = explicit(tmp_path / "root", adapter_factory=FolderAdapter)
    write_sharded(records, config)
    where = {"s3_prefix": tmp_path / "root", "local_root": tmp_path / "cache", "reader_factory": FolderReader}
    with ShardedVectorReader(**where) as reader:
        reader.search(vectors[0], 1, shard_ids=[0])
        FolderReader.gate = threading.Event()
        found = []
        search = threading.Thread(target=lambda: found.append(reader.search(vectors[0], 1, shard_ids=[0])))
        search.start()
        write_sharded(records[:60], config)
        assert reader.refresh()
        assert reader.snapshot_info().total_vectors == 60 and FolderReader.open_readers == 1
        FolderReader.gate.set()
        search.join()
        assert found[0][0].id == 0
        assert FolderReader.open_readers == 0
        assert reader.search(vectors[0], 1, shard_ids=[0])[0].id == 0


@pytest.mark.parametrize(
    "make, reader_factory",
    [
        (lambda: SqliteVecFactory(VectorSpec(dim=DIM, metric="l2")), SqliteVecReaderFactory()),
        (LanceDbWriterFactory, LanceDbReaderFactory()),
    ],
    ids=["sqlite-vec", "lance"],
)
def test_factories_write_single_shards(tmp_path, records, vectors, make, reader_factory):
    """As a factory does that wraps another."""
    made = []

    def wrapping(*, db_url, local_dir, index_config):
        made.append(db_url)
        return make()(db_url=db_url, local_dir=local_dir, index_config=index_config)

    output = WriterOutputConfig(local_root=str(tmp_path / "local"))
    result = write_sharded(records, explicit(tmp_path / "root", adapter_factory=wrapping, output=output))
    assert len(made) == 4 and [shard.row_count for shard in result.winners] == [30] * 4
    assert all(shard.db_bytes > 30 * 4 * DIM for shard in result.winners)
    assert not any((tmp_path / "local").rglob("*.*")), "the local files of a shard that was stored"
    with ShardedVectorReader(s3_prefix=tmp_path / "root", local_root=tmp_path / "cache", reader_factory=reader_factory) as reader:
        found = reader.search(vectors[5], 7, shard_ids=[0, 1, 2, 3])
        assert [each.id for each in found] == nearest(vectors, vectors[5], 7)
        assert [each.payload for each in found] == [{"n": each.id} for each in found]


def test_writers_of_single_shards_check_their_rows(tmp_path, vectors):
    factory = SqliteVecFactory(VectorSpec(dim=DIM, metric="l2"))
    where = {"db_url": f"file://{tmp_path}/shard", "local_dir": tmp_path / "local"}
    with factory(**where) as writer, pytest.raises(ConfigValidationError, match=f"expected one for each of 2 ids, found {ROWS}"):
        writer.add_batch([1, 2], vectors)
    with factory(**where) as writer, pytest.raises(ConfigValidationError, match="finite"):
        writer.add_batch([1], np.full((1, DIM), np.nan))
    with pytest.raises(ConfigValidationError, match="index_config"):
        LanceDbWriterFactory()(**where)
    assert not (tmp_path / "shard").exists() and not (tmp_path / "local" / "one_shard").exists()


@pytest.mark.parametrize("backend", ["sqlite-vec", "lance"])
def test_factories_open_single_shards(tmp_path, records, vectors, backend):
    made = {"sqlite-vec": SqliteVecReaderFactory(), "lance": LanceDbReaderFactory()}[backend]
    config = explicit(tmp_path / "root")
    if backend == "sqlite-vec":
        config.adapter_factory = SqliteVecFactory()
    result = write_sharded(records, config)
    shard = made(
        db_url=result.winners[2].db_url,
        local_dir=tmp_path / "cache" / "shard_00002",
        index_config=config.index_config,
    )
    found = shard.search(vectors[6], 2)
    assert [int(each.id) for each in found] == [2 + 4 * i for i in nearest(vectors[2::4], vectors[6], 2)]
    shard.close()


# ----------------------------------------------------------------------------------------------------------------- Readers


def test_a_reader_answers_as_the_first_library_does(tmp_path, records, vectors):
    store = InMemoryManifestStore()
    write_sharded(records, explicit(tmp_path / "root", manifest=WriterManifestConfig(store=store)))
    store._refs[0] = ManifestRef(store._refs[0].ref, "called so by the store", datetime.now(timezone.utc))
    collector = Collector()
    reader = ShardedVectorReader(
        s3_prefix=tmp_path / "root", local_root=tmp_path / "cache", manifest_store=store, metrics_collector=collector
    )
    assert reader.snapshot_info().run_id == "called so by the store"
    assert reader.shard_for_id(99) == VectorShardDetail(db_id=99, db_url=None, vector_count=0, checkpoint_id=None)
    assert reader.shard_for_id(shard_id=1).vector_count == 30
    reader.search(vectors[0], 2, shard_ids=[0, 1], routing_context={3: object(), "x": float("nan")})
    reader.close()
    health = reader.health()
    assert (health.status, health.manifest_ref, health.manifest_age_seconds) == ("unhealthy", None, None)
    root = str(tmp_path / "root")
    assert collector.named("vector.reader.initialized") == [{"s3_prefix": root, "num_shards": 4}]
    (search,) = collector.named(MetricEvent.VECTOR_SEARCH)
    assert (search["top_k"], search["num_shards_queried"], search["num_results"]) == (2, 2, 2) and "elapsed_ms" in search
    shards = collector.named("vector.reader.shard_search")
    assert sorted(each["shard_id"] for each in shards) == [0, 1] and {each["top_k"] for each in shards} == {2}
    assert collector.named("vector.reader.closed") == [{}]
    assert collector.named(MetricEvent.SEARCH)[0]["num_results"] == 2


async def test_an_asyncio_reader_can_be_made_before_it_is_opened(tmp_path, records, vectors):
    write_sharded(records, explicit(tmp_path / "root"))
    reader = AsyncShardedVectorReader(s3_prefix=tmp_path / "root", local_root=tmp_path / "cache")
    with pytest.raises(ShardyfusionError, match="never opened"):
        await reader.search(vectors[0])
    async with reader:
        assert len(await reader.search(vectors[0], 2, shard_ids=[0])) == 2


async def test_stores_over_backends(tmp_path, records):
    root = tmp_path / "root"
    result = write_sharded(records, explicit(root))
    stored = S3ManifestStore(backend_of(root), root.as_uri())
    manifest = stored.load_manifest(result.manifest_ref)
    memory, backend = MemoryBackend(), AsyncMemoryBackend()
    copied = S3ManifestStore(memory, "s3://b/p")
    build = {"required_build": manifest.required_build, "shards": manifest.shards, "custom": manifest.custom}
    first = copied.publish(run_id="one", **build)
    second = copied.publish(run_id="two", **build)
    assert [ref.run_id for ref in copied.list_manifests()] == ["two", "one"]
    copied.set_current(first)
    assert copied.load_current().run_id == "one" and copied.load_manifest(second) == manifest
    for url, payload in memory._objects.items():
        await backend.put(url, payload, "application/octet-stream")
    store = AsyncS3ManifestStore(backend, "s3://b/p")
    assert (await store.load_current()).ref == first
    assert await store.load_manifest(second) == manifest
    assert [ref.ref for ref in await store.list_manifests(limit=1)] == [second]


def test_objects_below_a_root(tmp_path):
    backend = backend_of(tmp_path)
    url = tmp_path.as_uri()
    backend.put(f"{url}/a/b/one", b"1", "text/plain")
    backend.put(f"{url}/a/two", b"", "text/plain")
    assert backend.get(f"{tmp_path}/a/b/one") == b"1" and backend.try_get(f"{url}/a/two") == b""
    assert backend.list_prefixes(f"{url}/a") == [f"{url}/a/b/"]
    assert backend.delete_prefix(f"{url}/a") == 2 and backend.try_get(f"{url}/a/two") is None
    with pytest.raises(FileNotFoundError):
        backend.get(f"{url}/a/two")
    for outside in (f"{url}/../x", "/elsewhere/x", f"{url}/a//b"):
        with pytest.raises((ValueError, ConfigValidationError)):
            backend.put(outside, b"", "text/plain")
