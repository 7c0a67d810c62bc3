"""What our writer makes, in the hands of the libraries that snapshots are written and read with elsewhere: this version of
lancedb and of lance opens, checks, searches, appends to, deletes from and compacts it; and our reader reads what became of
it."""
import asyncio

import lance
import lancedb
import numpy as np
import pyarrow as pa
import pytest
import rows
import written

# Rows, dimension, ids and payloads: one row; several pages of each column; payloads larger than a page; no payloads.
SHARDS = [
    (1, 1, "empty or short", "none"),
    (70_000, 16, "counter", "some"),
    (2000, 384, "unicode", "unicode"),
    (40, 100, "integer", "huge"),
    (3000, 1536, "long", "none"),
]


def table(given: list, dim: int) -> pa.Table:
    vectors = np.concatenate([vector for _, vector, _ in given])
    ids = pa.array([str(id) for id, _, _ in given], pa.string())
    payloads = pa.array([payload for _, _, payload in given], pa.string())
    return pa.table({"id": ids, "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors), dim), "payload": payloads})


@pytest.fixture(params=SHARDS, ids=lambda shard: f"{shard[0]}x{shard[1]}")
def shard(request, tmp_path):
    count, dim, id_kind, payload_kind = request.param
    given = written.make_rows(count, count, dim, id_kind, payload_kind)
    return given, dim, written.write(tmp_path / "shard", given, dim)


def check(path, given, dim, tmp_path):
    dataset = lance.dataset(str(path))
    dataset.validate()
    assert dataset.count_rows() == len(given)
    assert rows.their_rows(path) == written.expected(given)
    assert rows.our_rows(path, dim, tmp_path / "cache") == written.expected(given)


def test_lancedb_opens_and_searches_the_shard(shard):
    given, dim, path = shard
    opened = lancedb.connect(str(path.parent)).open_table("vector_index")
    assert opened.count_rows() == len(given)
    vectors = np.stack([vector for _, vector, _ in given]).astype(np.float64)
    for i in {0, len(given) // 2, len(given) - 1}:
        found = opened.search(given[i][1]).distance_type("l2").bypass_vector_index().limit(5).to_arrow()
        exact = np.sort(((vectors - vectors[i]) ** 2).sum(axis=1))[:5]
        assert found["id"][0].as_py() == str(given[i][0])
        assert found["payload"][0].as_py() == given[i][2]
        assert np.allclose(found["_distance"].to_numpy(), exact, rtol=1e-4, atol=1e-4)


def test_lance_reads_takes_and_filters(shard, tmp_path):
    given, dim, path = shard
    check(path, given, dim, tmp_path)
    dataset = lance.dataset(str(path))
    wanted = sorted(np.random.default_rng(1).choice(len(given), min(len(given), 200), replace=False).tolist())
    assert dataset.take(wanted)["payload"].to_pylist() == [given[i][2] for i in wanted]
    assert dataset.count_rows("payload IS NOT NULL") == sum(payload is not None for _, _, payload in given)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_what_is_appended_deleted_and_compacted_is_read(metric, shard, tmp_path):
    given, dim, _ = shard
    path = written.write(tmp_path / metric, given, dim, metric)
    extra = [(f"new-{i}", vector, payload) for i, (_, vector, payload) in enumerate(written.make_rows(9, 30, dim))]
    lancedb.connect(str(path.parent)).open_table("vector_index").add(table(extra, dim))
    check(path, given + extra, dim, tmp_path)
    lance.dataset(str(path)).delete("id = 'new-3'")
    left = given + [row for row in extra if row[0] != "new-3"]
    check(path, left, dim, tmp_path)
    lance.dataset(str(path)).optimize.compact_files()
    # Rows that an index has, and rows that it does not have, are kept apart.
    assert len(lance.dataset(str(path)).get_fragments()) == (1 if metric == "l2" else 2)
    check(path, left, dim, tmp_path)


def distances(vectors: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    products = vectors.astype(np.float64) @ query
    if metric == "cosine":
        products /= np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return 1 - products


def check_default_search(path, given, metric):
    """Blocking and asynchronous searches that name no metric find what has the smallest distances."""

    async def search(query):
        opened = await (await lancedb.connect_async(str(path.parent))).open_table("vector_index")
        return await (await opened.search(query)).limit(10).to_arrow()

    opened = lancedb.connect(str(path.parent)).open_table("vector_index")
    vectors = np.stack([vector for _, vector, _ in given])
    for query in np.random.default_rng(5).standard_normal((20, vectors.shape[1]), dtype=np.float32):
        exact = distances(vectors, query, metric)
        expected = [str(given[i][0]) for i in exact.argsort()[:10]]
        for found in (opened.search(query).limit(10).to_arrow(), asyncio.run(search(query))):
            assert found["id"].to_pylist() == expected
            assert np.allclose(found["_distance"].to_numpy(), np.sort(exact)[:10], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3000])
@pytest.mark.parametrize("metric", ["cosine", "dot_product"])
def test_a_search_that_names_no_metric_takes_that_of_the_shard(metric, count, tmp_path):
    random = np.random.default_rng(4)
    given = [(id, vector * np.float32(random.uniform(0.1, 10)), payload) for id, vector, payload in written.make_rows(3, count, 48)]
    path = written.write(tmp_path / "shard", given, 48, metric)
    lance.dataset(str(path)).validate()
    opened = lancedb.connect(str(path.parent)).open_table("vector_index")
    [index] = opened.list_indices()
    statistics = opened.index_stats(index.name)
    assert (index.columns, statistics.index_type) == (["vector"], "IVF_FLAT")
    assert statistics.distance_type == {"cosine": "cosine", "dot_product": "dot"}[metric]
    assert (statistics.num_indexed_rows, statistics.num_unindexed_rows) == (1, count - 1)
    check_default_search(path, given, metric)
    extra = [(f"new-{i}", vector, payload) for i, (_, vector, payload) in enumerate(written.make_rows(9, 30, 48))]
    opened.add(table(extra, 48))
    check_default_search(path, given + extra, metric)
    check(path, given + extra, 48, tmp_path)
    opened.optimize()
    check_default_search(path, given + extra, metric)


def test_an_index_can_be_made(tmp_path):
    given = written.make_rows(1, 1000, 16)
    path = written.write(tmp_path / "shard", given, 16)
    opened = lancedb.connect(str(path.parent)).open_table("vector_index")
    opened.create_index(metric="cosine", num_partitions=1, num_sub_vectors=1)
    lance.dataset(str(path)).validate()
    assert opened.search(given[7][1]).distance_type("cosine").bypass_vector_index().limit(1).to_arrow()["id"].to_pylist() == ["doc-7"]
    check(path, given, 16, tmp_path)
