"""Users' own stores, factories, limiters and collectors."""

import asyncio
import datetime
import json
import logging
import time

import numpy as np
import pytest
import snapshot_builder
from shardyfusion import TokenBucket
from shardyfusion.async_manifest_store import AsyncS3ManifestStore
from shardyfusion.credentials import EnvCredentialProvider, S3Credentials, StaticCredentialProvider
from shardyfusion.errors import ConfigValidationError, ManifestParseError, ManifestStoreError, ReaderStateError
from shardyfusion.manifest import ManifestRef
from shardyfusion.manifest_store import manifest_payload, parse_manifest_payload
from shardyfusion.metrics import MetricEvent
from shardyfusion.sqlite_vec_adapter import AsyncSqliteVecReaderFactory
from shardyfusion.vector import AsyncShardedVectorReader, SearchResult, ShardedVectorReader


class Boom(Exception):
    pass


class Store:
    """Manifests in memory."""

    def __init__(self, *snapshots, parsed=False):
        self.snapshots = list(snapshots)
        self.parsed = parsed
        self.failure = None

    def refs(self):
        now = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
        return [ManifestRef(s.manifest_ref, s.run_id, now) for s in self.snapshots]

    async def load_current(self):
        if self.failure:
            raise self.failure
        return self.refs()[0] if self.snapshots else None

    async def load_manifest(self, ref):
        await asyncio.sleep(0)
        payload = next(s for s in self.snapshots if s.manifest_ref == ref).manifest_path.read_bytes()
        return parse_manifest_payload(payload) if self.parsed else payload

    async def list_manifests(self, *, limit=10):
        return self.refs()[:limit]


class SyncStoreOf:
    def __init__(self, store):
        self.store = store

    def load_current(self):
        return self.store.refs()[0]

    def load_manifest(self, ref):
        return next(s for s in self.store.snapshots if s.manifest_ref == ref).manifest_path.read_bytes()

    def list_manifests(self, *, limit=10):
        return self.store.refs()[:limit]


@pytest.mark.parametrize("parsed", [False, True])
async def test_a_custom_store_selects_the_manifest(published, where, parsed):
    first = published.live
    store = Store(first, parsed=parsed)
    (published.root / "_CURRENT").unlink()
    async with await AsyncShardedVectorReader.open(**where, manifest_store=store) as reader:
        query = published.query()
        assert [r.id for r in await reader.search(query)] == published.expected_ids(query)
        assert reader.snapshot_info().manifest_ref == first.manifest_ref
        assert await reader.refresh() is False
        store.snapshots.insert(0, published.publish())
        assert await reader.refresh() is True
        assert reader.snapshot_info().run_id == published.live.run_id
        assert [r.id for r in await reader.search(query)] == published.expected_ids(query)


async def test_a_store_falls_back_to_older_manifests(published, where):
    older = published.live
    published.publish()
    published.live.manifest_path.write_bytes(b"nothing")
    store, events = Store(published.live, older), []
    collector = Collector(events)
    async with await AsyncShardedVectorReader.open(**where, manifest_store=store, metrics_collector=collector) as reader:
        assert reader.snapshot_info().run_id == older.run_id
        assert await reader.refresh() is False
        assert "manifest" in reader.health().refresh_error
    assert events[0][0] == "fallback"
    with pytest.raises(ManifestParseError):
        await AsyncShardedVectorReader.open(**where, manifest_store=store, max_fallback_attempts=0)


async def test_errors_of_a_store_reach_the_caller_unchanged(published, where):
    store = Store(published.live)
    async with await AsyncShardedVectorReader.open(**where, manifest_store=store) as reader:
        store.failure = Boom("refresh")
        with pytest.raises(Boom) as caught:
            await reader.refresh()
        assert caught.value is store.failure
        assert len(await reader.search(published.query())) == 10
    with pytest.raises(Boom):
        await AsyncShardedVectorReader.open(**where, manifest_store=store)
    with pytest.raises(ReaderStateError, match="None"):
        await AsyncShardedVectorReader.open(**where, manifest_store=Store())


def test_the_synchronous_reader_takes_a_synchronous_store(published, where):
    store = Store(published.live)
    with ShardedVectorReader(**where, manifest_store=SyncStoreOf(store)) as reader:
        store.snapshots.insert(0, published.publish())
        assert reader.refresh() is True
        assert reader.snapshot_info().run_id == published.live.run_id
    with pytest.raises(ConfigValidationError, match="coroutines"):
        ShardedVectorReader(**where, manifest_store=store)


