"""Answers over random snapshots, held to brute force in NumPy."""

import json
import os

import numpy as np
import pytest
import snapshot_builder as builder
from conftest import assert_exact

SEED = int(os.environ.get("SHARDYFUSION_SEED", "1"))
pytestmark = pytest.mark.random

# What is varied; the rest is as random_snapshot has it.
AXES = {
    "cluster_cosine": {},
    "cluster_l2": {"metric": "l2"},
    "lsh_cosine": {"strategy": "lsh", "num_shards": 5},
    "lsh_l2_many_probes": {"strategy": "lsh", "metric": "l2", "num_shards": 7, "num_probes": 4},
    "explicit": {"strategy": "explicit"},
    "cel": {"strategy": "cel"},
    "dim_4": {"dim": 4},
    "dim_7": {"dim": 7, "metric": "l2"},
    "dim_33": {"dim": 33},
    "dim_384": {"dim": 384, "rows": 120},
    "dim_2048": {"dim": 2048, "rows": 60, "num_shards": 2},
    "page_8192": {"page_size": 8192},
    "page_16384": {"page_size": 16384, "dim": 100},
    "page_65536": {"page_size": 65536, "metric": "l2"},
    "several_chunks": {"rows": 5000, "num_shards": 2, "dim": 8},
    "deleted_rows": {"rows": 3000, "num_shards": 2, "deleted": 0.4},
    "string_ids": {"ids": "str"},
    "strange_ids": {"ids": "strange"},
    "no_payloads": {"payloads": "none"},
    "strange_payloads": {"payloads": "strange", "rows": 60},
    "one_shard": {"num_shards": 1},
    "more_shards_than_rows": {"rows": 6, "num_shards": 12, "num_probes": 12},
    "relocated": {"s3_prefix": "s3://elsewhere/some/prefix"},
}


def ask(cli, snapshot, query, top_k=10, **asked):
    """The same question to the command and to brute force."""
    options = ["--top-k", top_k]
    if "num_probes" in asked:
        options += ["--num-probes", asked["num_probes"]]
    if "shard_ids" in asked:
        options += ["--shard-ids", ",".join(map(str, asked["shard_ids"]))]
    if "routing_context" in asked:
        options += ["--routing-context", json.dumps(asked["routing_context"])]
    answer = cli.search(snapshot.root, query, *options)
    assert_exact(answer, snapshot.search(query, top_k, **asked))
    return answer


def questions(snapshot, rng):
    """What goes with the strategy: routed where it routes, and over chosen shards for all."""
    strategy = snapshot.vector["sharding_strategy"]
    count = len(snapshot.shards)
    everything = {"shard_ids": list(range(count))}
    if strategy == "explicit":
        return [everything, {"shard_ids": [int(rng.integers(count))]}]
    if strategy == "cel":
        return [everything, *({"routing_context": {"token": f"t{i}"}} for i in range(count))]
    return [everything, {}, {"num_probes": 1}, {"num_probes": count}]


@pytest.mark.parametrize("name", AXES)
def test_answers_are_exact(cli, tmp_path, name):
    rng = np.random.default_rng(SEED)
    snapshot = builder.random_snapshot(tmp_path / "snapshot", SEED, **AXES[name])
    stored = next(shard for shard in snapshot.shards if shard is not None).vectors[0]
    for query in (rng.normal(size=snapshot.dim), stored):
        query = query.astype(np.float32).astype(np.float64)
        for asked in questions(snapshot, rng):
            ask(cli, snapshot, query, **asked)
        ask(cli, snapshot, query, top_k=10_000, **questions(snapshot, rng)[0])
        ask(cli, snapshot, query, top_k=1, **questions(snapshot, rng)[0])


