"""A local cache that may not grow without end."""

import json
import subprocess

import numpy
from test_snapshots import GOLDEN, environment, put_snapshot, run  # noqa: F401: one is a fixture

NAME = "sqlite-cosine-cluster"


def cached(cache):
    return sorted(int(folder.name.split("_")[1]) for folder in cache.glob("shard_?????") if (folder / "shard.identity.json").exists())


def used_shards():
    cases = json.loads((GOLDEN / NAME / "expected.json").read_text())["cases"]
    return sorted({shard for case in cases for shard in case["route"]})


def test_two_processes_share_a_cache_that_keeps_what_either_has_loaded(versitygw, tool, tmp_path):
    root, cache, queries = put_snapshot(versitygw, NAME), tmp_path / "cache", tmp_path / "queries"
    queries.write_bytes(numpy.load(GOLDEN / NAME / "queries.npy").astype(numpy.float32).tobytes())
    first, second, *others = used_shards()

    def start(*options):
        return tool(versitygw, root=root, program="reader_tool", arguments=["-c", cache, *options])

    def search(reader, shard):
        answer = reader("search", queries, 0, 3, 5, shard)
        assert answer["ok"], answer
        return answer["results"]

    keeps, shrinks = start(), start("-s", 1, "-b", 1)
    expected = search(keeps, first)
    assert cached(cache) == [first]
    for shard in [second, *others]:
        search(shrinks, shard)
        assert cached(cache) == sorted([first, shard])
    assert search(keeps, first) == expected
    keeps.close()
    search(shrinks, second)
    assert cached(cache) == [second]
    assert search(start(), first) == expected


def test_the_least_recently_used_shards_leave_a_cache_that_is_too_large(versitygw, environment, tmp_path):  # noqa: F811
    root, cache, query = put_snapshot(versitygw, NAME), tmp_path / "cache", GOLDEN / NAME / "queries.npy"
    environment.setenv("AWS_ENDPOINT_URL_S3", versitygw.url)
    shards = used_shards()

    def search(shard, *options):
        done = run("search", root, "--query-file", query, "--row", 0, "--shard-ids", shard, "--cache-dir", cache, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for shard in shards:
        search(shard)
    search(shards[0])
    taken = int(subprocess.run(["du", "-s", "--block-size=1", str(cache)], capture_output=True, check=True, text=True).stdout.split()[0])
    assert cached(cache) == shards
    # All but a little: the second shard goes, for the first was used after it.
    search(shards[-1], "--max-cache-bytes", taken - 50_000)
    assert cached(cache) == [shards[0], *shards[2:]]
    search(shards[-1], "--max-cache-bytes", 1)
    assert cached(cache) == [shards[-1]]
    assert run("search", root, "--query-file", query, "--max-cache-bytes", 0).returncode == 2
