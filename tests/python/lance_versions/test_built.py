"""Snapshots that the command builds of Lance shards: this version of lancedb finds in the shards what our reader finds in the
snapshot, and both what there is."""
import heapq
import json
import os
import pathlib
import sqlite3
import subprocess
import urllib.parse

import lancedb
import numpy as np
import pytest
import written

CLI = os.environ.get("SHARDYFUSION_CLI", str(written.BUILD / "shardyfusion"))
ROWS, DIM, SHARDS, TOP_K = 600, 24, 3, 10
LANCEDB_METRICS = {"cosine": "cosine", "l2": "l2", "dot_product": "dot"}


def run(*arguments) -> list:
    done = subprocess.run([CLI, *map(str, arguments), "--format", "jsonl"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def strategy_options(strategy: str, folder: pathlib.Path) -> list:
    if strategy == "explicit":
        np.save(folder / "shards.npy", np.arange(ROWS) % SHARDS)
        return ["--shard-ids", folder / "shards.npy"]
    if strategy == "cel":
        contexts = "".join(json.dumps({"lang": ["de", "en", "fr"][i % 3]}) + "\n" for i in range(ROWS))
        (folder / "contexts.jsonl").write_text(contexts)
        routing = ["--cel-expr", "lang", "--cel-columns", '{"lang": "string"}', "--routing-values", '["de", "en", "fr"]']
        return ["--routing-contexts", folder / "contexts.jsonl", *routing]
    return []


def build(folder: pathlib.Path, metric: str, strategy: str) -> tuple[pathlib.Path, list]:
    rows = written.make_rows(7, ROWS, DIM, "unicode", "unicode")
    rows = [(id.replace("\0", ""), vector, payload) for id, vector, payload in rows]
    np.save(folder / "vectors.npy", np.stack([vector for _, vector, _ in rows]))
    (folder / "ids.txt").write_text("".join(id + "\n" for id, _, _ in rows))
    (folder / "payloads.jsonl").write_text("".join(payload + "\n" for _, _, payload in rows))
    files = ["--vectors", folder / "vectors.npy", "--ids", folder / "ids.txt", "--payloads", folder / "payloads.jsonl"]
    options = ["--metric", metric, "--strategy", strategy, "--backend", "lance", "--num-dbs", SHARDS]
    run("build", folder / "root", *files, *options, *strategy_options(strategy, folder))
    return folder / "root", rows


def shard_folders(root: pathlib.Path) -> list:
    with sqlite3.connect(next(root.glob("manifests/*/manifest"))) as manifest:
        urls = [url for (url,) in manifest.execute("SELECT db_url FROM shards WHERE db_url IS NOT NULL")]
    return [pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(url).path)) for url in urls]


def exact_distances(vectors: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    vectors, query = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return ((vectors - query) ** 2).sum(axis=1)
    products = vectors @ query
    if metric == "cosine":
        products /= np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return 1 - products


def search_by_default(tables: list, query: np.ndarray) -> list:
    """Names no metric."""
    found = [(row["_distance"], row["id"]) for table in tables for row in table.search(query).limit(TOP_K).to_list()]
    return [id for _, id in heapq.nsmallest(TOP_K, found)]


@pytest.mark.parametrize("strategy", ["cluster", "lsh", "explicit", "cel"])
@pytest.mark.parametrize("metric", LANCEDB_METRICS)
def test_lancedb_and_our_reader_find_what_was_built(metric, strategy, tmp_path):
    root, rows = build(tmp_path, metric, strategy)
    tables = [lancedb.connect(str(folder)).open_table("vector_index") for folder in shard_folders(root)]
    assert sorted(id for table in tables for id in table.to_arrow()["id"].to_pylist()) == sorted(id for id, _, _ in rows)
    vectors = np.stack([vector for _, vector, _ in rows])
    queries = np.random.default_rng(8).standard_normal((3, DIM), dtype=np.float32)
    np.save(tmp_path / "queries.npy", queries)
    cache = ["--cache-dir", tmp_path / "cache", "--shard-ids", ",".join(map(str, range(SHARDS)))]
    answers = run("search", root, "--query-file", tmp_path / "queries.npy", "--top-k", TOP_K, *cache)
    for query, answer in zip(queries, answers, strict=True):
        distances = exact_distances(vectors, query, metric)
        expected = [rows[i] for i in distances.argsort()[:TOP_K]]
        assert [result["id"] for result in answer["results"]] == [id for id, _, _ in expected]
        assert [result["payload"] for result in answer["results"]] == [json.loads(payload) for _, _, payload in expected]
        assert np.allclose([result["score"] for result in answer["results"]], np.sort(distances)[:TOP_K], atol=1e-5)
        found = []
        for table in tables:
            search = table.search(query).distance_type(LANCEDB_METRICS[metric]).bypass_vector_index().limit(TOP_K)
            found += [(row["_distance"], row["id"]) for row in search.to_list()]
        assert [id for _, id in heapq.nsmallest(TOP_K, found)] == [id for id, _, _ in expected]
        assert search_by_default(tables, query) == [id for id, _, _ in expected]