@pytest.mark.parametrize("case", range(12))
def test_answers_to_a_random_mixture_are_exact(cli, tmp_path, case):
    rng = np.random.default_rng([SEED, case])
    snapshot = builder.random_snapshot(
        tmp_path / "snapshot",
        [SEED, case],
        dim=int(rng.choice([4, 5, 16, 31, 64, 100, 257])),
        num_shards=int(rng.integers(1, 12)),
        rows=int(rng.choice([1, 10, 300, 2500])),
        metric=str(rng.choice(["cosine", "l2"])),
        strategy=str(rng.choice(["cluster", "lsh", "explicit", "cel"])),
        ids=str(rng.choice(["int", "str", "strange"])),
        payloads=str(rng.choice(["none", "plain", "strange"])),
        deleted=float(rng.choice([0, 0.1, 0.9])),
        num_probes=int(rng.integers(1, 4)),
        page_size=int(rng.choice([4096, 8192, 16384, 32768, 65536])),
    )
    query = rng.normal(size=snapshot.dim).astype(np.float32)
    for asked in questions(snapshot, rng):
        ask(cli, snapshot, query, top_k=int(rng.integers(1, 50)), **asked)


@pytest.mark.parametrize("strategy", ["cluster", "lsh"])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_routes_are_the_writers(cli, tmp_path, strategy, metric):
    rng = np.random.default_rng(SEED)
    snapshot = builder.random_snapshot(
        tmp_path / "snapshot", SEED, strategy=strategy, metric=metric, num_shards=9, num_probes=3
    )
    queries = rng.normal(size=(200, snapshot.dim))
    np.save(tmp_path / "q.npy", queries)
    for probes in (None, 1, 9, 100):
        options = [] if probes is None else ["--num-probes", probes]
        lines = cli.lines("route", snapshot.root, "--query-file", tmp_path / "q.npy", *options)
        assert [line["query"] for line in lines] == list(range(200))
        assert [line["route"] for line in lines] == [snapshot.route(query, num_probes=probes) for query in queries]


def test_ties_are_ordered_by_shard_then_row(cli, tmp_path):
    same = np.ones((5, 4), np.float32)
    shards = [builder.Shard([f"{shard}-{row}" for row in range(5)], same) for shard in range(3)]
    snapshot = builder.publish(tmp_path / "snapshot", shards, metric="l2")
    for top_k in (1, 4, 7, 15):
        answer = cli.search(snapshot.root, [0, 0, 0, 0], "--shard-ids", "2,0,1", "--top-k", top_k)
        expected = [f"{shard}-{row}" for shard in range(3) for row in range(5)][:top_k]
        assert [result["id"] for result in answer["results"]] == expected
        assert {result["score"] for result in answer["results"]} == {2.0}


def test_zero_vectors_are_at_cosine_distance_one(cli, tmp_path):
    vectors = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [-1, 0, 0, 0]], np.float32)
    snapshot = builder.publish(tmp_path / "snapshot", [builder.Shard([1, 2, 3], vectors)])
    answer = cli.search(snapshot.root, [2, 0, 0, 0], "--shard-ids", "0")
    assert [(r["id"], r["score"]) for r in answer["results"]] == [(2, 0), (1, 1), (3, 2)]
    answer = cli.search(snapshot.root, [0, 0, 0, 0], "--shard-ids", "0")
    assert [(r["id"], r["score"]) for r in answer["results"]] == [(1, 1), (2, 1), (3, 1)]


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e18, 1e38])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_tiny_and_huge_components_are_scored_exactly(cli, tmp_path, metric, scale):
    rng = np.random.default_rng(SEED)
    vectors = (rng.uniform(-1, 1, size=(50, 8)) * scale).astype(np.float32)
    snapshot = builder.publish(tmp_path / "snapshot", [builder.Shard(list(range(50)), vectors)], metric=metric)
    query = (rng.uniform(-1, 1, size=8) * scale).astype(np.float32)
    answer = cli.search(snapshot.root, query, "--shard-ids", "0")
    expected = snapshot.search(query, shard_ids=[0])
    assert [r["id"] for r in answer["results"]] == [identifier for identifier, _, _ in expected]
    for result, (_, score, _) in zip(answer["results"], expected):
        assert result["score"] == pytest.approx(score, rel=1e-9, abs=1e-12)


