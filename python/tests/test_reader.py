"""What a reader answers."""

import array
import asyncio
import collections.abc
import datetime
import json
import pathlib
import pickle

import numpy as np
import pytest
import snapshot_builder
from conftest import GOLDEN
from shardyfusion.errors import ConfigValidationError, DbAdapterError, ReaderStateError, ShardyfusionError
from shardyfusion.sqlite_vec_adapter import AsyncSqliteVecReaderFactory
from shardyfusion.vector import (
    AsyncShardedVectorReader,
    DistanceMetric,
    SearchResult,
    ShardedVectorReader,
    VectorSearchResponse,
    VectorShardDetail,
    VectorShardingStrategy,
)
from shardyfusion.vector.adapters.lancedb_adapter import AsyncLanceDbReaderFactory


async def test_the_example_of_the_documentation_runs(published, where):
    reader = await AsyncShardedVectorReader.open(**where)
    query = published.query()
    results = await reader.search(query, top_k=10)
    found = []
    for res in results:
        found.append((res.id, res.score, res.payload))
    await reader.close()
    expected = published.live.search(query)
    assert [row[0] for row in found] == [row[0] for row in expected]
    assert [row[2] for row in found] == [row[2] for row in expected]
    assert [row[1] for row in found] == pytest.approx([row[1] for row in expected], rel=1e-5, abs=1e-6)


def as_list(query):
    return query.tolist()


def as_float64(query):
    return query.astype(np.float64)


def as_array(query):
    return array.array("f", query.tolist())


def as_strided(query):
    return np.repeat(query, 2)[::2]


def as_big_endian(query):
    return query.astype(">f4")


def as_memoryview(query):
    return memoryview(query.tobytes()).cast("f")


def as_unaligned(query):
    return np.frombuffer(b"x" + query.tobytes(), np.uint8)[1:].view(np.float32)


@pytest.mark.parametrize(
    "convert",
    [as_list, tuple, as_float64, as_array, as_strided, as_big_endian, as_memoryview, as_unaligned],
    ids=lambda f: f.__name__,
)
async def test_queries_come_in_many_forms(published, where, convert):
    query = published.query()
    async with await AsyncShardedVectorReader.open(**where) as reader:
        response = await reader.search(convert(query), 5)
        assert [r.id for r in response] == published.expected_ids(query, top_k=5)


@pytest.mark.parametrize(
    "query",
    ["0.1, 0.2", b"\0" * 64, 7, None, {"a": 1}, ["a"] * 16, [None] * 16, np.zeros((1, 16), np.float32)],
    ids=lambda query: type(query).__name__,
)
async def test_a_query_that_is_none_is_refused(where, query):
    async with await AsyncShardedVectorReader.open(**where) as reader:
        with pytest.raises(ConfigValidationError, match="query"):
            await reader.search(query)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"query": np.zeros(3, np.float32)}, "16"),
        ({"query": np.full(16, np.nan)}, "finite"),
        ({"query": [10**400] * 16}, "query"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": "ten"}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"num_probes": 0}, "num_probes"),
        ({"num_probes": "2"}, "num_probes"),
        ({"shard_ids": 3}, "shard_ids"),
        ({"shard_ids": "01"}, "shard_ids"),
        ({"shard_ids": [0.5]}, "shard_ids"),
        ({"routing_context": ["a"]}, "routing_context"),
    ],
)
async def test_arguments_are_checked(published, where, arguments, match):
    async with await AsyncShardedVectorReader.open(**where) as reader:
        with pytest.raises(ConfigValidationError, match=match) as caught:
            await reader.search(**{"query": published.query()} | arguments)
        assert caught.value.retryable is False
        assert isinstance(caught.value, ShardyfusionError)


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrency": 0},
        {"max_cached_shards": -1},
        {"max_cache_bytes": 0},
        {"max_cache_bytes": 2**64},
        {"max_fallback_attempts": -1},
        {"local_root": 5},
        {"s3_prefix": ""},
        {"s3_connection_options": {"verify": True}},
        {"s3_connection_options": {"read_timeout": -1}},
        {"s3_connection_options": {"addressing_style": "other"}},
        {"credential_provider": 5},
    ],
    ids=str,
)
async def test_options_are_checked(where, options):
    with pytest.raises(ConfigValidationError, match=next(iter(options))):
        await AsyncShardedVectorReader.open(**where | options)