def test_manifests_are_parsed_and_written_again(published):
    payload = published.live.manifest_path.read_bytes()
    manifest = parse_manifest_payload(payload)
    assert manifest.required_build.run_id == published.live.run_id
    assert [shard.row_count for shard in manifest.shards] == [50] * 4
    assert manifest.custom["vector"]["dim"] == 16
    assert parse_manifest_payload(manifest_payload(manifest)) == manifest
    for broken in (b"", b"SQLite format 3\0", payload[:5000], b"x" * 5000):
        with pytest.raises(ManifestParseError):
            parse_manifest_payload(broken)


async def test_the_store_of_a_root_lists_and_loads(published, where):
    older = published.live
    published.publish()
    store = AsyncS3ManifestStore(where["s3_prefix"])
    current = await store.load_current()
    assert (current.ref, current.run_id) == (published.live.manifest_ref, published.live.run_id)
    assert [ref.run_id for ref in await store.list_manifests()] == [published.live.run_id, older.run_id]
    assert len(await store.list_manifests(limit=1)) == 1
    assert await store.load_manifest(older.manifest_ref) == parse_manifest_payload(older.manifest_path.read_bytes())
    with pytest.raises(ManifestStoreError):
        await store.load_manifest(older.manifest_ref.replace(older.run_id, "gone"))
    async with await AsyncShardedVectorReader.open(**where, manifest_store=store) as reader:
        assert reader.snapshot_info().run_id == published.live.run_id
    (published.root / "_CURRENT").unlink()
    assert await store.load_current() is None


class Shard:
    """A shard that NumPy searches."""

    def __init__(self, factory, snapshot, db_id):
        self.factory = factory
        self.rows = snapshot.shards[db_id]
        self.snapshot = snapshot

    async def search(self, query, top_k):
        if self.factory.failure:
            raise self.factory.failure
        assert not self.factory.closed.get(id(self))
        await asyncio.sleep(0)
        return self.find(query, top_k)

    def find(self, query, top_k):
        rows = self.snapshot.search(query, top_k, shard_ids=[self.snapshot.shards.index(self.rows)])
        return [SearchResult(identifier, score, payload=payload) for identifier, score, payload in rows]

    async def close(self):
        self.factory.closed[id(self)] = self


class Factory:
    def __init__(self, published):
        self.published = published
        self.opened = []
        self.closed = {}
        self.failure = None

    async def __call__(self, *, db_url, local_dir, index_config, manifest):
        await asyncio.sleep(0)
        assert index_config.dim == 16 and manifest.required_build.num_dbs == 4
        db_id = next(i for i in range(4) if self.published.live.shard_url(i) == db_url)
        assert local_dir.name == f"shard_{db_id:05d}"
        self.opened.append(Shard(self, self.published.live, db_id))
        return self.opened[-1]


async def test_a_factory_of_ones_own_opens_and_searches_shards(published, where):
    factory, events = Factory(published), []
    options = {"reader_factory": factory, "max_cached_shards": 2, "max_concurrency": 2}
    async with await AsyncShardedVectorReader.open(**where, **options, metrics_collector=Collector(events)) as reader:
        queries = [published.query(i) for i in range(20)]
        found = await asyncio.gather(*(reader.search(query, 5, num_probes=3) for query in queries))
        for query, response in zip(queries, found):
            assert [r.id for r in response] == published.expected_ids(query, top_k=5, num_probes=3)
            assert response.num_shards_queried == 3
        assert len(factory.opened) - len(factory.closed) <= 2
        published.publish()
        assert await reader.refresh() is True
        for query in queries:
            assert [r.id for r in await reader.search(query)] == published.expected_ids(query)
        assert [len(r) for r in await reader.batch_search(np.stack(queries), 2)] == [2] * 20
        factory.failure = Boom("search")
        with pytest.raises(Boom):
            await reader.search(queries[0])
        factory.failure = None
        with pytest.raises(ConfigValidationError):
            await reader.search(queries[0], 0)
        assert len(await reader.search(queries[0])) == 10
    assert len(factory.closed) == len(factory.opened)
    assert {"search", "shard_search", "shard_load"} <= {event for event, _ in events}


