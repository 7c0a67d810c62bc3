"""`recall`: what is asked for is found, on queries that no row is; and whatever lists do not serve is searched exactly."""

import time

import numpy as np
import pytest
from shardyfusion.errors import ConfigValidationError
from shardyfusion.vector import AsyncShardedVectorReader, DistanceMetric, ShardedVectorReader
from shardyfusion.vector.writer import write_sharded
from writing import BACKENDS, EXPLICIT, SHARDS, configure

DIM, ROWS, QUERIES = 32, 12_000, 200
METRICS = {"lance": list(DistanceMetric), "sqlite-vec": [DistanceMetric.COSINE, DistanceMetric.L2]}
CASES = [(backend, metric) for backend in BACKENDS for metric in METRICS[backend]]
OPEN_SECONDS = 120


def clustered(rng, count):
    """Rows about 300 centres, at distances that overlap."""
    centres = np.random.default_rng(3).standard_normal((300, DIM))
    return (centres[rng.integers(0, 300, count)] + 0.6 * rng.standard_normal((count, DIM))).astype(np.float32)


def uniform(rng, count):
    """Rows of which none is near: the hard case, for which many lists are to be read."""
    return rng.uniform(-1, 1, (count, DIM)).astype(np.float32)


def build(folder, rows, backend="sqlite-vec", metric=DistanceMetric.COSINE, shard_ids=None):
    config = configure(folder / "root", EXPLICIT, dim=DIM, metric=metric, adapter_factory=BACKENDS[backend])
    if shard_ids is None:
        shard_ids = [index % SHARDS for index in range(len(rows))]
    write_sharded(
        rows,
        config,
        ids=range(len(rows)),
        payloads=[{"even": index % 2 == 0} for index in range(len(rows))],
        shard_ids=shard_ids,
    )


def open_reader(folder, **keywords):
    return ShardedVectorReader(s3_prefix=str(folder / "root"), local_root=str(folder / "cache"), **keywords)


def await_lists(reader, query, recall=0.5):
    """Searches until lists are open: they are made in the background."""
    deadline = time.monotonic() + OPEN_SECONDS
    while reader.search(query, recall=recall).is_exact:
        assert time.monotonic() < deadline, "the lists were never open"
        time.sleep(0.01)


def share_found(reader, queries, top_k, **keywords):
    """The recall, and how many of the searches were exact."""
    exact = reader.batch_search(queries, top_k, recall=1.0)
    found = reader.batch_search(queries, top_k, **keywords)
    assert all(response.is_exact for response in exact)
    common = sum(len(set(map(str, a.ids)) & set(map(str, b.ids))) for a, b in zip(exact, found))
    return common / (len(queries) * top_k), sum(response.is_exact for response in found)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def world(request, tmp_path_factory):
    backend, metric = request.param
    folder = tmp_path_factory.mktemp("recall")
    rng = np.random.default_rng(1)
    rows, queries = clustered(rng, ROWS), clustered(rng, QUERIES)
    build(folder, rows, backend, metric)
    with open_reader(folder) as reader:
        await_lists(reader, queries[0])
        yield reader, queries


@pytest.mark.parametrize("top_k", [1, 10, 100])
@pytest.mark.parametrize("target", [0.8, 0.9, 0.95, 0.99])
def test_the_recall_that_is_asked_for_is_found(world, target, top_k):
    reader, queries = world
    found, _ = share_found(reader, queries, top_k, recall=target)
    # QUERIES × top_k results: the sample's own error on top of what is allowed
    assert found >= target - 0.01 - 2 * np.sqrt(target * (1 - target) / QUERIES / min(top_k, 10))


def test_lists_leave_most_rows_out(world):
    reader, queries = world
    response = reader.search(queries[1], recall=0.8)
    figures = response.explain().as_dict()
    assert not response.is_exact and response.num_shards_queried == SHARDS
    assert 0 < figures["lists"]["read"] < figures["lists"]["in_shards"] / 2
    assert figures["rows"]["planned"] < ROWS / 2
    assert "lists that were read" in str(response.explain())


def test_what_is_found_is_scored_exactly_and_in_order(world):
    reader, queries = world
    exact = {str(result.id): result.score for result in reader.search(queries[2], ROWS, recall=1)}
    found = reader.search(queries[2], 10, recall=0.9)
    assert list(found.scores) == sorted(found.scores)
    assert all(exact[str(result.id)] == result.score for result in found)


def test_what_lists_do_not_serve_is_exact(world):
    reader, queries = world
    everything = {"shard_ids": range(SHARDS)}
    for keywords in (
        {"filter": "payload.even"},
        {"max_score": 1e6},
        {"top_k": 101},
        {"top_k": 100, "offset": 1},
        everything,
    ):
        found = reader.search(queries[3], recall=0.5, **keywords)
        same = reader.search(queries[3], **{**everything, **keywords})
        assert found.is_exact and list(found) == list(same)