async def test_a_root_without_a_snapshot_is_a_reader_state_error(tmp_path):
    with pytest.raises(ReaderStateError, match="_CURRENT"):
        await AsyncShardedVectorReader.open(s3_prefix=tmp_path, local_root=tmp_path / "cache")


async def test_a_missing_shard_is_named(published, where):
    published.live.shard_file(1).unlink()
    async with await AsyncShardedVectorReader.open(**where) as reader:
        with pytest.raises(DbAdapterError, match="db=00001"):
            await reader.search(published.query(), shard_ids=[0, 1])
        assert len(await reader.search(published.query(), shard_ids=[0])) == 10


async def test_shard_ids_and_num_probes_choose_what_is_searched(published, where):
    query = published.query()
    async with await AsyncShardedVectorReader.open(**where) as reader:
        response = await reader.search(query, shard_ids=(3, 1, 99))
        assert [r.id for r in response] == published.expected_ids(query, shard_ids=[3, 1])
        assert response.num_shards_queried == 2
        everywhere = await reader.search(query, num_probes=np.int64(4))
        assert everywhere.num_shards_queried == 4
        assert reader.route_vector(query) == published.live.route(query)
        assert reader.route_vector(query, num_probes=4) == published.live.route(query, num_probes=4)


async def test_top_k_beyond_all_rows_gives_all_rows(published, where):
    async with await AsyncShardedVectorReader.open(**where) as reader:
        response = await reader.search(published.query(), 10**30, num_probes=4)
        assert len(response) == 200
        assert len({r.id for r in response}) == 200


async def test_a_batch_is_answered_in_order(published, where):
    queries = np.stack([published.query(i) for i in range(7)])
    async with await AsyncShardedVectorReader.open(**where) as reader:
        for form in (queries, queries.astype(np.float64), list(queries), queries.tolist(), iter(queries)):
            responses = await reader.batch_search(form, 3)
            assert [[r.id for r in response] for response in responses] == [
                published.expected_ids(query, top_k=3) for query in queries
            ]
        assert await reader.batch_search([]) == []
        with pytest.raises(ConfigValidationError, match="components"):
            await reader.batch_search([queries[0], queries[1][:3]])
        with pytest.raises(ConfigValidationError):
            await reader.batch_search(5)


async def test_a_reader_describes_its_snapshot(published, where):
    async with await AsyncShardedVectorReader.open(**where) as reader:
        info = reader.snapshot_info()
        assert (info.run_id, info.num_dbs, info.dim, info.total_vectors) == (published.live.run_id, 4, 16, 200)
        assert info.metric is DistanceMetric.COSINE
        assert info.sharding is VectorShardingStrategy.CLUSTER
        assert info.manifest_ref == published.live.manifest_ref
        details = reader.shard_details()
        assert [d.vector_count for d in details] == [50] * 4
        assert reader.shard_for_id(2) == details[2] == VectorShardDetail(*[getattr(details[2], n) for n in details[2].__slots__])
        assert reader.shard_for_id(4) == VectorShardDetail(4, None, 0, None)
        health = reader.health()
        assert (health.status, health.num_shards, health.is_closed) == ("healthy", 4, False)
        assert reader.health(staleness_threshold=datetime.timedelta(seconds=1)).status == "degraded"
        assert published.live.run_id in repr(reader)
    assert reader.health().status == "unhealthy"
    assert "closed" in repr(reader)


async def test_a_closed_reader_refuses_work_and_closes_again(published, where):
    reader = await AsyncShardedVectorReader.open(**where)
    await reader.close()
    await reader.close()
    for call in (reader.search(published.query()), reader.batch_search([published.query()]), reader.refresh()):
        with pytest.raises(ReaderStateError, match="closed"):
            await call
    for function in (reader.shard_details, reader.snapshot_info):
        with pytest.raises(ReaderStateError, match="closed"):
            function()


