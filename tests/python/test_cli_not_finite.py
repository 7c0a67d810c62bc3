"""Stored vectors that are not finite are left out, and it is said so."""

import json
import re

import numpy as np
import pytest
import snapshot_builder
from conftest import assert_exact
from snapshot_builder import Shard

BAD = {3: np.nan, 17: np.inf, 18: -np.inf}


def warnings(done):
    return [line for line in done.stderr.splitlines() if "not finite" in line]


def search(cli, root, query, *arguments):
    done = cli.run("search", root, "--query", json.dumps([float(x) for x in query]), "--top-k", 5, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), warnings(done)


@pytest.fixture
def damaged(tmp_path):
    """Two sqlite-vec shards; the second has vectors that are not finite."""
    random = np.random.default_rng(1)
    shards = [Shard(ids=list(range(i, 80, 2)), vectors=random.normal(size=(40, 8))) for i in range(2)]
    for row, value in BAD.items():
        shards[1].vectors[row, row % 8] = value
    return snapshot_builder.publish(tmp_path / "snapshot", shards)


def test_a_search_warns_once_of_a_shard_and_returns_the_others(cli, damaged):
    query = np.ones(8, np.float32)
    for _ in range(2):  # decoded, then from the cache
        answer, said = search(cli, damaged.root, query, "--shard-ids", "0,1")
        assert len(said) == 1 and "warning: shard 1 (" in said[0] and "3 stored vectors are not finite" in said[0]
        damaged.shards[1].deleted = frozenset(BAD)
        assert_exact(answer, damaged.search(query, top_k=5, shard_ids=[0, 1]))
    assert search(cli, damaged.root, query, "--shard-ids", "0")[1] == []


def test_verify_counts_them_and_names_the_first(cli, damaged):
    done = cli.run("verify", damaged.root)
    assert done.returncode == 1
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    (bad,) = [finding for finding in findings if finding["status"] != "ok"]
    assert "found 3 that are not" in json.dumps(bad, ensure_ascii=False)
    assert "(rows 3, 17, 18)" in json.dumps(bad, ensure_ascii=False)


@pytest.mark.parametrize("metric", ["cosine", "l2", "dot_product"])
@pytest.mark.parametrize("rows", [100, 5000])
def test_vectors_that_are_searched_in_place_are_counted_too(cli, tmp_path, metric, rows):
    vectors = np.random.default_rng(2).normal(size=(rows, 16)).astype("f4")
    np.save(tmp_path / "x.npy", vectors)
    root = tmp_path / "root"
    cli.one("build", root, "--vectors", tmp_path / "x.npy", "--backend", "lance", "--metric", metric, "--num-dbs", 1)
    paths = sorted(root.rglob("*.lance/data/*"))  # the fragments in order
    files = [bytearray(path.read_bytes()) for path in paths]
    places = {}
    for row in range(rows):
        (number,) = [number for number, file in enumerate(files) if vectors[row].tobytes() in file]
        places[row] = (number, files[number].index(vectors[row].tobytes()))
    order = sorted(places.values())
    for row, value in BAD.items():
        number, start = order[row]
        files[number][start : start + 4] = np.float32(value).tobytes()
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file)
    np.save(tmp_path / "q.npy", np.ones((4, 16), "f4"))
    done = cli.run("search", root, "--query-file", tmp_path / "q.npy", "--top-k", rows, "--num-probes", 1)
    assert done.returncode == 0, done.stderr
    assert all(len(json.loads(line)["results"]) == rows - 3 for line in done.stdout.splitlines())
    (warning,) = warnings(done)
    assert "3 stored vectors are not finite" in warning
    done = cli.run("verify", root)
    assert re.search(r"found 3 that are not, which no search returns \(rows 3, 17, 18\)", done.stdout), done.stdout