def test_without_recall_and_with_all_of_it_a_search_is_exact(world):
    reader, queries = world
    assert reader.search(queries[4], shard_ids=range(SHARDS)).is_exact
    assert reader.search(queries[4], recall=1.0).is_exact


@pytest.mark.parametrize("wrong", [0, -0.1, 1.01, float("nan"), True, "0.9"])
def test_other_numbers_are_refused(world, wrong):
    reader, queries = world
    with pytest.raises(ConfigValidationError, match="recall: expected a number"):
        reader.search(queries[0], recall=wrong)


@pytest.mark.parametrize("target", [0.9, 0.99])
def test_rows_without_any_structure_are_found_as_well(tmp_path, target):
    rng = np.random.default_rng(2)
    queries = uniform(rng, QUERIES)
    build(tmp_path, uniform(rng, ROWS))
    with open_reader(tmp_path) as reader:
        await_lists(reader, queries[0])
        found, _ = share_found(reader, queries, 10, recall=target)
    assert found >= target - 0.01


def test_neighbours_in_other_shards_than_the_nearest_are_found(tmp_path):
    """Shards of one cluster each: the lists of all are chosen together."""
    rng = np.random.default_rng(4)
    rows, queries = clustered(rng, ROWS), clustered(rng, QUERIES)
    build(tmp_path, rows, shard_ids=[int(row[0] > 0) + 2 * int(row[1] > 0) for row in rows])
    with open_reader(tmp_path) as reader:
        await_lists(reader, queries[0])
        found, num_exact = share_found(reader, queries, 10, recall=0.95)
    assert num_exact == 0
    assert found >= 0.94


def lists_of(folder):
    return sorted((folder / "cache").rglob("rows.lists"))


def test_lists_are_kept_and_used_by_the_next_reader(tmp_path):
    rng = np.random.default_rng(5)
    build(tmp_path, clustered(rng, 4000))
    query = clustered(rng, 1)[0]
    with open_reader(tmp_path) as reader:
        await_lists(reader, query)
    kept = {path: (path.stat().st_ino, path.read_bytes()) for path in lists_of(tmp_path)}
    assert len(kept) == SHARDS
    with open_reader(tmp_path) as reader:
        await_lists(reader, query)
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in lists_of(tmp_path)} == kept


def test_damaged_lists_are_made_again(tmp_path):
    rng = np.random.default_rng(6)
    build(tmp_path, clustered(rng, 4000))
    queries = clustered(rng, 50)
    with open_reader(tmp_path) as reader:
        await_lists(reader, queries[0])
    whole = {path: path.read_bytes() for path in lists_of(tmp_path)}
    for index, (path, data) in enumerate(whole.items()):
        place = len(data) * (index + 1) // (len(whole) + 1)
        path.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
    with open_reader(tmp_path) as reader:
        await_lists(reader, queries[0])
        assert share_found(reader, queries, 10, recall=0.9)[0] >= 0.85
    assert {path: path.read_bytes() for path in lists_of(tmp_path)} == whole


def test_few_shards_open_at_a_time_are_searched_exactly(tmp_path):
    rng = np.random.default_rng(7)
    rows = clustered(rng, 2000)
    build(tmp_path, rows)
    for keywords in ({"max_cached_shards": 1}, {"max_workers": 1}):
        with open_reader(tmp_path, **keywords) as reader:
            for row in rows[:20]:
                response = reader.search(row, recall=0.5)
                assert response.is_exact and response.num_shards_queried == SHARDS
                assert response[0].score <= 1e-6


def test_a_reader_closes_while_lists_are_made(tmp_path):
    rng = np.random.default_rng(8)
    rows = clustered(rng, 60_000)
    build(tmp_path, rows)
    with open_reader(tmp_path) as reader:
        assert reader.search(rows[0], recall=0.5).is_exact
    # what was begun is not left half-written
    for path in lists_of(tmp_path):
        assert path.read_bytes()[:8] == b"SFLISTS\n"


async def test_asynchronous_searches_and_batches(tmp_path):
    rng = np.random.default_rng(9)
    build(tmp_path, clustered(rng, 4000))
    queries = clustered(rng, 40)
    async with await AsyncShardedVectorReader.open(
        s3_prefix=str(tmp_path / "root"), local_root=str(tmp_path / "cache")
    ) as reader:
        deadline = time.monotonic() + OPEN_SECONDS
        while (await reader.search(queries[0], recall=0.5)).is_exact:
            assert time.monotonic() < deadline
        exact = await reader.batch_search(queries, 10, recall=1.0)
        found = await reader.batch_search(queries, 10, recall=0.95)
        assert not any(response.is_exact for response in found)
        assert sum(len(set(a.ids) & set(b.ids)) for a, b in zip(exact, found)) >= 0.9 * 400