async def test_results_are_compared_pickled_and_shown(published, where):
    async with await AsyncShardedVectorReader.open(**where) as reader:
        response = await reader.search(published.query(), 4)
    copy = pickle.loads(pickle.dumps(response))
    assert copy == response
    assert copy is not response
    assert pickle.loads(pickle.dumps(response[0])) == response[0]
    assert response[0] != response[1]
    assert eval(repr(response)) == response
    assert response[-1] is response.results[-1]
    assert response[1:3] == response.results[1:3]
    assert response[0] in response
    assert (response.index(response[2]), response.count(response[2])) == (2, 1)
    assert isinstance(response, collections.abc.Sequence)
    assert list(reversed(response)) == response.results[::-1]
    with pytest.raises(IndexError):
        response[4]
    with pytest.raises(TypeError):
        hash(response)
    with pytest.raises(AttributeError):
        response[0].score = 1.0
    match response[0]:
        case SearchResult(identifier, score):
            assert (identifier, score) == (response[0].id, response[0].score)


async def test_scores_and_ids_are_buffers(published, where):
    async with await AsyncShardedVectorReader.open(**where) as reader:
        response = await reader.search(published.query())
    scores, ids = np.asarray(response.scores), np.asarray(response.ids)
    assert (scores.dtype, ids.dtype) == (np.float64, np.int64)
    assert scores.tolist() == [r.score for r in response]
    assert ids.tolist() == [r.id for r in response]
    assert np.asarray(response.scores).base is not None  # not a copy
    del response
    assert scores.tolist() == sorted(scores.tolist())
    with pytest.raises(ValueError, match="read-only"):
        scores[0] = 1


def test_responses_can_be_made_from_python():
    results = [SearchResult("a", 0.5), SearchResult(2, 1, payload={"x": 1})]
    response = VectorSearchResponse(results, num_shards_queried=1, latency_ms=0.5)
    assert list(response) == results
    assert list(response.scores) == [0.5, 1.0]
    assert response.ids == ["a", 2]
    assert VectorSearchResponse([], 0, 0).ids.tolist() == []
    assert VectorSearchResponse([SearchResult(2**70, 1)], 1, 0).ids == [2**70]


async def test_a_payload_is_decoded_once_and_stays(published, where):
    async with await AsyncShardedVectorReader.open(**where) as reader:
        response = await reader.search(published.query(), 20)
    result = next(r for r in response if r.payload is not None)
    assert result.payload is result.payload
    result.payload["self"] = response  # a cycle that the garbage collector can break


STORED = ["", "[1]", "7", "{", "{} {}", "{'a': 1}", '{"a": "\x01"}', '{"a": 1.}', '{"a": 01}', "[" * 100_000, "1" * 5000]


@pytest.mark.parametrize("stored", STORED, ids=range(len(STORED)))
def test_a_payload_that_is_no_json_object_fails_alone(tmp_path, stored):
    vectors = np.array([[1, 1], [2, 2]], np.float32)
    shard = snapshot_builder.Shard(["the-id", "other"], vectors, [stored, '{"a": 1}'])
    snapshot = snapshot_builder.publish(tmp_path / "snapshot", [shard])
    with ShardedVectorReader(s3_prefix=str(snapshot.root), local_root=str(tmp_path / "cache")) as reader:
        results = reader.search(vectors[0], 2, shard_ids=[0])
    assert [r.id for r in results] == ["the-id", "other"]
    assert results[1].payload == {"a": 1}
    for _ in range(2):
        with pytest.raises(DbAdapterError, match="^shard 0: the payload of id 'the-id': expected a JSON object"):
            _ = results[0].payload
    assert "'the-id'" in repr(results[0]) and "no JSON object" in repr(results[0])


def test_payloads_with_numbers_that_only_python_writes_are_decoded(tmp_path):
    payload = {"a": float("inf"), "b": [-float("inf"), 2**70, "NaN"], "c\0": "\ud800"}
    stored = json.dumps({**payload, "nan": float("nan")})
    shard = snapshot_builder.Shard(["a"], np.ones((1, 2), np.float32), [stored])
    snapshot = snapshot_builder.publish(tmp_path / "snapshot", [shard])
    with ShardedVectorReader(s3_prefix=str(snapshot.root), local_root=str(tmp_path / "cache")) as reader:
        found = dict(reader.search([1.0, 1.0], 1, shard_ids=[0])[0].payload)
    assert np.isnan(found.pop("nan"))
    assert found == payload


async def test_refresh_serves_what_was_published_since(published, where):
    async with await AsyncShardedVectorReader.open(**where) as reader:
        assert await reader.refresh() is False
        published.publish()
        assert await reader.refresh() is True
        query = published.query()
        assert [r.id for r in await reader.search(query)] == published.expected_ids(query)
        assert reader.snapshot_info().run_id == published.live.run_id


