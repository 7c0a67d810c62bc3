"""Lists that are stored beside the shards: made by `index_snapshot`, used by readers, and done without where they are damaged."""

import logging
import pathlib
import time

import numpy as np
import pytest
from shardyfusion.errors import ConfigValidationError, ReaderStateError
from shardyfusion.metrics import MetricEvent
from shardyfusion.vector import DistanceMetric, IndexResult, ShardedVectorReader, index_snapshot
from shardyfusion.vector.writer import write_sharded
from writing import BACKENDS, EXPLICIT, SHARDS, configure

DIM, ROWS, QUERIES = 32, 12_000, 200
OPEN_SECONDS = 60


class Collector:
    def __init__(self):
        self.lists = []

    def emit(self, event, fields):
        if event == MetricEvent.LISTS_LOAD:
            self.lists.append(fields)


def clustered(rng, count):
    centres = np.random.default_rng(3).standard_normal((300, DIM))
    return (centres[rng.integers(0, 300, count)] + 0.6 * rng.standard_normal((count, DIM))).astype(np.float32)


def build(folder, backend="sqlite-vec", metric=DistanceMetric.COSINE, rows=ROWS):
    config = configure(folder / "root", EXPLICIT, dim=DIM, metric=metric, adapter_factory=BACKENDS[backend])
    vectors = clustered(np.random.default_rng(1), rows)
    write_sharded(vectors, config, shard_ids=[index % SHARDS for index in range(rows)])
    return folder / "root"


def index(root, **keywords):
    return index_snapshot(str(root), local_root=str(root.parent / "index-cache"), **keywords)


def open_reader(root, **keywords):
    return ShardedVectorReader(s3_prefix=str(root), local_root=str(root.parent / "cache"), **keywords)


def await_lists(reader, query):
    deadline = time.monotonic() + OPEN_SECONDS
    while reader.search(query, recall=0.5).is_exact:
        assert time.monotonic() < deadline, "the lists were never open"
        time.sleep(0.01)


def await_events(reader, query, collector, count):
    deadline = time.monotonic() + OPEN_SECONDS
    while len(collector.lists) < count:
        assert reader.search(query, recall=0.5).is_exact
        assert time.monotonic() < deadline, "no lists were opened"
        time.sleep(0.01)


@pytest.fixture
def query():
    return clustered(np.random.default_rng(2), 1)[0]


@pytest.mark.parametrize("metric", list(DistanceMetric))
@pytest.mark.parametrize("backend", BACKENDS)
def test_stored_lists_find_the_recall_that_is_asked_for(tmp_path, backend, metric):
    if (backend, metric) == ("sqlite-vec", DistanceMetric.DOT_PRODUCT):
        pytest.skip("no such shards")
    root = build(tmp_path, backend, metric)
    result = index(root)
    assert isinstance(result, IndexResult) and result.is_published
    assert (result.num_shards, result.num_vectors) == (SHARDS, ROWS)
    queries = clustered(np.random.default_rng(2), QUERIES)
    with open_reader(root) as reader:
        assert reader.snapshot_info().manifest_ref == result.manifest_ref
        await_lists(reader, queries[0])
        for target in (0.8, 0.9, 0.95, 0.99):
            for top_k in (1, 10, 100):
                exact = reader.batch_search(queries, top_k, recall=1.0)
                found = reader.batch_search(queries, top_k, recall=target)
                common = sum(len({*a.ids} & {*b.ids}) for a, b in zip(exact, found)) / (QUERIES * top_k)
                # QUERIES × top_k results: the sample's own error on top of what is allowed
                assert common >= target - 0.01 - 2 * np.sqrt(target * (1 - target) / QUERIES / min(top_k, 10))
    kept = sorted((tmp_path / "cache").rglob("*.lists"))
    assert len(kept) == SHARDS and not any(path.name == "rows.lists" for path in kept)
    stored = {path.read_bytes() for path in (root / "lists").rglob("*.lists")}
    assert {path.read_bytes() for path in kept} == stored


def test_each_shards_lists_are_told_once(tmp_path, query):
    root = build(tmp_path, rows=2000)
    index(root)
    collector = Collector()
    with open_reader(root, metrics_collector=collector) as reader:
        await_lists(reader, query)
        reader.search(query, recall=0.5)
    assert sorted(fields["shard_id"] for fields in collector.lists) == list(range(SHARDS))
    assert all(fields["error"] is None and fields["num_vectors"] == 500 for fields in collector.lists)


@pytest.mark.parametrize("damage", ["head", "block", "cut", "gone", "another"])
def test_damaged_lists_are_told_and_searches_stay_exact(tmp_path, query, caplog, damage):
    root = build(tmp_path, rows=2000)
    index(root)
    first, second = sorted((root / "lists").rglob("*.lists"))[:2]
    content = first.read_bytes()
    at = 300 if damage == "head" else len(content) - 100
    if damage == "gone":
        first.unlink()
    else:
        flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        first.write_bytes({"cut": content[:-64], "another": second.read_bytes()}.get(damage, flipped))
    collector = Collector()
    with caplog.at_level(logging.WARNING), open_reader(root, metrics_collector=collector) as reader:
        await_events(reader, query, collector, 1)
        for _ in range(20):
            assert reader.search(query, recall=0.5).is_exact
    (fields,) = [fields for fields in collector.lists if fields["error"]]
    assert fields["shard_id"] == 0 and fields["error"] == "DbAdapterError"
    assert f"lists of shard 0 (file://{root}/lists/" in fields["message"] and "expected" in fields["message"]
    assert sum(fields["message"] in record.message for record in caplog.records) <= 2  # and why every search is exact


def test_lists_of_the_cache_that_are_damaged_are_fetched_again(tmp_path, query):
    root = build(tmp_path, rows=2000)
    index(root)
    for _ in range(2):
        with open_reader(root) as reader:
            await_lists(reader, query)
        (kept,) = (tmp_path / "cache" / "shard_00001").glob("*.lists")
        content = kept.read_bytes()
        assert any(content == path.read_bytes() for path in (root / "lists").rglob("*.lists"))
        damaged = pathlib.Path(f"{kept}.new")
        damaged.write_bytes(content[:5000] + bytes(8) + content[5008:])
        damaged.rename(kept)


def test_a_reader_takes_the_lists_that_were_made_meanwhile(tmp_path, query):
    root = build(tmp_path, rows=2000)
    with open_reader(root) as reader:
        before = reader.search(query, 5, shard_ids=range(SHARDS))
        index(root)
        assert reader.refresh()
        await_lists(reader, query)
        assert reader.search(query, 5, shard_ids=range(SHARDS)).ids == before.ids
    assert all(path.name != "rows.lists" for path in (tmp_path / "cache").rglob("*.lists"))


def test_indexing_says_what_is_wrong(tmp_path):
    root = build(tmp_path, rows=400)
    for keywords in ({"num_lists": 0}, {"seed": -1}, {"num_threads": 0}, {"max_memory_bytes": 0.5}):
        with pytest.raises(ConfigValidationError, match=next(iter(keywords))):
            index(root, **keywords)
    with pytest.raises(ConfigValidationError, match="expected to need at most 0 MiB of memory"):
        index(root, max_memory_bytes=1000)
    assert not (root / "lists").exists()
    with pytest.raises(ReaderStateError):
        index_snapshot(str(tmp_path / "nowhere"), local_root=str(tmp_path / "cache"))
    assert index(root).num_lists > 0
    assert index(root).is_published is False
