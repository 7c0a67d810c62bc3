"""What code written for the format's first library relies on, beyond names: results as data classes, settings, writing, registries,
limiters, credentials, CEL and routing."""

import asyncio
import dataclasses
import json
import threading
from datetime import datetime, timedelta, timezone

import pytest
from first_library_rows import DIM, ROWS, Collector, explicit, nearest, random_vectors, records_of
from shardyfusion import (
    AcquireResult,
    BuildResult,
    CelShardingSpec,
    EnvCredentialProvider,
    InMemoryManifestStore,
    InMemoryRunRegistry,
    MetricEvent,
    ParsedManifest,
    RequiredShardMeta,
    RunRecord,
    RunRecordLifecycle,
    RunStatus,
    S3Credentials,
    S3ManifestStore,
    S3RunRegistry,
    StaticCredentialProvider,
    ThreadSafeTokenBucket,
    TokenBucket,
    VectorSpec,
    WriterManifestConfig,
    cel_sharding,
    cel_sharding_by_columns,
    parse_manifest_payload,
)
from shardyfusion.cel import (
    CelColumn,
    CelType,
    UnknownRoutingTokenError,
    compile_cel,
    route_cel,
)
from shardyfusion.errors import (
    ConfigValidationError,
    ManifestParseError,
)
from shardyfusion.run_registry import parse_run_record
from shardyfusion.sqlite_vec_adapter import SqliteVecFactory, SqliteVecReaderFactory
from shardyfusion.storage import MemoryBackend, backend_of
from shardyfusion.vector import (
    DistanceMetric,
    SearchResult,
    ShardedVectorReader,
    VectorIndexConfig,
    VectorSearchResponse,
    VectorShardedWriteConfig,
    VectorShardingSpec,
    VectorShardingStrategy,
    write_sharded,
)
from shardyfusion.vector.sharding import (
    cluster_assign,
    cluster_assign_batch,
    cluster_probe_shards,
    lsh_assign,
    lsh_assign_batch,
    lsh_generate_hyperplanes,
    lsh_hash,
    lsh_probe_shards,
    route_vector_to_shards,
    train_centroids_kmeans,
)


@pytest.fixture
def vectors():
    return random_vectors()


@pytest.fixture
def records(vectors):
    return records_of(vectors)


# ---------------------------------------------------------------------------------------------------------------- Results


def test_results_are_data_classes():
    result = SearchResult(id=1, score=0.5, payload={"a": [1]})
    assert dataclasses.is_dataclass(result) and dataclasses.is_dataclass(VectorSearchResponse)
    assert dataclasses.asdict(result) == {"id": 1, "score": 0.5, "vector": None, "payload": {"a": [1]}}
    assert dataclasses.replace(result, score=2.0) == SearchResult(1, 2.0, None, {"a": [1]})
    assert [field.name for field in dataclasses.fields(SearchResult)] == ["id", "score", "vector", "payload"]
    response = VectorSearchResponse(results=[result], num_shards_queried=1, latency_ms=3.0)
    assert dataclasses.asdict(response)["results"] == [dataclasses.asdict(result)]
    assert dataclasses.replace(response, latency_ms=4.0).latency_ms == 4.0
    with pytest.raises(AttributeError):
        result.score = 1.0


def test_results_hash_as_frozen_data_classes_do():
    assert hash(SearchResult("a", 1.0)) == hash(SearchResult("a", 1.0))
    assert {SearchResult("a", 1.0), SearchResult("a", 1.0)} == {SearchResult("a", 1.0)}
    for unhashable in (SearchResult(1, 1.0, payload={}), SearchResult(1, 1.0, [0.5]), VectorSearchResponse([], 0, 0.0)):
        with pytest.raises(TypeError):
            hash(unhashable)