async def test_a_refresh_that_fails_keeps_the_old_snapshot(published, where, caplog):
    async with await AsyncShardedVectorReader.open(**where) as reader:
        before = reader.snapshot_info()
        published.publish()
        published.live.manifest_path.write_bytes(b"not a database")
        assert await reader.refresh() is False
        assert reader.snapshot_info() == before
        assert "manifest" in reader.health().refresh_error
    assert any(r.name == "shardyfusion" and r.levelname == "WARNING" for r in caplog.records)


async def test_a_malformed_manifest_falls_back_to_an_older_one(published, where, caplog):
    older = published.live
    published.publish()
    published.live.manifest_path.write_bytes(b"not a database")
    async with await AsyncShardedVectorReader.open(**where) as reader:
        assert reader.snapshot_info().run_id == older.run_id
    assert "falling back" in caplog.text


async def test_few_cached_shards_give_the_same_answers(published, where):
    async with await AsyncShardedVectorReader.open(**where, max_cached_shards=1, max_concurrency=1) as reader:
        for seed in range(10):
            query = published.query(seed)
            assert [r.id for r in await reader.search(query, num_probes=4)] == published.expected_ids(query, num_probes=4)


async def test_a_cache_on_disk_that_is_too_large_loses_what_is_not_loaded(published, where):
    limits = {"max_cached_shards": 1, "max_concurrency": 1, "max_cache_bytes": 1}
    async with await AsyncShardedVectorReader.open(**where, **limits) as reader:
        for seed in range(3):
            query = published.query(seed)
            assert [r.id for r in await reader.search(query, num_probes=4)] == published.expected_ids(query, num_probes=4)
    assert len(list(pathlib.Path(where["local_root"]).glob("shard_*/shard.identity.json"))) == 1


async def test_the_backend_can_be_fixed(published, where):
    factory = AsyncSqliteVecReaderFactory()
    async with await AsyncShardedVectorReader.open(**where, reader_factory=factory, preload_shards=True) as reader:
        assert len(await reader.search(published.query())) == 10


async def test_several_searches_run_together(published, where):
    async with await AsyncShardedVectorReader.open(**where) as reader:
        responses = await asyncio.gather(*(reader.search(published.query(i), 5) for i in range(200)))
    for seed, response in enumerate(responses):
        assert [r.id for r in response] == published.expected_ids(published.query(seed), top_k=5)


def test_the_synchronous_reader_is_the_same_reader(published, where):
    query = published.query()
    with ShardedVectorReader(**where, max_workers=2) as reader:
        assert [r.id for r in reader.search(query)] == published.expected_ids(query)
        assert [len(r) for r in reader.batch_search(np.stack([query] * 3), 4)] == [4] * 3
        assert reader.route_vector(query) == published.live.route(query)
        assert reader.refresh() is False
        published.publish()
        assert reader.refresh() is True
        assert reader.shard_for_id(0).vector_count == 50
        assert reader.snapshot_info().run_id == published.live.run_id
        with pytest.raises(ConfigValidationError):
            reader.search(query, 0)
    assert reader.health().is_closed
    reader.close()
    with pytest.raises(ReaderStateError):
        reader.search(query)
    with pytest.raises(ConfigValidationError, match="max_workers"):
        ShardedVectorReader(**where, max_workers=0)


async def test_lance_shards_are_read_and_the_format_can_be_fixed(where, tmp_path):
    root = GOLDEN / "lance21-cosine-cluster"
    queries = np.load(root / "queries.npy")
    expected = json.loads((root / "expected.json").read_text())["cases"][0]
    asked = {"num_probes": expected["num_probes"], "shard_ids": expected["shard_ids"]}
    options = {"s3_prefix": root / "snapshot", "local_root": tmp_path / "lance"}
    async with await AsyncShardedVectorReader.open(**options, reader_factory=AsyncLanceDbReaderFactory()) as reader:
        response = await reader.search(queries[expected["query"]], expected["top_k"], **asked)
        assert list(response.ids) == [result["id"] for result in expected["results"]]
    async with await AsyncShardedVectorReader.open(**where, reader_factory=AsyncLanceDbReaderFactory()) as reader:
        with pytest.raises(DbAdapterError, match="lance"):
            await reader.search(np.ones(16))