async def test_a_factory_can_add_to_the_librarys_own(published, where):
    opened = []

    async def factory(**arguments):
        opened.append(arguments["db_url"])
        return await AsyncSqliteVecReaderFactory()(**arguments)

    async with await AsyncShardedVectorReader.open(**where, reader_factory=factory) as reader:
        query = published.query()
        assert [r.id for r in await reader.search(query)] == published.expected_ids(query)
    assert len(opened) == 2


def test_the_synchronous_reader_takes_a_synchronous_factory(published, where):
    class SyncShard(Shard):
        def search(self, query, top_k):
            return self.find(query, top_k)

        def close(self):
            closed.append(self)

    def factory(*, db_url, **_):
        db_id = next(i for i in range(4) if published.live.shard_url(i) == db_url)
        opened.append(SyncShard(None, published.live, db_id))
        return opened[-1]

    opened, closed = [], []
    with ShardedVectorReader(**where, reader_factory=factory, max_cached_shards=1, preload_shards=True) as reader:
        for seed in range(5):
            query = published.query(seed)
            assert [r.id for r in reader.search(query)] == published.expected_ids(query)
        published.publish()
        assert reader.refresh()
        assert [r.id for r in reader.search(query)] == published.expected_ids(query)
        assert len(reader.batch_search([query, query])) == 2
    assert len(opened) == len(closed)


class Limiter:
    def __init__(self):
        self.tokens = 0
        self.failure = None

    async def acquire_async(self, tokens=1):
        if self.failure:
            raise self.failure
        self.tokens += tokens


async def test_a_limiter_is_awaited_once_a_search(published, where):
    limiter = Limiter()
    async with await AsyncShardedVectorReader.open(**where, rate_limiter=limiter) as reader:
        await reader.search(published.query())
        await reader.batch_search(np.stack([published.query()] * 3))
        await reader.batch_search(iter([published.query()] * 2))
        assert limiter.tokens == 6
        limiter.failure = Boom()
        with pytest.raises(Boom):
            await reader.search(published.query())


async def test_a_token_bucket_holds_to_its_rate():
    bucket = TokenBucket(100, capacity=1)
    started = time.monotonic()
    await asyncio.gather(*(bucket.acquire_async() for _ in range(11)))
    assert time.monotonic() - started >= 0.099
    task = asyncio.ensure_future(bucket.acquire_async(1000))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    bucket.acquire()
    assert time.monotonic() - started < 5
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigValidationError):
            TokenBucket(rate)


def shards_that_are_not_finite():
    """Two shards of 20 rows, of which the second has two that are not finite."""
    random = np.random.default_rng(9)
    shards = [snapshot_builder.Shard(ids=list(range(i, 40, 2)), vectors=random.normal(size=(20, 8))) for i in range(2)]
    shards[1].vectors[4, 1] = np.nan
    shards[1].vectors[7, 0] = np.inf
    return shards


class Collector:
    def __init__(self, events):
        self.events = events
        self.failure = None

    def emit(self, event, fields):
        assert isinstance(event, MetricEvent)
        if self.failure:
            raise self.failure
        self.events.append((str(event), fields))

    def of(self, event):
        return [fields for name, fields in self.events if name == event]


async def test_vectors_that_are_not_finite_are_reported(tmp_path, caplog):
    shards = shards_that_are_not_finite()
    snapshot_builder.publish(tmp_path / "snapshot", shards)
    collector = Collector([])
    where = {"s3_prefix": str(tmp_path / "snapshot"), "local_root": str(tmp_path / "cache")}
    async with await AsyncShardedVectorReader.open(**where, metrics_collector=collector) as reader:
        for _ in range(3):
            assert len(await reader.search(np.ones(8, np.float32), 100, shard_ids=[0, 1])) == 38
    loads = {load["shard_id"]: load for load in collector.of("shard_load")}
    assert [(loads[i]["num_vectors"], loads[i]["num_not_finite"]) for i in (0, 1)] == [(20, 0), (18, 2)]
    assert {event["num_not_finite"] for event in collector.of("shard_search") if event["shard_id"] == 1} == {2}
    said = [record.message for record in caplog.records if "not finite" in record.message]
    assert len(said) == 1 and said[0].startswith("shard 1 (") and "2 stored vectors" in said[0]