def test_models_are_copied_and_dumped(tmp_path, records):
    root = tmp_path / "root"
    result = write_sharded(records, explicit(root))
    payload = S3ManifestStore(backend_of(root), root.as_uri())._backend.get(result.manifest_ref)
    manifest = parse_manifest_payload(payload)
    assert manifest.required_build.created_at.tzinfo is not None
    assert manifest.required_build.sharding.strategy == "hash" and manifest.required_build.key_encoding == "raw"
    assert ParsedManifest.model_validate(manifest.model_dump(mode="json")) == manifest
    assert ParsedManifest.model_validate_json(manifest.model_dump_json()) == manifest
    copied = manifest.shards[0].model_copy(update={"row_count": 0}, deep=True)
    assert copied.row_count == 0 and manifest.shards[0].row_count == 30
    with pytest.raises(ValueError, match="db_id: expected an integer of at least 0, found -1"):
        RequiredShardMeta(db_id=-1)
    with pytest.raises(ManifestParseError):
        parse_manifest_payload(b"SQLite format 3\0" + bytes(100))


# --------------------------------------------------------------------------------------------------------------- Settings


def test_settings_can_be_changed_after_they_were_made(tmp_path):
    config = explicit(tmp_path)
    registry, collector, provider = InMemoryRunRegistry(), Collector(), StaticCredentialProvider("a", "b")
    config.s3_prefix = str(tmp_path / "other")
    config.batch_size = 7
    config.adapter_factory = SqliteVecFactory()
    config.reader_factory = SqliteVecReaderFactory()
    config.metrics_collector = collector
    config.run_registry = registry
    config.credential_provider = provider
    config.s3_connection_options = {"region_name": "x"}
    assert config.storage.s3_prefix == str(tmp_path / "other") and config.adapter.batch_size == 7
    assert config.observability.metrics_collector is collector and config.lifecycle.run_registry is registry
    assert config.storage.credential_provider is provider
    config.index_config.dim = 3
    with pytest.raises(ConfigValidationError, match="batch_size"):
        config.batch_size = 0


def test_the_number_of_shards_is_needed_only_when_writing(tmp_path):
    index = VectorIndexConfig(dim=DIM)
    config = VectorShardedWriteConfig(
        index_config=index,
        sharding=VectorShardingSpec(strategy=VectorShardingStrategy.LSH),
        s3_prefix=str(tmp_path / "root"),
    )
    with pytest.raises(ConfigValidationError, match="^num_dbs"):
        write_sharded([], config)
    assert not (tmp_path / "root").exists()


def test_a_spec_names_vectors_and_sharding_at_once(tmp_path, records):
    spec = VectorSpec(dim=DIM, metric=DistanceMetric.L2)
    spec.sharding.strategy = "explicit"
    sharding = spec.to_vector_sharding_spec()
    sharding.num_dbs = 4
    assert spec.metric == "l2" and sharding.strategy is VectorShardingStrategy.EXPLICIT
    config = VectorShardedWriteConfig(
        index_config=spec.to_vector_index_config(),
        sharding=sharding,
        s3_prefix=str(tmp_path / "root"),
        adapter_factory=SqliteVecFactory(vector_spec=spec, page_size=8192, emit_sidecar=False),
    )
    result = write_sharded(records, config)
    header = (tmp_path / "root" / result.winners[0].db_url.split("/root/")[1] / "shard.db").read_bytes()[:18]
    assert int.from_bytes(header[16:18], "big") == 8192


@pytest.mark.parametrize("given", [{}, {"emit_sidecar": True}, {"emit_sidecar": False}])
def test_sidecars_are_written_unless_they_are_not_wanted(tmp_path, records, vectors, given):
    root = tmp_path / "root"
    result = write_sharded(records, explicit(root, adapter_factory=SqliteVecFactory(**given)))
    for shard in result.winners:
        folder = root / shard.db_url.split("/root/")[1]
        names = sorted(file.name for file in folder.iterdir())
        assert names == ["shard.db", "shard.sidecar"][: 1 if given.get("emit_sidecar") is False else 2]
        assert shard.db_bytes == (folder / "shard.db").stat().st_size
        if len(names) == 2:
            head = (folder / "shard.sidecar").read_bytes()[:18]
            page_size = (folder / "shard.db").read_bytes()[16:18]
            # bound to nothing: objects of a directory have no version
            assert (head[:5], head[13:17], head[17]) == (b"SQPC\x08", page_size[::-1] + b"\0\0", 0)
    with ShardedVectorReader(s3_prefix=root, local_root=tmp_path / "cache") as reader:
        assert [each.id for each in reader.search(vectors[3], 5, shard_ids=[0, 1, 2, 3])] == nearest(vectors, vectors[3], 5)


