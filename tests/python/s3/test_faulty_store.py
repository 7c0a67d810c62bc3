"""A reader whose store fails: one request in five, all of them, and for good."""

import concurrent.futures
import json

import numpy
import pytest
from fault_proxy import KINDS, Fault, FaultProxy, FaultyFifth
from test_snapshots import GOLDEN, put_snapshot

NUM_QUERIES = 125


@pytest.fixture
def queries(tmp_path):
    """Rows of queries for a golden snapshot, in a file as the tool reads it."""

    def make(name):
        given = numpy.load(GOLDEN / name / "queries.npy").astype(numpy.float32)
        rows = numpy.random.default_rng(5).normal(size=(NUM_QUERIES, given.shape[1])).astype(numpy.float32)
        rows[: len(given)] = given[:NUM_QUERIES]
        (tmp_path / "queries").write_bytes(rows.tobytes())
        return tmp_path / "queries"

    return make


@pytest.fixture
def reader(tool, tmp_path):
    def start(server, root, cache="cache", max_cached_shards=0, **options):
        arguments = ["-c", tmp_path / cache, "-s", max_cached_shards]
        return tool(server, root=str(root), program="reader_tool", arguments=arguments, **options)

    return start


def expected_answers(reader, name, queries):
    """As read from disk, which the golden tests hold to what is right."""
    answer = reader(None, GOLDEN / name / "snapshot", cache="disk")("search", queries, 0, NUM_QUERIES, 10)
    assert answer["ok"], answer
    return answer["results"]


# Of the ranges of an object stores keep no checksums, so that nothing can tell a corrupted one from a good one: the files
# of Lance are read by ranges, a sqlite-vec shard is not.
@pytest.mark.parametrize(
    "name,kinds",
    [("sqlite-cosine-cluster", tuple(KINDS)), ("lance22-cosine-cluster", tuple(set(KINDS) - {"corrupted"}))],
    ids=["sqlite-vec", "lance"],
)
def test_with_one_request_in_five_failing_a_thousand_searches_give_a_thousand_right_answers(
    versitygw, reader, queries, name, kinds
):
    root, file = put_snapshot(versitygw, name), queries(name)
    expected = expected_answers(reader, name, file)

    def search_from_scratch(seed):
        with FaultProxy(versitygw.port) as proxy:
            proxy.choose = FaultyFifth(seed, sorted(kinds))
            ours = reader(proxy, root, cache=f"cache-{seed}", max_cached_shards=1, read_timeout=1)
            right = 0
            for first in range(0, NUM_QUERIES, 5):
                answer = ours("search", file, first, 5, 10)
                assert answer["ok"], (seed, first, answer)
                assert answer["results"] == expected[first : first + 5]
                right += len(answer["results"])
            return right, len(proxy.seen), proxy.choose.counts

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(search_from_scratch, range(8)))
    assert sum(right for right, _, _ in outcomes) == 1000
    failed = {kind: sum(counts[kind] for _, _, counts in outcomes) for kind in kinds}
    assert all(failed.values()), failed
    assert sum(failed.values()) >= sum(seen for _, seen, _ in outcomes) / 8


ALWAYS = {
    "refused": {"refuse": True},
    "reset": {"reset_after": 0, "fraction": 0.5},
    "503": {"status": 503, "code": "SlowDown"},
    "truncated": {"cut_after": 0, "fraction": 0.5},
    "corrupted": {"corrupt_at": 0, "fraction": 0.5},
    "stalled": {"stall_after": 0},
    "dripping": {"drip": 1},
    "unheard": {"delay": 100},
}


def test_with_all_requests_failing_a_reader_says_so_in_time(versitygw, reader, queries):
    name = "sqlite-l2-lsh"
    root, file = put_snapshot(versitygw, name), queries(name)

    def fail(kind, when):
        with FaultProxy(versitygw.port) as proxy:
            ours = reader(proxy, root, cache=f"{kind}-{when}")
            if when == "once it is open":
                assert ours("info")["ok"]
            proxy.choose = lambda seen: Fault(**ALWAYS[kind])
            return kind, ours("search", file, 0, 1, 10)

    cases = [(kind, when) for kind in ALWAYS for when in ("from the start", "once it is open")]
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as threads:
        outcomes = list(threads.map(fail, *zip(*cases)))
    for kind, answer in outcomes:
        assert answer.get("error") == "S3TransientError", (kind, answer)
        # 30 seconds in all; the last try may have begun shortly before.
        assert answer["ms"] < 32_000, (kind, answer)
    # Five retries after 200 ms, doubling up to 4 s: what fails at once takes no longer than that.
    assert all(answer["ms"] < 6_200 + 1_000 for kind, answer in outcomes if kind == "503")


def test_with_the_network_gone_loaded_shards_are_searched_on(versitygw, reader, queries, tmp_path):
    name = "sqlite-cosine-cluster"
    root, file = put_snapshot(versitygw, name), queries(name)
    shard_ids = sorted({r for case in json.loads((GOLDEN / name / "expected.json").read_text())["cases"] for r in case["route"]})
    loaded, other = shard_ids[:-1], shard_ids[-1]
    with FaultProxy(versitygw.port) as proxy:
        ours = reader(proxy, root, max_attempts=2, connect_timeout=1)
        before = ours("search", file, 0, NUM_QUERIES, 10, *loaded)
        assert before["ok"], before
        seen = len(proxy.seen)
    # The proxy is gone: connections are closed, new ones are refused.
    for _ in range(8):
        assert ours("search", file, 0, NUM_QUERIES, 10, *loaded)["results"] == before["results"]
    assert len(proxy.seen) == seen
    answer = ours("search", file, 0, 1, 10, other)
    assert answer["error"] == "S3TransientError", answer
    assert ours("search", file, 0, NUM_QUERIES, 10, *loaded)["results"] == before["results"]