async def test_a_collector_gets_events(published, where):
    collector = Collector([])
    async with await AsyncShardedVectorReader.open(**where, metrics_collector=collector) as reader:
        (opened,) = collector.of("reader_initialized")
        assert (opened["run_id"], opened["num_shards"]) == (published.live.run_id, 4)
        await reader.search(published.query(), 7)
        (search,) = collector.of("search")
        assert (search["top_k"], search["num_results"], search["num_shards_queried"]) == (7, 7, 2)
        assert search["error"] is None and search["duration_ms"] > 0
        assert len(collector.of("shard_load")) == len(collector.of("shard_search")) == 2
        assert {load["num_vectors"] for load in collector.of("shard_load")} == {50}
        assert {load["num_not_finite"] for load in collector.of("shard_load") + collector.of("shard_search")} == {0}
        published.publish()
        await reader.refresh()
        assert [refreshed["changed"] for refreshed in collector.of("reader_refreshed")] == [True]
        published.live.shard_file(0).unlink()
        with pytest.raises(Exception, match="shard"):
            await reader.search(published.query(), shard_ids=[0])
        assert collector.of("search")[-1]["error"] == "DbAdapterError"
        assert collector.of("shard_load")[-1]["error"] == "DbAdapterError"
    assert len(collector.of("reader_closed")) == 1


async def test_errors_of_a_collector_reach_the_caller_unchanged(published, where):
    collector = Collector([])
    reader = await AsyncShardedVectorReader.open(**where, metrics_collector=collector)
    collector.failure = Boom()
    with pytest.raises(Boom) as caught:
        await reader.search(published.query())
    assert caught.value is collector.failure
    collector.failure = None
    assert len(await reader.search(published.query())) == 10
    await reader.close()


async def test_a_fallback_is_an_event(published, where):
    published.publish()
    published.live.manifest_path.write_bytes(b"nothing")
    collector = Collector([])
    async with await AsyncShardedVectorReader.open(**where, metrics_collector=collector):
        pass
    (fallback,) = collector.of("fallback")
    assert fallback["manifest_ref"] == published.live.manifest_ref
    assert fallback["error"] == "ManifestParseError"


async def test_prometheus_gets_the_events(published, where):
    prometheus_client = pytest.importorskip("prometheus_client")
    from shardyfusion.metrics.prometheus import PrometheusCollector

    registry = prometheus_client.CollectorRegistry()
    async with await AsyncShardedVectorReader.open(**where, metrics_collector=PrometheusCollector(registry)) as reader:
        await reader.search(published.query())
        await reader.refresh()
    text = prometheus_client.generate_latest(registry).decode()
    assert 'shardyfusion_searches_total{error=""} 1.0' in text
    assert "shardyfusion_search_seconds_count 1.0" in text
    assert 'shardyfusion_refreshes_total{outcome="unchanged"} 1.0' in text
    PrometheusCollector(registry)  # a second reader of the same process


async def test_opentelemetry_gets_the_events(published, where):
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from shardyfusion.metrics.otel import OpenTelemetryCollector

    exported = InMemoryMetricReader()
    collector = OpenTelemetryCollector(MeterProvider([exported]))
    async with await AsyncShardedVectorReader.open(**where, metrics_collector=collector) as reader:
        await reader.search(published.query())
    metrics = json.loads(exported.get_metrics_data().to_json())["resource_metrics"][0]["scope_metrics"][0]["metrics"]
    assert {"shardyfusion.search.duration", "shardyfusion.shard.load.duration"} <= {m["name"] for m in metrics}


async def test_messages_go_to_logging(published, where, caplog):
    caplog.set_level(logging.DEBUG, "shardyfusion")
    published.publish()
    published.live.manifest_path.write_bytes(b"nothing")
    async with await AsyncShardedVectorReader.open(**where):
        pass
    assert any("falling back" in record.getMessage() for record in caplog.records)


def test_credentials_come_from_the_environment(monkeypatch):
    for prefix in ("S3_", "AWS_"):
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
            monkeypatch.delenv(prefix + name, raising=False)
    assert EnvCredentialProvider().resolve() == S3Credentials(None, None, None)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert EnvCredentialProvider().resolve().access_key_id == "a"
    monkeypatch.setenv("S3_ACCESS_KEY_ID", "c")
    monkeypatch.setenv("S3_SECRET_ACCESS_KEY", "d")
    assert EnvCredentialProvider().resolve().access_key_id == "c"
    provider = StaticCredentialProvider("key", "secret", "token")
    assert provider.resolve().session_token == "token"
    assert "secret" not in repr(provider) and "secret" not in repr(provider.resolve())