# ----------------------------------------------------------------------------------------------------------------- Writing


def test_a_write_tells_what_it_made(tmp_path, records):
    collector = Collector()
    result = write_sharded(records, explicit(tmp_path / "root", metrics_collector=collector))
    assert isinstance(result, BuildResult)
    assert len({shard.checkpoint_id for shard in result.winners}) == 4
    assert all(len(shard.checkpoint_id) == 32 and shard.writer_info.attempt == 0 for shard in result.winners)
    record = parse_run_record(backend_of(tmp_path / "root").get(result.run_record_ref))
    assert (record.status, record.run_id, record.manifest_ref) == (RunStatus.SUCCEEDED, result.run_id, result.manifest_ref)
    assert collector.named(MetricEvent.VECTOR_WRITE_STARTED)[0]["run_id"] == result.run_id
    completed = collector.named("vector.write.completed")[0]
    assert (completed["total_vectors"], completed["num_shards"]) == (ROWS, 4) and completed["elapsed_ms"] >= 0
    written = collector.named("vector.write.shard.completed")
    assert [each["row_count"] for each in written] == [30] * 4


def test_a_manifest_is_published_in_the_store_of_the_configuration(tmp_path, records, vectors):
    store = InMemoryManifestStore()
    manifest = WriterManifestConfig(store=store, custom_manifest_fields={"team": "search"})
    root = tmp_path / "root"
    result = write_sharded(records, explicit(root, manifest=manifest))
    assert not (root / "_CURRENT").exists() and not list(root.glob("manifests/*"))
    assert result.manifest_ref == store.load_current().ref
    assert store.load_manifest(result.manifest_ref).custom["team"] == "search"
    with ShardedVectorReader(s3_prefix=root, local_root=tmp_path / "cache", manifest_store=store) as reader:
        found = reader.search(vectors[5], 3, shard_ids=[0, 1, 2, 3])
        assert [int(each.id) for each in found] == nearest(vectors, vectors[5], 3)


def test_a_store_that_fails_leaves_no_live_snapshot(tmp_path, records):
    class Failing(InMemoryManifestStore):
        def publish(self, **_):
            raise OSError("no room")

    registry = InMemoryRunRegistry()
    config = explicit(tmp_path / "root", manifest=WriterManifestConfig(store=Failing()), run_registry=registry)
    with pytest.raises(OSError, match="no room"):
        write_sharded(records, config)
    assert not (tmp_path / "root" / "_CURRENT").exists()
    (record,) = registry._records.values()
    assert (record.status, record.error_type, record.error_message) == (RunStatus.FAILED, "OSError", "no room")


def test_custom_fields_are_in_the_manifest_below_the_root(tmp_path, records):
    root = tmp_path / "root"
    manifest = WriterManifestConfig(custom_manifest_fields={"note": {"a": [1, None]}, "vector": "not this"})
    result = write_sharded(records, explicit(root, manifest=manifest))
    stored = S3ManifestStore(backend_of(root), root.as_uri())
    assert stored.load_current().ref == result.manifest_ref
    custom = stored.load_manifest(result.manifest_ref).custom
    assert custom["note"] == {"a": [1, None]} and custom["vector"]["dim"] == DIM


def test_runs_are_recorded_in_the_registry_of_the_configuration(tmp_path, records):
    registry = InMemoryRunRegistry()
    result = write_sharded(records, explicit(tmp_path / "root", run_registry=registry))
    record = registry.load(result.run_record_ref)
    assert record.status is RunStatus.SUCCEEDED and record.manifest_ref == result.manifest_ref
    assert record.started_at <= record.updated_at and record.writer_type == "vector-python"


def test_a_running_record_has_a_lease_that_is_renewed(tmp_path):
    renewed = threading.Event()

    class Watched(InMemoryRunRegistry):
        def update(self, ref, record):
            super().update(ref, record)
            if record.updated_at > record.started_at:
                renewed.set()

    registry = Watched()
    config = explicit(tmp_path, run_registry=registry)
    interval = timedelta(milliseconds=5)
    with RunRecordLifecycle.start(
        config=config, run_id="r", writer_type="x", lease_duration=timedelta(minutes=3), heartbeat_interval=interval
    ) as lifecycle:
        assert renewed.wait(60)
        record = registry.load(lifecycle.run_record_ref)
        assert record.status is RunStatus.RUNNING
        assert record.lease_expires_at - record.updated_at == timedelta(minutes=3)
        lifecycle.mark_succeeded()
    assert registry.load(lifecycle.run_record_ref).status is RunStatus.SUCCEEDED