def test_ids_without_a_map_are_rowids(cli, tmp_path):
    rng = np.random.default_rng(SEED)
    ids = [5, 17, 2**40, 1, 99]
    shard = builder.Shard(ids, rng.normal(size=(5, 6)), mapped=False)
    snapshot = builder.publish(tmp_path / "snapshot", [shard])
    ask(cli, snapshot, rng.normal(size=6), shard_ids=[0])


def test_a_thousand_shards_are_searched(cli, tmp_path):
    rng = np.random.default_rng(SEED)
    centroids = rng.normal(size=(1000, 4)).astype(np.float32)
    shards = [
        builder.Shard([i], centroids[i : i + 1]) if i % 10 else None  # every tenth has no rows
        for i in range(1000)
    ]
    snapshot = builder.publish(
        tmp_path / "snapshot", shards, dim=4, strategy="cluster", centroids=centroids, absent=range(0, 1000, 20)
    )
    answer = ask(cli, snapshot, rng.normal(size=4), top_k=50, num_probes=1000)
    assert len(answer["results"]) == 50
    lines = cli.lines("shards", snapshot.root)
    assert [line["db_id"] for line in lines] == list(range(1000))
    assert [line["db_url"] is None for line in lines] == [i % 10 == 0 for i in range(1000)]
    assert sum(line["vector_count"] for line in lines) == 900


def test_empty_shards_are_skipped(cli, tmp_path):
    rng = np.random.default_rng(SEED)
    full = builder.Shard([1, 2, 3], rng.normal(size=(3, 5)))
    snapshot = builder.publish(tmp_path / "snapshot", [None, full, None, None], absent=[0, 2])
    ask(cli, snapshot, rng.normal(size=5), shard_ids=[0, 1, 2, 3])
    assert cli.search(snapshot.root, [1, 2, 3, 4, 5], "--shard-ids", "0,2,3")["results"] == []


def test_shard_ids_that_are_unknown_or_twice_are_dropped(cli, shared_snapshot, queries):
    answer = cli.search(shared_snapshot.root, queries[0], "--shard-ids", "-1,2,2,99,9223372036854775807")
    assert_exact(answer, shared_snapshot.search(queries[0], shard_ids=[2]))
    assert answer["num_shards_queried"] == 1


def test_a_shard_whose_rows_are_all_deleted_gives_nothing(cli, tmp_path):
    rng = np.random.default_rng(SEED)
    gone = builder.Shard([1, 2, 3], rng.normal(size=(3, 5)), deleted=frozenset({0, 1, 2}))
    snapshot = builder.publish(tmp_path / "snapshot", [gone])
    assert cli.search(snapshot.root, [1, 2, 3, 4, 5], "--shard-ids", "0")["results"] == []


def test_cel_routes_by_hash(cli, tmp_path):
    rng = np.random.default_rng(SEED)
    shards = [builder.Shard([10 * i, 10 * i + 1], rng.normal(size=(2, 6))) for i in range(5)]
    cel = {"cel_expr": "int(shard_hash(tenant) % 5u)", "cel_columns": {"tenant": "string"}}
    snapshot = builder.publish(tmp_path / "snapshot", shards, strategy="cel", cel=cel)
    for tenant in ("", "a", "ünïcødé 漢字", "x" * 1000):
        context = ["--routing-context", json.dumps({"tenant": tenant})]
        line = cli.one("route", snapshot.root, "--query", "[1,2,3,4,5,6]", *context)
        assert line["route"] == [builder.shard_hash(tenant) % 5]


def test_queries_are_rounded_to_the_precision_of_the_vectors(cli, shared_snapshot, queries):
    precise = queries[0].astype(np.float64) * (1 + 1e-10)
    answer = cli.search(shared_snapshot.root, precise)
    rounded = cli.search(shared_snapshot.root, precise.astype(np.float32))
    assert answer["results"] == rounded["results"]