def test_the_record_of_a_write_under_way_has_a_lease(tmp_path, records):
    seen = []

    def rows():
        (path,) = (tmp_path / "root").glob("runs/*/run.yaml")
        seen.append(parse_run_record(path.read_bytes()))
        yield from records

    write_sharded(rows(), explicit(tmp_path / "root"))
    assert seen[0].status is RunStatus.RUNNING
    assert seen[0].lease_expires_at - seen[0].updated_at == timedelta(minutes=10)


def test_records_of_runs_are_stored_as_yaml():
    now = datetime.now(timezone.utc).replace(microsecond=5)
    record = RunRecord(
        run_id="a", writer_type="x", status="failed", started_at=now, updated_at=now, lease_expires_at=now,
        s3_prefix="s3://b/p", shard_prefix="shards", db_path_template="db={db_id:05d}",
        error_type="ValueError", error_message="it's: #1\n\ttwo \u2028 lines, \U0001f600",
    )  # fmt: skip
    backend = MemoryBackend()
    registry = S3RunRegistry(backend, "s3://b/p/")
    ref = registry.create(record)
    assert ref.startswith("s3://b/p/runs/") and ref.endswith("/run.yaml")
    assert registry.load(ref) == record
    # As another writer of YAML would break and quote it.
    folded = (
        "error_message: 'a long\n  text, it''s\n\n  two lines'\nerror_type: \"V\\x61lue\"\nformat_version: 1\n"
        f"lease_expires_at: '{now.isoformat()}'\nmanifest_ref: null\nrun_id: 'a'\ns3_prefix: s3://b/p\n"
        f"shard_prefix: shards\nstarted_at: '{now.isoformat()}'\nstatus: failed\nupdated_at: '{now.isoformat()}'\n"
        "writer_type: x\ndb_path_template: db={db_id:05d}\n"
    )
    parsed = parse_run_record(folded.encode())
    assert parsed.error_message == "a long text, it's\ntwo lines" and parsed.error_type == "Value"
    assert parsed.started_at == now
    for bad in (b"- a\n", b"run_id: {a: 1}\n", b"run_id: x\n"):
        with pytest.raises(ValueError):
            parse_run_record(bad)


# ---------------------------------------------------------------------------------------------------- Limiters, credentials


def test_limiters_take_tokens_or_say_when():
    collector = Collector()
    bucket = TokenBucket(0.02, collector, "reads", capacity=2)
    assert bucket.try_acquire(2) == AcquireResult(acquired=True, deficit=0.0)
    refused = bucket.try_acquire(2)
    assert not refused and 90 < refused.deficit <= 100
    assert collector.events[0][0] is MetricEvent.RATE_LIMITER_DENIED
    assert collector.events[0][1] == {"deficit_seconds": refused.deficit, "limiter_type": "reads"}
    fast = ThreadSafeTokenBucket(1000.0, collector)
    fast.acquire(1000)
    fast.acquire(500)
    assert collector.events[-1][0] is MetricEvent.RATE_LIMITER_THROTTLED and collector.events[-1][1]["wait_seconds"] > 0
    assert repr(TokenBucket(5, 7)) == "TokenBucket(rate=5.0, capacity=7.0)"
    asyncio.run(bucket.acquire_async(0))


def test_credentials_have_defaults_and_fall_back(monkeypatch):
    assert S3Credentials() == S3Credentials(None, None, None)
    assert StaticCredentialProvider().resolve() == S3Credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("S3_ACCESS_KEY_ID", "c")
    monkeypatch.delenv("S3_SECRET_ACCESS_KEY", raising=False)
    monkeypatch.delenv("S3_SESSION_TOKEN", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    assert EnvCredentialProvider().resolve() == S3Credentials("c", "b", None)


# --------------------------------------------------------------------------------------------------------- CEL and routing


def test_expressions_route_rows():
    compiled = compile_cel("shard_hash(key) % 8u", {"key": "string"})
    assert compiled.columns == {"key": "string"} and compiled.columns_list == ("key",)
    assert [compiled.evaluate({"key": key}) for key in "abc"] == [route_cel(compiled, {"key": key}) for key in "abc"]
    assert compile_cel("b'\\x00\\xff'", {"a": "int"}).evaluate({"a": 1, "unused": object()}) == b"\x00\xff"
    named = compile_cel("region", {"region": "string"})
    assert route_cel(named, {"region": "us"}, routing_values=["eu", "us"]) == 1
    with pytest.raises(UnknownRoutingTokenError, match="found 'asia'"):
        route_cel(named, {"region": "asia"}, routing_values=["eu", "us"])
    for expression in ("key +", "key + 1", "missing"):
        with pytest.raises(ConfigValidationError):
            compile_cel(expression, {"key": "string"})
    with pytest.raises(ConfigValidationError, match="expected an int, a uint, a string or bytes"):
        compile_cel("1.5", {"a": "int"}).evaluate({})


def test_shardings_are_made_from_expressions_and_columns():
    spec = cel_sharding("key % 4", {"key": CelType.INT})
    assert spec == CelShardingSpec("key % 4", {"key": "int"})
    by_columns = cel_sharding_by_columns("tenant", CelColumn("day", CelType.INT), num_shards=4)
    compiled = compile_cel(by_columns.cel_expr, by_columns.cel_columns)
    same = compile_cel("shard_hash('a:3') % 4u", {"x": "int"})
    assert compiled.evaluate({"tenant": "a", "day": 3}) == same.evaluate({})
    assert cel_sharding_by_columns("tenant").infer_routing_values_from_data
    assert json.loads(json.dumps(by_columns.to_manifest_dict()))["strategy"] == "cel"


def test_routing_functions_agree_with_each_other_and_with_snapshots(tmp_path, vectors):
    centroids = train_centroids_kmeans(vectors, 5)
    assert centroids.shape == (5, DIM) and (centroids == train_centroids_kmeans(vectors, 5)).all()
    planes = lsh_generate_hyperplanes(4, DIM)
    for metric in DistanceMetric:
        assigned = cluster_assign_batch(vectors, centroids, metric)
        assert assigned.tolist() == [cluster_assign(vector, centroids, metric) for vector in vectors]
        probes = cluster_probe_shards(vectors[0], centroids, 3, metric)
        assert probes[0] == assigned[0] and len(set(probes)) == 3
    hashed = lsh_assign_batch(vectors, planes, 6)
    assert hashed.tolist() == [lsh_hash(vector, planes) % 6 for vector in vectors]
    assert hashed[0] == lsh_assign(vectors[0], planes, 6) == lsh_probe_shards(vectors[0], planes, 6, 2)[0]
    sharding = VectorShardingSpec(centroids=centroids, num_probes=2)
    index = VectorIndexConfig(dim=DIM, metric=DistanceMetric.L2)
    write_sharded(vectors, VectorShardedWriteConfig(index_config=index, sharding=sharding, s3_prefix=tmp_path / "root"))
    with ShardedVectorReader(s3_prefix=tmp_path / "root", local_root=tmp_path / "cache") as reader:
        for vector in vectors[:20]:
            routed = route_vector_to_shards(
                vector, strategy=VectorShardingStrategy.CLUSTER, num_dbs=5, num_probes=2,
                metric=DistanceMetric.L2, centroids=centroids,
            )  # fmt: skip
            assert routed == reader.route_vector(vector)
    context = {"strategy": "cel", "num_dbs": 4, "num_probes": 1, "cel_expr": "n", "cel_columns": {"n": "int"}}
    assert route_vector_to_shards(vectors[0], **context, routing_context={"n": 3, "other": object()}) == [3]
    assert route_vector_to_shards(vectors[0], strategy="explicit", num_dbs=4, num_probes=1, shard_ids=[2]) == [2]
    with pytest.raises(ConfigValidationError):
        route_vector_to_shards(vectors[0], strategy="cluster", num_dbs=4, num_probes=1)
